//! Lines and branches that the cases reach.
//!
//! The inputs of all cases run in one process under a trace function of ours (`observer.py`), which
//! is reported by the process under test: so it is shown to people and never held against a
//! threshold. What could be reached is read from the syntax tree on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use handaxe_sandbox::{BatchRun, Cancel, Session};
use handaxe_types::{Case, Coverage, StaticPolicy};
use serde_json::Value;

use crate::bench::Stand;
use crate::invoke::Contract;
use crate::parse::{self, Branch, Shape, Span};
use crate::trial::ValidateError;

pub(crate) const OBSERVER: &str = include_str!("observer.py");

/// A trace costs this much more time than a plain run.
const SLOWER: u64 = 20;

/// What the cases reach of the tool. `None` where the source cannot be read, which vetting would
/// have refused.
pub(crate) fn run(
    contract: &Contract,
    cases: &[&Case],
    policy: &StaticPolicy,
    session: &dyn Session,
    cancel: &Cancel,
) -> Result<Option<Coverage>, ValidateError> {
    let Ok(shape) = parse::shape(contract.code(), policy.max_nesting) else {
        return Ok(None);
    };
    let Some(stand) = Stand::of(contract, cases) else {
        return Ok(None);
    };
    let mut batch = stand.batch(contract.code());
    batch.observer = Some(Arc::from(OBSERVER));
    batch.limits.cpu_ms = batch.limits.cpu_ms.saturating_mul(SLOWER);
    batch.limits.wall_ms = batch.limits.wall_ms.saturating_mul(SLOWER);
    let run = batch.run(session, cancel)?;
    Ok(Some(reached(&shape, &jumps(&run))))
}

/// Line to line, 0 being outside: what every process of a batch reported. Anything else that it
/// says is left out.
pub(crate) fn jumps(run: &BatchRun) -> BTreeSet<(u32, u32)> {
    let line = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
    run.observed
        .iter()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_array)
        .filter_map(|pair| match &pair[..] {
            [from, to] => Some((line(from)?, line(to)?)),
            _ => None,
        })
        .collect()
}

/// Whether any jump led into these lines.
pub(crate) fn ran(jumps: &BTreeSet<(u32, u32)>, span: Span) -> bool {
    jumps.iter().any(|(_, to)| span.holds(*to))
}

fn reached(shape: &Shape, jumps: &BTreeSet<(u32, u32)>) -> Coverage {
    let mut lines: BTreeMap<u32, bool> = BTreeMap::new();
    for statement in &shape.statements {
        *lines.entry(statement.first).or_default() |= ran(jumps, *statement);
    }
    let mut coverage = Coverage {
        lines: lines.len() as u32,
        branches: shape.branches.len() as u32,
        missed_lines: lines.iter().filter(|l| !l.1).map(|l| *l.0).collect(),
        ..Coverage::default()
    };
    for branch in &shape.branches {
        let (hit, from, to) = match *branch {
            Branch::Into { header, body } => {
                let hit = jumps.iter().any(|j| header.holds(j.0) && j.1 == body);
                (hit, header.first, body)
            }
            Branch::Past { header, body } => {
                let out = |j: &(u32, u32)| header.holds(j.0) && !header.holds(j.1) && j.1 != body;
                (jumps.iter().any(out), header.first, 0)
            }
            Branch::Entered { header, body } => (ran(jumps, body), header, body.first),
        };
        if !hit {
            coverage.missed_branches.push((from, to));
        }
    }
    coverage.lines_hit = coverage.lines - coverage.missed_lines.len() as u32;
    coverage.branches_hit = coverage.branches - coverage.missed_branches.len() as u32;
    coverage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached() {
        let code = "def run(a):\n    if a:\n        x = 1\n    for i in a:\n        try:\n            x()\n        except E:\n            pass\n    return x\n";
        let shape = parse::shape(code, 60).unwrap();
        let all = |jumps: &[(u32, u32)]| reached(&shape, &jumps.iter().copied().collect());
        let nothing = all(&[]);
        assert_eq!((nothing.lines, nothing.lines_hit), (7, 0));
        assert_eq!((nothing.branches, nothing.branches_hit), (5, 0));
        // Into the `if`, and an empty loop.
        let some = all(&[(0, 1), (0, 2), (2, 3), (3, 4), (4, 9), (9, 0)]);
        assert_eq!(some.missed_lines, [6, 8]);
        assert_eq!(some.missed_branches, [(2, 0), (4, 5), (7, 8)]);
        // Past the `if`, through the loop and its handler, and out.
        let rest = all(&[(2, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 4), (4, 9)]);
        assert_eq!(rest.missed_branches, [(2, 3)]);
    }
}
