//! A run from start to end: its row, who is working on it, and its memo of steps, so that one
//! killed at any point is resumed without paying for anything twice.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use handaxe_types::{
    ApprovalState, Digest, EventKind, Plan, RunId, RunState, Task, ToolName, ToolState, Version,
};
use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{RegistryError, RunError, Step as _};
use crate::journal::{Entry, Row};
use crate::registry::{
    Registry, get_blob, get_json, parse_word, private_dir, put_blob, put_json, random, unknown,
};
use crate::stored::{parse_run, run_exists};

/// The largest value of one step: a model's reply of 12 MB fits with its escapes.
const STEP_BYTES: usize = 64 << 20;

/// A run that this process works on. While it lives no other process can resume the run; the
/// kernel lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct ActiveRun {
    id: RunId,
    _lock: File,
}

impl ActiveRun {
    pub fn id(&self) -> &RunId {
        &self.id
    }
}

/// How a run ended, or why it stopped for now.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// Anything but `Running`.
    pub state: RunState,
    /// The JSON document that the command prints.
    pub answer: Option<Value>,
    /// The bound that stopped it.
    pub stopped_by: Option<String>,
}

/// A line of `runs list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    pub id: RunId,
    pub question: String,
    pub state: RunState,
    /// A process is working on it now. `Running` without it: `runs resume` finishes it.
    pub live: bool,
    pub route: Option<String>,
    pub stopped_by: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// Which runs to list; an absent field filters nothing.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    pub state: Option<RunState>,
    /// Words that are in the question, as they stand.
    pub question: Option<String>,
    /// Only runs that began before this one.
    pub before: Option<RunId>,
}

/// Everything of one run; its attempts, exchanges and calls are asked for by themselves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunDetail {
    #[serde(flatten)]
    pub summary: RunSummary,
    pub task: Task,
    pub plan: Option<Plan>,
    pub answer: Option<Value>,
    /// The keys of its memo, oldest first.
    pub steps: Vec<String>,
    /// The tools that it called, and what has become of them.
    pub rests_on: Vec<Foundation>,
}

/// A tool that an answer rests on, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foundation {
    pub tool: ToolName,
    pub version: Version,
    pub state: ToolState,
    /// How the newest request for a yes to it stands.
    pub approval: Option<ApprovalState>,
    /// All its calls were made while it waited for a person.
    pub provisional: bool,
    /// It was rejected, or taken out of use: what it gave should not be relied upon.
    pub tainted: bool,
}

impl Foundation {
    /// What a reader of the answer has to know of it; `None` where there is nothing.
    pub fn caution(&self) -> Option<String> {
        let tool = format!("{}@{}", self.tool, self.version);
        let never = self.approval != Some(ApprovalState::Approved);
        Some(match self.state {
            ToolState::Active | ToolState::Deprecated => return None,
            ToolState::Pending if self.provisional => {
                format!("{tool} was used once while it waits; it is not approved yet")
            }
            ToolState::Pending => format!("{tool} waits for a new yes"),
            ToolState::Retired if never => {
                let how = match self.approval {
                    Some(ApprovalState::Rejected) => "rejected",
                    _ => "let lapse without a yes",
                };
                format!("{tool} was used once while it waited, and then {how}")
            }
            ToolState::Retired => format!("{tool} was retired since"),
            ToolState::Quarantined => format!("{tool} was quarantined since"),
            ToolState::Revoked => format!("{tool} was revoked since"),
        })
    }
}

impl Registry {
    /// Records a new run and takes it for this process.
    pub fn start_run(&self, task: &Task) -> Result<ActiveRun, RunError> {
        let id = RunId::new(self.now_ms(), random::<3>()?);
        // Locked before it can be seen, so that it never looks dead.
        let lock = self.lock_run(&id)?;
        let task = &self.redacted("task", task)?;
        self.write::<_, RunError>("record the new run", |tx| {
            let now = self.now_ms();
            tx.execute(
                "INSERT INTO run (id, task, question, state, created_ms, updated_ms)
                 VALUES (?1, ?2, ?3, 'running', ?4, ?4)",
                (
                    id.as_str(),
                    put_json(tx, "task", task)?.to_string(),
                    &task.question,
                    now,
                ),
            )
            .step("record the new run")?;
            self.run_event(
                tx,
                &id,
                EventKind::RunStarted,
                json!({ "question": task.question }),
            )?;
            Ok(())
        })?;
        Ok(ActiveRun { id, _lock: lock })
    }

