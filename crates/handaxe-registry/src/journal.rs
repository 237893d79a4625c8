//! Events, chained by hash, each appended in the transaction of the change it records.
//!
//! An event that records rows carries `detail.rows`: row name → digest of the whole row as the
//! transaction leaves it. So the journal vouches for the state, not only for itself.

use std::io::Write;

use handaxe_types::{Digest, Event, EventKind, RunId, canonical_json};
use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use serde_json::{Map, Value, json};

use crate::error::{RegistryError, Step as _};
use crate::registry::{Registry, parse_digest};

/// What the first event's `prev` is.
pub(crate) const GENESIS: Digest = Digest::from_bytes([0; 32]);

/// The tables whose rows the journal vouches for; each has a column `id`.
pub(crate) const VOUCHED: &[&str] = &[
    "run",
    "attempt",
    "exchange",
    "tool_version",
    "approval",
    "invocation",
    "signing_key",
    "approval_signature",
    "provisional_use",
];

/// A row that an event records.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    table: &'static str,
    id: SqlValue,
}

impl Row {
    pub(crate) fn new(table: &'static str, id: i64) -> Self {
        let id = SqlValue::Integer(id);
        Self { table, id }
    }

    pub(crate) fn run(id: &RunId) -> Self {
        let id = SqlValue::Text(id.as_str().to_owned());
        Self { table: "run", id }
    }

    pub(crate) fn name(&self) -> String {
        match &self.id {
            SqlValue::Integer(id) => format!("{}/{id}", self.table),
            SqlValue::Text(id) => format!("{}/{id}", self.table),
            other => format!("{}/{other:?}", self.table),
        }
    }

    fn digest(&self, conn: &Connection) -> Result<Digest, RegistryError> {
        let sql = format!("SELECT * FROM {} WHERE id = ?1", self.table);
        conn.prepare_cached(&sql)
            .and_then(|mut s| s.query_row([&self.id], |r| Ok(row_digest(r))))
            .step("read a row for the journal")
    }

    /// Whether the row is as the last event that names it left it.
    pub(crate) fn unchanged(&self, conn: &Connection) -> Result<bool, RegistryError> {
        let detail: Option<String> = conn
            .prepare_cached(
                "SELECT e.detail FROM row_event r JOIN event e ON e.seq = r.seq WHERE r.row = ?1",
            )
            .and_then(|mut s| s.query_row([self.name()], |r| r.get(0)).optional())
            .step("read the journal")?;
        let recorded = detail
            .and_then(|d| serde_json::from_str::<Value>(&d).ok())
            .and_then(|d| d["rows"][self.name()].as_str().map(str::to_owned));
        Ok(recorded == Some(self.digest(conn)?.to_string()))
    }
}

/// Every column by name and type; the tables are STRICT, so there are no others.
pub(crate) fn row_digest(row: &rusqlite::Row<'_>) -> Digest {
    let statement: &rusqlite::Statement<'_> = row.as_ref();
    let columns: Map<String, Value> = statement
        .column_names()
        .enumerate()
        .map(|(i, name)| {
            let value = match row.get_ref(i) {
                Ok(ValueRef::Integer(n)) => json!(n),
                Ok(ValueRef::Text(t)) => match std::str::from_utf8(t) {
                    Ok(text) => json!(text),
                    Err(_) => json!({ "bytes": hex::encode(t) }),
                },
                Ok(ValueRef::Blob(b)) => json!({ "bytes": hex::encode(b) }),
                Ok(ValueRef::Real(f)) => json!({ "real": f.to_bits() }),
                Ok(ValueRef::Null) | Err(_) => Value::Null,
            };
            (name.to_owned(), value)
        })
        .collect();
    Digest::of_json(&Value::Object(columns))
}

/// The hash of an event: over every other field.
pub(crate) fn event_hash(event: &Event) -> Digest {
    Digest::of_json(&json!({
        "seq": event.seq,
        "at_ms": event.at_ms,
        "kind": event.kind,
        "actor": event.actor,
        "subject": event.subject,
        "detail": event.detail,
        "prev": event.prev,
    }))
}

/// What is to be appended.
pub(crate) struct Entry<'a> {
    pub kind: EventKind,
    pub subject: String,
    pub detail: Value,
    pub rows: &'a [Row],
}

