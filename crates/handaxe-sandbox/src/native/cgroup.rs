//! Control groups, where they can be had: v1 or v2, one group a child, written by hand.
//!
//! They are the one layer that may be missing. Resource limits hold without them; with them,
//! memory is also bounded however it is taken (scratch included), and an out-of-memory kill can be
//! told from a crash.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handaxe_types::Limits;
use rustix::fs::{Mode, OFlags};

/// The session's own place among the groups.
#[derive(Debug)]
pub(super) struct Groups {
    kind: Kind,
    /// One directory for v2; memory's and pids' for v1.
    bases: Vec<PathBuf>,
    /// What is said in the table of layers.
    pub(super) note: String,
    /// Groups whose child is gone, for the next: making one anew costs as much as a fork.
    free: Mutex<Vec<Kept>>,
}

/// Directories of a group that is empty, and the limits they hold.
type Kept = (Vec<PathBuf>, (u64, u64));

/// More than a session has children at once.
const MOST_FREE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
    None,
}

/// Where this process stands: the directories in which groups for its children would be made.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    kind: Kind,
    parents: Vec<PathBuf>,
}

/// Reads `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn place(cgroup: &str, mountinfo: &str) -> Option<Place> {
    let mounts: Vec<(&str, &str, &str, &str)> = mountinfo.lines().filter_map(mount).collect();
    let own = |controller: &str| {
        cgroup.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
            let hit = names.split(',').any(|n| n == controller);
            hit.then_some(path)
        })
    };
    let beneath = |root: &str, point: &str, path: &str| {
        let inner = if root == "/" {
            path
        } else {
            path.strip_prefix(root)?
        };
        Some(Path::new(point).join(inner.trim_start_matches('/')))
    };
    let v1 = |controller: &str| {
        let path = own(controller)?;
        let (root, point, ..) = mounts.iter().find(|(_, _, kind, options)| {
            *kind == "cgroup" && options.split(',').any(|o| o == controller)
        })?;
        beneath(root, point, path)
    };
    if let (Some(memory), Some(pids)) = (v1("memory"), v1("pids")) {
        return Some(Place {
            kind: Kind::V1,
            parents: vec![memory, pids],
        });
    }
    let path = own("")?;
    let (root, point, ..) = mounts.iter().find(|(_, _, kind, _)| *kind == "cgroup2")?;
    let own = beneath(root, point, path)?;
    // A group with processes in it cannot hand controllers to its children, so ours go beside it.
    let parent = if path == "/" || path == *root {
        own
    } else {
        own.parent()?.to_owned()
    };
    Some(Place {
        kind: Kind::V2,
        parents: vec![parent],
    })
}

/// Root, mount point, type and super options of a line of `mountinfo`.
fn mount(line: &str) -> Option<(&str, &str, &str, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let kind = right.next()?;
    Some((root, point, kind, right.nth(1)?))
}

impl Groups {
    /// Makes the session's group where this process may; otherwise says why there is none.
    pub(super) fn new(name: &str) -> Arc<Self> {
        let none = |note: String| Self {
            kind: Kind::None,
            bases: Vec::new(),
            note,
            free: Mutex::default(),
        };
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let Some(place) = place(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo")) else {
            return Arc::new(none("no control groups are mounted".to_owned()));
        };
        place.parents.iter().for_each(|parent| sweep(parent));
        let mut bases = Vec::new();
        let mut made = || -> io::Result<()> {
            for parent in &place.parents {
                let base = parent.join(name);
                fs::create_dir(&base)?;
                bases.push(base.clone());
                if place.kind == Kind::V2 {
                    fs::write(base.join("cgroup.subtree_control"), "+memory +pids")?;
                }
            }
            Ok(())
        };
        match made() {
            Ok(()) => {
                let note = if place.kind == Kind::V1 {
                    "v1: memory, pids"
                } else {
                    "v2: memory, pids"
                };
                Arc::new(Self {
                    kind: place.kind,
                    bases,
                    note: note.to_owned(),
                    free: Mutex::default(),
                })
            }
            Err(error) => {
                for base in bases {
                    let _ = fs::remove_dir(base);
                }
                Arc::new(none(format!(
                    "no group can be made in {}: {error}",
                    place.parents[0].display()
                )))
            }
        }
    }

