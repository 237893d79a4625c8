//! Landlock: files only where the table says, no TCP, no signals or abstract sockets across.

use super::sys::{self, Errno, call, nr};

/// The least version that the jail accepts (Linux 5.13).
pub(crate) const FLOOR: u64 = 1;

/// The least where it stands alone (Linux 6.2): before it, no file could be kept from being cut.
pub(crate) const FLOOR_ALONE: u64 = 3;

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

const V1: u64 = EXECUTE
    | WRITE_FILE
    | READ_FILE
    | READ_DIR
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_CHAR
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_BLOCK
    | MAKE_SYM;

/// What a kernel of this version can be asked to refuse.
fn known(abi: u64) -> u64 {
    let later = [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)];
    later
        .iter()
        .filter(|(from, _)| abi >= *from)
        .fold(V1, |all, (_, right)| all | right)
}

const READ: u64 = READ_FILE | READ_DIR;
/// A directory of one's own: no sockets, pipes, links or devices in it.
const OWN: u64 =
    READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE;
const CHANGE: u64 = V1 & !READ & !EXECUTE;

#[repr(C)]
struct Attributes {
    fs: u64,
    net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// The kernel's version, 0 where it has no Landlock.
pub(crate) fn abi() -> u64 {
    call(nr::LANDLOCK_CREATE_RULESET, &[0, 0, 1]).unwrap_or(0) as u64
}

/// Everything is refused but reading beneath `read` and working beneath `own`.
pub(crate) fn rules<'a>(
    abi: u64,
    read: impl Iterator<Item = &'a [u8]>,
    own: &[&[u8]],
) -> Result<Ruleset, Errno> {
    let (net, scoped) = (if abi >= 4 { 3 } else { 0 }, if abi >= 6 { 3 } else { 0 });
    let rules = Ruleset::new(
        abi,
        &Attributes {
            fs: known(abi),
            net,
            scoped,
        },
    )?;
    for path in read {
        rules.allow(path, READ)?;
    }
    for path in own {
        rules.allow(path, OWN & known(abi))?;
    }
    Ok(rules)
}

/// A second layer: from now on nothing is changed outside `own`.
pub(crate) fn seal(abi: u64, own: &[u8]) -> Result<(), Errno> {
    let fs = (CHANGE | TRUNCATE | REFER) & known(abi);
    let rules = Ruleset::new(
        abi,
        &Attributes {
            fs,
            net: 0,
            scoped: 0,
        },
    )?;
    rules.allow(own, OWN & fs)?;
    rules.restrict()
}

/// Open rules, which hold for whoever restricts itself with them.
pub(crate) struct Ruleset(usize);

impl Ruleset {
    /// Those that another process made.
    pub(crate) fn held(fd: usize) -> Self {
        Self(fd)
    }

    pub(crate) fn fd(&self) -> usize {
        self.0
    }

    fn new(abi: u64, attributes: &Attributes) -> Result<Self, Errno> {
        let size = match abi {
            0..4 => 8,
            4..6 => 16,
            _ => 24,
        };
        let at = core::ptr::from_ref(attributes) as usize;
        call(nr::LANDLOCK_CREATE_RULESET, &[at, size, 0]).map(Self)
    }

    /// `path` ends in NUL; one that does not exist needs no rule.
    fn allow(&self, path: &[u8], allowed: u64) -> Result<(), Errno> {
        let parent = match sys::open(sys::AT_FDCWD, path, sys::O_PATH) {
            Ok(fd) => fd,
            Err(sys::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let add = |allowed| {
            let rule = Beneath {
                allowed,
                parent: parent as i32,
            };
            call(
                nr::LANDLOCK_ADD_RULE,
                &[self.0, 1, &raw const rule as usize, 0],
            )
        };
        // A file has none of a directory's rights.
        let done = match add(allowed) {
            Err(sys::EINVAL) if allowed == READ => add(READ_FILE),
            done => done,
        };
        sys::close(parent);
        done.map(drop)
    }

    pub(crate) fn restrict(&self) -> Result<(), Errno> {
        call(nr::LANDLOCK_RESTRICT_SELF, &[self.0, 0]).map(drop)
    }
}

impl Drop for Ruleset {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}
