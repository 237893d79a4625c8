//! The server's loop: a child for every word of the host's, and word of how each child ended.
//!
//! It is here and not in Python because a process that forks pays for every page that it writes
//! between two forks, a fault and a copy each: the interpreter's own loop wrote eighty, this one a
//! few. The fork itself is still Python's, which knows what must happen around it.
//!
//! One packet a word, little-endian:
//!
//! ```text
//! M + id, scratch bytes, scratch inodes, takes files?   make a child (control groups attached)
//! -> C + id, with the child's four pipe ends and pidfd
//! -> X + id, status, user and system seconds, peak KiB      it ended
//! -> F + id, errno                                          it could not be made
//! ```

use super::child;
use super::kept::Kept;
use super::packet;
use super::plan::{Plan, Report};
use super::sys::{self, Errno, call, nr};
use super::text::Text;

/// The socket to the host.
const CONTROL: usize = 3;
/// As many as there may be at once; their descriptors are bounded alike.
const MOST: usize = 1000;
const NONE: usize = usize::MAX;

/// A child that lives, or was not put away yet.
#[derive(Clone, Copy)]
struct Child {
    id: u64,
    pid: usize,
}

/// The kernel's `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Watched {
    fd: i32,
    wanted: i16,
    seen: i16,
}

impl Watched {
    fn new(fd: usize) -> Self {
        const IN: i16 = 1;
        Self {
            fd: fd as i32,
            wanted: IN,
            seen: 0,
        }
    }
}

/// What the host asks for.
struct Wanted {
    id: u64,
    scratch_bytes: u64,
    scratch_inodes: u64,
    inline: bool,
    groups: [usize; 2],
}

/// What came of a fork.
#[expect(
    clippy::large_enum_variant,
    reason = "nothing here allocates, and it is looked at once"
)]
enum Made {
    Parent {
        pid: usize,
        pidfd: usize,
        ends: [usize; 4],
    },
    Child(Report, Text),
}

/// Serves until the host is gone, which ends the process; returns in a child alone, with how its
/// hardening went and its own directory. `plan` holds what is the same for all of them, with the
/// directory beneath which each gets its own where there are no namespaces.
pub(crate) fn serve(plan: &Plan<'_>, fork: impl Fn() -> Result<usize, Errno>) -> (Report, Text) {
    let namespace = own_namespace(plan);
    // Children are copies of the server, which grows no more.
    let mut plan = *plan;
    plan.pages = child::size(plan.proc).unwrap_or(0);
    let plan = &plan;
    let mut kept = Kept::new(plan);
    child::load_inherited(plan);
    let mut watched = [Watched::new(CONTROL); 1 + MOST];
    let mut children = [Child { id: 0, pid: 0 }; 1 + MOST];
    let mut count = 1;
    loop {
        let at = watched.as_mut_ptr() as usize;
        match call(nr::PPOLL, &[at, count, 0, 0, 0]) {
            Ok(_) => {}
            Err(sys::EINTR) => continue,
            Err(_) => child::die(),
        }
        for at in (1..count).rev() {
            if watched[at].seen != 0 {
                ended(children[at]);
                kept.ended(children[at].id);
                sys::close(watched[at].fd as usize);
                count -= 1;
                (watched[at], children[at]) = (watched[count], children[count]);
            }
        }
        if watched[0].seen == 0 {
            continue;
        }
        let Some(wanted) = receive() else {
            continue;
        };
        let made = if count > MOST {
            Err(sys::EMFILE)
        } else {
            make(plan, namespace, &wanted, &mut kept, &fork)
        };
        match made {
            Ok(Made::Child(report, place)) => return (report, place),
            Ok(Made::Parent { pid, pidfd, ends }) => {
                let [a, b, c, d] = ends.map(|fd| fd as i32);
                send(b'C', wanted.id, &[], &[a, b, c, d, pidfd as i32]);
                ends.into_iter().for_each(sys::close);
                watched[count] = Watched::new(pidfd);
                children[count] = Child { id: wanted.id, pid };
                count += 1;
            }
            Err(errno) => send(b'F', wanted.id, &errno.to_le_bytes(), &[]),
        }
        for group in wanted.groups.into_iter().filter(|fd| *fd != NONE) {
            sys::close(group);
        }
    }
}

/// Open: only from one's own process-id namespace can another be made.
fn own_namespace(plan: &Plan<'_>) -> usize {
    if plan.is_bare() {
        return NONE;
    }
    match sys::open(plan.proc, b"self/ns/pid\0", 0) {
        Ok(fd) => fd,
        Err(_) => child::die(),
    }
}