    /// A group for one child; `None` where there are none.
    pub(super) fn make(self: &Arc<Self>, id: u64) -> io::Result<Option<Group>> {
        if self.kind == Kind::None {
            return Ok(None);
        }
        let free = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let (paths, set) = free.unwrap_or_default();
        let mut group = Group {
            parent: Arc::clone(self),
            paths,
            set: Mutex::new(set),
        };
        if !group.paths.is_empty() {
            return Ok(Some(group));
        }
        for base in &self.bases {
            let path = base.join(id.to_string());
            fs::create_dir(&path)?;
            group.paths.push(path);
        }
        Ok(Some(group))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let free = self.free.get_mut().unwrap_or_else(PoisonError::into_inner);
        free.iter()
            .flat_map(|(paths, _)| paths)
            .for_each(|path| remove(path));
        self.bases.iter().for_each(|base| remove(base));
    }
}

/// What a child's own pages and page tables may come to, beside what the call may use.
const OWN_BYTES: u64 = 48 << 20;

/// One child's group. Dropping it frees it for the next, once the child is gone.
#[derive(Debug)]
pub(super) struct Group {
    parent: Arc<Groups>,
    paths: Vec<PathBuf>,
    /// Memory and processes, as last set: the usual ones are set ahead of the call.
    set: Mutex<(u64, u64)>,
}

impl Group {
    /// What the child writes itself into: opened here, because it may not.
    pub(super) fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        // A task that moves itself alone takes no lock that stops every fork of the machine; v2
        // has no such door for ordinary groups.
        let door = match self.parent.kind {
            Kind::V1 => "tasks",
            _ => "cgroup.procs",
        };
        let open = |p: &PathBuf| rustix::fs::open(p.join(door), flags, Mode::empty());
        self.paths
            .iter()
            .map(|p| open(p).map_err(io::Error::from))
            .collect()
    }

    /// Bounds a call. Swap counts as memory where it is counted at all.
    pub(super) fn limit(&self, limits: &Limits) -> io::Result<()> {
        let memory = limits
            .memory_bytes
            .saturating_add(limits.scratch_bytes)
            .saturating_add(OWN_BYTES);
        let processes = limits.processes;
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if *set == (memory, processes) {
            return Ok(());
        }
        self.write_limits(memory, processes)?;
        *set = (memory, processes);
        Ok(())
    }

    fn write_limits(&self, memory: u64, processes: u64) -> io::Result<()> {
        let (memory, processes) = (memory.to_string(), processes.to_string());
        match (self.parent.kind, &self.paths[..]) {
            (Kind::V1, [memory_dir, pids_dir]) => {
                let with_swap = memory_dir.join("memory.memsw.limit_in_bytes");
                let swap_counts = with_swap.exists();
                if swap_counts {
                    // It may at no time be below the other.
                    fs::write(&with_swap, "-1")?;
                }
                fs::write(memory_dir.join("memory.limit_in_bytes"), &memory)?;
                if swap_counts {
                    fs::write(&with_swap, &memory)?;
                }
                fs::write(pids_dir.join("pids.max"), &processes)
            }
            (Kind::V2, [dir]) => {
                fs::write(dir.join("memory.max"), &memory)?;
                if dir.join("memory.swap.max").exists() {
                    fs::write(dir.join("memory.swap.max"), "0")?;
                }
                fs::write(dir.join("pids.max"), &processes)
            }
            _ => Ok(()),
        }
    }

    /// Whether the kernel killed something in it for want of memory.
    pub(super) fn ran_out(&self) -> bool {
        let file = match self.parent.kind {
            Kind::V1 => "memory.oom_control",
            _ => "memory.events",
        };
        let text = self
            .paths
            .first()
            .and_then(|p| fs::read_to_string(p.join(file)).ok());
        text.is_some_and(|t| counted(&t, "oom_kill") > 0)
    }
}

