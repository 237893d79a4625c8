//! The rules of the house that a machine can check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn tracked_files() -> Vec<PathBuf> {
    let root = root();
    let mut out = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with("target") && name != ".git" && name != "node_modules" {
                    pending.push(entry.path());
                }
            } else {
                out.push(entry.path().strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    out
}

/// Crate → the crates of ours that it may depend on.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let all = [
        "types", "jail", "sandbox", "validate", "registry", "composer", "eval", "agent", "server",
        "export",
    ];
    [
        ("types", &[][..]),
        ("jail", &["types"]),
        ("sandbox", &["types", "jail"]),
        ("validate", &["types", "sandbox"]),
        ("registry", &["types"]),
        ("composer", &["types"]),
        (
            "eval",
            &[
                "types", "sandbox", "validate", "registry", "composer", "agent",
            ],
        ),
        ("export", &["types", "validate", "registry"]),
        (
            "agent",
            &["types", "sandbox", "validate", "registry", "composer"],
        ),
        (
            "server",
            &[
                "types", "sandbox", "validate", "registry", "agent", "export",
            ],
        ),
        ("", &all),
    ]
    .into_iter()
    .map(|(name, deps)| (name, deps.iter().copied().collect()))
    .collect()
}

#[test]
fn arrows_point_one_way() {
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let allowed = allowed();
    let short = |name: &str| {
        name.strip_prefix("handaxe")
            .map(|n| n.trim_start_matches('-').to_owned())
    };
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let name = short(package["name"].as_str().unwrap()).unwrap();
        let may = allowed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("unknown crate {name}"));
        for dependency in package["dependencies"].as_array().unwrap() {
            // What a test uses is not an arrow of the structure.
            if dependency["kind"] == "dev" {
                continue;
            }
            if let Some(target) = short(dependency["name"].as_str().unwrap()) {
                assert!(
                    may.contains(target.as_str()),
                    "handaxe-{name} may not use handaxe-{target}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "the metadata was not understood: {seen} edges");
}

#[test]
fn no_file_is_past_the_end() {
    let mut seen = 0;
    for path in tracked_files() {
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let lines = std::fs::read_to_string(root().join(&path))
            .unwrap()
            .lines()
            .count();
        assert!(
            lines <= 800,
            "{} has {lines} lines; split it by ownership",
            path.display()
        );
        seen += 1;
    }
    assert!(seen > 50, "only {seen} files were looked at");
}

#[test]
fn unsafe_code_stays_in_the_jail() {
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let dir = entry.unwrap().path();
        if dir.ends_with("handaxe-jail") {
            continue;
        }
        let main = ["src/lib.rs", "src/main.rs"]
            .iter()
            .map(|f| dir.join(f))
            .find(|f| f.exists());
        let text = std::fs::read_to_string(main.unwrap()).unwrap();
        assert!(
            text.contains("#![forbid(unsafe_code)]"),
            "{}",
            dir.display()
        );
    }
}

/// Every relative link in the documents leads somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    let mut seen = 0;
    for path in tracked_files() {
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains("{{") {
                continue;
            }
            let base = root().join(path.parent().unwrap());
            assert!(base.join(target).exists(), "{}: {target}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 0);
}

/// The map of the agent fits one screen: 45 lines of 100 columns.
#[test]
fn the_map_of_the_agent_fits_one_screen() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, from) = text.split_once("\n## The agent\n").unwrap();
    let (map, _) = from.split_once("\n## ").unwrap();
    let wide = map.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None, "wider than a screen");
    assert!(map.lines().count() <= 45, "{} lines", map.lines().count());
}
