//! The library as a list of tools: one card a name, with its proof and its use at a glance.

use std::collections::{BTreeMap, BTreeSet};

use handaxe_registry::{LoadError, ToolDetail, ToolSummary, UsagePeriod};
use handaxe_types::{ToolName, ToolRef, ToolState, Trial, Verdict, Version};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CARD_DAYS, DAY_MS};
use crate::service::{Service, ServiceError};

/// Hits of the index that are looked at; what it does not have is matched by its words.
const MOST_HITS: u32 = 200;

/// The order of a list of tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToolSort {
    /// The best fit first where something is searched for, else by name.
    #[default]
    Best,
    Name,
    Newest,
    MostUsed,
    LastUsed,
}

/// Which tools to list; an absent field filters nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolQuery {
    pub(crate) text: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) state: Option<ToolState>,
    pub(crate) author: Option<String>,
    pub(crate) sort: ToolSort,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// A page of the list, and what can be filtered by.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ToolList {
    /// How many match, on all pages.
    pub(crate) total: usize,
    pub(crate) tools: Vec<ToolCard>,
    /// Domains, states and authors of the whole library, with the number of tools of each.
    pub(crate) domains: BTreeMap<String, usize>,
    pub(crate) states: BTreeMap<String, usize>,
    pub(crate) authors: BTreeMap<String, usize>,
}

/// A tool as a list shows it: its newest active version, else its newest that runs, else its
/// newest.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ToolCard {
    #[schema(value_type = String)]
    pub(crate) name: ToolName,
    #[schema(value_type = u32, minimum = 1)]
    pub(crate) version: Version,
    /// Versions of this name.
    pub(crate) versions: usize,
    /// `pending`, `active`, `deprecated`, `retired`, `quarantined` or `revoked`.
    #[schema(value_type = String)]
    pub(crate) state: ToolState,
    pub(crate) description: String,
    pub(crate) domain: String,
    pub(crate) author: String,
    /// The question that it was made for.
    pub(crate) why: String,
    /// Milliseconds since the Unix epoch, as every time here.
    pub(crate) created_ms: i64,
    pub(crate) successor: Option<String>,
    pub(crate) proof: Proof,
    pub(crate) calls: u64,
    /// Of these, calls that gave a result.
    pub(crate) ok: u64,
    pub(crate) last_used_ms: Option<i64>,
    /// The last 30 days, one entry each, oldest first; the last is today (UTC).
    pub(crate) recent: Vec<UsageDay>,
}

/// How well a version is proved, at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Proof {
    pub(crate) accepted: bool,
    pub(crate) cases: u32,
    pub(crate) cases_passed: u32,
    /// Of the cases, those that the author never saw.
    pub(crate) held_out: u32,
    pub(crate) fuzz_runs: u32,
    /// Mutants of the tool that the cases noticed, 0 to 1; absent where none was judged.
    pub(crate) kill_rate: Option<f64>,
    /// Lines that the cases reached, 0 to 1.
    pub(crate) line_coverage: Option<f64>,
    pub(crate) warnings: u32,
}

impl Proof {
    pub(crate) fn of(trial: &Trial, verdict: &Verdict) -> Self {
        let counted = || trial.cases.iter().filter(|c| c.withdrawn.is_none());
        Self {
            accepted: verdict.accepted,
            cases: counted().count() as u32,
            cases_passed: counted().filter(|c| c.passed).count() as u32,
            held_out: counted().filter(|c| c.held_out).count() as u32,
            fuzz_runs: trial.fuzz.as_ref().map_or(0, |f| f.runs),
            kill_rate: trial
                .mutation
                .as_ref()
                .and_then(handaxe_types::MutationReport::rate),
            line_coverage: trial
                .coverage
                .as_ref()
                .filter(|c| c.lines > 0)
                .map(|c| f64::from(c.lines_hit) / f64::from(c.lines)),
            warnings: verdict.scores.warnings,
        }
    }
}

