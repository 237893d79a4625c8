//! The folders agree with the database, and are made again when they do not.

use std::fs;

use crate::common::{Home, draft};
use handaxe_types::Asset;

#[test]
fn folders_are_rebuilt() {
    let home = Home::new();
    let mut draft = draft("count_text", "how | long\n# is it?");
    draft
        .assets
        .insert("lex.txt".into(), Asset(b"a\n".to_vec()));
    home.register(&draft);
    home.propose(&crate::common::draft("waiting_tool", "why"), None);
    let check = || home.registry.check_views().unwrap();
    assert_eq!(check(), []);
    let dir = home.path().join("tools/count_text/1");
    assert_eq!(fs::read_to_string(dir.join("tool.py")).unwrap(), draft.code);
    assert_eq!(fs::read(dir.join("assets/lex.txt")).unwrap(), b"a\n");
    let readme = fs::read_to_string(dir.join("README.md")).unwrap();
    assert!(readme.contains("handaxe run count_text@1 --input '{\"text\":\"abc\"}'"));
    assert!(
        readme.contains("Made because: how \\| long # is it?\n"),
        "{readme}"
    );
    assert!(!readme.contains("none:\n"), "a held-out case is shown");
    assert!(!home.path().join("tools/waiting_tool").exists());

    let secret = home.path().with_extension("secret");
    fs::write(&secret, "keep").unwrap();
    fs::write(dir.join("tool.py"), "evil").unwrap();
    fs::remove_file(dir.join("spec.json")).unwrap();
    fs::remove_file(dir.join("README.md")).unwrap();
    std::os::unix::fs::symlink(&secret, dir.join("README.md")).unwrap();
    fs::write(dir.join("my notes.txt"), "mine").unwrap();
    let problems = check();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems.iter().filter(|p| p.missing).count(), 1);
    assert_eq!(home.registry.rebuild_views().unwrap(), 1);
    assert_eq!(check(), []);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "keep");
    assert_eq!(
        fs::read_to_string(dir.join("my notes.txt")).unwrap(),
        "mine"
    );

    fs::remove_dir_all(home.path().join("tools")).unwrap();
    assert_eq!(home.registry.rebuild_views().unwrap(), 1);
    assert_eq!(home.registry.rebuild_views().unwrap(), 0);
    let left: Vec<_> = fs::read_dir(home.path().join("tools/count_text"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "nothing half-made is left");
}

/// A registration stands though its folder cannot be written.
#[test]
fn a_folder_that_cannot_be_written_loses_nothing() {
    let home = Home::new();
    fs::write(home.path().join("tools"), "in the way").unwrap();
    let registered = home.register(&draft("count_text", "why"));
    assert!(registered.view_problem().is_some());
    assert!(home.registry.rebuild_views().is_err());
    fs::remove_file(home.path().join("tools")).unwrap();
    home.registry.rebuild_views().unwrap();
    assert_eq!(home.registry.check_views().unwrap(), []);
}
