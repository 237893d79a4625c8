//! What every adversarial case goes through: a control that succeeds where nothing stops it, the
//! attack as often as `cases.json` says, an honest call, and a look at the host before and after.
//! A drill without a control, or without an attack, fails.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_sandbox::Session;
use handaxe_types::Digest;
use serde::Deserialize;

use crate::lifecycle::{descendants, jail_mounts, own_groups};
use crate::support::benign;

const CASES: &str = include_str!("cases.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(rename = "about")]
    _about: String,
    cases: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    #[serde(rename = "attack")]
    _attack: String,
    #[serde(rename = "must")]
    _must: String,
    /// How often the attack is made, unless `HANDAXE_REPEATS` says otherwise.
    rounds: usize,
    /// The tests that make it.
    tests: Vec<String>,
}

fn cases() -> Vec<Entry> {
    let listed: Listed = serde_json::from_str(CASES).unwrap();
    listed.cases
}

pub(crate) struct Drill {
    rounds: usize,
    controls: Cell<usize>,
    attacks: Cell<usize>,
}

impl Drill {
    #[track_caller]
    pub(crate) fn of(ids: &[&str]) -> Self {
        let cases = cases();
        let rounds = ids.iter().map(|id| {
            let case = cases.iter().find(|c| c.id == *id);
            case.unwrap_or_else(|| panic!("{id} is not in cases.json"))
                .rounds
        });
        let rounds = rounds.max().unwrap();
        let asked = std::env::var("HANDAXE_REPEATS");
        Self {
            rounds: asked.map_or(rounds, |n| n.parse().unwrap()),
            controls: Cell::new(0),
            attacks: Cell::new(0),
        }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// The same attack where it is not stopped: it must have been seen to succeed.
    #[track_caller]
    pub(crate) fn control(&self, what: &str, succeeded: bool) {
        assert!(succeeded, "inconclusive: the control failed: {what}");
        self.controls.set(self.controls.get() + 1);
    }

    /// Makes the attack, every round; then an honest call, and a look at the host.
    #[track_caller]
    pub(crate) fn attack(&self, session: &Arc<dyn Session>, mut attack: impl FnMut(usize)) {
        assert!(self.controls.get() > 0, "the control comes first");
        benign(session);
        let host = Host::look(session);
        for round in 0..self.rounds {
            attack(round);
        }
        benign(session);
        host.is_unchanged(session);
        self.attacks.set(self.attacks.get() + 1);
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.attacks.get() > 0, "a drill without an attack");
        }
    }
}

/// What an attack could change outside.
struct Host {
    canary: tempfile::NamedTempFile,
    digests: Vec<Digest>,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
    /// The jail's user, as the host knows it.
    owner: u32,
    objects: BTreeMap<String, BTreeSet<String>>,
    counts: [usize; 3],
    mounts: usize,
}

