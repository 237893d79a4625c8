//! Which tool ran, on what, how it ended, and how often.

use handaxe_types::{
    Digest, EventKind, Outcome, RunId, SandboxResult, ToolDigest, ToolRef, Version,
};
use rusqlite::{Connection, Transaction};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{RegistryError, Step as _};
use crate::journal::{Entry, Row};
use crate::load::ApprovedTool;
use crate::provisional::Provisional;
use crate::registry::{Registry, parse_digest, parse_word};

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Invocation {
    pub id: i64,
    pub tool: handaxe_types::ToolName,
    pub version: Version,
    pub run: Option<RunId>,
    /// Of the canonical JSON.
    pub input: Digest,
    pub output: Option<Digest>,
    pub outcome: Outcome,
    pub runtime_ms: f64,
    pub cpu_ms: f64,
    pub max_rss_kib: u64,
    /// The isolation layers in force, by name.
    pub layers: Vec<handaxe_types::Layer>,
    pub at_ms: i64,
    /// Before a person had decided on the tool.
    pub provisional: bool,
}

/// How much a version was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolUsage {
    pub calls: u64,
    pub ok: u64,
    pub last_used_ms: Option<i64>,
}

pub(crate) fn usage_of(conn: &Connection, tool: i64) -> Result<ToolUsage, RegistryError> {
    conn.prepare_cached(
        "SELECT count(*), coalesce(sum(outcome = 'ok'), 0), max(at_ms) FROM invocation
         WHERE tool = ?1",
    )
    .and_then(|mut s| {
        s.query_row([tool], |r| {
            Ok(ToolUsage {
                calls: r.get::<_, i64>(0)?.cast_unsigned(),
                ok: r.get::<_, i64>(1)?.cast_unsigned(),
                last_used_ms: r.get(2)?,
            })
        })
    })
    .step("read how a tool was used")
}

/// A call that is to be recorded.
pub(crate) struct NewCall {
    /// Who acted.
    by: Registry,
    tool: i64,
    name: String,
    digest: ToolDigest,
    run: Option<RunId>,
    input: Digest,
    output: Option<Digest>,
    outcome: Outcome,
    runtime_us: i64,
    cpu_us: i64,
    rss_kib: i64,
    layers: String,
    /// The use before approval that it is made under.
    provisional: Option<i64>,
}

impl NewCall {
    /// The row and its event; the caller commits.
    pub(crate) fn record(&self, tx: &Transaction<'_>) -> Result<i64, RegistryError> {
        const DOING: &str = "record the call";
        tx.prepare_cached(
            "INSERT INTO invocation (tool, run, input, output, outcome, runtime_us, cpu_us,
                 rss_kib, layers, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut s| {
            s.execute((
                self.tool,
                self.run.as_ref().map(RunId::as_str),
                self.input.to_string(),
                self.output.map(|d| d.to_string()),
                self.outcome.as_str(),
                self.runtime_us,
                self.cpu_us,
                self.rss_kib,
                &self.layers,
                self.by.now_ms(),
            ))
        })
        .step(DOING)?;
        let id = tx.last_insert_rowid();
        let mut rows = vec![Row::new("invocation", id)];
        if let Some(provisional) = self.provisional {
            tx.execute(
                "UPDATE provisional_use SET last_call = ?2 WHERE id = ?1",
                (provisional, id),
            )
            .step(DOING)?;
            rows.push(Row::new("provisional_use", provisional));
        }
        self.by.append(
            tx,
            Entry {
                kind: EventKind::ToolInvoked,
                subject: self.name.clone(),
                detail: json!({
                    "invocation": id,
                    "run": self.run,
                    "digest": self.digest,
                    "outcome": self.outcome,
                    "provisional": self.provisional.is_some(),
                }),
                rows: &rows,
            },
        )?;
        Ok(id)
    }
}

impl Registry {
    /// Records a call; returns its number, which an answer names.
    pub fn record_invocation(
        &self,
        tool: &ApprovedTool,
        run: Option<&RunId>,
        input: &Map<String, Value>,
        result: &SandboxResult,
    ) -> Result<i64, RegistryError> {
        let called = (tool.row_id(), tool.tool_ref(), tool.digest());
        self.write_call(self.new_call(called, run, input, result))
    }

