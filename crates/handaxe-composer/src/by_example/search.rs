//! The simplest texts that satisfy all examples.
//!
//! Programs are joins of pieces and constants, as in FlashFill (S. Gulwani, "Automating String
//! Processing in Spreadsheets Using Input-Output Examples", POPL 2011). Where FlashFill keeps a
//! version space per example and intersects them, this walks the product of the outputs at once: a
//! state is a place in every output, an edge a piece or constant that stands there in all of them,
//! and the cheapest ways from the beginnings to the ends are the programs (Dijkstra, several ways).
//! Pieces are enumerated bottom up and kept one for each set of values, as in the enumerative
//! synthesisers that came after (Alur et al., "Syntax-Guided Synthesis", FMCAD 2013).

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::bank::{Bank, Piece};
use super::stop::Stop;
use super::text::{Env, Text};

/// A program and what it costs: the simpler the cheaper.
#[derive(Clone, Debug)]
pub(crate) struct Found<P> {
    pub(crate) program: P,
    pub(crate) cost: f64,
}

/// Most states looked at, and ways kept to each.
const MAX_STATES: usize = 4000;
const WAYS: usize = 4;
/// Each further part of a join costs this.
const PART: f64 = 0.8;
/// A program this cheap is not looked for any deeper.
const CHEAP: [f64; 4] = [2.2, 4.2, 7.0, f64::MAX];

struct Step {
    cost: f64,
    places: Vec<usize>,
    /// The step before, and the part that led here.
    from: Option<(usize, Part)>,
}

#[derive(Clone, Debug)]
enum Part {
    Atom(usize),
    Const(usize),
}

#[derive(PartialEq)]
struct Queued(f64, usize);

impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.total_cmp(&self.0).then(other.1.cmp(&self.1))
    }
}

/// What a constant costs: signs are cheap, letters and digits look like they were copied.
fn constant(text: &str) -> f64 {
    let each: f64 = text
        .chars()
        .map(|c| if c.is_alphanumeric() { 0.7 } else { 0.12 })
        .sum();
    0.3 + each.min(7.0)
}

/// Programs from each input to its output, cheapest first.
pub(crate) fn texts(
    envs: &[Env],
    outs: &[String],
    others: &[Env],
    most: usize,
    stop: Stop<'_>,
) -> Vec<Found<Text>> {
    if outs.is_empty() || envs.len() != outs.len() || outs.iter().any(|o| o.len() > 2000) {
        return Vec::new();
    }
    if outs.iter().all(|o| *o == outs[0]) && outs.len() > 1 && envs.windows(2).any(|w| w[0] != w[1])
    {
        // The same whatever comes in.
        let text = Text::Const(outs[0].clone());
        return vec![Found {
            program: text,
            cost: 0.5,
        }];
    }
    let mut bank = Bank::new(envs, others, stop);
    let mut found: Vec<Found<Text>> = Vec::new();
    for cheap in CHEAP {
        let atoms = bank.atoms(outs);
        let more = joins(&atoms, outs, most, stop);
        for one in more {
            if !found.iter().any(|f| f.program == one.program) {
                found.push(one);
            }
        }
        found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        if found.first().is_some_and(|f| f.cost <= cheap) || !bank.deepen() {
            break;
        }
    }
    found.truncate(most);
    found
}

fn joins(atoms: &[Piece], outs: &[String], most: usize, stop: Stop<'_>) -> Vec<Found<Text>> {
    let mut by_first: HashMap<char, Vec<usize>> = HashMap::new();
    let mut empty_first = Vec::new();
    for (i, atom) in atoms.iter().enumerate() {
        match atom.values.first().and_then(|v| v.chars().next()) {
            Some(c) => by_first.entry(c).or_default().push(i),
            None => empty_first.push(i),
        }
    }
    let start = vec![0; outs.len()];
    let goal: Vec<usize> = outs.iter().map(String::len).collect();
    let mut steps = vec![Step {
        cost: 0.0,
        places: start,
        from: None,
    }];
    let mut visits: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut queue = BinaryHeap::from([Queued(0.0, 0)]);
    let mut found = Vec::new();
    let mut looked = 0;
    while let Some(Queued(_, at)) = queue.pop() {
        if stop() {
            break;
        }
        let places = steps[at].places.clone();
        let visit = visits.entry(places.clone()).or_default();
        *visit += 1;
        if places == goal {
            found.push(Found {
                program: program(&steps, at, atoms, outs),
                cost: steps[at].cost,
            });
            if found.len() >= most {
                break;
            }
            continue;
        }
        looked += 1;
        if *visit > WAYS || looked > MAX_STATES {
            continue;
        }
        let rests: Vec<&str> = outs.iter().zip(&places).map(|(o, p)| &o[*p..]).collect();
        let cost = steps[at].cost;
        let first = rests[0].chars().next();
        let fitting = first
            .and_then(|c| by_first.get(&c))
            .into_iter()
            .flatten()
            .chain(&empty_first);
        let mut next: Vec<(f64, Vec<usize>, Part)> = Vec::new();
        for i in fitting {
            let atom = &atoms[*i];
            let stands = atom
                .values
                .iter()
                .zip(&rests)
                .all(|(v, r)| r.starts_with(v.as_str()));
            if stands {
                let to = places
                    .iter()
                    .zip(&atom.values)
                    .map(|(p, v)| p + v.len())
                    .collect();
                next.push((cost + PART + atom.cost, to, Part::Atom(*i)));
            }
        }
        // Not two constants in a row: they would be one.
        if !matches!(steps[at].from, Some((_, Part::Const(_)))) {
            let shared = rests[0]
                .char_indices()
                .map(|(i, c)| i + c.len_utf8())
                .take(60)
                .take_while(|n| {
                    rests
                        .iter()
                        .all(|r| r.as_bytes().get(..*n) == rests[0].as_bytes().get(..*n))
                })
                .collect::<Vec<_>>();
            for length in shared {
                let to = places.iter().map(|p| p + length).collect();
                let price = constant(&rests[0][..length]);
                next.push((cost + PART + price, to, Part::Const(length)));
            }
        }
        for (cost, places, part) in next {
            if visits.get(&places).is_none_or(|v| *v <= WAYS) && steps.len() < 400_000 {
                steps.push(Step {
                    cost,
                    places,
                    from: Some((at, part)),
                });
                queue.push(Queued(cost, steps.len() - 1));
            }
        }
    }
    found
}

fn program(steps: &[Step], end: usize, atoms: &[Piece], outs: &[String]) -> Text {
    let mut parts = Vec::new();
    let mut at = end;
    while let Some((before, part)) = &steps[at].from {
        parts.push(match part {
            Part::Atom(i) => atoms[*i].text.clone(),
            Part::Const(length) => {
                let from = steps[*before].places[0];
                Text::Const(outs[0][from..from + length].to_owned())
            }
        });
        at = *before;
    }
    parts.reverse();
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        Text::Concat(parts)
    }
}
