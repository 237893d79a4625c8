//! What a freshly forked child does to itself before it may meet untrusted code, top to bottom.

use super::kept;
use super::landlock;
use super::plan::{IDENTITY, Plan, Report, STEPS, layer};
use super::sys::{self, Errno, call, nr, prctl};
use super::text::Text;

/// Makes the next fork the first process of a new process-id namespace. `own` is an open
/// `/proc/self/ns/pid`: only from one's own namespace can another be made.
pub(crate) fn next_pid_namespace(own: usize) -> Result<(), Errno> {
    call(nr::SETNS, &[own, CLONE_NEWPID])?;
    call(nr::UNSHARE, &[CLONE_NEWPID]).map(drop)
}

/// Runs every step, and stops at the first that fails.
pub(crate) fn harden(plan: &Plan<'_>) -> Report {
    let mut report = Report::default();
    type Step = fn(&Plan<'_>, &mut Report) -> Result<(), Errno>;
    /// In namespaces, and without them.
    const BOTH: [(Step, Step); 16] = [
        (place_descriptors, place_descriptors),
        (join_cgroups, join_cgroups),
        (enter_namespaces, nothing),
        (map_ids, nothing),
        (confirm_pid_namespace, nothing),
        (confirm_namespaces, nothing),
        (measure, measure),
        (mount_scratch, enter_own_directory),
        (close_descriptors, close_descriptors),
        (mount_files, nothing),
        (confirm_read_only_root, nothing),
        (set_limits, set_limits),
        (drop_capabilities, confirm_no_capabilities),
        (give_up_privileges, die_with_the_server),
        (confine, confine),
        (filter, filter),
    ];
    for (index, (whole, bare)) in BOTH.into_iter().enumerate() {
        let step = if plan.is_bare() { bare } else { whole };
        let (layer, _) = STEPS[index + 1];
        // The first step is what a failure is told over.
        let done = if index > 0 && plan.lacks(layer) {
            Err(sys::ENOSYS)
        } else {
            step(plan, &mut report)
        };
        if let Err(errno) = done {
            report.step = index as u8 + 2;
            report.errno = errno;
            return report;
        }
    }
    report
}

const CLONE_NEWNS: usize = 0x0002_0000;
const CLONE_NEWCGROUP: usize = 0x0200_0000;
const CLONE_NEWUTS: usize = 0x0400_0000;
const CLONE_NEWIPC: usize = 0x0800_0000;
const CLONE_NEWUSER: usize = 0x1000_0000;
const CLONE_NEWPID: usize = 0x2000_0000;

#[expect(clippy::unnecessary_wraps, reason = "a step like the others")]
fn nothing(_: &Plan<'_>, _: &mut Report) -> Result<(), Errno> {
    Ok(())
}

/// No descriptor: a word of all ones.
const NONE: usize = usize::MAX;

pub(super) fn place_descriptors(plan: &Plan<'_>, _: &mut Report) -> Result<(), Errno> {
    for (to, from) in plan.pipes.into_iter().enumerate() {
        call(nr::DUP3, &[from, to, 0])?;
    }
    Ok(())
}

fn join_cgroups(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    for fd in plan.cgroups.into_iter().filter(|fd| *fd != NONE) {
        call(nr::WRITE, &[fd, b"0".as_ptr() as usize, 1])?;
        report.layers |= layer::CGROUP;
    }
    Ok(())
}

/// The namespaces that nothing but their names in `/proc/self` tells apart.
const NAMED: [(u32, &[u8]); 3] = [
    (layer::CGROUP_NAMESPACE, b"ns/cgroup\0"),
    (layer::MOUNT_NAMESPACE, b"ns/mnt\0"),
    (layer::IPC_NAMESPACE, b"ns/ipc\0"),
];

fn identity(own: usize, path: &[u8]) -> Result<[u8; IDENTITY], Errno> {
    let mut out = [0; IDENTITY];
    let at = out.as_mut_ptr() as usize;
    let args = [own, path.as_ptr() as usize, at, out.len()];
    call(nr::READLINKAT, &args)?;
    Ok(out)
}

/// Every look into `/proc` makes entries that the end of the process unmakes, so there are as few as
/// will do: a namespace that only its own root may change is confirmed by changing it.
fn enter_namespaces(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if plan.namespaces.len() != NAMED.len() * IDENTITY {
        return Err(sys::ENOTRECOVERABLE);
    }
    if let Some(rooms) = plan.rooms {
        report.lodged = rooms.enter()?;
    }
    let own = CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWCGROUP;
    let kept = CLONE_NEWNS | CLONE_NEWIPC;
    if report.lodged {
        call(nr::UNSHARE, &[own])?;
        report.layers |= layer::MOUNT_NAMESPACE | layer::IPC_NAMESPACE;
    } else if plan.inline {
        // It is yet to mount its files.
        call(nr::UNSHARE, &[own | kept])?;
    } else {
        // Not its own user namespace's, so that it has no right over them and they do not need it.
        call(nr::UNSHARE, &[kept])?;
        new_scratch(plan)?;
        let scratch = enter_scratch(plan, report, Some(plan.scratch_inodes as usize))?;
        // One that cannot be kept is as good for this call.
        let _ = kept::offer(plan, scratch);
        call(nr::UNSHARE, &[own])?;
    }
    if report.lodged {
        // Made by the one call that made the two that are confirmed below, or not at all.
        report.layers |= layer::CGROUP_NAMESPACE;
    } else {
        confirm_named(plan, report)?;
    }
    // In the server's own user namespace the server's user would have a name, and this process no
    // right to name the host.
    const NOBODY: usize = 65534;
    if call(nr::GETUID, &[])? == NOBODY {
        report.layers |= layer::USER_NAMESPACE;
    }
    let name = b"handaxe";
    if call(nr::SETHOSTNAME, &[name.as_ptr() as usize, name.len()]).is_ok() {
        report.layers |= layer::UTS_NAMESPACE;
    }
    Ok(())
}

/// Asks `/proc` whether these are the server's.
fn confirm_named(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    // Paths through it would look the process up again.
    let own = sys::open(plan.proc, b"self\0", sys::O_PATH | sys::O_DIRECTORY)?;
    let servers = plan.namespaces.chunks_exact(IDENTITY);
    for ((layer, path), servers) in NAMED.into_iter().zip(servers) {
        if servers != identity(own, path)? {
            report.layers |= layer;
        }
    }
    sys::close(own);
    Ok(())
}

/// Its user has no name in its user namespace, and gets none: nobody there can become anyone, nor
/// make a namespace within (`user_namespaces(7)`: the maker needs a name). Only who is to make files in
/// mounts of its own cannot do without one.
fn map_ids(plan: &Plan<'_>, _: &mut Report) -> Result<(), Errno> {
    if !plan.inline {
        return Ok(());
    }
    let own = sys::open(plan.proc, b"self\0", sys::O_PATH | sys::O_DIRECTORY)?;
    sys::write_file(own, b"setgroups\0", b"deny")?;
    sys::write_file(own, b"uid_map\0", b"1000 0 1")?;
    sys::write_file(own, b"gid_map\0", b"1000 0 1")?;
    sys::close(own);
    // No namespaces within: the filter says so too, and where /proc is read-only, it alone.
    let _ = sys::write_file(plan.proc, b"sys/user/max_user_namespaces\0", b"0");
    match call(nr::GETUID, &[])? {
        1000 => Ok(()),
        _ => Err(sys::EPERM),
    }
}

fn confirm_pid_namespace(_: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if (call(nr::GETPID, &[])?, call(nr::GETPPID, &[])?) != (1, 0) {
        return Err(sys::ENOTRECOVERABLE);
    }
    report.layers |= layer::PID_NAMESPACE;
    Ok(())
}

fn confirm_namespaces(_: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    let all = NAMED.iter().fold(
        layer::USER_NAMESPACE | layer::UTS_NAMESPACE,
        |all, (layer, _)| all | layer,
    );
    if report.layers & all == all {
        Ok(())
    } else {
        Err(sys::ENOTRECOVERABLE)
    }
}

/// How many pages a process has room for in its tables, its own file in `/proc` says.
pub(super) fn size(proc: usize) -> Result<u64, Errno> {
    let mut text = [0; 64];
    let len = sys::read_file(proc, b"self/statm\0", &mut text)?;
    let digits = text[..len].iter().take_while(|b| b.is_ascii_digit());
    Ok(digits.fold(0, |value, b| value * 10 + u64::from(b - b'0')))
}

pub(super) fn measure(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    report.pages = match plan.pages {
        0 => size(plan.proc)?,
        // The server's, of which it is a copy.
        known => known,
    };
    Ok(())
}

/// Where the rules that were kept wait until they are put on; closed then.
const SPARED: usize = 4;

/// As `poll` takes them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Asked {
    fd: i32,
    events: i16,
    seen: i16,
}

