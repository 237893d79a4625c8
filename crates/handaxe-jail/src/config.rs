//! What the host tells the launcher, and what comes back. Both are JSON in one message each, over
//! the launcher's control socket.

use std::path::PathBuf;

use handaxe_types::Layer;
use serde::{Deserialize, Serialize};

use crate::hook;

/// The first argument that turns a program into the launcher.
pub const JAIL_ARGUMENT: &str = "__jail";

/// The most that one control message holds.
pub const MESSAGE_BYTES: usize = 128 << 10;

/// What stands around the interpreter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Every layer: namespaces and a root of its own.
    #[default]
    Namespaces,
    /// No namespaces: Landlock and the filter hold by themselves, in the host's own tree. For
    /// places that give no namespaces, and only where a policy names it.
    Landlock,
}

impl Shape {
    /// Whether nothing runs without this layer. Control groups may always be missing: without them
    /// the resource limits are the floor.
    pub fn requires(self, layer: Layer) -> bool {
        match self {
            Self::Namespaces => layer != Layer::Cgroup,
            // The scratch is a directory of the call's own there, but nothing bounds its size as a
            // whole, so it is not called a private scratch.
            Self::Landlock => matches!(
                layer,
                Layer::UnprivilegedUid
                    | Layer::Landlock
                    | Layer::NoCapabilities
                    | Layer::NoNewPrivileges
                    | Layer::Seccomp
                    | Layer::Rlimits
                    | Layer::ClosedDescriptors
                    | Layer::EmptyEnvironment
                    | Layer::Watchdog
            ),
        }
    }
}

/// One jail.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    pub shape: Shape,
    /// Where each child gets a directory of its own, `<id>/scratch`, `<id>/data` and `<id>/assets`:
    /// an existing directory of the host, for [`Shape::Landlock`] alone.
    pub place: Option<PathBuf>,
    /// The interpreter: executed in the jail under the same path.
    pub python: PathBuf,
    /// Directories seen read-only under their own paths.
    pub directories: Vec<Directory>,
    /// Files seen read-only under their own paths: the interpreter and its libraries.
    pub files: Vec<PathBuf>,
    /// Symbolic links made in the jail: link, target.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// The session's files, seen read-only as `/data/<name>`.
    pub data: Vec<DataFile>,
    /// The server's whole environment.
    pub environment: Vec<(String, String)>,
    /// Modules imported before the first fork.
    pub modules: Vec<String>,
    /// The seed of `random` in every child.
    pub seed: u32,
    /// User and group to become when started by root.
    pub drop_to: u32,
    #[cfg(feature = "testing")]
    #[serde(default)]
    pub knobs: Knobs,
}

/// What a test changes about a jail. No shipped program has it.
#[cfg(feature = "testing")]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Knobs {
    /// Layers left out, so that a test can see what they stop.
    pub skip: Vec<Layer>,
    /// Layers whose step fails as if the kernel lacked them.
    pub missing: Vec<Layer>,
    /// System calls that the filter lets through, whatever their arguments.
    pub allow: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    pub path: PathBuf,
    /// Entries of it that are covered by an empty directory.
    pub covered: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// One plain component.
    pub name: String,
    pub path: PathBuf,
    /// What the host saw under the path; another file there is refused.
    pub device: u64,
    pub inode: u64,
}

/// The launcher's one message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launched {
    /// The interpreter is about to run; the layers that were confirmed so far.
    Started { layers: Vec<Layer> },
    Failed {
        /// "failed to …", with the system's reason.
        reason: String,
        layer: Option<Layer>,
        errno: Option<i32>,
    },
}

/// Every layer, in the order of its bit.
const LAYERS: [Layer; 19] = [
    Layer::UnprivilegedUid,
    Layer::UserNamespace,
    Layer::PidNamespace,
    Layer::MountNamespace,
    Layer::NetNamespace,
    Layer::IpcNamespace,
    Layer::UtsNamespace,
    Layer::CgroupNamespace,
    Layer::ReadOnlyRoot,
    Layer::PrivateScratch,
    Layer::Landlock,
    Layer::NoCapabilities,
    Layer::NoNewPrivileges,
    Layer::Seccomp,
    Layer::Rlimits,
    Layer::Cgroup,
    Layer::ClosedDescriptors,
    Layer::EmptyEnvironment,
    Layer::Watchdog,
];

/// All layers, outermost first.
pub fn all_layers() -> &'static [Layer] {
    &LAYERS
}

fn from_bits(bits: u32) -> Vec<Layer> {
    LAYERS
        .iter()
        .enumerate()
        .filter(|(i, _)| bits >> i & 1 == 1)
        .map(|(_, l)| *l)
        .collect()
}

#[cfg(feature = "testing")]
pub(crate) fn to_bits(layers: &[Layer]) -> u32 {
    let bit = |layer: &Layer| LAYERS.iter().position(|l| l == layer).map_or(0, |i| 1 << i);
    layers.iter().map(bit).fold(0, |all, bit| all | bit)
}

/// How a child's hardening went, as its first message says.
#[derive(Debug)]
pub struct ChildReport {
    /// What failed: its layer, what was being done, the errno.
    pub failure: Option<(Layer, &'static str, i32)>,
    pub layers: Vec<Layer>,
    /// The kernel's version of Landlock.
    pub landlock_abi: u32,
    /// Pages of address space that the warm interpreter has, before any call.
    pub pages: u64,
}

impl ChildReport {
    pub const BYTES: usize = 21;

    /// `None` where the bytes are no report.
    pub fn parse(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let failure = match bytes[0] {
            0 => None,
            number => {
                let (bit, doing) = hook::step(number)?;
                Some((*from_bits(bit).first()?, doing, word(1) as i32))
            }
        };
        let pages = u64::from(word(9)) | u64::from(word(13)) << 32;
        Some(Self {
            failure,
            layers: from_bits(word(5)),
            landlock_abi: word(17),
            pages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_name_the_layers_that_the_hook_means() {
        let names = [
            "user_namespace",
            "pid_namespace",
            "landlock",
            "seccomp",
            "closed_descriptors",
        ];
        let bits = [1_u32, 2, 10, 13, 16];
        for (name, bit) in names.into_iter().zip(bits) {
            assert_eq!(from_bits(1 << bit)[0].as_str(), name);
        }
        let mut report = [0; ChildReport::BYTES];
        report[0] = 16;
        report[1] = 38;
        let (layer, doing, errno) = ChildReport::parse(&report).unwrap().failure.unwrap();
        assert_eq!(
            (layer, doing, errno),
            (Layer::Landlock, "confine itself with Landlock", 38)
        );
        report[0] = 99;
        assert!(ChildReport::parse(&report).is_none());
    }
}
