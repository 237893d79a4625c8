//! A run in the words of its page.

use handaxe_registry::{ApprovalDetail, Attempt, Foundation, Invocation};
use handaxe_types::{ApprovalState, Outcome, Plan, Route, RunState};
use serde_json::Value;

use super::code::{Language, Line, coloured};
use super::diff::Columns;
use super::parts::{When, count, line, lines, percent, seconds, size};
use crate::feed::Live;
use crate::library::{Proof, RunView};

/// Characters of a question that are a title.
const TITLE_CHARS: usize = 80;
/// Of what a trial's runs said.
const STDERR_CHARS: usize = 20_000;

/// A state in a word, and how it looks.
pub(crate) fn state_word(state: RunState, live: bool) -> (&'static str, &'static str) {
    match (state, live) {
        (RunState::Running, true) => ("running", "busy"),
        (RunState::Running, false) => ("interrupted", "warn"),
        (RunState::Waiting, _) => ("waiting", "warn"),
        (RunState::Done, _) => ("done", "good"),
        (RunState::Refused, _) => ("refused", "bad"),
        (RunState::Failed, _) => ("failed", "bad"),
    }
}

pub(crate) struct RunShown {
    pub(crate) id: String,
    pub(crate) question: String,
    /// For a title.
    pub(crate) question_start: String,
    pub(crate) word: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) live: bool,
    /// This server works on it.
    pub(crate) here: bool,
    pub(crate) resumable: bool,
    /// The approval that it waits for.
    pub(crate) waits_for: Option<i64>,
    /// Its tool may be used once meanwhile.
    pub(crate) usable_once: bool,
    /// What a reader of the answer has to know of the tools that it rests on.
    pub(crate) cautions: Vec<String>,
    pub(crate) begun: When,
    pub(crate) by: String,
    pub(crate) data: Vec<(String, String)>,
    pub(crate) plan: Option<PlanShown>,
    pub(crate) attempts: Vec<AttemptShown>,
    pub(crate) approvals: Vec<ApprovalShown>,
    pub(crate) calls: Vec<CallShown>,
    pub(crate) answer: Option<String>,
    pub(crate) stopped: Option<(String, String)>,
    pub(crate) models: Vec<ModelShown>,
    pub(crate) tokens: String,
    pub(crate) took: String,
}

pub(crate) struct PlanShown {
    pub(crate) route: &'static str,
    pub(crate) steps: Vec<String>,
    /// A tool that was considered, and why it was not enough (or was).
    pub(crate) candidates: Vec<(String, String)>,
}

pub(crate) struct AttemptShown {
    pub(crate) n: u32,
    pub(crate) word: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) proof: Vec<String>,
    pub(crate) reasons: Vec<String>,
    /// Against the attempt before.
    pub(crate) diff: Option<Columns>,
    /// Of the first attempt.
    pub(crate) code: Vec<Line>,
    pub(crate) stderr: String,
}

pub(crate) struct ApprovalShown {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) word: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) by: Option<String>,
    /// It was used once while it waited, as this person asked.
    pub(crate) used_for: Option<String>,
}

pub(crate) struct CallShown {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) word: String,
    pub(crate) tone: &'static str,
    pub(crate) took: String,
    /// Before anybody had decided on the tool.
    pub(crate) provisional: bool,
}

pub(crate) struct ModelShown {
    pub(crate) role: String,
    pub(crate) model: String,
    pub(crate) tokens_in: String,
    pub(crate) tokens_out: String,
    pub(crate) took: String,
}

