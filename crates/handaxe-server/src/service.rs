//! What may be asked of Handaxe, whichever door it is asked at. Everything here blocks.

use std::sync::{Arc, Mutex, PoisonError};

use handaxe_agent::roles::{Failure, feedback};
use handaxe_agent::{
    Begun, Context, Goal, Invocation, Minds, PipelineError, Use, UseError, use_tool,
};
use handaxe_registry::{LoadError, Offer, Registry, RegistryError, RunError};
use handaxe_sandbox::{Cancel, Sandbox};
use handaxe_types::{
    ApprovalId, ApprovalRequest, ApprovalState, Author, Case, DataFile, Draft, Policy, Provenance,
    Reporter, RunId, RunState, Spec, Task, ToolDigest, ToolName, ToolRef,
};
use handaxe_validate::InvokeError;
use serde_json::{Map, Value, json};

use crate::jobs::{Job, Jobs};
use crate::roots::{Roots, RootsError};
use crate::sessions::SharedSessions;

/// Hits of one search.
const MOST_HITS: u32 = 50;

/// The models a server's runs use, and what a run begins with. Given by the edge, which alone
/// knows settings and keys.
pub trait MindSource: Send + Sync {
    fn begun(&self, task: Task, goal: Goal) -> Result<Begun, String>;
    fn minds(&self, begun: &Begun) -> Result<Minds, String>;
    /// What the server's owner expects of a tool of this name, whoever writes it.
    fn goldens(&self, tool: &ToolName) -> Result<Vec<Case>, String>;
}

/// What a service is made of.
pub struct Parts {
    pub registry: Registry,
    pub sandbox: Arc<dyn Sandbox>,
    pub policy: Policy,
    pub roots: Roots,
    pub minds: Arc<dyn MindSource>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(transparent)]
    Invoke(InvokeError),
    #[error(transparent)]
    Use(UseError),
    #[error(transparent)]
    Pipeline(PipelineError),
    #[error("no usable model: {0}")]
    Minds(String),
    #[error("the goldens kept for this tool cannot be read: {0}")]
    Goldens(String),
    #[error("{running} runs are under way; at most {most} may be")]
    Busy { running: usize, most: usize },
    #[error("there is no run `{0}`")]
    NoRun(String),
    #[error("cannot keep files that the tool produced")]
    Artifacts(#[source] std::io::Error),
    #[error("the run's own thread could not be started")]
    Thread(#[source] std::io::Error),
}

impl ServiceError {
    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Load(e) => e.kind(),
            Self::Registry(_) => "registry",
            Self::Run(_) => "run",
            Self::Roots(_) => "file",
            Self::Invoke(_) => "input",
            Self::Use(_) | Self::Pipeline(_) => "sandbox",
            Self::Minds(_) => "model",
            Self::Goldens(_) => "goldens",
            Self::Busy { .. } => "busy",
            Self::NoRun(_) => "not_found",
            Self::Artifacts(_) => "artifact",
            Self::Thread(_) => "failed",
        }
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Load(e) => e.hint(),
            Self::Registry(e) => e.hint().to_owned(),
            Self::Run(e) => e.hint(),
            Self::Roots(RootsError::NoRoots) => {
                "start the server with --root DIR for each folder that files may be named in"
                    .to_owned()
            }
            Self::Roots(_) => "name a regular file beneath one of the server's roots".to_owned(),
            Self::Invoke(_) => "describe_tool shows the input schema".to_owned(),
            Self::Busy { .. } => "wait for one of them (tool_status), then ask again".to_owned(),
            Self::Minds(_) => "the server's settings name the model".to_owned(),
            Self::Goldens(_) => {
                "the server's owner keeps them in goldens/NAME.jsonl of its home".to_owned()
            }
            Self::NoRun(_) => "make_tool and propose_tool give the run's id".to_owned(),
            Self::Use(_) | Self::Pipeline(_) | Self::Artifacts(_) | Self::Thread(_) => {
                "`handaxe doctor` on the server's machine shows what it gives".to_owned()
            }
        }
    }
}

/// A call that ended, and the files that it produced.
pub(crate) struct Ran {
    pub(crate) invocation: Invocation,
    /// Where the artefacts lie; gone with this value.
    pub(crate) artifacts: tempfile::TempDir,
}