    /// Records a call under a use before approval.
    pub fn record_provisional_invocation(
        &self,
        tool: &Provisional,
        input: &Map<String, Value>,
        result: &SandboxResult,
    ) -> Result<i64, RegistryError> {
        let record = tool.record();
        let called = (tool.tool_id(), tool.tool_ref(), record.digest);
        self.write_call(NewCall {
            provisional: Some(tool.id()),
            ..self.new_call(called, Some(&record.run), input, result)
        })
    }

    fn new_call(
        &self,
        (tool, name, digest): (i64, ToolRef, ToolDigest),
        run: Option<&RunId>,
        input: &Map<String, Value>,
        result: &SandboxResult,
    ) -> NewCall {
        NewCall {
            by: self.clone(),
            tool,
            name: name.to_string(),
            digest,
            run: run.cloned(),
            input: Digest::of_json(&Value::Object(input.clone())),
            output: result.output.as_ref().map(Digest::of_json),
            outcome: result.outcome,
            runtime_us: micros(result.runtime_ms),
            cpu_us: micros(result.usage.cpu_ms),
            rss_kib: i64::try_from(result.usage.max_rss_kib).unwrap_or(i64::MAX),
            layers: json!(result.layers).to_string(),
            provisional: None,
        }
    }

    /// The calls of one run, in order.
    pub fn run_invocations(&self, run: &RunId) -> Result<Vec<Invocation>, RegistryError> {
        self.read(|tx| invocations(tx, "i.run = ?1 ORDER BY i.id", [run.as_str()]))
    }

    /// The newest `limit` calls of a tool (of one version, or of all), newest first.
    pub fn tool_invocations(
        &self,
        tool: &ToolRef,
        limit: u32,
    ) -> Result<Vec<Invocation>, RegistryError> {
        self.read(|tx| {
            invocations(
                tx,
                "t.name = ?1 AND (?2 IS NULL OR t.version = ?2) ORDER BY i.id DESC LIMIT ?3",
                (tool.name.as_str(), tool.version.map(|v| v.0), limit),
            )
        })
    }
}

fn micros(ms: f64) -> i64 {
    (ms.max(0.0) * 1000.0).round() as i64
}

fn invocations(
    tx: &Transaction<'_>,
    condition: &'static str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Invocation>, RegistryError> {
    const DOING: &str = "read calls";
    let sql = format!(
        "SELECT i.id, t.name, t.version, i.run, i.input, i.output, i.outcome, i.runtime_us,
                i.cpu_us, i.rss_kib, i.layers, i.at_ms,
                EXISTS (SELECT 1 FROM provisional_use p
                        WHERE p.tool = i.tool AND p.run = i.run AND i.id <= p.last_call)
         FROM invocation i JOIN tool_version t ON t.id = i.tool WHERE {condition}"
    );
    let mut statement = tx.prepare_cached(&sql).step(DOING)?;
    let mut rows = statement.query(parameters).step(DOING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().step(DOING)? {
        let text = |i: usize| row.get::<_, String>(i).step(DOING);
        let optional = |i: usize| row.get::<_, Option<String>>(i).step(DOING);
        let number = |i: usize| row.get::<_, i64>(i).step(DOING);
        let name = text(1)?;
        found.push(Invocation {
            id: number(0)?,
            tool: handaxe_types::ToolName::new(&name)
                .map_err(|_| crate::registry::unknown("tool name", &name))?,
            version: Version(row.get(2).step(DOING)?),
            run: optional(3)?
                .map(|r| crate::stored::parse_run(&r))
                .transpose()?,
            input: parse_digest("input digest", &text(4)?)?,
            output: optional(5)?
                .map(|d| parse_digest("output digest", &d))
                .transpose()?,
            outcome: parse_word("outcome", &text(6)?)?,
            runtime_ms: number(7)? as f64 / 1000.0,
            cpu_ms: number(8)? as f64 / 1000.0,
            max_rss_kib: number(9)?.cast_unsigned(),
            layers: serde_json::from_str(&text(10)?).map_err(|source| {
                RegistryError::Unreadable {
                    what: "list of layers",
                    source,
                }
            })?,
            at_ms: number(11)?,
            provisional: row.get(12).step(DOING)?,
        });
    }
    Ok(found)
}