pub(super) fn close_descriptors(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if plan.skips(layer::CLOSED_DESCRIPTORS) {
        return Ok(());
    }
    let first = match plan.rooms.filter(|_| report.lodged) {
        Some(rooms) if rooms.rules == SPARED => SPARED + 1,
        Some(rooms) => call(nr::DUP3, &[rooms.rules, SPARED, 0])? + 1,
        None => 4,
    };
    // The highest number there is; some kernels take it for signed.
    call(nr::CLOSE_RANGE, &[first, i32::MAX as usize, 0])?;
    // Asked about all at once: one that is closed answers that it is none.
    const NO_SUCH: i16 = 0x20;
    let none = Asked {
        fd: 0,
        events: 0,
        seen: 0,
    };
    let mut asked = [none; 64];
    for (index, asked) in asked.iter_mut().enumerate() {
        asked.fd = (index + first) as i32;
    }
    let now = [0_u64; 2];
    let (at, time) = (asked.as_mut_ptr() as usize, now.as_ptr() as usize);
    call(nr::PPOLL, &[at, asked.len(), time, 0, 8])?;
    if asked.iter().any(|asked| asked.seen != NO_SUCH) {
        return Err(sys::ENOTRECOVERABLE);
    }
    report.layers |= layer::CLOSED_DESCRIPTORS;
    Ok(())
}

