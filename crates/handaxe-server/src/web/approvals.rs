//! What waits for a person, and the person's word. A decision is a form that holds the digest of
//! what was shown; where that is no longer what waits, nothing is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use handaxe_agent::{Card, Concern, limit_words, may_use, proof_words};
use handaxe_registry::ApprovalDetail;
use handaxe_types::text::clip;
use handaxe_types::{ApprovalId, ApprovalState, Digest, ToolDigest};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Web;
use super::code::{Language, Line, coloured};
use super::diff::Columns;
use super::error::{WebError, chain};
use super::page::{Page, Room, html};
use super::parts::{When, line, lines};
use super::session::Visitor;
use super::tool::{CaseRow, Score};
use super::visit::{At, Posted};
use crate::decisions::{DecideError, OfferedKey, Seen, Signing, Waiting};

/// Failed examples that the card shows.
const EXAMPLES: usize = 10;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/approvals", get(queue))
        .route("/approvals/batch", post(batch))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/reject", post(reject))
}

struct Entry {
    id: i64,
    title: String,
    why: String,
    description: String,
    author: String,
    concerns: Vec<String>,
    proof: String,
    digest: String,
    made: When,
    expires: When,
    batch: bool,
    used_once: Option<String>,
}

impl Entry {
    fn of(waiting: &Waiting, batches: bool) -> Self {
        let (card, request) = (&waiting.card, &waiting.card.request);
        Self {
            id: request.id.0,
            title: card.title(),
            why: line(&request.why),
            description: line(&card.draft.spec.description),
            author: line(&waiting.author),
            concerns: waiting.why.iter().map(|w| line(w)).collect(),
            proof: proof_words(&card.verdict),
            digest: request.subject.to_string(),
            made: When::of(request.created_ms),
            expires: When::of(request.expires_ms),
            batch: batches && waiting.concern == Concern::Plain,
            used_once: card.used_once().map(|w| line(&w)),
        }
    }
}

struct Group {
    title: &'static str,
    class: &'static str,
    entries: Vec<Entry>,
}

struct DecidedRow {
    id: i64,
    title: String,
    state: &'static str,
    by: String,
    at: Option<When>,
}

