//! `policy.toml`: read strictly, written with comments.

use std::fmt::Write as _;

use handaxe_types::{Policy, Severity};
use serde::Deserialize as _;

use crate::vet::{RULES, rule};

const MAX_BYTES: usize = 256 << 10;
/// Above these the promises about the vetting thread's stack do not hold.
const MAX_SOURCE: usize = 1 << 20;
const MAX_NESTING: usize = 200;
const MAX_REPAIRS: u32 = 20;
/// A day: what waits longer than that waits for its person.
const MAX_WHILE_WAITING: u64 = 24 * 60;

#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("policy.toml is {bytes} bytes; at most {MAX_BYTES} are read")]
    TooLarge { bytes: usize },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("policy.toml line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("policy.toml line {line}: `{key}` is {value}; it must be {from} to {to}")]
    Range {
        line: usize,
        key: &'static str,
        value: u64,
        from: u64,
        to: u64,
    },
    #[error("policy.toml line {line}: `{key}` is {value}; it must be {from} to {to}")]
    RangeOfReals {
        line: usize,
        key: &'static str,
        value: f64,
        from: f64,
        to: f64,
    },
    #[error("policy.toml line {line}: `{domain}` is both allowed and denied")]
    AllowedAndDenied { line: usize, domain: String },
    #[error(
        "policy.toml line {line}: there is no rule `{rule}`; `[code.severity]` takes: {}",
        names()
    )]
    UnknownRule { line: usize, rule: String },
    #[error("policy.toml line {line}: `{rule}` always refuses: the later rules rest on it")]
    FixedRule { line: usize, rule: String },
}

fn names() -> String {
    let names: Vec<&str> = RULES.iter().filter(|r| !r.fixed).map(|r| r.name).collect();
    names.join(", ")
}

/// Parses a policy; what it leaves out has its default. An absent file is [`Policy::default`].
pub fn load_policy(toml: &str) -> Result<Policy, PolicyError> {
    if toml.len() > MAX_BYTES {
        return Err(PolicyError::TooLarge { bytes: toml.len() });
    }
    let syntax = |e: toml::de::Error| PolicyError::Syntax {
        line: line_at(toml, e.span().map_or(0, |s| s.start)),
        message: crate::schema::bounded(e.message()),
    };
    let document = toml::Deserializer::parse(toml).map_err(syntax)?;
    let policy = Policy::deserialize(document).map_err(syntax)?;
    check(toml, &policy)?;
    Ok(policy)
}

