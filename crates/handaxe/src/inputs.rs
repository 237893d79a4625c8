//! What people write on the command line, parsed: JSON inputs, attached files, limits, goldens.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use handaxe_types::json::{self, Bounds};
use handaxe_types::{Case, Check, DataFile, Digest, Limits, Origin};
use serde_json::{Map, Value};

use crate::failure::{Failure, chain};

/// The largest `--input @FILE` and golden file.
const MAX_INPUT_BYTES: u64 = 16 << 20;

/// An object from `--input '{…}'` or `--input @FILE`; the empty object without it.
pub(crate) fn input_object(text: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let Some(text) = text else {
        return Ok(Map::new());
    };
    let bytes = match text.strip_prefix('@') {
        Some(path) => read_bounded(Path::new(path), MAX_INPUT_BYTES)?,
        None if text == "-" => read_bounded(Path::new("/dev/stdin"), MAX_INPUT_BYTES)?,
        None => text.as_bytes().to_vec(),
    };
    match json::parse(&bytes, Bounds::DEFAULT) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Failure::usage("the input is not a JSON object")
            .hint(r#"for example --input '{"text": "hello"}'"#)),
        Err(e) => Err(
            Failure::usage(format!("the input cannot be read: {}", chain(&e)))
                .hint(r#"for example --input '{"text": "hello"}', or --input @FILE"#),
        ),
    }
}

/// A whole file, unless it is larger than `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let fail = |e: std::io::Error| {
        Failure::usage(format!("cannot read {}: {e}", path.display()))
            .hint("check the path; it is relative to where you run the command")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err(
            Failure::usage(format!("{} is larger than {limit} bytes", path.display()))
                .hint("data of any size goes in as a file that a tool reads: --data FILE"),
        );
    }
    Ok(bytes)
}

/// The question with the day that it counts back from, as people say it: whoever reads the question,
/// on record too, reads the day with it.
pub(crate) fn as_of(question: &str, day: Option<&str>) -> Result<String, Failure> {
    let Some(day) = day else {
        return Ok(question.to_owned());
    };
    let parts: Vec<&str> = day.split('-').collect();
    let digits =
        |part: &&str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    let fits = parts.len() <= 3
        && parts.iter().zip([4, 2, 2]).all(|(part, n)| digits(part, n))
        && (parts.len() < 3 || day.parse::<jiff::civil::Date>().is_ok());
    if !fits {
        return Err(Failure::usage(format!("`{day}` is no date"))
            .hint("give it as YYYY-MM-DD, e.g. `--as-of 2026-03-01`"));
    }
    Ok(format!(
        "{}, as of {day}",
        question.trim_end().trim_end_matches(['?', '.', '!'])
    ))
}

/// Attaches files: regular, readable, each under a name of its own.
pub(crate) fn attach(paths: &[PathBuf]) -> Result<Vec<DataFile>, Failure> {
    let mut taken = BTreeMap::<String, u32>::new();
    paths
        .iter()
        .map(|path| attach_one(path, &mut taken))
        .collect()
}

fn attach_one(path: &Path, taken: &mut BTreeMap<String, u32>) -> Result<DataFile, Failure> {
    let refuse = |why: &str| {
        Failure::new(
            crate::failure::Exit::Failed,
            "data_file",
            format!("`{}` {why}", path.display()),
        )
    };
    let mut file = std::fs::File::open(path).map_err(|e| {
        refuse(&format!("cannot be read: {e}"))
            .hint("check the path; it is relative to where you run the command")
    })?;
    let meta = file
        .metadata()
        .map_err(|e| refuse(&format!("cannot be read: {e}")))?;
    if meta.is_dir() {
        return Err(refuse("is a folder").hint("give one of the files in it"));
    }
    if !meta.is_file() {
        return Err(refuse("is not a regular file").hint("save it to a file first"));
    }
    let digest =
        Digest::of_reader(&mut file).map_err(|e| refuse(&format!("cannot be read: {e}")))?;
    let absolute = path
        .canonicalize()
        .map_err(|e| refuse(&format!("cannot be read: {e}")))?;
    let base = plain_name(&absolute);
    let n = taken.entry(base.clone()).or_insert(0);
    *n += 1;
    let name = if *n == 1 { base } else { format!("{n}_{base}") };
    Ok(DataFile {
        name,
        path: absolute,
        bytes: meta.len(),
        digest,
    })
}

