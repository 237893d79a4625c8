//! Reading the journal back as a doubter: is it whole, and does the state agree with it?

use std::collections::BTreeMap;

use handaxe_types::{Digest, Event, canonical_json};
use rusqlite::Transaction;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::error::{CheckpointError, RegistryError, Step as _};
use crate::journal::{EventError, GENESIS, VOUCHED, event_hash, read_event, row_digest};
use crate::registry::Registry;

/// What `audit verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub ok: bool,
    /// How many events were read, up to the first bad one.
    pub events: i64,
    pub head: Option<Head>,
    pub first_bad: Option<Bad>,
    /// What this check cannot show, in plain sentences.
    pub not_ruled_out: Vec<String>,
}

/// The newest event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    pub seq: i64,
    pub hash: Digest,
}

/// The first thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// `event 17`, `approval/3`, `tool_version/2`, `blob 1f…`.
    pub place: String,
    /// Where it is an event.
    pub seq: Option<i64>,
    pub reason: String,
}

impl Bad {
    fn event(seq: i64, reason: impl Into<String>) -> Self {
        Self {
            place: format!("event {seq}"),
            seq: Some(seq),
            reason: reason.into(),
        }
    }

    fn row(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            seq: None,
            reason: reason.into(),
        }
    }
}

/// Row name → (digest, the event that recorded it last).
type Recorded = BTreeMap<String, (String, i64)>;

impl Registry {
    /// Checks the chain, and every vouched-for row and stored byte against it.
    pub fn verify(&self) -> Result<Verification, RegistryError> {
        self.verify_against(None)
    }

    /// The same, and that the journal still continues the one that `checkpoint` signed: a cut
    /// tail, a rollback and a rewrite of anything up to the checkpoint show.
    pub fn verify_with(&self, checkpoint: &Checkpoint) -> Result<Verification, CheckpointError> {
        self.trust(checkpoint)?;
        Ok(self.verify_against(Some(checkpoint))?)
    }

    fn verify_against(
        &self,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Verification, RegistryError> {
        self.read(|tx| {
            let mut walk = Walk::default();
            let mut first_bad = walk.chain(tx)?;
            if first_bad.is_none() {
                first_bad = checkpoint.and_then(|c| walk.meets(c));
            }
            if first_bad.is_none() {
                first_bad = rows_agree(tx, &walk.recorded)?;
            }
            if first_bad.is_none() {
                first_bad = blobs_agree(tx)?;
            }
            if first_bad.is_none() {
                first_bad =
                    crate::load::subjects_agree(tx)?.map(|(place, reason)| Bad::row(place, reason));
            }
            Ok(Verification {
                ok: first_bad.is_none(),
                events: walk.hashes.len() as i64,
                head: walk.hashes.last().map(|hash| Head {
                    seq: walk.hashes.len() as i64,
                    hash: *hash,
                }),
                first_bad,
                not_ruled_out: doubts(checkpoint, walk.hashes.len() as i64),
            })
        })
    }
}

fn doubts(checkpoint: Option<&Checkpoint>, events: i64) -> Vec<String> {
    match checkpoint {
        None => vec![
            "events cut off the end, together with what they recorded, or an older copy of the \
             whole home put back: compare with a checkpoint kept elsewhere (`handaxe audit \
             checkpoint`, `handaxe audit verify --checkpoint FILE`)"
                .to_owned(),
            "a journal rewritten from some event on, with every hash made anew: the same \
             checkpoint shows it"
                .to_owned(),
        ],
        Some(c) if c.seq() < events => vec![format!(
            "a rewrite or a cut of the {} events after the checkpoint (event {}): sign a new one",
            events - c.seq(),
            c.seq()
        )],
        Some(_) => Vec::new(),
    }
}

#[derive(Default)]
struct Walk {
    /// Hash of event i + 1.
    hashes: Vec<Digest>,
    recorded: Recorded,
}

impl Walk {
    fn chain(&mut self, tx: &Transaction<'_>) -> Result<Option<Bad>, RegistryError> {
        const DOING: &str = "read the journal";
        let mut statement = tx
            .prepare(
                "SELECT seq, at_ms, kind, actor, subject, detail, prev, hash FROM event
                 ORDER BY seq",
            )
            .step(DOING)?;
        let mut rows = statement.query([]).step(DOING)?;
        while let Some(row) = rows.next().step(DOING)? {
            let expected = self.hashes.len() as i64 + 1;
            let seq: i64 = row.get(0).step(DOING)?;
            if seq != expected {
                return Ok(Some(Bad::event(
                    expected.min(seq),
                    format!("event {expected} is missing; event {seq} is in its place"),
                )));
            }
            let event = match read_event(row) {
                Ok(event) => event,
                Err(EventError::Sql(e)) if e.sqlite_error().is_some() => {
                    return Err(RegistryError::sql(DOING, e));
                }
                Err(_) => return Ok(Some(Bad::event(seq, "it cannot be read"))),
            };
            // Equal documents may be written in many ways; only the canonical one was stored.
            let stored: String = row.get(5).step(DOING)?;
            if let Some(reason) = self.wrong(&event, &stored) {
                return Ok(Some(Bad::event(seq, reason)));
            }
            if let Some(rows) = event.detail.get("rows").and_then(|r| r.as_object()) {
                for (name, digest) in rows {
                    let digest = digest.as_str().unwrap_or_default().to_owned();
                    self.recorded.insert(name.clone(), (digest, seq));
                }
            }
            self.hashes.push(event.hash);
        }
        Ok(None)
    }

