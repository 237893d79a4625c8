//! What the spec asks for against what the tool was seen to use.
//!
//! Three observers, the strongest first: the jail, which gives a tool that does not ask to write no
//! byte of file to write (see [`Contract::new`](crate::Contract)) and no file to read but its own;
//! the host, which sees the artefacts, the time and the memory of every run; and an audit hook in
//! the process of a batch, which names what was opened. The last one shares its process with the
//! tool: what it reports counts against the tool, its silence counts for nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use handaxe_types::{Capability, CapabilityUse, Case, Draft};
use serde_json::Value;

use crate::bench::Stand;
use crate::runner::Runner;
use crate::trial::ValidateError;

const OBSERVER: &str = include_str!("observer.py");
/// Cases that are watched.
const WATCHED: usize = 12;
/// Lines that are told.
const TOLD: usize = 8;

pub(crate) fn run(
    runner: &Runner<'_>,
    draft: &Draft,
    cases: &[&Case],
) -> Result<CapabilityUse, ValidateError> {
    let asked: BTreeSet<Capability> = draft.spec.capabilities.iter().copied().collect();
    let mut used = BTreeSet::new();
    let mut undeclared = BTreeSet::new();
    let watched = &cases[..cases.len().min(WATCHED)];
    if let Some(stand) = Stand::of(&runner.contract, watched) {
        let session = runner.session()?;
        let mut batch = stand.batch(runner.contract.code());
        batch.observer = Some(Arc::from(OBSERVER));
        batch.patience = batch.patience.min(runner.left());
        let ran = batch.run(&*session, runner.cancel)?;
        for (what, name) in ran.observed.iter().flat_map(reported) {
            match what {
                "read" if name.starts_with("/assets/") => {}
                "read" => {
                    used.insert(Capability::ReadFiles);
                    if !asked.contains(&Capability::ReadFiles) {
                        undeclared.insert(format!("opens {}", shown(name)));
                    } else if !name.starts_with("/data/")
                        && !asked.contains(&Capability::WriteFiles)
                    {
                        undeclared.insert(format!("opens {}, which is not attached", shown(name)));
                    }
                }
                "write" => {
                    used.insert(Capability::WriteFiles);
                    if !asked.contains(&Capability::WriteFiles) {
                        undeclared.insert(format!("writes {}", shown(name)));
                    }
                }
                // With leave to write, a tool may also rename and remove what it wrote.
                _ if name.starts_with("os.") && asked.contains(&Capability::WriteFiles) => {}
                _ => {
                    undeclared.insert(format!("does {}", shown(name)));
                }
            }
        }
    }
    let observed = runner.observed();
    if observed.artifacts > 0 {
        used.insert(Capability::WriteFiles);
        if !asked.contains(&Capability::WriteFiles) {
            undeclared.insert("hands back files".to_owned());
        }
    }
    Ok(CapabilityUse {
        asked,
        used,
        undeclared: undeclared.into_iter().take(TOLD).collect(),
        peak_kib: observed.peak_kib,
        longest_ms: observed.longest_ms,
        artifacts: observed.artifacts,
    })
}

/// What a process reported; anything else that it says is left out.
fn reported(said: &Value) -> Vec<(&str, &str)> {
    said.as_array()
        .into_iter()
        .flatten()
        .filter_map(|pair| match pair.as_array()?.as_slice() {
            [Value::String(what), Value::String(name)] => Some((what.as_str(), name.as_str())),
            _ => None,
        })
        .collect()
}

fn shown(name: &str) -> String {
    format!("`{}`", crate::schema::bounded(name))
}