    /// Takes up a run that stopped before its end: its process died, it waited, or it failed.
    pub fn resume_run(&self, id: &RunId) -> Result<ActiveRun, RunError> {
        if !self.read::<_, RegistryError>(|tx| run_exists(tx, id))? {
            return Err(RunError::NotFound(id.clone()));
        }
        let lock = self.lock_run(id)?;
        self.write("resume the run", |tx| {
            let state = run_state(tx, id)?;
            if matches!(state, RunState::Done | RunState::Refused) {
                let id = id.clone();
                return Err(RunError::Over { id, state });
            }
            tx.execute(
                "UPDATE run SET state = 'running', stopped_by = NULL, updated_ms = ?2
                 WHERE id = ?1",
                (id.as_str(), self.now_ms()),
            )
            .step("resume the run")?;
            self.run_event(tx, id, EventKind::RunResumed, json!({ "from": state }))?;
            Ok(())
        })?;
        Ok(ActiveRun {
            id: id.clone(),
            _lock: lock,
        })
    }

    /// Records what is to be done. Recording the same plan again changes nothing.
    pub fn record_plan(&self, run: &RunId, plan: &Plan) -> Result<(), RunError> {
        let plan = &self.redacted("plan", plan)?;
        self.write("record the plan", |tx| {
            let before: Option<String> = tx
                .query_row("SELECT plan FROM run WHERE id = ?1", [run.as_str()], |r| {
                    r.get(0)
                })
                .optional()
                .step("read the run")?
                .ok_or_else(|| RunError::NotFound(run.clone()))?;
            let digest = put_json(tx, "plan", plan)?.to_string();
            if before.as_ref() == Some(&digest) {
                return Ok(());
            }
            tx.execute(
                "UPDATE run SET plan = ?2, route = ?3, updated_ms = ?4 WHERE id = ?1",
                (run.as_str(), &digest, plan.route.as_str(), self.now_ms()),
            )
            .step("record the plan")?;
            let detail = json!({ "route": plan.route.as_str(), "plan": digest });
            self.run_event(tx, run, EventKind::PlanMade, detail)?;
            Ok(())
        })
    }

    /// Journals that the policy refused what a run asked for, before any code was written.
    pub fn record_domain_refusal(
        &self,
        run: Option<&RunId>,
        domain: &str,
        reason: &str,
    ) -> Result<(), RegistryError> {
        self.write("record the refusal", |tx| {
            self.append(
                tx,
                Entry {
                    kind: EventKind::DomainRefused,
                    subject: run.map_or_else(|| domain.to_owned(), ToString::to_string),
                    detail: json!({ "domain": domain, "reason": reason }),
                    rows: &[],
                },
            )?;
            Ok(())
        })
    }

    /// Ends a run, or parks it (`Waiting`). Ending it again the same way changes nothing.
    pub fn end_run(&self, run: &RunId, end: &RunEnd) -> Result<(), RunError> {
        self.write("end the run", |tx| {
            let state = run_state(tx, run)?;
            let answer = end
                .answer
                .as_ref()
                .map(|a| put_json(tx, "answer", &self.redactor().json(a)))
                .transpose()?
                .map(|d| d.to_string());
            if matches!(state, RunState::Done | RunState::Refused) {
                let stored: Option<String> = tx
                    .query_row(
                        "SELECT answer FROM run WHERE id = ?1",
                        [run.as_str()],
                        |r| r.get(0),
                    )
                    .step("read the run")?;
                if state == end.state && stored == answer {
                    return Ok(());
                }
                let id = run.clone();
                return Err(RunError::Over { id, state });
            }
            tx.execute(
                "UPDATE run SET state = ?2, answer = ?3, stopped_by = ?4, updated_ms = ?5
                 WHERE id = ?1",
                (
                    run.as_str(),
                    end.state.as_str(),
                    &answer,
                    &end.stopped_by,
                    self.now_ms(),
                ),
            )
            .step("end the run")?;
            let detail = json!({ "state": end.state, "stopped_by": end.stopped_by });
            self.run_event(tx, run, EventKind::RunEnded, detail)?;
            Ok(())
        })
    }