/// How a yes is said here.
struct How {
    signs: bool,
    keys: Vec<OfferedKey>,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct QueuePage {
    page: Page,
    groups: Vec<Group>,
    waiting: usize,
    batch: usize,
    how: How,
    decided: Vec<DecidedRow>,
    /// The policy allows one use before the yes.
    while_waiting: bool,
}

async fn queue(State(web): State<Arc<Web>>, visitor: Visitor) -> Result<Response, WebError> {
    let (waiting, batches, all, how, while_waiting) = web
        .decide(|service| {
            let waiting = service.queue()?;
            let all = service.registry().approvals(None)?;
            let while_waiting = service.policy().approval.while_waiting_minutes > 0;
            let how = how(service)?;
            Ok((waiting, service.batches(), all, how, while_waiting))
        })
        .await?;
    let groups: Vec<Group> = Concern::ALL
        .into_iter()
        .map(|concern| Group {
            title: concern.title(),
            class: match concern {
                Concern::Close => "close",
                Concern::Ordinary => "ordinary",
                Concern::Plain => "plain",
            },
            entries: waiting
                .iter()
                .filter(|w| w.concern == concern)
                .map(|w| Entry::of(w, batches))
                .collect(),
        })
        .filter(|group| !group.entries.is_empty())
        .collect();
    let decided = all
        .iter()
        .filter(|a| a.request.state != ApprovalState::Waiting)
        .take(20)
        .map(|a| DecidedRow {
            id: a.request.id.0,
            title: format!("{}@{}", a.request.tool, a.request.version),
            state: a.request.state.as_str(),
            by: line(a.approver.as_deref().unwrap_or_default()),
            at: a.decided_ms.map(When::of),
        })
        .collect();
    Ok(html(
        StatusCode::OK,
        &QueuePage {
            page: Page::new(Room::Approvals, visitor, "Approvals"),
            waiting: waiting.len(),
            batch: groups
                .iter()
                .flat_map(|g| &g.entries)
                .filter(|e| e.batch)
                .count(),
            groups,
            how,
            decided,
            while_waiting,
        },
    )?)
}

fn how(service: &crate::service::Service) -> Result<How, DecideError> {
    let signs = service.signs();
    Ok(How {
        keys: if signs {
            service.offered_keys()?
        } else {
            Vec::new()
        },
        signs,
    })
}

struct Example {
    of: String,
    name: String,
    what: String,
    input: String,
    stderr: String,
}

/// How it was decided.
struct Decided {
    state: &'static str,
    by: String,
    method: String,
    at: Option<When>,
    reason: String,
    self_approved: bool,
    /// The request that took its place.
    instead: Option<i64>,
}

#[derive(Template)]
#[template(path = "approval.html")]
struct CardPage {
    page: Page,
    id: i64,
    name: String,
    version: u32,
    digest: String,
    short: String,
    decided: Option<Decided>,
    waits: bool,
    expires: When,
    why: String,
    description: String,
    made_by: String,
    may_use: String,
    limits: String,
    leaves_open: &'static str,
    changed: Option<String>,
    concern: &'static str,
    concern_class: &'static str,
    concerns: Vec<String>,
    self_approval: bool,
    /// It was used while it waited: in words, and the run with the time.
    used_once: Option<String>,
    used_by: Option<(String, When)>,
    proof: String,
    scores: Vec<Score>,
    /// Line, 0 for the whole, and why.
    risks: Vec<(u32, String)>,
    code: Vec<Line>,
    diffs: Vec<Columns>,
    examples: Vec<Example>,
    cases: Vec<CaseRow>,
    plan: Vec<String>,
    run: Option<String>,
    review: Option<(String, String, Vec<String>)>,
    binds: Vec<(String, String)>,
    interpreter: String,
    layers: Vec<&'static str>,
    how: How,
    /// What a decision came to that could not be taken.
    problem: Option<(String, String)>,
    reason: String,
}

async fn show(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    At(id): At<i64>,
) -> Result<Response, WebError> {
    let page = card_page(&web, visitor, ApprovalId(id)).await?;
    Ok(html(StatusCode::OK, &page)?)
}

async fn card_page(web: &Web, visitor: Visitor, id: ApprovalId) -> Result<CardPage, WebError> {
    let (detail, card, how) = web
        .decide(move |service| {
            let (detail, card) = service.request(id)?;
            Ok((detail, card, how(service)?))
        })
        .await?;
    Ok(drawn(visitor, &detail, card, how))
}

fn drawn(visitor: Visitor, detail: &ApprovalDetail, card: Card, how: How) -> CardPage {
    let (concern, concerns) = card.concern();
    let mut why: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for risk in &card.risks {
        let reasons = risk.why.iter().map(|w| line(w));
        why.entry(risk.line as usize).or_default().extend(reasons);
    }
    let reasons = |n: usize| why.get(&n).cloned().unwrap_or_default();
    let mut code = coloured(&card.draft.code, Language::Python);
    for row in &mut code {
        row.why = reasons(row.n);
    }
    let diffs = card.diffs.iter().map(|d| {
        let mut columns = Columns::of(format!("against {}", d.against), &d.text);
        columns.mark(reasons);
        columns
    });
    let binds = &card.binds;
    let mut bound = vec![
        ("tool".to_owned(), binds.tool.to_string()),
        ("code".to_owned(), binds.code.to_string()),
        (
            "schemas, limits, capabilities".to_owned(),
            binds.spec.to_string(),
        ),
    ];
    for (name, digest) in &binds.assets {
        bound.push((format!("asset {}", line(name)), digest.to_string()));
    }
    bound.push(("sandbox profile".to_owned(), binds.profile.to_string()));
    let request = &detail.request;
    CardPage {
        page: Page::new(Room::Approvals, visitor, format!("Approval {}", request.id)),
        id: request.id.0,
        name: request.tool.to_string(),
        version: request.version.0,
        digest: request.subject.to_string(),
        short: request.subject.0.short(),
        waits: request.state == ApprovalState::Waiting,
        decided: (request.state != ApprovalState::Waiting).then(|| decided(detail)),
        expires: When::of(request.expires_ms),
        why: line(&request.why),
        description: line(&card.draft.spec.description),
        made_by: line(&card.made_by()),
        may_use: may_use(&card.draft.spec.capabilities),
        limits: limit_words(&card.draft.spec.limits),
        leaves_open: card.leaves_open(),
        changed: card.changed(),
        concern: concern.title(),
        concern_class: match concern {
            Concern::Close => "close",
            Concern::Ordinary => "ordinary",
            Concern::Plain => "plain",
        },
        concerns: concerns.iter().map(|c| line(c)).collect(),
        self_approval: card.self_approval,
        used_once: card.used_once().map(|w| line(&w)),
        used_by: (card.provisional.as_ref()).map(|u| (u.run.to_string(), When::of(u.at_ms))),
        proof: proof_words(&card.verdict),
        scores: card.verdict.card.iter().map(Score::of).collect(),
        risks: card
            .risks
            .iter()
            .map(|r| (r.line, line(&r.why.join("; "))))
            .collect(),
        code,
        diffs: diffs.collect(),
        examples: card
            .failing
            .iter()
            .take(EXAMPLES)
            .map(|e| Example {
                of: line(&e.of),
                name: line(&e.name),
                what: line(&e.what),
                input: e
                    .input
                    .as_ref()
                    .map(|i| line(&clip(&i.to_string(), 600)))
                    .unwrap_or_default(),
                stderr: lines(&clip(&e.stderr, 2_000)),
            })
            .collect(),
        cases: card
            .cases
            .iter()
            .map(|c| CaseRow::of(c, &card.draft.cases))
            .collect(),
        plan: card.plan.iter().map(|s| line(s)).collect(),
        run: request.run.as_ref().map(ToString::to_string),
        review: card.verdict.review.as_ref().map(|r| {
            let objections = r
                .objections
                .iter()
                .map(|o| line(&format!("line {}: {}", o.line, o.reason)));
            let absent = r.absent.as_ref().map(|a| line(a));
            (
                line(&r.model),
                absent.unwrap_or_else(|| line(&r.summary)),
                objections.collect(),
            )
        }),
        binds: bound,
        interpreter: line(&card.interpreter),
        layers: card.layers.iter().map(|l| l.as_str()).collect(),
        how,
        problem: None,
        reason: String::new(),
    }
}

fn decided(detail: &ApprovalDetail) -> Decided {
    Decided {
        state: detail.request.state.as_str(),
        by: line(detail.approver.as_deref().unwrap_or_default()),
        method: detail.method.clone().unwrap_or_default().replace('_', " "),
        at: detail.decided_ms.map(When::of),
        reason: line(detail.reason.as_deref().unwrap_or_default()),
        self_approved: detail.self_approved,
        instead: detail.superseded_by.map(|id| id.0),
    }
}

/// The decision's form. The passphrase is wiped when the request ends.
#[derive(Deserialize)]
struct Yes {
    digest: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    passphrase: Zeroizing<String>,
}

#[derive(Deserialize)]
struct No {
    digest: String,
    #[serde(default)]
    reason: String,
}

fn seen(id: i64, digest: &str) -> Result<Seen, WebError> {
    Ok(Seen {
        id: ApprovalId(id),
        digest: ToolDigest(
            Digest::parse(digest).map_err(|_| WebError::Form("the digest is none"))?,
        ),
    })
}

fn signing(key: &str, passphrase: Zeroizing<String>) -> Option<Signing> {
    let key = Digest::parse(key).ok()?;
    (!passphrase.is_empty()).then_some(Signing { key, passphrase })
}

async fn approve(
    State(web): State<Arc<Web>>,
    At(id): At<i64>,
    Posted { visitor, form }: Posted<Yes>,
) -> Result<Response, WebError> {
    let seen = seen(id, &form.digest)?;
    let signing = signing(&form.key, form.passphrase);
    let person = visitor.person.clone();
    let done = web
        .decide(move |service| service.approve(&person, seen, signing.as_ref()))
        .await;
    answer(&web, visitor, seen, done.map(|_| ()), String::new()).await
}

async fn reject(
    State(web): State<Arc<Web>>,
    At(id): At<i64>,
    Posted { visitor, form }: Posted<No>,
) -> Result<Response, WebError> {
    let seen = seen(id, &form.digest)?;
    let person = visitor.person.clone();
    let reason = form.reason.clone();
    let done = web
        .decide(move |service| service.reject(&person, seen, &reason))
        .await;
    answer(&web, visitor, seen, done, form.reason).await
}

/// After a decision the card as it is now; after a refusal what was refused and why.
async fn answer(
    web: &Web,
    visitor: Visitor,
    seen: Seen,
    done: Result<(), WebError>,
    reason: String,
) -> Result<Response, WebError> {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/approvals/{}", seen.id)).into_response()),
        Err(WebError::Decide(DecideError::Stale { now, seen })) => {
            let page = StalePage {
                page: Page::new(Room::Approvals, visitor, "Not decided"),
                id: now.request.id.0,
                title: format!("{}@{}", now.request.tool, now.request.version),
                shown: seen.to_string(),
                now: now.request.subject.to_string(),
                decided: (now.request.state != ApprovalState::Waiting).then(|| decided(&now)),
            };
            Ok(html(StatusCode::CONFLICT, &page)?)
        }
        Err(WebError::Decide(error)) if !matches!(error, DecideError::NotFound(_)) => {
            let mut page = card_page(web, visitor, seen.id).await?;
            page.problem = Some((line(&chain(&error)), line(&error.hint())));
            page.reason = reason;
            Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page)?)
        }
        Err(other) => Err(other),
    }
}

