//! What may be asked of Handaxe, whichever door it is asked at. Everything here blocks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use handaxe_agent::roles::{Failure, feedback};
use handaxe_agent::{
    Approver, Begun, Card, Context, Decision, Externals, Goal, Invocation, Minds, NoOne,
    PipelineError, Use, UseError, use_tool,
};
use handaxe_registry::{ApprovedTool, LoadError, Offer, Registry, RegistryError, RunError};
use handaxe_sandbox::{Cancel, Sandbox, SessionStats};
use handaxe_types::{
    ApprovalId, ApprovalRequest, ApprovalState, Author, Case, DataFile, Draft, Policy, Provenance,
    Reporter, RunId, RunState, Spec, Task, ToolDigest, ToolName, ToolRef,
};
use handaxe_validate::InvokeError;
use serde_json::{Map, Value, json};

use crate::feed::{Feed, Live};
use crate::jobs::{Job, Jobs, Take};
use crate::roots::{Roots, RootsError};
use crate::sessions::SharedSessions;
use crate::uploads::{Upload, UploadError, Uploads, lay};

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
    pub externals: Arc<dyn Externals>,
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
    Upload(#[from] UploadError),
    #[error("`{0}` takes no file")]
    NoFileThere(String),
    #[error("run {0} is not one of this server's that are under way")]
    NotUnderWay(RunId),
    #[error("run {0} ended before it had begun")]
    NotBegun(RunId),
    #[error("what run {run} was begun with cannot be read back")]
    Begun {
        run: RunId,
        source: serde_json::Error,
    },
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
            Self::Run(RunError::NotFound(_)) => "not_found",
            Self::Run(RunError::Live(_) | RunError::Over { .. })
            | Self::NotUnderWay(_)
            | Self::NotBegun(_) => "run_state",
            Self::Run(_) | Self::Begun { .. } => "run",
            Self::Roots(_) | Self::Upload(_) | Self::NoFileThere(_) => "file",
            Self::Invoke(InvokeError::Output { .. }) => "output",
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
            Self::Upload(UploadError::TooLarge { .. }) => {
                "name it by its path beneath one of the server's roots".to_owned()
            }
            Self::Upload(_) => "make room on the server's machine".to_owned(),
            Self::NoFileThere(_) => {
                "files go to properties with \"format\": \"file\"; the input schema names them"
                    .to_owned()
            }
            Self::NotUnderWay(run) => format!("`handaxe runs show {run}` says where it stands"),
            Self::NotBegun(_) => "ask again; nothing was paid for".to_owned(),
            Self::Begun { .. } => "`handaxe audit verify`".to_owned(),
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
    pub(crate) artifacts: Place,
}

/// A directory for one call's files, of which most calls have none: who lays one makes it, and it is
/// gone with this value.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // One that was never made is gone already; what is left goes with the server's own.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A draft that a client wrote.
pub(crate) struct Proposed {
    pub(crate) spec: Spec,
    pub(crate) code: String,
    /// The author's own: they count as no independent evidence, whatever they say of themselves.
    pub(crate) cases: Vec<Case>,
    pub(crate) why: String,
}

/// A question that comes in at a door.
pub(crate) struct Ask {
    pub(crate) question: String,
    pub(crate) goal: Goal,
    /// Paths beneath the server's roots.
    pub(crate) paths: Vec<String>,
    /// Files that came with it; they are kept with the run.
    pub(crate) files: Vec<DataFile>,
}

/// A file that came with a call, for a property of its input.
pub(crate) struct Attached {
    pub(crate) property: String,
    pub(crate) upload: Upload,
}

/// A person who wants the one use that the policy allows while a tool waits.
struct UseOnce(String);

impl Approver for UseOnce {
    fn decide(&self, _: &Card) -> Decision {
        Decision::UseOnce {
            asked_by: self.0.clone(),
        }
    }
}

type Listed = (i64, Arc<[Offer]>);

