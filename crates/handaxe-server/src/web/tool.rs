//! A tool's page: what it promises, a form to try it, its code, proof, versions and use.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use handaxe_agent::{limit_words, may_use};
use handaxe_registry::ToolSummary;
use handaxe_types::text::bytes;
use handaxe_types::{
    ApprovalState, CaseResult, Check, DataFile, Outcome, ScoreRow, Silent, ToolName, ToolRef,
    Version,
};
use serde::Deserialize;
use serde_json::Value;

use super::Web;
use super::code::{Language, Line, coloured};
use super::diff::Columns;
use super::error::{WebError, chain};
use super::export::FORMS;
use super::form::{self, Field, Kind};
use super::gallery::{Chip, chips};
use super::page::{Page, Room, html};
use super::parts::{Bars, When, line, lines};
use super::session::Visitor;
use super::upload::{MAX_UPLOAD_BYTES, Uploaded};
use super::visit::{Asked, At};
use crate::gone::Gone;
use crate::library::{Proof, ToolView};
use crate::service::{Ran, ServiceError};

/// Calls that the page lists.
const CALLS: usize = 15;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/tools/{name}", get(tool))
        .route("/tools/{name}/diff", get(diff))
        .route(
            "/tools/{name}/{version}/try",
            post(attempt).layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES)),
        )
        .route("/results/{n}/{name}", get(result))
}

/// A row of the score card.
pub(crate) struct Score {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) asked: String,
    pub(crate) status: &'static str,
    pub(crate) why: String,
}

impl Score {
    pub(crate) fn of(row: &ScoreRow) -> Self {
        Self {
            name: row.name.replace('_', " "),
            value: line(&row.value),
            asked: row
                .threshold
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            status: row.status.as_str(),
            why: line(&row.why),
        }
    }
}

/// A case and what came of it.
pub(crate) struct CaseRow {
    pub(crate) name: String,
    pub(crate) origin: &'static str,
    pub(crate) held_out: bool,
    pub(crate) word: &'static str,
    pub(crate) ms: String,
    pub(crate) what: String,
    /// Of a case that its author may see.
    pub(crate) input: String,
    pub(crate) expected: String,
}

impl CaseRow {
    pub(crate) fn of(result: &CaseResult, cases: &[handaxe_types::Case]) -> Self {
        let case = cases
            .iter()
            .find(|c| c.name == result.name && c.origin == result.origin)
            .filter(|_| !result.held_out);
        let what = result.withdrawn.as_ref().or(result.failure.as_ref());
        Self {
            name: line(&result.name),
            origin: result.origin.as_str(),
            held_out: result.held_out,
            word: match (&result.withdrawn, result.passed) {
                (Some(_), _) => "withdrawn",
                (None, true) => "passed",
                (None, false) => "failed",
            },
            ms: format!("{:.1}", result.runtime_ms),
            what: what.map(|w| line(w)).unwrap_or_default(),
            input: case.map_or_else(String::new, |c| short(&Value::Object(c.input.clone()))),
            expected: case.map_or_else(String::new, |c| expected(&c.check)),
        }
    }
}

fn expected(check: &Check) -> String {
    match check {
        Check::Expect { value, .. } => short(value),
        Check::Raises(raises) => format!("raises {}", line(raises.kind())),
        Check::Holds(expression) => line(expression),
        Check::Relation { .. } => "a relation between two runs".to_owned(),
    }
}

/// JSON on one line, cut.
fn short(value: &Value) -> String {
    line(&handaxe_types::text::clip(&value.to_string(), 300))
}

/// What the signed evidence came to.
struct Evidence {
    verified: bool,
    signer: String,
    problems: Vec<String>,
    approver: String,
    method: &'static str,
    approved: Option<When>,
    self_approved: bool,
}

struct VersionRow {
    version: u32,
    state: &'static str,
    author: String,
    made: When,
    calls: u64,
    here: bool,
}

struct CallRow {
    at: When,
    outcome: &'static str,
    ok: bool,
    ms: String,
    memory: String,
    run: Option<String>,
}

struct RunRow {
    id: String,
    question: String,
    calls: usize,
    at: When,
}

struct UseRow {
    day: String,
    calls: u64,
    ok: u64,
}

