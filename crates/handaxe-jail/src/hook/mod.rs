//! The hook: what a child does to itself between the fork and the first untrusted byte.
//!
//! This folder is compiled twice. `main.rs` is the root of the extension module that the jail's
//! Python loads (`no_std`, the stable ABI declared in `python.rs`, no C library); this file is the
//! same code inside the crate, where it is linted and tested and gives the launcher its names.

#![expect(dead_code, reason = "most of it runs only in the extension module")]

mod child;
mod contained;
mod kept;
mod landlock;
mod packet;
mod plan;
mod serve;
mod sys;
mod text;

/// The step of a child's report (1-based): its layer's bit, and what was being done.
pub(crate) fn step(number: u8) -> Option<(u32, &'static str)> {
    let (table, number) = match number.checked_sub(contained::FIRST_STEP) {
        Some(number) => (contained::STEPS, number),
        None => (plan::STEPS, number),
    };
    table.get(usize::from(number).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_the_c_library() {
        let known = [
            ("READ", libc::SYS_read),
            ("WRITE", libc::SYS_write),
            ("CLOSE", libc::SYS_close),
            ("SHMCTL", libc::SYS_shmctl),
            ("SENDMSG", libc::SYS_sendmsg),
            ("RECVMSG", libc::SYS_recvmsg),
            ("WAIT4", libc::SYS_wait4),
            ("KILL", libc::SYS_kill),
            ("GETPID", libc::SYS_getpid),
            ("SOCKET", libc::SYS_socket),
            ("CHDIR", libc::SYS_chdir),
            ("SOCKETPAIR", libc::SYS_socketpair),
            ("SEMCTL", libc::SYS_semctl),
            ("MSGCTL", libc::SYS_msgctl),
            ("GETUID", libc::SYS_getuid),
            ("GETPPID", libc::SYS_getppid),
            ("CAPGET", libc::SYS_capget),
            ("CAPSET", libc::SYS_capset),
            ("PRCTL", libc::SYS_prctl),
            ("MOUNT", libc::SYS_mount),
            ("SETHOSTNAME", libc::SYS_sethostname),
            ("STATFS", libc::SYS_statfs),
            ("INOTIFY_ADD_WATCH", libc::SYS_inotify_add_watch),
            ("OPENAT", libc::SYS_openat),
            ("MKDIRAT", libc::SYS_mkdirat),
            ("READLINKAT", libc::SYS_readlinkat),
            ("PPOLL", libc::SYS_ppoll),
            ("UNSHARE", libc::SYS_unshare),
            ("DUP3", libc::SYS_dup3),
            ("PIPE2", libc::SYS_pipe2),
            ("INOTIFY_INIT1", libc::SYS_inotify_init1),
            ("PRLIMIT64", libc::SYS_prlimit64),
            ("SETNS", libc::SYS_setns),
            ("SECCOMP", libc::SYS_seccomp),
            ("OPEN_TREE", libc::SYS_open_tree),
            ("MOVE_MOUNT", libc::SYS_move_mount),
            ("PIDFD_OPEN", libc::SYS_pidfd_open),
            ("CLOSE_RANGE", libc::SYS_close_range),
            ("LANDLOCK_CREATE_RULESET", libc::SYS_landlock_create_ruleset),
            ("LANDLOCK_ADD_RULE", libc::SYS_landlock_add_rule),
            ("LANDLOCK_RESTRICT_SELF", libc::SYS_landlock_restrict_self),
        ];
        assert_eq!(known.map(|(n, v)| (n, v as usize)), sys::NUMBERS);
    }

    #[test]
    fn a_malformed_plan_is_refused() {
        for bytes in [&[][..], &[0; 127], &[0xff; 128], &[0; 129]] {
            assert!(plan::Plan::parse(bytes).is_none());
        }
        assert_eq!(step(1).unwrap().1, "read the plan");
        assert!(step(0).is_none() && step(200).is_none());
    }
}