impl Host {
    fn look(session: &Arc<dyn Session>) -> Self {
        let canary = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(canary.path(), "canary").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind(tcp.local_addr().unwrap()).unwrap();
        let name = format!("handaxe-canary-{}", tcp.local_addr().unwrap().port());
        let unix = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap());
        let unix = unix.unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        let owner = owner(session);
        Self {
            digests: digests(canary.path()),
            canary,
            tcp,
            udp,
            unix,
            owner,
            objects: objects(owner),
            counts: counts(session),
            mounts: jail_mounts(),
        }
    }

    #[track_caller]
    fn is_unchanged(&self, session: &Arc<dyn Session>) {
        assert_eq!(
            self.digests,
            digests(self.canary.path()),
            "a canary was touched"
        );
        let mut datagram = [0; 8];
        assert!(
            self.tcp.accept().is_err() && self.unix.accept().is_err(),
            "a listener was hit"
        );
        assert!(self.udp.recv(&mut datagram).is_err(), "a listener was hit");
        // Children are put away behind the caller's back.
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let (objects, counts) = (objects(self.owner), counts(session));
            // Another session of the same test may have come to have its child only now.
            let spare = [24, 4, 4];
            let grown = (0..3).any(|at| counts[at] > self.counts[at] + spare[at]);
            if objects == self.objects && !grown && jail_mounts() == self.mounts {
                return;
            }
            assert!(
                Instant::now() < until,
                "the host changed: {:?} and {:?} before, {objects:?} and {counts:?} after",
                self.objects,
                self.counts
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn digests(canary: &Path) -> Vec<Digest> {
    let files = [
        canary,
        Path::new("/etc/passwd"),
        Path::new("/usr/bin/python3"),
    ];
    files
        .map(|path| Digest::of(&std::fs::read(path).unwrap()))
        .to_vec()
}

/// The user of the session's children, by a child that waits.
fn owner(session: &Arc<dyn Session>) -> u32 {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let waiting = session.stats().ready_processes;
        let found = waiting.first().and_then(|pid| status_of(*pid, "Uid:"));
        if let Some(user) = found.and_then(|line| line.split_whitespace().next()?.parse().ok()) {
            return user;
        }
        assert!(Instant::now() < until, "no child waits");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A line of a process's status.
pub(crate) fn status_of(pid: u32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

/// Shared objects, keys and files of shared places that belong to the jail's user.
fn objects(owner: u32) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for (kind, column) in [("shm", 7), ("msg", 7), ("sem", 4)] {
        let text = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let rows = text.lines().skip(1).filter(|row| {
            let user = row.split_whitespace().nth(column);
            user.and_then(|u| u.parse::<u32>().ok()) == Some(owner)
        });
        found.insert(kind.to_owned(), rows.map(str::to_owned).collect());
    }
    let keys = std::fs::read_to_string("/proc/key-users").unwrap_or_default();
    let mark = format!("{owner}:");
    let keys = keys
        .lines()
        .filter(|row| row.trim_start().starts_with(&mark));
    found.insert("keys".to_owned(), keys.map(str::to_owned).collect());
    for place in ["/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp"] {
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let own = entries.filter(|e| e.metadata().is_ok_and(|m| m.uid() == owner));
        let names = own.map(|e| e.file_name().to_string_lossy().into_owned());
        // An ordinary user has files of his own in such places, and so have these tests.
        let names = names.filter(|_| owner != rustix::process::geteuid().as_raw());
        found.insert(place.to_owned(), names.collect());
    }
    found
}

/// Descriptors, processes and control groups, less what the children have that are there by right.
fn counts(session: &Arc<dyn Session>) -> [usize; 3] {
    let stats = session.stats();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let processes = descendants(std::process::id()).len();
    // Four pipes, the process and its status; a group that is kept for the next child has three.
    let by_right = stats.live * 6 + stats.made.min(16) as usize * 3;
    let groups = own_groups();
    [
        descriptors.saturating_sub(by_right),
        processes.saturating_sub(stats.live),
        groups.saturating_sub(16),
    ]
}

/// Every case of files, network, processes, kernel, resources and frames has its tests, each of them
/// is there, and says of which case it is.
#[test]
fn every_case_has_its_test() {
    let groups = [("FS", 10), ("NET", 7), ("PROC", 7), ("KERN", 7), ("RES", 9)];
    let numbered =
        |(name, most): (&'static str, usize)| (1..=most).map(move |n| format!("{name}{n:02}"));
    let mut wanted: BTreeSet<String> = groups.into_iter().flat_map(numbered).collect();
    wanted.insert("HARN08".to_owned());
    let cases = cases();
    let listed: BTreeSet<String> = cases.iter().map(|c| c.id.clone()).collect();
    assert_eq!(listed, wanted);
    assert_eq!(cases.len(), wanted.len(), "a case is listed twice");

    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native");
    for case in &cases {
        assert!(
            case.rounds > 0 && !case.tests.is_empty(),
            "{} has no test",
            case.id
        );
        for test in &case.tests {
            let (file, name) = test.split_once("::").unwrap();
            let text = std::fs::read_to_string(directory.join(format!("{file}.rs"))).unwrap();
            let body = text.split(&format!("#[test]\nfn {name}() {{")).nth(1);
            let body = body.unwrap_or_else(|| panic!("{}: there is no test {test}", case.id));
            let body = body.split("\n}\n").next().unwrap_or_default();
            let says = body.contains("Drill::of(") && body.contains(&format!("\"{}\"", case.id));
            assert!(says, "{test} is no drill of {}", case.id);
        }
    }
}

/// The drill itself can fail: without a control, and when something changed outside.
#[test]
fn a_drill_can_fail() {
    let failing = |act: &dyn Fn(&Drill, &Arc<dyn Session>)| {
        let session = crate::support::session();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            act(&Drill::of(&["FS01"]), &session);
        }));
        done.is_err()
    };
    assert!(failing(&|_, _| {}), "no attack");
    assert!(failing(&|d, s| d.attack(s, |_| {})), "no control");
    assert!(
        failing(&|d, _| d.control("x", false)),
        "a control that fails"
    );
    assert!(!failing(&|d, s| {
        d.control("x", true);
        d.attack(s, |_| {});
    }));
}