/// One call, shown.
struct ResultView {
    outcome: &'static str,
    ok: bool,
    output: Vec<Line>,
    stdout: String,
    stderr: String,
    error: String,
    ms: String,
    memory: String,
    layers: Vec<&'static str>,
    /// Where they can be had, and how large they are.
    artifacts: Vec<(String, String, String)>,
}

#[derive(Template)]
#[template(path = "tool.html")]
struct ToolPage {
    page: Page,
    name: String,
    version: u32,
    state: &'static str,
    description: String,
    domain: String,
    author: String,
    why: String,
    made: When,
    digest: String,
    deterministic: bool,
    may_use: String,
    limits: String,
    successor: Option<String>,
    waiting: Option<i64>,
    runs_now: bool,
    chips: Vec<Chip>,
    fields: Vec<Field>,
    result: Option<ResultView>,
    problem: Option<(String, String)>,
    code: Vec<Line>,
    input_schema: Vec<Line>,
    output_schema: Vec<Line>,
    scores: Vec<Score>,
    findings: Vec<String>,
    cases: Vec<CaseRow>,
    evidence: Option<Evidence>,
    versions: Vec<VersionRow>,
    previous: Option<u32>,
    bars: Bars,
    days: Vec<UseRow>,
    calls: Vec<CallRow>,
    runs: Vec<RunRow>,
    replaces: Vec<String>,
    /// Name and what it is good for; none where it was never registered.
    forms: Vec<(&'static str, &'static str)>,
}

