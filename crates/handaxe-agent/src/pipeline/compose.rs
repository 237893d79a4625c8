//! Running a flow: each step an approved tool, in the jail that it was proved in. What one step
//! gives reaches the next on this machine alone, and files as paths: no model sees either.

use std::collections::BTreeMap;

use handaxe_registry::ApprovedTool;
use handaxe_types::{Binding, DataFile, Each, Flow, FlowStep, Progress, Spec};
use serde_json::{Map, Value, json};

use super::Halt;
use super::answer::plain;
use super::report::{Invocation, Stop, ToolUsed};
use super::run::Walk;
use crate::flow::{Interface, check};

/// How often one step may run.
const MAX_FAN_OUT: usize = 200;

/// What the steps before gave.
#[derive(Default)]
struct Given {
    outputs: BTreeMap<String, Value>,
    /// Files that steps produced, under the names that stand for them in `outputs`.
    files: Vec<DataFile>,
}

impl Walk<'_> {
    /// Runs a flow to its end; gives the last step's output and the words.
    pub(super) fn run_flow(&mut self, flow: &Flow) -> Result<(String, Value), Halt> {
        let mut tools = Vec::with_capacity(flow.steps.len());
        for step in &flow.steps {
            tools.push(self.load(&step.tool_ref())?);
        }
        // Again, over the very tools that will run: a plan is data.
        let interfaces: Vec<Interface<'_>> = tools
            .iter()
            .map(|tool| Interface {
                input: &tool.spec().input_schema,
                output: &tool.spec().output_schema,
            })
            .collect();
        let attached: Vec<String> = self.task.data.iter().map(|f| f.name.clone()).collect();
        check(flow, &interfaces, &attached)
            .map_err(|fault| Halt::Stop(Stop::new("flow", fault.to_string())))?;
        self.report.tools = tools.iter().map(ToolUsed::of).collect();
        let mut given = Given::default();
        let mut result = Value::Null;
        for (n, (step, tool)) in flow.steps.iter().zip(&tools).enumerate() {
            let last = n + 1 == flow.steps.len();
            self.ctx.report(Progress::Step(format!(
                "Step {} of {}: {}",
                n + 1,
                flow.steps.len(),
                step.tool_ref()
            )));
            result = self.run_step(step, tool, &mut given, last)?;
        }
        let names: Vec<String> = flow
            .steps
            .iter()
            .map(|s| s.tool_ref().to_string())
            .collect();
        let over = if attached.is_empty() {
            String::new()
        } else {
            format!(" over {}", attached.join(", "))
        };
        let text = format!(
            "{}\n\nThis rests on {}{over}.",
            plain(&result),
            names.join(", then ")
        );
        Ok((text, result))
    }

    /// Runs one step, once or for each element; its output as later steps see it is kept in
    /// `given`, and as it came is returned.
    fn run_step(
        &mut self,
        step: &FlowStep,
        tool: &ApprovedTool,
        given: &mut Given,
        last: bool,
    ) -> Result<Value, Halt> {
        let items = items(step, given)?;
        let mut came = Vec::new();
        let mut seen = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let input = arguments(step, item.as_ref(), &given.outputs)?;
            let key = format!("flow/{}/{i}", step.id);
            let dir = if last {
                self.artifacts.clone()
            } else {
                self.artifacts
                    .join(".flow")
                    .join(&step.id)
                    .join(i.to_string())
            };
            let mut invocation = self.invoke(tool, &key, input, &given.files, &dir)?;
            let output = invocation.result.output.clone().unwrap_or(Value::Null);
            if last {
                seen.push(output.clone());
            } else {
                let handle = |name: &str| format!("{}_{i}_{name}", step.id);
                given.files.extend(produced(&invocation, &dir, handle));
                seen.push(renamed(tool.spec(), output.clone(), handle));
                // What a step hands on is no result of the run.
                invocation.result.artifacts.clear();
            }
            came.push(output);
            self.report.invocations.push(invocation);
        }
        let whole = |mut values: Vec<Value>| match step.each {
            Some(_) => Value::Array(values),
            None => values.pop().unwrap_or(Value::Null),
        };
        given.outputs.insert(step.id.clone(), whole(seen));
        Ok(whole(came))
    }
}