/// Calls on one day (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsageDay {
    /// When it began.
    pub(crate) day_ms: i64,
    pub(crate) calls: u64,
    pub(crate) ok: u64,
}

impl Service {
    /// A page of the library.
    pub(crate) fn list_tools(&self, query: &ToolQuery) -> Result<ToolList, ServiceError> {
        let registry = self.registry();
        let all = shown(registry.tools(&[])?);
        let count = |of: fn(&Shown) -> String| {
            let mut counts = BTreeMap::new();
            for tool in &all {
                *counts.entry(of(tool)).or_default() += 1;
            }
            counts
        };
        let domains = count(|t| t.tool.domain.clone());
        let states = count(|t| t.tool.state.as_str().to_owned());
        let authors = count(|t| t.tool.author.clone());
        let ranks = match query.text.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(self.ranks(text, &all)?),
        };
        let mut found: Vec<&Shown> = all
            .iter()
            .filter(|t| query.state.is_none_or(|s| t.tool.state == s))
            .filter(|t| query.domain.as_ref().is_none_or(|d| t.tool.domain == *d))
            .filter(|t| query.author.as_ref().is_none_or(|a| t.tool.author == *a))
            .filter(|t| ranks.as_ref().is_none_or(|r| r.contains_key(&t.tool.name)))
            .collect();
        let down = std::cmp::Reverse::<i64>;
        match query.sort {
            ToolSort::Best => {
                if let Some(ranks) = &ranks {
                    found.sort_by_key(|t| ranks.get(&t.tool.name));
                }
            }
            ToolSort::Name => {}
            ToolSort::Newest => found.sort_by_key(|t| down(t.tool.created_ms)),
            ToolSort::MostUsed => found.sort_by_key(|t| std::cmp::Reverse(t.calls)),
            ToolSort::LastUsed => found.sort_by_key(|t| down(t.last_used_ms.unwrap_or(i64::MIN))),
        }
        let total = found.len();
        let days = self.recent_days(None)?;
        let page = found.into_iter().skip(query.offset).take(query.limit);
        let tools = page
            .map(|t| self.card_of(t, &days))
            .collect::<Result<_, _>>()?;
        Ok(ToolList {
            total,
            tools,
            domains,
            states,
            authors,
        })
    }

    /// Everything of one version: the one named, or the newest active, or the newest of all.
    pub(crate) fn tool_detail(&self, tool: &ToolRef) -> Result<ToolDetail, ServiceError> {
        let found = self.registry().tool(tool)?;
        Ok(found.ok_or_else(|| LoadError::NotFound { tool: tool.clone() })?)
    }

    /// Calls of one tool, or of one version of it, on each of the last `days` days.
    pub(crate) fn usage_days(
        &self,
        tool: &ToolRef,
        days: i64,
    ) -> Result<Vec<UsageDay>, ServiceError> {
        let first = first_day(self.registry().now_ms(), days);
        let periods = self.registry().usage_over_time(Some(tool), first, DAY_MS)?;
        Ok(spread(first, days, periods.iter()))
    }

    fn recent_days(&self, tool: Option<&ToolRef>) -> Result<Vec<UsagePeriod>, ServiceError> {
        let first = first_day(self.registry().now_ms(), CARD_DAYS);
        Ok(self.registry().usage_over_time(tool, first, DAY_MS)?)
    }

    fn card_of(&self, shown: &Shown, days: &[UsagePeriod]) -> Result<ToolCard, ServiceError> {
        let registry = self.registry();
        let tool = &shown.tool;
        let proof = registry.proof_of(&tool.name, tool.version)?;
        let first = first_day(registry.now_ms(), CARD_DAYS);
        let own = days.iter().filter(|d| d.tool == tool.name);
        Ok(ToolCard {
            name: tool.name.clone(),
            version: tool.version,
            versions: shown.versions,
            state: tool.state,
            description: tool.description.clone(),
            domain: tool.domain.clone(),
            author: tool.author.clone(),
            why: tool.why.clone(),
            created_ms: tool.created_ms,
            successor: tool.successor.clone(),
            proof: proof.map_or_else(Proof::default, |(trial, verdict)| {
                Proof::of(&trial, &verdict)
            }),
            calls: shown.calls,
            ok: shown.ok,
            last_used_ms: shown.last_used_ms,
            recent: spread(first, CARD_DAYS, own),
        })
    }

    /// Name → place among what the words fit: the index's own order, then tools that are not in it
    /// (it has active ones only) and hold every word.
    fn ranks(&self, text: &str, all: &[Shown]) -> Result<BTreeMap<ToolName, usize>, ServiceError> {
        let mut ranks = BTreeMap::new();
        for hit in self.registry().search(text, MOST_HITS)? {
            let next = ranks.len();
            ranks.entry(hit.tool).or_insert(next);
        }
        let lower = text.to_lowercase();
        let words: BTreeSet<&str> = lower.split_whitespace().collect();
        for shown in all {
            let tool = &shown.tool;
            let hay = format!(
                "{} {} {} {}",
                tool.name, tool.description, tool.domain, tool.why
            )
            .to_lowercase();
            if words.iter().all(|w| hay.contains(w)) {
                let next = ranks.len();
                ranks.entry(tool.name.clone()).or_insert(next);
            }
        }
        Ok(ranks)
    }
}

