//! What a run costs, and how that grows with the input.
//!
//! Growth is measured in processor time, which another process on the machine does not lengthen, as
//! the least of a few runs at sizes that grow until there is something to measure. The exponent of
//! time ~ size^e is the slope of the least-squares line through the logarithms (as in Goldsmith,
//! Aiken and Wilkerson, *Measuring empirical computational complexity*, ESEC/FSE 2007).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use handaxe_sandbox::{InlineFile, Session};
use handaxe_types::json::{self, Bounds};
use handaxe_types::{CostReport, Draft, Growth, Limits, Outcome, Stage, Trial};
use serde_json::{Value, json};

use crate::fuzz::{Fuzzed, Generator, Source};
use crate::invoke::{Arguments, InvokeError};
use crate::runner::{Runner, in_parallel};
use crate::trial::ValidateError;

const FIRST: u64 = 16;
const MOST_SIZES: usize = 10;
/// Parts of the input that are made larger.
const MOST_PARTS: usize = 4;
/// Runs at each size; the quickest counts.
const REPEATS: usize = 2;
/// Nothing is made larger than this.
const MAX_BYTES: usize = 900 << 10;
/// Milliseconds of processor time that tell something from nothing, and that are enough.
const NOISE_MS: f64 = 1.0;
const STEEP_MS: f64 = 3.0;
const ENOUGH_MS: f64 = 100.0;
/// One run, and one part of the input.
const WALL_MS: u64 = 1_500;
const PATIENCE: Duration = Duration::from_millis(1_200);
/// Sizes that a slope is taken over: the largest ones.
const FITTED: usize = 4;

/// Times and memory of the runs so far; with `grow`, also how time grows.
pub(crate) fn run(
    runner: &Runner<'_>,
    draft: &Draft,
    fuzzed: Option<&Fuzzed>,
    trial: &Trial,
    seed: u64,
    grow: bool,
) -> Result<CostReport, ValidateError> {
    let mut times: Vec<f64> = match fuzzed {
        Some(fuzzed) if !fuzzed.times.is_empty() => fuzzed.times.clone(),
        _ => trial
            .cases
            .iter()
            .map(|c| c.runtime_ms)
            .filter(|ms| *ms > 0.0)
            .collect(),
    };
    times.sort_by(f64::total_cmp);
    let mut report = CostReport {
        runs: times.len() as u32,
        p50_ms: quantile(&times, 50),
        p95_ms: quantile(&times, 95),
        peak_kib: runner.observed().peak_kib,
        growth: Vec::new(),
    };
    if !grow {
        return Ok(report);
    }
    let session = runner.session()?;
    let parts = parts(runner, draft, fuzzed, seed);
    let done = AtomicU32::new(0);
    report.growth = in_parallel(&parts, |part| {
        let growth = grown(runner, &*session, part)?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        runner.progress(Stage::Cost, done, parts.len() as u32, 0);
        Ok(growth)
    })?;
    Ok(report)
}

/// Nearest rank, of a sorted list.
pub(crate) fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// A part of one valid input, and how it is made larger.
struct Part<'a> {
    base: &'a Arguments,
    property: String,
    unit: &'static str,
    /// The input with this many units in the part.
    sized: Box<dyn Fn(u64) -> Option<Arguments> + Send + Sync + 'a>,
}

