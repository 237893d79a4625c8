//! The kernel's calls that the hook makes, with no C library between: the extension must not care
//! which one the interpreter brought.

/// Calls the kernel. Negative results are errno values.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn syscall(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's x86_64 convention; it clobbers rcx and r11 and nothing else, and what
    // it may do through the arguments is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// Calls the kernel. Negative results are errno values.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn syscall(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel's aarch64 convention; every register but x0 is kept, and what it may do
    // through the arguments is the caller's promise.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a[0] as isize => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
            options(nostack)
        );
    }
    result
}

/// An errno, positive.
pub(crate) type Errno = i32;

/// What a call gave, or its errno.
pub(crate) fn call(number: usize, args: &[usize]) -> Result<usize, Errno> {
    let mut a = [0; 6];
    a[..args.len()].copy_from_slice(args);
    // SAFETY: every pointer that this module's functions pass comes from a live reference or a
    // NUL-terminated byte string, and their lengths go with them.
    let result = unsafe { syscall(number, a) };
    if (-4095..0).contains(&result) {
        Err(-result as Errno)
    } else {
        Ok(result as usize)
    }
}

macro_rules! numbers {
    ($($name:ident $x86_64:literal $aarch64:literal)*) => {
        pub(crate) mod nr {
            $(
                #[cfg(target_arch = "x86_64")]
                pub(crate) const $name: usize = $x86_64;
                #[cfg(target_arch = "aarch64")]
                pub(crate) const $name: usize = $aarch64;
            )*
        }
        #[cfg(test)]
        pub(crate) const NUMBERS: &[(&str, usize)] = &[$((stringify!($name), nr::$name)),*];
    };
}

numbers! {
    READ 0 63
    WRITE 1 64
    CLOSE 3 57
    SHMCTL 31 195
    SENDMSG 46 211
    RECVMSG 47 212
    WAIT4 61 260
    KILL 62 129
    GETPID 39 172
    SOCKET 41 198
    CHDIR 80 49
    SOCKETPAIR 53 199
    SEMCTL 66 191
    MSGCTL 71 187
    GETUID 102 174
    GETPPID 110 173
    CAPGET 125 90
    CAPSET 126 91
    PRCTL 157 167
    MOUNT 165 40
    SETHOSTNAME 170 161
    STATFS 137 43
    INOTIFY_ADD_WATCH 254 27
    OPENAT 257 56
    MKDIRAT 258 34
    READLINKAT 267 78
    PPOLL 271 73
    UNSHARE 272 97
    DUP3 292 24
    PIPE2 293 59
    INOTIFY_INIT1 294 26
    PRLIMIT64 302 261
    SETNS 308 268
    SECCOMP 317 277
    OPEN_TREE 428 428
    MOVE_MOUNT 429 429
    PIDFD_OPEN 434 434
    CLOSE_RANGE 436 436
    LANDLOCK_CREATE_RULESET 444 444
    LANDLOCK_ADD_RULE 445 445
    LANDLOCK_RESTRICT_SELF 446 446
}

pub(crate) const EPERM: Errno = 1;
pub(crate) const ENOENT: Errno = 2;
pub(crate) const EINTR: Errno = 4;
pub(crate) const EBADF: Errno = 9;
pub(crate) const EAGAIN: Errno = 11;
pub(crate) const EACCES: Errno = 13;
pub(crate) const EINVAL: Errno = 22;
pub(crate) const EMFILE: Errno = 24;
pub(crate) const EROFS: Errno = 30;
pub(crate) const ENOSYS: Errno = 38;
/// What a layer that reads back as absent is reported with.
pub(crate) const ENOTRECOVERABLE: Errno = 131;

pub(crate) const AT_FDCWD: usize = -100_isize as usize;
pub(crate) const O_WRONLY: usize = 0o1;
pub(crate) const O_CREAT: usize = 0o100;
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;
pub(crate) const O_PATH: usize = 0o10_000_000;
#[cfg(target_arch = "x86_64")]
pub(crate) const O_DIRECTORY: usize = 0o200_000;
#[cfg(target_arch = "aarch64")]
pub(crate) const O_DIRECTORY: usize = 0o40_000;

/// Opens `path`, which ends in NUL.
pub(crate) fn open(at: usize, path: &[u8], flags: usize) -> Result<usize, Errno> {
    debug_assert!(path.ends_with(b"\0"));
    call(
        nr::OPENAT,
        &[at, path.as_ptr() as usize, flags | O_CLOEXEC, 0o600],
    )
}

pub(crate) fn close(fd: usize) {
    let _ = call(nr::CLOSE, &[fd]);
}

/// Opens, writes all of `text` at once, closes.
pub(crate) fn write_file(at: usize, path: &[u8], text: &[u8]) -> Result<(), Errno> {
    let fd = open(at, path, O_WRONLY)?;
    let done = call(nr::WRITE, &[fd, text.as_ptr() as usize, text.len()]);
    close(fd);
    done.map(drop)
}

/// Reads the start of a file into `buffer`; gives how much.
pub(crate) fn read_file(at: usize, path: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
    let fd = open(at, path, 0)?;
    let done = call(nr::READ, &[fd, buffer.as_mut_ptr() as usize, buffer.len()]);
    close(fd);
    done
}

/// Ends the process, without a word to anyone.
pub(crate) fn exit(status: usize) -> ! {
    #[cfg(target_arch = "x86_64")]
    const EXIT_GROUP: usize = 231;
    #[cfg(target_arch = "aarch64")]
    const EXIT_GROUP: usize = 94;
    loop {
        let _ = call(EXIT_GROUP, &[status]);
    }
}

pub(crate) fn prctl(option: usize, arg: usize) -> Result<usize, Errno> {
    call(nr::PRCTL, &[option, arg, 0, 0, 0])
}

#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Rlimit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Sets both the soft and the hard limit.
pub(crate) fn set_rlimit(resource: usize, value: u64) -> Result<(), Errno> {
    let new = Rlimit {
        soft: value,
        hard: value,
    };
    call(nr::PRLIMIT64, &[0, resource, &raw const new as usize, 0]).map(drop)
}

pub(crate) fn get_rlimit(resource: usize) -> Result<Rlimit, Errno> {
    let mut seen = Rlimit::default();
    call(nr::PRLIMIT64, &[0, resource, 0, &raw mut seen as usize])?;
    Ok(seen)
}
