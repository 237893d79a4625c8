//! What every page has: who is signed in, the rooms, the assets, the session's token.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::assets;
use super::session::Visitor;

/// The rooms of the navigation, in order. A new room is a row here and a router in [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Gallery,
    Approvals,
    Runs,
    Insight,
    Journal,
}

impl Room {
    const ALL: [Self; 5] = [
        Self::Gallery,
        Self::Approvals,
        Self::Runs,
        Self::Insight,
        Self::Journal,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::Gallery => "/",
            Self::Approvals => "/approvals",
            Self::Runs => "/runs",
            Self::Insight => "/insight",
            Self::Journal => "/journal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Gallery => "Gallery",
            Self::Approvals => "Approvals",
            Self::Runs => "Runs",
            Self::Insight => "Insight",
            Self::Journal => "Journal",
        }
    }
}

/// One entry of the navigation.
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) title: &'static str,
    pub(crate) here: bool,
}

/// The frame around a page's own content: the field `page` of every template.
pub(crate) struct Page {
    pub(crate) title: String,
    /// Nobody, on pages that need no one to be signed in.
    pub(crate) visitor: Option<Visitor>,
    room: Option<Room>,
}

impl Page {
    pub(crate) fn new(room: Room, visitor: Visitor, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            visitor: Some(visitor),
            room: Some(room),
        }
    }

    /// Without a person.
    pub(crate) fn bare(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            visitor: None,
            room: None,
        }
    }

    pub(crate) fn rooms(&self) -> Vec<Entry> {
        let entry = |room: Room| Entry {
            path: room.path(),
            title: room.title(),
            here: self.room == Some(room),
        };
        Room::ALL.map(entry).into()
    }

    /// For the hidden field of every form.
    pub(crate) fn csrf(&self) -> &str {
        self.visitor.as_ref().map_or("", |v| v.csrf.as_str())
    }

    /// The address of an asset; it changes with its content.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

/// A drawn template.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<Response, askama::Error> {
    let text = page.render()?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    Ok((status, [(header::CONTENT_TYPE, kind)], text).into_response())
}
