//! Programs from a JSON value to a JSON value, and how they are found.

use serde_json::{Map, Value, json};

use super::bank::Bank;
use super::chars::{Class, Cut, runs};
use super::either::{either, tests};
use super::reshape::tables;
use super::search::{Found, texts};
use super::stop::Stop;
use super::table::Table;
use super::text::{Env, Text, scalar};
use crate::eval::number::parse_number;

/// What is asked of an input where the examples go two ways.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Contains(Text, String),
    StartsWith(Text, String),
    EndsWith(Text, String),
    Equals(Text, String),
    IsNumber(Text),
    Has(Text, Class),
    AtLeast(Text, f64),
}

impl Test {
    pub(crate) fn run(&self, env: &Env) -> bool {
        let on = |text: &Text, test: &dyn Fn(&str) -> bool| text.run(env).is_some_and(|t| test(&t));
        match self {
            Self::Contains(of, what) => on(of, &|t| t.contains(what.as_str())),
            Self::StartsWith(of, what) => on(of, &|t| t.starts_with(what.as_str())),
            Self::EndsWith(of, what) => on(of, &|t| t.ends_with(what.as_str())),
            Self::Equals(of, what) => on(of, &|t| t == what),
            Self::IsNumber(of) => on(of, &|t| parse_number(t).is_some()),
            Self::Has(of, class) => on(of, &|t| !runs(t, *class).is_empty()),
            Self::AtLeast(of, least) => on(of, &|t| {
                parse_number(t).is_some_and(|n| n.float() >= *least)
            }),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Program {
    Text(Text),
    /// The text as a JSON number.
    Number(Text),
    /// The input, or one of its fields by its dotted name, as it is.
    Copy(Option<String>),
    Const(Value),
    Test(Test),
    /// Each part of a text, changed alike.
    List {
        of: Text,
        cut: Cut,
        each: Box<Program>,
    },
    Record(Vec<(String, Program)>),
    /// `a=1; b=2` as an object.
    Pairs {
        of: Text,
        between: String,
        sign: String,
        numbers: bool,
    },
    /// Null where the program does not fit.
    Maybe(Box<Program>),
    If {
        test: Test,
        then: Box<Program>,
        otherwise: Box<Program>,
    },
    Table(Table),
}

/// The value under a dotted name.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let (head, rest) = path.split_once('.')?;
    at(value.get(head)?, rest)
}

impl Program {
    /// `None` where the input does not fit the program.
    pub(crate) fn run(&self, input: &Value) -> Option<Value> {
        let env = || Env::of(input);
        match self {
            Self::Text(Text::Const(text)) => Some(Value::from(text.clone())),
            Self::Text(text) => text.run(&env()?).map(Value::from),
            Self::Number(text) => {
                let text = text.run(&env()?)?;
                parse_number(text.trim_matches(' ')).map(crate::eval::number::Number::json)
            }
            Self::Copy(None) => Some(input.clone()),
            Self::Copy(Some(path)) => at(input, path).cloned(),
            Self::Const(value) => Some(value.clone()),
            Self::Test(test) => Some(json!(env().is_some_and(|e| test.run(&e)))),
            Self::List { of, cut, each } => {
                let parts = cut.of(&of.run(&env()?)?);
                parts
                    .into_iter()
                    .map(|p| each.run(&Value::from(p)))
                    .collect::<Option<Vec<_>>>()
                    .map(Value::Array)
            }
            Self::Record(fields) => {
                let mut map = Map::new();
                for (name, program) in fields {
                    map.insert(name.clone(), program.run(input)?);
                }
                Some(Value::Object(map))
            }
            Self::Pairs {
                of,
                between,
                sign,
                numbers,
            } => {
                let text = of.run(&env()?)?;
                let mut map = Map::new();
                for part in text.split(between.as_str()) {
                    if part.trim_matches(' ').is_empty() {
                        continue;
                    }
                    let (name, value) = part.split_once(sign.as_str())?;
                    let value = value.trim_matches(' ');
                    let value = match parse_number(value).filter(|_| *numbers) {
                        Some(n) => n.json(),
                        None => Value::from(value),
                    };
                    map.insert(name.trim_matches(' ').to_owned(), value);
                }
                Some(Value::Object(map))
            }
            Self::Maybe(inner) => Some(inner.run(input).unwrap_or(Value::Null)),
            Self::If {
                test,
                then,
                otherwise,
            } => {
                if env().is_some_and(|e| test.run(&e)) {
                    then.run(input)
                } else {
                    otherwise.run(input)
                }
            }
            Self::Table(table) => table.run(input),
        }
    }
}

/// JSON values that are the same, numbers by value.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(x), Some(y)) => x == y || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

/// A program this dear is doubtful: other ways are tried too.
const DOUBTFUL: f64 = 6.0;

/// Programs that give every output from its input, cheapest first.
pub(crate) fn programs(
    ins: &[Value],
    outs: &[Value],
    others: &[Value],
    most: usize,
    depth: u32,
    stop: Stop<'_>,
) -> Vec<Found<Program>> {
    let mut found = plain(ins, outs, others, most, depth, stop);
    let dear = found.first().is_none_or(|f| f.cost > DOUBTFUL);
    if dear && depth > 0 {
        found.extend(either(ins, outs, others, stop));
    }
    found.retain(|f| {
        ins.iter()
            .zip(outs)
            .all(|(i, o)| f.program.run(i).is_some_and(|got| same(&got, o)))
    });
    found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    found.truncate(most);
    found
}

pub(super) fn found(program: Program, cost: f64) -> Found<Program> {
    Found { program, cost }
}

pub(super) fn plain(
    ins: &[Value],
    outs: &[Value],
    others: &[Value],
    most: usize,
    depth: u32,
    stop: Stop<'_>,
) -> Vec<Found<Program>> {
    if ins.is_empty() || ins.len() != outs.len() {
        return Vec::new();
    }
    let mut all = copies(ins, outs);
    if !all.is_empty() {
        return all;
    }
    if outs.len() > 1
        && outs.iter().all(|o| *o == outs[0])
        && !outs[0].is_array()
        && !outs[0].is_object()
    {
        return vec![found(Program::Const(outs[0].clone()), 1.0)];
    }
    let nested = |v: &Value| {
        v.is_array()
            || (v.is_object()
                && v.as_object()
                    .is_some_and(|m| m.values().any(|v| v.is_array() || v.is_object())))
    };
    if outs.iter().any(Value::is_null) && !outs.iter().all(Value::is_null) {
        let (some_in, some_out): (Vec<Value>, Vec<Value>) = ins
            .iter()
            .zip(outs)
            .filter(|(_, o)| !o.is_null())
            .map(|(i, o)| (i.clone(), o.clone()))
            .unzip();
        return programs(
            &some_in,
            &some_out,
            others,
            most * 3,
            depth.saturating_sub(1),
            stop,
        )
        .into_iter()
        .map(|f| found(Program::Maybe(Box::new(f.program)), f.cost + 0.3))
        .collect();
    }
    let envs: Option<Vec<Env>> = ins.iter().map(Env::of).collect();
    let other_envs: Vec<Env> = others.iter().filter_map(Env::of).collect();
    if let Some(envs) = &envs {
        if outs.iter().all(Value::is_string) {
            let wanted: Vec<String> = outs.iter().filter_map(scalar).collect();
            all.extend(
                texts(envs, &wanted, &other_envs, most, stop)
                    .into_iter()
                    .map(|f| found(Program::Text(f.program), f.cost)),
            );
        } else if outs.iter().all(Value::is_number) {
            let wanted: Vec<String> = outs.iter().filter_map(scalar).collect();
            all.extend(
                texts(envs, &wanted, &other_envs, most, stop)
                    .into_iter()
                    .map(|f| found(Program::Number(f.program), f.cost + 0.1)),
            );
            // `12.50` is 12.5 however it is written.
            let exact: Vec<Found<Program>> = numbers_as_written(envs, outs, &other_envs, stop);
            all.extend(exact);
        } else if outs.iter().all(Value::is_boolean) {
            let yes: Vec<bool> = outs.iter().map(|o| *o == Value::Bool(true)).collect();
            all.extend(
                tests(envs, &yes, stop)
                    .into_iter()
                    .take(most)
                    .map(|f| found(Program::Test(f.program), f.cost)),
            );
        }
        if outs.iter().all(Value::is_array) {
            all.extend(lists(envs, outs, depth, stop));
        }
        if outs.iter().all(Value::is_object) {
            all.extend(pairs(envs, outs, stop));
        }
    }
    if outs.iter().all(Value::is_object) {
        all.extend(records(ins, outs, others, depth, stop));
    }
    if depth > 0
        && (ins.iter().any(nested)
            || outs.iter().any(nested)
            || ins
                .iter()
                .all(|i| i.as_str().is_some_and(|s| s.contains('\n'))))
    {
        all.extend(
            tables(ins, outs, stop)
                .into_iter()
                .map(|f| found(Program::Table(f.program), f.cost)),
        );
    }
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    all
}

/// A field whose number is the output's, whatever its text.
fn numbers_as_written(
    envs: &[Env],
    outs: &[Value],
    others: &[Env],
    stop: Stop<'_>,
) -> Vec<Found<Program>> {
    let mut bank = Bank::new(envs, others, stop);
    bank.deepen();
    let fits = |values: &[String]| {
        values
            .iter()
            .zip(outs)
            .all(|(v, o)| parse_number(v).is_some_and(|n| same(&n.json(), o)))
    };
    bank.pieces
        .iter()
        .filter(|p| fits(&p.values))
        .map(|p| found(Program::Number(p.text.clone()), PART_OF_NUMBER + p.cost))
        .collect()
}

const PART_OF_NUMBER: f64 = 0.85;

fn copies(ins: &[Value], outs: &[Value]) -> Vec<Found<Program>> {
    let mut all = Vec::new();
    if ins == outs {
        all.push(found(Program::Copy(None), 0.1));
    }
    if let Some(Value::Object(first)) = ins.first() {
        let mut paths = Vec::new();
        paths_of("", first, &mut paths);
        for path in paths {
            if ins.iter().zip(outs).all(|(i, o)| at(i, &path) == Some(o)) {
                all.push(found(Program::Copy(Some(path)), 0.3));
            }
        }
    }
    all
}

fn paths_of(prefix: &str, map: &Map<String, Value>, paths: &mut Vec<String>) {
    for (name, value) in map.iter().take(60) {
        let path = format!("{prefix}{name}");
        if let Value::Object(inner) = value {
            paths_of(&format!("{path}."), inner, paths);
        }
        paths.push(path);
    }
}

fn records(
    ins: &[Value],
    outs: &[Value],
    others: &[Value],
    depth: u32,
    stop: Stop<'_>,
) -> Vec<Found<Program>> {
    let mut names: Vec<String> = Vec::new();
    for out in outs.iter().filter_map(Value::as_object) {
        for name in out.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let everywhere = outs
        .iter()
        .filter_map(Value::as_object)
        .all(|o| o.len() == names.len());
    if names.is_empty() || names.len() > 60 || !everywhere {
        return Vec::new();
    }
    let mut fields = Vec::new();
    let mut cost = 0.2;
    for name in names {
        let wanted: Vec<Value> = outs
            .iter()
            .map(|o| o.get(&name).cloned().unwrap_or(Value::Null))
            .collect();
        let Some(best) = column(&name, ins, &wanted, (others, depth), stop) else {
            return Vec::new();
        };
        cost += best.cost;
        fields.push((name, best.program));
    }
    vec![found(Program::Record(fields), cost)]
}

/// The program for one field of a record; its own name in the input goes before all others.
pub(super) fn column(
    name: &str,
    ins: &[Value],
    wanted: &[Value],
    (others, depth): (&[Value], u32),
    stop: Stop<'_>,
) -> Option<Found<Program>> {
    if stop() {
        return None;
    }
    if ins.iter().zip(wanted).all(|(i, w)| at(i, name) == Some(w)) {
        return Some(found(Program::Copy(Some(name.to_owned())), 0.1));
    }
    // Of many rows a dozen say what is meant; the rest are held against it.
    let few = ins.len().min(12);
    let candidates = programs(
        &ins[..few],
        &wanted[..few],
        others,
        3,
        depth.saturating_sub(1),
        stop,
    );
    candidates.into_iter().find(|f| {
        ins.iter()
            .zip(wanted)
            .all(|(i, w)| f.program.run(i).is_some_and(|got| same(&got, w)))
    })
}

const SEPARATORS: &[&str] = &[
    ", ", ",", "; ", ";", " | ", "|", "/", "-", "_", ":", "\t", ".", "&", "+", " and ", "->", ">",
    "\n",
];

fn cuts(values: &[String]) -> Vec<Cut> {
    let mut cuts = vec![
        Cut::Blanks,
        Cut::Runs(Class::Digits),
        Cut::Runs(Class::Decimal),
        Cut::Runs(Class::Letters),
        Cut::Runs(Class::Alnum),
        Cut::Runs(Class::Dotted),
        Cut::Runs(Class::Quoted),
        Cut::Runs(Class::Round),
        Cut::Runs(Class::Square),
        Cut::Runs(Class::Upper),
        Cut::Humps,
    ];
    for by in SEPARATORS.iter().rev() {
        if values.iter().any(|v| v.contains(by)) {
            cuts.insert(0, Cut::At((*by).to_owned()));
        }
    }
    cuts
}

fn lists(envs: &[Env], outs: &[Value], depth: u32, stop: Stop<'_>) -> Vec<Found<Program>> {
    let wanted: Vec<&Vec<Value>> = outs.iter().filter_map(Value::as_array).collect();
    let elements: Vec<Value> = wanted.iter().flat_map(|w| w.iter().cloned()).collect();
    if elements.is_empty() || elements.len() > 400 {
        return Vec::new();
    }
    let mut bank = Bank::new(envs, &[], stop);
    bank.deepen();
    let mut pieces: Vec<_> = bank.pieces.iter().filter(|p| p.cost < 1.6).collect();
    pieces.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    pieces.truncate(60);
    let mut all: Vec<Found<Program>> = Vec::new();
    for piece in pieces {
        for cut in cuts(&piece.values) {
            let parts: Vec<Vec<String>> = piece.values.iter().map(|v| cut.of(v)).collect();
            if parts.iter().zip(&wanted).any(|(p, w)| p.len() != w.len()) {
                continue;
            }
            let flat: Vec<Value> = parts.into_iter().flatten().map(Value::from).collect();
            let Some(each) = column("", &flat, &elements, (&[], depth.saturating_sub(1)), stop)
            else {
                continue;
            };
            let cost = 0.8 + piece.cost + each.cost;
            let program = Program::List {
                of: piece.text.clone(),
                cut,
                each: Box::new(each.program),
            };
            all.push(found(program, cost));
            if all.len() >= 4 {
                return all;
            }
        }
    }
    all
}

fn pairs(envs: &[Env], outs: &[Value], stop: Stop<'_>) -> Vec<Found<Program>> {
    let mut bank = Bank::new(envs, &[], stop);
    bank.deepen();
    let mut pieces: Vec<_> = bank.pieces.iter().filter(|p| p.cost < 1.4).collect();
    pieces.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    for piece in pieces.into_iter().take(60) {
        if stop() {
            break;
        }
        for between in [";", ",", "&", " ", "|", "\n"] {
            for sign in ["=", ":", " "] {
                if between == sign || !piece.values.iter().any(|v| v.contains(sign)) {
                    continue;
                }
                for numbers in [true, false] {
                    let program = Program::Pairs {
                        of: piece.text.clone(),
                        between: between.to_owned(),
                        sign: sign.to_owned(),
                        numbers,
                    };
                    let fits = envs.iter().zip(outs).all(|(env, out)| {
                        let input = match env {
                            Env::Scalar(text) => Value::from(text.clone()),
                            Env::Record(fields) => json!(fields),
                        };
                        program.run(&input).is_some_and(|got| same(&got, out))
                    });
                    if fits {
                        return vec![found(program, 0.9 + piece.cost)];
                    }
                }
            }
        }
    }
    Vec::new()
}
