//! The static policy: layers in order, each of which a source must pass before the next one looks.
//!
//! It is one layer of several and the weakest: what it lets through is contained by the sandbox.
//! A source without findings asks for nothing that the policy names; that is all it says.

use handaxe_types::{Capability, Finding, Severity, StaticPolicy};

use crate::parse::{self, Lines, ParseFailure};
use crate::{rules, text};

/// The rule for a source that the reader did not survive.
pub(crate) const CRASHED: &str = "vet.crashed";

/// Findings beyond this many are not collected.
const MAX_FINDINGS: usize = 100;

/// A rule of the static policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: &'static str,
    pub severity: Severity,
    /// Later layers rest on it, so `policy.toml` cannot soften it.
    pub fixed: bool,
    pub about: &'static str,
}

const fn fixed(name: &'static str, about: &'static str) -> Rule {
    Rule {
        name,
        severity: Severity::Refuse,
        fixed: true,
        about,
    }
}

const fn refuse(name: &'static str, about: &'static str) -> Rule {
    Rule {
        name,
        severity: Severity::Refuse,
        fixed: false,
        about,
    }
}

const fn warn(name: &'static str, about: &'static str) -> Rule {
    Rule {
        name,
        severity: Severity::Warn,
        fixed: false,
        about,
    }
}

/// Every rule, in the order of the layers.
pub const RULES: &[Rule] = &[
    fixed("text.size", "the source is larger than `max_bytes`"),
    fixed("text.encoding", "anything but plain UTF-8 is declared"),
    fixed("text.control", "control characters"),
    fixed("text.bidi", "characters that reorder what a reader sees"),
    fixed("text.invisible", "characters that a reader cannot see"),
    fixed(
        "parse.nesting",
        "nested deeper than `max_nesting`, or one very long expression",
    ),
    fixed(
        "parse.syntax",
        "does not parse as the Python that the rules know",
    ),
    fixed(
        "name.non_ascii",
        "a name in letters that can be mistaken for others",
    ),
    refuse(
        "import.not_allowed",
        "a module that `imports` does not list",
    ),
    refuse("import.relative", "a relative import"),
    refuse("import.star", "an import of every name"),
    refuse(
        "module.reexport",
        "another module reached through an allowed one",
    ),
    refuse("module.private", "a private part of a module"),
    refuse(
        "module.member",
        "a part of an allowed module that evaluates, opens or looks around",
    ),
    refuse(
        "module.as_value",
        "a module used as a value, out of sight of the rules",
    ),
    refuse("name.forbidden", "a name that `names` lists"),
    refuse("name.dunder", "a special name"),
    refuse(
        "attribute.forbidden",
        "an attribute that `attributes` lists",
    ),
    refuse("attribute.dunder", "a special attribute"),
    refuse(
        "member.dunder",
        "a special method that hooks the interpreter",
    ),
    refuse("string.dunder", "a string that names a special attribute"),
    refuse(
        "string.format_field",
        "a format string that reaches into an object",
    ),
    refuse(
        "decorator.not_allowed",
        "a decorator that is neither the module's own nor a known one",
    ),
    refuse("class.metaclass", "a metaclass of its own"),
    refuse("class.dynamic", "a class made by calling `type`"),
    refuse("file.open", "opens a file without a capability to"),
    refuse(
        "file.write",
        "opens a file for writing without a capability to",
    ),
    warn("string.host_path", "a path of the machine it runs on"),
    warn(
        "string.credential",
        "a constant that looks like a credential",
    ),
    warn("toplevel.effect", "acts when it is loaded"),
    warn(
        "environment.clock",
        "asks what time it is, and so may behave otherwise at another",
    ),
    fixed(
        CRASHED,
        "reading it ended the process that reads, or took too long",
    ),
];

pub(crate) fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.name == name)
}

/// A finding of a rule, with the severity that the policy gives it.
pub(crate) fn finding(
    policy: &StaticPolicy,
    name: &str,
    (line, column): (u32, u32),
    reason: String,
) -> Finding {
    let default = rule(name).map_or(Severity::Refuse, |r| r.severity);
    let own = policy.severity.get(name).copied();
    let is_fixed = rule(name).is_none_or(|r| r.fixed);
    Finding {
        rule: name.to_owned(),
        severity: own.filter(|_| !is_fixed).unwrap_or(default),
        line,
        column,
        reason,
    }
}

/// Reads a source against the policy and the capabilities that its spec asks for. Runs nothing.
/// [`crate::vet`] does it in a process apart, where there is one.
pub(crate) fn vet_here(
    code: &str,
    policy: &StaticPolicy,
    capabilities: &[Capability],
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |name: &'static str, place: (u32, u32), reason: String| {
        if found.len() < MAX_FINDINGS {
            found.push(finding(policy, name, place, reason));
        }
    };
    let lines = Lines::new(code);
    let in_text = text::check(code, policy.max_bytes);
    if !in_text.is_empty() {
        for (name, offset, reason) in in_text {
            add(name, lines.place(offset), reason);
        }
        return found;
    }
    match parse::module(code, policy.max_nesting) {
        Ok(module) => {
            for f in rules::check(&module, policy, capabilities) {
                add(f.rule, (f.line, f.column), f.reason);
            }
        }
        Err(ParseFailure::Syntax {
            line,
            column,
            message,
        }) => add("parse.syntax", (line, column), message),
        Err(e @ (ParseFailure::Nesting { .. } | ParseFailure::Chain { .. })) => {
            add("parse.nesting", (0, 0), e.to_string());
        }
        Err(e @ (ParseFailure::Expression { .. } | ParseFailure::ParserDied)) => {
            add("parse.syntax", (0, 0), e.to_string());
        }
    }
    found
}

pub(crate) fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Refuse)
}
