//! Homes that are not what they should be.

use handaxe_registry::{Registry, RegistryError};

use crate::common::{Home, draft};

fn open_with(file: &[u8]) -> RegistryError {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("handaxe.db");
    std::fs::write(&path, file).unwrap();
    let error = Registry::open(dir.path()).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), file, "left as it was");
    error
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let text = b"just some notes\n".repeat(500);
    let error = open_with(&text);
    assert!(matches!(error, RegistryError::Foreign { .. }), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE photos (id); PRAGMA user_version = 1")
        .unwrap();
    drop(conn);
    let error = open_with(&std::fs::read(&path).unwrap());
    assert!(matches!(error, RegistryError::Foreign { .. }), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let home = Home::new();
    home.raw()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let error = Registry::open(&home.path()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Newer { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_damaged_database_is_a_typed_error() {
    let home = Home::new();
    for i in 0..20 {
        home.register(&draft(&format!("tool_{i}"), "why"));
    }
    home.raw()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let path = home.path();
    drop(home.registry.clone());
    let file = path.join("handaxe.db");
    let good = std::fs::read(&file).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut typed = 0;
    for page in 1..good.len() / 4096 {
        let mut bad = good.clone();
        bad[page * 4096..(page + 1) * 4096].fill(0x5a);
        std::fs::write(elsewhere.path().join("handaxe.db"), &bad).unwrap();
        for side in ["handaxe.db-wal", "handaxe.db-shm"] {
            let _ = std::fs::remove_file(elsewhere.path().join(side));
        }
        let outcome = Registry::open(elsewhere.path()).and_then(|r| r.verify());
        match outcome {
            Err(RegistryError::Corrupt { .. }) => typed += 1,
            // A page of an index that verify does not walk, of search, or of free space.
            Ok(_) => {}
            Err(other) => panic!("page {page}: {other:?}"),
        }
    }
    assert!(typed > 10, "{typed}");
    std::fs::write(elsewhere.path().join("handaxe.db"), &good[..good.len() / 2]).unwrap();
    let cut = Registry::open(elsewhere.path()).and_then(|r| r.verify());
    assert!(matches!(cut, Err(RegistryError::Corrupt { .. })), "{cut:?}");
}

#[test]
fn the_home_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    for (path, mode) in [
        ("", 0o700),
        ("handaxe.db", 0o600),
        ("handaxe.db-wal", 0o600),
        ("handaxe.db-shm", 0o600),
        ("tools", 0o700),
    ] {
        let found = std::fs::metadata(home.path().join(path)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn a_home_that_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Registry::open(&file.join("home")).unwrap_err();
    assert!(matches!(error, RegistryError::CreateHome { .. }), "{error}");
}