/// The number after a word at the start of a line.
fn counted(text: &str, word: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(word)?.strip_prefix(' '));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

impl Group {
    /// Nothing is in it, and nothing was ever killed in it, so that it tells as little of its last
    /// child as a new one would.
    fn is_clean(&self) -> bool {
        let empty = |path: &PathBuf| {
            let tasks = fs::read_to_string(path.join("cgroup.procs"));
            tasks.is_ok_and(|t| t.is_empty())
        };
        self.paths.iter().all(empty) && !self.ran_out()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_clean() {
            let set = *self.set.get_mut().unwrap_or_else(PoisonError::into_inner);
            let mut free = self
                .parent
                .free
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if free.len() < MOST_FREE {
                free.push((std::mem::take(&mut self.paths), set));
                return;
            }
        }
        self.paths.iter().for_each(|path| remove(path));
    }
}

/// Removes the groups of hosts that were killed before they could.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let host = name
            .to_str()
            .and_then(|n| n.strip_prefix("handaxe-")?.split_once('-'));
        let Some((pid, _)) = host else {
            continue;
        };
        if pid.parse::<u32>().is_err() || Path::new("/proc").join(pid).exists() {
            continue;
        }
        for child in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(child.path());
        }
        let _ = fs::remove_dir(entry.path());
    }
}

/// Removes a group; one whose last process has just died needs a moment.
fn remove(path: &Path) {
    for wait in [0, 1, 4, 16, 64] {
        std::thread::sleep(Duration::from_millis(wait));
        match fs::remove_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {}
            _ => return,
        }
    }
    tracing::warn!(path = %path.display(), "a control group could not be removed");
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const V2: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const NESTED: &str = "30 25 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
         31 25 0:27 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n";

    #[test]
    fn finds_its_place() {
        let check = |cgroup: &str, mounts: &str, want: Option<(Kind, &[&str])>| {
            let want = want.map(|(kind, parents)| Place {
                kind,
                parents: parents.iter().map(PathBuf::from).collect(),
            });
            assert_eq!(place(cgroup, mounts), want, "{cgroup}");
        };
        check(
            "8:pids:/\n4:memory:/a/b\n0::/\n",
            V1,
            Some((
                Kind::V1,
                &["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/pids/"],
            )),
        );
        check(
            "0::/user.slice/x.scope\n",
            V2,
            Some((Kind::V2, &["/sys/fs/cgroup/user.slice"])),
        );
        check("0::/\n", V2, Some((Kind::V2, &["/sys/fs/cgroup/"])));
        check(
            "8:pids:/docker/abc\n4:memory:/docker/abc/d\n",
            NESTED,
            Some((
                Kind::V1,
                &["/sys/fs/cgroup/memory/d", "/sys/fs/cgroup/pids/"],
            )),
        );
        check("8:pids:/elsewhere\n4:memory:/elsewhere\n", NESTED, None);
        check("", "", None);
    }

    #[test]
    fn sweeps_what_the_dead_left() {
        let dir = tempfile::tempdir().unwrap();
        let own = format!("handaxe-{}-1", std::process::id());
        // No process has a number this large.
        let (dead, other) = ("handaxe-4194305-1", "handaxe-notes");
        for name in [&own, dead, other] {
            fs::create_dir_all(dir.path().join(name).join("0")).unwrap();
        }
        sweep(dir.path());
        let left = |name: &str| dir.path().join(name).exists();
        assert!(left(&own) && left(other) && !left(dead));
    }

    #[test]
    fn counts_kills() {
        assert_eq!(
            counted("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill"),
            3
        );
        assert_eq!(counted("low 0\noom 1\noom_kill 0\n", "oom_kill"), 0);
    }
}
