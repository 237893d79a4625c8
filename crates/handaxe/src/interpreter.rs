//! Remembers which interpreter was found: finding it costs a start of it, and the answer changes
//! only when the program, its name or the search path does.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use handaxe_sandbox::{NativeConfig, Runtime};
use handaxe_types::json::{self, Bounds};
use serde::{Deserialize, Serialize};

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Another version may look elsewhere.
    version: String,
    asked: String,
    searched: String,
    modified_ns: i128,
    changed_ns: i128,
    inode: u64,
    bytes: u64,
    runtime: Runtime,
}

/// What was found before, where nothing that it rests on has changed since.
pub(crate) fn recall(home: &Path, config: &NativeConfig) -> Option<Runtime> {
    let bytes = std::fs::read(file(home))
        .ok()
        .filter(|b| b.len() < 1 << 20)?;
    let kept: Remembered = json::parse_as(&bytes, Bounds::DEFAULT).ok()?;
    let now = remembered(config, kept.runtime.clone())?;
    (kept == now).then_some(now.runtime)
}

/// Keeps what was found. Best effort: without it the next start is slower, nothing else.
pub(crate) fn keep(home: &Path, config: &NativeConfig, runtime: &Runtime) {
    let Some(remembered) = remembered(config, runtime.clone()) else {
        return;
    };
    let Ok(text) = serde_json::to_vec(&remembered) else {
        return;
    };
    let path = file(home);
    let _ = std::fs::create_dir_all(home.join("cache"));
    let temporary = path.with_extension(format!("{}", std::process::id()));
    if std::fs::write(&temporary, text).is_ok() {
        let _ = std::fs::rename(&temporary, &path);
    }
}

fn file(home: &Path) -> std::path::PathBuf {
    home.join("cache/interpreter.json")
}

fn remembered(config: &NativeConfig, runtime: Runtime) -> Option<Remembered> {
    let meta = std::fs::metadata(&runtime.interpreter.executable).ok()?;
    let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    Some(Remembered {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        asked: format!("{:?}", config.python),
        searched: format!("{:?}", config.search),
        modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
        changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
        inode: meta.ino(),
        bytes: meta.len(),
        runtime,
    })
}
