//! What came of it, counted.

use std::collections::BTreeMap;

use handaxe_types::Policy;
use serde::Serialize;

use super::{Check, GateResult};
use crate::report::wilson;

/// The right drafts, or the wrong ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Half {
    pub drafts: usize,
    pub accepted: usize,
    /// Share accepted, with its 95 % interval.
    pub rate: (f64, f64, f64),
    /// The first check in the proof's order that stopped a draft → how many.
    pub stopped_first_by: BTreeMap<Check, usize>,
    /// The check, where it was the only one that spoke against a draft → how many.
    pub stopped_only_by: BTreeMap<Check, usize>,
}

/// One check switched off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Without {
    /// `None`: everything on. `Other`: nothing but the author's own cases.
    pub check: Option<Check>,
    pub good: (usize, usize),
    pub bad: (usize, usize),
    /// Share of the bugs that get through, with its 95 % interval.
    pub let_through: (f64, f64, f64),
}

/// One way of seeding a bug.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Operator {
    pub drafts: usize,
    pub accepted: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct GateReport {
    pub suite: String,
    /// Of each draft, what the policy says: generated inputs, mutants, the floor of kills.
    pub fuzz_inputs: u32,
    pub mutants: u32,
    pub kill_floor: f64,
    pub good: Half,
    pub bad: Half,
    /// With everything on, with one check off each, and with the author's own cases alone.
    pub without: Vec<Without>,
    pub operators: BTreeMap<String, Operator>,
    /// Nothing was decided of these: the sandbox failed.
    pub failed: Vec<String>,
    pub median_ms: f64,
    pub slowest_ms: f64,
    pub sandbox_runs: u64,
    pub results: Vec<GateResult>,
}

impl GateReport {
    pub(super) fn new(suite: &str, policy: &Policy, mut results: Vec<GateResult>) -> Self {
        let failed = results
            .iter()
            .filter_map(|r| Some(format!("{}: {}", r.id, r.full.failed.as_ref()?)))
            .collect();
        results.retain(|r| r.full.failed.is_none());
        let mut operators: BTreeMap<String, Operator> = BTreeMap::new();
        for result in results.iter().filter(|r| !r.good) {
            let operator = operators.entry(result.operator.clone()).or_default();
            operator.drafts += 1;
            operator.accepted += usize::from(result.full.accepted);
        }
        let mut times: Vec<f64> = results.iter().map(|r| r.full.ms).collect();
        times.sort_by(f64::total_cmp);
        let mut without = vec![switched(&results, None, |r| Some(r.full.accepted))];
        if results.iter().any(|r| !r.off.is_empty()) {
            for check in Check::SWITCHED {
                without.push(switched(&results, Some(check), |r| r.without(check)));
            }
        }
        without.push(switched(&results, Some(Check::Other), |r| {
            Some(r.author_alone())
        }));
        Self {
            suite: suite.to_owned(),
            fuzz_inputs: policy.trial.fuzz_inputs,
            mutants: policy.trial.mutants,
            kill_floor: policy.trial.kill_floor,
            good: half(results.iter().filter(|r| r.good)),
            bad: half(results.iter().filter(|r| !r.good)),
            without,
            operators,
            failed,
            median_ms: times.get(times.len() / 2).copied().unwrap_or_default(),
            slowest_ms: times.last().copied().unwrap_or_default(),
            sandbox_runs: results.iter().map(|r| r.full.sandbox_runs).sum(),
            results,
        }
    }
}

fn half<'a>(results: impl Iterator<Item = &'a GateResult>) -> Half {
    let mut half = Half::default();
    for result in results {
        half.drafts += 1;
        half.accepted += usize::from(result.full.accepted);
        let by = &result.full.stopped_by;
        if let Some(first) = by.first() {
            *half.stopped_first_by.entry(*first).or_default() += 1;
            if by.len() == 1 {
                *half.stopped_only_by.entry(*first).or_default() += 1;
            }
        }
    }
    half.rate = wilson(half.accepted, half.drafts);
    half
}

fn switched(
    results: &[GateResult],
    check: Option<Check>,
    accepted: impl Fn(&GateResult) -> Option<bool>,
) -> Without {
    let count = |good: bool| {
        let of = results.iter().filter(|r| r.good == good);
        let known: Vec<bool> = of.filter_map(&accepted).collect();
        (known.iter().filter(|a| **a).count(), known.len())
    };
    let (good, bad) = (count(true), count(false));
    Without {
        check,
        good,
        bad,
        let_through: wilson(bad.0, bad.1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Tried;
    use super::*;

    fn result(good: bool, by: &[Check], off: &[(Check, bool)]) -> GateResult {
        let tried = |accepted: bool, by: &[Check]| Tried {
            accepted,
            stopped_by: by.iter().copied().collect::<BTreeSet<_>>(),
            reasons: Vec::new(),
            failed: None,
            ms: 1.0,
            sandbox_runs: 1,
        };
        GateResult {
            id: "t#1".to_owned(),
            task: "t".to_owned(),
            good,
            operator: "constant".to_owned(),
            seen: "assertion".to_owned(),
            full: tried(by.is_empty(), by),
            off: off.iter().map(|(c, a)| (*c, tried(*a, &[]))).collect(),
        }
    }

    #[test]
    fn what_a_check_buys() {
        use Check::{AuthorCases, Generated, Growth, HeldOutCases, Mutants, Reading};
        // Stopped by → what stands without: a check, and `None` where only a trial can tell.
        let table: &[(&[Check], Check, Option<bool>)] = &[
            (&[AuthorCases, HeldOutCases], HeldOutCases, Some(false)),
            (&[HeldOutCases], HeldOutCases, None),
            (&[HeldOutCases], Generated, Some(false)),
            (&[HeldOutCases], Mutants, Some(false)),
            (&[AuthorCases], AuthorCases, None),
            (&[Reading], Growth, Some(false)),
            (&[Mutants], Mutants, Some(true)),
            (&[Mutants], Growth, Some(false)),
            (&[Mutants, Growth], Growth, Some(false)),
            (&[Generated], Generated, None),
            (&[Generated], Mutants, Some(false)),
            (&[], Mutants, Some(true)),
            (&[], HeldOutCases, None),
        ];
        for (by, off, want) in table {
            assert_eq!(
                result(false, by, &[]).without(*off),
                *want,
                "{by:?} {off:?}"
            );
        }
        let ran = result(false, &[HeldOutCases], &[(HeldOutCases, true)]);
        assert_eq!(ran.without(HeldOutCases), Some(true));
        assert!(ran.author_alone());

        let report = GateReport::new(
            "gate",
            &Policy::default(),
            vec![
                result(true, &[], &[(HeldOutCases, true)]),
                result(true, &[Generated], &[]),
                ran,
                result(false, &[AuthorCases, HeldOutCases], &[]),
            ],
        );
        assert_eq!((report.good.accepted, report.bad.accepted), (1, 0));
        assert_eq!(report.bad.stopped_first_by[&AuthorCases], 1);
        assert_eq!(report.bad.stopped_only_by[&HeldOutCases], 1);
        let row = |check| report.without.iter().find(|w| w.check == check).unwrap();
        assert_eq!(row(None).bad, (0, 2));
        assert_eq!(row(Some(HeldOutCases)).bad, (1, 2));
        assert_eq!(row(Some(Check::Other)).bad, (1, 2));
        assert_eq!(row(Some(Check::Other)).good, (2, 2));
    }
}