/// What the step is run for: the elements of `each`, or just once.
fn items(step: &FlowStep, given: &Given) -> Result<Vec<Option<Value>>, Halt> {
    let items: Vec<Value> = match &step.each {
        None => return Ok(vec![None]),
        Some(Each::Files(files)) => files.iter().map(|f| json!(f)).collect(),
        Some(Each::Of(reference)) => {
            let whole = given.outputs.get(&reference.step);
            let list = whole.and_then(|w| w.pointer(&reference.path));
            match list.and_then(Value::as_array) {
                Some(list) => list.clone(),
                None => return Err(absent(step, &reference.path)),
            }
        }
    };
    if items.len() > MAX_FAN_OUT {
        let text = format!(
            "step `{}` would run {} times; at most {MAX_FAN_OUT} are run",
            step.id,
            items.len()
        );
        let hint = "ask for a tool that takes the whole list";
        return Err(Halt::Stop(Stop::new("fan_out", text).hint(hint)));
    }
    Ok(items.into_iter().map(Some).collect())
}

fn absent(step: &FlowStep, path: &str) -> Halt {
    Halt::Stop(Stop::new(
        "flow",
        format!(
            "step `{}` needs `{path}`, which was not in what came before",
            step.id
        ),
    ))
}

fn arguments(
    step: &FlowStep,
    item: Option<&Value>,
    outputs: &BTreeMap<String, Value>,
) -> Result<Map<String, Value>, Halt> {
    let mut input = Map::new();
    for (name, binding) in &step.input {
        let value = match binding {
            Binding::Literal(value) => Some(value),
            Binding::From(reference) => outputs
                .get(&reference.step)
                .and_then(|o| o.pointer(&reference.path)),
            Binding::Item(path) => item.and_then(|i| i.pointer(path)),
        };
        let path = match binding {
            Binding::From(reference) => reference.path.as_str(),
            Binding::Item(path) => path,
            Binding::Literal(_) => "",
        };
        let value = value.ok_or_else(|| absent(step, path))?;
        input.insert(name.clone(), value.clone());
    }
    Ok(input)
}

/// The files that a step produced, for the steps after it.
fn produced(
    invocation: &Invocation,
    dir: &std::path::Path,
    handle: impl Fn(&str) -> String,
) -> Vec<DataFile> {
    let artifacts = invocation.result.artifacts.iter();
    artifacts
        .map(|a| DataFile {
            name: handle(&a.name),
            path: dir.join(&a.name),
            bytes: a.bytes,
            digest: a.digest,
        })
        .collect()
}

/// The output with its files under the names that later steps know them by.
fn renamed(spec: &Spec, mut output: Value, handle: impl Fn(&str) -> String) -> Value {
    for property in spec.output_files() {
        if let Some(name) = output.get(&property).and_then(Value::as_str) {
            let name = handle(name);
            output[&property] = json!(name);
        }
    }
    output
}

impl ToolUsed {
    pub(super) fn of(tool: &ApprovedTool) -> Self {
        Self {
            name: tool.name().clone(),
            version: tool.version(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_from_where_they_are_bound() {
        let step: FlowStep = serde_json::from_value(json!({
            "id": "s", "tool": "some_tool", "version": 1,
            "input": {"a": 1, "b": {"$from": "p", "path": "/rows/1"}, "c": {"$item": "/x"}},
            "each": {"$from": "p", "path": "/rows"},
        }))
        .unwrap();
        let outputs = BTreeMap::from([("p".to_owned(), json!({"rows": [{"x": 1}, {"x": 2}]}))]);
        let input = arguments(&step, Some(&json!({"x": 7})), &outputs)
            .ok()
            .unwrap();
        assert_eq!(json!(input), json!({"a": 1, "b": {"x": 2}, "c": 7}));
        assert!(arguments(&step, Some(&json!({})), &outputs).is_err());
        let short = BTreeMap::from([("p".to_owned(), json!({"rows": []}))]);
        assert!(arguments(&step, Some(&json!({"x": 7})), &short).is_err());
    }
}
