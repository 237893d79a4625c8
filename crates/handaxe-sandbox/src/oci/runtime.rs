//! The runtimes that are known, and finding one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use handaxe_types::{Isolation, Layer};

use crate::SandboxError;

/// A runtime and how it is spoken to.
#[derive(Debug)]
pub(super) struct Kind {
    /// As it is named after `oci:`.
    pub(super) name: &'static str,
    /// Its programs, the first that is found.
    programs: &'static [&'static str],
    pub(super) level: Isolation,
    /// Before the command.
    pub(super) options: &'static [&'static str],
    /// Layers that its containers do not have.
    pub(super) not: &'static [Layer],
}

/// In the order in which one is chosen where none is named.
pub(super) const KINDS: [Kind; 5] = [
    Kind {
        name: "crun",
        programs: &["crun"],
        level: Isolation::Container,
        options: &[],
        not: &[],
    },
    Kind {
        name: "runc",
        programs: &["runc"],
        level: Isolation::Container,
        options: &[],
        not: &[],
    },
    Kind {
        name: "youki",
        programs: &["youki"],
        level: Isolation::Container,
        options: &[],
        not: &[],
    },
    Kind {
        name: "runsc",
        programs: &["runsc"],
        level: Isolation::Guest,
        options: &["--network=none"],
        // Its kernel has no Landlock; nothing but this one tool is in it.
        not: &[Layer::Landlock],
    },
    Kind {
        name: "kata",
        programs: &["kata-runtime", "kata"],
        level: Isolation::Guest,
        options: &[],
        not: &[Layer::Landlock],
    },
];

/// What was asked for, found on the search path.
pub(super) fn find(
    wanted: Option<&str>,
    search: Option<&OsStr>,
) -> Result<(&'static Kind, PathBuf), SandboxError> {
    let names = KINDS.map(|k| k.name).join(", ");
    let unusable = |reason: String| SandboxError::Backend {
        backend: wanted.map_or("oci".to_owned(), |w| format!("oci:{w}")),
        reason,
        hint: format!("install one of {names} (Debian has packages crun, runc and runsc)"),
    };
    let known = |kind: &&'static Kind| wanted.is_none_or(|w| w == kind.name);
    let mut kinds = KINDS.iter().filter(known).peekable();
    if kinds.peek().is_none() {
        return Err(unusable(format!("runtimes that are known: {names}")));
    }
    kinds
        .find_map(|kind| {
            let found = kind.programs.iter().find_map(|p| on_path(p, search));
            found.map(|program| (kind, program))
        })
        .ok_or_else(|| unusable("no such runtime is on the search path".to_owned()))
}

/// Where programs for root are, which an ordinary user's path leaves out.
const ALWAYS: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"];

fn on_path(program: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let named = search.into_iter().flat_map(std::env::split_paths);
    let all = named.chain(ALWAYS.iter().map(PathBuf::from));
    all.filter(|d| d.is_absolute())
        .map(|d| d.join(program))
        .find(|p| is_program(p))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_runtime_and_an_absent_one_are_told_apart() {
        let reason = |wanted| find(Some(wanted), None).unwrap_err().to_string();
        assert!(reason("lxc").contains("known: crun"), "{}", reason("lxc"));
        let kata = find(Some("kata"), Some(OsStr::new("/nonexistent")));
        assert!(kata.is_err_and(|e| e.to_string().contains("oci:kata")));
    }
}
