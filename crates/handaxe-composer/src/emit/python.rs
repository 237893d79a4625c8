//! One module out of parts: docstring, imports, helpers, `run`.

use serde_json::Value;

use super::params::Param;
use super::tools::Tool;
use crate::patterns::{
    DECIMAL_COMMA, EXTRACTS, NUMBER, STOP_WORDS, TIME_INSIDE, TIMES, TOKEN, WORD,
};
use crate::{Format, Terminal, Window};

/// Name and source.
type Part = (&'static str, &'static str);

macro_rules! parts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("parts/", $name, ".py")))),*]
    };
}

const PARTS: &[Part] = parts! {
    "read" "read_any" "read_one" "values" "times" "where" "order_key" "bounded" "most_common" "value_counts"
    "total" "measure" "aggregate" "sort_key" "words" "bucket" "extract_kinds" "find_items"
    "sentiment" "convert" "describe" "run_count" "run_aggregate" "run_rows" "run_distinct"
    "run_frequencies" "run_words" "run_histogram" "run_extract_kind" "run_extract_pattern"
    "run_sentiment" "run_convert" "run_describe" "windowed" "run_rows_per" "run_share"
    "run_compare" "distinct_bound" "run_duplicates" "join" "pivot" "run_pivot" "tidy" "first_ones"
    "in_order" "kept" "run_clean"
};

/// Longest piece of a pattern on one line.
const PIECE: usize = 84;

/// What a tool's lines are kept for: a line of a part that ends in `#? NAME` stands only in tools
/// that have it, one that ends in `#? !NAME` only in the others.
pub(super) struct Features {
    pub(super) format: Format,
    pub(super) times: bool,
    pub(super) window: Option<Window>,
    /// Files of every layout are read, not those of `format` alone.
    pub(super) any: bool,
    /// Records come with the line that they begin on.
    pub(super) placed: bool,
    /// Another file is looked up.
    pub(super) joined: bool,
    /// By a key of several fields.
    pub(super) keys: bool,
    /// Duplicates are told by some of the fields.
    pub(super) by: bool,
    /// What a cleaning does.
    pub(super) clean: Cleaning,
}

/// Which steps a cleaning has; more than one, and its tool has them all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cleaning {
    pub(super) changes: bool,
    pub(super) unique: bool,
    pub(super) order: bool,
}

impl Cleaning {
    pub(super) fn of(terminal: &Terminal) -> Self {
        let Terminal::Clean {
            changes,
            unique,
            order_by,
            limit,
            ..
        } = terminal
        else {
            return Self::default();
        };
        let own = Self {
            changes: !changes.is_empty(),
            unique: unique.is_some(),
            order: !order_by.is_empty() || limit.is_some(),
        };
        match [own.changes, own.unique, own.order]
            .iter()
            .filter(|s| **s)
            .count()
        {
            0 => Self { order: true, ..own },
            1 => own,
            _ => Self::WHOLE,
        }
    }

    pub(super) const WHOLE: Self = Self {
        changes: true,
        unique: true,
        order: true,
    };
}

impl Features {
    fn is_table(&self) -> bool {
        matches!(self.format, Format::Csv | Format::Tsv)
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "times" => self.times,
            "placed" => self.placed,
            "table" => self.is_table(),
            "share" => self.window == Some(Window::Share),
            "running" => self.window == Some(Window::Running),
            "change" => self.window == Some(Window::Change),
            "text" => self.format == Format::Text,
            "joined" => self.joined,
            "keys" => self.keys,
            "by" => self.by,
            "placed_or_joined" => self.placed || self.joined,
            "changed" => self.clean.changes,
            "unique" => self.clean.unique,
            "sorted" => self.clean.order,
            "only_unique" => self.clean.unique && self.clean != Cleaning::WHOLE,
            "whole" => self.clean == Cleaning::WHOLE,
            _ => false,
        }
    }

    /// A part's source for this tool.
    fn cut(&self, source: &str) -> String {
        let out = marked(source, |name| self.has(name));
        let out = if self.placed {
            out
        } else {
            out.replace("for _, record in matching", "for record in matching")
                .replace("for _, record in records", "for record in records")
        };
        let out = if self.joined { handed_on(&out) } else { out };
        let (reader, form) = match self.format {
            Format::Csv | Format::Tsv => ("read_rows", "a table"),
            Format::Json => ("read_json", "JSON"),
            Format::Jsonl => ("read_jsonl", "JSON Lines"),
            Format::Text => ("read_text", "text"),
        };
        let out = out.replace("@READER@", reader).replace("@FORM@", form);
        if reader == "read_rows" || self.any {
            return out;
        }
        // The one layout needs no argument that names it.
        [
            ("(path: str, form: str, ", "(path: str, "),
            ("(data: str, format: str, ", "(data: str, "),
            ("    data: str, format: str, ", "    data: str, "),
            ("    path: str, form: str, ", "    path: str, "),
            ("(path, form, ", "(path, "),
            ("(data, format, ", "(data, "),
            ("(join[\"path\"], join[\"form\"], ", "(join[\"path\"], "),
        ]
        .iter()
        .fold(out, |text, (from, to)| text.replace(from, to))
    }
}

