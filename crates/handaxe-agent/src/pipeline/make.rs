//! Generate, test, vet, try, judge, repair: until a draft is accepted or a bound is reached.

use std::fmt::Write as _;

use handaxe_types::{
    Case, CaseResult, Draft, Origin, Progress, Spec, Task, ToolRequest, Trial, Verdict,
};
use serde::{Deserialize, Serialize};

use super::approve::code_diff;
use super::memo::Memory;
use super::{Context, Halt, PipelineError, Stop};

/// How many disputed cases an arbiter rules on in a run; past that the disagreement is the answer.
const MAX_RULINGS: usize = 3;

/// Who writes: the composer or a model. Each method is asked again on resume and must then give
/// the same without paying again.
pub(crate) trait Mind {
    /// Whether being told what failed can change what it writes.
    fn repairs(&self) -> bool {
        false
    }

    /// Attempt `n`, from 1; `before` is what came of the attempt before it.
    fn write(&self, n: u32, before: Option<&Attempt>) -> Result<Draft, Halt>;

    /// Cases by someone who sees the spec alone.
    fn held_out(&self, spec: &Spec) -> Result<Vec<Case>, Halt>;

    /// Rules on one disputed case, seeing the spec alone: `Some(reason)` withdraws it.
    fn arbitrate(&self, spec: &Spec, case: &Case) -> Result<Option<String>, Halt>;
}

/// A draft, what was tried, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) n: u32,
    pub(crate) draft: Draft,
    pub(crate) held_out: Vec<Case>,
    pub(crate) trial: Trial,
    pub(crate) verdict: Verdict,
    /// The code against the attempt before; empty for the first.
    pub(crate) diff: String,
}

/// Runs attempts until one is accepted. `Halt::Stop` says which bound ended it, or why there is
/// nothing left to try.
pub(crate) fn make(
    ctx: &Context,
    memory: &Memory,
    task: &Task,
    request: &ToolRequest,
    mind: &dyn Mind,
) -> Result<Attempt, Halt> {
    handaxe_validate::gate(&ctx.policy, request).map_err(|refusal| {
        Halt::Stop(Stop::new("domain", refusal.to_string()).hint(DOMAIN_HINT))
    })?;
    let bound = if mind.repairs() {
        1 + ctx.max_repairs
    } else {
        1
    };
    let mut before: Option<Attempt> = None;
    for n in 1..=bound {
        ctx.check_cancel()?;
        ctx.report(Progress::Attempt {
            n,
            of: bound,
            tool: request.name.clone(),
        });
        let draft = mind.write(n, before.as_ref())?;
        let attempt = try_draft(ctx, memory, task, mind, n, draft, before.as_ref())?;
        if attempt.verdict.accepted {
            return Ok(attempt);
        }
        for reason in attempt.verdict.reasons.iter().take(6) {
            ctx.report(Progress::Note(format!("  {reason}")));
        }
        before = Some(attempt);
    }
    let reasons = before
        .map(|a| a.verdict.reasons.join("; "))
        .unwrap_or_default();
    let every = format!(
        "handaxe runs show {} --full shows what was tried",
        memory.run()
    );
    Err(Halt::Stop(if mind.repairs() {
        Stop::new(
            "repairs",
            format!("all {bound} attempts were refused; the last one: {reasons}"),
        )
        .hint(format!("{every}; --max-repairs raises the bound"))
    } else {
        Stop::new("verdict", format!("the tool was refused: {reasons}")).hint(every)
    }))
}

/// What to do when the policy says no.
pub(crate) const DOMAIN_HINT: &str = "save what the job needs to a file and ask about that file; the allowed domains are in policy.toml";

