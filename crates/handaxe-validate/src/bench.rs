//! The inputs of many cases laid out for one process: what a batch is given to foretell which case
//! would notice a change, or to trace what the cases reach. Never evidence.

use std::sync::Arc;
use std::time::Duration;

use handaxe_sandbox::{Batch, Call, InlineFile};
use handaxe_types::Case;
use serde_json::{Map, Value};

use crate::invoke::{Arguments, Contract};

/// Files of all inputs together; a call carries no more.
const FILE_BYTES: usize = 1 << 20;

/// Inputs whose files lie side by side. Every input sees its own files under names of its own, with
/// the extension that they had.
pub(crate) struct Stand {
    call: Call,
    inputs: Vec<Map<String, Value>>,
    /// Which of the cases (or arguments) each input is of.
    pub(crate) of: Vec<usize>,
}

impl Stand {
    /// The cases whose input the host lets through and whose files fit beside the others'. `None`
    /// where there are none.
    pub(crate) fn of(contract: &Contract, cases: &[&Case]) -> Option<Self> {
        let arguments = cases.iter().map(|case| {
            let files = case.files.iter().map(|(name, file)| {
                Some(InlineFile {
                    name: name.clone(),
                    bytes: Arc::from(file.bytes()?),
                })
            });
            Some(Arguments {
                input: case.input.clone(),
                files: files.collect::<Option<_>>()?,
                ..Arguments::default()
            })
        });
        Self::lay(contract, arguments)
    }

    pub(crate) fn of_arguments(contract: &Contract, given: &[Arguments]) -> Option<Self> {
        Self::lay(contract, given.iter().map(|a| Some(a.clone())))
    }

    fn lay(contract: &Contract, given: impl Iterator<Item = Option<Arguments>>) -> Option<Self> {
        let mut call = contract.call(&Arguments::default());
        let (mut inputs, mut of, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (i, arguments) in given.enumerate() {
            let Some(mut arguments) = arguments else {
                continue;
            };
            let more: usize = arguments.files.iter().map(|f| f.bytes.len()).sum();
            if bytes + more > FILE_BYTES || contract.check_input(&arguments).is_err() {
                continue;
            }
            bytes += more;
            for file in &mut arguments.files {
                let own = format!("{i}_{}", file.name);
                for property in &call.file_inputs {
                    rename(arguments.input.get_mut(property), &file.name, &own);
                }
                file.name = own;
            }
            call.files.append(&mut arguments.files);
            inputs.push(arguments.input);
            of.push(i);
        }
        (!inputs.is_empty()).then_some(Self { call, inputs, of })
    }

    /// The inputs against a source: the tool's, or a mutant's.
    pub(crate) fn batch(&self, code: &str) -> Batch {
        let mut call = self.call.clone();
        call.code = Arc::from(code);
        let mut batch = Batch::of(&call, self.inputs.clone());
        batch.patience = Duration::from_secs(10);
        batch
    }
}

fn rename(value: Option<&mut Value>, from: &str, to: &str) {
    match value {
        Some(Value::String(name)) if name == from => to.clone_into(name),
        Some(Value::Array(items)) => {
            for item in items {
                rename(Some(item), from, to);
            }
        }
        _ => {}
    }
}
