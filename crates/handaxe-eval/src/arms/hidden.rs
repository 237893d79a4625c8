//! A tool against inputs that nobody was shown. Whatever it is, it runs in the sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use handaxe_sandbox::SessionSpec;
use handaxe_types::{Asset, Limits, Outcome, Spec, Tolerance, ToolName};
use handaxe_validate::{Arguments, Contract, InvokeError, compare, invoke};
use serde_json::{Map, Value, json};

use super::Bench;
use crate::error::SuiteError;
use crate::problem::Solved;

/// Code with its interface, approved or not.
pub(super) struct Tool {
    spec: Option<Spec>,
    code: String,
    assets: BTreeMap<String, Asset>,
}

/// What came of one input.
pub(super) struct Gave {
    pub(super) outcome: Outcome,
    /// What stands for the result in its output.
    pub(super) result: Option<Value>,
}

impl Tool {
    pub(super) fn new(spec: &Spec, code: &str, assets: &BTreeMap<String, Asset>) -> Self {
        Self {
            spec: Some(spec.clone()),
            code: code.to_owned(),
            assets: assets.clone(),
        }
    }

    /// Code of which nothing is known but what it was asked to be.
    pub(super) fn bare(code: &str) -> Self {
        let spec = ToolName::new("one_shot").ok().map(|name| Spec {
            name,
            description: String::new(),
            input_schema: json!({"type": "object", "properties": {"text": {"type": "string"}},
                "required": ["text"], "additionalProperties": false}),
            output_schema: json!({}),
            domain: "text".to_owned(),
            capabilities: Vec::new(),
            limits: Limits::default(),
            deterministic: true,
        });
        Self {
            spec,
            code: code.to_owned(),
            assets: BTreeMap::new(),
        }
    }

    /// Runs it on one text.
    pub(super) fn run(&self, bench: &Bench, text: &str) -> Result<Gave, SuiteError> {
        Ok(self
            .each(bench, std::slice::from_ref(&text))?
            .pop()
            .unwrap_or(Gave {
                outcome: Outcome::ToolError,
                result: None,
            }))
    }

    /// On which of the hidden inputs it is right. One that cannot take them is right on none.
    pub(super) fn right(&self, bench: &Bench, hidden: &[Solved]) -> Result<Vec<bool>, SuiteError> {
        let texts: Vec<&str> = hidden.iter().map(|s| s.text.as_str()).collect();
        let mut right: Vec<bool> = self
            .each(bench, &texts)?
            .iter()
            .zip(hidden)
            .map(|(gave, want)| {
                gave.outcome == Outcome::Ok
                    && gave.result.as_ref().is_some_and(|r| same(&want.result, r))
            })
            .collect();
        right.resize(hidden.len(), false);
        Ok(right)
    }

    fn each(&self, bench: &Bench, texts: &[&str]) -> Result<Vec<Gave>, SuiteError> {
        let Some(spec) = &self.spec else {
            return Ok(Vec::new());
        };
        let Ok(contract) = Contract::new(spec, &self.code, &self.assets) else {
            return Ok(Vec::new());
        };
        let failed = |e| SuiteError::Sandbox {
            source: Arc::new(e),
        };
        let session = bench.sandbox.open(SessionSpec::default()).map_err(failed)?;
        let mut out = Vec::with_capacity(texts.len());
        for text in texts {
            let arguments = Arguments {
                input: input(spec, text),
                ..Arguments::default()
            };
            out.push(
                match invoke(&*session, &contract, &arguments, &bench.cancel) {
                    Ok(ran) => Gave {
                        outcome: ran.outcome,
                        result: ran.output.as_ref().map(result),
                    },
                    Err(InvokeError::Sandbox(handaxe_sandbox::SandboxError::Cancelled)) => {
                        return Err(SuiteError::Cancelled);
                    }
                    Err(InvokeError::Sandbox(error)) => return Err(failed(error)),
                    Err(_) => Gave {
                        outcome: Outcome::ToolError,
                        result: None,
                    },
                },
            );
        }
        Ok(out)
    }
}

/// The text as this tool takes it: under its one required name, in a list where it takes a list.
fn input(spec: &Spec, text: &str) -> Map<String, Value> {
    let required = spec.input_schema.get("required").and_then(Value::as_array);
    let name = match required.map(Vec::as_slice) {
        Some([Value::String(name)]) => name.as_str(),
        _ => "text",
    };
    let kind = spec
        .input_schema
        .pointer(&format!("/properties/{name}/type"));
    let value = if kind == Some(&json!("array")) {
        json!([text])
    } else {
        json!(text)
    };
    Map::from_iter([(name.to_owned(), value)])
}

/// What stands for the result in an output: under `result`, the one of `results`, the only value
/// there is, or all of it.
pub(super) fn result(output: &Value) -> Value {
    let Some(object) = output.as_object() else {
        return output.clone();
    };
    if let Some(result) = object.get("result") {
        return result.clone();
    }
    if let Some([one]) = object
        .get("results")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        return one.clone();
    }
    let mut values = object.values();
    match (values.next(), values.next()) {
        (Some(only), None) => only.clone(),
        _ => output.clone(),
    }
}

/// Exact, but for how a number is written.
pub(super) fn same(want: &Value, got: &Value) -> bool {
    let whole = |v: &Value| v.as_f64().filter(|f| f.fract() == 0.0);
    match (want, got) {
        (Value::Number(_), Value::Number(_)) => whole(want) == whole(got) && want.is_number(),
        _ => compare(want, got, None::<Tolerance>).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_and_compared() {
        for (output, want) in [
            (json!({"result": 3}), json!(3)),
            (json!({"results": ["a"], "failed": 0}), json!("a")),
            (json!({"sum": 3}), json!(3)),
            (json!([1]), json!([1])),
            (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 2})),
        ] {
            assert_eq!(result(&output), want);
        }
        for (want, got, is) in [
            (json!(3), json!(3.0), true),
            (json!(3), json!(3.5), false),
            (json!("3"), json!(3), false),
            (json!({"a": 1}), json!({"a": 1}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
        ] {
            assert_eq!(same(&want, &got), is, "{want} {got}");
        }
    }
}
