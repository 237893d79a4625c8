//! How strong the cases are: mutants of the tool, and which of them the cases notice.
//!
//! Every chosen mutant first runs the inputs of all cases in one process (a batch), beside the
//! tool's own run of the same batch. That is never evidence; it foretells which cases would notice.
//! Then:
//!
//! - A **kill** counts only when a case, run against the mutant in a fresh process and judged on the
//!   host like any other, fails. Foretold cases are tried in an order that puts another output
//!   before a timeout and that before an exception, until one kills.
//! - A **survivor** is one for which no foretold case killed. Cases that gave the same in the batch
//!   are not launched again. If the batch were wrong about one (a tool that keeps state between
//!   calls, or knows a batch from a call), a mutant would be taken for a survivor that a fresh launch
//!   would have killed: the kill rate is understated, never inflated.
//! - A kill **by exception** alone, where the tool never raises that kind, says little of the cases
//!   (any input that gets there will do), and is what a tool would produce that checks its own code.
//!   It is counted apart, neither for nor against.
//! - A survivor that gives the same as the tool on all generated inputs, and whose changed line
//!   these inputs reach, is **equivalent** as far as anyone can tell cheaply: apart, too.
//!
//! Time is bounded by a multiple of what the tool itself needed, in processor time, so that a busy
//! machine makes no timeouts.

mod choose;
mod describe;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use handaxe_sandbox::{Batch, BatchItem, BatchStop, Cancel, Session};
use handaxe_types::{Case, CaseResult, Limits, MutationReport, Outcome, StaticPolicy, Survivor};

use crate::bench::Stand;
use crate::coverage;
use crate::invoke::{Arguments, Contract};
use crate::parse::{self, Span};
use crate::runner::in_parallel;
use crate::trial::ValidateError;
use choose::Mutant;

/// Foretold cases that are launched for one mutant.
const LAUNCHES: usize = 6;
/// Cases that every mutant meets; the others meet what these do not kill.
const FIRST: usize = 12;
/// Generated inputs that a survivor is compared on.
const COMPARED: usize = 200;

/// What is tried, and how much of it.
pub(crate) struct Given<'a> {
    /// The tool's.
    pub(crate) contract: &'a Contract,
    /// Cases that the tool passes; no others say anything here.
    pub(crate) cases: &'a [&'a Case],
    /// Their results, in the same order.
    pub(crate) results: &'a [&'a CaseResult],
    /// Generated inputs that the tool took.
    pub(crate) fuzz: &'a [Arguments],
    /// Kinds of error that the tool raised on generated inputs and was right to.
    pub(crate) documented: &'a BTreeSet<String>,
    pub(crate) policy: &'a StaticPolicy,
    pub(crate) seed: u64,
    pub(crate) most: u32,
    /// No mutant is begun after this much time.
    pub(crate) patience: Duration,
}

/// Runs one case against a contract in a fresh process, and judges it on the host.
pub(crate) type Judge<'a> =
    &'a (dyn Fn(&Contract, &Case) -> Result<CaseResult, ValidateError> + Sync);

/// Told after every mutant: how many are done, of how many, and how many survive so far.
pub(crate) type Told<'a> = &'a (dyn Fn(u32, u32, u32) + Sync);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    KilledByOutput,
    KilledByTimeout,
    KilledByCrash,
    Survived,
    /// The interpreter does not compile it.
    NoPython,
    NotRun,
}