    fn wrong(&self, event: &Event, stored_detail: &str) -> Option<&'static str> {
        let prev = self.hashes.last().copied().unwrap_or(GENESIS);
        if event.hash != event_hash(event) || canonical_json(&event.detail) != stored_detail {
            Some("its content is not what was hashed")
        } else if event.prev != prev {
            Some("it does not follow from the event before it")
        } else {
            None
        }
    }

    fn meets(&self, checkpoint: &Checkpoint) -> Option<Bad> {
        let seq = checkpoint.seq();
        match usize::try_from(seq - 1)
            .ok()
            .and_then(|i| self.hashes.get(i))
        {
            None => Some(Bad::event(
                self.hashes.len() as i64 + 1,
                format!("the journal ends before event {seq}, which the checkpoint signed"),
            )),
            Some(hash) if *hash != checkpoint.hash() => Some(Bad::event(
                seq,
                "it is another event than the one the checkpoint signed: the journal was \
                 rewritten at or before it",
            )),
            Some(_) => None,
        }
    }
}

/// Every vouched-for row as its last event left it; no row without an event; none gone.
fn rows_agree(tx: &Transaction<'_>, recorded: &Recorded) -> Result<Option<Bad>, RegistryError> {
    const DOING: &str = "read rows to compare with the journal";
    let mut left: BTreeMap<&str, i64> = recorded.iter().map(|(k, v)| (k.as_str(), v.1)).collect();
    for table in VOUCHED {
        let mut statement = tx
            .prepare(&format!("SELECT * FROM {table} ORDER BY id"))
            .step(DOING)?;
        let mut rows = statement.query([]).step(DOING)?;
        while let Some(row) = rows.next().step(DOING)? {
            let id = match row.get_ref("id").step(DOING)? {
                rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
            };
            let name = format!("{table}/{id}");
            let Some((digest, seq)) = recorded.get(&name) else {
                return Ok(Some(Bad::row(name, "no event records it")));
            };
            if row_digest(row).to_string() != *digest {
                let reason = format!("it is not as event {seq} recorded it");
                return Ok(Some(Bad::row(name, reason)));
            }
            left.remove(name.as_str());
        }
    }
    Ok(left
        .into_iter()
        .next()
        .map(|(name, seq)| Bad::row(name, format!("it is gone, though event {seq} recorded it"))))
}

fn blobs_agree(tx: &Transaction<'_>) -> Result<Option<Bad>, RegistryError> {
    const DOING: &str = "read stored bytes";
    let mut statement = tx.prepare("SELECT digest, bytes FROM blob").step(DOING)?;
    let mut rows = statement.query([]).step(DOING)?;
    while let Some(row) = rows.next().step(DOING)? {
        let digest: String = row.get(0).step(DOING)?;
        let bytes = row.get_ref(1).step(DOING)?;
        let bytes = bytes.as_bytes().unwrap_or_default();
        if Digest::of(bytes).to_string() != digest {
            let reason = "the bytes are not the ones that were stored";
            return Ok(Some(Bad::row(format!("blob {digest}"), reason)));
        }
    }
    let orphan: Option<String> = tx
        .prepare("PRAGMA foreign_key_check")
        .and_then(|mut s| {
            let mut rows = s.query([])?;
            rows.next()?.map(|r| r.get(0)).transpose()
        })
        .step("check references")?;
    Ok(orphan.map(|table| Bad::row(table, "a row refers to something that is gone")))
}
