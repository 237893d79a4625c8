//! How long the whole proof takes, part by part, for a tool of some 60 lines with 30 cases:
//!
//! ```text
//! cargo run --release -p handaxe-validate --example proof -- [RUNS] [--growth]
//! ```
//!
//! `--growth` shows the fitted exponents of tools whose growth is known instead.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use handaxe_sandbox::{Cancel, NativeConfig, NativeSandbox, Sandbox};
use handaxe_types::{Author, Case, Draft, Policy, Provenance, Silent, Spec};
use handaxe_validate::{Validator, judge};
use serde_json::{Map, Value, json};

const TOOL: &str = include_str!("proof/tool.py");

fn main() -> Result<(), Box<dyn Error>> {
    handaxe_jail::main_if_asked();
    handaxe_validate::main_if_asked();
    let mut config = NativeConfig::new(std::env::current_exe()?);
    config.search = std::env::var_os("PATH");
    let sandbox: Arc<dyn Sandbox> = Arc::new(NativeSandbox::new(config)?);
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|w| w == "--growth") {
        return growth(&sandbox);
    }
    let runs: u64 = words.first().map_or(Ok(1), |w| w.parse())?;
    for seed in 0..runs {
        let validator = Validator::new(Arc::clone(&sandbox), Policy::default()).seeded(seed);
        let trial = validator.trial(&orders(), &[], &Silent, &Cancel::default())?;
        let mut line = format!("{:6.0} ms, {} runs:", trial.wall_ms, trial.sandbox_runs);
        for stage in &trial.stages {
            let _ = write!(line, " {} {:.0}", stage.stage.as_str(), stage.ms);
        }
        println!("{line}");
        if seed == 0 {
            let mut policy = Policy::default();
            policy.trial.min_independent_cases = 0;
            let verdict = judge(&trial, &policy);
            for row in &verdict.card {
                let (status, why) = (row.status.as_str(), &row.why);
                println!("  {:18} {:12} {} {why}", row.name, status, row.value);
            }
            for failure in trial.fuzz.iter().flat_map(|f| &f.failures) {
                eprintln!("  {}: {}", failure.what, json!(failure.case.input));
            }
            for s in trial.mutation.iter().flat_map(|m| &m.survivors) {
                eprintln!(
                    "  survivor, line {}: {} -> {}",
                    s.line, s.original, s.mutated
                );
            }
        }
    }
    Ok(())
}

fn spec(properties: &Value) -> Result<Spec, serde_json::Error> {
    let required: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    serde_json::from_value(json!({
        "name": "order_totals",
        "description": "Totals of orders by customer, with discounts.",
        "input_schema": {"type": "object", "additionalProperties": false,
            "properties": properties, "required": required},
        "output_schema": {},
        "domain": "analysis",
    }))
}

fn draft(spec: Spec, code: &str, cases: Vec<Case>) -> Draft {
    Draft {
        spec,
        code: code.to_owned(),
        cases,
        assets: BTreeMap::new(),
        provenance: Provenance {
            author: Author::Composer,
            why: "to measure".to_owned(),
            recipe: None,
            invocation: Map::new(),
        },
    }
}

fn orders() -> Draft {
    let order = json!({"type": "object", "additionalProperties": false,
        "required": ["customer", "amount"],
        "properties": {"customer": {"type": "string", "maxLength": 20},
            "amount": {"type": "integer", "minimum": 0, "maximum": 100_000},
            "day": {"type": "integer", "minimum": 1, "maximum": 7}}});
    let properties = json!({"orders": {"type": "array", "items": order, "maxItems": 50},
        "discount": {"type": "integer", "minimum": 0, "maximum": 100},
        "order_by": {"enum": ["customer", "total"]}});
    let cases = include_str!("proof/cases.jsonl").lines();
    let cases = cases.filter_map(|l| serde_json::from_str(l).ok()).collect();
    match spec(&properties) {
        Ok(spec) => draft(spec, TOOL, cases),
        Err(e) => unreachable!("the spec above is one: {e}"),
    }
}

/// Tools whose growth is known, with the exponent that is fitted.
fn growth(sandbox: &Arc<dyn Sandbox>) -> Result<(), Box<dyn Error>> {
    let list = json!({"xs": {"type": "array", "items": {"type": "integer"}}});
    let text = json!({"text": {"type": "string"}});
    let xs = r#"{"name":"a","input":{"xs":[3,1,2]},"holds":"True"}"#;
    let words = r#"{"name":"a","input":{"text":"b a"},"holds":"True"}"#;
    let tools: [(&str, &Value, &str, &str); 6] = [
        (
            "1: sum",
            &list,
            xs,
            "def run(xs: list) -> int:\n    return sum(xs)\n",
        ),
        (
            "1: sort",
            &list,
            xs,
            "def run(xs: list) -> list:\n    return sorted(xs)\n",
        ),
        (
            "2: seen in a list",
            &list,
            xs,
            "def run(xs: list) -> list:\n    seen = []\n    for x in xs:\n        if x not in seen:\n            seen.append(x)\n    return seen\n",
        ),
        (
            "3: triples",
            &list,
            xs,
            "def run(xs: list) -> int:\n    n = 0\n    for a in xs:\n        for b in xs:\n            for c in xs:\n                n += a + b == c\n    return n\n",
        ),
        (
            "1: words",
            &text,
            words,
            "def run(text: str) -> int:\n    return len(text.split())\n",
        ),
        (
            "2 or more: a careless pattern",
            &text,
            words,
            "import re\n\n\ndef run(text: str) -> bool:\n    return bool(re.match(r'(a|aa)+$', text))\n",
        ),
    ];
    for (name, properties, case, code) in tools {
        let mut policy = Policy::default();
        policy.trial.mutants = 0;
        policy.trial.fuzz_inputs = 40;
        let code = format!("\"\"\"A tool.\"\"\"\n{code}");
        let draft = draft(spec(properties)?, &code, vec![serde_json::from_str(case)?]);
        let validator = Validator::new(Arc::clone(sandbox), policy.clone());
        let trial = validator.trial(&draft, &[], &Silent, &Cancel::default())?;
        println!("{name}");
        for f in trial.fuzz.iter().flat_map(|f| &f.failures) {
            println!("    {}: {}", f.what, json!(f.case.input));
        }
        for g in trial.cost.iter().flat_map(|c| &c.growth) {
            let ms: Vec<String> = g.ms.iter().map(|ms| format!("{ms:.1}")).collect();
            let exponent = g.exponent.map_or("-".to_owned(), |e| format!("{e:.2}"));
            println!(
                "    {} {exponent}  {:?} ms {} {}",
                g.of,
                g.sizes,
                ms.join(" "),
                g.note
            );
        }
    }
    Ok(())
}
