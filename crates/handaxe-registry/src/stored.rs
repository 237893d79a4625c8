//! A version as its row and blobs hold it, for the rooms that act on one.

use std::collections::BTreeMap;

use handaxe_types::{
    Approval, ApprovalId, ApprovalRequest, ApprovalSignature, ApprovalState, Asset, Author, Case,
    Digest, Draft, Provenance, RunId, Spec, ToolDigest, ToolName, ToolRef, ToolState, Version,
};
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::{RegistryError, Step as _};
use crate::registry::{get_blob, get_json, get_text, parse_digest, parse_word, unknown};

/// A row of `tool_version`.
#[derive(Clone, Debug)]
pub(crate) struct VersionRow {
    pub id: i64,
    pub name: ToolName,
    pub version: Version,
    pub state: ToolState,
    pub subject: ToolDigest,
    pub profile: Digest,
    pub code: String,
    pub spec: String,
    pub cases: String,
    pub assets: BTreeMap<String, Digest>,
    pub provenance: String,
    pub trial: String,
    pub verdict: String,
    pub evidence: Option<String>,
    pub author: String,
    pub why: String,
    pub run: Option<RunId>,
    pub successor: Option<String>,
    pub created_ms: i64,
}

const COLUMNS: &str = "id, name, version, state, subject, profile, code, spec, cases, assets, \
                       provenance, trial, verdict, evidence, author, why, run, successor, \
                       created_ms";

impl VersionRow {
    /// Versions that match a condition over one parameter, in the order given.
    pub(crate) fn select(
        conn: &Connection,
        condition: &'static str,
        parameter: impl rusqlite::ToSql,
    ) -> Result<Vec<Self>, RegistryError> {
        const DOING: &str = "read a tool";
        let sql = format!("SELECT {COLUMNS} FROM tool_version WHERE {condition}");
        let mut statement = conn.prepare_cached(&sql).step(DOING)?;
        let mut rows = statement.query([parameter]).step(DOING)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().step(DOING)? {
            found.push(Self::read(row)?);
        }
        Ok(found)
    }

    pub(crate) fn by_id(conn: &Connection, id: i64) -> Result<Self, RegistryError> {
        Self::select(conn, "id = ?1", id)?
            .pop()
            .ok_or_else(|| unknown("approval's tool", &id.to_string()))
    }

    /// All versions of a name, newest first.
    pub(crate) fn of_name(conn: &Connection, name: &ToolName) -> Result<Vec<Self>, RegistryError> {
        Self::select(conn, "name = ?1 ORDER BY version DESC", name.as_str())
    }

    fn read(row: &rusqlite::Row<'_>) -> Result<Self, RegistryError> {
        let text = |i: usize| row.get::<_, String>(i).step("read a tool");
        let optional = |i: usize| row.get::<_, Option<String>>(i).step("read a tool");
        let name = text(1)?;
        let assets = text(9)?;
        Ok(Self {
            id: row.get(0).step("read a tool")?,
            name: ToolName::new(&name).map_err(|_| unknown("tool name", &name))?,
            version: Version(row.get(2).step("read a tool")?),
            state: parse_word("tool state", &text(3)?)?,
            subject: ToolDigest(parse_digest("tool digest", &text(4)?)?),
            profile: parse_digest("profile digest", &text(5)?)?,
            code: text(6)?,
            spec: text(7)?,
            cases: text(8)?,
            assets: serde_json::from_str(&assets).map_err(|source| RegistryError::Unreadable {
                what: "list of assets",
                source,
            })?,
            provenance: text(10)?,
            trial: text(11)?,
            verdict: text(12)?,
            evidence: optional(13)?,
            author: text(14)?,
            why: text(15)?,
            run: optional(16)?.map(|r| parse_run(&r)).transpose()?,
            successor: optional(17)?,
            created_ms: row.get(18).step("read a tool")?,
        })
    }

    pub(crate) fn tool_ref(&self) -> ToolRef {
        ToolRef {
            name: self.name.clone(),
            version: Some(self.version),
        }
    }

    pub(crate) fn spec(&self, conn: &Connection) -> Result<Spec, RegistryError> {
        get_json(conn, "spec", &self.spec)
    }

    pub(crate) fn cases(&self, conn: &Connection) -> Result<Vec<Case>, RegistryError> {
        get_text(conn, &self.cases)?
            .lines()
            .map(|line| {
                serde_json::from_str(line).map_err(|source| RegistryError::Unreadable {
                    what: "case",
                    source,
                })
            })
            .collect()
    }

    /// The draft again, every byte checked against the digest it is kept under.
    pub(crate) fn draft(&self, conn: &Connection) -> Result<Draft, RegistryError> {
        Ok(Draft {
            spec: self.spec(conn)?,
            code: get_text(conn, &self.code)?,
            cases: self.cases(conn)?,
            assets: self.assets(conn)?,
            provenance: get_json(conn, "provenance", &self.provenance)?,
        })
    }

    /// What runs, without its evidence: code, spec, assets, and the digest that they make.
    pub(crate) fn substance(&self, conn: &Connection) -> Result<Draft, RegistryError> {
        Ok(Draft {
            spec: self.spec(conn)?,
            code: get_text(conn, &self.code)?,
            cases: Vec::new(),
            assets: self.assets(conn)?,
            provenance: Provenance {
                author: Author::Composer,
                why: String::new(),
                recipe: None,
                invocation: serde_json::Map::new(),
            },
        })
    }

    fn assets(&self, conn: &Connection) -> Result<BTreeMap<String, Asset>, RegistryError> {
        self.assets
            .iter()
            .map(|(name, digest)| Ok((name.clone(), Asset(get_blob(conn, &digest.to_string())?))))
            .collect()
    }
}