fn check(toml: &str, policy: &Policy) -> Result<(), PolicyError> {
    let trial = &policy.trial;
    let ranges: [(&'static str, u64, u64, u64); 11] = [
        (
            "max_bytes",
            policy.code.max_bytes as u64,
            1,
            MAX_SOURCE as u64,
        ),
        (
            "max_nesting",
            policy.code.max_nesting as u64,
            1,
            MAX_NESTING as u64,
        ),
        ("min_cases", policy.trial.min_cases.into(), 1, 10_000),
        (
            "max_repairs",
            policy.trial.max_repairs.into(),
            0,
            MAX_REPAIRS.into(),
        ),
        ("fuzz_inputs", trial.fuzz_inputs.into(), 0, 100_000),
        ("min_fuzz_inputs", trial.min_fuzz_inputs.into(), 0, 100_000),
        ("mutants", trial.mutants.into(), 0, 10_000),
        ("min_mutants", trial.min_mutants.into(), 1, 10_000),
        ("wall_budget_ms", trial.wall_budget_ms, 1_000, 86_400_000),
        ("shadow_percent", trial.shadow_percent.into(), 0, 100),
        (
            "while_waiting_minutes",
            policy.approval.while_waiting_minutes.into(),
            0,
            MAX_WHILE_WAITING,
        ),
    ];
    for (key, value, from, to) in ranges {
        if !(from..=to).contains(&value) {
            return Err(PolicyError::Range {
                line: line_of(toml, key),
                key,
                value,
                from,
                to,
            });
        }
    }
    let reals: [(&'static str, f64, f64, f64); 4] = [
        ("kill_floor", trial.kill_floor, 0.0, 1.0),
        ("example_kill_floor", trial.example_kill_floor, 0.0, 1.0),
        ("warn_exponent", trial.warn_exponent, 0.0, 100.0),
        ("max_exponent", trial.max_exponent, 0.0, 100.0),
    ];
    for (key, value, from, to) in reals {
        if !(from..=to).contains(&value) {
            return Err(PolicyError::RangeOfReals {
                line: line_of(toml, key),
                key,
                value,
                from,
                to,
            });
        }
    }
    let domains = &policy.domains;
    if let Some(both) = domains.allow.iter().find(|a| domains.deny.contains(a)) {
        return Err(PolicyError::AllowedAndDenied {
            line: line_of(toml, both),
            domain: crate::schema::bounded(both),
        });
    }
    for (name, severity) in &policy.code.severity {
        let line = || line_of(toml, name);
        match rule(name) {
            None => {
                return Err(PolicyError::UnknownRule {
                    line: line(),
                    rule: crate::schema::bounded(name),
                });
            }
            Some(r) if r.fixed && *severity != Severity::Refuse => {
                return Err(PolicyError::FixedRule {
                    line: line(),
                    rule: name.clone(),
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn line_at(toml: &str, offset: usize) -> usize {
    toml.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// The last line that speaks of `word` outside a comment; 1 where none does.
fn line_of(toml: &str, word: &str) -> usize {
    toml.lines()
        .enumerate()
        .filter(|(_, l)| l.split('#').next().is_some_and(|l| l.contains(word)))
        .map(|(i, _)| i + 1)
        .last()
        .unwrap_or(1)
}

/// The default policy with a comment on every key, to be written into a new home.
pub fn default_policy_toml() -> String {
    let p = Policy::default();
    let mut out = String::new();
    let list = |names: &[String]| {
        let mut text = String::from("[\n");
        let mut line = String::from("   ");
        for name in names {
            if line.len() + name.len() > 92 {
                text.push_str(&line);
                text.push('\n');
                line = String::from("   ");
            }
            let _ = write!(line, " \"{name}\",");
        }
        text + &line + "\n]"
    };
    let _ = write!(
        out,
        "\
# What tools may be made, what their code may hold, and what they must prove.
# Remove a line to get its default back.

# Values that are kept out of logs, prompts, traces and the database, besides the providers' keys:
# \"env:NAME\" is a variable's value, anything else the value itself; 6 characters at the least.
secrets = []

[domains]
# Kinds of tools that may be made. Anything else is refused before any code is written.
allow = {}
# Named so that a refusal can quote this line. Striking a name from it grants nothing: a tool sees
# its input and its attached files only.
deny = {}

[code]
# The largest source, in bytes, and how deep it may nest.
max_bytes = {}
max_nesting = {}
# Modules of the standard library that a tool may import.
imports = {}
# Names that a tool may not use.
names = {}
# Attributes that a tool may not use; special ones (`__x__`) beyond a few are refused as well.
attributes = {}

[code.severity]
# A finding of severity \"refuse\" ends a draft; \"warn\" shows on the card. Rules and defaults:
",
        list(&p.domains.allow),
        list(&p.domains.deny),
        p.code.max_bytes,
        p.code.max_nesting,
        list(&p.code.imports),
        list(&p.code.names),
        list(&p.code.attributes),
    );
    for rule in RULES.iter().filter(|r| !r.fixed) {
        let severity = match rule.severity {
            Severity::Warn => "warn",
            Severity::Refuse => "refuse",
        };
        let _ = writeln!(
            out,
            "# \"{}\" = \"{severity}\"  # {}",
            rule.name, rule.about
        );
    }
    let _ = write!(
        out,
        "
[trial]
# Cases that a tool must pass at the least; never below 1.
min_cases = {}
# Of these, cases that its author did not write.
min_independent_cases = {}
# How often a failing draft may be repaired.
max_repairs = {}
# Inputs generated from the input schema that it must survive; 0 turns this off. Fewer that ran
# (for want of time) than the minimum is a refusal.
fuzz_inputs = {}
min_fuzz_inputs = {}
# Small changes of its code that are tried on the cases (0 turns this off), and the share of them
# that the cases must notice. With fewer mutants than the minimum a low share only warns.
mutants = {}
kill_floor = {:?}
# The same for tools that the built-in composer makes from examples.
example_kill_floor = {:?}
min_mutants = {}
# Its time may grow as the input's size to this power before the card warns, before it refuses.
warn_exponent = {:?}
max_exponent = {:?}
# Milliseconds for one whole trial; what does not fit is reported as not run.
wall_budget_ms = {}
# Of a hundred calls of an approved tool, so many are run again elsewhere and compared. A tool that
# gives another output then is quarantined, unless it says that it is not deterministic.
shadow_percent = {}

[approval]
# \"terminal\": a person at a terminal, or --yes on the command that made the draft. \"key\": a
# signature by a key that a passphrase unlocks (handaxe keys approver create).
how = \"{}\"
# Under \"key\": the ids of the keys whose yes counts; empty means every enrolled approver key.
approvers = []
# true: nobody may approve what they wrote themselves.
two_person = {}
# Hours until a waiting approval expires.
expires_hours = {}
# true: several waiting tools may be approved at once in the browser, where nothing about any of them
# asks for a closer look (no warning, not a person's own, no files handed back, not a new version).
batch = {}
# Minutes in which a proved tool that waits may be used once, by the run that made it, where a person
# asks for that (handaxe ask --while-waiting); only tools that do nothing but read what they are
# given. Recorded, shown on the card and on the answer, and no approval. 0 allows none.
while_waiting_minutes = {}

[isolation]
# The least isolation under which a tool is tried and run, weakest first: \"landlock\" (no
# namespaces; only where nothing more can be had), \"container\" (an OCI runtime or Docker), \"jail\"
# (the native sandbox), \"guest\" (gVisor, Kata: a kernel of its own).
least = \"{}\"

[isolation.domains]
# Domains that ask for more, or make do with less, e.g. text = \"jail\"
",
        p.trial.min_cases,
        p.trial.min_independent_cases,
        p.trial.max_repairs,
        p.trial.fuzz_inputs,
        p.trial.min_fuzz_inputs,
        p.trial.mutants,
        p.trial.kill_floor,
        p.trial.example_kill_floor,
        p.trial.min_mutants,
        p.trial.warn_exponent,
        p.trial.max_exponent,
        p.trial.wall_budget_ms,
        p.trial.shadow_percent,
        p.approval.how.as_str(),
        p.approval.two_person,
        p.approval.expires_hours,
        p.approval.batch,
        p.approval.while_waiting_minutes,
        p.isolation.least.as_str(),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_default_is_the_default() {
        assert_eq!(
            load_policy(&default_policy_toml()).unwrap(),
            Policy::default()
        );
        assert_eq!(load_policy("").unwrap(), Policy::default());
    }

    #[test]
    fn every_commented_rule_can_be_uncommented() {
        let text: String = default_policy_toml()
            .lines()
            .map(|l| {
                l.strip_prefix("# \"")
                    .filter(|r| r.contains("\" = \""))
                    .map_or(l.to_owned(), |r| format!("\"{r}"))
                    + "\n"
            })
            .collect();
        assert!(!load_policy(&text).unwrap().code.severity.is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, needle) in [
            ("[domains]\nallow = [\"a\"\n", 2, "policy.toml"),
            ("\n[code]\nmax_byte = 1\n", 3, "unknown field"),
            ("[trial]\nmin_cases = \"x\"\n", 2, "invalid type"),
            ("[trial]\n# min_cases\nmin_cases = 0\n", 3, "must be 1"),
            ("[trial]\nkill_floor = 1.5\n", 2, "must be 0 to 1"),
            ("[trial]\nmax_exponent = nan\n", 2, "must be 0 to 100"),
            ("[code]\nmax_nesting = 100000\n", 2, "must be 1 to 200"),
            (
                "[approval]\nwhile_waiting_minutes = 9999\n",
                2,
                "must be 0 to 1440",
            ),
            ("[code]\nmax_bytes = -1\n", 2, "policy.toml"),
            (
                "[domains]\nallow = [\"text\", \"network\"]\ndeny = [\"network\"]\n",
                3,
                "both",
            ),
            ("[code.severity]\n\"no.rule\" = \"warn\"\n", 2, "no rule"),
            (
                "[code.severity]\n\"text.bidi\" = \"warn\"\n",
                2,
                "always refuses",
            ),
            (
                "[code.severity]\n\"file.open\" = \"ignore\"\n",
                2,
                "unknown variant",
            ),
        ] {
            let message = load_policy(text).unwrap_err().to_string();
            assert!(
                message.contains(&format!("line {line}:")) && message.contains(needle),
                "{text:?}: {message}"
            );
        }
        assert!(load_policy(&"#".repeat(300_000)).is_err());
        assert!(load_policy(&format!("x = {}", "[".repeat(50_000))).is_err());
    }
}
