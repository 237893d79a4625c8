//! A trial: every stage of the proof in its order, and what came of each.
//!
//! Reading first (`vet`, the template), then the cases; only where all of them pass are the dearer
//! stages worth their time: generated inputs, mutants, coverage, cost. [`crate::judge`] concludes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use handaxe_sandbox::{Cancel, Sandbox, SandboxError};
use handaxe_types::{
    Author, Capability, Case, CaseResult, Draft, Origin, Policy, Progress, Reporter, Stage,
    StageTime, Trial,
};

use crate::capabilities;
use crate::cases::Cases;
use crate::cost;
use crate::fuzz::{self, Answers, Fuzzed};
use crate::invoke::{Arguments, Contract};
use crate::isolation::{IsolationRefusal, isolation};
use crate::runner::Runner;
use crate::template::check_template;
use crate::vet::refuses;
use crate::vetter::vet;
use crate::{coverage, mutation};

/// More cases than this are not run.
const MAX_CASES: usize = 10_000;

/// Tries drafts and says what happened. [`crate::judge`] concludes.
pub struct Validator {
    sandbox: Arc<dyn Sandbox>,
    policy: Policy,
    seed: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    #[error("cancelled")]
    Cancelled,
    #[error("{count} cases are too many to run; at most {MAX_CASES} are")]
    TooManyCases { count: usize },
    #[error("a generated input was not what it was checked to be: {reason}")]
    Generated { reason: String },
    /// Nothing ran.
    #[error(transparent)]
    Isolation(#[from] IsolationRefusal),
    #[error("the sandbox failed during the trial")]
    Sandbox(#[source] SandboxError),
}

impl From<SandboxError> for ValidateError {
    fn from(e: SandboxError) -> Self {
        match e {
            SandboxError::Cancelled => Self::Cancelled,
            other => Self::Sandbox(other),
        }
    }
}

impl Validator {
    pub fn new(sandbox: Arc<dyn Sandbox>, policy: Policy) -> Self {
        Self {
            sandbox,
            policy,
            seed: None,
        }
    }

    /// Generates inputs and mutants from this seed: that of a run, or one on record. Without it the
    /// seed is taken from the draft's digest.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Vets a draft and, when nothing refuses it, runs the author's cases and the held-out ones; and
    /// when all of these pass, the stages after them. A draft that is refused by reading is never
    /// run: its trial has no cases.
    pub fn trial(
        &self,
        draft: &Draft,
        held_out: &[Case],
        reporter: &dyn Reporter,
        cancel: &Cancel,
    ) -> Result<Trial, ValidateError> {
        let begun = Instant::now();
        let count = draft.cases.len() + held_out.len();
        if count > MAX_CASES {
            return Err(ValidateError::TooManyCases { count });
        }
        isolation(&self.policy, &draft.spec.domain, self.sandbox.profile())?;
        let mut capabilities = draft.spec.capabilities.clone();
        if !draft.assets.is_empty() {
            // A tool may open what it carries.
            capabilities.push(Capability::ReadFiles);
        }
        let findings = vet(&draft.code, &self.policy.code, &capabilities);
        if !findings.is_empty() {
            reporter.report(Progress::Findings(findings.clone()));
        }
        let profile = self.sandbox.profile().digest();
        let mut trial = Trial {
            template: if refuses(&findings) {
                Vec::new()
            } else {
                check_template(draft)
            },
            findings,
            by_example: is_by_example(draft),
            sandbox: Some(self.sandbox.profile().clone()),
            ..Trial::new(
                draft.digest(profile),
                profile,
                &self.sandbox.interpreter().version,
            )
        };
        took(&mut trial, Stage::Vet, begun);
        if !refuses(&trial.findings) && trial.template.is_empty() {
            self.run(draft, held_out, &mut trial, reporter, cancel)?;
        }
        trial.wall_ms = begun.elapsed().as_secs_f64() * 1e3;
        Ok(trial)
    }

    /// Runs the stages after the cases for a trial that stopped there, once the cases that failed
    /// have been withdrawn. Does nothing where a case that counts still fails, or nothing is missing.
    pub fn complete(
        &self,
        draft: &Draft,
        held_out: &[Case],
        trial: &mut Trial,
        reporter: &dyn Reporter,
        cancel: &Cancel,
    ) -> Result<(), ValidateError> {
        let begun = Instant::now();
        let stopped = !trial.cases.is_empty() && trial.cost.is_none();
        if !stopped || !trial.cases.iter().all(counts_as_passed) {
            return Ok(());
        }
        self.run(draft, held_out, trial, reporter, cancel)?;
        trial.wall_ms += begun.elapsed().as_secs_f64() * 1e3;
        Ok(())
    }

    fn run(
        &self,
        draft: &Draft,
        held_out: &[Case],
        trial: &mut Trial,
        reporter: &dyn Reporter,
        cancel: &Cancel,
    ) -> Result<(), ValidateError> {
        let contract = match Contract::new(&draft.spec, &draft.code, &draft.assets) {
            Ok(contract) => contract,
            Err(e) => {
                // `check_template` compiles the same schemas; this is for a change that forgets to.
                trial.template.push(e.to_string());
                return Ok(());
            }
        };
        let runner = Runner::new(
            &*self.sandbox,
            &self.policy,
            contract,
            draft.spec.deterministic,
            reporter,
            cancel,
        );
        let cases: Vec<&Case> = draft.cases.iter().chain(held_out).collect();
        let answers = Answers::new(&draft.code, &cases);
        let judged = Cases {
            runner: &runner,
            answers: &answers,
        };
        if trial.cases.is_empty() {
            let begun = Instant::now();
            trial.cases = judged.run(&cases)?;
            took(trial, Stage::Cases, begun);
        }
        let seed = self.seed.unwrap_or_else(|| seed_of(trial));
        if !cases.is_empty() && trial.cases.iter().all(counts_as_passed) {
            self.deeper(draft, &cases, &judged, seed, trial)?;
        }
        let observed = runner.observed();
        if let Some(layers) = observed.layers {
            trial.layers = layers.into_iter().collect();
        }
        trial.sandbox_runs += runner.runs();
        Ok(())
    }

    /// The stages after the cases.
    fn deeper(
        &self,
        draft: &Draft,
        cases: &[&Case],
        judged: &Cases<'_>,
        seed: u64,
        trial: &mut Trial,
    ) -> Result<(), ValidateError> {
        let runner = judged.runner;
        let mut fuzzed = None;
        if self.policy.trial.fuzz_inputs > 0 {
            let begun = Instant::now();
            let ran = fuzz::run(runner, &draft.spec, &draft.cases, judged.answers, seed)?;
            trial.fuzz = Some(ran.report.clone());
            let failures = ran.report.failures.iter();
            trial.cases.extend(failures.map(fuzz::case_result));
            took(trial, Stage::Fuzz, begun);
            fuzzed = Some(ran);
        }
        let failed = trial.cases.iter().any(|c| !counts_as_passed(c));
        if !failed {
            self.strength(cases, judged, fuzzed.as_ref(), seed, trial)?;
        }
        let begun = Instant::now();
        trial.cost = Some(cost::run(
            runner,
            draft,
            fuzzed.as_ref(),
            trial,
            seed,
            !failed,
        )?);
        trial.capabilities = Some(capabilities::run(runner, draft, cases)?);
        took(trial, Stage::Cost, begun);
        Ok(())
    }
}

/// What of the trial's time the mutants may take at most.
const MUTANTS_SHARE: u32 = 2;

impl Validator {
    /// How strong the cases are, and what they reach.
    fn strength(
        &self,
        cases: &[&Case],
        judged: &Cases<'_>,
        fuzzed: Option<&Fuzzed>,
        seed: u64,
        trial: &mut Trial,
    ) -> Result<(), ValidateError> {
        let runner = judged.runner;
        let session = runner.session()?;
        // Withdrawn cases say nothing of the tool, nor of a mutant.
        let (cases, results): (Vec<&Case>, Vec<&CaseResult>) = (cases.iter().zip(&trial.cases))
            .filter(|(_, result)| result.passed)
            .map(|(case, result)| (*case, result))
            .unzip();
        if self.policy.trial.mutants > 0 {
            let begun = Instant::now();
            let answered: Vec<Arguments> = fuzzed
                .map(|f| f.answered.iter().map(|(a, _)| a.clone()).collect())
                .unwrap_or_default();
            let documented: BTreeSet<String> = fuzzed
                .map(|f| f.report.documented.keys().cloned().collect())
                .unwrap_or_default();
            let report = mutation::run(
                &mutation::Given {
                    contract: &runner.contract,
                    cases: &cases,
                    results: &results,
                    fuzz: &answered,
                    documented: &documented,
                    policy: &self.policy.code,
                    seed,
                    most: self.policy.trial.mutants,
                    patience: runner.left() / MUTANTS_SHARE,
                },
                &*session,
                &|contract, case| Ok(judged.case(&*session, contract, case)?.0),
                &|done, of, alive| runner.progress(Stage::Mutants, done, of, alive),
                runner.cancel,
            )?;
            trial.mutation = Some(report);
            took(trial, Stage::Mutants, begun);
        }
        let begun = Instant::now();
        trial.coverage = coverage::run(
            &runner.contract,
            &cases,
            &self.policy.code,
            &*session,
            runner.cancel,
        )?;
        took(trial, Stage::Coverage, begun);
        Ok(())
    }
}

fn is_by_example(draft: &Draft) -> bool {
    let recipe = draft.provenance.recipe.as_ref();
    draft.provenance.author == Author::Composer
        && recipe.is_some_and(|r| r.get("by_example").is_some())
}

/// Whether a case speaks for the tool, or has been withdrawn and speaks neither way.
pub(crate) fn counts_as_passed(case: &CaseResult) -> bool {
    case.passed || (case.withdrawn.is_some() && case.origin != Origin::User)
}

fn took(trial: &mut Trial, stage: Stage, begun: Instant) {
    trial.stages.push(StageTime {
        stage,
        ms: begun.elapsed().as_secs_f64() * 1e3,
    });
}

/// 48 bits of the draft's digest: every reader of JSON keeps such a number whole.
fn seed_of(trial: &Trial) -> u64 {
    let digest = trial.subject.to_string();
    digest
        .get(..12)
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .unwrap_or_default()
}
