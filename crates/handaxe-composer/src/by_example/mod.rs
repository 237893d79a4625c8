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
mod stop;
mod table;
mod text;
mod value;

use serde_json::Value;

pub(crate) use dates::{CLOCK, FORMS};
pub use draft::{Emitted as EmittedExample, compose_by_example, example_file, parse_example};
pub use stop::Stop;
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
        synthesize(examples, others, stop::NEVER)
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
pub(crate) fn synthesize(
    examples: &[Example],
    others: &[Value],
    stop: Stop<'_>,
) -> Vec<search::Found<Program>> {
    let (ins, outs): (Vec<Value>, Vec<Value>) = examples
        .iter()
        .map(|e| (e.input.clone(), e.output.clone()))
        .unzip();
    let mut found = value::programs(&ins, &outs, others, MOST, 2, stop);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::{Example, compose_by_example};
    use crate::ComposeError;

    /// Each kind of search, stopped at its beginning, underway and deep inside: it says so, and asks
    /// only a few more times on its way out.
    #[test]
    fn a_search_stops_where_it_is_told_to() {
        let words = |seed: usize| {
            let mark = ["-", ";", ": ", ", ", "/"];
            let word = |i: usize| format!("w{}", (seed * 31 + i * 17) % 97);
            let all = (0..40).map(|i| [&word(i), mark[(seed + i) % 5]].concat());
            all.collect::<Vec<String>>().concat()
        };
        let row = |i: usize| json!({"k": i % 3, "a": format!("n{i}"), "b": [i, i * 7 % 5]});
        let rows = |from: usize| (from..from + 9).map(row).collect::<Vec<_>>();
        let kinds = [
            (
                "text",
                [0, 1, 2].map(|i| (json!(words(i)), json!(format!("q{}z", i * i + 41)))),
            ),
            (
                "list",
                [0, 1, 2].map(|i| (json!(words(i)), json!([i, "x", words(i + 3)]))),
            ),
            ("test", [0, 1, 2].map(|i| (json!(words(i)), json!(i == 1)))),
            (
                "record",
                [0, 1, 2].map(|i| (json!({"t": words(i)}), json!({"u": words(i + 5)}))),
            ),
            (
                "rows",
                [0, 1, 2].map(|i| (json!(rows(i)), json!(rows(i + 40)))),
            ),
        ];
        for (kind, pairs) in kinds {
            let examples = pairs.map(|(input, output)| Example { input, output });
            for at in [0, 20, 500, 5_000] {
                let asked = Cell::new(0);
                let stop = || {
                    asked.set(asked.get() + 1);
                    asked.get() > at
                };
                match compose_by_example("change them", &examples, &[], &stop) {
                    Err(ComposeError::Stopped) => {}
                    // Done before it was told to.
                    _ if asked.get() <= at => {}
                    other => panic!("{kind} at {at}: {:?}", other.map(|c| c.recipe)),
                }
                assert!(asked.get() < at + 9_000, "{kind} at {at}: {}", asked.get());
            }
        }
    }
}
