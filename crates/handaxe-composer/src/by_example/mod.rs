//! Programs from examples: what turns each given input into its output, the simplest first.

mod bank;
mod chars;
mod dates;
mod draft;
mod either;
mod odd;
mod python;
mod reshape;
mod search;

mod table;
mod text;
mod value;

use serde_json::Value;

pub(crate) use dates::{CLOCK, FORMS};
pub use draft::{Emitted as EmittedExample, compose_by_example, example_file, parse_example};
pub(crate) use value::Program;
pub use value::same;

/// One input and what is wanted of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub input: Value,
    pub output: Value,
}

/// Programs looked for, so that the doubtful can be told from the clear.
const MOST: usize = 6;

/// What was found for some examples.
#[derive(Clone, Debug)]
pub struct ByExample {
    program: Program,
    cost: f64,
}

impl ByExample {
    /// The simplest program that satisfies every example; `None` where there is none.
    pub fn find(examples: &[Example], others: &[Value]) -> Option<Self> {
        Self::all(examples, others).into_iter().next()
    }

    /// Every program that was found, the simplest first.
    pub fn all(examples: &[Example], others: &[Value]) -> Vec<Self> {
        synthesize(examples, others)
            .into_iter()
            .map(|found| Self {
                program: found.program,
                cost: found.cost,
            })
            .collect()
    }

    /// What it makes of an input; `None` where the input does not fit it.
    pub fn run(&self, input: &Value) -> Option<Value> {
        self.program.run(input)
    }

    /// The tool that does so over a list of values, with the arguments' names as its input.
    pub fn emit(&self, name: &str, examples: &[Example]) -> EmittedExample {
        draft::emit(&self.program, &python::Over::Items, name, examples, "text")
    }

    /// The program, for whoever works on the search.
    pub fn debug(&self) -> String {
        format!("{:.2} {:?}", self.cost, self.program)
    }
}

/// The programs that satisfy all examples, simplest first. `others` are inputs without outputs:
/// a program that does not fit them comes after one that does.
pub(crate) fn synthesize(examples: &[Example], others: &[Value]) -> Vec<search::Found<Program>> {
    let (ins, outs): (Vec<Value>, Vec<Value>) = examples
        .iter()
        .map(|e| (e.input.clone(), e.output.clone()))
        .unzip();
    let mut found = value::programs(&ins, &outs, others, MOST, 2);
    for one in &mut found {
        let unfit = others
            .iter()
            .filter(|o| one.program.run(o).is_none())
            .count();
        if unfit > 0 {
            one.cost += 1.0 + 4.0 * unfit as f64 / others.len() as f64;
        }
    }
    found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    found
}
