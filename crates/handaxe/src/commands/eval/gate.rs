//! `handaxe eval --suite gate`.

use std::sync::Arc;

use handaxe_eval::{Gate, Store, document, gate_items, run_gate};
use handaxe_sandbox::Cancel;

use super::{bar, built_in, failure, folder, taken, tell, tick};
use crate::cli::EvalArgs;
use crate::failure::{Exit, Failure, Outcome};
use crate::workshop::Workshop;

pub(super) fn run(shop: &Workshop, args: &EvalArgs) -> Outcome {
    let mut policy = shop.home()?.policy.clone();
    if let Some(inputs) = args.fuzz {
        if inputs == 0 {
            return Err(Failure::usage("--fuzz is at least 1")
                .hint("--switch-off measures what comes of leaving the generated inputs out"));
        }
        policy.trial.fuzz_inputs = inputs;
        policy.trial.min_fuzz_inputs = policy.trial.min_fuzz_inputs.min(inputs);
    }
    if let Some(mutants) = args.mutants {
        policy.trial.mutants = mutants;
    }
    let items = match &args.from {
        Some(dir) => gate_items(&dir.join(format!("seed-{}/gate.jsonl", args.seed))),
        None => built_in(|dir| gate_items(&dir.join("gate.jsonl"))),
    };
    let items = taken(items.map_err(|e| failure(&e))?, args.take);
    let cancel = Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let gate = Gate {
        sandbox: Arc::clone(shop.sandbox()?),
        policy,
        jobs: usize::from(args.jobs),
        store: Store::new(folder(shop, args, "gate")?.join("trials")),
        cancel,
        switch_off: args.switch_off,
    };
    let bar = bar(shop);
    let report = run_gate(&gate, "gate", &items, &|done, of| tick(&bar, done, of));
    bar.finish_and_clear();
    let report = report.map_err(|e| failure(&e))?;
    tell(shop, args, &report, &document::of_gate(&report))?;
    Ok(Exit::Done)
}
