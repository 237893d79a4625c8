//! What each page shows, prepared; the templates only lay it out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use askama::Template;
use handaxe_registry::ToolSummary;
use handaxe_types::{Case, Check, ScoreStatus, ToolState};
use serde_json::Value;

use super::Page;
use super::text::{Highlighter, date, visible};

/// Characters of one value in a table of cases.
const MAX_VALUE: usize = 400;

/// The file name of a version's page, without its ending; a tool's name has no hyphen.
pub(super) fn slug(tool: &ToolSummary) -> String {
    format!("{}-{}", tool.name, tool.version)
}

#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct IndexPage {
    tools: Vec<Card>,
    versions: usize,
}

/// A tool on the index: its newest version.
struct Card {
    slug: String,
    name: String,
    version: String,
    state: &'static str,
    description: String,
    domain: String,
    author: String,
    cases: usize,
    killed: Option<String>,
    covered: Option<String>,
    calls: u64,
    /// What the search looks through.
    words: String,
}

impl IndexPage {
    pub(super) fn new(pages: &[Page]) -> Self {
        let mut newest: BTreeMap<&str, &Page> = BTreeMap::new();
        for page in pages {
            let summary = &page.detail.summary;
            newest
                .entry(summary.name.as_str())
                .and_modify(|best| {
                    // One that runs goes before one that does not, then the newer one.
                    let rank = |p: &Page| {
                        (
                            p.detail.summary.state == ToolState::Active,
                            p.detail.summary.version,
                        )
                    };
                    if rank(page) > rank(best) {
                        *best = page;
                    }
                })
                .or_insert(page);
        }
        Self {
            tools: newest.values().map(|page| Card::new(page)).collect(),
            versions: pages.len(),
        }
    }
}

impl Card {
    fn new(page: &Page) -> Self {
        let (detail, s) = (&page.detail, &page.detail.summary);
        let words = [
            s.name.as_str().replace('_', " "),
            s.name.to_string(),
            s.description.clone(),
            s.domain.clone(),
            s.author.clone(),
        ]
        .join(" ");
        Self {
            slug: slug(s),
            name: s.name.to_string(),
            version: s.version.to_string(),
            state: s.state.as_str(),
            description: visible(&s.description),
            domain: visible(&s.domain),
            author: visible(&s.author),
            cases: detail.cases.len(),
            killed: detail.trial.mutation.as_ref().and_then(|m| {
                let judged = m.killed() as usize + m.survivors.len();
                (judged > 0).then(|| format!("{} of {judged}", m.killed()))
            }),
            covered: detail
                .trial
                .coverage
                .as_ref()
                .filter(|c| c.lines > 0)
                .map(|c| format!("{} of {} lines", c.lines_hit, c.lines)),
            calls: s.usage.calls,
            words: visible(&words.to_lowercase()),
        }
    }
}

