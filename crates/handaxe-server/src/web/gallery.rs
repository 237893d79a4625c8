//! The library at a glance: a card a tool.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use handaxe_types::ToolState;
use serde::Deserialize;

use super::Web;
use super::error::WebError;
use super::page::{Page, Room, html};
use super::parts::{Bars, When, line, percent};
use super::session::Visitor;
use super::visit::Asked;
use crate::library::{Proof, ToolCard, ToolQuery, ToolSort};

/// Cards on one page.
const PAGE: usize = 24;

pub(crate) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/", get(gallery))
}

/// As the address says it; what it does not know filters nothing.
#[derive(Clone, Debug, Default, Deserialize)]
struct Filters {
    #[serde(default)]
    q: String,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    sort: String,
    /// From 1.
    #[serde(default)]
    page: String,
}

const STATES: [ToolState; 6] = [
    ToolState::Active,
    ToolState::Pending,
    ToolState::Deprecated,
    ToolState::Retired,
    ToolState::Quarantined,
    ToolState::Revoked,
];

const SORTS: [(&str, &str, ToolSort); 5] = [
    ("", "Best match", ToolSort::Best),
    ("name", "Name", ToolSort::Name),
    ("newest", "Newest", ToolSort::Newest),
    ("used", "Most used", ToolSort::MostUsed),
    ("recent", "Last used", ToolSort::LastUsed),
];

impl Filters {
    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, 10_000)
    }

    fn query(&self) -> ToolQuery {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let sort = SORTS.iter().find(|(word, ..)| *word == self.sort);
        ToolQuery {
            text: some(self.q.trim()),
            domain: some(&self.domain),
            state: STATES.into_iter().find(|s| s.as_str() == self.state),
            author: some(&self.author),
            sort: sort.map_or(ToolSort::Best, |(.., sort)| *sort),
            offset: (self.page() - 1) * PAGE,
            limit: PAGE,
        }
    }

    /// The same list, at another page.
    fn at(&self, page: usize) -> String {
        let pairs = [
            ("q", &self.q),
            ("domain", &self.domain),
            ("state", &self.state),
            ("author", &self.author),
            ("sort", &self.sort),
            ("page", &page.to_string()),
        ];
        let given: Vec<_> = pairs.into_iter().filter(|(_, v)| !v.is_empty()).collect();
        format!(
            "/?{}",
            serde_urlencoded::to_string(given).unwrap_or_default()
        )
    }

    fn filtered(&self) -> bool {
        ![&self.q, &self.domain, &self.state, &self.author]
            .iter()
            .all(|v| v.is_empty())
    }
}

/// One choice of a filter.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

struct Filter {
    name: &'static str,
    label: &'static str,
    choices: Vec<Choice>,
}

impl Filter {
    fn of(
        name: &'static str,
        label: &'static str,
        counts: &BTreeMap<String, usize>,
        asked: &str,
    ) -> Self {
        let all = Choice {
            value: String::new(),
            label: "All".to_owned(),
            chosen: asked.is_empty(),
        };
        let each = counts.iter().map(|(value, n)| Choice {
            value: value.clone(),
            label: format!("{} ({n})", line(value)),
            chosen: value == asked,
        });
        Self {
            name,
            label,
            choices: std::iter::once(all).chain(each).collect(),
        }
    }
}

/// A proof in a few words.
pub(crate) struct Chip {
    pub(crate) text: String,
    pub(crate) title: String,
    pub(crate) good: bool,
}

pub(crate) fn chips(proof: &Proof) -> Vec<Chip> {
    let mut chips = vec![Chip {
        text: format!("{}/{} cases", proof.cases_passed, proof.cases),
        title: format!("{} of them its author never saw", proof.held_out),
        good: proof.cases > 0 && proof.cases_passed == proof.cases,
    }];
    if let Some(rate) = proof.kill_rate {
        chips.push(Chip {
            text: format!("{} mutants killed", percent(rate)),
            title: "changes to its code that the cases noticed".to_owned(),
            good: rate >= 0.7,
        });
    }
    if let Some(lines) = proof.line_coverage {
        chips.push(Chip {
            text: format!("{} lines reached", percent(lines)),
            title: "lines of code that the cases ran".to_owned(),
            good: lines >= 0.8,
        });
    }
    if proof.warnings > 0 {
        chips.push(Chip {
            text: match proof.warnings {
                1 => "1 warning".to_owned(),
                n => format!("{n} warnings"),
            },
            title: "the tool's page shows them".to_owned(),
            good: false,
        });
    }
    chips
}

struct Card {
    name: String,
    version: u32,
    versions: usize,
    state: &'static str,
    description: String,
    domain: String,
    author: String,
    chips: Vec<Chip>,
    bars: Bars,
    calls: u64,
    last_used: Option<When>,
}

impl Card {
    fn of(tool: ToolCard) -> Self {
        Self {
            chips: chips(&tool.proof),
            bars: Bars::small(&tool.recent),
            name: tool.name.to_string(),
            version: tool.version.0,
            versions: tool.versions,
            state: tool.state.as_str(),
            description: line(&tool.description),
            domain: line(&tool.domain),
            author: line(&tool.author),
            calls: tool.calls,
            last_used: tool.last_used_ms.map(When::of),
        }
    }
}

#[derive(Template)]
#[template(path = "gallery.html")]
struct GalleryPage {
    page: Page,
    asked: String,
    filters: Vec<Filter>,
    sorts: Vec<Choice>,
    cards: Vec<Card>,
    total: usize,
    /// Something was asked for, so that nothing found is not an empty library.
    filtered: bool,
    before: Option<String>,
    after: Option<String>,
}

async fn gallery(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    Asked(asked): Asked<Filters>,
) -> Result<Response, WebError> {
    let query = asked.query();
    let list = web.ask(move |service| service.list_tools(&query)).await?;
    let page = asked.page();
    let more = page * PAGE < list.total;
    Ok(html(
        StatusCode::OK,
        &GalleryPage {
            page: Page::new(Room::Gallery, visitor, "Gallery"),
            filters: vec![
                Filter::of("domain", "Domain", &list.domains, &asked.domain),
                Filter::of("state", "State", &list.states, &asked.state),
                Filter::of("author", "Author", &list.authors, &asked.author),
            ],
            sorts: SORTS
                .iter()
                .map(|(value, label, _)| Choice {
                    value: (*value).to_owned(),
                    label: (*label).to_owned(),
                    chosen: asked.sort == *value,
                })
                .collect(),
            cards: list.tools.into_iter().map(Card::of).collect(),
            total: list.total,
            filtered: asked.filtered(),
            before: (page > 1).then(|| asked.at(page - 1)),
            after: more.then(|| asked.at(page + 1)),
            asked: asked.q,
        },
    )?)
}
