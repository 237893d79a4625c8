//! What an export's README says: what the sandbox guaranteed, and what nobody does outside it.

use std::fmt::Write as _;

use handaxe_types::Capability;

use crate::formats::Format;
use crate::subject::Subject;

/// The head of a README: what it is and where it came from.
pub(crate) fn head(subject: &Subject) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", subject.name());
    let _ = writeln!(out, "{}\n", markdown(&subject.line()));
    let _ = writeln!(
        out,
        "Made and proved with Handaxe as `{}`; digest `{}`.\n",
        subject.tool, subject.digest
    );
    out
}

/// The section on what is lost outside the sandbox, and how to check what is left.
pub(crate) fn section(subject: &Subject, format: Format) -> String {
    let spec = &subject.draft.spec;
    let limits = &spec.limits;
    let mut out = String::from("## Outside the sandbox\n\n");
    let _ = writeln!(
        out,
        "Inside Handaxe every call of this tool is a process of its own in a jail: no network, no \
         files but those attached, no other process, {} s of wall time, {} MiB of memory, {}. \
         **Here none of that holds:**\n",
        seconds(limits.wall_ms),
        limits.memory_bytes >> 20,
        if spec.capabilities.contains(&Capability::WriteFiles) {
            "files written to a scratch directory alone"
        } else {
            "not a byte written to any file"
        },
    );
    for line in [
        "it runs with all rights of whoever calls it: their files, their network, their processes;",
        "nothing bounds its time, its memory or its output;",
        "its input and output are not checked against the schemas, unless the caller does it;",
        "calls in one process share that process: what one changes, the next one sees;",
        "no call is recorded, and nobody is told when the version is withdrawn;",
    ] {
        let _ = writeln!(out, "- {line}");
    }
    if spec.capabilities.contains(&Capability::WriteFiles) {
        out.push_str(
            "- files that it writes are left in the working directory, over what is there;\n",
        );
    }
    let _ = writeln!(
        out,
        "- it was proved under {}; another interpreter may behave differently.\n",
        subject.proof.interpreter
    );
    let dir = format.evidence_dir(subject);
    let _ = writeln!(
        out,
        "What holds is what was signed: the bytes, the cases and what the proof measured. From \
         this folder,\n\n    handaxe tools verify --against {} --key KEY\n\nchecks them and proves \
         the tool again; KEY is the file of `handaxe keys export` from the home that signed, \
         brought by another way than this folder. To have the sandbox back: `handaxe tools import \
         .` takes the tool into a home, where a person approves it.",
        if dir.is_empty() {
            "."
        } else {
            dir.trim_end_matches('/')
        },
    );
    out
}

/// The arguments, one a line.
pub(crate) fn arguments(subject: &Subject) -> String {
    let spec = &subject.draft.spec;
    let mut out = String::new();
    let required: Vec<&str> = spec.input_schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .collect();
    for (name, property) in spec.input_schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let kind = if property["format"] == "file" {
            "path of a file".to_owned()
        } else {
            match &property["type"] {
                serde_json::Value::String(kind) => kind.clone(),
                serde_json::Value::Array(kinds) => kinds
                    .iter()
                    .filter_map(|k| k.as_str())
                    .collect::<Vec<_>>()
                    .join(" or "),
                _ => "any value that its schema allows".to_owned(),
            }
        };
        let optional = if required.contains(&name.as_str()) {
            ""
        } else {
            ", optional"
        };
        let default = property
            .get("default")
            .map(|d| format!(", default `{}`", code(&d.to_string())))
            .unwrap_or_default();
        let about = property["description"].as_str().unwrap_or_default();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            out,
            "- `{name}` ({kind}{optional}{default}){}{}",
            if about.is_empty() { "" } else { ": " },
            markdown(&about)
        );
    }
    if out.is_empty() {
        out.push_str("It takes no arguments.\n");
    }
    out
}

/// Text from a spec in a Markdown document: shown, never obeyed.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '~' | '&' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text for a code span.
fn code(text: &str) -> String {
    text.chars()
        .map(|c| if c == '`' || c.is_control() { ' ' } else { c })
        .collect()
}

fn seconds(ms: u64) -> String {
    let text = format!("{:.1}", ms as f64 / 1e3);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_spec_stays_text() {
        let said = markdown("<img src=x> [a](b) `c`\u{1b}[2J");
        assert_eq!(said, r"\<img src=x\> \[a\](b) \`c\` \[2J");
        assert_eq!(code("a`b\n"), "a b ");
        assert_eq!(seconds(1500), "1.5");
        assert_eq!(seconds(5000), "5");
    }
}
