//! Pieces of text that can be made of the inputs: enumerated bottom up, simplest first, one for
//! each set of values that they give (observational equivalence).

use std::collections::HashSet;

use super::chars::{Class, Cut};
use super::dates::{DatePart, parts_of};
use super::stop::Stop;
use super::text::{Arrange, Case, Env, Tally, Text};
use crate::eval::number::parse_number;

/// Most pieces kept, and most that are cut further at each depth.
const MAX_PIECES: usize = 12_000;
const CUT_FURTHER: [usize; 3] = [64, 400, 120];

/// A piece, what it costs, and what it gives for each example and for each other input.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) text: Text,
    pub(super) cost: f64,
    pub(super) values: Vec<String>,
    pub(super) others: Vec<Option<String>>,
}

pub(super) struct Bank<'a> {
    pub(super) pieces: Vec<Piece>,
    seen: HashSet<(Vec<String>, Vec<Option<String>>)>,
    /// Pieces before this one have been cut already.
    cut: usize,
    depth: usize,
    stop: Stop<'a>,
}

/// Separators that people put between things; those in all values are tried.
const MARKS: &[&str] = &[
    " ", ", ", ",", "; ", ";", ": ", ":", " - ", "-", "/", "_", "|", " | ", "\t", ".", "@", "=",
    " = ", "#", "(", ")", "[", "]", "<", ">", "\"", "'", "&", "?", "+", "\\", "->", " -> ", "=>",
    "://", "::", "--", "...", "\n", "{", "}", "$", "%", "~", "*", " (", "x",
];

pub(super) fn places(n: i32) -> f64 {
    match n {
        0 => 0.0,
        -1 => 0.02,
        n if n > 0 => 0.1 * f64::from(n),
        n => 0.12 * f64::from(-n),
    }
}

impl<'a> Bank<'a> {
    /// The fields of records, or the one input.
    pub(super) fn new(envs: &[Env], others: &[Env], stop: Stop<'a>) -> Self {
        let mut bank = Self {
            pieces: Vec::new(),
            seen: HashSet::new(),
            cut: 0,
            depth: 0,
            stop,
        };
        let mut sources = vec![Text::Input];
        if let Some(Env::Record(fields)) = envs.first() {
            sources.extend(fields.keys().take(40).map(|f| Text::Field(f.clone())));
        }
        for (i, source) in sources.into_iter().enumerate() {
            let values: Option<Vec<String>> = envs.iter().map(|e| source.run(e)).collect();
            if let Some(values) = values {
                let others = others.iter().map(|e| source.run(e)).collect();
                bank.keep(source, 0.01 * i as f64, values, others);
            }
        }
        bank
    }

    fn keep(&mut self, text: Text, cost: f64, values: Vec<String>, others: Vec<Option<String>>) {
        if self.pieces.len() < MAX_PIECES && self.seen.insert((values.clone(), others.clone())) {
            self.pieces.push(Piece {
                text,
                cost,
                values,
                others,
            });
        }
    }

    /// A step on top of a piece, where it fits every example.
    fn step(&mut self, at: usize, text: Text, cost: f64) {
        if !(self.stop)()
            && let Some((values, others)) = applied(&self.pieces[at], &text)
            && values.iter().any(|v| !v.is_empty())
        {
            let cost = self.pieces[at].cost + cost;
            self.keep(text, cost, values, others);
        }
    }

    /// Cuts the pieces found so far once more; `false` where nothing new came of it.
    pub(super) fn deepen(&mut self) -> bool {
        let Some(most) = CUT_FURTHER.get(self.depth) else {
            return false;
        };
        self.depth += 1;
        let from = self.cut;
        let mut order: Vec<usize> = (from..self.pieces.len()).collect();
        self.cut = self.pieces.len();
        order.sort_by(|a, b| self.pieces[*a].cost.total_cmp(&self.pieces[*b].cost));
        order.truncate(*most);
        for at in order {
            if (self.stop)() {
                break;
            }
            self.extract(at);
        }
        !(self.stop)() && self.pieces.len() > self.cut
    }

