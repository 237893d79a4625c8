//! What a suite measured: right, wrong, refused and failed, by any label, with intervals.

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Right,
    /// An answer was given and it is not the answer.
    Wrong,
    /// Nothing was answered, and it was said why.
    Refused,
    /// What was made could not be run.
    Failed,
}

/// One item and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    pub id: String,
    /// What is grouped by: `family`, `style`, `data`, …
    pub labels: BTreeMap<String, String>,
    pub asked: String,
    pub outcome: Outcome,
    /// The plan, the refusal, or what differed.
    pub detail: String,
    pub ms: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    pub items: usize,
    pub right: usize,
    pub wrong: usize,
    pub refused: usize,
    pub failed: usize,
}

impl Score {
    fn add(&mut self, outcome: Outcome) {
        self.items += 1;
        *match outcome {
            Outcome::Right => &mut self.right,
            Outcome::Wrong => &mut self.wrong,
            Outcome::Refused => &mut self.refused,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }

    /// Parts of one, each with its 95 % interval.
    pub fn right_rate(&self) -> (f64, f64, f64) {
        wilson(self.right, self.items)
    }

    pub fn wrong_rate(&self) -> (f64, f64, f64) {
        wilson(self.wrong, self.items)
    }
}

/// A share and its 95 % interval (E. B. Wilson, "Probable Inference, the Law of Succession, and
/// Statistical Inference", 1927): it holds for few items and for shares near 0 and 1.
pub fn wilson(hits: usize, of: usize) -> (f64, f64, f64) {
    if of == 0 {
        return (0.0, 0.0, 1.0);
    }
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let denominator = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / denominator;
    let half = Z / denominator * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (p, (centre - half).max(0.0), (centre + half).min(1.0))
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub suite: String,
    pub total: Score,
    /// Label → its value → score.
    pub by: BTreeMap<String, BTreeMap<String, Score>>,
    pub median_ms: f64,
    pub slowest_ms: f64,
    pub items: Vec<Item>,
}

impl Report {
    pub fn new(suite: &str, items: Vec<Item>) -> Self {
        let mut total = Score::default();
        let mut by: BTreeMap<String, BTreeMap<String, Score>> = BTreeMap::new();
        for item in &items {
            total.add(item.outcome);
            for (label, value) in &item.labels {
                by.entry(label.clone())
                    .or_default()
                    .entry(value.clone())
                    .or_default()
                    .add(item.outcome);
            }
        }
        let mut times: Vec<f64> = items.iter().map(|i| i.ms).collect();
        times.sort_by(f64::total_cmp);
        Self {
            suite: suite.to_owned(),
            total,
            by,
            median_ms: times.get(times.len() / 2).copied().unwrap_or(0.0),
            slowest_ms: times.last().copied().unwrap_or(0.0),
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_as_published() {
        // Newcombe 1998, table I: 81 of 263 and 0 of 20.
        for (hits, of, low, high) in [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611)] {
            let (_, a, b) = wilson(hits, of);
            assert!((a - low).abs() < 1e-4 && (b - high).abs() < 1e-4, "{a} {b}");
        }
        assert_eq!(wilson(0, 0), (0.0, 0.0, 1.0));
    }
}