/// What came of trying, without the page around it.
#[derive(Template)]
#[template(path = "tried.html")]
struct TriedPart {
    result: Option<ResultView>,
    problem: Option<(String, String)>,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Which {
    v: Option<u32>,
}

#[derive(Deserialize)]
struct Two {
    from: u32,
    to: u32,
}

fn named(name: &str) -> Result<ToolName, WebError> {
    ToolName::new(name).map_err(|_| WebError::NotFound("such tool".to_owned()))
}

async fn view(web: &Web, name: &str, version: Option<u32>) -> Result<ToolView, WebError> {
    let tool = ToolRef {
        name: named(name)?,
        version: version.map(Version),
    };
    let missing = || WebError::NotFound(format!("tool `{tool}`"));
    let asked = tool.clone();
    let found = web.ask(move |service| service.tool_view(&asked)).await?;
    found.ok_or_else(missing)
}

async fn tool(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    At(name): At<String>,
    Asked(asked): Asked<Which>,
) -> Result<Response, WebError> {
    let view = view(&web, &name, asked.v).await?;
    Ok(html(StatusCode::OK, &page(view, visitor))?)
}

fn page(view: ToolView, visitor: Visitor) -> ToolPage {
    let detail = &view.detail;
    let (summary, spec) = (&detail.summary, &detail.spec);
    let pretty = |v: &Value| serde_json::to_string_pretty(v).unwrap_or_default();
    let waiting = detail
        .approvals
        .iter()
        .find(|a| a.request.state == ApprovalState::Waiting);
    let older = view.versions.iter().find(|v| v.version < summary.version);
    ToolPage {
        page: Page::new(
            Room::Gallery,
            visitor,
            format!("{}@{}", summary.name, summary.version),
        ),
        name: summary.name.to_string(),
        version: summary.version.0,
        state: summary.state.as_str(),
        description: line(&spec.description),
        domain: line(&spec.domain),
        author: line(&summary.author),
        why: line(&summary.why),
        made: When::of(summary.created_ms),
        digest: detail.digest.to_string(),
        deterministic: spec.deterministic,
        may_use: may_use(&spec.capabilities),
        limits: limit_words(&spec.limits),
        successor: summary.successor.clone(),
        waiting: waiting.map(|a| a.request.id.0),
        runs_now: summary.state.runs(),
        chips: chips(&Proof::of(&detail.trial, &detail.verdict)),
        fields: form::fields(&spec.input_schema),
        result: None,
        problem: None,
        code: coloured(&detail.code, Language::Python),
        input_schema: coloured(&pretty(&spec.input_schema), Language::Json),
        output_schema: coloured(&pretty(&spec.output_schema), Language::Json),
        scores: detail.verdict.card.iter().map(Score::of).collect(),
        findings: detail
            .verdict
            .findings
            .iter()
            .map(|f| line(&format!("line {}: {} ({})", f.line, f.reason, f.rule)))
            .collect(),
        cases: detail
            .trial
            .cases
            .iter()
            .map(|c| CaseRow::of(c, &detail.cases))
            .collect(),
        evidence: evidence(&view),
        versions: view
            .versions
            .iter()
            .map(|v| version_row(v, summary.version))
            .collect(),
        previous: older.map(|v| v.version.0),
        bars: Bars::wide(&view.days),
        days: view
            .days
            .iter()
            .rev()
            .filter(|d| d.calls > 0)
            .map(|d| UseRow {
                day: day(d.day_ms),
                calls: d.calls,
                ok: d.ok,
            })
            .collect(),
        calls: view.calls.iter().take(CALLS).map(call_row).collect(),
        runs: view
            .runs
            .iter()
            .take(CALLS)
            .map(|(run, calls)| RunRow {
                id: run.id.to_string(),
                question: line(&run.question),
                calls: *calls,
                at: When::of(run.created_ms),
            })
            .collect(),
        forms: FORMS
            .iter()
            .filter(|_| view.inspection.is_some())
            .map(|(form, what)| (form.as_str(), *what))
            .collect(),
        replaces: view.replaces.iter().map(ToString::to_string).collect(),
    }
}

fn version_row(summary: &ToolSummary, here: Version) -> VersionRow {
    VersionRow {
        version: summary.version.0,
        state: summary.state.as_str(),
        author: line(&summary.author),
        made: When::of(summary.created_ms),
        calls: summary.usage.calls,
        here: summary.version == here,
    }
}

fn call_row(call: &handaxe_registry::Invocation) -> CallRow {
    CallRow {
        at: When::of(call.at_ms),
        outcome: call.outcome.as_str(),
        ok: call.outcome == Outcome::Ok,
        ms: format!("{:.1}", call.runtime_ms),
        memory: bytes(call.max_rss_kib << 10),
        run: call.run.as_ref().map(ToString::to_string),
    }
}

fn day(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|at| at.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

fn evidence(view: &ToolView) -> Option<Evidence> {
    let found = view.inspection.as_ref()?;
    let approval = found.approval.as_ref().map(|a| &a.approval);
    Some(Evidence {
        verified: found.problems.is_empty() && found.trusted,
        signer: found
            .signer
            .as_ref()
            .map(|k| k.id().to_string())
            .unwrap_or_default(),
        problems: found
            .problems
            .iter()
            .map(|p| line(&p.to_string()))
            .collect(),
        approver: approval.map(|a| line(&a.approver)).unwrap_or_default(),
        method: approval.map_or("", |a| a.method.as_str()),
        approved: approval.map(|a| When::of(a.at_ms)),
        self_approved: approval.is_some_and(|a| a.self_approved),
    })
}

/// Runs the tool on what the form says.
async fn attempt(
    State(web): State<Arc<Web>>,
    At((name, version)): At<(String, u32)>,
    headers: HeaderMap,
    sent: Uploaded,
) -> Result<Response, WebError> {
    let view = view(&web, &name, Some(version)).await?;
    let schema = &view.detail.spec.input_schema;
    let read = form::input(schema, &sent.fields, |field| sent.attached(field));
    let person = sent.visitor.person.clone();
    let (mut result, mut problem) = (None, None);
    let (status, fields) = match read {
        Err(fields) => {
            let hint = "the marked fields could not be read".to_owned();
            problem = Some(("nothing was run".to_owned(), hint));
            (StatusCode::UNPROCESSABLE_ENTITY, fields)
        }
        Ok((input, fields)) => {
            let tool = ToolRef {
                name: view.detail.summary.name.clone(),
                version: Some(view.detail.summary.version),
            };
            let files: Vec<DataFile> = sent.files.iter().map(|(_, f)| f.clone()).collect();
            let kept = Arc::clone(&web.kept);
            let gone = Gone::default();
            let cancel = gone.cancel();
            let ran = web
                .ask(move |service| {
                    let reporter = Arc::new(Silent);
                    let ran = service.run_on(&person, &tool, input, &files, reporter, cancel);
                    Ok(ran.map(|ran| shown(&ran, &kept)))
                })
                .await?;
            drop(gone);
            match ran {
                Ok(view) => result = Some(view),
                Err(e) => problem = Some(refusal(&e)),
            }
            let status = if problem.is_some() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::OK
            };
            (status, fields)
        }
    };
    if headers.contains_key("hx-request") {
        let part = TriedPart {
            result,
            problem,
            fields,
        };
        // A part is put into the page whatever it says.
        return Ok(html(StatusCode::OK, &part)?);
    }
    let mut page = page(view, sent.visitor.clone());
    (page.result, page.problem, page.fields) = (result, problem, fields);
    Ok(html(status, &page)?)
}

fn refusal(error: &ServiceError) -> (String, String) {
    (line(&chain(error)), line(&error.hint()))
}

fn shown(ran: &Ran, kept: &crate::kept::Kept) -> ResultView {
    let result = &ran.invocation.result;
    let artifacts = result.artifacts.iter().map(|a| {
        let read = std::fs::read(ran.artifacts.path().join(&a.name)).ok();
        let item = read.and_then(|bytes| kept.keep(&a.name, "application/octet-stream", bytes));
        let place = item
            .and_then(|i| i.uri.split("/results/").nth(1).map(str::to_owned))
            .unwrap_or_default();
        (line(&a.name), place, bytes(a.bytes))
    });
    let output = result.output.as_ref();
    let output = output.and_then(|o| serde_json::to_string_pretty(o).ok());
    let error = result.error.as_ref().map(|e| {
        let at = e.line.map(|l| format!(" (line {l})")).unwrap_or_default();
        line(&format!("{}: {}{at}", e.kind, e.message))
    });
    ResultView {
        outcome: result.outcome.as_str(),
        ok: result.outcome == Outcome::Ok,
        output: coloured(&output.unwrap_or_default(), Language::Json),
        stdout: lines(&result.stdout),
        stderr: lines(&result.stderr),
        error: error.unwrap_or_default(),
        ms: format!("{:.1}", result.runtime_ms),
        memory: bytes(result.usage.max_rss_kib << 10),
        layers: result.layers.iter().map(|l| l.as_str()).collect(),
        artifacts: artifacts.collect(),
    }
}

/// A file that a tool produced: handed on as it is, opened by nothing.
async fn result(
    State(web): State<Arc<Web>>,
    _visitor: Visitor,
    At((n, name)): At<(u64, String)>,
) -> Result<Response, WebError> {
    let item = web.kept.find(&format!("handaxe://results/{n}/{name}"));
    let item = item.ok_or_else(|| WebError::NotFound("such file any more".to_owned()))?;
    let plain = crate::service::plain(&item.name, 0);
    let attached = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\""));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (
            header::CONTENT_DISPOSITION,
            attached.unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    Ok((headers, item.bytes.to_vec()).into_response())
}

