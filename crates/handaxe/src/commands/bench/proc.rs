//! What `/proc` and the control groups say of the jail's processes and of this one.

use std::collections::BTreeSet;

use handaxe_sandbox::Session;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) private_kib: u64,
    pub(super) proportional_kib: u64,
    pub(super) faults: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Holdings {
    pub(super) descriptors: usize,
    pub(super) processes: usize,
    pub(super) mounts: usize,
    /// Distinct ones that our own processes are in.
    pub(super) namespaces: usize,
    pub(super) cgroups: usize,
    pub(super) host_rss_kib: u64,
    pub(super) server_rss_kib: u64,
}

fn read(path: String) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number after a word at the start of a line.
fn field(text: &str, word: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(word)?.strip_prefix(':'));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// The process that forks the children: their parent.
pub(super) fn server(session: &dyn Session) -> u32 {
    let child = session
        .stats()
        .ready_processes
        .first()
        .copied()
        .unwrap_or(0);
    field(&read(format!("/proc/{child}/status")), "PPid") as u32
}

/// Numbers of `/proc/<pid>/stat`, counted as its manual does from the third.
fn stat(pid: u32) -> Vec<u64> {
    let text = read(format!("/proc/{pid}/stat"));
    let rest = text.rsplit(") ").next().unwrap_or_default();
    rest.split_whitespace()
        .map(|n| n.parse().unwrap_or(0))
        .collect()
}

pub(super) fn cpu_ms(pid: u32, with_children: bool) -> f64 {
    let stat = stat(pid);
    let wanted = if with_children { 11..15 } else { 11..13 };
    let ticks: u64 = stat.get(wanted).unwrap_or_default().iter().sum();
    ticks as f64 * 1e3 / rustix::param::clock_ticks_per_second() as f64
}

pub(super) fn memory(pid: u32) -> Option<Memory> {
    let text = read(format!("/proc/{pid}/smaps_rollup"));
    let private = field(&text, "Private_Clean") + field(&text, "Private_Dirty");
    (private > 0).then(|| Memory {
        private_kib: private,
        proportional_kib: field(&text, "Pss"),
        faults: stat(pid).get(7).copied().unwrap_or(0),
    })
}

pub(super) fn holdings(session: &dyn Session) -> Holdings {
    let own = std::process::id();
    let (server, family) = (server(session), descendants(own));
    let entries = |path: String| std::fs::read_dir(path).map_or(0, Iterator::count);
    let rss = |pid: u32| field(&read(format!("/proc/{pid}/status")), "VmRSS");
    Holdings {
        descriptors: entries("/proc/self/fd".to_owned()) + entries(format!("/proc/{server}/fd")),
        processes: family.len(),
        namespaces: namespaces(&family),
        mounts: read(format!("/proc/{server}/mountinfo")).lines().count()
            + read("/proc/self/mountinfo".to_owned()).lines().count(),
        cgroups: groups(own),
        host_rss_kib: rss(own),
        server_rss_kib: rss(server),
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let (mut found, mut next) = (Vec::new(), vec![pid]);
    while let Some(pid) = next.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            let children = children
                .split_whitespace()
                .filter_map(|c| c.parse::<u32>().ok());
            let before = found.len();
            found.extend(children);
            next.extend(&found[before..]);
        }
    }
    found
}

fn namespaces(processes: &[u32]) -> usize {
    let links = processes.iter().flat_map(|pid| {
        let kinds = std::fs::read_dir(format!("/proc/{pid}/ns"));
        let kinds = kinds.into_iter().flatten().flatten();
        kinds.filter_map(|kind| std::fs::read_link(kind.path()).ok())
    });
    links.collect::<BTreeSet<_>>().len()
}

/// Directories of our own sessions beneath every mounted hierarchy.
fn groups(own: u32) -> usize {
    let prefix = format!("handaxe-{own}-");
    let (mut count, mut next) = (0, vec![std::path::PathBuf::from("/sys/fs/cgroup")]);
    while let Some(dir) = next.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            let path = entry.path();
            let ours = path
                .components()
                .any(|c| c.as_os_str().to_string_lossy().starts_with(&prefix));
            count += usize::from(ours);
            next.push(path);
        }
    }
    count
}
