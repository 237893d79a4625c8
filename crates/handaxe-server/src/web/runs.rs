//! Runs: asked from the browser, watched as they go on, stopped and taken up again.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use handaxe_agent::Goal;
use handaxe_types::{Reporter, RunId, RunState, Silent};
use serde::Deserialize;

use super::Web;
use super::error::WebError;
use super::page::{Page, Room, html};
use super::parts::{When, line};
use super::run_shown::{LiveShown, RunShown, state_word};
use super::session::Visitor;
use super::upload::{MAX_UPLOAD_BYTES, Uploaded};
use super::visit::Posted;
use crate::api::MAX_QUESTION_CHARS;
use crate::follow::{News, follow};
use crate::jobs::Job;
use crate::library::RunQuery;
use crate::service::{Ask, Service, ServiceError};

/// Runs on one page.
const PAGE: u32 = 30;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route(
            "/runs",
            get(list)
                .post(start)
                .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES)),
        )
        .route("/runs/{run}", get(show))
        .route("/runs/{run}/events", get(events))
        .route("/runs/{run}/cancel", post(cancel))
        .route("/runs/{run}/resume", post(resume))
        .route("/runs/{run}/while-waiting", post(while_waiting))
}

#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    before: String,
}

struct Choice {
    word: &'static str,
    chosen: bool,
}

struct Line {
    id: String,
    question: String,
    word: &'static str,
    tone: &'static str,
    route: String,
    stopped_by: String,
    begun: When,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    page: Page,
    asked: Asked,
    states: Vec<Choice>,
    runs: Vec<Line>,
    next: Option<String>,
    /// What was typed into the form before it was refused, and why it was.
    typed: String,
    problem: Option<String>,
    has_roots: bool,
    most_mib: usize,
}

async fn list(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, WebError> {
    listed(&web, visitor, asked, None).await
}

/// The list, with what was wrong about a question and the question itself.
async fn listed(
    web: &Arc<Web>,
    visitor: Visitor,
    asked: Asked,
    refused: Option<(String, String)>,
) -> Result<Response, WebError> {
    let state = RunState::ALL.iter().find(|s| s.as_str() == asked.state);
    let query = RunQuery {
        state: state.copied(),
        text: Some(asked.q.clone()),
        before: RunId::parse(&asked.before),
        limit: PAGE,
    };
    let (found, has_roots) = web
        .ask(move |s| Ok((s.runs(&query)?, s.has_roots())))
        .await?;
    let status = if refused.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let (typed, problem) = refused.map_or((String::new(), None), |(t, p)| (t, Some(p)));
    let page = RunsPage {
        page: Page::new(Room::Runs, visitor, "Runs"),
        states: RunState::ALL
            .iter()
            .map(|s| Choice {
                word: s.as_str(),
                chosen: state == Some(s),
            })
            .collect(),
        runs: found
            .runs
            .into_iter()
            .map(|run| {
                let (word, tone) = state_word(run.state, run.live);
                Line {
                    id: run.id.to_string(),
                    question: line(&run.question),
                    word,
                    tone,
                    route: run.route.unwrap_or_default(),
                    stopped_by: run.stopped_by.unwrap_or_default().replace('_', " "),
                    begun: When::of(run.created_ms),
                }
            })
            .collect(),
        next: found.next.map(|id| id.to_string()),
        asked,
        typed,
        problem,
        has_roots,
        most_mib: MAX_UPLOAD_BYTES >> 20,
    };
    Ok(html(status, &page)?)
}

/// A question with its files.
async fn start(State(web): State<Arc<Web>>, form: Uploaded) -> Result<Response, WebError> {
    let text = |name: &str| {
        let found = form.fields.iter().find(|(n, _)| n == name);
        found
            .map(|(_, text)| text.trim().to_owned())
            .unwrap_or_default()
    };
    let question = text("question");
    let refuse = |problem: &str| Some((question.clone(), problem.to_owned()));
    let refused = if question.is_empty() {
        refuse("Say what you want to know.")
    } else if question.chars().count() > MAX_QUESTION_CHARS {
        refuse("That is too long for a question.")
    } else {
        None
    };
    let visitor = form.visitor.clone();
    if refused.is_some() {
        return listed(&web, visitor, Asked::default(), refused).await;
    }
    let ask = Ask {
        goal: match text("want").as_str() {
            "make" => Goal::Make,
            "plan" => Goal::Plan,
            _ => Goal::Answer,
        },
        paths: text("paths")
            .lines()
            .map(|l| l.trim().to_owned())
            .filter(|l| !l.is_empty())
            .collect(),
        files: form.files.iter().map(|(_, file)| file.clone()).collect(),
        question: question.clone(),
    };
    let person = visitor.person.clone();
    let begun = web
        .ask(move |s| {
            Ok(s.ask(&person, ask, Arc::new(Silent))
                .map(|job| job.run.clone()))
        })
        .await?;
    // The files are gone with the form: not before they were kept.
    drop(form);
    match begun {
        Ok(run) => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
        Err(error) => {
            let problem = format!("{error}. {}.", error.hint());
            listed(&web, visitor, Asked::default(), Some((question, problem))).await
        }
    }
}

fn run_id(text: &str) -> Result<RunId, WebError> {
    RunId::parse(text).ok_or_else(|| WebError::NotFound("such run".to_owned()))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    page: Page,
    csrf: String,
    run: RunShown,
    live: Option<LiveShown>,
}

/// The state and what can be done now.
#[derive(Template)]
#[template(path = "run_state.html")]
struct StatePart<'a> {
    csrf: &'a str,
    run: &'a RunShown,
}