/// Makes mutants of a tool that passed its cases, and sees which of them the cases notice.
pub(crate) fn run(
    given: &Given<'_>,
    session: &dyn Session,
    judge: Judge<'_>,
    told: Told<'_>,
    cancel: &Cancel,
) -> Result<MutationReport, ValidateError> {
    let begun = Instant::now();
    let code = given.contract.code();
    // What cannot be read has been refused before; there is nothing to say of it here.
    let edits = parse::edits(code, given.policy.max_nesting).unwrap_or_default();
    let mut report = MutationReport {
        seed: given.seed,
        possible: edits.len() as u32,
        ..MutationReport::default()
    };
    let mutants = choose::choose(code, edits, given.seed, given.most as usize);
    let groups = groups(given);
    if groups.is_empty() {
        report.generated = mutants.len() as u32;
        report.not_run = report.generated;
        report.stopped_by = Some("no case has an input that runs".to_owned());
        return Ok(report);
    }
    let limits = limits(given);
    let batch = |stand: &Stand, code: &str| Batch {
        limits: limits.clone(),
        deaths: 1,
        ..stand.batch(code)
    };
    let mut owned = Vec::with_capacity(groups.len());
    for stand in groups {
        let own = batch(&stand, code).run(session, cancel)?.items;
        owned.push((stand, own));
    }
    let trying = Trying {
        given,
        session,
        judge,
        cancel,
        groups: &owned,
        kinds: own_kinds(given),
        limits: &limits,
    };
    let (done, alive, of) = (AtomicU32::new(0), AtomicU32::new(0), mutants.len() as u32);
    let fates = in_parallel(&mutants, |mutant| {
        let fate = if begun.elapsed() > given.patience {
            Fate::NotRun
        } else {
            trying.fate(&|stand| batch(stand, &mutant.code), &mutant.code)?
        };
        let survived = u32::from(fate == Fate::Survived);
        let alive = alive.fetch_add(survived, Ordering::Relaxed) + survived;
        told(done.fetch_add(1, Ordering::Relaxed) + 1, of, alive);
        Ok(fate)
    })?;
    let count = |fate| fates.iter().filter(|f| **f == fate).count() as u32;
    report.killed_by_output = count(Fate::KilledByOutput);
    report.killed_by_timeout = count(Fate::KilledByTimeout);
    report.killed_by_crash = count(Fate::KilledByCrash);
    report.not_run = count(Fate::NotRun);
    report.generated = of - count(Fate::NoPython);
    if report.not_run > 0 {
        report.stopped_by = Some(format!("{} s were over", given.patience.as_secs()));
    }
    let alive: Vec<&Mutant> = (mutants.iter().zip(&fates))
        .filter(|(_, fate)| **fate == Fate::Survived)
        .map(|(mutant, _)| mutant)
        .collect();
    let different = tell_apart(given, &alive, &batch, session, cancel, begun)?;
    report.equivalent = (alive.len() - different.len()) as u32;
    report.survivors = different;
    Ok(report)
}

/// The cases in groups, each for one process: a few first, from all over, for most mutants are
/// noticed by most cases; the others only meet what these let through.
fn groups(given: &Given<'_>) -> Vec<Stand> {
    let all: Vec<usize> = (0..given.cases.len()).collect();
    let step = all.len().div_ceil(FIRST).max(1);
    let (first, rest): (Vec<usize>, Vec<usize>) = all.iter().partition(|i| *i % step == 0);
    let stand = |places: Vec<usize>| {
        let cases: Vec<&Case> = places.iter().map(|i| given.cases[*i]).collect();
        let mut stand = Stand::of(given.contract, &cases)?;
        for at in &mut stand.of {
            *at = places[*at];
        }
        Some(stand)
    };
    [first, rest].into_iter().filter_map(stand).collect()
}

/// Time by what the tool itself took, processor time first: it does not grow on a busy machine.
fn limits(given: &Given<'_>) -> Limits {
    let longest = (given.results.iter())
        .map(|r| r.runtime_ms)
        .fold(0.0, f64::max)
        .ceil() as u64;
    let limits = given.contract.limits();
    Limits {
        cpu_ms: (40 + 10 * longest).min(limits.cpu_ms),
        wall_ms: (1_500 + 20 * longest).min(limits.wall_ms),
        ..limits.clone()
    }
}

/// The kinds of error that the tool itself raises.
fn own_kinds(given: &Given<'_>) -> BTreeSet<String> {
    let raised = given.results.iter().filter_map(|r| r.error.as_ref());
    raised
        .map(|e| e.kind.clone())
        .chain(given.documented.iter().cloned())
        .collect()
}

struct Trying<'a> {
    given: &'a Given<'a>,
    session: &'a dyn Session,
    judge: Judge<'a>,
    cancel: &'a Cancel,
    /// The cases, and what the tool itself gives in the same batch.
    groups: &'a [(Stand, Vec<BatchItem>)],
    kinds: BTreeSet<String>,
    limits: &'a Limits,
}

