//! `handaxe eval --suite formats` and `--suite latm`: three arms within the same bounds; and
//! `--suite gap`, which plans within them.

use std::collections::BTreeSet;
use std::sync::Arc;

use handaxe_agent::{Approver, Card, Decision};
use handaxe_eval::{
    Bench, Bounds, ProblemSuite, Store, Thinker, document, gap_requests, problems, run_arms,
    run_gap,
};
use handaxe_sandbox::Cancel;
use handaxe_types::ApprovalMethod;

use super::{bar, built_in, failure, folder, taken, tell, tick};
use crate::cli::EvalArgs;
use crate::failure::{Exit, Failure, Outcome};
use crate::home::login;
use crate::models;
use crate::workshop::Workshop;

/// Of one ask, where neither the command nor `config.toml` says otherwise.
const TOKENS: u64 = 60_000;
const SECONDS: u64 = 300;

/// Says yes to whatever was proved, in the homes of an evaluation and nowhere else: what the proof
/// lets through is what is measured.
struct YesToAll(String);

impl Approver for YesToAll {
    fn decide(&self, _: &Card) -> Decision {
        Decision::Approve {
            approver: self.0.clone(),
            method: ApprovalMethod::YesFlag,
        }
    }
}

pub(super) fn run(shop: &Workshop, args: &EvalArgs, suite: ProblemSuite) -> Outcome {
    if args.from.is_some() {
        return Err(Failure::usage(format!(
            "the suite {} is drawn here: it takes --seed, and no --from",
            suite.as_str()
        )));
    }
    let mut drawn = problems(
        suite,
        args.seed,
        usize::from(args.each),
        usize::from(args.rounds),
    );
    let known: BTreeSet<String> = drawn.iter().map(|p| p.family.clone()).collect();
    if let Some(stranger) = args.family.iter().find(|f| !known.contains(*f)) {
        let known: Vec<String> = known.into_iter().collect();
        return Err(Failure::usage(format!(
            "the suite {} has no family `{stranger}`",
            suite.as_str()
        ))
        .hint(format!("it has {}", known.join(", "))));
    }
    drawn.retain(|p| args.family.is_empty() || args.family.contains(&p.family));
    let drawn = taken(drawn, args.take);
    let bench = bench(shop, args, suite.as_str(), thinker(shop, args)?)?;
    let bar = bar(shop);
    let report = run_arms(&bench, suite.as_str(), &drawn, &|done, of| {
        tick(&bar, done, of);
    });
    bar.finish_and_clear();
    let report = report.map_err(|e| failure(&e))?;
    tell(shop, args, &report, &document::of_arms(&report))?;
    Ok(Exit::Done)
}

/// `handaxe eval --suite gap`: planned by the model that is named, else by the composer.
pub(super) fn gap(shop: &Workshop, args: &EvalArgs) -> Outcome {
    let thinker = match thinker(shop, args)? {
        Thinker::Nobody => Thinker::Composer,
        thinker => thinker,
    };
    let planner = thinker.id();
    let bench = bench(shop, args, "gap", thinker)?;
    let bar = bar(shop);
    let report = built_in(|dir| {
        let requests = match &args.from {
            Some(from) => gap_requests(&from.join("requests.jsonl")),
            None => gap_requests(&dir.join("requests.jsonl")),
        };
        let data = args.from.as_deref().unwrap_or(dir);
        run_gap(&bench, &requests?, data, &|done, of| tick(&bar, done, of))
    });
    bar.finish_and_clear();
    let report = report.map_err(|e| failure(&e))?;
    tell(shop, args, &report, &document::of_gap(&report, &planner))?;
    Ok(Exit::Done)
}

fn bench(
    shop: &Workshop,
    args: &EvalArgs,
    suite: &str,
    thinker: Thinker,
) -> Result<Bench, Failure> {
    let home = shop.home()?;
    let cancel = Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    Ok(Bench {
        thinker,
        sandbox: Arc::clone(shop.sandbox()?),
        policy: home.policy.clone(),
        bounds: Bounds {
            tokens: args
                .model
                .max_tokens
                .or(home.config.max_tokens)
                .unwrap_or(TOKENS),
            seconds: args
                .model
                .max_seconds
                .or(home.config.max_seconds)
                .unwrap_or(SECONDS),
            repairs: args
                .model
                .max_repairs
                .or(home.config.max_repairs)
                .unwrap_or(home.policy.trial.max_repairs),
            candidates: args
                .model
                .candidates
                .or(home.config.candidates)
                .unwrap_or(1),
        },
        approver: Arc::new(YesToAll(login())),
        jobs: if in_order(shop, args)? {
            1
        } else {
            usize::from(args.jobs)
        },
        store: Store::new(folder(shop, args, suite)?.join("trials")),
        cancel,
    })
}

/// A recording is made, or played, in one order.
fn in_order(shop: &Workshop, args: &EvalArgs) -> Result<bool, Failure> {
    let named = args.model.model.as_ref();
    let model = named.or(shop.home()?.config.model.as_ref());
    Ok(args.model.record.is_some() || model.is_some_and(|m| m.starts_with("replay:")))
}

/// The model that was named or found. The composer plays where it was named; that nothing else was
/// found does not make it a model.
fn thinker(shop: &Workshop, args: &EvalArgs) -> Result<Thinker, Failure> {
    let named = args.model.model.is_some() || shop.home()?.config.model.is_some();
    let chosen = models::choose(shop, &args.model)?;
    Ok(match models::alone(&chosen)? {
        Some(model) => Thinker::Model {
            model,
            templates: Arc::new(models::templates(shop)?),
            runtime: shop.runtime()?.handle().clone(),
        },
        None if named => Thinker::Composer,
        None => Thinker::Nobody,
    })
}
