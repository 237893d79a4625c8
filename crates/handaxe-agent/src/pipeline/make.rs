//! Generate, test, vet, try, judge, repair: until a draft is accepted or a bound is reached.

use std::cmp::Reverse;
use std::fmt::Write as _;

use handaxe_types::{
    Case, CaseResult, Check, Digest, Draft, Finding, Origin, Progress, Review, Spec, Survivor,
    Task, ToolRequest, Trial, Verdict, measures,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approve::code_diff;
use super::memo::Memory;
use super::{Context, Halt, PipelineError, Stop};
use crate::roles::{Base, clip};

/// How many disputed cases an arbiter rules on in a run; past that the disagreement is the answer.
const MAX_RULINGS: usize = 3;

/// Survivors that the tester is told of, and the cases that are taken from it then.
const MAX_SURVIVORS: usize = 12;
const MAX_SURVIVOR_CHARS: usize = 300;

/// Drafts side by side, at most.
pub(crate) const MAX_CANDIDATES: u32 = 8;

/// A tool that is to be made: what for, and what it starts from.
pub(crate) struct Job<'a> {
    pub(crate) task: &'a Task,
    pub(crate) request: &'a ToolRequest,
    /// How many drafts are drawn side by side.
    pub(crate) candidates: u32,
    /// The version that is extended.
    pub(crate) base: Option<Base>,
    /// What that version gave, as held-out cases: it goes on giving it.
    pub(crate) regression: Vec<Case>,
}

/// Who writes: the composer, a model, or a person. Each method is asked again on resume and must
/// then give the same without paying again.
pub(crate) trait Mind {
    /// Whether being told what failed can change what it writes.
    fn repairs(&self) -> bool {
        false
    }

    /// The first drafts: at least one, and at most `count`.
    fn draw(&self, count: u32) -> Result<Vec<Draft>, Halt>;

    /// Attempt `n`; `before` is what came of the best one so far.
    fn repair(&self, _n: u32, before: &Attempt) -> Result<Draft, Halt> {
        Ok(before.draft.clone())
    }

    /// Cases by someone who sees the spec alone.
    fn held_out(&self, _spec: &Spec) -> Result<Vec<Case>, Halt> {
        Ok(Vec::new())
    }

    /// More of them, where mutants went unnoticed; `cases` are the tester's own.
    fn sharpen(
        &self,
        _spec: &Spec,
        _cases: &[Case],
        _survivors: &[String],
    ) -> Result<Vec<Case>, Halt> {
        Ok(Vec::new())
    }

    /// Rules on one disputed case, seeing the spec alone: `Some(reason)` withdraws it.
    fn arbitrate(&self, _spec: &Spec, _case: &Case) -> Result<Option<String>, Halt> {
        Ok(None)
    }

