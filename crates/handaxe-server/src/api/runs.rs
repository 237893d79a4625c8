//! Runs: asked here, watched, stopped and taken up again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use handaxe_agent::Goal;
use handaxe_types::{RunId, RunState, Silent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::approvals::ApprovalLine;
use super::caller::{Caller, Person};
use super::problem::Problem;
use super::schema::run_states;
use super::strict::{Answer, At, Body, Json, Object, Params, at_most, ok, within};
use super::tools::{InlineFile, few};
use crate::feed::Live;
use crate::follow::{News, follow};
use crate::library::{Proof, RunQuery, RunView};
use crate::service::{Ask, ServiceError, plain};
use crate::uploads::lay;

/// The longest question.
pub(crate) const MAX_QUESTION_CHARS: usize = 20_000;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A run in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct RunLine {
    #[schema(value_type = String)]
    id: RunId,
    question: String,
    #[schema(schema_with = run_states)]
    state: RunState,
    /// A process is working on it now. `running` without it: it can be resumed.
    live: bool,
    /// `reuse`, `compose`, `extend`, `make`, `direct` or `refuse`.
    route: Option<String>,
    /// The bound or the judgement that stopped it.
    stopped_by: Option<String>,
    created_ms: i64,
    updated_ms: i64,
}

impl From<handaxe_registry::RunSummary> for RunLine {
    fn from(run: handaxe_registry::RunSummary) -> Self {
        Self {
            id: run.id,
            question: run.question,
            state: run.state,
            live: run.live,
            route: run.route,
            stopped_by: run.stopped_by,
            created_ms: run.created_ms,
            updated_ms: run.updated_ms,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRuns {
    #[param(schema_with = run_states, required = false)]
    state: Option<RunState>,
    /// Words that are in the question, as they stand.
    #[param(max_length = 4000)]
    q: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^r[0-9a-f]{16}$")]
    before: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Runs {
    /// Newest first.
    runs: Vec<RunLine>,
    /// `before` of the next page; absent on the last.
    next: Option<String>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(ListRuns),
    responses((status = 200, description = "A page of runs", body = Runs)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(params): Params<ListRuns>,
) -> Answer<Runs> {
    at_most("q", params.q.as_deref().unwrap_or_default(), 4000)?;
    let before = params.before.map(|text| {
        RunId::parse(&text).ok_or_else(|| Problem::request("`before` is not the id of a run"))
    });
    let query = RunQuery {
        state: params.state,
        text: params.q,
        before: before.transpose()?,
        limit: within("limit", params.limit, 20, 1..=100)?,
    };
    let page = api.ask(move |s| s.runs(&query)).await?;
    ok(Runs {
        runs: page.runs.into_iter().map(Into::into).collect(),
        next: page.next.map(Into::into),
    })
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AskFor {
    /// Find, compose or make what is needed, and answer.
    #[default]
    Answer,
    /// Make the tool and stop.
    Make,
    /// Plan and stop: nothing is written, nothing runs.
    Plan,
}

/// A question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartRun {
    #[schema(min_length = 1, max_length = 20_000)]
    question: String,
    #[serde(default)]
    #[schema(inline)]
    want: AskFor,
    /// Files it is about, as paths beneath the server's roots.
    #[serde(default)]
    #[schema(max_items = 16)]
    paths: Vec<String>,
    /// Files that come with it.
    #[serde(default)]
    #[schema(max_items = 16, value_type = Vec<InlineFile>)]
    files: Vec<Object<InlineFile>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Started {
    #[schema(value_type = String)]
    run: RunId,
}

/// Begins a run, which goes on by itself. A tool that it makes waits for a person.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = StartRun,
    responses((status = 202, description = "It began", body = Started,
        headers(("Location" = String, description = "Where it can be watched")))))]
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(body): Body<StartRun>,
) -> Result<Response, Problem> {
    at_most("question", &body.question, MAX_QUESTION_CHARS)?;
    if body.question.trim().is_empty() {
        return Err(Problem::request("`question` says nothing"));
    }
    few(body.paths.len() + body.files.len())?;
    let mut uploads = Vec::new();
    for Object(file) in body.files {
        uploads.push(file.upload()?);
    }
    let mut ask = Ask {
        question: body.question,
        goal: match body.want {
            AskFor::Answer => Goal::Answer,
            AskFor::Make => Goal::Make,
            AskFor::Plan => Goal::Plan,
        },
        paths: body.paths,
        files: Vec::new(),
    };
    let actor = caller.actor().to_owned();
    let job = api
        .ask(move |s| {
            let place = tempfile::tempdir().map_err(ServiceError::Artifacts)?;
            for upload in &uploads {
                let name = plain(&upload.name, ask.files.len());
                ask.files.push(lay(place.path(), &name, &upload.bytes)?);
            }
            s.ask(&actor, ask, Arc::new(Silent))
        })
        .await?;
    Ok(accepted(job.run.clone()))
}

fn accepted(run: RunId) -> Response {
    let place = format!("/api/v1/runs/{run}");
    let place = HeaderValue::from_str(&place).unwrap_or(HeaderValue::from_static("/api/v1/runs"));
    let answer = Json(StatusCode::ACCEPTED, Started { run });
    ([(header::LOCATION, place)], answer).into_response()
}

/// Everything of one run.
#[derive(Serialize, ToSchema)]
pub(super) struct Run {
    #[serde(flatten)]
    line: RunLine,
    /// It stopped before its end and can go on.
    resumable: bool,
    /// What it is at, where this server works on it.
    progress: Option<Live>,
    data: Vec<RunFile>,
    /// Route, steps, and the candidates with why each was not enough.
    #[schema(value_type = Option<Object>)]
    plan: Option<handaxe_types::Plan>,
    attempts: Vec<RunAttempt>,
    model_calls: Vec<ModelCall>,
    invocations: Vec<RunCall>,
    approvals: Vec<ApprovalLine>,
    /// The tools that it called and what has become of them: an answer that rests on a `tainted` one
    /// should not be relied upon, and one that rests on a `provisional` one awaits a person's yes.
    rests_on: Vec<RestsOn>,
    /// In words.
    answer: Option<String>,
    /// As the tool gave it.
    result: Option<Value>,
    /// `kind`, `message` and `hint` of what stopped it.
    #[schema(value_type = Option<Object>)]
    stopped: Option<Value>,
    /// Tokens, money and seconds, step by step.
    #[schema(value_type = Option<Object>)]
    cost: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RunFile {
    name: String,
    bytes: u64,
    /// SHA-256.
    #[schema(value_type = String)]
    digest: handaxe_types::Digest,
}

/// One draft and its trial.
#[derive(Serialize, ToSchema)]
pub(super) struct RunAttempt {
    n: u32,
    accepted: Option<bool>,
    /// Why not, one line each.
    reasons: Vec<String>,
    proof: Option<Proof>,
    code: Option<String>,
    /// Unified, against the attempt before.
    diff: String,
    /// What the trial's runs said. Not shown to programs: it may quote cases that are held out.
    stderr: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ModelCall {
    role: String,
    model: String,
    tokens_in: u64,
    tokens_out: u64,
    seconds: f64,
    at_ms: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RunCall {
    #[schema(value_type = String)]
    tool: handaxe_types::ToolName,
    #[schema(value_type = u32, minimum = 1)]
    version: handaxe_types::Version,
    #[schema(value_type = String)]
    outcome: handaxe_types::Outcome,
    runtime_ms: f64,
    at_ms: i64,
    /// Before a person had decided on the tool.
    provisional: bool,
}

/// A tool that an answer rests on, as it stands now.
#[derive(Serialize, ToSchema)]
pub(super) struct RestsOn {
    #[schema(value_type = String)]
    tool: handaxe_types::ToolName,
    #[schema(value_type = u32, minimum = 1)]
    version: handaxe_types::Version,
    #[schema(value_type = String)]
    state: handaxe_types::ToolState,
    provisional: bool,
    tainted: bool,
    /// What a reader of the answer has to know, in words.
    caution: Option<String>,
}

impl From<handaxe_registry::Foundation> for RestsOn {
    fn from(of: handaxe_registry::Foundation) -> Self {
        Self {
            caution: of.caution(),
            tool: of.tool,
            version: of.version,
            state: of.state,
            provisional: of.provisional,
            tainted: of.tainted,
        }
    }
}

fn document(view: RunView, progress: Option<Live>, for_person: bool) -> Run {
    let resumable = view.resumable();
    let detail = view.detail;
    let of = |key: &str| -> Option<Value> {
        let found = detail.answer.as_ref()?.get(key)?;
        (!found.is_null()).then(|| found.clone())
    };
    let attempts = view.attempts.into_iter().map(|attempt| RunAttempt {
        n: attempt.n,
        accepted: attempt.verdict.as_ref().map(|v| v.accepted),
        proof: (attempt.trial.as_ref())
            .zip(attempt.verdict.as_ref())
            .map(|(trial, verdict)| Proof::of(trial, verdict)),
        reasons: attempt.verdict.map(|v| v.reasons).unwrap_or_default(),
        code: attempt.draft.map(|d| d.code),
        diff: attempt.diff,
        stderr: for_person.then_some(attempt.stderr),
    });
    Run {
        resumable,
        progress,
        attempts: attempts.collect(),
        answer: of("answer").and_then(|a| a.as_str().map(str::to_owned)),
        result: of("result"),
        stopped: of("stopped_by"),
        cost: of("cost"),
        line: detail.summary.into(),
        data: (detail.task.data.into_iter())
            .map(|file| RunFile {
                name: file.name,
                bytes: file.bytes,
                digest: file.digest,
            })
            .collect(),
        plan: detail.plan,
        model_calls: (view.exchanges.into_iter())
            .map(|e| ModelCall {
                role: e.role,
                model: e.model,
                tokens_in: e.tokens_in,
                tokens_out: e.tokens_out,
                seconds: e.seconds,
                at_ms: e.at_ms,
            })
            .collect(),
        invocations: (view.invocations.into_iter())
            .map(|i| RunCall {
                tool: i.tool,
                version: i.version,
                outcome: i.outcome,
                runtime_ms: i.runtime_ms,
                at_ms: i.at_ms,
                provisional: i.provisional,
            })
            .collect(),
        rests_on: detail.rests_on.into_iter().map(Into::into).collect(),
        approvals: view.approvals.into_iter().map(Into::into).collect(),
    }
}

/// One run: its plan, attempts, calls and answer, and what it is at.
#[utoipa::path(get, path = "/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Its id", pattern = "^r[0-9a-f]{16}$")),
    responses((status = 200, description = "The run", body = Run)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    At(run): At<RunId>,
) -> Answer<Run> {
    let (view, live) = api
        .ask(move |s| Ok((s.run_view(&run)?, s.live(&run))))
        .await?;
    ok(document(view, live, caller.is_person()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Only journal events after this number; the header `Last-Event-ID` counts before it.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// One server-sent event of a run.
#[derive(Serialize, ToSchema)]
pub(super) struct RunNews {
    /// `event`, `progress` or `ended`.
    event: String,
    /// JSON: an event of the journal, what the run is at, or the state that it ended in.
    data: String,
    /// The number of an event of the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// A run as it goes on, as server-sent events: `event` (an event of the journal; its number is the
/// id, and a connection that broke goes on after it), `progress` (what it is at), and `ended`, which
/// is the last: the run ended, waits for a person, or its process died.
#[utoipa::path(get, path = "/runs/{run}/events", tag = "runs",
    params(("run" = String, Path, description = "Its id", pattern = "^r[0-9a-f]{16}$"), EventParams),
    responses((status = 200, description = "Events until the run ends or waits", body = RunNews,
        content_type = "text/event-stream")))]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(run): At<RunId>,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = within("after", params.after, 0, 0..=i64::MAX)?;
    let again = headers.get(LAST_EVENT_ID).and_then(|v| v.to_str().ok());
    let after = again.and_then(|v| v.parse().ok()).unwrap_or(after);
    let permit = api.watchers()?;
    let known = run.clone();
    api.ask(move |s| s.run_view(&known).map(drop)).await?;
    let news = follow(Arc::clone(&api.service), run, after, api.web.stop.clone());
    let events = news
        .flat_map(|batch| futures_util::stream::iter(batch.into_iter().map(told)))
        .map(move |event| {
            let _held = &permit;
            Ok::<_, std::convert::Infallible>(event)
        });
    Ok(Sse::new(events)
        .keep_alive(sse::KeepAlive::default())
        .into_response())
}

fn told(news: News) -> sse::Event {
    let (name, id, data) = match news {
        News::Event(event) => ("event", Some(event.seq), json!(event)),
        News::Live(live) => ("progress", None, json!(live)),
        News::Ended(state) => ("ended", None, json!({ "state": state })),
    };
    let event = sse::Event::default().event(name).data(data.to_string());
    match id {
        Some(seq) => event.id(seq.to_string()),
        None => event,
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Cancelling {
    #[schema(value_type = String)]
    run: RunId,
}

/// Asks a run of this server to stop, which it does at its next step; it can be resumed.
#[utoipa::path(post, path = "/runs/{run}/cancel", tag = "runs",
    params(("run" = String, Path, description = "Its id", pattern = "^r[0-9a-f]{16}$")),
    responses((status = 202, description = "It was told to stop", body = Cancelling)))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    _: Caller,
    At(run): At<RunId>,
) -> Answer<Cancelling> {
    let told = run.clone();
    api.ask(move |s| s.cancel(&told)).await?;
    Ok(Json(StatusCode::ACCEPTED, Cancelling { run }))
}

/// Takes up a run that stopped before its end: it waited, failed, was cancelled, or its process
/// died. Nothing is paid for twice.
#[utoipa::path(post, path = "/runs/{run}/resume", tag = "runs",
    params(("run" = String, Path, description = "Its id", pattern = "^r[0-9a-f]{16}$")),
    responses((status = 202, description = "It goes on", body = Started,
        headers(("Location" = String, description = "Where it can be watched")))))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    caller: Caller,
    At(run): At<RunId>,
) -> Result<Response, Problem> {
    let actor = caller.actor().to_owned();
    let job = api
        .ask(move |s| s.resume(&actor, &run, Arc::new(Silent)))
        .await?;
    Ok(accepted(job.run.clone()))
}

/// Has a run that waits use its tool once meanwhile, where the policy allows that
/// (`while_waiting_minutes`): the run waits on, with an answer. A person's alone: no bearer token can.
#[utoipa::path(post, path = "/runs/{run}/while-waiting", tag = "runs",
    params(("run" = String, Path, description = "Its id", pattern = "^r[0-9a-f]{16}$")),
    responses((status = 202, description = "It goes on", body = Started,
        headers(("Location" = String, description = "Where it can be watched")))))]
pub(super) async fn while_waiting(
    State(api): State<Arc<Api>>,
    Person(person): Person,
    At(run): At<RunId>,
) -> Result<Response, Problem> {
    let job = api
        .ask(move |s| s.use_while_waiting(&person.person, &run, Arc::new(Silent)))
        .await?;
    Ok(accepted(job.run.clone()))
}