fn parts<'a>(
    runner: &Runner<'_>,
    draft: &'a Draft,
    fuzzed: Option<&'a Fuzzed>,
    seed: u64,
) -> Vec<Part<'a>> {
    let none = serde_json::Map::new();
    let schema = &draft.spec.input_schema;
    let properties = schema.get("properties").and_then(Value::as_object);
    let files = draft.spec.input_files();
    let mut parts: Vec<Part<'a>> = Vec::new();
    let answered = fuzzed.map_or(&[][..], |f| &f.answered[..]);
    for (name, property) in properties.unwrap_or(&none) {
        // The largest input of a moderate size: most of its ways are taken.
        let has = |a: &&Arguments| a.input.contains_key(name) && crate::fuzz::weight(a) < 16 << 10;
        let base = answered
            .iter()
            .map(|(a, _)| a)
            .filter(has)
            .max_by_key(|a| crate::fuzz::weight(a));
        let Some(base) = base else { continue };
        let mut add = |unit, sized| {
            parts.push(Part {
                base,
                property: name.clone(),
                unit,
                sized,
            });
        };
        let fits = {
            let contract = runner.contract.clone();
            move |a: Arguments| contract.check_input(&a).is_ok().then_some(a)
        };
        if files.contains(name) {
            let property = name.clone();
            add(
                "lines",
                Box::new(move |n| fits(with_lines(base, &property, n)?)),
            );
            continue;
        }
        match base.input.get(name) {
            Some(Value::Array(items)) => {
                let generator = Generator::new(schema, Vec::new());
                let (name, property) = (name.clone(), property.clone());
                add(
                    "items",
                    Box::new(move |n| {
                        let items = more_items(&generator, &property, items, n, seed);
                        fits(with(base, &name, items))
                    }),
                );
            }
            Some(Value::String(text)) if !fixed(property) => {
                for shape in [cycled as fn(&str, u64) -> String, one_letter] {
                    let (name, fits) = (name.clone(), fits.clone());
                    add(
                        "characters",
                        Box::new(move |n| fits(with(base, &name, json!(shape(text, n))))),
                    );
                }
            }
            _ => {}
        }
    }
    parts.truncate(MOST_PARTS);
    parts
}

/// Texts that cannot be made longer at will.
fn fixed(property: &Value) -> bool {
    ["enum", "const", "format"]
        .iter()
        .any(|k| property.get(*k).is_some())
}

fn with(base: &Arguments, name: &str, value: Value) -> Arguments {
    let mut next = base.clone();
    next.input.insert(name.to_owned(), value);
    next
}

/// The text over and over, numbered, so that it holds ever new words.
fn cycled(text: &str, n: u64) -> String {
    let chunk: String = text.chars().take(64).collect();
    let chunk = if chunk.trim().is_empty() {
        "word"
    } else {
        &chunk
    };
    let mut out = String::new();
    let mut i = 0_u64;
    while (out.len() as u64) < n {
        out.push_str(chunk);
        out.push_str(&i.to_string());
        out.push(' ');
        i += 1;
    }
    out.chars().take(n as usize).collect()
}

/// What a careless pattern backtracks over.
fn one_letter(_: &str, n: u64) -> String {
    "a".repeat(n.saturating_sub(1) as usize) + "!"
}

/// Items like those given, each different where its schema lets it.
fn more_items(
    generator: &Generator<'_>,
    property: &Value,
    items: &[Value],
    n: u64,
    seed: u64,
) -> Value {
    let made = (0..n).filter_map(|i| {
        let like = items
            .get(i as usize % items.len().max(1))
            .map(|v| varied(v, i));
        like.or_else(|| {
            let schema = property.get("items").unwrap_or(&Value::Bool(true));
            generator.value(schema, &mut Source::new(seed, i), 2)
        })
    });
    Value::Array(made.collect())
}

fn varied(value: &Value, i: u64) -> Value {
    match value {
        Value::String(text) => json!(format!("{text}{i}")),
        Value::Number(n) => match n.as_i64() {
            Some(n) => json!(n.saturating_add(i as i64)),
            None => json!(n.as_f64().unwrap_or(0.0) + i as f64),
        },
        Value::Array(items) => items.iter().map(|v| varied(v, i)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| (k.clone(), varied(v, i))).collect())
        }
        other => other.clone(),
    }
}

/// The file with `n` lines after its first, made of those that it has with other digits; a JSON
/// array with `n` items.
fn with_lines(base: &Arguments, property: &str, n: u64) -> Option<Arguments> {
    let name = base.input.get(property)?.as_str()?;
    let at = base.files.iter().position(|f| f.name == name)?;
    let bytes = &base.files[at].bytes;
    let grown = if let Ok(Value::Array(items)) = json::parse(bytes, Bounds::DEFAULT) {
        let items: Vec<&Value> = (0..n as usize)
            .filter_map(|i| items.get(i % items.len().max(1)))
            .collect();
        json!(items).to_string().into_bytes()
    } else {
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        let mut out = lines.next()?.to_vec();
        let rest: Vec<&[u8]> = lines.filter(|l| l.ends_with(b"\n")).collect();
        let rest = if rest.is_empty() {
            vec![out.clone()]
        } else {
            rest.iter().map(|l| l.to_vec()).collect()
        };
        for i in 0..n {
            out.extend(other_digits(&rest[i as usize % rest.len()], i));
            if out.len() > MAX_BYTES {
                return None;
            }
        }
        out
    };
    let mut next = base.clone();
    next.files[at] = InlineFile {
        name: name.to_owned(),
        bytes: Arc::from(grown),
    };
    Some(next)
}