fn make(
    plan: &Plan<'_>,
    namespace: usize,
    wanted: &Wanted,
    kept: &mut Kept,
    fork: &impl Fn() -> Result<usize, Errno>,
) -> Result<Made, Errno> {
    let place = if plan.is_bare() {
        own_place(plan.place, wanted.id)?
    } else {
        child::next_pid_namespace(namespace)?;
        Text::new()
    };
    let mut pipes = Pipes([NONE; 8]);
    pipes.open()?;
    let [request, out, err, result] = [0, 1, 2, 3].map(|n| [pipes.0[2 * n], pipes.0[2 * n + 1]]);
    let theirs = [request[0], out[1], err[1], result[1]];
    let ends = [request[1], out[0], err[0], result[0]];
    let mut plan = *plan;
    plan.pipes = theirs;
    plan.cgroups = wanted.groups;
    plan.scratch_bytes = wanted.scratch_bytes;
    plan.scratch_inodes = wanted.scratch_inodes;
    plan.inline = wanted.inline;
    kept.lodge(wanted.id, &mut plan);
    let pid = match fork() {
        Ok(pid) => pid,
        Err(errno) => {
            kept.ended(wanted.id);
            return Err(errno);
        }
    };
    if pid == 0 {
        if plan.is_bare() {
            plan.place = place.c();
        }
        // The child closes them itself, or keeps them as its own.
        core::mem::forget(pipes);
        return Ok(Made::Child(child::harden(&plan), place));
    }
    let pidfd = match call(nr::PIDFD_OPEN, &[pid, 0]) {
        Ok(pidfd) => pidfd,
        Err(errno) => {
            const SIGKILL: usize = 9;
            let _ = call(nr::KILL, &[pid, SIGKILL]);
            let _ = call(nr::WAIT4, &[pid, 0, 0, 0]);
            kept.ended(wanted.id);
            return Err(errno);
        }
    };
    core::mem::forget(pipes);
    theirs.into_iter().for_each(sys::close);
    Ok(Made::Parent { pid, pidfd, ends })
}

/// Four of them, as reader and writer; dropping closes what is open.
struct Pipes([usize; 8]);

impl Pipes {
    fn open(&mut self) -> Result<(), Errno> {
        for pair in self.0.chunks_exact_mut(2) {
            let mut fds = [0_i32; 2];
            call(nr::PIPE2, &[fds.as_mut_ptr() as usize, sys::O_CLOEXEC])?;
            pair.copy_from_slice(&fds.map(|fd| fd as usize));
        }
        Ok(())
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        for fd in self.0 {
            if fd != NONE {
                sys::close(fd);
            }
        }
    }
}

/// The child's directory, where it cannot have a root of its own. The host removes it.
fn own_place(base: &[u8], id: u64) -> Result<Text, Errno> {
    let path = || {
        let base = base.strip_suffix(b"\0").unwrap_or(base);
        Text::new().push(base).push(b"/").number(id)
    };
    for name in [b"".as_slice(), b"/scratch", b"/data", b"/assets"] {
        let path = path().push(name);
        let args = [sys::AT_FDCWD, path.c().as_ptr() as usize, 0o700];
        call(nr::MKDIRAT, &args)?;
    }
    Ok(path())
}

/// Puts one that ended away, and says how it went.
fn ended(child: Child) {
    // `struct rusage`: user time, system time, the peak in KiB, and more.
    let (mut status, mut usage) = (0_i32, [0_i64; 18]);
    let (at, used) = (&raw mut status as usize, usage.as_mut_ptr() as usize);
    if call(nr::WAIT4, &[child.pid, at, 0, used]).is_err() {
        child::die();
    }
    let seconds = |at: usize| (usage[at] as f64 + usage[at + 1] as f64 * 1e-6).to_le_bytes();
    let mut rest = [0; 28];
    rest[..4].copy_from_slice(&status.to_le_bytes());
    rest[4..12].copy_from_slice(&seconds(0));
    rest[12..20].copy_from_slice(&seconds(2));
    rest[20..].copy_from_slice(&usage[4].to_le_bytes());
    send(b'X', child.id, &rest, &[]);
}

fn send(kind: u8, id: u64, rest: &[u8], fds: &[i32]) {
    let mut text = [0; 40];
    text[0] = kind;
    text[1..9].copy_from_slice(&id.to_le_bytes());
    text[9..9 + rest.len()].copy_from_slice(rest);
    // A host that is gone is heard of by the next poll.
    let _ = packet::send(CONTROL, &text[..9 + rest.len()], fds);
}

/// The host's next wish; the process ends where there is no host any more.
fn receive() -> Option<Wanted> {
    let packet = match packet::receive(CONTROL) {
        Err(sys::EINTR) => return None,
        Ok(None) | Err(_) => sys::exit(0),
        Ok(Some(packet)) => packet,
    };
    if packet.kind() != b'M' || packet.len < 33 || packet.fds().len() > 2 {
        packet.close();
        return None;
    }
    let mut groups = [NONE; 2];
    for (group, fd) in groups.iter_mut().zip(packet.fds()) {
        *group = *fd as usize;
    }
    Some(Wanted {
        id: packet.word(1),
        scratch_bytes: packet.word(9),
        scratch_inodes: packet.word(17),
        inline: packet.word(25) != 0,
        groups,
    })
}