    /// What a second reader says of an accepted draft; `None` where there is no second reader.
    fn review(&self, _draft: &Draft, _findings: &[Finding]) -> Result<Option<Review>, Halt> {
        Ok(None)
    }
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

impl Attempt {
    /// The order in which drafts of one request are preferred, best last: accepted; the share of
    /// its cases that it passed, in parts of a million; fewer warnings; the shorter.
    fn standing(&self) -> (bool, u64, Reverse<usize>, Reverse<usize>) {
        let counted = self.trial.cases.iter().filter(|c| c.withdrawn.is_none());
        let passed = counted.clone().filter(|c| c.passed).count() as u64;
        let share = (passed * 1_000_000)
            .checked_div(counted.count() as u64)
            .unwrap_or(0);
        (
            self.verdict.accepted,
            share,
            Reverse(self.verdict.findings.len()),
            Reverse(self.draft.code.len()),
        )
    }
}

/// Runs attempts until one is accepted: first the drafts that are drawn side by side, then repairs
/// of the best of them. `Halt::Stop` says which bound ended it, or why there is nothing left to try.
#[tracing::instrument(name = "make", skip_all)]
pub(crate) fn make(
    ctx: &Context,
    memory: &Memory,
    job: &Job<'_>,
    mind: &dyn Mind,
) -> Result<Attempt, Halt> {
    handaxe_validate::gate(&ctx.policy, job.request).map_err(|refusal| {
        Halt::Stop(Stop::new("domain", refusal.to_string()).hint(DOMAIN_HINT))
    })?;
    let profile = ctx.sandbox.profile();
    handaxe_validate::isolation(&ctx.policy, &job.request.domain, profile)
        .map_err(|refusal| Halt::Error(PipelineError::Isolation(refusal)))?;
    let (drawn, repairs) = if mind.repairs() {
        (job.candidates.clamp(1, MAX_CANDIDATES), ctx.max_repairs)
    } else {
        (1, 0)
    };
    let of = drawn + repairs;
    let begin = |n| {
        ctx.report(Progress::Attempt {
            n,
            of,
            tool: job.request.name.clone(),
        });
        ctx.check_cancel()
    };
    begin(1)?;
    let mut best: Option<Attempt> = None;
    let mut n = 0;
    for draft in mind.draw(drawn)? {
        n += 1;
        if n > 1 {
            begin(n)?;
        }
        let attempt = try_draft(ctx, memory, job, mind, n, draft, None)?;
        tell(ctx, &attempt);
        // Of equals the earlier stays.
        let better = |b: &Attempt| attempt.standing() > b.standing();
        if best.as_ref().is_none_or(better) {
            best = Some(attempt);
        }
    }
    let Some(mut best) = best else {
        return Err(Halt::Stop(Stop::new("model", "no draft was written")));
    };
    if n > 1 && best.verdict.accepted {
        ctx.report(Progress::Note(format!(
            "  of {n} drafts, number {} proved best",
            best.n
        )));
    }
    for _ in 0..repairs {
        if best.verdict.accepted {
            break;
        }
        n += 1;
        begin(n)?;
        let draft = mind.repair(n, &best)?;
        let attempt = try_draft(ctx, memory, job, mind, n, draft, Some(&best))?;
        tell(ctx, &attempt);
        // The author mends what it wrote last, whether that was better or worse.
        best = attempt;
    }
    if best.verdict.accepted {
        return Ok(best);
    }
    let reasons = best.verdict.reasons.join("; ");
    let every = format!(
        "handaxe runs show {} --full shows what was tried",
        memory.run()
    );
    Err(Halt::Stop(if mind.repairs() {
        Stop::new(
            "repairs",
            format!("all {n} attempts were refused; the last one: {reasons}"),
        )
        .hint(format!("{every}; --max-repairs raises the bound"))
    } else {
        Stop::new("verdict", format!("the tool was refused: {reasons}")).hint(every)
    }))
}

fn tell(ctx: &Context, attempt: &Attempt) {
    if !attempt.verdict.accepted {
        for reason in attempt.verdict.reasons.iter().take(6) {
            ctx.report(Progress::Note(format!("  {reason}")));
        }
    }
}

/// What to do when the policy says no.
pub(crate) const DOMAIN_HINT: &str = "save what the job needs to a file and ask about that file; the allowed domains are in policy.toml";

/// The person's examples, where they are inputs of this tool: one that takes a file has others.
fn fitting(spec: &Spec, examples: &[Case]) -> Vec<Case> {
    let Ok(schema) = handaxe_validate::Schema::compile_input(&spec.input_schema) else {
        return Vec::new();
    };
    let fits = |case: &&Case| schema.check_object(&case.input).is_ok();
    examples.iter().filter(fits).map(either_kind).collect()
}

/// `a b => 2` does not say whether a number is meant or its text: a tool may give either.
fn either_kind(example: &Case) -> Case {
    let mut example = example.clone();
    let Check::Expect { value, .. } = &example.check else {
        return example;
    };
    let shown = value.pointer("/results/0").and_then(Value::as_str);
    let number = shown.filter(|s| s.len() < 40 && s.parse::<serde_json::Number>().is_ok());
    if let Some(number) = number {
        let either = format!("output['results'][0] in ('{number}', {number})");
        example.check = Check::Holds(either);
    }
    example
}

/// Vets, tries and judges one draft, and records all of it.
pub(crate) fn try_draft(
    ctx: &Context,
    memory: &Memory,
    job: &Job<'_>,
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
        Some(attempt) if attempt.draft.spec == draft.spec => {
            let mut cases = tester_cases(&attempt.held_out);
            cases.extend(fuzzed(attempt));
            cases
        }
        _ => mind.held_out(&draft.spec)?,
    };
    held_out.extend(job.regression.iter().cloned());
    held_out.extend(job.task.goldens.iter().cloned());
    if mind.repairs() {
        // The composer's drafts have the examples among their own cases.
        held_out.extend(fitting(&draft.spec, &job.task.examples));
    }
    let mut trial = trial(ctx, memory, &draft, &held_out)?;
    let survivors = unnoticed(ctx, &trial);
    if !survivors.is_empty() {
        let known = tester_cases(&held_out);
        let more = match mind.sharpen(&draft.spec, &known, &survivors) {
            Ok(more) => further(&known, more),
            // A tester with nothing more to say leaves the figure as it is; the verdict holds it
            // against the floor. A bound that is reached ends the run all the same.
            Err(Halt::Stop(stop)) if !stop.is_bound() => Vec::new(),
            Err(Halt::Error(PipelineError::Model(_))) => Vec::new(),
            Err(halt) => return Err(halt),
        };
        if !more.is_empty() {
            let text = "  too few changes of the code are noticed: the tester adds {n} cases";
            ctx.report(Progress::Note(text.replace("{n}", &more.len().to_string())));
            held_out.extend(more);
            trial = self::trial(ctx, memory, &draft, &held_out)?;
        }
    }
    let mut verdict = handaxe_validate::judge(&trial, &ctx.policy);
    if !verdict.accepted {
        settle_disputes(ctx, memory, mind, n, &draft, &held_out, &mut trial)?;
        // Where what failed was withdrawn, the stages that it kept back are made up for.
        validator(ctx, memory)
            .complete(
                &draft,
                &held_out,
                &mut trial,
                ctx.reporter.as_ref(),
                &ctx.cancel,
            )
            .map_err(PipelineError::from)?;
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

/// The mutants that no case noticed, in words for the tester, where they are too many of all; empty
/// otherwise. Asked for once in an attempt.
fn unnoticed(ctx: &Context, trial: &Trial) -> Vec<String> {
    let Some(report) = &trial.mutation else {
        return Vec::new();
    };
    if report
        .rate()
        .is_none_or(|r| r >= ctx.policy.trial.kill_floor)
    {
        return Vec::new();
    }
    let words = |s: &Survivor| clip(&s.description, MAX_SURVIVOR_CHARS);
    report
        .survivors
        .iter()
        .take(MAX_SURVIVORS)
        .map(words)
        .collect()
}

/// The tester's new cases, under names of their own.
fn further(known: &[Case], more: Vec<Case>) -> Vec<Case> {
    more.into_iter()
        .take(MAX_SURVIVORS)
        .map(|mut case| {
            if known.iter().any(|k| k.name == case.name) {
                case.name.push_str(" (further)");
            }
            case
        })
        .collect()
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

/// The generated inputs that this attempt or one before it failed on: cases for every later one.
fn fuzzed(attempt: &Attempt) -> impl Iterator<Item = Case> + '_ {
    let before = attempt.held_out.iter().filter(|c| c.origin == Origin::Fuzz);
    let failures = attempt.trial.fuzz.iter().flat_map(|f| &f.failures);
    before.chain(failures.map(|f| &f.case)).cloned()
}

fn tester_cases(cases: &[Case]) -> Vec<Case> {
    cases
        .iter()
        .filter(|c| c.origin == Origin::Tester)
        .cloned()
        .collect()
}

/// Generated inputs and mutants are drawn by the run: again the same when it is resumed.
fn validator(ctx: &Context, memory: &Memory) -> handaxe_validate::Validator {
    let digest = Digest::of(memory.run().as_str().as_bytes()).to_string();
    // 48 bits: every reader of JSON keeps such a number whole.
    let seed = digest
        .get(..12)
        .and_then(|h| u64::from_str_radix(h, 16).ok());
    ctx.validator().seeded(seed.unwrap_or_default())
}

/// What a version's cases ask of the next one: what came out still does. What it refused it may
/// take now; and none of them is shown to the author.
pub(crate) fn regression(cases: Vec<Case>) -> Vec<Case> {
    cases
        .into_iter()
        .filter(|c| !matches!(c.check, Check::Raises(_)))
        .map(|case| Case {
            name: format!("as before: {}", case.name),
            origin: Origin::Replay,
            held_out: true,
            ..case
        })
        .collect()
}

fn trial(ctx: &Context, memory: &Memory, draft: &Draft, held_out: &[Case]) -> Result<Trial, Halt> {
    let span = tracing::info_span!("trial", handaxe.tool = draft.spec.name.as_str());
    let tried = span.in_scope(|| {
        validator(ctx, memory).trial(draft, held_out, ctx.reporter.as_ref(), &ctx.cancel)
    });
    let ended = if tried.is_ok() {
        "measured"
    } else {
        "broke_off"
    };
    metrics::counter!(measures::TRIALS, "ended" => ended).increment(1);
    Ok(tried.map_err(PipelineError::from)?)
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
