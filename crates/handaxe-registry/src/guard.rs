//! The last line before the disk: a row that holds a secret is refused, whoever writes it. What is
//! known to quote people's words is redacted before; this finds what was forgotten.

use std::fmt::Write as _;

use std::sync::Arc;

use handaxe_types::Redactor;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use crate::error::{RegistryError, Step as _};

/// What the database says where it refuses.
pub(crate) const REFUSED: &str = "it holds a value that is to be kept secret";

/// Sets the guard on a connection: a function that knows the secrets, and a temporary trigger on
/// every table that asks it about every column.
pub(crate) fn install(conn: &Connection, redactor: Arc<Redactor>) -> Result<(), RegistryError> {
    const DOING: &str = "set the guard against secrets";
    // Innocuous, or a connection that trusts no schema would not call it from a trigger.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("holds_secret", 1, flags, move |ctx| {
        Ok(match ctx.get_raw(0) {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => redactor.finds(bytes),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => false,
        })
    })
    .step(DOING)?;
    let tables: Vec<String> = conn
        .prepare(
            "SELECT name FROM pragma_table_list
             WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'",
        )
        .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
        .step(DOING)?;
    let mut script = String::new();
    for table in &tables {
        let columns: Vec<String> = conn
            .prepare("SELECT name FROM pragma_table_info(?1)")
            .and_then(|mut s| s.query_map([table], |r| r.get(0))?.collect())
            .step(DOING)?;
        let asked: Vec<String> = columns
            .iter()
            .map(|c| format!("holds_secret(NEW.\"{c}\")"))
            .collect();
        for (event, when) in [("insert", "INSERT"), ("update", "UPDATE")] {
            let _ = write!(
                script,
                "CREATE TEMP TRIGGER IF NOT EXISTS \"guard_{event}_{table}\"
                 BEFORE {when} ON main.\"{table}\" WHEN {}
                 BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END;",
                asked.join(" OR ")
            );
        }
    }
    conn.execute_batch(&script).step(DOING)
}