/// A file name that is one plain component of harmless characters.
fn plain_name(path: &Path) -> String {
    let raw = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name: String = raw
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect();
    let name = name.trim_start_matches(['.', '-']).to_owned();
    if name.is_empty() {
        "data".to_owned()
    } else {
        name
    }
}

/// `FILE` or `PROPERTY=FILE`.
pub(crate) fn property_and_path(text: &str) -> (Option<&str>, PathBuf) {
    match text.split_once('=') {
        Some((name, path))
            if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
        {
            (Some(name), PathBuf::from(path))
        }
        _ => (None, PathBuf::from(text)),
    }
}

/// Goldens from files; a bad line is named by its number.
pub(crate) fn goldens(paths: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for path in paths {
        let bytes = read_bounded(path, MAX_INPUT_BYTES)?;
        let more = handaxe_validate::parse_goldens(&bytes).map_err(|e| {
            Failure::usage(format!("{}: {}", path.display(), chain(&e))).hint(
                r#"each line is one object, for example {"input": {"text": "a b"}, "expect": 2}"#,
            )
        })?;
        cases.extend(more);
    }
    Ok(cases)
}

/// Examples of what is wanted, as cases over a list of one item: `IN => OUT`, `@BEFORE => @AFTER`,
/// or `@FILE` of JSON Lines.
pub(crate) fn examples(given: &[String]) -> Result<Vec<Case>, Failure> {
    let bad = |text: &str, why: &str| {
        Failure::usage(format!("--example '{text}': {why}"))
            .hint("for example --example 'John Smith => Smith, J.'")
    };
    let mut pairs = Vec::new();
    for text in given {
        let file = |side: &str| {
            handaxe_composer::example_file(Path::new(side)).map_err(|e| bad(text, &chain(&e)))
        };
        let sides = text.split_once("=>").map(|(a, b)| (a.trim(), b.trim()));
        match (text.trim().strip_prefix('@'), sides) {
            (Some(path), None) => {
                let bytes = read_bounded(Path::new(path), MAX_INPUT_BYTES)?;
                for line in bytes
                    .split(|b| *b == b'\n')
                    .filter(|l| !l.trim_ascii().is_empty())
                {
                    let line =
                        json::parse(line, Bounds::DEFAULT).map_err(|e| bad(text, &chain(&e)))?;
                    match (line.get("input"), line.get("output")) {
                        (Some(input), Some(output)) => pairs.push((input.clone(), output.clone())),
                        _ => return Err(bad(text, "a line lacks `input` or `output`")),
                    }
                }
            }
            (_, Some((before, after))) if before.starts_with('@') && after.starts_with('@') => {
                pairs.push((file(&before[1..])?, file(&after[1..])?));
            }
            _ => {
                let example = handaxe_composer::parse_example(text)
                    .ok_or_else(|| bad(text, "expected IN => OUT"))?;
                pairs.push((example.input, example.output));
            }
        }
    }
    Ok(pairs
        .into_iter()
        .enumerate()
        .map(|(i, (input, output))| Case {
            name: format!("example_{}", i + 1),
            origin: Origin::User,
            input: Map::from_iter([("items".to_owned(), Value::Array(vec![input]))]),
            files: BTreeMap::new(),
            check: Check::Expect {
                value: serde_json::json!({"results": [output], "failed": 0}),
                tolerance: None,
            },
            held_out: false,
        })
        .collect())
}

/// A limit on memory bounds what is added to the interpreter's; less than it has to spare is no
/// limit.
const LEAST_MEMORY: u64 = 256 << 10;

/// What a limit counts, and so how it is written.
#[derive(Clone, Copy)]
enum Measure {
    Time,
    Size,
    Memory,
    Count,
}

