//! `policy.toml`, as data. The rules that act on it live where they are enforced.

use serde::{Deserialize, Serialize};

use crate::{Digest, Isolation, Severity};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What is never written down: `env:NAME` for a variable's value, anything else for itself.
    #[serde(skip_serializing)]
    pub secrets: Vec<String>,
    pub domains: DomainPolicy,
    pub code: StaticPolicy,
    pub trial: TrialPolicy,
    pub approval: ApprovalPolicy,
    pub isolation: IsolationPolicy,
}

/// Which tools may be made at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DomainPolicy {
    pub allow: Vec<String>,
    /// Named so that a refusal can quote its line; anything not allowed is refused as well.
    pub deny: Vec<String>,
}

impl Default for DomainPolicy {
    fn default() -> Self {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Self {
            allow: own(&[
                "parsing",
                "transformation",
                "analysis",
                "text",
                "maths",
                "dates",
                "formatting",
            ]),
            deny: own(&[
                "network",
                "processes",
                "credentials",
                "system_control",
                "other_files",
                "devices",
            ]),
        }
    }
}

/// What a tool's source may contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaticPolicy {
    pub max_bytes: usize,
    pub max_nesting: usize,
    /// Top-level standard-library modules that may be imported.
    pub imports: Vec<String>,
    /// Names that may not be loaded, called or bound.
    pub names: Vec<String>,
    /// Attributes that may not be touched; every other `__dunder__` is refused too.
    pub attributes: Vec<String>,
    /// Rule name → severity, to soften or harden a rule.
    pub severity: std::collections::BTreeMap<String, Severity>,
}

impl Default for StaticPolicy {
    fn default() -> Self {
        let own = |names: &str| names.split_whitespace().map(str::to_owned).collect();
        Self {
            max_bytes: 64 << 10,
            max_nesting: 60,
            imports: own(
                "__future__ abc array base64 binascii bisect calendar cmath collections copy csv \
                 dataclasses datetime decimal difflib enum fractions functools hashlib heapq html \
                 io itertools json math numbers operator random re statistics string struct \
                 textwrap time typing unicodedata urllib.parse uuid zlib zoneinfo",
            ),
            names: own(
                "__import__ __builtins__ __loader__ __spec__ breakpoint compile delattr dir eval \
                 exec exit getattr globals help input locals memoryview quit setattr vars",
            ),
            attributes: own(
                "ag_code ag_frame attrgetter cr_code cr_frame f_back f_builtins f_code f_globals \
                 f_locals format_map func_code func_globals gi_code gi_frame gi_yieldfrom \
                 methodcaller mro tb_frame tb_next modules",
            ),
            severity: std::collections::BTreeMap::new(),
        }
    }
}

/// What a draft must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialPolicy {
    /// Fewer cases than this, over all origins, is a refusal; never below 1.
    pub min_cases: u32,
    /// Cases that the author did not write (tester, user, replay); 0 only by hand.
    pub min_independent_cases: u32,
    pub max_repairs: u32,
    /// Generated inputs that a draft runs; 0 turns the stage off.
    pub fuzz_inputs: u32,
    /// Fewer generated inputs that ran than this is a refusal, unless the schema has no more.
    pub min_fuzz_inputs: u32,
    /// Mutants tried; 0 turns the stage off.
    pub mutants: u32,
    /// The share of judged mutants that the cases must kill, 0 to 1.
    pub kill_floor: f64,
    /// The same for tools that the built-in composer makes from examples: the helpers that these
    /// share do more than one program calls for.
    pub example_kill_floor: f64,
    /// With fewer judged mutants than this, a rate below the floor is a warning.
    pub min_mutants: u32,
    /// Time may grow as the size to the power of this before the card warns, and before it refuses.
    pub warn_exponent: f64,
    pub max_exponent: f64,
    /// All stages of one trial together; what does not fit is reported as not run.
    pub wall_budget_ms: u64,
    /// Of production calls of deterministic tools, so many in a hundred are run again elsewhere and
    /// compared; a difference quarantines the tool.
    pub shadow_percent: u32,
}

impl Default for TrialPolicy {
    fn default() -> Self {
        Self {
            min_cases: 1,
            min_independent_cases: 1,
            max_repairs: 2,
            fuzz_inputs: 1000,
            min_fuzz_inputs: 20,
            mutants: 60,
            kill_floor: 0.7,
            example_kill_floor: 0.35,
            min_mutants: 5,
            warn_exponent: 1.8,
            max_exponent: 2.5,
            wall_budget_ms: 60_000,
            shadow_percent: 2,
        }
    }
}

/// What proves that a person said yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalHow {
    /// A person at a terminal, or `--yes` on the command that made the draft.
    #[default]
    Terminal,
    /// A signature by a key that a passphrase unlocks: a terminal alone does not prove a person
    /// to a program that has a shell.
    Key,
}

impl ApprovalHow {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Key => "key",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalPolicy {
    /// What proves that a person said yes.
    pub how: ApprovalHow,
    /// Under `how = "key"`: the ids of the keys whose yes counts; empty means every approver key
    /// that this home has enrolled.
    pub approvers: Vec<Digest>,
    /// A person may not approve what that person wrote.
    pub two_person: bool,
    /// Hours until a waiting approval expires.
    pub expires_hours: u32,
    /// Several waiting tools may be approved with one word, where nothing about any of them asks
    /// for a closer look.
    pub batch: bool,
    /// A proved tool that does nothing but read what it is given may be used once, by the run that
    /// made it, while it waits for a person; so many minutes from when it was asked for. 0: never.
    pub while_waiting_minutes: u32,
}

impl Default for ApprovalPolicy {
    fn default() -> Self {
        Self {
            how: ApprovalHow::Terminal,
            approvers: Vec::new(),
            two_person: false,
            expires_hours: 168,
            batch: false,
            while_waiting_minutes: 0,
        }
    }
}

/// The least isolation under which tools are tried and run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IsolationPolicy {
    pub least: Isolation,
    /// Domain → its own least, which may be more or less.
    pub domains: std::collections::BTreeMap<String, Isolation>,
}