#[derive(Template)]
#[template(path = "tool.html")]
pub(super) struct ToolPage {
    name: String,
    version: String,
    state: &'static str,
    description: String,
    facts: Vec<(&'static str, String)>,
    input: Vec<Property>,
    output: Vec<Property>,
    input_schema: String,
    output_schema: String,
    card: Vec<Row>,
    cases: Vec<CaseRow>,
    /// HTML, every text in it escaped.
    code: String,
    lines: usize,
    digest: String,
    key: Option<String>,
    /// The signed folder beside the page.
    folder: String,
    files: Vec<String>,
    versions: Vec<Other>,
}

struct Property {
    name: String,
    kind: String,
    required: bool,
    default: String,
    meaning: String,
}

struct Row {
    label: String,
    value: String,
    status: &'static str,
    why: String,
}

struct CaseRow {
    name: String,
    origin: &'static str,
    held_out: bool,
    result: &'static str,
    input: String,
    expects: String,
}

struct Other {
    slug: String,
    version: String,
    state: &'static str,
    made: String,
    here: bool,
}

impl ToolPage {
    pub(super) fn new(page: &Page, pages: &[Page], highlighter: &Highlighter) -> Self {
        let (detail, s) = (&page.detail, &page.detail.summary);
        let spec = &detail.spec;
        let mut facts = vec![
            ("Made by", visible(&s.author)),
            ("Made for", visible(&s.why)),
            ("Made on", date(s.created_ms)),
            ("Domain", visible(&s.domain)),
        ];
        if let Some(approval) = detail.approvals.iter().find(|a| a.approver.is_some()) {
            let by = visible(approval.approver.as_deref().unwrap_or_default());
            let own = if approval.self_approved {
                ", who also wrote it"
            } else {
                ""
            };
            facts.push(("Approved by", format!("{by}{own}")));
        }
        if let Some(successor) = &s.successor {
            facts.push(("Replaced by", visible(successor)));
        }
        let may: Vec<String> = (spec.capabilities.iter())
            .map(|c| {
                serde_json::json!(c)
                    .as_str()
                    .unwrap_or_default()
                    .replace('_', " ")
            })
            .collect();
        let may = if may.is_empty() {
            "compute, and nothing else".to_owned()
        } else {
            may.join(", ")
        };
        facts.push(("May", may));
        facts.push(("Proved under", visible(&detail.trial.interpreter)));
        facts.push((
            "Used",
            format!("{} times, {} without an error", s.usage.calls, s.usage.ok),
        ));
        let slug = slug(s);
        Self {
            name: s.name.to_string(),
            version: s.version.to_string(),
            state: s.state.as_str(),
            description: visible(&s.description),
            facts,
            input: properties(&spec.input_schema),
            output: properties(&spec.output_schema),
            input_schema: schema(&spec.input_schema),
            output_schema: schema(&spec.output_schema),
            card: (detail.verdict.card.iter())
                .map(|row| Row {
                    label: visible(&row.name.replace(['_', ':'], " ")),
                    value: visible(&row.value),
                    status: row.status.as_str(),
                    why: if row.status == ScoreStatus::Pass {
                        String::new()
                    } else {
                        visible(&row.why)
                    },
                })
                .collect(),
            cases: cases(page),
            code: highlighter.python(detail.code.trim_end()),
            lines: detail.code.trim_end().lines().count(),
            digest: detail.digest.to_string(),
            key: detail.evidence.as_ref().map(|e| e.key.to_string()),
            files: page.signed.keys().cloned().collect(),
            versions: (pages.iter())
                .filter(|p| p.detail.summary.name == s.name)
                .map(|p| {
                    let other = &p.detail.summary;
                    Other {
                        slug: self::slug(other),
                        version: other.version.to_string(),
                        state: other.state.as_str(),
                        made: date(other.created_ms),
                        here: other.version == s.version,
                    }
                })
                .collect(),
            folder: slug,
        }
    }
}

fn schema(schema: &Value) -> String {
    visible(&serde_json::to_string_pretty(schema).unwrap_or_default())
}

fn properties(schema: &Value) -> Vec<Property> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    (schema["properties"].as_object().into_iter().flatten())
        .map(|(name, p)| Property {
            name: visible(name),
            kind: kind(p),
            required: required.contains(&name.as_str()),
            default: p.get("default").map(short).unwrap_or_default(),
            meaning: visible(p["description"].as_str().unwrap_or_default()),
        })
        .collect()
}

/// A schema's type in a few words.
fn kind(schema: &Value) -> String {
    if schema["format"] == "file" {
        return "file".to_owned();
    }
    let mut out = match &schema["type"] {
        Value::String(t) => t.clone(),
        Value::Array(types) => {
            let types: Vec<&str> = types.iter().filter_map(Value::as_str).collect();
            types.join(" or ")
        }
        _ => "any".to_owned(),
    };
    if schema["type"] == "array" && schema["items"].is_object() {
        let _ = write!(out, " of {}", kind(&schema["items"]));
    }
    if let Some(values) = schema["enum"].as_array() {
        out = values.iter().map(short).collect::<Vec<_>>().join(", ");
    }
    visible(&out)
}

fn cases(page: &Page) -> Vec<CaseRow> {
    let results = &page.detail.trial.cases;
    let row = |case: &Case| {
        let result = (results.iter()).find(|r| r.name == case.name && r.origin == case.origin);
        CaseRow {
            name: visible(&case.name),
            origin: case.origin.as_str(),
            held_out: case.held_out,
            result: match result {
                Some(r) if r.withdrawn.is_some() => "withdrawn",
                Some(r) if r.passed => "passed",
                Some(_) => "failed",
                None => "not run",
            },
            input: short(&Value::Object(case.input.clone())),
            expects: expects(case),
        }
    };
    page.detail.cases.iter().map(row).collect()
}

fn expects(case: &Case) -> String {
    match &case.check {
        Check::Expect { value, .. } => short(value),
        Check::Raises(raises) => format!("raises {}", visible(raises.kind())),
        Check::Holds(expression) => visible(&clip(expression)),
        Check::Relation { relation, .. } => format!("relation {}", relation.name()),
    }
}

fn short(value: &Value) -> String {
    visible(&clip(&value.to_string()))
}

fn clip(text: &str) -> String {
    crate::python::clipped(text, MAX_VALUE)
}
