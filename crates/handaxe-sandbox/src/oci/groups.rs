//! The control groups that runtimes make for a container: one of its name at the top of every
//! hierarchy. A runtime that is ended with its container, or that looks while the last process is
//! still on its way out, leaves them there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TOP: &str = "/sys/fs/cgroup";
/// Groups within a group.
const DEPTH: u32 = 4;
/// Of one directory.
const MOST: usize = 10_000;

/// Removes those of a container that has ended.
pub(super) fn remove(name: &str) {
    for top in tops() {
        let group = top.join(name);
        if group.is_dir() {
            remove_whole(&group, DEPTH);
        }
    }
}

/// The names of all that begin so.
pub(super) fn named(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = tops()
        .iter()
        .flat_map(|top| directories(top))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Where a hierarchy begins: at the top itself, or one for each directory there.
fn tops() -> Vec<PathBuf> {
    let top = Path::new(TOP);
    let mut tops = directories(top);
    tops.push(top.to_owned());
    tops
}

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten().take(MOST);
    let directories = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    directories.map(|e| e.path()).collect()
}

fn remove_whole(group: &Path, depth: u32) {
    if depth > 0 {
        for within in directories(group) {
            remove_whole(&within, depth - 1);
        }
    }
    for wait in [0, 1, 4, 16, 64] {
        std::thread::sleep(Duration::from_millis(wait));
        match fs::remove_dir(group) {
            // Its last process has just died.
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {}
            _ => return,
        }
    }
    tracing::warn!(group = %group.display(), "a control group could not be removed");
}