impl RunShown {
    pub(crate) fn of(view: RunView, here: bool) -> Self {
        let resumable = view.resumable();
        let detail = view.detail;
        let summary = detail.summary;
        let (word, tone) = state_word(summary.state, summary.live);
        let said = |key: &str, part: &str| -> Option<String> {
            let found = detail.answer.as_ref()?.get(key)?;
            let text = if part.is_empty() {
                found
            } else {
                found.get(part)?
            };
            text.as_str().map(lines)
        };
        let waits_for = view
            .approvals
            .iter()
            .find(|a| a.request.state == ApprovalState::Waiting)
            .map(|a| a.request.id.0);
        let tokens: u64 = view
            .exchanges
            .iter()
            .map(|e| e.tokens_in + e.tokens_out)
            .sum();
        let took = summary.updated_ms.saturating_sub(summary.created_ms);
        Self {
            id: summary.id.to_string(),
            question_start: line(&summary.question).chars().take(TITLE_CHARS).collect(),
            question: lines(&summary.question),
            word,
            tone,
            live: summary.live,
            here,
            resumable,
            waits_for,
            usable_once: view.usable_once,
            cautions: (detail.rests_on.iter())
                .filter_map(Foundation::caution)
                .collect(),
            begun: When::of(summary.created_ms),
            by: (view.events.first()).map_or_else(String::new, |e| line(&e.actor)),
            data: (detail.task.data.iter())
                .map(|f| (line(&f.name), size(f.bytes)))
                .collect(),
            plan: detail.plan.as_ref().map(PlanShown::of),
            attempts: view.attempts.into_iter().map(AttemptShown::of).collect(),
            approvals: view.approvals.into_iter().map(ApprovalShown::of).collect(),
            calls: view.invocations.into_iter().map(CallShown::of).collect(),
            answer: said("answer", "").or_else(|| {
                let result = detail.answer.as_ref()?.get("result")?;
                (*result != Value::Null).then(|| lines(&format!("{result:#}")))
            }),
            stopped: said("stopped_by", "message")
                .map(|message| (message, said("stopped_by", "hint").unwrap_or_default())),
            models: (view.exchanges.into_iter())
                .map(|e| ModelShown {
                    role: line(&e.role),
                    model: line(&e.model),
                    tokens_in: count(e.tokens_in),
                    tokens_out: count(e.tokens_out),
                    took: seconds(e.seconds),
                })
                .collect(),
            tokens: count(tokens),
            took: seconds(took.max(0) as f64 / 1e3),
        }
    }
}

impl PlanShown {
    fn of(plan: &Plan) -> Self {
        let mut steps: Vec<String> = plan.steps.iter().map(|s| lines(s)).collect();
        if let Route::Compose { flow } = &plan.route {
            steps.extend(flow.steps.iter().map(|s| {
                let each = if s.each.is_some() { ", for each" } else { "" };
                line(&format!("{}: {}{each}", s.id, s.tool_ref()))
            }));
        }
        Self {
            route: match &plan.route {
                Route::Reuse { .. } => "Reuse a tool",
                Route::Compose { .. } => "Put tools together",
                Route::Extend { .. } => "Extend a tool",
                Route::Make { .. } => "Make a tool",
                Route::External { .. } => "Ask another program's tool",
                Route::Direct { .. } => "Answer without a tool",
                Route::Refuse { .. } => "Not done",
            },
            steps,
            candidates: (plan.candidates.iter())
                .map(|c| (format!("{}@{}", c.tool, c.version), lines(&c.why)))
                .collect(),
        }
    }
}

impl AttemptShown {
    fn of(attempt: Attempt) -> Self {
        let (word, tone) = match attempt.verdict.as_ref().map(|v| v.accepted) {
            Some(true) => ("accepted", "good"),
            Some(false) => ("refused", "bad"),
            None => ("no verdict", "warn"),
        };
        let proof = attempt.trial.as_ref().zip(attempt.verdict.as_ref());
        let code = attempt.draft.map(|d| d.code).unwrap_or_default();
        let first = attempt.diff.is_empty();
        Self {
            n: attempt.n,
            word,
            tone,
            proof: proof.map_or_else(Vec::new, |(t, v)| proof_words(&Proof::of(t, v))),
            reasons: (attempt.verdict.iter())
                .flat_map(|v| &v.reasons)
                .map(|r| lines(r))
                .collect(),
            diff: (!first).then(|| {
                let title = format!("Attempt {} against the one before", attempt.n);
                Columns::of(title, &attempt.diff)
            }),
            code: if first {
                coloured(&code, Language::Python)
            } else {
                Vec::new()
            },
            stderr: lines(
                &attempt
                    .stderr
                    .chars()
                    .take(STDERR_CHARS)
                    .collect::<String>(),
            ),
        }
    }
}