    fn extract(&mut self, at: usize) {
        let piece = self.pieces[at].clone();
        let of = || Box::new(piece.text.clone());
        let in_all = |mark: &str| piece.values.iter().all(|v| v.contains(mark));
        let longest = piece
            .values
            .iter()
            .map(|v| v.chars().count())
            .max()
            .unwrap_or(0);
        if longest < 2 {
            return;
        }
        for by in MARKS.iter().filter(|m| in_all(m)) {
            let extra = if *by == "x" { 0.5 } else { 0.0 };
            for nth in [0, -1, 1, -2, 2, 3, -3, 4, 5, 6, 7, 8] {
                let text = Text::Split {
                    of: of(),
                    by: (*by).to_owned(),
                    nth,
                };
                self.step(at, text, 1.0 + extra + places(nth));
            }
            for last in [false, true] {
                let cost = 1.1 + extra + if last { 0.05 } else { 0.0 };
                let mark = (*by).to_owned();
                self.step(
                    at,
                    Text::Before {
                        of: of(),
                        mark: mark.clone(),
                        last,
                    },
                    cost,
                );
                self.step(
                    at,
                    Text::After {
                        of: of(),
                        mark,
                        last,
                    },
                    cost,
                );
            }
        }
        for mark in literals(&piece.values, self.stop) {
            for last in [false, true] {
                let cost = 1.2 + if last { 0.1 } else { 0.0 };
                self.step(
                    at,
                    Text::After {
                        of: of(),
                        mark: mark.clone(),
                        last,
                    },
                    cost,
                );
                self.step(
                    at,
                    Text::Before {
                        of: of(),
                        mark: mark.clone(),
                        last,
                    },
                    cost + 0.1,
                );
            }
        }
        for class in Class::ALL {
            let cost = match class {
                Class::Digits | Class::Letters | Class::Filled => 1.1,
                Class::Quoted | Class::Round | Class::Square | Class::Angle => 1.1,
                Class::Decimal | Class::Alnum => 1.2,
                Class::Word | Class::Dotted => 1.3,
                Class::Upper | Class::Lower => 1.4,
            };
            for nth in [0, -1, 1, -2, 2, 3, -3, 4, 5] {
                self.step(
                    at,
                    Text::Token {
                        of: of(),
                        class,
                        nth,
                    },
                    cost + places(nth),
                );
            }
        }
        for n in 1..=8.min(longest as i32) {
            let ends = [(0, Some(n)), (-n, None), (n, None), (0, Some(-n))];
            for (from, to) in ends {
                self.step(
                    at,
                    Text::Slice { of: of(), from, to },
                    1.6 + 0.05 * f64::from(n),
                );
            }
        }
        if self.depth <= 1 {
            for from in 1..12.min(longest as i32) {
                for to in from + 1..=16.min(longest as i32) {
                    let cost = 2.0 + 0.03 * f64::from(from);
                    self.step(
                        at,
                        Text::Slice {
                            of: of(),
                            from,
                            to: Some(to),
                        },
                        cost,
                    );
                }
            }
        }
    }

    /// Pieces as they are and changed, of which every value stands in its output.
    pub(super) fn atoms(&self, outs: &[String]) -> Vec<Piece> {
        let inside = |values: &[String]| {
            values.iter().any(|v| !v.is_empty())
                && values.iter().zip(outs).all(|(v, o)| o.contains(v.as_str()))
        };
        let mut seen = HashSet::new();
        let mut atoms = Vec::new();
        let mut add = |text: Text, cost: f64, values: Vec<String>, others: Vec<Option<String>>| {
            if inside(&values) && seen.insert((values.clone(), others.clone())) {
                atoms.push(Piece {
                    text,
                    cost,
                    values,
                    others,
                });
            }
        };
        let mut sorted: Vec<&Piece> = self.pieces.iter().collect();
        sorted.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        for piece in &sorted {
            add(
                piece.text.clone(),
                piece.cost,
                piece.values.clone(),
                piece.others.clone(),
            );
        }
        for piece in &sorted {
            if (self.stop)() {
                break;
            }
            for (text, cost) in changes(piece, outs) {
                if let Some((values, others)) = applied(piece, &text) {
                    add(text, piece.cost + cost, values, others);
                }
            }
        }
        atoms
    }
}

fn applied(piece: &Piece, text: &Text) -> Option<(Vec<String>, Vec<Option<String>>)> {
    let values: Vec<String> = piece
        .values
        .iter()
        .map(|v| text.apply(v))
        .collect::<Option<_>>()?;
    let others = piece
        .others
        .iter()
        .map(|v| v.as_ref().and_then(|v| text.apply(v)))
        .collect();
    Some((values, others))
}