/// Vets, tries and judges one draft, and records all of it.
pub(crate) fn try_draft(
    ctx: &Context,
    memory: &Memory,
    task: &Task,
    mind: &dyn Mind,
    n: u32,
    draft: Draft,
    before: Option<&Attempt>,
) -> Result<Attempt, Halt> {
    let key = format!("attempt/{n}");
    if let Some(attempt) = memory.get::<Attempt>(&key)? {
        record(memory, &attempt)?;
        return Ok(attempt);
    }
    // The spec is settled by the first attempt; cases for it are written once.
    let mut held_out = match before {
        Some(attempt) if attempt.draft.spec == draft.spec => tester_cases(&attempt.held_out),
        _ => mind.held_out(&draft.spec)?,
    };
    held_out.extend(task.goldens.iter().cloned());
    let mut trial = trial(ctx, &draft, &held_out)?;
    let mut verdict = handaxe_validate::judge(&trial, &ctx.policy);
    if !verdict.accepted {
        settle_disputes(ctx, memory, mind, n, &draft, &held_out, &mut trial)?;
        verdict = handaxe_validate::judge(&trial, &ctx.policy);
    }
    if !verdict.findings.is_empty() {
        ctx.report(Progress::Findings(verdict.findings.clone()));
    }
    let diff = before
        .map(|a| {
            let (old, new) = (format!("attempt-{}", a.n), format!("attempt-{n}"));
            code_diff(&a.draft.code, &draft.code, &old, &new)
        })
        .unwrap_or_default();
    let attempt = Attempt {
        n,
        draft,
        held_out,
        trial,
        verdict,
        diff,
    };
    // The memory first: it is what a resumed run believes, and recording again changes nothing.
    memory.put(&key, &attempt)?;
    record(memory, &attempt)?;
    Ok(attempt)
}

fn record(memory: &Memory, attempt: &Attempt) -> Result<(), PipelineError> {
    let mut stderr = String::new();
    for case in attempt.trial.cases.iter().filter(|c| !c.stderr.is_empty()) {
        let (name, origin, text) = (&case.name, case.origin.as_str(), case.stderr.trim_end());
        let _ = writeln!(stderr, "# {name} ({origin})\n{text}");
    }
    let mut draft = attempt.draft.clone();
    draft.cases.extend(attempt.held_out.iter().cloned());
    memory.record_attempt(&handaxe_registry::Attempt {
        n: attempt.n,
        draft: Some(draft),
        trial: Some(attempt.trial.clone()),
        verdict: Some(attempt.verdict.clone()),
        stderr,
        diff: attempt.diff.clone(),
    })
}

fn tester_cases(cases: &[Case]) -> Vec<Case> {
    cases
        .iter()
        .filter(|c| c.origin != Origin::User)
        .cloned()
        .collect()
}

fn trial(ctx: &Context, draft: &Draft, held_out: &[Case]) -> Result<Trial, Halt> {
    ctx.validator()
        .trial(draft, held_out, ctx.reporter.as_ref(), &ctx.cancel)
        .map_err(|e| Halt::Error(PipelineError::Validate(e)))
}

/// When the author's own cases pass and the tester's do not (or the reverse), one of them misread
/// the spec. An arbiter who sees the spec alone rules on each such case, once.
fn settle_disputes(
    ctx: &Context,
    memory: &Memory,
    mind: &dyn Mind,
    n: u32,
    draft: &Draft,
    held_out: &[Case],
    trial: &mut Trial,
) -> Result<(), Halt> {
    let failed = |origin: Origin| {
        trial
            .cases
            .iter()
            .filter(|c| c.origin == origin && !c.passed)
            .count()
    };
    let (author, tester) = (failed(Origin::Author), failed(Origin::Tester));
    let disputed = (author == 0) != (tester == 0) && author + tester <= MAX_RULINGS;
    if !disputed {
        return Ok(());
    }
    let all: Vec<&Case> = draft.cases.iter().chain(held_out).collect();
    for result in trial.cases.iter_mut().filter(|c| is_disputed(c)) {
        let Some(case) = all
            .iter()
            .find(|c| c.name == result.name && c.origin == result.origin)
        else {
            continue;
        };
        let key = format!("ruling/{n}/{}/{}", result.origin.as_str(), result.name);
        let known: Option<Option<String>> = memory.get(&key).map_err(Halt::Error)?;
        let ruling = if let Some(ruling) = known {
            ruling
        } else {
            let ruling = mind.arbitrate(&draft.spec, case)?;
            memory.put(&key, &ruling).map_err(Halt::Error)?;
            ruling
        };
        if let Some(reason) = &ruling {
            ctx.report(Progress::Note(format!(
                "  case `{}` withdrawn: {reason}",
                result.name
            )));
        }
        result.withdrawn = ruling;
    }
    Ok(())
}

fn is_disputed(result: &CaseResult) -> bool {
    !result.passed && matches!(result.origin, Origin::Author | Origin::Tester)
}