/// A part whose readers of records are given the join as well.
fn handed_on(source: &str) -> String {
    const READERS: [&str; 2] = [
        "matching(data, format, where, ",
        "value_counts(data, format, where, ",
    ];
    let mut out = String::with_capacity(source.len());
    for line in source.lines() {
        let reads = READERS.iter().any(|r| line.contains(r));
        let end = ["tally)", "first_pass)"].iter().find_map(|end| {
            let at = line.rfind(end).filter(|_| reads)?;
            Some(at + end.len() - 1)
        });
        match end {
            Some(at) => out.extend([&line[..at], ", join", &line[at..]]),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// The lines of a part that stand in a tool which `has` what is named.
pub(crate) fn marked(source: &str, has: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(source.len());
    for line in source.lines() {
        let (line, wanted) = line.split_once("  #? ").unwrap_or((line, ""));
        let keep = match wanted.strip_prefix('!') {
            Some(name) => !has(name),
            None => wanted.is_empty() || has(wanted),
        };
        if keep {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// A part for a tool with nothing to mark its records by.
pub(crate) fn unplaced(source: &str) -> String {
    marked(source, |_| false)
}

pub(super) fn module(tool: &Tool, features: &Features) -> String {
    let sources: Vec<(&str, String)> = (tool.parts.iter())
        .filter_map(|name| PARTS.iter().find(|(n, _)| n == name))
        .map(|(name, source)| (*name, features.cut(source)))
        .collect();
    let (run, helpers): (Vec<_>, Vec<_>) = sources
        .iter()
        .partition(|(name, _)| name.starts_with("run_"));
    let helpers: Vec<&str> = helpers.iter().map(|(_, source)| source.as_str()).collect();
    let body: String = run
        .iter()
        .map(|(_, source)| shaped(source, tool, features))
        .collect();
    let own = format!("{}\n{body}", signature(&tool.params));
    shaken(&tool.description, &helpers, &own)
}

/// The body of `run` with what the chain's shape asks for.
fn shaped(source: &str, tool: &Tool, features: &Features) -> String {
    let window = features.window.is_some();
    const JOIN: [(&str, &str); 6] = [
        ("path", "other"),
        ("form", "other_format"),
        ("on", "on"),
        ("other_on", "other_on"),
        ("prefix", "prefix"),
        ("how", "join_type"),
    ];
    const ROWS: &str =
        "    for name in dict.fromkeys(label(Measure(*measure)) for measure in measures):
        column = windowed([row[\"values\"][name] for row in rows])
        for row, value in zip(rows, column):
            row[\"values\"][name] = value
";
    const BUCKETS: &str =
        "    for row, value in zip(rows, windowed([row[\"value\"] for row in rows])):
        row[\"value\"] = value
";
    let has = |name: &str| tool.params.iter().any(|p| p.name == name);
    let put = |text: &'static str, yes: bool| if yes { text } else { "" };
    let source = match source.split_once('\n') {
        Some((says, rest)) if features.joined => {
            let members = JOIN.iter().filter(|(_, param)| has(param));
            let members: Vec<String> = members
                .map(|(k, p)| match *k {
                    // One field or several: to the parts it is a list.
                    "on" | "other_on" if !features.keys => format!("\"{k}\": [{p}],"),
                    _ => format!("\"{k}\": {p},"),
                })
                .collect();
            let members = members.join("\n        ");
            format!("{says}\n    join = {{\n        {members}\n    }}\n{rest}")
        }
        _ => source.to_owned(),
    };
    source
        .replace("@WINDOW_ROWS@", put(ROWS, window))
        .replace("@WINDOW_BUCKETS@", put(BUCKETS, window))
        .replace("@OFFSET@", put("offset", has("offset")))
}

/// A module of its own functions and of those blocks of `sources` that they come to use: top-level
/// definitions in order, each with what it names in turn.
pub(crate) fn shaken(description: &str, sources: &[&str], own: &str) -> String {
    let filled: Vec<String> = sources.iter().map(|s| filled(s)).collect();
    let blocks: Vec<(String, &str)> = filled.iter().flat_map(|s| blocks(s)).collect();
    let mut used = vec![false; blocks.len()];
    let mut open = vec![own];
    while let Some(code) = open.pop() {
        for (i, (name, block)) in blocks.iter().enumerate() {
            // Functions by their calls, or handed on by keyword: their names are words that
            // documentation uses too.
            let wanted = if block.starts_with("def ") {
                mentions(code, &format!("{name}(")) || code.contains(&format!("={name}"))
            } else {
                mentions(code, name)
            };
            if !used[i] && wanted {
                used[i] = true;
                open.push(block);
            }
        }
    }
    let mut body = String::new();
    let mut after_constant = true;
    for (i, (_, block)) in blocks.iter().enumerate() {
        // Of two definitions of one name the first stands.
        let again = blocks[..i]
            .iter()
            .enumerate()
            .any(|(j, (n, _))| used[j] && *n == blocks[i].0);
        if !used[i] || again {
            continue;
        }
        let function = block.starts_with("def ") || block.starts_with("class ");
        if !body.is_empty() && (function || !after_constant) {
            body.push_str("\n\n");
        }
        body.push_str(block);
        after_constant = !function;
    }
    body.push_str(if body.is_empty() { "" } else { "\n\n" });
    body.push_str(own);
    let imports = imports(&body);
    let gap = if body.starts_with("def ") || body.starts_with("class ") {
        "\n\n"
    } else {
        "\n"
    };
    let imports = if imports.is_empty() {
        String::new()
    } else {
        format!("\n{}\n", imports.join("\n"))
    };
    format!("\"\"\"{}\"\"\"\n{imports}{gap}{body}", wrapped(description))
}

/// The standard modules that a body uses, as statements.
fn imports(body: &str) -> Vec<String> {
    const MODULES: [&str; 7] = ["bisect", "csv", "heapq", "json", "math", "re", "zlib"];
    const TIMES: [&str; 3] = ["date", "datetime", "timedelta"];
    let begins =
        |i: usize| !body[..i].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
    let uses = |text: &str| body.match_indices(text).any(|(i, _)| begins(i));
    let mut out: Vec<String> = (MODULES.iter())
        .filter(|name| uses(&format!("{name}.")))
        .map(|name| format!("import {name}"))
        .collect();
    let times: Vec<&str> = (TIMES.into_iter())
        .filter(|name| uses(&format!("{name}(")) || uses(&format!("{name}.fromisoformat(")))
        .collect();
    if !times.is_empty() {
        out.push(format!("from datetime import {}", times.join(", ")));
    }
    out
}

/// The top-level definitions of a source, by name.
fn blocks(source: &str) -> Vec<(String, &str)> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        if line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().copied().skip(1).chain([source.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let block = source[*start..end].trim_end_matches('\n');
            let block = &source[*start..=start + block.len()];
            let name = (block.strip_prefix("def "))
                .or_else(|| block.strip_prefix("class "))
                .unwrap_or(block);
            let name: String = name
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            (name, block)
        })
        .collect()
}

/// Whether a name, or the call of one, stands in code as a word of its own.
pub(crate) fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(i, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let ends = name.ends_with('(') || !code[i + name.len()..].starts_with(word);
        !code[..i].ends_with(word) && ends
    })
}

/// A description as the text of a docstring: at most 98 characters a line.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        // The opening quotes stand on the first line, the closing ones on the last.
        if !line.is_empty() && line.len() + 1 + word.len() > 92 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let mut text = lines.join("\n");
    if lines.len() > 1 {
        text.push('\n');
    }
    text
}

fn signature(params: &[Param]) -> String {
    let params: Vec<String> = params
        .iter()
        .map(|p| match &p.default {
            None => format!("    {}: {},", p.name, p.annotation),
            Some(value) => format!("    {}: {} = {},", p.name, p.annotation, literal(value)),
        })
        .collect();
    format!("def run(\n    *,\n{}\n) -> dict:", params.join("\n"))
}

/// A JSON scalar as Python writes it; a text becomes ASCII with escapes where it must.
pub(crate) fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
        Value::String(text) => {
            let mut out = String::from("\"");
            for c in text.chars() {
                match c {
                    '"' | '\\' => out.extend(['\\', c]),
                    ' '..='~' => out.push(c),
                    c if c.is_alphanumeric() => out.push(c),
                    c if (c as u32) < 0x10000 => out.extend(escape(c, 'u', 4)),
                    c => out.extend(escape(c, 'U', 8)),
                }
            }
            out + "\""
        }
        other => other.to_string(),
    }
}

fn escape(c: char, letter: char, width: usize) -> Vec<char> {
    format!("\\{letter}{:0width$x}", c as u32).chars().collect()
}

/// The part with the shared patterns put in.
fn filled(source: &str) -> String {
    let extracts: Vec<String> = EXTRACTS
        .iter()
        .map(|(name, pattern)| {
            let pieces = raw(pattern, 8);
            format!("\"{name}\": (\n        {pieces}\n    ),")
        })
        .collect();
    let times: Vec<String> = TIMES
        .iter()
        .map(|pattern| match raw(pattern, 8) {
            short if !short.contains('\n') => format!("{short},"),
            long => format!("(\n        {long}\n    ),"),
        })
        .collect();
    let stop_words = raw(STOP_WORDS, 4).replace("r\"", "\"");
    let date_forms: Vec<String> = crate::by_example::FORMS
        .iter()
        .map(|(name, form)| match raw(form, 8) {
            short if !short.contains('\n') => format!("\"{name}\": {short},"),
            long => format!("\"{name}\": (\n        {long}\n    ),"),
        })
        .collect();
    [
        ("@DATE_FORMS@", date_forms.join("\n    ")),
        ("@CLOCK@", raw(crate::by_example::CLOCK, 4)),
        ("@NUMBER@", raw(NUMBER, 4)),
        ("@DECIMAL_COMMA@", raw(DECIMAL_COMMA, 4)),
        ("@TIMES@", times.join("\n    ")),
        ("@TIME_INSIDE@", raw(TIME_INSIDE, 4)),
        ("@WORD@", raw(WORD, 4)),
        (
            "@STOP_WORDS@.split()",
            format!(
                "(\n        {}\n    ).split()",
                stop_words.replace("\n    ", "\n        ")
            ),
        ),
        ("@TOKEN@", raw(TOKEN, 4)),
        ("@EXTRACTS@", extracts.join("\n    ")),
    ]
    .iter()
    .fold(source.to_owned(), |text, (mark, put)| {
        text.replace(mark, put)
    })
}

/// A text as raw string literals of at most [`PIECE`] characters, one a line.
fn raw(text: &str, indent: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < chars.len() {
        let mut end = chars.len().min(start + PIECE);
        if end < chars.len() {
            // Break before a group or an alternative, else after a blank, else where no escape is cut.
            let good = |at: &usize| {
                let plain = chars[at - 1] != '\\';
                plain && (matches!(chars[*at], '(' | '|') || chars[at - 1] == ' ')
            };
            end = (start + PIECE / 2..end).rev().find(good).unwrap_or(end);
            while chars[end - 1] == '\\' {
                end -= 1;
            }
        }
        let piece: String = chars[start..end].iter().collect();
        pieces.push(match (piece.contains('"'), piece.contains('\'')) {
            (false, _) => format!("r\"{piece}\""),
            (true, false) => format!("r'{piece}'"),
            (true, true) => format!("r\"\"\"{piece}\"\"\""),
        });
        start = end;
    }
    pieces.join(&format!("\n{}", " ".repeat(indent)))
}