/// Words that stand in every value, with the sign behind them: `user=`, `Order `.
fn literals(values: &[String], stop: Stop<'_>) -> Vec<String> {
    let Some(first) = values.first() else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut start = None;
    for (i, c) in first.char_indices().chain([(first.len(), ' ')]) {
        if Class::Word.holds(c) {
            start.get_or_insert(i);
            continue;
        }
        let Some(from) = start.take() else { continue };
        let word = &first[from..i];
        let plain = word.chars().any(|c| Class::Letters.holds(c));
        for tail in [
            "\": \"", "\": ", "\":\"", "\":", "=\"", "=", ": ", ":", " ", "",
        ] {
            let mark = format!("{word}{tail}");
            let stands =
                first[from..].starts_with(&mark) && values.iter().all(|v| v.contains(&mark));
            if plain && stands && word.len() > 1 && !out.contains(&mark) {
                out.push(mark);
                break;
            }
        }
        if out.len() == 24 || stop() {
            break;
        }
    }
    out
}

/// The steps that change a piece rather than cut it, that its values and the outputs suggest.
fn changes(piece: &Piece, outs: &[String]) -> Vec<(Text, f64)> {
    let of = || Box::new(piece.text.clone());
    let mut out = Vec::new();
    let all = |test: &dyn Fn(&str) -> bool| piece.values.iter().all(|v| test(v));
    let (Some(first), Some(wanted)) = (piece.values.first(), outs.first()) else {
        return out;
    };
    let simple = piece.cost < 1.05;
    let lettered = piece
        .values
        .iter()
        .any(|v| v.chars().any(char::is_alphabetic));
    if lettered {
        for case in Case::ALL {
            let cost = match case {
                Case::Lower | Case::Upper => 0.5,
                Case::Capital | Case::Title => 0.6,
                Case::Initial => 0.7,
                Case::InitialUpper => 0.9,
            };
            out.push((Text::Case { of: of(), case }, cost));
        }
    }
    for day_first in [false, true] {
        if !all(&|v| parts_of(v, day_first).is_some()) {
            continue;
        }
        for part in DatePart::ALL {
            let cost = match part {
                DatePart::Iso => 0.4,
                DatePart::Year | DatePart::Month | DatePart::Day => 0.3,
                _ => 0.35,
            } + if day_first { 0.05 } else { 0.0 };
            out.push((
                Text::Date {
                    of: of(),
                    part,
                    day_first,
                },
                cost,
            ));
        }
    }
    if all(&|v| parse_number(v).is_some()) {
        number_changes(piece, outs, &mut out);
        for width in 2..=12 {
            for (fill, cost) in [('0', 0.8), (' ', 1.0), ('*', 1.2)] {
                if fill == '0' || wanted.contains(fill) {
                    out.push((
                        Text::Pad {
                            of: of(),
                            width,
                            fill,
                            right: false,
                        },
                        cost,
                    ));
                }
            }
        }
    }
    if simple && first.chars().count() > 1 {
        for fill in ['*', 'X', 'x', '#', '\u{2022}'] {
            if outs.iter().all(|o| o.contains(fill)) {
                for keep in 0..=6 {
                    out.push((
                        Text::Mask {
                            of: of(),
                            keep,
                            fill,
                        },
                        1.3,
                    ));
                }
            }
        }
        if outs.iter().any(|o| o.ends_with([' ', '.', '-', '_', '0'])) || wanted.len() > first.len()
        {
            for width in [5, 6, 8, 10, 12, 15, 16, 20] {
                for fill in [' ', '.', '-', '_', '0', '*'] {
                    for right in [true, false] {
                        out.push((
                            Text::Pad {
                                of: of(),
                                width,
                                fill,
                                right,
                            },
                            1.1,
                        ));
                    }
                }
            }
        }
    }
    if piece.cost < 1.4 {
        for class in Class::SETS {
            out.push((Text::Only { of: of(), class }, 0.9));
        }
        for what in Tally::ALL {
            out.push((Text::Tally { of: of(), what }, 1.6));
        }
        replacements(piece, outs, &mut out);
    }
    if piece.cost < 1.25 {
        words(piece, outs, &mut out);
    }
    out
}

fn replacements(piece: &Piece, outs: &[String], out: &mut Vec<(Text, f64)>) {
    let marks: Vec<&str> = MARKS
        .iter()
        .copied()
        .filter(|m| piece.values.iter().any(|v| v.contains(m)))
        .collect();
    for from in marks {
        for to in [
            "", " ", "_", "-", ", ", ",", "/", ".", ":", ";", "|", "; ", " - ",
        ] {
            let shown = to.is_empty() || outs.iter().any(|o| o.contains(to));
            if to != from && shown {
                let text = Text::Replace {
                    of: Box::new(piece.text.clone()),
                    from: from.to_owned(),
                    to: to.to_owned(),
                };
                out.push((text, 0.85));
            }
        }
    }
}

