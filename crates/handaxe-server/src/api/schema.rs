//! Words of the API that are lists of ours, as schemas.

use handaxe_types::{ApprovalState, EventKind, RunState, ToolState};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

fn words<'a>(all: impl Iterator<Item = &'a str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(all.map(str::to_owned).collect::<Vec<_>>()))
        .build()
}

pub(super) fn tool_states() -> Object {
    words(ToolState::ALL.iter().map(|s| s.as_str()))
}

pub(super) fn run_states() -> Object {
    words(RunState::ALL.iter().map(|s| s.as_str()))
}

pub(super) fn approval_states() -> Object {
    words(ApprovalState::ALL.iter().map(|s| s.as_str()))
}

pub(super) fn event_kinds() -> Object {
    words(EventKind::ALL.iter().map(|k| k.as_str()))
}
