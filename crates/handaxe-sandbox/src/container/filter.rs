//! The outer system-call filter, as container runtimes take it: the tool's own list from
//! `handaxe-jail` and, beside it, what a container needs to start (`start.json`). The tool's process
//! loads the list itself as well, without the second part, so this is a second wall, not the first.

use std::collections::BTreeSet;

use handaxe_jail::seccomp::{Action, Arch, LIST, Rule, parse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::SandboxError;

const START: &str = include_str!("start.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(rename = "about")]
    _about: String,
    syscalls: Vec<Needed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Needed {
    name: String,
    #[serde(rename = "reason")]
    _reason: String,
}

/// The profile in the form of the OCI's `linux.seccomp`.
pub(crate) fn seccomp() -> Result<Value, SandboxError> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| SandboxError::Start {
        doing: "reading the system-call lists",
        source: std::io::Error::other(e),
    };
    let list = parse(LIST).map_err(|e| failed(e.into()))?;
    let start: Start = serde_json::from_str(START).map_err(|e| failed(e.into()))?;
    let needed: BTreeSet<&str> = start.syscalls.iter().map(|s| s.name.as_str()).collect();
    let mut rules = vec![json!({"names": needed, "action": "SCMP_ACT_ALLOW"})];
    for call in &list.syscalls {
        // A call that is allowed whatever its arguments needs no narrower rule beside that.
        if call.number(Arch::NATIVE).is_none() || needed.contains(call.name.as_str()) {
            continue;
        }
        rules.extend(call.rules.iter().filter_map(|r| rule(&call.name, r)));
    }
    // Any other architecture's entry, x32 among them, kills.
    let architecture = match Arch::NATIVE {
        Arch::X86_64 => "SCMP_ARCH_X86_64",
        Arch::Aarch64 => "SCMP_ARCH_AARCH64",
    };
    Ok(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [architecture],
        "syscalls": rules,
    }))
}

const EPERM: i32 = 1;

/// One rule of ours as one of theirs; none where it says what the default says.
fn rule(name: &str, rule: &Rule) -> Option<Value> {
    let mut out = json!({"names": [name]});
    match rule.action {
        Action::Allow => out["action"] = "SCMP_ACT_ALLOW".into(),
        Action::Kill => out["action"] = "SCMP_ACT_KILL_PROCESS".into(),
        Action::Errno(errno) if errno as i32 == EPERM => return None,
        Action::Errno(errno) => {
            out["action"] = "SCMP_ACT_ERRNO".into();
            out["errnoRet"] = (errno as i32).into();
        }
    }
    let condition = |c: &handaxe_jail::seccomp::Condition| json!({"index": c.arg, "value": c.mask, "valueTwo": c.value, "op": "SCMP_CMP_MASKED_EQ"});
    if !rule.when.is_empty() {
        out["args"] = rule.when.iter().map(condition).collect();
    }
    Some(out)
}

/// Everything that the translation is made from.
pub(crate) const SOURCES: &str = START;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_ours_is_one_of_theirs() {
        let profile = seccomp().unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let rules = profile["syscalls"].as_array().unwrap();
        let of = |name: &str| -> Vec<&Value> {
            let named = |r: &&Value| r["names"].as_array().unwrap().contains(&name.into());
            rules.iter().filter(named).collect()
        };
        assert_eq!(of("read")[0]["action"], "SCMP_ACT_ALLOW");
        assert_eq!(of("mmap").len(), 3);
        assert_eq!(
            of("mprotect")[0]["args"][0],
            json!({"index": 2, "value": 4, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"})
        );
        assert_eq!(of("clone3")[0]["errnoRet"], 38);
        for never in [
            "socket", "connect", "ptrace", "unshare", "mount", "keyctl", "bpf",
        ] {
            assert!(of(never).is_empty(), "{never}");
        }
        // Widened for the start, and only there: the tool's own filter narrows them again.
        for widened in ["clone", "prctl", "execve"] {
            assert!(of(widened).iter().all(|r| r["args"].is_null()), "{widened}");
        }
    }
}
