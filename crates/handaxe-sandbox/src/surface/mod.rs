//! What of the kernel an untrusted process reaches: sixty-one single attempts, made inside a child
//! like any other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::{Call, Cancel, NativeConfig, NativeSandbox, Sandbox, SandboxError, SessionSpec};

const LIST: &str = include_str!("probes.json");
const PROBES: &str = include_str!("probes.py");

/// The most that may be reachable, each with its reason.
pub const MOST_REACHABLE: usize = 8;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(rename = "about")]
    _about: String,
    reachable: BTreeMap<String, String>,
    probes: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    bubblewrap: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Refused before the kernel looked at it.
    Denied,
    /// Nothing of that name is there.
    Absent,
    /// The kernel accepted it, or refused it for what was in its arguments alone.
    Reachable,
}

/// One attempt and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SurfaceProbe {
    pub name: String,
    pub reach: Reach,
    /// `open`, an errno's name, or what else was seen.
    pub said: String,
    /// Why it may be reachable, where it is and may be.
    pub reason: Option<String>,
    /// The same attempt in an ordinary user's bubblewrap, on the machine of the list.
    pub bubblewrap: String,
}

/// What a sandbox must have loaded for [`probe_surface_in`]: the interpreter's own way of making
/// system calls.
pub const PROBE_MODULES: [&str; 2] = ["ctypes", "platform"];

/// Makes every attempt inside a child of this configuration.
///
/// The one difference to production is that the interpreter's `ctypes` is loaded, to make system
/// calls with, and the library behind it laid beside the others. The layers and the filter are the
/// same.
pub fn probe_surface(config: &NativeConfig) -> Result<Vec<SurfaceProbe>, SandboxError> {
    let mut config = config.clone();
    config.modules.extend(PROBE_MODULES.map(str::to_owned));
    probe_surface_in(&NativeSandbox::new(config)?)
}

/// Makes every attempt inside a sandbox that has [`PROBE_MODULES`] loaded.
pub fn probe_surface_in(sandbox: &dyn Sandbox) -> Result<Vec<SurfaceProbe>, SandboxError> {
    let session = sandbox.open(SessionSpec::default())?;
    let call = Call::new(PROBES, Map::new());
    let result = session.call(&call, &Cancel::default())?;
    let doing = "probing the kernel's surface";
    let protocol = |detail: String| SandboxError::Protocol { doing, detail };
    let Some(said) = result.output else {
        return Err(protocol(format!(
            "the probe ended as {}: {}",
            result.outcome.as_str(),
            result.error.map_or(result.stderr, |e| e.message)
        )));
    };
    understand(said).map_err(protocol)
}

/// How many of them are reachable.
pub fn reachable(probes: &[SurfaceProbe]) -> usize {
    let hits = probes.iter().filter(|p| p.reach == Reach::Reachable);
    hits.count()
}

/// What the probe's output says; it comes from inside. `Err` says what is wrong with it.
fn understand(said: serde_json::Value) -> Result<Vec<SurfaceProbe>, String> {
    let said = serde_json::from_value(said).map_err(|e| e.to_string())?;
    let list: List = serde_json::from_str(LIST).map_err(|e| e.to_string())?;
    judge(list, &said).map_err(|name| format!("nothing was said of `{name}`"))
}

/// `Err` names a probe that was not made.
fn judge(list: List, said: &BTreeMap<String, String>) -> Result<Vec<SurfaceProbe>, String> {
    let mut found = Vec::new();
    for Entry { name, bubblewrap } in list.probes {
        let said = said.get(&name).ok_or_else(|| name.clone())?.clone();
        let reach = reach(&name, &said);
        let reason = list
            .reachable
            .get(&name)
            .filter(|_| reach == Reach::Reachable);
        let reason = reason.cloned();
        found.push(SurfaceProbe {
            name,
            reach,
            said,
            reason,
            bubblewrap,
        });
    }
    Ok(found)
}

fn reach(name: &str, said: &str) -> Reach {
    match said {
        "EPERM" | "EACCES" | "ENOSYS" | "EROFS" | "EAFNOSUPPORT" | "zeros" => Reach::Denied,
        // Of a system call these speak of its arguments, and so it was reached.
        "ENOENT" | "ENXIO" if is_file(name) => Reach::Absent,
        _ => Reach::Reachable,
    }
}

fn is_file(name: &str) -> bool {
    name.starts_with("file_")
        || matches!(
            name,
            "TIOCSTI_dev_tty" | "kallsyms_addr_visible" | "core_pattern_same_value_write"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_every_exception_has_a_reason() {
        let list: List = serde_json::from_str(LIST).unwrap();
        assert_eq!(list.probes.len(), 61);
        assert!(list.reachable.len() <= MOST_REACHABLE);
        for (name, reason) in &list.reachable {
            assert!(list.probes.iter().any(|p| p.name == *name) && reason.len() > 10);
        }
        for probe in &list.probes {
            assert!(PROBES.contains(&format!("        \"{}\": ", probe.name)));
        }
    }

    #[test]
    fn what_a_probe_says_is_a_table_or_an_error() {
        use crate::native::fuzz::{Draw, rounds};
        let list: List = serde_json::from_str(LIST).unwrap();
        let said = |p: &Entry| (p.name.clone(), serde_json::Value::from("EPERM"));
        let good: Map<String, serde_json::Value> = list.probes.iter().map(said).collect();
        assert_eq!(reachable(&understand(good.clone().into()).unwrap()), 0);
        let good = serde_json::to_vec(&good).unwrap();
        let mut draw = Draw(0x7261_6e64_6f6d_2121);
        let (mut tables, mut errors) = (0, 0);
        for _ in 0..rounds() / 40 {
            let bytes = draw.mutate(&good);
            let Ok(value) = serde_json::from_slice(&bytes) else {
                continue;
            };
            match understand(value) {
                // Whatever else it says, it says something of each, and all but a refusal counts
                // as reached.
                Ok(table) => {
                    assert_eq!(table.len(), 61);
                    tables += 1;
                }
                Err(why) => {
                    assert!(!why.is_empty());
                    errors += 1;
                }
            }
        }
        assert!(tables > 0 && errors > 0, "{tables} {errors}");
    }

    #[test]
    fn only_a_refusal_is_a_refusal() {
        for (name, said, want) in [
            ("shmget", "EPERM", Reach::Denied),
            ("shmget", "ENOENT", Reach::Reachable),
            ("process_vm_readv_parent", "EFAULT", Reach::Reachable),
            ("file_dev_mem", "ENOENT", Reach::Absent),
            ("file_dev_mem", "open", Reach::Reachable),
            ("mount_tmpfs", "?", Reach::Reachable),
        ] {
            assert_eq!(reach(name, said), want, "{name} {said}");
        }
    }
}