fn number_changes(piece: &Piece, outs: &[String], out: &mut Vec<(Text, f64)>) {
    let mut scales = vec![
        1.0,
        100.0,
        0.01,
        1000.0,
        0.001,
        60.0,
        1.0 / 60.0,
        3600.0,
        1024.0,
        1.0 / 1024.0,
        0.1,
        10.0,
    ];
    // A factor of its own: the same between the first number of each output and its value.
    let ratios: Vec<f64> = piece
        .values
        .iter()
        .zip(outs)
        .filter_map(|(v, o)| {
            let of = parse_number(v)?.float();
            let to = parse_number(super::chars::runs(o, Class::Decimal).first()?)?.float();
            (of != 0.0).then_some(to / of)
        })
        .collect();
    if let Some(first) = ratios.first()
        && ratios.len() == outs.len()
        && ratios
            .iter()
            .all(|r| (r - first).abs() < 1e-4 * first.abs())
    {
        let short: f64 = format!("{first:.4}").parse().unwrap_or(*first);
        if !scales.contains(&short) && short != 0.0 {
            scales.push(short);
        }
    }
    for (i, scale) in scales.into_iter().enumerate() {
        for places in [None, Some(0), Some(1), Some(2), Some(3)] {
            for thousands in [false, true] {
                if i == 0
                    && places.is_none()
                    && !thousands
                    && piece.values.iter().all(|v| {
                        !v.contains([',', '$', '+', '%', '\u{20ac}', '\u{a3}'])
                            && !v.starts_with('0')
                    })
                {
                    continue;
                }
                let cost = 0.7
                    + if i == 0 { 0.0 } else { 0.5 }
                    + if places.is_some() { 0.1 } else { 0.0 }
                    + if thousands { 0.1 } else { 0.0 };
                let text = Text::Number {
                    of: Box::new(piece.text.clone()),
                    scale,
                    places,
                    thousands,
                };
                out.push((text, cost));
            }
        }
    }
}

fn words(piece: &Piece, outs: &[String], out: &mut Vec<(Text, f64)>) {
    let mut cuts = vec![
        (Cut::Blanks, 0.0),
        (Cut::Runs(Class::Alnum), 0.05),
        (Cut::Humps, 0.1),
        (Cut::Runs(Class::Letters), 0.15),
        (Cut::Runs(Class::Digits), 0.15),
        (Cut::Runs(Class::Word), 0.2),
        (Cut::Runs(Class::Upper), 0.3),
    ];
    for mark in MARKS {
        if *mark != " " && *mark != "x" && piece.values.iter().all(|v| v.contains(mark)) {
            cuts.push((Cut::At((*mark).to_owned()), 0.05));
        }
    }
    for (cut, cost) in cuts {
        if piece.values.iter().all(|v| cut.of(v).len() < 2) {
            continue;
        }
        for (a, arrange) in Arrange::ALL.into_iter().enumerate() {
            for case in std::iter::once(None).chain(Case::ALL.map(Some)) {
                for (join, j) in [
                    ("", 0.0),
                    (" ", 0.0),
                    ("-", 0.0),
                    ("_", 0.0),
                    (", ", 0.0),
                    (",", 0.0),
                    (".", 0.0),
                    ("/", 0.05),
                    (";", 0.05),
                    ("; ", 0.05),
                    (" | ", 0.05),
                    ("|", 0.05),
                    (". ", 0.05),
                    (":", 0.05),
                    (" - ", 0.05),
                    ("+", 0.1),
                    (" & ", 0.1),
                    (" > ", 0.1),
                    ("\n", 0.1),
                ] {
                    if !join.is_empty() && !outs.iter().any(|o| o.contains(join)) {
                        continue;
                    }
                    let text = Text::Words {
                        of: Box::new(piece.text.clone()),
                        cut: cut.clone(),
                        arrange,
                        case,
                        join: join.to_owned(),
                    };
                    let cost = 1.2
                        + cost
                        + j
                        + if a == 0 { 0.0 } else { 0.3 }
                        + if case.is_some() { 0.2 } else { 0.0 };
                    out.push((text, cost));
                }
            }
        }
    }
}
