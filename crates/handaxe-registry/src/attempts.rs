//! Every attempt at a draft and every exchange with a model, kept whole.

use handaxe_types::{Digest, Draft, EventKind, RunId, Trial, Verdict};
use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;
use serde_json::json;

use crate::error::{RegistryError, RunError, Step as _};
use crate::journal::{Entry, Row};
use crate::registry::{Registry, get_json, get_text, parse_digest, put_blob, put_json};
use crate::stored::run_exists;

/// One attempt at a draft. What was not reached is absent: a reply that held no draft has none,
/// and `stderr` says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Attempt {
    /// 1, 2, 3 …
    pub n: u32,
    pub draft: Option<Draft>,
    pub trial: Option<Trial>,
    pub verdict: Option<Verdict>,
    pub stderr: String,
    /// Unified diff of the code to the attempt before; empty for the first.
    pub diff: String,
}

/// One prompt and its reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exchange {
    /// `planner`, `author`, `tester` …
    pub role: String,
    /// `provider:name`.
    pub model: String,
    pub prompt: String,
    pub reply: String,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub seconds: f64,
}

/// An exchange as `runs show` lists it: by digest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExchangeSummary {
    pub key: String,
    pub role: String,
    pub model: String,
    pub prompt: Digest,
    pub reply: Digest,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub seconds: f64,
    pub at_ms: i64,
}

impl Registry {
    /// Keeps an attempt and writes its folder `runs/<id>/attempt-<n>/`. The same attempt again
    /// only writes the folder again; another under the same number is an error.
    pub fn record_attempt(&self, run: &RunId, attempt: &Attempt) -> Result<(), RunError> {
        // What a tool printed may be anything; a draft that holds a secret is refused instead.
        let redactor = self.redactor();
        let attempt = &Attempt {
            stderr: redactor.text(&attempt.stderr).into_owned(),
            diff: redactor.text(&attempt.diff).into_owned(),
            ..attempt.clone()
        };
        self.write::<_, RunError>("record the attempt", |tx| {
            if !run_exists(tx, run)? {
                return Err(RunError::NotFound(run.clone()));
            }
            let columns = Columns::store(tx, attempt)?;
            match Columns::read(tx, run, attempt.n)? {
                Some(before) if before == columns => return Ok(()),
                Some(_) => {
                    return Err(RunError::AttemptConflict {
                        id: run.clone(),
                        n: attempt.n,
                    });
                }
                None => {}
            }
            tx.execute(
                "INSERT INTO attempt (run, n, draft, trial, verdict, stderr, diff, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                (
                    run.as_str(),
                    attempt.n,
                    &columns.draft,
                    &columns.trial,
                    &columns.verdict,
                    &columns.stderr,
                    &columns.diff,
                    self.now_ms(),
                ),
            )
            .step("record the attempt")?;
            let id = tx.last_insert_rowid();
            self.append(
                tx,
                Entry {
                    kind: EventKind::AttemptRecorded,
                    subject: run.to_string(),
                    detail: json!({
                        "n": attempt.n,
                        "accepted": attempt.verdict.as_ref().map(|v| v.accepted),
                    }),
                    rows: &[Row::new("attempt", id)],
                },
            )?;
            Ok(())
        })?;
        self.write_attempt_view(run, attempt)?;
        Ok(())
    }

    /// The attempts of a run, in order.
    pub fn attempts(&self, run: &RunId) -> Result<Vec<Attempt>, RegistryError> {
        self.read(|tx| {
            let numbers: Vec<u32> = tx
                .prepare_cached("SELECT n FROM attempt WHERE run = ?1 ORDER BY n")
                .and_then(|mut s| s.query_map([run.as_str()], |r| r.get(0))?.collect())
                .step("read attempts")?;
            numbers
                .into_iter()
                .filter_map(|n| {
                    Columns::read(tx, run, n)
                        .and_then(|c| c.map(|c| c.attempt(tx, n)).transpose())
                        .transpose()
                })
                .collect()
        })
    }

    /// Keeps a prompt and its reply under a key that is unique in the run; the same exchange
    /// again is no change, another under the key is an error. Returns the digests of prompt and
    /// reply, for [`handaxe_types::Author::Model`].
    pub fn record_exchange(
        &self,
        run: &RunId,
        key: &str,
        exchange: &Exchange,
    ) -> Result<(Digest, Digest), RunError> {
        self.write("record the exchange", |tx| {
            if !run_exists(tx, run)? {
                return Err(RunError::NotFound(run.clone()));
            }
            let redactor = self.redactor();
            let prompt = put_blob(tx, redactor.text(&exchange.prompt).as_bytes())?;
            let reply = put_blob(tx, redactor.text(&exchange.reply).as_bytes())?;
            let before: Option<(String, String)> = tx
                .query_row(
                    "SELECT prompt, reply FROM exchange WHERE run = ?1 AND key = ?2",
                    (run.as_str(), key),
                    |r| Ok((r.get(0)?, r.get(1)?)),
                )
                .optional()
                .step("read the exchange")?;
            match before {
                Some(b) if b == (prompt.to_string(), reply.to_string()) => {
                    return Ok((prompt, reply));
                }
                Some(_) => {
                    return Err(RunError::StepConflict {
                        id: run.clone(),
                        key: key.to_owned(),
                    });
                }
                None => {}
            }
            tx.execute(
                "INSERT INTO exchange (run, key, role, model, prompt, reply, tokens_in, tokens_out,
                     ms, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                (
                    run.as_str(),
                    key,
                    &exchange.role,
                    &exchange.model,
                    prompt.to_string(),
                    reply.to_string(),
                    i64::try_from(exchange.tokens_in).unwrap_or(i64::MAX),
                    i64::try_from(exchange.tokens_out).unwrap_or(i64::MAX),
                    (exchange.seconds.max(0.0) * 1000.0).round() as i64,
                    self.now_ms(),
                ),
            )
            .step("record the exchange")?;
            let id = tx.last_insert_rowid();
            self.append(
                tx,
                Entry {
                    kind: EventKind::ModelCalled,
                    subject: run.to_string(),
                    detail: json!({
                        "role": exchange.role,
                        "model": exchange.model,
                        "prompt": prompt,
                        "reply": reply,
                    }),
                    rows: &[Row::new("exchange", id)],
                },
            )?;
            Ok((prompt, reply))
        })
    }

    /// The exchanges of a run, in order.
    pub fn exchanges(&self, run: &RunId) -> Result<Vec<ExchangeSummary>, RegistryError> {
        const DOING: &str = "read exchanges";
        self.read(|tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT key, role, model, prompt, reply, tokens_in, tokens_out, ms, at_ms
                     FROM exchange WHERE run = ?1 ORDER BY id",
                )
                .step(DOING)?;
            let mut rows = statement.query([run.as_str()]).step(DOING)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().step(DOING)? {
                let text = |i: usize| row.get::<_, String>(i).step(DOING);
                let number = |i: usize| row.get::<_, i64>(i).step(DOING);
                found.push(ExchangeSummary {
                    key: text(0)?,
                    role: text(1)?,
                    model: text(2)?,
                    prompt: parse_digest("prompt digest", &text(3)?)?,
                    reply: parse_digest("reply digest", &text(4)?)?,
                    tokens_in: number(5)?.cast_unsigned(),
                    tokens_out: number(6)?.cast_unsigned(),
                    seconds: number(7)? as f64 / 1000.0,
                    at_ms: number(8)?,
                });
            }
            Ok(found)
        })
    }

    /// The text kept under a digest: a prompt, a reply.
    pub fn text(&self, digest: Digest) -> Result<String, RegistryError> {
        self.read(|tx| get_text(tx, &digest.to_string()))
    }
}

