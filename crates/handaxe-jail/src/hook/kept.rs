//! What a child leaves as it found it serves the next: an empty scratch in its mount namespace, and
//! an ipc namespace in which nothing was made.
//!
//! To make and unmake the two costs a tenth of a call's processor time. They are as good as new
//! where nothing was done in them, and that is asked, not hoped: the kernel tells the server of
//! anything that is opened, made, changed or removed in the scratch (inotify), and each child asks
//! its ipc namespace for what is in it before it goes on. A scratch in which anything was done goes
//! with its child. Landlock's rules name the scratch, and are kept with it. Only the plain kind is
//! kept: a child that takes files has mounts of its own.
//!
//! The user, process-id, uts and cgroup namespaces are each child's own. A mount namespace that may
//! be kept belongs to the server's user namespace, so that not even the root of the child's own has
//! a right to mount in it.

use super::packet::{self, Packet};
use super::plan::{Plan, layer};
use super::sys::{self, Errno, call, nr};
use super::{child, landlock};

/// So many sets, with children or between two.
const MOST: usize = 16;
const NONE: usize = usize::MAX;

/// The namespaces of a child that ended, by descriptor, and what its scratch says it is.
#[derive(Clone, Copy)]
pub(crate) struct Rooms {
    pub(crate) mounts: usize,
    pub(crate) ipc: usize,
    /// What Landlock lets a child do, its scratch among it.
    pub(crate) rules: usize,
    /// The scratch's `f_fsid`: random, so that no other file system has it.
    pub(crate) scratch: usize,
    /// Who moves in, and where it tells that it could not.
    child: u64,
    to: usize,
}

/// Where a child tells what the server may keep.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) id: u64,
    to: usize,
    /// The server's inotify instance.
    watch: usize,
}

#[derive(Clone, Copy)]
struct Set {
    rooms: Rooms,
    watch: u64,
    bytes: u64,
    inodes: u64,
    /// The child that is in it.
    child: Option<u64>,
    touched: bool,
}

/// The server's side.
pub(super) struct Kept {
    sets: [Option<Set>; MOST],
    watch: usize,
    /// Where offers come from, and what children send them to.
    from: usize,
    to: usize,
}

impl Kept {
    /// To be made before the server has a filter. One that cannot be made keeps nothing.
    pub(super) fn new(plan: &Plan<'_>) -> Self {
        const AF_UNIX: usize = 1;
        const SEQPACKET: usize = 5;
        const NONBLOCK: usize = 0o4000;
        let mut kept = Self {
            sets: [None; MOST],
            watch: NONE,
            from: NONE,
            to: NONE,
        };
        // Where a test does without what the next child would lean on, each makes its own.
        let leaned_on = layer::LANDLOCK | layer::CLOSED_DESCRIPTORS;
        if plan.is_bare() || plan.skips(leaned_on) {
            return kept;
        }
        let mut ends = [0_i32; 2];
        let kind = SEQPACKET | NONBLOCK | sys::O_CLOEXEC;
        let pair = call(
            nr::SOCKETPAIR,
            &[AF_UNIX, kind, 0, ends.as_mut_ptr() as usize],
        );
        let watch = call(nr::INOTIFY_INIT1, &[NONBLOCK | sys::O_CLOEXEC]);
        if let (Ok(_), Ok(watch)) = (pair, watch) {
            kept.watch = watch;
            (kept.from, kept.to) = (ends[0] as usize, ends[1] as usize);
        }
        kept
    }

    /// What a child of this kind moves into, or else whom it tells of what it makes.
    pub(super) fn lodge(&mut self, id: u64, plan: &mut Plan<'_>) {
        if plan.inline || self.watch == NONE {
            return;
        }
        self.hear_offers();
        let fits = |set: &&mut Set| {
            set.child.is_none()
                && (set.bytes, set.inodes) == (plan.scratch_bytes, plan.scratch_inodes)
        };
        if let Some(set) = self.sets.iter_mut().flatten().find(fits) {
            set.child = Some(id);
            plan.rooms = Some(Rooms {
                child: id,
                ..set.rooms
            });
        } else if self.sets.iter().any(Option::is_none) {
            let (to, watch) = (self.to, self.watch);
            plan.offer = Some(Offer { id, to, watch });
        }
    }

    /// A child has ended, with everything in its process-id namespace.
    pub(super) fn ended(&mut self, id: u64) {
        self.hear_offers();
        self.hear_changes();
        for place in &mut self.sets {
            let Some(set) = place.as_mut().filter(|set| set.child == Some(id)) else {
                continue;
            };
            set.child = None;
            if set.touched {
                sys::close(set.rooms.mounts);
                sys::close(set.rooms.ipc);
                sys::close(set.rooms.rules);
                *place = None;
            }
        }
    }

    fn hear_offers(&mut self) {
        while let Ok(Some(packet)) = packet::receive(self.from) {
            if packet.len == 8 {
                let spoilt = |set: &&mut Set| set.child == Some(packet.word(0));
                if let Some(set) = self.sets.iter_mut().flatten().find(spoilt) {
                    set.touched = true;
                }
                continue;
            }
            let place = self.sets.iter_mut().find(|place| place.is_none());
            match (offered(&packet, self.to), place) {
                (Some(set), Some(place)) => *place = Some(set),
                _ => packet.close(),
            }
        }
    }