const MS_NOSUID: usize = 2;
const MS_NODEV: usize = 4;
const MS_NOEXEC: usize = 8;

fn mount_tmpfs(at: &[u8], options: &Text) -> Result<(), Errno> {
    let flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    let (kind, options) = (c"tmpfs".as_ptr() as usize, options.c().as_ptr() as usize);
    call(
        nr::MOUNT,
        &[kind, at.as_ptr() as usize, kind, flags, options],
    )
    .map(drop)
}

fn mount_scratch(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if plan.inline {
        new_scratch(plan)?;
    }
    let scratch = enter_scratch(plan, report, Some(plan.scratch_inodes as usize))?;
    match plan.rooms {
        // Only in that mount namespace is there this scratch.
        Some(rooms) if report.lodged && scratch != rooms.scratch => Err(sys::ENOTRECOVERABLE),
        _ => Ok(()),
    }
}

fn new_scratch(plan: &Plan<'_>) -> Result<(), Errno> {
    let options = Text::new()
        .push(b"mode=0700,size=")
        .number(plan.scratch_bytes);
    let options = options.push(b",nr_inodes=").number(plan.scratch_inodes);
    mount_tmpfs(b"/scratch\0", &options)
}

/// Goes there, and reads back that it is one, of what size, and empty; with any number of inodes
/// where `None` is wanted. Gives the word by which the kernel tells it from others.
pub(super) fn enter_scratch(
    plan: &Plan<'_>,
    report: &mut Report,
    wanted_inodes: Option<usize>,
) -> Result<usize, Errno> {
    const TMPFS: usize = 0x0102_1994;
    call(nr::CHDIR, &[c"/scratch".as_ptr() as usize])?;
    let mut seen = [0_usize; 32];
    call(
        nr::STATFS,
        &[c".".as_ptr() as usize, seen.as_mut_ptr() as usize],
    )?;
    let [kind, block, blocks, free, _, inodes, _, identity, ..] = seen;
    let wanted = (plan.scratch_bytes as usize).div_ceil(block.max(1));
    if kind != TMPFS
        || (blocks, free) != (wanted, wanted)
        || wanted_inodes.is_some_and(|w| w != inodes)
    {
        return Err(sys::ENOTRECOVERABLE);
    }
    report.layers |= layer::PRIVATE_SCRATCH;
    Ok(identity)
}

