//! The two readings of a chain agree: `evaluate` in Rust and the emitted Python, run on the same
//! random files, give the same JSON to the last digit, or the same kind of error.
//!
//! `HANDAXE_EQUALITY=rounds,seed` runs longer or elsewhere.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::generate::Rng;
use handaxe_composer::{
    Chain, EvalError, Extractable, Format, Func, How, Join, Measure, Terminal, emit, evaluate_with,
    invocation, written,
};
use serde_json::{Value, json};

const ROUNDS: usize = 1500;
const SEED: u64 = 1;

struct Job {
    chain: Chain,
    bytes: Vec<u8>,
    other: Option<Vec<u8>>,
    tool: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test runs this crate's own Python, in no jail: nothing of it comes from outside"
)]
pub(crate) fn driven(tools: &BTreeMap<String, String>, jobs: &[Value]) -> Vec<Value> {
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
    let todo = json!({ "assets": assets, "tools": tools, "jobs": jobs }).to_string();
    let mut child = Command::new("python3")
        .args([
            "-B",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/equality/driver.py"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(todo.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn python(tools: &BTreeMap<String, String>, jobs: &[Job]) -> Vec<Value> {
    let hex = |bytes: &[u8]| {
        let digit = |d: u8| char::from_digit(d.into(), 16).unwrap();
        bytes
            .iter()
            .flat_map(|b| [digit(b >> 4), digit(b & 15)])
            .collect::<String>()
    };
    let jobs_json: Vec<Value> = jobs
        .iter()
        .map(|job| {
            let input = invocation(&job.chain, "data", Some("other"));
            let other = job.other.as_deref().map(hex);
            json!({ "tool": job.tool, "input": input, "bytes": hex(&job.bytes), "other": other })
        })
        .collect();
    driven(tools, &jobs_json)
}

fn ours(job: &Job) -> Value {
    let mut other = job.other.as_deref();
    let read = other.as_mut().map(|o| o as &mut dyn std::io::Read);
    match evaluate_with(&job.chain, job.bytes.as_slice(), read) {
        Ok(value) => {
            let mut result = json!({ "ok": value });
            if matches!(
                job.chain.terminal,
                Terminal::Convert { .. } | Terminal::Clean { .. }
            ) {
                let mut other = job.other.as_deref();
                let read = other.as_mut().map(|o| o as &mut dyn std::io::Read);
                let out = written(&job.chain, job.bytes.as_slice(), read).unwrap();
                result["written"] = json!(String::from_utf8(out).unwrap());
            }
            result
        }
        Err(e) => json!({ "error": e.python_kind(), "message": e.to_string() }),
    }
}

/// Equal; messages of errors are compared only where both name a field.
fn agree(ours: &Value, theirs: &Value) -> bool {
    match (ours.get("error"), theirs.get("error")) {
        (None, None) => ours == theirs,
        (Some(a), Some(b)) => {
            let field = |v: &Value| v["message"].as_str().unwrap().starts_with("no field");
            a == b && (!field(ours) || ours == theirs)
        }
        _ => false,
    }
}

#[test]
fn rust_and_python_agree() {
    let (rounds, seed) = std::env::var("HANDAXE_EQUALITY")
        .ok()
        .and_then(|v| {
            let (rounds, seed) = v.split_once(',')?;
            Some((rounds.parse().ok()?, seed.parse().ok()?))
        })
        .unwrap_or((ROUNDS, SEED));
    let mut rng = Rng(seed);
    let mut tools = BTreeMap::new();
    let jobs: Vec<Job> = (0..rounds)
        .map(|_| {
            let chain = crate::generate::chain(&mut rng);
            let bytes = crate::generate::file(&mut rng, chain.format);
            let other = chain.join.as_ref().map(|j| j.format);
            let other = other.map(|format| crate::generate::other_file(&mut rng, format));
            let emitted = emit(&chain).unwrap();
            let tool = emitted.name.to_string();
            tools.entry(tool.clone()).or_insert(emitted.code);
            Job {
                chain,
                bytes,
                other,
                tool,
            }
        })
        .collect();
    let theirs = python(&tools, &jobs);
    assert_eq!(theirs.len(), jobs.len());
    let (mut good, mut wrong) = (0, 0);
    for (job, theirs) in jobs.iter().zip(&theirs) {
        let ours = ours(job);
        good += usize::from(ours.get("ok").is_some());
        if !agree(&ours, theirs) {
            wrong += 1;
            if wrong <= 5 {
                println!(
                    "{:?}\n{}\n{}\nrust   {ours}\npython {theirs}\n",
                    job.chain,
                    String::from_utf8_lossy(&job.bytes),
                    String::from_utf8_lossy(job.other.as_deref().unwrap_or_default())
                );
            }
        }
    }
    assert_eq!(wrong, 0, "of {rounds} from seed {seed}");
    // A test in which everything is refused shows nothing.
    assert!(
        good * 10 > rounds * 6,
        "only {good} of {rounds} gave a result"
    );
    assert!(tools.len() >= 12, "{:?}", tools.keys());
}

/// Each bound, just kept and just broken: both sides draw the line at the same place.
#[test]
fn bounds_are_the_same() {
    let chain = |format, terminal| Chain {
        format,
        join: None,
        filters: Vec::new(),
        terminal,
        shape: handaxe_composer::Shape::default(),
        times: false,
    };
    let distinct = |field: &str| Terminal::Distinct {
        field: field.to_owned(),
    };
    let count = || Terminal::Aggregate {
        measures: vec![Measure {
            func: Func::Count,
            field: None,
        }],
        group_by: Vec::new(),
        order: None,
        limit: None,
    };
    let columns = |n: usize| {
        let names: Vec<String> = (0..n).map(|i| format!("c{i}")).collect();
        names.join(",").into_bytes()
    };
    let values = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join("\n");
    let long = |n: usize| vec![b'a'; n];
    let document = |n: usize| {
        let mut text = b"[{\"a\":\"".to_vec();
        text.extend(vec![b'x'; n - 10]);
        text.extend(b"\"}]");
        text
    };
    let cell = |n: usize| [b"a\n\"", long(n).as_slice(), b"\"\n"].concat();
    let looked_up = || Chain {
        join: Some(Join {
            format: Format::Csv,
            on: vec!["key".to_owned()],
            other_on: vec!["key".to_owned()],
            prefix: "o".to_owned(),
            how: How::Inner,
        }),
        ..chain(Format::Csv, count())
    };
    let keyed = |n: usize| format!("key\n{}", values(n)).into_bytes();
    let cases: Vec<(Chain, Vec<u8>, bool)> = vec![
        (looked_up(), keyed(100_000), true),
        (looked_up(), keyed(100_001), false),
        (chain(Format::Csv, distinct("c0")), columns(2000), true),
        (chain(Format::Csv, distinct("c0")), columns(2001), false),
        (
            chain(Format::Text, distinct("line")),
            values(100_000).into(),
            true,
        ),
        (
            chain(Format::Text, distinct("line")),
            values(100_001).into(),
            false,
        ),
        (chain(Format::Text, count()), long((8 << 20) - 1), true),
        (chain(Format::Text, count()), long(8 << 20), false),
        (chain(Format::Csv, count()), cell(131_072), true),
        (chain(Format::Csv, count()), cell(131_073), false),
        (chain(Format::Json, count()), document(16 << 20), true),
        (
            chain(Format::Json, count()),
            document((16 << 20) + 1),
            false,
        ),
    ];
    let mut tools = BTreeMap::new();
    let mut held = Vec::new();
    let jobs: Vec<Job> = cases
        .into_iter()
        .map(|(chain, bytes, holds)| {
            let emitted = emit(&chain).unwrap();
            let tool = emitted.name.to_string();
            tools.entry(tool.clone()).or_insert(emitted.code);
            held.push(holds);
            let other = chain.join.is_some().then(|| bytes.clone());
            Job {
                chain,
                bytes,
                other,
                tool,
            }
        })
        .collect();
    let theirs = python(&tools, &jobs);
    for ((job, theirs), holds) in jobs.iter().zip(&theirs).zip(held) {
        let ours = ours(job);
        let shown = |v: &Value| v.to_string().chars().take(200).collect::<String>();
        assert!(
            agree(&ours, theirs),
            "{:?}\n{}\n{}",
            job.chain,
            shown(&ours),
            shown(theirs)
        );
        assert_eq!(
            ours.get("ok").is_some(),
            holds,
            "{:?} {}",
            job.chain,
            shown(&ours)
        );
    }
}

/// Nothing that is looked for costs the square of a line's length: at this length that would be
/// half a minute for each line that has it, and the runner ends a test after four.
#[test]
fn long_lines_take_no_square() {
    const LENGTH: usize = 60_000;
    let kinds = [
        Extractable::Emails,
        Extractable::Urls,
        Extractable::Ips,
        Extractable::Dates,
        Extractable::Numbers,
    ];
    let shapes = "x|x.|x-|a@|a@a.|a@a.b|x@.|http://|http://.|http|ftp:|1|1,|1,111|1.|1e|1e+|+|12/|1/1/|\
                  Jan |Jan 1|Jan 1,|Janx|2020-|:|1:|::|1.1.1.|'|x'|e";
    let mut tools = BTreeMap::new();
    let mut jobs = Vec::new();
    for what in kinds {
        for shape in shapes.split('|') {
            let chain = Chain {
                format: Format::Text,
                join: None,
                filters: Vec::new(),
                terminal: Terminal::Extract {
                    field: None,
                    what: what.clone(),
                    limit: Some(1),
                },
                shape: handaxe_composer::Shape::default(),
                times: false,
            };
            let emitted = emit(&chain).unwrap();
            let tool = emitted.name.to_string();
            tools.entry(tool.clone()).or_insert(emitted.code);
            let bytes = shape.repeat(LENGTH / shape.len()).into_bytes();
            jobs.push(Job {
                chain,
                bytes,
                other: None,
                tool,
            });
        }
    }
    for (job, theirs) in jobs.iter().zip(python(&tools, &jobs)) {
        let start = String::from_utf8_lossy(&job.bytes[..20]);
        assert!(
            agree(&ours(job), &theirs),
            "{:?} {start}",
            job.chain.terminal
        );
    }
}

#[test]
fn a_missing_file_is_an_os_error() {
    let error = EvalError::Read(std::io::Error::other("gone").into());
    assert_eq!(error.python_kind(), "OSError");
}