#[derive(Template)]
#[template(path = "diff.html")]
struct DiffPage {
    page: Page,
    name: String,
    from: u32,
    to: u32,
    /// Each, and whether it is the one compared from and the one compared to.
    versions: Vec<(u32, bool, bool)>,
    diffs: Vec<Columns>,
    scores: Vec<(String, String, String)>,
}

async fn diff(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    At(name): At<String>,
    Asked(two): Asked<Two>,
) -> Result<Response, WebError> {
    let name = named(&name)?;
    let asked = name.clone();
    let (found, versions) = web
        .ask(move |service| {
            let found = service.version_diff(&asked, Version(two.from), Version(two.to))?;
            Ok((found, service.registry().versions(&asked)?))
        })
        .await?;
    let columns = [
        ("Code", &found.code),
        ("Promise, capabilities, limits", &found.promise),
        ("Input schema", &found.input_schema),
        ("Output schema", &found.output_schema),
    ];
    let value = |v: &Option<String>| v.as_ref().map_or_else(|| "–".to_owned(), |v| line(v));
    let page = DiffPage {
        page: Page::new(
            Room::Gallery,
            visitor,
            format!("{name}: {} and {}", two.from, two.to),
        ),
        name: name.to_string(),
        from: two.from,
        to: two.to,
        versions: versions
            .iter()
            .map(|v| v.version.0)
            .map(|v| (v, v == two.from, v == two.to))
            .collect(),
        diffs: columns
            .into_iter()
            .map(|(title, diff)| Columns::of(title, diff))
            .collect(),
        scores: found
            .scores
            .iter()
            .map(|s| (s.name.replace('_', " "), value(&s.from), value(&s.to)))
            .collect(),
    };
    Ok(html(StatusCode::OK, &page)?)
}