/// A directory of the host, which the server has just made for this child alone.
fn enter_own_directory(plan: &Plan<'_>, _: &mut Report) -> Result<(), Errno> {
    let path = beneath(plan, b"/scratch");
    call(nr::CHDIR, &[path.c().as_ptr() as usize]).map(drop)
}

/// A path in the child's own directory.
fn beneath(plan: &Plan<'_>, name: &[u8]) -> Text {
    let place = plan.place.strip_suffix(b"\0").unwrap_or(plan.place);
    Text::new().push(place).push(name)
}

/// `/data` and `/assets` become the call's own, with the session's files still in `/data`.
fn mount_files(plan: &Plan<'_>, _: &mut Report) -> Result<(), Errno> {
    const OPEN_TREE_CLONE: usize = 1;
    const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
    if !plan.inline {
        return Ok(());
    }
    // Descriptors of the session's files, while the new mount hides their names.
    let first = 4;
    let names = || plan.data.split_inclusive(|b| *b == 0);
    for (index, name) in names().enumerate() {
        let path = Text::new().push(b"/data/").push(&name[..name.len() - 1]);
        let flags = OPEN_TREE_CLONE | sys::O_CLOEXEC;
        let at = path.c().as_ptr() as usize;
        let fd = call(nr::OPEN_TREE, &[sys::AT_FDCWD, at, flags])?;
        // Every other descriptor is closed, so they come in order.
        if fd != first + index {
            return Err(sys::ENOTRECOVERABLE);
        }
    }
    for at in [b"/data\0".as_slice(), b"/assets\0"] {
        mount_tmpfs(at, &Text::new().push(b"mode=0700,size=2m,nr_inodes=2048"))?;
    }
    for (index, name) in names().enumerate() {
        let path = Text::new().push(b"/data/").push(&name[..name.len() - 1]);
        sys::close(sys::open(
            sys::AT_FDCWD,
            path.c(),
            sys::O_WRONLY | sys::O_CREAT,
        )?);
        let (fd, empty, at) = (
            first + index,
            c"".as_ptr() as usize,
            path.c().as_ptr() as usize,
        );
        let args = [fd, empty, sys::AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH];
        call(nr::MOVE_MOUNT, &args)?;
        sys::close(fd);
    }
    Ok(())
}

pub(super) fn confirm_read_only_root(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if plan.skips(layer::READ_ONLY_ROOT) {
        return Ok(());
    }
    match call(
        nr::MKDIRAT,
        &[sys::AT_FDCWD, c"/probe".as_ptr() as usize, 0o700],
    ) {
        Err(sys::EROFS) => report.layers |= layer::READ_ONLY_ROOT,
        Err(errno) => return Err(errno),
        Ok(_) => return Err(sys::ENOTRECOVERABLE),
    }
    Ok(())
}

/// Processes and threads.
const PROCESSES: usize = 6;