impl Measure {
    fn read(self, text: &str) -> Result<u64, &'static str> {
        match self {
            Self::Time => milliseconds(text).ok_or("expected a time such as 2s, 500ms or 1m"),
            Self::Size => byte_count(text)
                .filter(|n| *n > 0)
                .ok_or("expected a size such as 256M, 64K or 4096"),
            Self::Memory => Self::Size.read(text).and_then(|bytes| {
                (bytes >= LEAST_MEMORY).then_some(bytes).ok_or(
                    "at least 256K: about as much is free within the warm interpreter, and no \
                     limit takes that away",
                )
            }),
            Self::Count => {
                let number = text.parse().ok().filter(|n| *n > 0);
                number.ok_or("expected a whole number from 1")
            }
        }
    }
}

/// A limit's name, how it is written, and where it goes.
type Named = (&'static str, Measure, fn(&mut Limits) -> &mut u64);

/// The limits that a person may name. `--limit`'s help says the same.
const LIMITS: [Named; 10] = [
    ("wall", Measure::Time, |l| &mut l.wall_ms),
    ("cpu", Measure::Time, |l| &mut l.cpu_ms),
    ("memory", Measure::Memory, |l| &mut l.memory_bytes),
    ("output", Measure::Size, |l| &mut l.output_bytes),
    ("stdio", Measure::Size, |l| &mut l.stdio_bytes),
    ("scratch", Measure::Size, |l| &mut l.scratch_bytes),
    ("inodes", Measure::Count, |l| &mut l.scratch_inodes),
    ("file", Measure::Size, |l| &mut l.file_bytes),
    ("files", Measure::Count, |l| &mut l.open_files),
    ("processes", Measure::Count, |l| &mut l.processes),
];

/// Applies `--limit name=value` to a set of limits.
pub(crate) fn limits(base: Limits, given: &[String]) -> Result<Limits, Failure> {
    let mut limits = base;
    for text in given {
        let bad = |why: &str| {
            let names = LIMITS.map(|(name, ..)| name).join(", ");
            Failure::usage(format!("--limit {text}: {why}")).hint(format!(
                "for example --limit wall=2s,memory=256M; names: {names}"
            ))
        };
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| bad("expected NAME=VALUE"))?;
        let known = LIMITS.iter().find(|(n, ..)| *n == name);
        let (_, measure, place) = known.ok_or_else(|| bad("no such limit"))?;
        *place(&mut limits) = measure.read(value).map_err(bad)?;
        // A limit that was named is meant as it stands, whatever the data's size.
        if matches!(measure, Measure::Time) {
            limits.per_mib_ms = 0;
        }
    }
    Ok(limits)
}

fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(
        text.find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    );
    let factor = match unit {
        "ms" => 1.0,
        "" | "s" => 1000.0,
        "m" | "min" => 60_000.0,
        _ => return None,
    };
    let ms = number.parse::<f64>().ok()? * factor;
    (ms.is_finite() && (1.0..1e9).contains(&ms)).then_some(ms as u64)
}

fn byte_count(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(
        text.find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    );
    let shift = match unit
        .to_ascii_lowercase()
        .trim_end_matches('b')
        .trim_end_matches('i')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_shl(shift)
        .filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let given: Vec<String> = ["wall=2s", "cpu=500ms", "memory=256M", "files=8"]
            .map(str::to_owned)
            .into();
        let l = limits(Limits::default(), &given).unwrap();
        assert_eq!(
            (l.wall_ms, l.cpu_ms, l.memory_bytes, l.open_files),
            (2000, 500, 256 << 20, 8)
        );
        for bad in [
            "wall",
            "wall=",
            "wall=2x",
            "wall=-1",
            "memory=0",
            "memory=255K",
            "speed=1",
            "memory=1e3",
        ] {
            assert!(
                limits(Limits::default(), &[bad.to_owned()]).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn names_are_plain() {
        for (path, name) in [
            ("/a/b c.csv", "b_c.csv"),
            ("/a/..x", "x"),
            ("/a/-rf", "rf"),
            ("/", "data"),
        ] {
            assert_eq!(plain_name(Path::new(path)), name);
        }
    }

    #[test]
    fn property_and_file() {
        assert_eq!(property_and_path("log=a.csv").0, Some("log"));
        assert_eq!(property_and_path("a.csv").0, None);
        assert_eq!(property_and_path("dir/x=1.csv").0, None);
    }
}
