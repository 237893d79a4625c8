//! The card in words, the same at the terminal and on a page; how they are laid out is each
//! door's own.

use std::fmt::Write as _;

use handaxe_types::{
    Author, Capability, Limits, Origin, ScoreRow, ScoreStatus, Severity, Verdict, text::bytes,
};
use serde::Serialize;

use super::approve::Card;

/// How close a look a request asks for: what the queue is grouped by. It orders people's
/// attention and decides nothing else, but that only [`Concern::Plain`] may be approved in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// Something measured or said about it is a warning.
    Close,
    /// It hands files back, brings data, or takes the place of something.
    Ordinary,
    /// Nothing of either.
    Plain,
}

impl Concern {
    pub const ALL: [Self; 3] = [Self::Close, Self::Ordinary, Self::Plain];

    pub fn title(self) -> &'static str {
        match self {
            Self::Close => "Look closely",
            Self::Ordinary => "Ordinary",
            Self::Plain => "Nothing stands out",
        }
    }
}

impl Card {
    /// How close a look it asks for, and why.
    pub fn concern(&self) -> (Concern, Vec<String>) {
        let mut close = Vec::new();
        // The composer's tools carry more than their question needs by design, and the policy has a
        // floor of its own for that: said every time, it would not be heard.
        let chronic = |row: &&ScoreRow| {
            self.draft.provenance.author == Author::Composer && row.name == "mutants"
        };
        for row in self.verdict.card.iter().filter(|row| !chronic(row)) {
            if matches!(row.status, ScoreStatus::Warn | ScoreStatus::Fail) {
                close.push(format!("{}: {}", row.name.replace('_', " "), row.why));
            }
        }
        for finding in &self.verdict.findings {
            if matches!(finding.severity, Severity::Warn | Severity::Refuse) {
                close.push(format!("line {}: {}", finding.line, finding.reason));
            }
        }
        let objections = self.verdict.review.iter().map(|r| r.objections.len());
        match objections.sum() {
            0 => {}
            1_usize => close.push("the reviewer objects to one thing".to_owned()),
            n => close.push(format!("the reviewer objects to {n} things")),
        }
        if self.self_approval {
            close.push("a person wrote it".to_owned());
        }
        if !close.is_empty() {
            return (Concern::Close, close);
        }
        let mut ordinary = Vec::new();
        // Reading what a call attaches is what most tools are for; handing files back is more.
        if self
            .draft
            .spec
            .capabilities
            .contains(&Capability::WriteFiles)
        {
            ordinary.push(may_use(&self.draft.spec.capabilities));
        }
        if self.request.version.0 > 1 {
            ordinary.push("it is a new version of a tool".to_owned());
        }
        if !self.draft.assets.is_empty() {
            ordinary.push("it brings data of its own".to_owned());
        }
        if ordinary.is_empty() {
            (Concern::Plain, Vec::new())
        } else {
            (Concern::Ordinary, ordinary)
        }
    }

    /// Who made it, and what that took.
    pub fn made_by(&self) -> String {
        let mut text = match &self.draft.provenance.author {
            Author::Composer => "the built-in composer (no model)".to_owned(),
            Author::Model { model, .. } => model.clone(),
            Author::Person { name } => name.clone(),
        };
        let cost = &self.cost;
        if cost.attempts > 1 || self.attempt > 1 {
            let _ = write!(text, ", attempt {} of {}", self.attempt, cost.attempts);
        }
        if cost.model_calls > 0 {
            let tokens = cost.tokens_in + cost.tokens_out;
            let _ = write!(text, "; {} model calls, {tokens} tokens", cost.model_calls);
        }
        let _ = write!(text, "; {} sandbox runs", cost.sandbox_runs);
        text
    }

    /// "+12 −3 lines against csv_stats@1".
    pub fn changed(&self) -> Option<String> {
        let diff = self.diffs.first()?;
        let count = |mark: char| {
            let body = diff.text.lines().skip(2);
            body.filter(|l| l.starts_with(mark)).count()
        };
        Some(if diff.text.is_empty() {
            format!("no line of code against {}", diff.against)
        } else {
            format!(
                "+{} −{} lines against {}",
                count('+'),
                count('-'),
                diff.against
            )
        })
    }

    /// That it was used before anybody decided on it, where it was.
    pub fn used_once(&self) -> Option<String> {
        let used = self.provisional.as_ref()?;
        Some(format!(
            "once while waiting, by run {}, as {} asked",
            used.run, used.asked_by
        ))
    }

    /// What no proof of this kind shows.
    pub fn leaves_open(&self) -> &'static str {
        match self.draft.provenance.author {
            Author::Composer => {
                "whether the plan is what you meant; a second implementation computed the cases"
            }
            Author::Model { .. } => {
                "whether the cases are all that matters; its author never saw the held-out ones"
            }
            Author::Person { .. } => "whether the cases given with it are all that matters",
        }
    }
}

/// What it asks to use.
pub fn may_use(capabilities: &[Capability]) -> String {
    if capabilities.is_empty() {
        return "requests nothing but its input".to_owned();
    }
    let words: Vec<&str> = capabilities
        .iter()
        .map(|c| match c {
            Capability::ReadFiles => "the files attached to a call (read)",
            Capability::WriteFiles => "files that it hands back (write)",
        })
        .collect();
    format!("requests {}", words.join("; "))
}

pub fn limit_words(limits: &Limits) -> String {
    format!(
        "{} s (and {} ms for each MiB of data), {} of memory, {} of output",
        limits.wall_ms as f64 / 1000.0,
        limits.per_mib_ms,
        bytes(limits.memory_bytes),
        bytes(limits.output_bytes),
    )
}

/// "18 of 18 cases passed (3 author; 15 tester, held out from the author)".
pub fn proof_words(verdict: &Verdict) -> String {
    let scores = &verdict.scores.cases;
    let (passed, run) = scores
        .values()
        .fold((0, 0), |(p, r), (cp, cr)| (p + cp, r + cr));
    let by_origin: Vec<String> = scores
        .iter()
        .map(|(origin, (p, r))| {
            let note = match origin {
                Origin::Author => "author",
                Origin::Tester => "tester, held out from the author",
                Origin::User => "yours",
                Origin::Fuzz => "fuzz",
                Origin::Replay => "replay",
            };
            if p == r {
                format!("{r} {note}")
            } else {
                format!("{p}/{r} {note}")
            }
        })
        .collect();
    format!("{passed} of {run} cases passed ({})", by_origin.join("; "))
}
