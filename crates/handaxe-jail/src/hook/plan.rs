//! What a child is told to do to itself, and what it reports: both as bytes, because the trusted
//! Python between the host and the child only passes them on.

use super::kept::{Offer, Rooms};
use super::sys::Errno;

/// One bit per layer, in the order of `handaxe_types::Layer`.
pub(crate) mod layer {
    pub(crate) const USER_NAMESPACE: u32 = 1 << 1;
    pub(crate) const PID_NAMESPACE: u32 = 1 << 2;
    pub(crate) const MOUNT_NAMESPACE: u32 = 1 << 3;
    pub(crate) const IPC_NAMESPACE: u32 = 1 << 5;
    pub(crate) const UTS_NAMESPACE: u32 = 1 << 6;
    pub(crate) const CGROUP_NAMESPACE: u32 = 1 << 7;
    pub(crate) const READ_ONLY_ROOT: u32 = 1 << 8;
    pub(crate) const PRIVATE_SCRATCH: u32 = 1 << 9;
    pub(crate) const LANDLOCK: u32 = 1 << 10;
    pub(crate) const NO_CAPABILITIES: u32 = 1 << 11;
    pub(crate) const NO_NEW_PRIVILEGES: u32 = 1 << 12;
    pub(crate) const SECCOMP: u32 = 1 << 13;
    pub(crate) const RLIMITS: u32 = 1 << 14;
    pub(crate) const CGROUP: u32 = 1 << 15;
    pub(crate) const CLOSED_DESCRIPTORS: u32 = 1 << 16;
}

/// The steps, in order: the layer each one makes, and what it does, for "failed to …".
pub(crate) const STEPS: &[(u32, &str)] = &[
    (layer::CLOSED_DESCRIPTORS, "read the plan"),
    (
        layer::CLOSED_DESCRIPTORS,
        "put the call's descriptors in place",
    ),
    (layer::CGROUP, "join the call's control groups"),
    (
        layer::USER_NAMESPACE,
        "enter new user, mount, ipc, uts and cgroup namespaces",
    ),
    (layer::USER_NAMESPACE, "map the one user and group"),
    (
        layer::PID_NAMESPACE,
        "confirm a process-id namespace of its own",
    ),
    (layer::MOUNT_NAMESPACE, "confirm its other namespaces"),
    (layer::RLIMITS, "measure its own size"),
    (layer::PRIVATE_SCRATCH, "mount its scratch"),
    (layer::CLOSED_DESCRIPTORS, "close every other descriptor"),
    (
        layer::PRIVATE_SCRATCH,
        "lay out the directories for the call's own files",
    ),
    (layer::READ_ONLY_ROOT, "confirm that the root is read-only"),
    (layer::RLIMITS, "set resource limits"),
    (layer::NO_CAPABILITIES, "drop every capability"),
    (layer::NO_NEW_PRIVILEGES, "give up new privileges"),
    (layer::LANDLOCK, "confine itself with Landlock"),
    (layer::SECCOMP, "load the system-call filter"),
];

/// How hardening went. In bytes: step (0: all done), errno, layers, size in pages, Landlock's ABI.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Index into [`STEPS`] plus one of the step that failed; 0 when none did.
    pub(crate) step: u8,
    pub(crate) errno: Errno,
    pub(crate) layers: u32,
    pub(crate) pages: u64,
    pub(crate) abi: u32,
    /// Whether it moved into namespaces that were kept; not told.
    pub(crate) lodged: bool,
}

impl Report {
    pub(crate) fn to_bytes(&self) -> [u8; 21] {
        let mut out = [0; 21];
        out[0] = self.step;
        out[1..5].copy_from_slice(&self.errno.to_le_bytes());
        out[5..9].copy_from_slice(&self.layers.to_le_bytes());
        out[9..17].copy_from_slice(&self.pages.to_le_bytes());
        out[17..21].copy_from_slice(&self.abi.to_le_bytes());
        out
    }
}