/// What no call may pass, whatever its own limits: resource number, value.
pub(super) const CEILINGS: [(usize, u64); 8] = [
    (4, 0),       // core
    (7, 1024),    // open files
    (3, 8 << 20), // stack
    (PROCESSES, 128),
    (8, 0),   // locked memory
    (11, 64), // pending signals
    (12, 0),  // message queues
    (14, 0),  // real-time priority
];

pub(super) fn set_limits(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if plan.skips(layer::RLIMITS) {
        return Ok(());
    }
    for (resource, value) in CEILINGS {
        // Without a user namespace the processes of everyone of this user count.
        if plan.is_bare() && resource == PROCESSES {
            continue;
        }
        lower_one(resource, value)?;
        if sys::get_rlimit(resource)?.hard > value {
            return Err(sys::ENOTRECOVERABLE);
        }
    }
    report.layers |= layer::RLIMITS;
    Ok(())
}

/// Lowers a limit, for good; one that is already lower stays.
pub(super) fn lower_one(resource: usize, value: u64) -> Result<(), Errno> {
    match sys::set_rlimit(resource, value) {
        // Only raising is refused, and then the soft limit comes down to the hard one.
        Err(sys::EPERM) => {
            let now = sys::get_rlimit(resource)?;
            sys::set_rlimit(resource, value.min(now.hard))
        }
        done => done,
    }
}

