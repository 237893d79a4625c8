//! Which tools help, which are not used, which are slow or fail.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Web;
use super::error::WebError;
use super::page::{Page, Room, html};
use super::parts::{Bars, When, count, line, percent, seconds};
use super::session::Visitor;
use crate::library::{Insight, ToolWorth, UsageDay};

/// Periods that can be chosen, in days.
const PERIODS: [i64; 3] = [7, 30, 90];
/// Tools of the first table.
const MOST_HELPFUL: usize = 25;
/// The scale of response times, in milliseconds: a tenth to a hundred seconds, by powers of ten.
const TIMES_MS: (f64, f64) = (0.1, 100_000.0);

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/insight", get(show))
}

#[derive(Deserialize)]
struct Asked {
    days: Option<String>,
}

struct Period {
    days: i64,
    chosen: bool,
}

struct Helpful {
    tool: Named,
    calls: String,
    success: String,
    occasions: String,
    tokens: String,
    time: String,
    build: String,
    /// Of the best of the table, in per cent.
    bar: String,
}

struct Named {
    name: String,
    version: u32,
    state: &'static str,
}

struct Timed {
    tool: Named,
    calls: String,
    success: String,
    p50: String,
    p95: String,
    /// From the median to the 95th percentile, in per cent of the scale.
    from: String,
    width: String,
    notes: Vec<(&'static str, &'static str)>,
}

struct Unused {
    tool: Named,
    author: String,
    made: When,
    build: String,
}

struct Day {
    date: String,
    calls: u64,
    ok: u64,
}

#[derive(Template)]
#[template(path = "insight.html")]
struct InsightPage {
    page: Page,
    periods: Vec<Period>,
    days: i64,
    figures: Vec<(String, &'static str)>,
    chart: String,
    by_day: Vec<Day>,
    helpful: Vec<Helpful>,
    by_tokens: bool,
    timed: Vec<Timed>,
    unused: Vec<Unused>,
    tools: usize,
}

async fn show(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, WebError> {
    let wanted = asked.days.and_then(|d| d.parse().ok());
    let days = PERIODS
        .into_iter()
        .find(|d| Some(*d) == wanted)
        .unwrap_or(30);
    let found = web.ask(move |s| s.insight(days)).await?;
    let page = drawn(Page::new(Room::Insight, visitor, "Insight"), found)?;
    Ok(html(StatusCode::OK, &page)?)
}

fn drawn(page: Page, found: Insight) -> Result<InsightPage, askama::Error> {
    let success = match found.calls {
        0 => "–".to_owned(),
        calls => percent(found.ok as f64 / calls as f64),
    };
    let by_tokens = found.saved_tokens > 0;
    let worth = |t: &ToolWorth| {
        if by_tokens {
            t.saved_tokens as f64
        } else {
            t.saved_seconds
        }
    };
    let best = found.tools.iter().map(worth).fold(0.0, f64::max);
    let used = found.tools.iter().filter(|t| t.calls > 0);
    Ok(InsightPage {
        page,
        periods: PERIODS
            .into_iter()
            .map(|days| Period {
                days,
                chosen: days == found.days,
            })
            .collect(),
        days: found.days,
        figures: vec![
            (count(found.calls), "calls of approved tools"),
            (success, "of them gave a result"),
            (seconds(found.saved_seconds), "saved"),
            (count(found.saved_tokens), "tokens saved"),
            (seconds(found.build_seconds), "spent on making them"),
            (count(found.build_tokens), "tokens spent on making them"),
        ],
        chart: Bars::wide(&found.by_day).render()?,
        by_day: found
            .by_day
            .iter()
            .filter(|d| d.calls > 0)
            .map(Day::of)
            .collect(),
        helpful: used
            .clone()
            .take(MOST_HELPFUL)
            .map(|t| Helpful::of(t, if best > 0.0 { worth(t) / best } else { 0.0 }))
            .collect(),
        by_tokens,
        timed: slowest(used.collect()),
        unused: found
            .tools
            .iter()
            .filter(|t| t.unused)
            .map(Unused::of)
            .collect(),
        tools: found.tools.len(),
    })
}

/// What is failing or slow first, then by time.
fn slowest(mut tools: Vec<&ToolWorth>) -> Vec<Timed> {
    tools.sort_by(|a, b| {
        let rank = |t: &ToolWorth| (t.failing, t.slow);
        let time = |t: &ToolWorth| t.p95_ms.unwrap_or_default();
        rank(b).cmp(&rank(a)).then(time(b).total_cmp(&time(a)))
    });
    tools
        .into_iter()
        .take(MOST_HELPFUL)
        .map(Timed::of)
        .collect()
}

impl Named {
    fn of(tool: &ToolWorth) -> Self {
        Self {
            name: tool.name.to_string(),
            version: tool.version.0,
            state: tool.state.as_str(),
        }
    }
}

fn success(tool: &ToolWorth) -> String {
    tool.success.map_or_else(|| "–".to_owned(), percent)
}

fn build(tool: &ToolWorth) -> String {
    let attempts = match tool.attempts {
        0 | 1 => String::new(),
        n => format!(", {n} attempts"),
    };
    match tool.build_tokens {
        0 => format!("{}{attempts}", seconds(tool.build_seconds)),
        n => format!(
            "{}, {} tokens{attempts}",
            seconds(tool.build_seconds),
            count(n)
        ),
    }
}

impl Helpful {
    fn of(tool: &ToolWorth, share: f64) -> Self {
        Self {
            tool: Named::of(tool),
            calls: count(tool.calls),
            success: success(tool),
            occasions: count(tool.occasions),
            tokens: count(tool.saved_tokens),
            time: seconds(tool.saved_seconds),
            build: build(tool),
            bar: format!("{:.1}", share * 100.0),
        }
    }
}

impl Timed {
    fn of(tool: &ToolWorth) -> Self {
        let ms = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), |ms| seconds(ms / 1e3));
        let place = |ms: f64| {
            let (least, most) = (TIMES_MS.0.log10(), TIMES_MS.1.log10());
            let at = ms.max(TIMES_MS.0).min(TIMES_MS.1).log10();
            (at - least) / (most - least) * 100.0
        };
        let (from, to) = (
            tool.p50_ms.map_or(0.0, place),
            tool.p95_ms.map_or(0.0, place),
        );
        let mut notes = Vec::new();
        if tool.failing {
            notes.push(("failing", "bad"));
        }
        if tool.slow {
            notes.push(("slow", "warn"));
        }
        Self {
            tool: Named::of(tool),
            calls: count(tool.calls),
            success: success(tool),
            p50: ms(tool.p50_ms),
            p95: ms(tool.p95_ms),
            from: format!("{from:.1}"),
            // What was measured at all is seen.
            width: format!(
                "{:.1}",
                if tool.p95_ms.is_some() {
                    (to - from).max(1.5)
                } else {
                    0.0
                }
            ),
            notes,
        }
    }
}

impl Unused {
    fn of(tool: &ToolWorth) -> Self {
        Self {
            tool: Named::of(tool),
            author: line(&tool.author),
            made: When::of(tool.created_ms),
            build: build(tool),
        }
    }
}

impl Day {
    fn of(day: &UsageDay) -> Self {
        let date = jiff::Timestamp::from_millisecond(day.day_ms);
        Self {
            date: date.map_or_else(|_| String::new(), |d| d.strftime("%Y-%m-%d").to_string()),
            calls: day.calls,
            ok: day.ok,
        }
    }
}