/// Only the last digit of each number: a date stays one.
fn other_digits(line: &[u8], i: u64) -> Vec<u8> {
    let mut out = line.to_vec();
    let mut i = i;
    for at in (0..out.len()).rev() {
        let ends = out[at].is_ascii_digit() && !out.get(at + 1).is_some_and(u8::is_ascii_digit);
        if ends {
            out[at] = b'0' + ((u64::from(out[at] - b'0') + i) % 10) as u8;
            i /= 10;
        }
    }
    out
}

fn grown(
    runner: &Runner<'_>,
    session: &dyn Session,
    part: &Part<'_>,
) -> Result<Growth, ValidateError> {
    let begun = Instant::now();
    let mut growth = Growth {
        of: format!("/{}", part.property),
        unit: part.unit.to_owned(),
        ..Growth::default()
    };
    let limits = part
        .base
        .limits
        .as_ref()
        .unwrap_or(runner.contract.limits());
    let limits = Limits {
        wall_ms: limits.wall_ms.min(WALL_MS),
        ..limits.clone()
    };
    let (mut size, mut stopped) = (FIRST, None);
    while growth.sizes.len() < MOST_SIZES {
        if runner.is_over() || begun.elapsed() > PATIENCE {
            "its time was over".clone_into(&mut growth.note);
            break;
        }
        let Some(mut arguments) = (part.sized)(size) else {
            "larger ones are not allowed, or do not fit a call".clone_into(&mut growth.note);
            break;
        };
        if crate::fuzz::weight(&arguments) as usize > MAX_BYTES {
            "larger ones do not fit a call".clone_into(&mut growth.note);
            break;
        }
        arguments.limits = Some(limits.clone());
        let (ms, end) = timed(runner, session, &arguments)?;
        match end {
            Outcome::Ok => {}
            Outcome::Timeout => {
                growth.note = format!("past {WALL_MS} ms at {size} {}", part.unit);
                stopped = least_exponent(&growth.sizes, &growth.ms, size, ms);
                growth.sizes.push(size);
                growth.ms.push(ms.max(WALL_MS as f64));
                break;
            }
            other => {
                growth.note = format!("at {size} {} it ended as {}", part.unit, other.as_str());
                break;
            }
        }
        growth.sizes.push(size);
        growth.ms.push(ms);
        if ms > ENOUGH_MS {
            break;
        }
        size *= if ms > STEEP_MS { 2 } else { 4 };
    }
    growth.exponent = match (exponent(&growth.sizes, &growth.ms), stopped) {
        (Some(fitted), Some(least)) => Some(fitted.max(least)),
        (fitted, stopped) => fitted.or(stopped),
    };
    if growth.exponent.is_none() && growth.note.is_empty() {
        "it took too little time to say".clone_into(&mut growth.note);
    }
    Ok(growth)
}

/// The least processor time of a few runs, in milliseconds, and how the last one ended.
fn timed(
    runner: &Runner<'_>,
    session: &dyn Session,
    arguments: &Arguments,
) -> Result<(f64, Outcome), ValidateError> {
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        match runner.invoke(session, &runner.contract, arguments) {
            Ok(run) => {
                least = least.min(run.usage.cpu_ms);
                if run.outcome != Outcome::Ok {
                    return Ok((least, run.outcome));
                }
            }
            Err(InvokeError::Sandbox(e)) => return Err(e.into()),
            Err(_) => return Ok((least.min(0.0), Outcome::ToolError)),
        }
        // Noise is nothing against this much.
        if least > ENOUGH_MS {
            break;
        }
    }
    Ok((least, Outcome::Ok))
}