    /// Reads what the kernel has to say of every scratch that is kept. A call may go on making it
    /// say more: past a whole queue of it, all of them count as touched.
    fn hear_changes(&mut self) {
        /// A queue holds 16,384 events, of 16 bytes and more.
        const READS: usize = 256;
        // `struct inotify_event`: watch, mask, cookie, length of a name that follows.
        const HEAD: usize = 16;
        const OVERFLOW: u32 = 0x4000;
        let mut text = [0_u8; 4096];
        for _ in 0..READS {
            let at = text.as_mut_ptr() as usize;
            let Ok(len) = call(nr::READ, &[self.watch, at, text.len()]) else {
                return;
            };
            // A child offers before it can touch: of what was read, every offer is there by now, and
            // of what was offered before the reading, perhaps not.
            self.hear_offers();
            let mut rest = &text[..len];
            while let Some((head, after)) = rest.split_at_checked(HEAD) {
                let word =
                    |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap_or_default());
                for set in self.sets.iter_mut().flatten() {
                    if set.watch == u64::from(word(0)) || word(4) & OVERFLOW != 0 {
                        set.touched = true;
                    }
                }
                rest = after.get(word(12) as usize..).unwrap_or_default();
            }
        }
        for set in self.sets.iter_mut().flatten() {
            set.touched = true;
        }
    }
}

const WORDS: usize = 5;

fn offered(packet: &Packet, to: usize) -> Option<Set> {
    let [mounts, ipc, rules] = packet.fds() else {
        return None;
    };
    (packet.len == WORDS * 8).then_some(Set {
        rooms: Rooms {
            mounts: *mounts as usize,
            ipc: *ipc as usize,
            rules: *rules as usize,
            scratch: packet.word(8) as usize,
            child: packet.word(0),
            to,
        },
        watch: packet.word(16),
        bytes: packet.word(24),
        inodes: packet.word(32),
        child: Some(packet.word(0)),
        touched: false,
    })
}

// ---------------------------------------------------------------- the child's side

const CLONE_NEWNS: usize = 0x0002_0000;
const CLONE_NEWIPC: usize = 0x0800_0000;

impl Rooms {
    /// Moves in, while the child is still root where the server is; `false` where something was left
    /// in the ipc namespace, and the child then needs another.
    pub(super) fn enter(&self) -> Result<bool, Errno> {
        call(nr::SETNS, &[self.ipc, CLONE_NEWIPC])?;
        if !ipc_is_empty()? {
            // Unheard, the next child asks as this one did.
            let _ = packet::send(self.to, &self.child.to_le_bytes(), &[]);
            return Ok(false);
        }
        call(nr::SETNS, &[self.mounts, CLONE_NEWNS])?;
        Ok(true)
    }
}

/// Whether there is no shared memory, semaphore or message queue. POSIX's queues need no question:
/// the limit on their bytes is nought.
fn ipc_is_empty() -> Result<bool, Errno> {
    const MSG_INFO: usize = 12;
    const SHM_INFO: usize = 14;
    const SEM_INFO: usize = 19;
    // Larger than `struct shm_info`, `seminfo` and `msginfo`. What the calls give is the highest
    // index in use, 0 for one and for none alike: the counts tell.
    let mut info = [0_u64; 16];
    let at = info.as_mut_ptr() as usize;
    call(nr::SHMCTL, &[0, SHM_INFO, at])?;
    let shared = info[0] as u32;
    call(nr::SEMCTL, &[0, 0, SEM_INFO, at])?;
    // `semusz`, the eighth: sets in use.
    let semaphores = (info[3] >> 32) as u32;
    call(nr::MSGCTL, &[0, MSG_INFO, at])?;
    // `msgpool`, the first: queues in use.
    let queues = info[0] as u32;
    Ok((shared, semaphores, queues) == (0, 0, 0))
}

/// Tells the server of the new namespaces and of the scratch, which from here on is watched. Where
/// that fails, they go with this child. Said while the child is still the server's equal: what is
/// opened holds on to who opened it, and with that to a user namespace and its keys.
pub(super) fn offer(plan: &Plan<'_>, scratch: usize) -> Result<(), Errno> {
    /// Everything that inotify tells of.
    const ALL: usize = 0xfff;
    let Some(offer) = plan.offer else {
        return Ok(());
    };
    let path = c"/scratch".as_ptr() as usize;
    let watch = call(nr::INOTIFY_ADD_WATCH, &[offer.watch, path, ALL])?;
    let mounts = sys::open(plan.proc, b"self/ns/mnt\0", 0)?;
    let ipc = sys::open(plan.proc, b"self/ns/ipc\0", 0)?;
    let rules = child::rules(plan, landlock::abi())?;
    let mut text = [0; WORDS * 8];
    let words = [
        offer.id,
        scratch as u64,
        watch as u64,
        plan.scratch_bytes,
        plan.scratch_inodes,
    ];
    for (place, word) in text.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let fds = [mounts, ipc, rules.fd()].map(|fd| fd as i32);
    packet::send(offer.to, &text, &fds)
}