/// A row of `approval`.
#[derive(Clone, Debug)]
pub(crate) struct ApprovalRow {
    pub request: ApprovalRequest,
    pub tool: i64,
    pub approver: Option<String>,
    pub method: Option<String>,
    pub self_approved: bool,
    pub decided_ms: Option<i64>,
    pub reason: Option<String>,
    pub superseded_by: Option<ApprovalId>,
    pub signature: Option<ApprovalSignature>,
}

impl ApprovalRow {
    pub(crate) fn select(
        conn: &Connection,
        condition: &'static str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Self>, RegistryError> {
        const DOING: &str = "read an approval";
        let sql = format!(
            "SELECT a.id, t.name, t.version, a.subject, a.run, a.state, a.created_ms,
                    a.expires_ms, t.why, a.tool, a.approver, a.method, a.self_approved,
                    a.decided_ms, a.reason, a.superseded_by, s.key, s.signature
             FROM approval a JOIN tool_version t ON t.id = a.tool
             LEFT JOIN approval_signature s ON s.id = a.id WHERE {condition}"
        );
        let mut statement = conn.prepare_cached(&sql).step(DOING)?;
        let mut rows = statement.query(parameters).step(DOING)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().step(DOING)? {
            found.push(Self::read(row)?);
        }
        Ok(found)
    }

    pub(crate) fn by_id(conn: &Connection, id: ApprovalId) -> Result<Option<Self>, RegistryError> {
        Ok(Self::select(conn, "a.id = ?1", [id.0])?.pop())
    }

    fn read(row: &rusqlite::Row<'_>) -> Result<Self, RegistryError> {
        const DOING: &str = "read an approval";
        let name: String = row.get(1).step(DOING)?;
        let subject: String = row.get(3).step(DOING)?;
        let run: Option<String> = row.get(4).step(DOING)?;
        let state: String = row.get(5).step(DOING)?;
        let signed_by: Option<String> = row.get(16).step(DOING)?;
        let signature: Option<String> = row.get(17).step(DOING)?;
        Ok(Self {
            request: ApprovalRequest {
                id: ApprovalId(row.get(0).step(DOING)?),
                tool: ToolName::new(&name).map_err(|_| unknown("tool name", &name))?,
                version: Version(row.get(2).step(DOING)?),
                subject: ToolDigest(parse_digest("approval's digest", &subject)?),
                run: run.map(|r| parse_run(&r)).transpose()?,
                state: parse_word::<ApprovalState>("approval state", &state)?,
                created_ms: row.get(6).step(DOING)?,
                expires_ms: row.get(7).step(DOING)?,
                why: row.get(8).step(DOING)?,
            },
            tool: row.get(9).step(DOING)?,
            approver: row.get(10).step(DOING)?,
            method: row.get(11).step(DOING)?,
            self_approved: row.get::<_, Option<bool>>(12).step(DOING)?.unwrap_or(false),
            decided_ms: row.get(13).step(DOING)?,
            reason: row.get(14).step(DOING)?,
            superseded_by: row.get::<_, Option<i64>>(15).step(DOING)?.map(ApprovalId),
            signature: match (signed_by, signature) {
                (Some(key), Some(signature)) => Some(ApprovalSignature {
                    key: parse_digest("key id", &key)?,
                    signature,
                }),
                _ => None,
            },
        })
    }

    /// The yes, where there is one and it was said before the request expired.
    pub(crate) fn approval(&self) -> Result<Option<Approval>, RegistryError> {
        let (ApprovalState::Approved, Some(approver), Some(method), Some(at_ms)) = (
            self.request.state,
            self.approver.as_ref(),
            self.method.as_ref(),
            self.decided_ms,
        ) else {
            return Ok(None);
        };
        if at_ms > self.request.expires_ms {
            return Ok(None);
        }
        Ok(Some(Approval {
            id: self.request.id,
            subject: self.request.subject,
            approver: approver.clone(),
            method: parse_word("approval method", method)?,
            self_approved: self.self_approved,
            at_ms,
            signature: self.signature.clone(),
        }))
    }
}

/// The approval that a version stands on: its newest one that holds a yes.
pub(crate) fn standing_approval(
    conn: &Connection,
    tool: i64,
) -> Result<Option<Approval>, RegistryError> {
    Ok(standing(conn, tool)?.map(|(_, approval)| approval))
}

/// The same, with the request that it answers.
pub(crate) fn standing(
    conn: &Connection,
    tool: i64,
) -> Result<Option<(ApprovalRequest, Approval)>, RegistryError> {
    for row in ApprovalRow::select(
        conn,
        "a.tool = ?1 AND a.state = 'approved' ORDER BY a.id DESC",
        [tool],
    )? {
        if let Some(approval) = row.approval()? {
            return Ok(Some((row.request, approval)));
        }
    }
    Ok(None)
}

pub(crate) fn parse_run(text: &str) -> Result<RunId, RegistryError> {
    RunId::parse(text).ok_or_else(|| unknown("run id", text))
}

/// Whether there is such a run; to be asked before a row refers to it.
pub(crate) fn run_exists(conn: &Connection, run: &RunId) -> Result<bool, RegistryError> {
    conn.prepare_cached("SELECT 1 FROM run WHERE id = ?1")
        .and_then(|mut s| s.query_row([run.as_str()], |_| Ok(())).optional())
        .map(|found| found.is_some())
        .step("look for the run")
}

/// Who wrote it, in one word or two.
pub(crate) fn author_name(author: &Author) -> &str {
    match author {
        Author::Composer => "composer",
        Author::Model { model, .. } => model,
        Author::Person { name } => name,
    }
}