impl Registry {
    /// Appends an event; it is there when the transaction commits, and only then.
    pub(crate) fn append(
        &self,
        tx: &Transaction<'_>,
        entry: Entry<'_>,
    ) -> Result<Event, RegistryError> {
        const DOING: &str = "append to the journal";
        let last: Option<(i64, String)> = tx
            .prepare_cached("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")
            .and_then(|mut s| s.query_row([], |r| Ok((r.get(0)?, r.get(1)?))).optional())
            .step(DOING)?;
        let (seq, prev) = match last {
            None => (1, GENESIS),
            Some((seq, hash)) => (seq + 1, parse_digest("event hash", &hash)?),
        };
        let mut detail = match self.redactor().json(&entry.detail) {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            other => Map::from_iter([("detail".to_owned(), other)]),
        };
        if !entry.rows.is_empty() {
            let mut rows = Map::new();
            for row in entry.rows {
                rows.insert(row.name(), json!(row.digest(tx)?));
            }
            detail.insert("rows".to_owned(), Value::Object(rows));
        }
        let mut event = Event {
            seq,
            at_ms: self.now_ms(),
            kind: entry.kind.as_str().to_owned(),
            actor: self.actor().to_owned(),
            subject: entry.subject,
            detail: Value::Object(detail),
            prev,
            hash: GENESIS,
        };
        event.hash = event_hash(&event);
        tx.prepare_cached(
            "INSERT INTO event (seq, at_ms, kind, actor, subject, detail, prev, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut s| {
            s.execute((
                event.seq,
                event.at_ms,
                &event.kind,
                &event.actor,
                &event.subject,
                canonical_json(&event.detail),
                event.prev.to_string(),
                event.hash.to_string(),
            ))
        })
        .step(DOING)?;
        for row in entry.rows {
            tx.prepare_cached(
                "INSERT INTO row_event (row, seq) VALUES (?1, ?2)
                 ON CONFLICT (row) DO UPDATE SET seq = excluded.seq",
            )
            .and_then(|mut s| s.execute((row.name(), seq)))
            .step(DOING)?;
        }
        Ok(event)
    }

    /// The number of the newest event; 0 in an empty journal. Cheap enough to ask often.
    pub fn last_event(&self) -> Result<i64, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT coalesce(max(seq), 0) FROM event")
                .and_then(|mut s| s.query_row([], |r| r.get(0)))
                .step("read the journal")
        })
    }

    /// Events that match, in the order of the filter.
    pub fn log(&self, filter: &LogFilter) -> Result<Vec<Event>, RegistryError> {
        const DOING: &str = "read the journal";
        let order = if filter.newest_first { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT seq, at_ms, kind, actor, subject, detail, prev, hash FROM event
             WHERE seq > ?1 AND (?9 IS NULL OR seq < ?9)
               AND (?2 IS NULL OR kind = ?2)
               AND (?3 IS NULL OR actor = ?3)
               AND (?4 IS NULL OR subject = ?4 OR subject GLOB ?5)
               AND (?6 IS NULL OR at_ms >= ?6)
               AND (?7 IS NULL OR at_ms < ?7)
             ORDER BY seq {order} LIMIT ?8"
        );
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql).step(DOING)?;
            let versions = filter
                .subject
                .as_ref()
                .filter(|s| handaxe_types::ToolName::new(s).is_ok())
                .map(|name| format!("{name}@*"));
            let mut rows = statement
                .query((
                    filter.after,
                    filter.kind.map(EventKind::as_str),
                    &filter.actor,
                    &filter.subject,
                    versions,
                    filter.since_ms,
                    filter.until_ms,
                    filter.limit.map_or(-1, i64::from),
                    filter.before,
                ))
                .step(DOING)?;
            let mut events = Vec::new();
            while let Some(row) = rows.next().step(DOING)? {
                events.push(read_event(row).map_err(|e| match e {
                    EventError::Sql(e) => RegistryError::sql(DOING, e),
                    EventError::Digest(text) => crate::registry::unknown("event hash", &text),
                    EventError::Detail(source) => RegistryError::Unreadable {
                        what: "event",
                        source,
                    },
                })?);
            }
            Ok(events)
        })
    }

    /// The whole journal as JSON Lines, oldest first; returns how many events were written.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, ExportError> {
        const PAGE: u32 = 1000;
        let (mut after, mut count) = (0, 0);
        loop {
            let page = self.log(&LogFilter {
                after,
                limit: Some(PAGE),
                ..LogFilter::default()
            })?;
            for event in &page {
                serde_json::to_writer(&mut *out, event)
                    .map_err(|e| ExportError::Write(e.into()))?;
                out.write_all(b"\n").map_err(ExportError::Write)?;
                (after, count) = (event.seq, count + 1);
            }
            if page.len() < PAGE as usize {
                return Ok(count);
            }
        }
    }
}

/// Which events to list; an absent field filters nothing.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub kind: Option<EventKind>,
    pub actor: Option<String>,
    /// A run, `name@version`, an approval (`approval 7`); a bare tool name means all its versions.
    pub subject: Option<String>,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    /// Only events after this sequence number.
    pub after: i64,
    /// Only events before this sequence number.
    pub before: Option<i64>,
    /// Oldest first where it is not set.
    pub newest_first: bool,
    pub limit: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("could not write the export: {0}")]
    Write(std::io::Error),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

pub(crate) enum EventError {
    Sql(rusqlite::Error),
    Digest(String),
    Detail(serde_json::Error),
}

impl From<rusqlite::Error> for EventError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

/// Reads the eight columns of `event`, in the order of the table.
pub(crate) fn read_event(row: &rusqlite::Row<'_>) -> Result<Event, EventError> {
    let digest = |i| -> Result<Digest, EventError> {
        let text: String = row.get(i)?;
        Digest::parse(&text).map_err(|_| EventError::Digest(text))
    };
    let detail: String = row.get(5)?;
    Ok(Event {
        seq: row.get(0)?,
        at_ms: row.get(1)?,
        kind: row.get(2)?,
        actor: row.get(3)?,
        subject: row.get(4)?,
        detail: serde_json::from_str(&detail).map_err(EventError::Detail)?,
        prev: digest(6)?,
        hash: digest(7)?,
    })
}