/// A name by the version that stands for it, and the use of all its versions.
struct Shown {
    tool: ToolSummary,
    versions: usize,
    calls: u64,
    ok: u64,
    last_used_ms: Option<i64>,
}

/// One of each name; by name, as the summaries come, newest version first.
fn shown(summaries: Vec<ToolSummary>) -> Vec<Shown> {
    let standing = |state: ToolState| match state {
        ToolState::Active => 0,
        ToolState::Deprecated => 1,
        _ => 2,
    };
    let mut all: Vec<Shown> = Vec::new();
    for tool in summaries {
        let usage = tool.usage;
        match all.last_mut().filter(|s| s.tool.name == tool.name) {
            Some(shown) => {
                shown.versions += 1;
                shown.calls += usage.calls;
                shown.ok += usage.ok;
                shown.last_used_ms = shown.last_used_ms.max(usage.last_used_ms);
                if standing(tool.state) < standing(shown.tool.state) {
                    shown.tool = tool;
                }
            }
            None => all.push(Shown {
                tool,
                versions: 1,
                calls: usage.calls,
                ok: usage.ok,
                last_used_ms: usage.last_used_ms,
            }),
        }
    }
    all
}

/// When the first of the last `days` days began; the last is today.
pub(super) fn first_day(now_ms: i64, days: i64) -> i64 {
    (now_ms.div_euclid(DAY_MS) - (days - 1)) * DAY_MS
}

/// One entry a day, with zeros where nothing was called.
pub(super) fn spread<'a>(
    first: i64,
    days: i64,
    periods: impl Iterator<Item = &'a UsagePeriod>,
) -> Vec<UsageDay> {
    let mut all: Vec<UsageDay> = (0..days)
        .map(|n| UsageDay {
            day_ms: first + n * DAY_MS,
            ..UsageDay::default()
        })
        .collect();
    for period in periods {
        let n = (period.from_ms - first).div_euclid(DAY_MS);
        if let Some(day) = usize::try_from(n).ok().and_then(|n| all.get_mut(n)) {
            day.calls += period.calls;
            day.ok += period.ok;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_calls_are_there() {
        let first = first_day(10 * DAY_MS + 5, 3);
        assert_eq!(first, 8 * DAY_MS);
        let periods = [UsagePeriod {
            tool: ToolName::new("abc").unwrap(),
            version: Version(1),
            from_ms: 9 * DAY_MS,
            calls: 4,
            ok: 3,
        }];
        let days = spread(first, 3, periods.iter());
        let drawn: Vec<_> = days.iter().map(|d| (d.day_ms / DAY_MS, d.calls)).collect();
        assert_eq!(drawn, [(8, 0), (9, 4), (10, 0)]);
    }
}