/// An attempt's row: digests of what it holds.
#[derive(PartialEq)]
struct Columns {
    draft: Option<String>,
    trial: Option<String>,
    verdict: Option<String>,
    stderr: String,
    diff: String,
}

impl Columns {
    fn store(tx: &Transaction<'_>, attempt: &Attempt) -> Result<Self, RegistryError> {
        let draft = attempt.draft.as_ref().map(|d| put_json(tx, "draft", d));
        let trial = attempt.trial.as_ref().map(|t| put_json(tx, "trial", t));
        let verdict = attempt.verdict.as_ref().map(|v| put_json(tx, "verdict", v));
        Ok(Self {
            draft: draft.transpose()?.map(|d| d.to_string()),
            trial: trial.transpose()?.map(|d| d.to_string()),
            verdict: verdict.transpose()?.map(|d| d.to_string()),
            stderr: put_blob(tx, attempt.stderr.as_bytes())?.to_string(),
            diff: put_blob(tx, attempt.diff.as_bytes())?.to_string(),
        })
    }

    fn read(tx: &Transaction<'_>, run: &RunId, n: u32) -> Result<Option<Self>, RegistryError> {
        tx.prepare_cached(
            "SELECT draft, trial, verdict, stderr, diff FROM attempt WHERE run = ?1 AND n = ?2",
        )
        .and_then(|mut s| {
            s.query_row((run.as_str(), n), |r| {
                Ok(Self {
                    draft: r.get(0)?,
                    trial: r.get(1)?,
                    verdict: r.get(2)?,
                    stderr: r.get(3)?,
                    diff: r.get(4)?,
                })
            })
            .optional()
        })
        .step("read an attempt")
    }

    fn attempt(self, tx: &Transaction<'_>, n: u32) -> Result<Attempt, RegistryError> {
        let draft = self.draft.map(|d| get_json(tx, "draft", &d));
        let trial = self.trial.map(|t| get_json(tx, "trial", &t));
        let verdict = self.verdict.map(|v| get_json(tx, "verdict", &v));
        Ok(Attempt {
            n,
            draft: draft.transpose()?,
            trial: trial.transpose()?,
            verdict: verdict.transpose()?,
            stderr: get_text(tx, &self.stderr)?,
            diff: get_text(tx, &self.diff)?,
        })
    }
}