/// What was shown is not what waits.
#[derive(Template)]
#[template(path = "stale.html")]
struct StalePage {
    page: Page,
    id: i64,
    title: String,
    shown: String,
    now: String,
    decided: Option<Decided>,
}

#[derive(Template)]
#[template(path = "batch.html")]
struct BatchPage {
    page: Page,
    /// Approval, and why it was not approved.
    outcomes: Vec<(i64, Option<String>)>,
}

async fn batch(
    State(web): State<Arc<Web>>,
    Posted { visitor, form }: Posted<Vec<(String, Zeroizing<String>)>>,
) -> Result<Response, WebError> {
    let mut picked = Vec::new();
    let (mut key, mut passphrase) = (String::new(), Zeroizing::default());
    for (name, value) in form {
        match name.as_str() {
            "pick" => {
                let (id, digest) = value
                    .split_once(':')
                    .ok_or(WebError::Form("a choice is none"))?;
                let id = id.parse().map_err(|_| WebError::Form("a choice is none"))?;
                picked.push(seen(id, digest)?);
            }
            "key" => key = value.to_string(),
            "passphrase" => passphrase = value,
            _ => {}
        }
    }
    if picked.is_empty() {
        return Err(WebError::Form("nothing was chosen"));
    }
    let signing = signing(&key, passphrase);
    let person = visitor.person.clone();
    let outcomes = web
        .decide(move |service| service.approve_batch(&person, &picked, signing.as_ref()))
        .await?;
    let page = BatchPage {
        page: Page::new(Room::Approvals, visitor, "Decided"),
        outcomes: outcomes
            .into_iter()
            .map(|(id, done)| (id.0, done.err().map(|e| line(&chain(&e)))))
            .collect(),
    };
    Ok(html(StatusCode::OK, &page)?)
}
