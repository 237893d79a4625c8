//! How strong a sandbox is: the levels that a policy names, and when one profile may stand in for
//! another.

use serde::{Deserialize, Serialize};

use crate::{Digest, Layer};

/// What stands between a tool and the machine, weakest first. The order is the policy's: where one
/// level is asked for, every later one will do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// No namespaces: files by Landlock, the network and processes by the system-call filter, in
    /// the host's own tree. For places that give nothing more; never chosen unless a policy names
    /// it.
    Landlock,
    /// Namespaces, a read-only root and our filter, built by a container runtime or a daemon. The
    /// host's kernel is shared, and the runtime is trusted.
    #[default]
    Container,
    /// All of that built by Handaxe itself and read back in every process, with a user namespace, a
    /// set of limits and Landlock for each call.
    Jail,
    /// A kernel of its own, in user space (gVisor) or in a virtual machine (Kata): the host's is
    /// reached only through it.
    Guest,
}

impl Isolation {
    pub const ALL: [Self; 4] = [Self::Landlock, Self::Container, Self::Jail, Self::Guest];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Container => "container",
            Self::Jail => "jail",
            Self::Guest => "guest",
        }
    }

    /// Whether this level makes a layer of the levels below needless. Landlock and namespaces
    /// divide one kernel among many; a guest's kernel has one tool to serve.
    fn replaces(self, layer: Layer) -> bool {
        self == Self::Guest
            && matches!(
                layer,
                Layer::UserNamespace
                    | Layer::PidNamespace
                    | Layer::MountNamespace
                    | Layer::NetNamespace
                    | Layer::IpcNamespace
                    | Layer::UtsNamespace
                    | Layer::CgroupNamespace
                    | Layer::Landlock
            )
    }
}

/// A sandbox's description: everything about it that a tool could tell apart, and how strong it is.
/// An approval binds its digest. The interpreter is not in it: a new patch of that is re-proved,
/// not re-approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The backend: `native`, `oci:runc`, `docker`.
    pub name: String,
    pub level: Isolation,
    /// Layers that every run has or is refused, in the order of [`Layer`].
    pub required: Vec<Layer>,
    /// Over the sources and settings of which the sandbox is made.
    pub detail: Digest,
}

impl Profile {
    pub fn new(
        name: impl Into<String>,
        level: Isolation,
        required: &[Layer],
        detail: Digest,
    ) -> Self {
        let mut required = required.to_vec();
        required.sort_unstable();
        required.dedup();
        Self {
            name: name.into(),
            level,
            required,
            detail,
        }
    }

    /// Over all of it: a profile that calls itself stronger than it was is another one.
    pub fn digest(&self) -> Digest {
        let layers: Vec<&str> = self.required.iter().map(|l| l.as_str()).collect();
        let layers = layers.join(" ");
        Digest::of_parts([
            b"handaxe sandbox profile 2".as_slice(),
            self.name.as_bytes(),
            self.level.as_str().as_bytes(),
            layers.as_bytes(),
            self.detail.to_string().as_bytes(),
        ])
    }

    /// Whether a tool that was approved under `approved` may run under this profile: it is the
    /// very same, or it is of a higher level and lacks none of the layers that the approval
    /// counted on. Two that differ at one level are not comparable, and so neither stands in for
    /// the other.
    pub fn covers(&self, approved: &Self) -> bool {
        if self.digest() == approved.digest() {
            return true;
        }
        let has = |layer: &Layer| self.required.contains(layer) || self.level.replaces(*layer);
        self.level > approved.level && approved.required.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(level: Isolation, required: &[Layer], detail: &str) -> Profile {
        Profile::new("p", level, required, Digest::of(detail.as_bytes()))
    }

    #[test]
    fn levels_are_ordered_as_the_policy_reads_them() {
        assert!(Isolation::ALL.windows(2).all(|w| w[0] < w[1]));
        for level in Isolation::ALL {
            let word = serde_json::to_value(level).unwrap();
            assert_eq!(word, level.as_str());
        }
    }

    #[test]
    fn a_profile_covers_itself_and_weaker_ones_whose_layers_it_has() {
        use Isolation::{Container, Guest, Jail, Landlock};
        let seccomp = [Layer::Seccomp];
        let both = [Layer::Seccomp, Layer::Landlock];
        for (given, approved, covers) in [
            (profile(Jail, &both, "a"), profile(Jail, &both, "a"), true),
            // The same level, otherwise made: nobody can say which is stricter.
            (profile(Jail, &both, "b"), profile(Jail, &both, "a"), false),
            (
                profile(Jail, &both, "b"),
                profile(Jail, &seccomp, "a"),
                false,
            ),
            // Stronger, and nothing lost.
            (
                profile(Jail, &both, "b"),
                profile(Container, &seccomp, "a"),
                true,
            ),
            (
                profile(Container, &both, "b"),
                profile(Landlock, &both, "a"),
                true,
            ),
            // Weaker is refused, whatever layers it claims.
            (
                profile(Container, &both, "b"),
                profile(Jail, &seccomp, "a"),
                false,
            ),
            (
                profile(Landlock, &both, "b"),
                profile(Container, &[], "a"),
                false,
            ),
            // Stronger by level, but a layer that was counted on is gone.
            (
                profile(Jail, &seccomp, "b"),
                profile(Container, &both, "a"),
                false,
            ),
            // A guest needs no Landlock; it needs the filter.
            (
                profile(Guest, &seccomp, "b"),
                profile(Jail, &both, "a"),
                true,
            ),
            (profile(Guest, &[], "b"), profile(Jail, &both, "a"), false),
        ] {
            assert_eq!(
                given.covers(&approved),
                covers,
                "{given:?} for {approved:?}"
            );
        }
    }

    #[test]
    fn every_part_is_in_the_digest() {
        let good = profile(Isolation::Jail, &[Layer::Seccomp], "a");
        let mut others = vec![good.clone(), good.clone(), good.clone(), good.clone()];
        others[0].name = "q".to_owned();
        others[1].level = Isolation::Guest;
        others[2].required = vec![Layer::Landlock];
        others[3].detail = Digest::of(b"b");
        for other in others {
            assert_ne!(other.digest(), good.digest(), "{other:?}");
        }
    }
}
