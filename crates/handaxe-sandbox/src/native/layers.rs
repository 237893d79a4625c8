//! What is said about each layer: what would provide a missing one, and the table for `doctor`.

use handaxe_types::{Layer, LayerStatus};

use crate::SandboxError;
use handaxe_jail::Shape;

/// The layers of a child that reported itself ready.
#[derive(Clone, Debug)]
pub(super) struct Confirmed {
    pub(super) layers: Vec<Layer>,
    pub(super) landlock_abi: u32,
    /// Which kind of control groups, or why none.
    pub(super) cgroup: String,
}

/// What would provide a layer that is missing.
pub(super) fn hint(layer: Layer) -> &'static str {
    match layer {
        Layer::UserNamespace => {
            "allow unprivileged user namespaces: on Ubuntu 24.04 the AppArmor profile \
             packaging/apparmor/handaxe (or kernel.apparmor_restrict_unprivileged_userns=0), on \
             Debian 10 and older kernel.unprivileged_userns_clone=1, anywhere \
             user.max_user_namespaces above 0; in a container, a seccomp profile that lets unshare \
             and mount through. Where none of this can be had, a policy may name the weaker \
             isolation `landlock`"
        }
        Layer::PidNamespace
        | Layer::MountNamespace
        | Layer::NetNamespace
        | Layer::IpcNamespace
        | Layer::UtsNamespace
        | Layer::CgroupNamespace => {
            "a kernel with this namespace, and user.max_*_namespaces above 0; in a container, one \
             that may make nested namespaces and mount in them (a seccomp profile that lets \
             unshare, mount, open_tree and move_mount through)"
        }
        Layer::ReadOnlyRoot | Layer::PrivateScratch => {
            "Linux 5.12 or newer, and the right to mount inside a user namespace \
             (kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile that allows it)"
        }
        Layer::Landlock => {
            "Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and `landlock` in the kernel's \
             lsm= list"
        }
        Layer::Seccomp => "a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
        Layer::UnprivilegedUid => {
            "start as an ordinary user, or as a root that may change its user and groups"
        }
        Layer::Cgroup => {
            "a control group that this user may make groups in: run under \
             `systemd-run --user --scope -p Delegate=yes`, or as root"
        }
        Layer::NoCapabilities
        | Layer::NoNewPrivileges
        | Layer::Rlimits
        | Layer::ClosedDescriptors
        | Layer::EmptyEnvironment
        | Layer::Watchdog => "Linux 5.9 or newer",
    }
}

pub(crate) fn missing(layer: Layer, reason: String) -> SandboxError {
    SandboxError::MissingLayer {
        layer,
        reason,
        hint: hint(layer).to_owned(),
    }
}

/// The table of all layers, from a child's word or from what kept it from being made.
pub(super) fn describe(shape: Shape, found: &Result<Confirmed, SandboxError>) -> Vec<LayerStatus> {
    let status = |layer: Layer| {
        let required = shape.requires(layer);
        let (in_force, note) = match found {
            Ok(confirmed) => {
                let in_force = confirmed.layers.contains(&layer);
                let note = match layer {
                    Layer::Landlock => format!("abi {}", confirmed.landlock_abi),
                    _ if !in_force
                        && shape == Shape::Landlock
                        && !required
                        && layer != Layer::Cgroup =>
                    {
                        "not a part of this profile".to_owned()
                    }
                    Layer::Cgroup if in_force => confirmed.cgroup.clone(),
                    Layer::Cgroup => format!("{}; {}", confirmed.cgroup, hint(layer)),
                    _ if in_force => String::new(),
                    _ => hint(layer).to_owned(),
                };
                (in_force, note)
            }
            Err(SandboxError::MissingLayer {
                layer: lacking,
                reason,
                hint,
            }) => {
                if *lacking == layer {
                    (false, format!("{reason}; {hint}"))
                } else {
                    (
                        false,
                        format!("not reached: `{}` is missing", lacking.as_str()),
                    )
                }
            }
            Err(error) => (false, format!("not reached: {error}")),
        };
        LayerStatus {
            layer,
            in_force,
            required,
            note,
        }
    };
    handaxe_jail::all_layers()
        .iter()
        .map(|layer| status(*layer))
        .collect()
}