    fn run_event(
        &self,
        tx: &Transaction<'_>,
        run: &RunId,
        kind: EventKind,
        detail: Value,
    ) -> Result<(), RegistryError> {
        self.append(
            tx,
            Entry {
                kind,
                subject: run.to_string(),
                detail,
                rows: &[Row::run(run)],
            },
        )?;
        Ok(())
    }

    // The memo.

    /// What step `key` gave before, if it was finished.
    pub fn step_get(&self, run: &RunId, key: &str) -> Result<Option<Value>, RunError> {
        self.read(|tx| {
            let digest: Option<String> = tx
                .prepare_cached("SELECT value FROM step WHERE run = ?1 AND key = ?2")
                .and_then(|mut s| s.query_row((run.as_str(), key), |r| r.get(0)).optional())
                .step("read a step")?;
            let Some(digest) = digest else {
                return Ok(None);
            };
            let damaged = || RunError::StepDamaged {
                key: key.to_owned(),
            };
            let bytes = match get_blob(tx, &digest) {
                Err(RegistryError::BlobDamaged { .. }) => return Err(damaged()),
                other => other?,
            };
            serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| damaged())
        })
    }

    /// Keeps what step `key` gave; durable when it returns. The same value again is no change,
    /// another is an error: a step is finished once.
    pub fn step_put(&self, run: &RunId, key: &str, value: &Value) -> Result<(), RunError> {
        let value = &self.redactor().json(value);
        let bytes = serde_json::to_vec(value).map_err(|source| RegistryError::Unwritable {
            what: "step",
            source,
        })?;
        if bytes.len() > STEP_BYTES {
            return Err(RunError::StepTooLarge {
                key: key.to_owned(),
                bytes: bytes.len(),
                limit: STEP_BYTES,
            });
        }
        // What cannot be read back (nested too deep) must fail now, not at the resume.
        serde_json::from_slice::<Value>(&bytes).map_err(|source| RegistryError::Unwritable {
            what: "step",
            source,
        })?;
        let digest = Digest::of(&bytes).to_string();
        self.write("keep the step", |tx| {
            let before: Option<String> = tx
                .prepare_cached("SELECT value FROM step WHERE run = ?1 AND key = ?2")
                .and_then(|mut s| s.query_row((run.as_str(), key), |r| r.get(0)).optional())
                .step("read a step")?;
            match before {
                Some(stored) if stored == digest => return Ok(()),
                Some(_) => {
                    return Err(RunError::StepConflict {
                        id: run.clone(),
                        key: key.to_owned(),
                    });
                }
                None => {}
            }
            if !run_exists(tx, run)? {
                return Err(RunError::NotFound(run.clone()));
            }
            put_blob(tx, &bytes)?;
            tx.prepare_cached("INSERT INTO step (run, key, value, at_ms) VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut s| s.execute((run.as_str(), key, &digest, self.now_ms())))
                .step("keep the step")?;
            Ok(())
        })
    }

    // Reading.

    /// Runs, newest first.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, RegistryError> {
        self.runs_that(&RunFilter::default(), limit)
    }

    /// Runs that match, newest first.
    pub fn runs_that(
        &self,
        filter: &RunFilter,
        limit: u32,
    ) -> Result<Vec<RunSummary>, RegistryError> {
        let mut runs = self.read::<_, RegistryError>(|tx| {
            summaries(
                tx,
                "(?1 IS NULL OR state = ?1)
                 AND (?2 IS NULL OR instr(lower(question), lower(?2)))
                 AND (?3 IS NULL OR (created_ms, id) < (SELECT created_ms, id FROM run WHERE id = ?3))
                 ORDER BY created_ms DESC, id DESC LIMIT ?4",
                (
                    filter.state.map(RunState::as_str),
                    filter.question.as_deref(),
                    filter.before.as_ref().map(RunId::as_str),
                    limit,
                ),
            )
        })?;
        for run in &mut runs {
            run.live = self.is_live(&run.id);
        }
        Ok(runs)
    }

    pub fn run(&self, id: &RunId) -> Result<Option<RunDetail>, RegistryError> {
        let live = self.is_live(id);
        self.read(|tx| {
            let Some(mut summary) = summaries(tx, "id = ?1", [id.as_str()])?.pop() else {
                return Ok(None);
            };
            summary.live = live;
            let (task, plan, answer): (String, Option<String>, Option<String>) = tx
                .query_row(
                    "SELECT task, plan, answer FROM run WHERE id = ?1",
                    [id.as_str()],
                    |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
                )
                .step("read the run")?;
            let steps = tx
                .prepare_cached("SELECT key FROM step WHERE run = ?1 ORDER BY rowid")
                .and_then(|mut s| s.query_map([id.as_str()], |r| r.get(0))?.collect())
                .step("read the run's steps")?;
            Ok(Some(RunDetail {
                summary,
                task: get_json(tx, "task", &task)?,
                plan: plan.map(|p| get_json(tx, "plan", &p)).transpose()?,
                answer: answer.map(|a| get_json(tx, "answer", &a)).transpose()?,
                steps,
                rests_on: foundations(tx, id)?,
            }))
        })
    }

    // Who works on it.

    pub(crate) fn run_dir(&self, id: &RunId) -> PathBuf {
        self.home().join("runs").join(id.as_str())
    }

    fn lock_run(&self, id: &RunId) -> Result<File, RunError> {
        let dir = self.run_dir(id);
        let path = dir.join("lock");
        let failed = |source| RunError::Lock {
            path: path.clone(),
            source,
        };
        private_dir(&dir).map_err(failed)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        // A listing looks by taking the lock for an instant, so a refusal is believed only after
        // a few tries.
        for _ in 0..20 {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
        Err(RunError::Live(id.clone()))
    }

    fn is_live(&self, id: &RunId) -> bool {
        File::open(self.run_dir(id).join("lock"))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// The versions that a run called, in the order of their first calls.
fn foundations(tx: &Transaction<'_>, run: &RunId) -> Result<Vec<Foundation>, RegistryError> {
    const DOING: &str = "read what a run rests on";
    type Columns = (String, u32, String, Option<String>, bool);
    let found: Vec<Columns> = tx
        .prepare_cached(
            "SELECT t.name, t.version, t.state,
                    (SELECT a.state FROM approval a WHERE a.tool = t.id ORDER BY a.id DESC LIMIT 1),
                    max(i.id) <= coalesce((SELECT p.last_call FROM provisional_use p
                                           WHERE p.tool = t.id AND p.run = ?1), 0)
             FROM invocation i JOIN tool_version t ON t.id = i.tool
             WHERE i.run = ?1 GROUP BY t.id ORDER BY min(i.id)",
        )
        .and_then(|mut s| {
            s.query_map([run.as_str()], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
            })?
            .collect()
        })
        .step(DOING)?;
    found
        .into_iter()
        .map(|(name, version, state, approval, provisional)| {
            let state: ToolState = parse_word("tool state", &state)?;
            Ok(Foundation {
                tool: ToolName::new(&name).map_err(|_| unknown("tool name", &name))?,
                version: Version(version),
                state,
                approval: approval
                    .map(|a| parse_word("approval state", &a))
                    .transpose()?,
                provisional,
                tainted: matches!(
                    state,
                    ToolState::Retired | ToolState::Quarantined | ToolState::Revoked
                ),
            })
        })
        .collect()
}

fn run_state(tx: &Transaction<'_>, run: &RunId) -> Result<RunState, RunError> {
    let state: Option<String> = tx
        .query_row("SELECT state FROM run WHERE id = ?1", [run.as_str()], |r| {
            r.get(0)
        })
        .optional()
        .step("read the run")?;
    let state = state.ok_or_else(|| RunError::NotFound(run.clone()))?;
    Ok(parse_word("run state", &state)?)
}

fn summaries(
    tx: &Transaction<'_>,
    condition: &'static str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<RunSummary>, RegistryError> {
    const DOING: &str = "read runs";
    let sql = format!(
        "SELECT id, question, state, route, stopped_by, created_ms, updated_ms FROM run
         WHERE {condition}"
    );
    let mut statement = tx.prepare_cached(&sql).step(DOING)?;
    let mut rows = statement.query(parameters).step(DOING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().step(DOING)? {
        let id: String = row.get(0).step(DOING)?;
        let state: String = row.get(2).step(DOING)?;
        found.push(RunSummary {
            id: parse_run(&id)?,
            question: row.get(1).step(DOING)?,
            state: parse_word("run state", &state)?,
            live: false,
            route: row.get(3).step(DOING)?,
            stopped_by: row.get(4).step(DOING)?,
            created_ms: row.get(5).step(DOING)?,
            updated_ms: row.get(6).step(DOING)?,
        });
    }
    Ok(found)
}