/// The slope over the largest sizes; `None` where fewer than three rose out of the noise.
fn exponent(sizes: &[u64], ms: &[f64]) -> Option<f64> {
    // What every run costs, whatever its input.
    let floor = *ms.first()?;
    let points: Vec<(f64, f64)> = sizes
        .iter()
        .zip(ms)
        .skip(1)
        .map(|(size, ms)| (*size as f64, ms - floor))
        .filter(|(_, ms)| *ms >= NOISE_MS)
        .map(|(size, ms)| (size.ln(), ms.ln()))
        .collect();
    let points = &points[points.len().saturating_sub(FITTED)..];
    if points.len() < 3 {
        return None;
    }
    let n = points.len() as f64;
    let (mx, my) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in points {
        xy += (x - mx) * (y - my);
        xx += (x - mx) * (x - mx);
    }
    (xx > 0.0).then(|| xy / xx)
}

/// What the exponent is at the least, where a run was stopped at `size` after `ms` of processor time:
/// the slope from the size before, as if the run had been about to end, and as if the one before had
/// been slow enough to tell from nothing. Steps from one size to the next are what an exponential
/// shows itself by: a slope needs three sizes, and it does not live that long.
fn least_exponent(sizes: &[u64], seen: &[f64], size: u64, ms: f64) -> Option<f64> {
    let (floor, last, before) = (*seen.first()?, *seen.last()?, *sizes.last()?);
    let (rise, risen) = (ms - floor, (last - floor).max(NOISE_MS));
    let steps = (size as f64 / before as f64).ln();
    (rise > risen && steps > 0.0).then(|| (rise / risen).ln() / steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_stopped_says_how_steep_it_is_at_the_least() {
        // Two to the power of n: nothing, then everything.
        assert!(least_exponent(&[16], &[1.3], 64, 1500.0).unwrap() > 5.0);
        // A cubic one that was stopped is called no steeper than it is.
        let cubic = |n: u64| 1.0 + 0.005 * (n as f64).powi(3);
        let least = least_exponent(&[16, 64], &[cubic(16), cubic(64)], 128, 1500.0).unwrap();
        assert!((0.0..=3.0).contains(&least), "{least}");
        // Nothing is said of the first size, or of a machine that gave no time.
        assert_eq!(least_exponent(&[], &[], 16, 1500.0), None);
        assert_eq!(least_exponent(&[16], &[1.0], 64, 1.5), None);
    }

    #[test]
    fn exponents() {
        let sizes: Vec<u64> = vec![16, 64, 256, 1024, 2048, 4096];
        for (e, scale) in [(1.0, 0.02), (2.0, 2e-5), (3.0, 5e-8)] {
            let ms: Vec<f64> = sizes
                .iter()
                .map(|s| 0.9 + scale * (*s as f64).powf(e))
                .collect();
            let fitted = exponent(&sizes, &ms).unwrap();
            assert!((fitted - e).abs() < 0.1, "{e}: {fitted}");
        }
        // n log n is not quadratic.
        let ms: Vec<f64> = sizes
            .iter()
            .map(|s| 1.0 + 0.002 * (*s as f64) * (*s as f64).log2())
            .collect();
        assert!(exponent(&sizes, &ms).unwrap() < 1.4);
        // Noise says nothing.
        assert_eq!(exponent(&sizes, &[0.9, 1.2, 0.8, 1.1, 1.0, 1.3]), None);
        assert_eq!(exponent(&[], &[]), None);
        assert_eq!(exponent(&[16, 64], &[1.0, 900.0]), None);
    }

    #[test]
    fn larger_inputs_stay_of_their_kind() {
        assert_eq!(cycled("ab", 7), "ab0 ab1");
        assert_eq!(one_letter("", 4), "aaa!");
        assert_eq!(
            varied(&json!({"a": [1, "x", null]}), 7),
            json!({"a": [8, "x7", null]})
        );
        let base = Arguments {
            input: json!({"data": "f.csv"})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            files: vec![InlineFile {
                name: "f.csv".to_owned(),
                bytes: Arc::from(&b"d,n\n2024-01-05,a1\n"[..]),
            }],
            ..Arguments::default()
        };
        let bytes = |n| {
            with_lines(&base, "data", n)
                .map(|a| String::from_utf8_lossy(&a.files[0].bytes).into_owned())
        };
        assert_eq!(bytes(2).unwrap(), "d,n\n2024-01-05,a1\n2024-01-05,a2\n");
        assert_eq!(bytes(12).unwrap().lines().last().unwrap(), "2024-01-06,a2");
        assert_eq!(bytes(1 << 20), None);
    }
}
