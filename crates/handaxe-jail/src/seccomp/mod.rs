//! The system-call filter: a data file with a reason for every call, compiled here.
//!
//! The default answer is `EPERM`, so that a tool which tries something sees an ordinary error and
//! a test can see the denial. The other architecture's entry (32-bit x86), x32 numbers and a few
//! calls that no program meets by accident kill instead, and the run ends as `policy`.

mod compile;
mod halves;
#[cfg(feature = "testing")]
mod widened;

use serde::Deserialize;

pub use compile::compile;
pub use halves::Halves;
#[cfg(feature = "testing")]
pub(crate) use widened::widened;

use crate::config::Shape;

/// The list as shipped.
pub const LIST: &str = include_str!("syscalls.json");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// The one this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// `AUDIT_ARCH_*`.
    fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(rename = "about")]
    _about: String,
    pub syscalls: Vec<Syscall>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syscall {
    pub name: String,
    /// Its number, where the architecture has it.
    pub x86_64: Option<u32>,
    pub aarch64: Option<u32>,
    /// Why it is refused where there are no namespaces.
    pub not_landlock: Option<String>,
    pub rules: Vec<Rule>,
}

impl Syscall {
    pub fn number(&self, arch: Arch) -> Option<u32> {
        match arch {
            Arch::X86_64 => self.x86_64,
            Arch::Aarch64 => self.aarch64,
        }
    }
}

/// The first rule whose conditions all hold decides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub action: Action,
    #[serde(default)]
    pub when: Vec<Condition>,
    pub reason: String,
}

/// `(argument & mask) == value`, over 64 bits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub arg: u8,
    #[serde(default = "every_bit")]
    pub mask: u64,
    pub value: u64,
}

fn every_bit() -> u64 {
    u64::MAX
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Allow,
    Kill,
    Errno(Errno),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Errno {
    #[serde(rename = "EPERM")]
    Perm = 1,
    #[serde(rename = "ENOSYS")]
    NoSys = 38,
    #[serde(rename = "ENOTSUP")]
    NotSupported = 95,
}

#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    #[error("the system-call list is malformed")]
    List(#[source] serde_json::Error),
    #[error("system call `{0}` is listed twice")]
    Twice(String),
    #[error("system call `{name}` has a condition on argument {arg}; there are six")]
    Argument { name: String, arg: u8 },
    #[cfg(feature = "testing")]
    #[error("no number is known for the system call `{0}`")]
    Unknown(String),
    #[error("the filter is {0} instructions long; the kernel takes 4096")]
    TooLong(usize),
}

/// The filter that every child of such a jail is under: `struct sock_filter[]`, ready for the kernel.
pub fn filter(shape: Shape) -> Result<Vec<u8>, SeccompError> {
    compile(&list(shape)?, Arch::NATIVE)
}

/// The same in two halves, of which the children share one.
pub fn halves(shape: Shape) -> Result<Halves, SeccompError> {
    halves::halves(list(shape)?, Arch::NATIVE)
}

/// The list as it stands for a jail of this shape.
pub fn list(shape: Shape) -> Result<List, SeccompError> {
    let mut list = parse(LIST)?;
    if shape == Shape::Landlock {
        list.syscalls.retain(|call| call.not_landlock.is_none());
    }
    Ok(list)
}

pub fn parse(text: &str) -> Result<List, SeccompError> {
    serde_json::from_str(text).map_err(SeccompError::List)
}
