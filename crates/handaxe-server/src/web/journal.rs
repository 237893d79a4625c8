//! The journal: what happened, who did it, and whether the record is whole.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use handaxe_types::{Event, EventKind};
use jiff::civil::Date;
use serde::Deserialize;

use super::Web;
use super::error::WebError;
use super::page::{Page, Room, html};
use super::parts::{When, line, lines};
use super::session::Visitor;
use crate::api::journal_file;
use crate::library::{DAY_MS, JournalQuery};

/// Events on one page.
const PAGE: u32 = 50;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/journal", get(list))
        .route("/journal/verification", get(verify))
        .route("/journal/export", get(export))
}

#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    actor: String,
    #[serde(default)]
    subject: String,
    /// Days, as a date field sends them.
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    before: String,
}

struct Choice {
    value: &'static str,
    words: String,
    chosen: bool,
}

struct Line {
    seq: i64,
    at: When,
    kind: String,
    actor: String,
    subject: String,
    /// Where a page tells more.
    link: Option<String>,
    detail: String,
    hash: String,
}

#[derive(Template)]
#[template(path = "journal.html")]
struct JournalPage {
    page: Page,
    asked: Asked,
    filtered: bool,
    kinds: Vec<Choice>,
    events: Vec<Line>,
    next: Option<String>,
}

fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// When a day begins (UTC).
fn day_ms(text: &str) -> Option<i64> {
    let date: Date = text.parse().ok()?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

async fn list(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, WebError> {
    let kind = EventKind::ALL.iter().find(|k| k.as_str() == asked.kind);
    let query = JournalQuery {
        kind: kind.copied(),
        actor: some(&asked.actor),
        subject: some(&asked.subject),
        since_ms: day_ms(&asked.since),
        // The day itself is meant too.
        until_ms: day_ms(&asked.until).map(|ms| ms.saturating_add(DAY_MS)),
        before: asked.before.parse().ok(),
        limit: PAGE,
    };
    let filtered = kind.is_some()
        || query.actor.is_some()
        || query.subject.is_some()
        || query.since_ms.is_some()
        || query.until_ms.is_some();
    let found = web.ask(move |s| s.journal(&query)).await?;
    let next = found.next.map(|seq| {
        let fields = [
            ("kind", asked.kind.as_str()),
            ("actor", &asked.actor),
            ("subject", &asked.subject),
            ("since", &asked.since),
            ("until", &asked.until),
        ];
        let mut fields: Vec<(&str, String)> = fields
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (k, v.to_owned()))
            .collect();
        fields.push(("before", seq.to_string()));
        serde_urlencoded::to_string(&fields).unwrap_or_default()
    });
    let page = JournalPage {
        page: Page::new(Room::Journal, visitor, "Journal"),
        kinds: EventKind::ALL
            .iter()
            .map(|k| Choice {
                value: k.as_str(),
                words: k.as_str().replace('_', " "),
                chosen: kind == Some(k),
            })
            .collect(),
        events: found.events.into_iter().map(Line::of).collect(),
        next,
        filtered,
        asked,
    };
    Ok(html(StatusCode::OK, &page)?)
}

impl Line {
    fn of(event: Event) -> Self {
        Self {
            seq: event.seq,
            at: When::of(event.at_ms),
            kind: line(&event.kind.replace('_', " ")),
            actor: line(&event.actor),
            link: link(&event.subject),
            subject: line(&event.subject),
            detail: lines(&format!("{:#}", event.detail)),
            hash: event.hash.to_string(),
        }
    }
}

fn link(subject: &str) -> Option<String> {
    if handaxe_types::RunId::parse(subject).is_some() {
        return Some(format!("/runs/{subject}"));
    }
    if let Some(id) = subject.strip_prefix("approval ") {
        return id.parse::<u32>().ok().map(|id| format!("/approvals/{id}"));
    }
    let tool: handaxe_types::ToolRef = subject.parse().ok()?;
    let version = tool.version?;
    Some(format!("/tools/{}?v={version}", tool.name))
}

#[derive(Template)]
#[template(path = "verification.html")]
struct VerificationPage {
    page: Page,
    ok: bool,
    events: i64,
    head: Option<(i64, String)>,
    bad: Option<(String, String)>,
    not_ruled_out: Vec<String>,
}

async fn verify(State(web): State<Arc<Web>>, visitor: Visitor) -> Result<Response, WebError> {
    let found = web.ask(|s| Ok(s.registry().verify()?)).await?;
    let page = VerificationPage {
        page: Page::new(Room::Journal, visitor, "Is the journal whole?"),
        ok: found.ok,
        events: found.events,
        head: found.head.map(|h| (h.seq, h.hash.to_string())),
        bad: found.first_bad.map(|b| (line(&b.place), lines(&b.reason))),
        not_ruled_out: found.not_ruled_out,
    };
    Ok(html(StatusCode::OK, &page)?)
}

async fn export(State(web): State<Arc<Web>>, _: Visitor) -> Result<Response, WebError> {
    Ok(journal_file(web.service()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_links() {
        assert_eq!(day_ms("1970-01-02"), Some(DAY_MS));
        for text in ["", "yesterday", "1970-13-01", "99999-01-01"] {
            assert_eq!(day_ms(text), None, "{text}");
        }
        assert_eq!(link("approval 7").as_deref(), Some("/approvals/7"));
        assert_eq!(link("csv_stats@2").as_deref(), Some("/tools/csv_stats?v=2"));
        assert_eq!(link("approval 7/../.."), None);
        assert_eq!(link("network"), None);
    }
}
