//! The tables, and how an older database becomes a current one.
//!
//! Migrations are `PRAGMA user_version` steps taken inside one write transaction, so that two
//! processes that open a new home at once cannot both apply them.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{RegistryError, Step as _};

/// `PRAGMA application_id`: "HAXE".
const APPLICATION_ID: i64 = 0x4841_5845;

/// Step n brings a database from `user_version` n to n + 1. Never edited once released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
];

/// Refuses what is not ours before a byte of it is changed. Everything is read at one moment:
/// another process may be making its tables just now.
pub(crate) fn check_owner(conn: &Connection, path: &Path) -> Result<(), RegistryError> {
    let conn = conn
        .unchecked_transaction()
        .step("read the database's header")?;
    let foreign = || RegistryError::Foreign {
        path: path.to_owned(),
    };
    let application: i64 = match conn.query_row("PRAGMA application_id", [], |r| r.get(0)) {
        Ok(id) => id,
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(foreign());
        }
        Err(e) => return Err(RegistryError::sql("read the database's header", e)),
    };
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
        .step("read the database's tables")?;
    let version = user_version(&conn)?;
    if application == APPLICATION_ID {
        let known = MIGRATIONS.len() as i64;
        if version > known {
            return Err(RegistryError::Newer {
                found: version,
                known,
            });
        }
        return Ok(());
    }
    if application == 0 && tables == 0 && version == 0 {
        return Ok(());
    }
    Err(foreign())
}

pub(crate) fn migrate(conn: &mut Connection, home_id: &str) -> Result<(), RegistryError> {
    const DOING: &str = "bring the database up to date";
    if user_version(conn)? == MIGRATIONS.len() as i64 {
        return Ok(());
    }
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .step(DOING)?;
    // Asked again: another process may have migrated while this one waited for the lock.
    let from = user_version(&tx)?;
    for (i, migration) in MIGRATIONS.iter().enumerate().skip(from as usize) {
        tx.execute_batch(migration).step(DOING)?;
        tx.pragma_update(None, "user_version", i as i64 + 1)
            .step(DOING)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)
        .step(DOING)?;
    tx.execute(
        "INSERT INTO meta (key, value) VALUES ('home_id', ?1) ON CONFLICT DO NOTHING",
        [home_id],
    )
    .step(DOING)?;
    tx.commit().step(DOING)
}

fn user_version(conn: &Connection) -> Result<i64, RegistryError> {
    conn.query_row("PRAGMA user_version", [], |r| r.get(0))
        .step("read the database's version")
}