/// Bytes of a namespace's identity, such as `mnt:[4026531841]`.
pub(crate) const IDENTITY: usize = 32;

/// What the server tells a child: eighteen little-endian words, then the filter in
/// its two parts, the directories
/// that may be read, the names mounted in `/data`, each ending in NUL, the identities of the server's
/// own namespaces, and the child's own directory where it has no namespaces, ending in NUL as well.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// Become descriptors 0, 1, 2 and 3.
    pub(crate) pipes: [usize; 4],
    /// The host's `/proc`.
    pub(crate) proc: usize,
    pub(crate) cgroups: [usize; 2],
    pub(crate) scratch_bytes: u64,
    pub(crate) scratch_inodes: u64,
    /// Whether this child can take files with its call.
    pub(crate) inline: bool,
    /// Whom it tells of its namespaces, so that they may be kept.
    pub(crate) offer: Option<Offer>,
    /// Kept ones that it moves into.
    pub(crate) rooms: Option<Rooms>,
    /// The size that the server has, in pages; 0 where a process asks for itself.
    pub(crate) pages: u64,
    /// Layers that a test takes away, or pretends are missing.
    #[cfg_attr(
        not(feature = "testing"),
        expect(dead_code, reason = "read by tests alone")
    )]
    skip: u32,
    #[cfg_attr(
        not(feature = "testing"),
        expect(dead_code, reason = "read by tests alone")
    )]
    missing: u32,
    /// The half of the filter that the server loads for all its children; empty where there is none
    /// to inherit and `filter` is the whole of it.
    pub(crate) inherited: &'a [u8],
    pub(crate) filter: &'a [u8],
    pub(crate) readable: &'a [u8],
    pub(crate) data: &'a [u8],
    /// What `/proc/self/ns` shows the server, in the order of `child::NAMED`, each padded with
    /// NUL to [`IDENTITY`] bytes.
    pub(crate) namespaces: &'a [u8],
    /// Its own directory in the host's tree, where it has no namespaces; empty otherwise.
    pub(crate) place: &'a [u8],
}

impl<'a> Plan<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        const WORDS: usize = 18;
        let (head, rest) = bytes.split_at_checked(WORDS * 8)?;
        let mut words = [0_u64; WORDS];
        for (word, chunk) in words.iter_mut().zip(head.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        let (inherited, rest) = rest.split_at_checked(words[17] as usize)?;
        let (filter, rest) = rest.split_at_checked(words[13] as usize)?;
        let (readable, rest) = rest.split_at_checked(words[14] as usize)?;
        let (data, rest) = rest.split_at_checked(words[15] as usize)?;
        let (namespaces, rest) = rest.split_at_checked(words[16] as usize)?;
        let (place, rest) = rest.split_at_checked(words[10] as usize)?;
        rest.is_empty().then_some(Self {
            pipes: [0, 1, 2, 3].map(|at| words[at] as usize),
            proc: words[4] as usize,
            cgroups: [5, 6].map(|at| words[at] as usize),
            scratch_bytes: words[7],
            scratch_inodes: words[8],
            inline: words[9] != 0,
            offer: None,
            rooms: None,
            pages: 0,
            skip: words[11] as u32,
            missing: words[12] as u32,
            inherited,
            filter,
            readable,
            data,
            namespaces,
            place,
        })
    }

    /// Whether the layers that need no namespace are all that there is.
    pub(crate) fn is_bare(&self) -> bool {
        !self.place.is_empty()
    }

    /// Whether a test asked for life without this layer. Never, in anything that is shipped.
    #[cfg(feature = "testing")]
    pub(crate) fn skips(&self, layer: u32) -> bool {
        self.skip & layer != 0
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "the signature of the test's version")]
    pub(crate) fn skips(&self, _: u32) -> bool {
        false
    }

    #[cfg(feature = "testing")]
    pub(crate) fn lacks(&self, layer: u32) -> bool {
        self.missing & layer != 0
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "the signature of the test's version")]
    pub(crate) fn lacks(&self, _: u32) -> bool {
        false
    }
}
