//! Tests that tell two kinds of inputs apart, and programs of two halves.

use serde_json::Value;

use super::bank::Bank;
use super::chars::{Class, runs};
use super::search::Found;
use super::stop::Stop;
use super::text::Env;
use super::value::{Program, Test, found, plain};
use crate::eval::number::parse_number;

/// Tests that say yes and no as wanted, cheapest first.
pub(super) fn tests(envs: &[Env], yes: &[bool], stop: Stop<'_>) -> Vec<Found<Test>> {
    let mut bank = Bank::new(envs, &[], stop);
    let sources = bank.pieces.len();
    bank.deepen();
    let mut out: Vec<Found<Test>> = Vec::new();
    let mut keep = |test: Test, cost: f64| {
        if envs.iter().zip(yes).all(|(e, y)| test.run(e) == *y) {
            out.push(Found {
                program: test,
                cost,
            });
        }
    };
    let Some(first) = yes.iter().position(|y| *y) else {
        return Vec::new();
    };
    for (i, piece) in bank.pieces.iter().enumerate() {
        if stop() {
            break;
        }
        let of = || piece.text.clone();
        let value = &piece.values[first];
        if value.len() <= 24 && !value.is_empty() {
            // What only one input is says nothing of the next.
            let often = piece
                .values
                .iter()
                .zip(yes)
                .filter(|(v, y)| **y && *v == value)
                .count();
            let rare = if often > 1 || value.len() <= 2 {
                0.0
            } else if i < sources {
                1.5
            } else {
                0.3
            };
            keep(Test::Equals(of(), value.clone()), 1.0 + rare + piece.cost);
        }
        if i >= sources {
            continue;
        }
        keep(Test::IsNumber(of()), 1.0 + piece.cost);
        for class in Class::ALL {
            keep(Test::Has(of(), class), 1.4 + piece.cost);
        }
        // Signs and words of the first that is meant.
        let mut marks: Vec<String> = value
            .chars()
            .filter(|c| !c.is_alphanumeric())
            .map(String::from)
            .collect();
        marks.extend(runs(value, Class::Letters).into_iter().map(str::to_owned));
        marks.dedup();
        for mark in marks.into_iter().take(30) {
            let length = if mark.chars().count() > 1 { 0.0 } else { 0.1 };
            keep(
                Test::Contains(of(), mark.clone()),
                1.2 + length + piece.cost,
            );
            keep(
                Test::StartsWith(of(), mark.clone()),
                1.25 + length + piece.cost,
            );
            keep(Test::EndsWith(of(), mark), 1.25 + length + piece.cost);
        }
        let numbers: Option<Vec<f64>> = piece
            .values
            .iter()
            .map(|v| parse_number(v).map(crate::eval::number::Number::float))
            .collect();
        if let Some(numbers) = numbers {
            let least = numbers
                .iter()
                .zip(yes)
                .filter(|(_, y)| **y)
                .map(|(n, _)| *n)
                .fold(f64::MAX, f64::min);
            let below = numbers
                .iter()
                .zip(yes)
                .filter(|(_, y)| !**y)
                .map(|(n, _)| *n)
                .fold(f64::MIN, f64::max);
            // The roundest number between them.
            for unit in [1000.0, 100.0, 50.0, 10.0, 5.0, 1.0] {
                let round = (least / unit).floor() * unit;
                if round > below {
                    keep(Test::AtLeast(of(), round), 1.5 + piece.cost);
                    break;
                }
            }
        }
    }
    out.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    out
}

/// Two programs, and a test that says which: where no single one is simple.
pub(super) fn either(
    ins: &[Value],
    outs: &[Value],
    others: &[Value],
    stop: Stop<'_>,
) -> Vec<Found<Program>> {
    let envs: Option<Vec<Env>> = ins.iter().map(Env::of).collect();
    let Some(envs) = envs.filter(|e| (2..=12).contains(&e.len())) else {
        return Vec::new();
    };
    if outs.iter().any(|o| o.is_array() || o.is_object()) {
        return Vec::new();
    }
    let mut all: Vec<Found<Program>> = Vec::new();
    // Each way to divide few examples; of many, one against the rest.
    let ways: Vec<u32> = if ins.len() <= 5 {
        (1..(1 << ins.len()) - 1).collect()
    } else {
        (0..ins.len()).map(|i| 1 << i).collect()
    };
    for way in ways {
        if stop() {
            break;
        }
        let yes: Vec<bool> = (0..ins.len()).map(|i| way & (1 << i) != 0).collect();
        let Some(test) = tests(&envs, &yes, stop).into_iter().next() else {
            continue;
        };
        let side = |wanted: bool| {
            let (i, o): (Vec<Value>, Vec<Value>) = ins
                .iter()
                .zip(outs)
                .zip(&yes)
                .filter(|(_, y)| **y == wanted)
                .map(|((i, o), _)| (i.clone(), o.clone()))
                .unzip();
            if i.len() == 1 && o[0].as_str().is_some_and(|s| s.len() <= 30) {
                let one = plain(&i, &o, others, 1, 0, stop).into_iter().next();
                // A single example may as well be a constant.
                let constant = found(Program::Const(o[0].clone()), 3.0);
                return Some(one.filter(|f| f.cost < 3.0).unwrap_or(constant));
            }
            plain(&i, &o, others, 1, 0, stop).into_iter().next()
        };
        let (Some(then), Some(otherwise)) = (side(true), side(false)) else {
            continue;
        };
        all.push(found(
            Program::If {
                test: test.program,
                then: Box::new(then.program),
                otherwise: Box::new(otherwise.program),
            },
            1.5 + test.cost + then.cost + otherwise.cost,
        ));
    }
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    all.truncate(3);
    all
}