/// The one layer behind every door.
pub struct Service {
    registry: Registry,
    sandbox: Arc<dyn Sandbox>,
    sessions: Arc<SharedSessions>,
    policy: Policy,
    roots: Roots,
    minds: Arc<dyn MindSource>,
    externals: Arc<dyn Externals>,
    jobs: Jobs,
    uploads: Uploads,
    listed: Mutex<Option<Listed>>,
    /// Where calls have their places.
    places: tempfile::TempDir,
    next_place: AtomicU64,
}

impl Service {
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        let sessions = Arc::new(SharedSessions::new(parts.sandbox));
        Ok(Self {
            places: tempfile::tempdir()?,
            next_place: AtomicU64::new(0),
            uploads: Uploads::in_home(parts.registry.home()),
            registry: parts.registry,
            sandbox: Arc::clone(&sessions) as Arc<dyn Sandbox>,
            sessions,
            policy: parts.policy,
            roots: parts.roots,
            minds: parts.minds,
            externals: parts.externals,
            jobs: Jobs::default(),
            listed: Mutex::default(),
        })
    }

    /// One that nobody else has.
    fn place(&self) -> Place {
        let number = self.next_place.fetch_add(1, Ordering::Relaxed);
        Place(self.places.path().join(number.to_string()))
    }

    /// The warm pool of calls without files; nothing is in it before the first.
    pub(crate) fn pool(&self) -> SessionStats {
        self.sessions.stats()
    }

    /// What is kept, for the doors that show it.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether files can be named by their path.
    pub(crate) fn has_roots(&self) -> bool {
        self.roots.paths().next().is_some()
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
        let detail = self.tool_detail(tool)?;
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
        input: Map<String, Value>,
        reporter: Arc<dyn Reporter>,
        cancel: Cancel,
    ) -> Result<Ran, ServiceError> {
        self.run_with(actor, tool, input, &[], reporter, cancel)
    }

    /// The same with files that came with the call; other files are paths beneath the roots.
    pub(crate) fn run_with(
        &self,
        actor: &str,
        tool: &ToolRef,
        mut input: Map<String, Value>,
        attached: &[Attached],
        reporter: Arc<dyn Reporter>,
        cancel: Cancel,
    ) -> Result<Ran, ServiceError> {
        let registry = self.registry.acting_as(actor);
        let approved = registry.load_approved(tool, self.sandbox.profile())?;
        let mut properties = approved.spec().input_files();
        let place = self.place();
        if !attached.is_empty() {
            std::fs::create_dir(place.path()).map_err(ServiceError::Artifacts)?;
        }
        let mut files = Vec::new();
        for Attached { property, upload } in attached {
            let Some(at) = properties.iter().position(|p| p == property) else {
                return Err(ServiceError::NoFileThere(property.clone()));
            };
            properties.remove(at);
            let file = lay(
                place.path(),
                &plain(&upload.name, files.len()),
                &upload.bytes,
            )?;
            input.insert(property.clone(), Value::String(file.name.clone()));
            files.push(file);
        }
        self.attach(&properties, &mut input, &mut files)?;
        self.call(registry, &approved, input, &files, reporter, cancel)
    }

    /// The same on files that are attached already, by the names that the input has.
    pub(crate) fn run_on(
        &self,
        actor: &str,
        tool: &ToolRef,
        input: Map<String, Value>,
        files: &[DataFile],
        reporter: Arc<dyn Reporter>,
        cancel: Cancel,
    ) -> Result<Ran, ServiceError> {
        let registry = self.registry.acting_as(actor);
        let approved = registry.load_approved(tool, self.sandbox.profile())?;
        self.call(registry, &approved, input, files, reporter, cancel)
    }

    fn call(
        &self,
        registry: Registry,
        approved: &ApprovedTool,
        input: Map<String, Value>,
        files: &[DataFile],
        reporter: Arc<dyn Reporter>,
        cancel: Cancel,
    ) -> Result<Ran, ServiceError> {
        let artifacts = self.place();
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
            externals: Arc::clone(&self.externals),
            reporter,
            cancel,
            max_repairs: 0,
        };
        match use_tool(&ctx, approved, &what) {
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
        files: &mut Vec<DataFile>,
    ) -> Result<(), ServiceError> {
        for property in properties {
            // Anything but a string is the schema's to refuse.
            let Some(path) = input.get(property).and_then(Value::as_str) else {
                continue;
            };
            let file = self.roots.file(path, &plain(path, files.len()))?;
            input.insert(property.clone(), Value::String(file.name.clone()));
            files.push(file);
        }
        Ok(())
    }

    /// Begins a run; it goes on by itself.
    pub(crate) fn ask(
        &self,
        actor: &str,
        ask: Ask,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let mut data = Vec::new();
        for path in &ask.paths {
            data.push(self.roots.file(path, &plain(path, data.len()))?);
        }
        for file in &ask.files {
            let name = plain(&file.name, data.len());
            data.push(DataFile {
                name,
                ..self.uploads.keep(file)?
            });
        }
        self.begin(actor, &ask.question, data, Vec::new(), ask.goal, reporter)
    }

    /// Takes up a run that stopped before its end; it goes on by itself.
    pub(crate) fn resume(
        &self,
        actor: &str,
        run: &RunId,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let begun = self.begun(run)?;
        let take = Take::Again(run.clone());
        self.walk(actor, begun, take, Box::new(NoOne), reporter)
    }

    /// What a run was begun with.
    fn begun(&self, run: &RunId) -> Result<Begun, ServiceError> {
        // Asked first, so that one that is not there is not said to be without a beginning.
        self.registry
            .run(run)?
            .ok_or_else(|| ServiceError::NoRun(run.to_string()))?;
        let begun = self
            .registry
            .step_get(run, "begun")?
            .ok_or_else(|| ServiceError::NotBegun(run.clone()))?;
        serde_json::from_value(begun).map_err(|source| ServiceError::Begun {
            run: run.clone(),
            source,
        })
    }

    /// Has a run that waits for a person use its tool once meanwhile, where the policy allows that:
    /// a person's word, which no program's token is. The run then waits on, with an answer.
    pub(crate) fn use_while_waiting(
        &self,
        person: &str,
        run: &RunId,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let begun = self.begun(run)?;
        let approver = Box::new(UseOnce(person.to_owned()));
        self.walk(person, begun, Take::Again(run.clone()), approver, reporter)
    }

    /// The request whose tool the run may use once while it waits.
    pub(crate) fn may_use_while_waiting(
        &self,
        run: &RunId,
        waits_for: ApprovalId,
    ) -> Result<bool, ServiceError> {
        let profile = self.sandbox.profile();
        Ok(self
            .registry
            .may_use_while_waiting(waits_for, run, profile)?)
    }

    /// Asks a run of this server to stop; it does so at its next step.
    pub(crate) fn cancel(&self, run: &RunId) -> Result<(), ServiceError> {
        match self.jobs.find(run) {
            Some(job) => {
                job.cancel();
                Ok(())
            }
            None if self.registry.run(run)?.is_none() => Err(ServiceError::NoRun(run.to_string())),
            None => Err(ServiceError::NotUnderWay(run.clone())),
        }
    }

    /// What a run of this server is at; `None` where it is not under way here.
    pub(crate) fn live(&self, run: &RunId) -> Option<Live> {
        self.jobs.find(run).map(|job| job.feed.live())
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
        // Nobody is at hand here who could approve: the request waits for a person.
        self.walk(actor, begun, Take::New, Box::new(NoOne), reporter)
    }

    fn walk(
        &self,
        actor: &str,
        begun: Begun,
        take: Take,
        approver: Box<dyn Approver>,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Arc<Job>, ServiceError> {
        let minds = self.minds.minds(&begun).map_err(ServiceError::Minds)?;
        let max_repairs = begun.max_repairs;
        let feed = Feed::new(reporter);
        let ctx = Context {
            registry: self.registry.acting_as(actor),
            sandbox: Arc::clone(&self.sandbox),
            policy: self.policy.clone(),
            minds,
            externals: Arc::clone(&self.externals),
            reporter: Arc::clone(&feed) as Arc<dyn Reporter>,
            cancel: Cancel::default(),
            max_repairs,
        };
        self.jobs.start(ctx, begun, take, approver, feed)
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
pub(crate) fn plain(path: &str, n: usize) -> String {
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
