//! Other programs' tools: what a person accepted of a server, and every call. The journal is where
//! both are: the newest acceptance of a server is what holds, and there is no row beside it that
//! could say something else.

use handaxe_types::{Digest, Event, EventKind, ExternalListing, ExternalTool, ExternalUse, RunId};
use rusqlite::OptionalExtension as _;
use serde_json::{Map, Value, json};

use crate::error::{RegistryError, Step as _};
use crate::journal::{Entry, event_hash};
use crate::registry::{Registry, parse_digest};

/// What a person accepted of a server, and who and when.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedListing {
    pub listing: ExternalListing,
    pub by: String,
    pub at_ms: i64,
}

impl Registry {
    /// Records that the acting person accepts a server as it is listed. Nothing else accepts.
    pub fn accept_external(
        &self,
        server: &str,
        listing: &ExternalListing,
    ) -> Result<(), RegistryError> {
        self.external(
            EventKind::ExternalAccepted,
            server,
            json!({
                "digest": listing.digest(), "listing": listing,
            }),
        )
    }

    /// What holds of a server; `None` where nothing was accepted. An event that is not what its own
    /// hash vouches for accepts nothing.
    pub fn accepted_external(
        &self,
        server: &str,
    ) -> Result<Option<AcceptedListing>, RegistryError> {
        let event = self.read(|tx| {
            let found = tx
                .prepare_cached(
                    "SELECT seq, at_ms, actor, detail, prev, hash FROM event
                     WHERE kind = ?1 AND subject = ?2 ORDER BY seq DESC LIMIT 1",
                )
                .and_then(|mut s| {
                    s.query_row((EventKind::ExternalAccepted.as_str(), server), |r| {
                        Ok((
                            r.get::<_, i64>(0)?,
                            r.get::<_, i64>(1)?,
                            r.get::<_, String>(2)?,
                            r.get::<_, String>(3)?,
                            r.get::<_, String>(4)?,
                            r.get::<_, String>(5)?,
                        ))
                    })
                    .optional()
                })
                .step("read what was accepted of a server")?;
            let Some((seq, at_ms, actor, detail, prev, hash)) = found else {
                return Ok(None);
            };
            Ok::<_, RegistryError>(Some(Event {
                seq,
                at_ms,
                kind: EventKind::ExternalAccepted.as_str().to_owned(),
                actor,
                subject: server.to_owned(),
                detail: serde_json::from_str(&detail).unwrap_or(Value::Null),
                prev: parse_digest("event hash", &prev)?,
                hash: parse_digest("event hash", &hash)?,
            }))
        })?;
        Ok(event.filter(|e| event_hash(e) == e.hash).and_then(|e| {
            let listing = serde_json::from_value(e.detail.get("listing")?.clone()).ok()?;
            Some(AcceptedListing {
                listing,
                by: e.actor,
                at_ms: e.at_ms,
            })
        }))
    }

    /// Records a call before it is made: one that was never answered is on record too.
    pub fn external_called(
        &self,
        run: Option<&RunId>,
        server: &str,
        tool: &ExternalTool,
        input: &Map<String, Value>,
    ) -> Result<(), RegistryError> {
        self.external(
            EventKind::ExternalCalled,
            server,
            json!({
                "run": run, "tool": tool.name, "digest": tool.digest(),
                "input": Digest::of_json(&Value::Object(input.clone())),
            }),
        )
    }

    /// Records what came of a call.
    pub fn external_answered(
        &self,
        run: Option<&RunId>,
        used: &ExternalUse,
    ) -> Result<(), RegistryError> {
        self.external(
            EventKind::ExternalAnswered,
            &used.server,
            json!({
                "run": run, "tool": used.tool, "digest": used.digest, "failed": used.failed,
                "text": Digest::of(used.text.as_bytes()),
                "output": used.output.as_ref().map(Digest::of_json),
            }),
        )
    }

    fn external(&self, kind: EventKind, server: &str, detail: Value) -> Result<(), RegistryError> {
        self.write("record what another program's tools did", |tx| {
            let entry = Entry {
                kind,
                subject: server.to_owned(),
                detail,
                rows: &[],
            };
            self.append(tx, entry).map(|_| ())
        })
    }
}
