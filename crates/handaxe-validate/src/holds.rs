//! Properties: a case's `holds` expression, evaluated where no tool code is.

use std::sync::Arc;

use handaxe_sandbox::Call;
use handaxe_types::{Limits, Severity, StaticPolicy};
use serde_json::{Map, Value};

use crate::{parse, vetter};

const MAX_EXPRESSION: usize = 4 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PropertyError {
    #[error("the property is longer than {MAX_EXPRESSION} bytes")]
    TooLong,
    #[error("the property {0}")]
    NotAnExpression(#[source] parse::ParseFailure),
    #[error("the property is not allowed: {0}")]
    NotAllowed(String),
}

/// The program that evaluates one property: its only inputs are the tool's input and output.
pub(crate) fn program(expression: &str, policy: &StaticPolicy) -> Result<Arc<str>, PropertyError> {
    if expression.len() > MAX_EXPRESSION {
        return Err(PropertyError::TooLong);
    }
    // Alone first: in the parentheses below, `1) or (2` would pass.
    parse::expression(expression.trim(), policy.max_nesting)
        .map_err(PropertyError::NotAnExpression)?;
    let program = format!(
        "\"\"\"Evaluates one property.\"\"\"\nimport collections, datetime, json, math, re, statistics\n\n\ndef run(input, output):\n    return (\n{}\n    )\n",
        expression.trim()
    );
    // `input` is the property's own argument here, not the builtin.
    let mut policy = policy.clone();
    policy.names.retain(|n| n != "input");
    policy.imports.extend(
        [
            "collections",
            "datetime",
            "json",
            "math",
            "re",
            "statistics",
        ]
        .map(str::to_owned),
    );
    match vetter::vet(&program, &policy, &[])
        .into_iter()
        .find(|f| f.severity == Severity::Refuse)
    {
        Some(f) => Err(PropertyError::NotAllowed(format!(
            "{} ({})",
            f.reason, f.rule
        ))),
        None => Ok(Arc::from(program)),
    }
}

pub(crate) fn call(program: Arc<str>, input: Map<String, Value>, output: Value) -> Call {
    Call {
        code: program,
        input: Map::from_iter([
            ("input".to_owned(), Value::Object(input)),
            ("output".to_owned(), output),
        ]),
        files: Vec::new(),
        assets: Vec::new(),
        file_inputs: Vec::new(),
        file_outputs: Vec::new(),
        artifacts: None,
        limits: Limits::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_honest_expression() {
        let policy = StaticPolicy::default();
        for good in [
            "output == sorted(input['xs'])",
            "all(isinstance(x, int) for x in output)",
            "math.isclose(sum(output), 1.0, rel_tol=1e-9)  # a comment",
            "len(output) ==\n len(input['xs'])",
        ] {
            let good = if good.contains('\n') {
                format!("({good})")
            } else {
                good.to_owned()
            };
            assert!(program(&good, &policy).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x = 1",
            "True) or (True",
            "True\nimport os",
            "__import__('os')",
            "eval('1')",
            "output.__class__.__base__",
            "(json := 1) and statistics.sys",
            "open('/etc/passwd').read()",
            "lambda: (yield",
        ] {
            assert!(program(bad, &policy).is_err(), "{bad}");
        }
        assert!(program(&"1+".repeat(5000), &policy).is_err());
    }
}