/// A draft that a client wrote.
pub(crate) struct Proposed {
    pub(crate) spec: Spec,
    pub(crate) code: String,
    /// The author's own: they count as no independent evidence, whatever they say of themselves.
    pub(crate) cases: Vec<Case>,
    pub(crate) why: String,
}

type Listed = (i64, Arc<[Offer]>);

/// The one layer behind every door.
pub struct Service {
    registry: Registry,
    sandbox: Arc<dyn Sandbox>,
    policy: Policy,
    roots: Roots,
    minds: Arc<dyn MindSource>,
    jobs: Jobs,
    listed: Mutex<Option<Listed>>,
}

impl Service {
    pub fn new(parts: Parts) -> Self {
        Self {
            registry: parts.registry,
            sandbox: Arc::new(SharedSessions::new(parts.sandbox)),
            policy: parts.policy,
            roots: parts.roots,
            minds: parts.minds,
            jobs: Jobs::default(),
            listed: Mutex::default(),
        }
    }

    /// What is kept, for the doors that show it.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Changes when the list of active tools may have changed.
    pub(crate) fn library_version(&self) -> Result<i64, ServiceError> {
        Ok(self.registry.library_version()?)
    }

    /// The newest active version of every tool, by name.
    pub(crate) fn offers(&self) -> Result<Arc<[Offer]>, ServiceError> {
        let version = self.library_version()?;
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, offers)) = &*listed
            && *of == version
        {
            return Ok(Arc::clone(offers));
        }
        let offers: Arc<[Offer]> = self.registry.offers()?.into();
        *listed = Some((version, Arc::clone(&offers)));
        Ok(offers)
    }

    pub(crate) fn search(&self, query: &str, limit: u32) -> Result<Value, ServiceError> {
        let hits = self.registry.search(query, limit.clamp(1, MOST_HITS))?;
        Ok(json!({ "tools": hits }))
    }

    /// What a client may know of a tool: its promise, its standing and its proof, not its cases.
    pub(crate) fn describe(&self, tool: &ToolRef) -> Result<Value, ServiceError> {
        let detail = self
            .registry
            .tool(tool)?
            .ok_or_else(|| LoadError::NotFound { tool: tool.clone() })?;
        let spec = &detail.spec;
        Ok(json!({
            "name": detail.summary.name,
            "version": detail.summary.version,
            "state": detail.summary.state,
            "description": spec.description,
            "domain": spec.domain,
            "input_schema": spec.input_schema,
            "output_schema": spec.output_schema,
            "capabilities_requested": spec.capabilities,
            "limits": spec.limits,
            "deterministic": spec.deterministic,
            "digest": detail.digest,
            "author": detail.summary.author,
            "why": detail.summary.why,
            "proof": detail.verdict.scores,
            "usage": detail.summary.usage,
        }))
    }

    /// Runs an approved tool once. `actor` is who the journal will name.
    pub(crate) fn run(
        &self,
        actor: &str,
        tool: &ToolRef,
        mut input: Map<String, Value>,
        reporter: Arc<dyn Reporter>,
        cancel: Cancel,
    ) -> Result<Ran, ServiceError> {
        let registry = self.registry.acting_as(actor);
        let approved = registry.load_approved(tool, self.sandbox.profile())?;
        let files = self.attach(&approved.spec().input_files(), &mut input)?;
        let artifacts = tempfile::tempdir().map_err(ServiceError::Artifacts)?;
        let what = Use {
            input,
            files: files.iter().collect(),
            artifacts: artifacts.path().to_owned(),
            run: None,
            ceiling: None,
        };
        let ctx = Context {
            registry,
            sandbox: Arc::clone(&self.sandbox),
            policy: self.policy.clone(),
            minds: Minds::Composer,
            reporter,
            cancel,
            max_repairs: 0,
        };
        match use_tool(&ctx, &approved, &what) {
            Ok(invocation) => Ok(Ran {
                invocation,
                artifacts,
            }),
            Err(UseError::Invoke(e @ InvokeError::Sandbox(_))) => {
                Err(ServiceError::Use(UseError::Invoke(e)))
            }
            Err(UseError::Invoke(e)) => Err(ServiceError::Invoke(e)),
            Err(e) => Err(ServiceError::Use(e)),
        }
    }

    /// Turns the paths that a client wrote into attached files, and the input's properties into
    /// the names that they have inside.
    fn attach(
        &self,
        properties: &[String],
        input: &mut Map<String, Value>,
    ) -> Result<Vec<DataFile>, ServiceError> {
        let mut files = Vec::new();
        for property in properties {
            // Anything but a string is the schema's to refuse.
            let Some(path) = input.get(property).and_then(Value::as_str) else {
                continue;
            };
            let file = self.roots.file(path, &plain(path, files.len()))?;
            input.insert(property.clone(), Value::String(file.name.clone()));
            files.push(file);
        }
        Ok(files)
    }

    /// Begins to make a tool for a task; it goes on by itself.
    pub(crate) fn make(
        &self,
        actor: &str,
        question: &str,
        data: &[String],
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let data = data
            .iter()
            .enumerate()
            .map(|(n, path)| self.roots.file(path, &plain(path, n)))
            .collect::<Result<Vec<_>, _>>()?;
        self.begin(actor, question, data, Vec::new(), Goal::Make, reporter)
    }

    /// Puts a client's own draft through the whole proof. Its held-out cases are the owner's goldens
    /// for that name, and the tester's where a model plays one.
    pub(crate) fn propose(
        &self,
        actor: &str,
        proposed: Proposed,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let why = proposed.why.clone();
        let goldens = self.minds.goldens(&proposed.spec.name);
        let goldens = goldens.map_err(ServiceError::Goldens)?;
        let draft = Draft {
            spec: proposed.spec,
            code: proposed.code,
            cases: proposed.cases,
            assets: std::collections::BTreeMap::default(),
            provenance: Provenance {
                author: Author::Model {
                    model: actor.to_owned(),
                    prompts: Vec::new(),
                    replies: Vec::new(),
                },
                why: proposed.why,
                recipe: None,
                invocation: Map::new(),
            },
        };
        let goal = Goal::Import {
            draft: Box::new(draft),
        };
        self.begin(actor, &why, Vec::new(), goldens, goal, reporter)
    }

    fn begin(
        &self,
        actor: &str,
        question: &str,
        data: Vec<DataFile>,
        goldens: Vec<Case>,
        goal: Goal,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let task = Task {
            question: question.to_owned(),
            data,
            goldens,
            examples: Vec::new(),
            preview: handaxe_types::Preview::default(),
        };
        let begun = self.minds.begun(task, goal).map_err(ServiceError::Minds)?;
        let minds = self.minds.minds(&begun).map_err(ServiceError::Minds)?;
        let max_repairs = begun.max_repairs;
        self.jobs.start(
            Context {
                registry: self.registry.acting_as(actor),
                sandbox: Arc::clone(&self.sandbox),
                policy: self.policy.clone(),
                minds,
                reporter,
                cancel: Cancel::default(),
                max_repairs,
            },
            begun,
        )
    }

    /// Where a run stands, and what its approval came to.
    pub(crate) fn status(&self, run: &str) -> Result<Value, ServiceError> {
        let unknown = || ServiceError::NoRun(run.chars().take(40).collect());
        let id = RunId::parse(run).ok_or_else(unknown)?;
        let detail = self.registry.run(&id)?.ok_or_else(unknown)?;
        let refused = detail.summary.state == RunState::Refused;
        let report = detail.answer.unwrap_or(Value::Null);
        let approval = report.get("approval").and_then(Value::as_i64);
        let request = match approval {
            Some(n) => self.registry.approval(ApprovalId(n))?.map(|d| d.request),
            None => None,
        };
        // A tool that was there already and does the same is the answer, and waits for nobody.
        let there = report.get("tools").and_then(|t| t.get(0)).cloned();
        let usable = match &request {
            Some(a) => a.state == ApprovalState::Approved,
            None => there.is_some(),
        };
        let tool = match &request {
            Some(a) => Some(json!({"name": a.tool, "version": a.version, "approval": a.state})),
            None => there,
        };
        Ok(json!({
            "run": id,
            "state": detail.summary.state,
            "working": detail.summary.live,
            "question": detail.summary.question,
            "approval": approval,
            "tool": tool,
            "usable": usable,
            "verdict": report.get("verdict"),
            "stopped_by": report.get("stopped_by"),
            "failures": if refused { self.failures(&id)? } else { Vec::new() },
            "next": request.as_ref().and_then(|a| next(a.id.0, a.state)),
        }))
    }

    /// How the last attempt of a run failed, as far as its author may know: of a held-out case the
    /// name and the kind.
    fn failures(&self, run: &RunId) -> Result<Vec<Failure>, ServiceError> {
        let last = self.registry.attempts(run)?.pop();
        Ok(last
            .and_then(|a| Some(feedback(&a.draft?, &a.trial?)))
            .unwrap_or_default())
    }

    /// The request that a run waits on, where it waits for a person.
    pub(crate) fn awaited(&self, run: &RunId) -> Result<Option<ApprovalRequest>, ServiceError> {
        let report = self.registry.run(run)?.and_then(|r| r.answer);
        let approval = report.and_then(|r| r.get("approval").and_then(Value::as_i64));
        let Some(approval) = approval else {
            return Ok(None);
        };
        let detail = self.registry.approval(ApprovalId(approval))?;
        Ok(detail
            .map(|d| d.request)
            .filter(|r| r.state == ApprovalState::Waiting))
    }

    /// Requests that wait for a person. There is no way to decide one from here.
    pub(crate) fn approvals(&self) -> Result<Value, ServiceError> {
        let waiting: Vec<Value> = self
            .registry
            .approvals(Some(ApprovalState::Waiting))?
            .into_iter()
            .map(|detail| {
                let a = detail.request;
                json!({
                    "approval": a.id, "tool": a.tool, "version": a.version, "why": a.why,
                    "digest": a.subject, "expires_ms": a.expires_ms,
                    "next": next(a.id.0, a.state),
                })
            })
            .collect();
        Ok(json!({ "waiting": waiting }))
    }

    /// Stops what is under way, for a server that is going down.
    pub fn stop(&self) {
        self.jobs.stop();
    }
}