impl Trying<'_> {
    fn fate(&self, batch: &dyn Fn(&Stand) -> Batch, code: &str) -> Result<Fate, ValidateError> {
        let contract = self.given.contract.changed(Arc::from(code), self.limits);
        let mut fate = Fate::Survived;
        let mut launches = LAUNCHES;
        for (stand, own) in self.groups {
            let run = batch(stand).run(self.session, self.cancel)?;
            if run.items.first().is_some_and(is_no_python) {
                return Ok(Fate::NoPython);
            }
            let foretold = (run.items.iter().zip(own))
                .zip(&stand.of)
                .filter(|((mutant, own), _)| !same(mutant, own))
                .map(|((mutant, _), case)| {
                    let kind = mutant.error.as_ref().map(|e| e.kind.as_str());
                    (self.class(mutant.outcome, kind), *case)
                });
            fate = self.launched(&contract, foretold.collect(), fate, &mut launches)?;
            if fate == Fate::KilledByOutput {
                return Ok(fate);
            }
        }
        // Cases that a batch cannot hold (files too large for one call) are tried as they are.
        let held: BTreeSet<usize> = self.groups.iter().flat_map(|(s, _)| s.of.clone()).collect();
        let apart = (0..self.given.cases.len()).filter(|i| !held.contains(i));
        let apart = apart.map(|i| (Fate::KilledByCrash, i)).collect();
        self.launched(&contract, apart, fate, &mut launches)
    }

    /// Runs foretold cases in fresh processes until one kills.
    fn launched(
        &self,
        contract: &Contract,
        mut foretold: Vec<(Fate, usize)>,
        mut fate: Fate,
        launches: &mut usize,
    ) -> Result<Fate, ValidateError> {
        foretold.sort_unstable();
        for (class, case) in foretold {
            // A kill by exception stands until one by output is found; none is foretold any more.
            let in_vain = fate == Fate::KilledByCrash && class == Fate::KilledByCrash;
            if in_vain || *launches == 0 || fate == Fate::KilledByOutput {
                break;
            }
            *launches -= 1;
            let result = (self.judge)(contract, self.given.cases[case])?;
            if !result.passed {
                let kind = result.error.as_ref().map(|e| e.kind.as_str());
                fate = fate.min(self.class(result.outcome, kind));
            }
        }
        Ok(fate)
    }

    /// What a run that was noticed says of the cases.
    fn class(&self, outcome: Outcome, kind: Option<&str>) -> Fate {
        match outcome {
            Outcome::Ok => Fate::KilledByOutput,
            Outcome::Timeout => Fate::KilledByTimeout,
            Outcome::ToolError if kind.is_some_and(|k| self.kinds.contains(k)) => {
                Fate::KilledByOutput
            }
            _ => Fate::KilledByCrash,
        }
    }
}

/// It did not compile, which is not of the cases' doing.
fn is_no_python(item: &BatchItem) -> bool {
    let kind = item.error.as_ref().map(|e| e.kind.as_str());
    item.elapsed.is_none() && matches!(kind, Some("SyntaxError" | "IndentationError"))
}

/// The same to whoever called.
fn same(a: &BatchItem, b: &BatchItem) -> bool {
    let kind = |item: &BatchItem| item.error.as_ref().map(|e| e.kind.clone());
    a.outcome == b.outcome && a.output == b.output && kind(a) == kind(b)
}

/// The survivors that some generated input tells from the tool, or that none reaches.
fn tell_apart(
    given: &Given<'_>,
    alive: &[&Mutant],
    batch: &(dyn Fn(&Stand, &str) -> Batch + Sync),
    session: &dyn Session,
    cancel: &Cancel,
    begun: Instant,
) -> Result<Vec<Survivor>, ValidateError> {
    let code = given.contract.code();
    let all = || {
        alive
            .iter()
            .map(|m| describe::survivor(code, m))
            .collect::<Vec<_>>()
    };
    let some = &given.fuzz[..given.fuzz.len().min(COMPARED)];
    let Some(stand) = (!alive.is_empty())
        .then(|| Stand::of_arguments(given.contract, some))
        .flatten()
    else {
        return Ok(all());
    };
    let mut watched = batch(&stand, code);
    watched.observer = Some(Arc::from(coverage::OBSERVER));
    // Traced, it may take longer; that it ends is known.
    watched.limits = given.contract.limits().clone();
    let own = watched.run(session, cancel)?;
    if own.stopped.is_some() {
        return Ok(all());
    }
    let reached = coverage::jumps(&own);
    let keep = in_parallel(alive, |mutant| {
        let line = mutant.edit.line;
        let span = Span {
            first: line,
            last: line,
        };
        if begun.elapsed() > given.patience || !coverage::ran(&reached, span) {
            return Ok(true);
        }
        let run = batch(&stand, &mutant.code).run(session, cancel)?;
        let all_same = run.stopped != Some(BatchStop::Patience)
            && run.items.len() == own.items.len()
            && run.items.iter().zip(&own.items).all(|(a, b)| same(a, b));
        Ok(!all_same)
    })?;
    Ok((all().into_iter().zip(keep))
        .filter_map(|(survivor, keep)| keep.then_some(survivor))
        .collect())
}
