//! Problems that are drawn from a seed, each with its exact answer: *private formats*, which no
//! model can have met before, and the *six tasks of LATM* (T. Cai et al., "Large Language Models as
//! Tool Makers", 2023), on which tool makers are compared.
//!
//! Every problem is of one shape, so that any tool for it can be tried: an input `{"text": …}` and
//! an output `{"result": …}`.

mod formats;
mod latm;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Shown with the question.
const EXAMPLES: usize = 3;
/// Never shown: what a tool is held against.
const HIDDEN: usize = 12;

/// An input text and the one right result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Solved {
    pub text: String,
    pub result: Value,
}

/// One problem: its rules in words, and instances of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `family/number`.
    pub id: String,
    pub family: String,
    pub rules: String,
    pub examples: Vec<Solved>,
    /// Asked one after the other; from the second on there may be a tool.
    pub asked: Vec<Solved>,
    pub hidden: Vec<Solved>,
}

impl Problem {
    /// What a person would type for one instance.
    pub fn question(&self, asked: &Solved) -> String {
        format!(
            "{}\n\nA tool for this takes {{\"text\": …}} and gives {{\"result\": …}}.\nThe text: {}",
            self.rules,
            Value::String(asked.text.clone())
        )
    }
}

/// Which problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemSuite {
    Formats,
    Latm,
}

impl ProblemSuite {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Formats => "formats",
            Self::Latm => "latm",
        }
    }
}

/// Draws instances of one problem.
type Make = Box<dyn Fn(&mut Dice) -> Solved>;

/// The rules of one problem, and its instances.
struct Drawn {
    rules: String,
    make: Make,
}

type Family = (&'static str, fn(&mut Dice) -> Drawn);

/// `each` problems of every family, with `rounds` instances asked of each.
pub fn problems(suite: ProblemSuite, seed: u64, each: usize, rounds: usize) -> Vec<Problem> {
    let families: &[Family] = match suite {
        ProblemSuite::Formats => formats::FAMILIES,
        ProblemSuite::Latm => latm::FAMILIES,
    };
    let mut out = Vec::with_capacity(families.len() * each);
    for n in 0..each {
        for (at, (family, draw)) in families.iter().enumerate() {
            let stream = (suite as u64) << 32 | (at as u64) << 16 | n as u64;
            let mut dice = Dice::new(seed, stream);
            let Drawn { rules, make } = draw(&mut dice);
            let mut seen: Vec<String> = Vec::new();
            let mut some = |dice: &mut Dice, count: usize| -> Vec<Solved> {
                (0..count)
                    .map(|_| {
                        // An instance that was drawn before says nothing new; small families have few.
                        let mut one = make(dice);
                        for _ in 0..20 {
                            if !seen.contains(&one.text) {
                                break;
                            }
                            one = make(dice);
                        }
                        seen.push(one.text.clone());
                        one
                    })
                    .collect()
            };
            out.push(Problem {
                id: format!("{family}/{n}"),
                family: (*family).to_owned(),
                rules,
                examples: some(&mut dice, EXAMPLES),
                asked: some(&mut dice, rounds.max(1)),
                hidden: some(&mut dice, HIDDEN),
            });
        }
    }
    out
}

/// Seeded choices.
struct Dice(ChaCha20Rng);

impl Dice {
    fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// From `low` up to `high`, both included.
    fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.0.next_u64() % (high - low + 1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.within(0, all.len() - 1)]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.within(1, 100) <= percent
    }

    /// `count` different ones, in a drawn order; all of them where there are fewer.
    fn some<T: Copy>(&mut self, all: &[T], count: usize) -> Vec<T> {
        let mut left = all.to_vec();
        let mut out = Vec::with_capacity(count);
        while out.len() < count && !left.is_empty() {
            out.push(left.swap_remove(self.within(0, left.len() - 1)));
        }
        out
    }
}

/// Names and words of no meaning here.
const WORDS: &[&str] = &[
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jolt",
    "krill", "larch", "moss", "nadir", "otter", "pearl", "quartz", "ridge", "sable", "thorn",
    "umber", "vale", "wren", "yarrow", "zinc",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_problems_and_another_others() {
        for suite in [ProblemSuite::Formats, ProblemSuite::Latm] {
            let drawn = problems(suite, 7, 2, 3);
            assert_eq!(drawn, problems(suite, 7, 2, 3));
            assert_ne!(drawn, problems(suite, 8, 2, 3));
            for problem in &drawn {
                assert_eq!(problem.asked.len(), 3);
                assert_eq!((problem.examples.len(), problem.hidden.len()), (3, HIDDEN));
                assert!(problem.rules.len() > 60, "{}", problem.rules);
                // Several answers: a constant is no solution.
                let first = &problem.hidden[0].result;
                let all = problem.hidden.iter().chain(&problem.asked);
                assert!(all.clone().any(|s| s.result != *first), "{}", problem.id);
            }
        }
    }
}
