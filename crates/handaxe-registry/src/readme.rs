//! A tool's `README.md`, made from its spec, its cases and its evidence.

use std::fmt::Write as _;

use handaxe_types::{Case, Check, Spec, Verdict, Version};
use serde_json::Value;

/// How many cases are shown as examples.
const EXAMPLES: usize = 3;

/// An example longer than this is left out; it would hide the others.
const EXAMPLE_CHARS: usize = 600;

pub(crate) struct Readme<'a> {
    pub spec: &'a Spec,
    pub version: Version,
    pub why: &'a str,
    pub author: &'a str,
    pub approver: Option<&'a str>,
    pub cases: &'a [Case],
    pub verdict: &'a Verdict,
}

/// Writing to a `String` cannot fail, so the results of `write!` are dropped.
pub(crate) fn render(readme: &Readme<'_>) -> String {
    let Readme { spec, version, .. } = readme;
    let mut out = format!(
        "# {}@{version}\n\n{}\n\n",
        spec.name,
        line(&spec.description)
    );
    let _ = write!(
        out,
        "Made because: {}\n\nDomain: {}. Capabilities requested: {}.\n\n",
        line(readme.why),
        line(&spec.domain),
        match spec.capabilities.as_slice() {
            [] => "none".to_owned(),
            some => serde_json::json!(some)
                .as_array()
                .map(|a| a
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(", "))
                .unwrap_or_default(),
        },
    );
    let examples: Vec<&Case> = readme
        .cases
        .iter()
        .filter(|c| !c.held_out && matches!(c.check, Check::Expect { .. }))
        .filter(|c| example(c).len() <= EXAMPLE_CHARS)
        .take(EXAMPLES)
        .collect();
    let call = examples.first().map_or_else(
        || "'{…}'".to_owned(),
        |case| shell_word(&Value::Object(case.input.clone()).to_string()),
    );
    let _ = write!(
        out,
        "## How to call it\n\n    handaxe run {}@{version} --input {call}\n\n",
        spec.name
    );
    table(&mut out, "Input", &spec.input_schema);
    table(&mut out, "Output", &spec.output_schema);
    if !examples.is_empty() {
        out.push_str("## Examples\n\n");
        for case in examples {
            let _ = write!(out, "{}:\n\n{}\n", line(&case.name), example(case));
        }
    }
    evidence(&mut out, readme);
    out
}

fn evidence(out: &mut String, readme: &Readme<'_>) {
    out.push_str("## Evidence\n\n| cases by | passed | run |\n|---|---|---|\n");
    for (origin, (passed, run)) in &readme.verdict.scores.cases {
        let _ = writeln!(out, "| {} | {passed} | {run} |", origin.as_str());
    }
    let _ = write!(
        out,
        "\nWritten by {}; approved by {}. `evidence.json` has the whole of it.\n",
        line(readme.author),
        line(readme.approver.unwrap_or("no one")),
    );
}

fn table(out: &mut String, title: &str, schema: &Value) {
    let _ = write!(out, "## {title}\n\n");
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        let _ = write!(out, "{}\n\n", kind(schema));
        return;
    };
    let required = |name: &str| {
        schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|r| r.iter().any(|n| n == name))
    };
    out.push_str("| name | type | required | default | meaning |\n|---|---|---|---|---|\n");
    for (name, property) in properties {
        let default = property.get("default").map(Value::to_string);
        let meaning = property.get("description").and_then(Value::as_str);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            line(name),
            kind(property),
            if required(name) { "yes" } else { "no" },
            line(&default.unwrap_or_default()),
            line(meaning.unwrap_or_default()),
        );
    }
    out.push('\n');
}

fn kind(schema: &Value) -> String {
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(other) => other.to_string(),
        None => "any".to_owned(),
    };
    match schema.get("format").and_then(Value::as_str) {
        Some(format) => line(&format!("{kind} ({format})")),
        None => line(&kind),
    }
}

fn example(case: &Case) -> String {
    let Check::Expect { value, .. } = &case.check else {
        return String::new();
    };
    let input = Value::Object(case.input.clone());
    format!("    {input}\n    => {value}\n")
}

/// One line of Markdown text: what would end the line, the table cell or the text is made plain.
fn line(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '|' | '`' | '[' | ']' | '\\' | '*' => out.extend(['\\', c]),
            c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) => out.push(' '),
            c if ('\u{2066}'..='\u{2069}').contains(&c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