#[derive(Template)]
#[template(path = "run_live.html")]
struct LivePart {
    live: Option<LiveShown>,
}

#[derive(Template)]
#[template(path = "run_timeline.html")]
struct TimelinePart<'a> {
    run: &'a RunShown,
}

async fn shown(web: &Arc<Web>, id: RunId) -> Result<(RunShown, Option<LiveShown>), WebError> {
    web.ask(move |s| {
        let live = s.live(&id);
        let here = live.is_some();
        Ok((
            RunShown::of(s.run_view(&id)?, here),
            live.as_ref().map(LiveShown::of),
        ))
    })
    .await
}

async fn show(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let (run, live) = shown(&web, run_id(&id)?).await?;
    let csrf = visitor.csrf.clone();
    let page = RunPage {
        page: Page::new(Room::Runs, visitor, run.question_start.clone()),
        csrf,
        run,
        live,
    };
    Ok(html(StatusCode::OK, &page)?)
}

/// The page's own parts, drawn anew as the run goes on.
async fn events(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, WebError> {
    let id = run_id(&id)?;
    let permit = web.watcher()?;
    let (_, _) = shown(&web, id.clone()).await?;
    let news = follow(web.service(), id.clone(), 0, web.stop.clone());
    let drawn = news
        .then(move |batch| {
            let (web, id, csrf) = (Arc::clone(&web), id.clone(), visitor.csrf.clone());
            async move { draw(&web, id, &csrf, batch).await }
        })
        .flat_map(futures_util::stream::iter)
        .map(move |event| {
            let _held = &permit;
            Ok::<_, Infallible>(event)
        });
    Ok(Sse::new(drawn)
        .keep_alive(sse::KeepAlive::default())
        .into_response())
}

async fn draw(web: &Arc<Web>, id: RunId, csrf: &str, batch: Vec<News>) -> Vec<sse::Event> {
    let mut events = Vec::new();
    let live = batch.iter().rev().find_map(|news| match news {
        News::Live(live) => Some(LiveShown::of(live)),
        _ => None,
    });
    let ended = batch.iter().any(|n| matches!(n, News::Ended(_)));
    if live.is_some() || ended {
        let live = live.filter(|_| !ended);
        events.extend(part("live", LivePart { live }.render()));
    }
    if batch.iter().any(|n| !matches!(n, News::Live(_)))
        && let Ok((run, _)) = shown(web, id).await
    {
        let state = StatePart { csrf, run: &run };
        events.extend(part("state", state.render()));
        events.extend(part("timeline", TimelinePart { run: &run }.render()));
    }
    if ended {
        events.push(sse::Event::default().event("ended").data(""));
    }
    events
}

fn part(name: &str, drawn: Result<String, askama::Error>) -> Option<sse::Event> {
    // A carriage return would end the line of the stream.
    let text = drawn.ok()?.replace('\r', "&#13;");
    Some(sse::Event::default().event(name).data(text))
}

#[derive(Deserialize)]
struct Nothing {}

async fn cancel(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    posted: Posted<Nothing>,
) -> Result<Response, WebError> {
    let Nothing {} = posted.form;
    let id = run_id(&id)?;
    let back = format!("/runs/{id}");
    web.ask(move |s| s.cancel(&id)).await?;
    Ok(Redirect::to(&back).into_response())
}

async fn resume(
    web: State<Arc<Web>>,
    id: Path<String>,
    posted: Posted<Nothing>,
) -> Result<Response, WebError> {
    go_on(web, id, posted, Service::resume).await
}

/// A person's word that the tool which waits be used once for this run.
async fn while_waiting(
    web: State<Arc<Web>>,
    id: Path<String>,
    posted: Posted<Nothing>,
) -> Result<Response, WebError> {
    go_on(web, id, posted, Service::use_while_waiting).await
}

/// How a run is taken up, for a person.
type TakeUp = fn(&Service, &str, &RunId, Arc<dyn Reporter>) -> Result<Arc<Job>, ServiceError>;

async fn go_on(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    posted: Posted<Nothing>,
    take_up: TakeUp,
) -> Result<Response, WebError> {
    let Nothing {} = posted.form;
    let id = run_id(&id)?;
    let back = format!("/runs/{id}");
    let person = posted.visitor.person;
    web.ask(move |s| take_up(s, &person, &id, Arc::new(Silent)).map(drop))
        .await?;
    Ok(Redirect::to(&back).into_response())
}