/// Lowers the call's own limits: pairs of little-endian words, resource and value.
pub(crate) fn lower(limits: &[u8]) -> Result<(), Errno> {
    for pair in limits.chunks_exact(16) {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&pair[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        lower_one(word(0) as usize, word(8))?;
    }
    Ok(())
}

fn drop_capabilities(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    const CAPBSET_DROP: usize = 24;
    const SET_SECUREBITS: usize = 28;
    /// No root, no fix-up, no keeping, no ambient set; each of them locked.
    const LOCKED: usize = 0xef;
    if plan.skips(layer::NO_CAPABILITIES) {
        return Ok(());
    }
    // The kernel knows none beyond the first that it refuses to speak of; of the others it has said
    // that each is gone, which is not asked again.
    let mut known = 0;
    while known < 64 && prctl(CAPBSET_DROP, known).is_ok() {
        known += 1;
    }
    if known == 0 {
        return Err(sys::EPERM);
    }
    prctl(SET_SECUREBITS, LOCKED)?;
    empty_capabilities()?;
    report.layers |= layer::NO_CAPABILITIES;
    Ok(())
}

/// An ordinary user has none to begin with, and may not empty the set of those that a program
/// could bring; with no new privileges no program brings any.
fn confirm_no_capabilities(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    if plan.skips(layer::NO_CAPABILITIES) {
        return Ok(());
    }
    empty_capabilities()?;
    report.layers |= layer::NO_CAPABILITIES;
    Ok(())
}

/// Gives up every capability that is held, and looks.
fn empty_capabilities() -> Result<(), Errno> {
    let header = [0x2008_0522_u32, 0];
    let (none, mut seen) = ([0_u32; 6], [1_u32; 6]);
    call(
        nr::CAPSET,
        &[header.as_ptr() as usize, none.as_ptr() as usize],
    )?;
    call(
        nr::CAPGET,
        &[header.as_ptr() as usize, seen.as_mut_ptr() as usize],
    )?;
    if seen == none {
        Ok(())
    } else {
        Err(sys::ENOTRECOVERABLE)
    }
}

pub(super) fn give_up_privileges(_: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    const SET_DUMPABLE: usize = 4;
    const SET_NO_NEW_PRIVS: usize = 38;
    const GET_NO_NEW_PRIVS: usize = 39;
    // Also keeps other processes of the same user from tracing it.
    prctl(SET_DUMPABLE, 0)?;
    prctl(SET_NO_NEW_PRIVS, 1)?;
    if prctl(GET_NO_NEW_PRIVS, 0)? != 1 {
        return Err(sys::ENOTRECOVERABLE);
    }
    report.layers |= layer::NO_NEW_PRIVILEGES;
    Ok(())
}

/// Where no namespace takes a child down with its server, the kernel is asked to.
fn die_with_the_server(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    const SET_PDEATHSIG: usize = 1;
    const SIGKILL: usize = 9;
    prctl(SET_PDEATHSIG, SIGKILL)?;
    give_up_privileges(plan, report)
}

/// What this child may read, and where it may work.
pub(super) fn rules(plan: &Plan<'_>, abi: u64) -> Result<landlock::Ruleset, Errno> {
    let own = [b"/scratch".as_slice(), b"/data", b"/assets"].map(|name| beneath(plan, name));
    let own = own.each_ref().map(Text::c);
    let own = if plan.inline { &own[..] } else { &own[..1] };
    landlock::rules(abi, plan.readable.split_inclusive(|b| *b == 0), own)
}

pub(super) fn confine(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    let abi = landlock::abi();
    report.abi = abi as u32;
    if plan.skips(layer::LANDLOCK) {
        return Ok(());
    }
    let floor = if plan.is_bare() {
        landlock::FLOOR_ALONE
    } else {
        landlock::FLOOR
    };
    if abi < floor {
        return Err(sys::ENOSYS);
    }
    let rules = if report.lodged {
        landlock::Ruleset::held(SPARED)
    } else {
        rules(plan, abi)?
    };
    rules.restrict()?;
    drop(rules);
    if report.lodged && call(nr::CLOSE, &[SPARED]) != Err(sys::EBADF) {
        return Err(sys::ENOTRECOVERABLE);
    }
    // The root directory may be read by its permissions and by no rule.
    match sys::open(sys::AT_FDCWD, b"/\0", sys::O_DIRECTORY) {
        Err(sys::EACCES) => report.layers |= layer::LANDLOCK,
        Err(errno) => return Err(errno),
        Ok(_) => return Err(sys::ENOTRECOVERABLE),
    }
    Ok(())
}

#[repr(C)]
struct Program {
    len: u16,
    instructions: *const u8,
}

/// Loads a filter for good.
fn load(program: &[u8]) -> Result<(), Errno> {
    const SET_MODE_FILTER: usize = 1;
    let program = Program {
        len: (program.len() / 8) as u16,
        instructions: program.as_ptr(),
    };
    let at = &raw const program as usize;
    call(nr::SECCOMP, &[SET_MODE_FILTER, 0, at]).map(drop)
}

/// The half that every child inherits. That it is there is what [`filter`] finds out in each child,
/// so what fails here is told there.
pub(super) fn load_inherited(plan: &Plan<'_>) {
    if !plan.skips(layer::SECCOMP) {
        let _ = load(plan.inherited);
    }
}

pub(super) fn filter(plan: &Plan<'_>, report: &mut Report) -> Result<(), Errno> {
    const AF_UNIX: usize = 1;
    const SOCK_STREAM: usize = 1;
    if plan.skips(layer::SECCOMP) {
        return Ok(());
    }
    load(plan.filter)?;
    // One that either half refuses.
    let refused = [
        call(nr::SOCKET, &[AF_UNIX, SOCK_STREAM, 0]),
        call(nr::UNSHARE, &[0]),
    ];
    if refused.iter().any(|answer| *answer != Err(sys::EPERM)) {
        return Err(sys::ENOTRECOVERABLE);
    }
    report.layers |= layer::SECCOMP;
    Ok(())
}

/// Waits to be killed: the host reads what the call used while the process still stands.
pub(crate) fn rest() -> ! {
    loop {
        let _ = call(nr::PPOLL, &[0, 0, 0, 0, 0]);
    }
}

/// The hook's own code failed: end at once, without a result.
pub(crate) fn die() -> ! {
    sys::exit(70)
}
