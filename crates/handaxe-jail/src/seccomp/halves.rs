//! The filter in two halves, because a process pays for every instruction that it loads.
//!
//! The server loads the first, once, and its children inherit it: the list's own answers, but for the
//! calls that making a child takes. Each child loads the second when it is made: the list's answers
//! to those, and nothing else. The kernel asks both and takes the stricter, which is the answer of
//! the whole list (`halves_say_what_the_whole_says`), so a tool meets the same filter as before and
//! the server one that it did not have.

use super::compile::{compile, compile_over};
use super::{Action, Arch, List, Rule, SeccompError, Syscall};

/// The two programs, ready for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halves {
    /// The server's, which its children inherit.
    pub inherited: Vec<u8>,
    /// The rest of it, each child's own.
    pub own: Vec<u8>,
}

/// What it takes to make a child and to put it away, where the list refuses it or ties it to
/// conditions, with numbers: x86_64, aarch64.
const SETUP: [(&str, Option<u32>, Option<u32>); 24] = [
    ("fork", Some(57), None),
    ("clone", Some(56), Some(220)),
    ("wait4", Some(61), Some(260)),
    ("kill", Some(62), Some(129)),
    ("pidfd_open", Some(434), Some(434)),
    ("pipe2", Some(293), Some(59)),
    ("sendmsg", Some(46), Some(211)),
    ("recvmsg", Some(47), Some(212)),
    ("unshare", Some(272), Some(97)),
    ("setns", Some(308), Some(268)),
    ("inotify_add_watch", Some(254), Some(27)),
    ("shmctl", Some(31), Some(195)),
    ("semctl", Some(66), Some(191)),
    ("msgctl", Some(71), Some(187)),
    ("sethostname", Some(170), Some(161)),
    ("mount", Some(165), Some(40)),
    ("open_tree", Some(428), Some(428)),
    ("move_mount", Some(429), Some(429)),
    ("statfs", Some(137), Some(43)),
    ("close_range", Some(436), Some(436)),
    ("capget", Some(125), Some(90)),
    ("capset", Some(126), Some(91)),
    ("prctl", Some(157), Some(167)),
    ("prlimit64", Some(302), Some(261)),
];
/// Loading the second half; refused by it.
const LOAD: (&str, Option<u32>, Option<u32>) = ("seccomp", Some(317), Some(277));

pub(super) fn halves(list: List, arch: Arch) -> Result<Halves, SeccompError> {
    let setup = || SETUP.iter().chain([&LOAD]);
    let (held_back, mut shared): (Vec<_>, Vec<_>) = list
        .syscalls
        .into_iter()
        .partition(|call| setup().any(|(name, ..)| *name == call.name));
    let named = |(name, x86_64, aarch64): &(&str, _, _), rules| Syscall {
        name: (*name).to_owned(),
        x86_64: *x86_64,
        aarch64: *aarch64,
        not_landlock: None,
        rules,
    };
    let allowed = || Rule {
        action: Action::Allow,
        when: Vec::new(),
        reason: "a child is made with it".to_owned(),
    };
    shared.extend(setup().map(|call| named(call, vec![allowed()])));
    let mut own: Vec<Syscall> = setup().map(|call| named(call, Vec::new())).collect();
    for call in held_back {
        own.retain(|other| other.name != call.name);
        own.push(call);
    }
    let list = |syscalls| List {
        _about: String::new(),
        syscalls,
    };
    Ok(Halves {
        inherited: compile(&list(shared), arch)?,
        own: compile_over(&list(own), arch, Action::Allow)?,
    })
}