fn next(id: i64, state: ApprovalState) -> Option<String> {
    (state == ApprovalState::Waiting).then(|| {
        format!(
            "a person decides, outside this connection: `handaxe approvals show {id}`, then `handaxe approvals approve {id}`"
        )
    })
}

/// A name of one plain component for a file inside, different for each `n`.
fn plain(path: &str, n: usize) -> String {
    let base = path.rsplit('/').next().unwrap_or_default();
    let name: String = base
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect();
    let name = name.trim_start_matches(['.', '-']);
    let name = if name.is_empty() { "data" } else { name };
    if n == 0 {
        name.to_owned()
    } else {
        format!("{}_{name}", n + 1)
    }
}

/// Who asks, as the journal will say it: whatever a client calls itself, it is a client.
pub(crate) fn actor(door: &str, client: Option<&str>) -> String {
    let said: String = client
        .unwrap_or("unnamed")
        .chars()
        .filter(char::is_ascii_graphic)
        .take(48)
        .collect();
    format!("{door}:{}", if said.is_empty() { "unnamed" } else { &said })
}

pub(crate) fn tool_ref(name: &str, version: Option<u32>) -> Result<ToolRef, String> {
    let name = ToolName::new(name).map_err(|e| e.to_string())?;
    Ok(ToolRef {
        name,
        version: version.map(handaxe_types::Version),
    })
}

/// A digest for people and programs, as it is written elsewhere.
pub(crate) fn digest_text(digest: ToolDigest) -> Value {
    json!(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_actors_are_plain() {
        for (path, n, name) in [
            ("/a/b c.csv", 0, "b_c.csv"),
            ("../..", 0, "data"),
            ("x/-rf", 1, "2_rf"),
            ("", 0, "data"),
        ] {
            assert_eq!(plain(path, n), name);
        }
        assert_eq!(actor("mcp", Some("a\nb\x1b[31m")), "mcp:ab[31m");
        assert_eq!(actor("mcp", None), "mcp:unnamed");
    }
}
