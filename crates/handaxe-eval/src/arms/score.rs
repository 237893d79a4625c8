//! What the arms came to, counted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Arm, ArmTrial, Bounds, Ended, Thinker};
use crate::report::wilson;

/// One arm, over all problems or over one family's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ArmScore {
    pub asks: usize,
    pub right: usize,
    pub wrong: usize,
    pub refused: usize,
    pub bound: usize,
    pub failed: usize,
    /// Share answered right, with its 95 % interval.
    pub success: (f64, f64, f64),
    /// Tools that were accepted, and those of them that fail a hidden input.
    pub made: usize,
    pub wrong_accepts: usize,
    /// Asks refused though the last draft is right on every hidden input.
    pub wrong_refusals: usize,
    pub reused_right: usize,
    pub reused_wrong: usize,
    /// Hidden inputs that a new version of a tool lost.
    pub flips: usize,
    pub tokens: u64,
    pub seconds: f64,
}

impl ArmScore {
    fn of<'a>(trials: impl Iterator<Item = &'a ArmTrial>) -> Self {
        let mut score = Self::default();
        for trial in trials {
            score.asks += 1;
            *match trial.ended {
                Ended::Right => &mut score.right,
                Ended::Wrong => &mut score.wrong,
                Ended::Refused => &mut score.refused,
                Ended::Bound => &mut score.bound,
                Ended::Failed => &mut score.failed,
            } += 1;
            if let Some(made) = &trial.made {
                score.made += 1;
                score.wrong_accepts += usize::from(made.right < made.of);
                score.flips += made.flips;
            }
            score.wrong_refusals += usize::from(trial.refused_right);
            if trial.reused {
                *match trial.ended {
                    Ended::Right => &mut score.reused_right,
                    _ => &mut score.reused_wrong,
                } += 1;
            }
            score.tokens += trial.tokens;
            score.seconds += trial.seconds;
        }
        score.success = wilson(score.right, score.asks);
        score
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ArmReport {
    pub suite: String,
    pub model: String,
    pub bounds: Bounds,
    /// `None`: not run, because there is no model that could.
    pub arms: BTreeMap<Arm, Option<ArmScore>>,
    /// Family → arm → score, of the arms that ran.
    pub families: BTreeMap<String, BTreeMap<Arm, ArmScore>>,
    pub trials: Vec<ArmTrial>,
}

impl ArmReport {
    pub(super) fn new(
        suite: &str,
        thinker: &Thinker,
        bounds: Bounds,
        trials: Vec<ArmTrial>,
    ) -> Self {
        let arms = Arm::ALL
            .into_iter()
            .map(|arm| {
                let ran = thinker.runs(arm);
                let score = || ArmScore::of(trials.iter().filter(|t| t.arm == arm));
                (arm, ran.then(score))
            })
            .collect();
        let mut families: BTreeMap<String, BTreeMap<Arm, ArmScore>> = BTreeMap::new();
        for trial in &trials {
            families
                .entry(trial.family.clone())
                .or_default()
                .entry(trial.arm)
                .or_insert_with(|| {
                    let of = |t: &&ArmTrial| t.family == trial.family && t.arm == trial.arm;
                    ArmScore::of(trials.iter().filter(of))
                });
        }
        Self {
            suite: suite.to_owned(),
            model: thinker.id(),
            bounds,
            arms,
            families,
            trials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Made;
    use super::*;
    use crate::problem::Problem;

    fn trial(arm: Arm, ended: Ended) -> ArmTrial {
        let problem = Problem {
            id: "p/0".to_owned(),
            family: "p".to_owned(),
            rules: String::new(),
            examples: Vec::new(),
            asked: Vec::new(),
            hidden: Vec::new(),
        };
        ArmTrial {
            ended,
            tokens: 10,
            ..ArmTrial::begun(&problem, arm, 1)
        }
    }

    #[test]
    fn counted() {
        let made = |right, flips| {
            Some(Made {
                name: "tool".to_owned(),
                version: 1,
                right,
                of: 12,
                flips,
            })
        };
        let trials = vec![
            ArmTrial {
                made: made(12, 0),
                ..trial(Arm::Handaxe, Ended::Right)
            },
            ArmTrial {
                made: made(11, 2),
                ..trial(Arm::Handaxe, Ended::Right)
            },
            ArmTrial {
                reused: true,
                ..trial(Arm::Handaxe, Ended::Wrong)
            },
            ArmTrial {
                refused_right: true,
                ..trial(Arm::Handaxe, Ended::Refused)
            },
        ];
        let bounds = Bounds {
            tokens: 1,
            seconds: 1,
            repairs: 0,
            candidates: 1,
        };
        let report = ArmReport::new("s", &Thinker::Composer, bounds, trials);
        // What cannot run has no score, not a score of nothing.
        assert_eq!(report.arms[&Arm::NoTool], None);
        assert_eq!(report.arms[&Arm::OneShot], None);
        let score = report.arms[&Arm::Handaxe].as_ref().unwrap();
        assert_eq!(
            (score.asks, score.right, score.wrong, score.refused),
            (4, 2, 1, 1)
        );
        assert_eq!(
            (score.made, score.wrong_accepts, score.wrong_refusals),
            (2, 1, 1)
        );
        assert_eq!(
            (score.reused_right, score.reused_wrong, score.flips),
            (0, 1, 2)
        );
        assert_eq!(score.tokens, 40);
        let none = ArmReport::new("s", &Thinker::Nobody, bounds, Vec::new());
        assert!(none.arms.values().all(Option::is_none));
    }
}