fn proof_words(proof: &Proof) -> Vec<String> {
    let mut words = vec![format!("{} of {} cases", proof.cases_passed, proof.cases)];
    if proof.held_out > 0 {
        words.push(format!("{} held out", proof.held_out));
    }
    if proof.fuzz_runs > 0 {
        words.push(format!("{} generated inputs", proof.fuzz_runs));
    }
    if let Some(rate) = proof.kill_rate {
        words.push(format!("{} of mutants noticed", percent(rate)));
    }
    if let Some(share) = proof.line_coverage {
        words.push(format!("{} of lines reached", percent(share)));
    }
    words
}

impl ApprovalShown {
    fn of(detail: ApprovalDetail) -> Self {
        let request = detail.request;
        Self {
            id: request.id.0,
            title: format!("{}@{}", request.tool, request.version),
            word: request.state.as_str(),
            tone: match request.state {
                ApprovalState::Approved => "good",
                ApprovalState::Waiting => "warn",
                ApprovalState::Rejected | ApprovalState::Expired => "bad",
            },
            by: detail.approver.map(|by| line(&by)),
            used_for: detail.provisional.map(|used| line(&used.asked_by)),
        }
    }
}

impl CallShown {
    fn of(call: Invocation) -> Self {
        Self {
            name: call.tool.to_string(),
            version: call.version.0,
            word: call.outcome.as_str().replace('_', " "),
            tone: if call.outcome == Outcome::Ok {
                "good"
            } else {
                "bad"
            },
            took: seconds(call.runtime_ms / 1e3),
            provisional: call.provisional,
        }
    }
}

/// What a run is at.
pub(crate) struct LiveShown {
    pub(crate) step: String,
    /// `attempt 2 of 4`, where one is under way.
    pub(crate) attempt: Option<String>,
    pub(crate) stage: Option<StageShown>,
    pub(crate) tokens: Option<String>,
    pub(crate) note: Option<String>,
}

pub(crate) struct StageShown {
    pub(crate) name: &'static str,
    pub(crate) done: u32,
    pub(crate) of: u32,
    pub(crate) failed: Option<String>,
}

impl LiveShown {
    pub(crate) fn of(live: &Live) -> Self {
        let attempt = live.attempt.zip(live.attempts);
        Self {
            step: match live.step.as_str() {
                "" => "Beginning".to_owned(),
                step => line(step),
            },
            attempt: attempt.map(|(n, of)| format!("attempt {n} of at most {of}")),
            stage: live.stage.as_ref().map(|stage| {
                let (name, bad) = stage_words(&stage.name);
                StageShown {
                    name,
                    done: stage.done,
                    of: stage.of,
                    failed: (stage.failed > 0).then(|| format!("{} {bad}", stage.failed)),
                }
            }),
            tokens: live.tokens.filter(|n| *n > 0).map(count),
            note: live.note.as_deref().map(line),
        }
    }
}

fn stage_words(name: &str) -> (&'static str, &'static str) {
    match name {
        "vet" => ("Reading the code", "findings"),
        "cases" => ("Cases", "failed"),
        "fuzz" => ("Generated inputs", "failed"),
        "shrink" => ("Making a failing input small", "failed"),
        "mutants" => ("Mutants", "not noticed"),
        "coverage" => ("Coverage", "failed"),
        _ => ("Time and memory", "failed"),
    }
}
