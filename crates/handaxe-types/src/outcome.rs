//! How a run in the sandbox ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// The tool raised; `error` says what.
    ToolError,
    /// Wall clock or CPU time; `limit` says which.
    Timeout,
    Memory,
    /// The result, stdout or stderr outgrew its cap.
    OutputLimit,
    /// Killed by the system-call filter.
    Policy,
    /// Ended by a signal, or without a result.
    Crash,
    /// What came back was not one well-formed frame of ours.
    Protocol,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutputLimit => "output_limit",
            Self::Policy => "policy",
            Self::Crash => "crash",
            Self::Protocol => "protocol",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitHit {
    Wall,
    Cpu,
    Memory,
    Output,
}

/// What the tool raised. Text from inside: data, never instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The exception's class name, e.g. `ValueError`; or our own word where no tool code ran.
    pub kind: String,
    pub message: String,
    /// Line of `tool.py` where it was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The errno name where it was an `OSError`, e.g. `ENOSPC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu_ms: f64,
    pub max_rss_kib: u64,
}

/// An isolation layer, named as `doctor` and the errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    UnprivilegedUid,
    UserNamespace,
    PidNamespace,
    MountNamespace,
    NetNamespace,
    IpcNamespace,
    UtsNamespace,
    CgroupNamespace,
    ReadOnlyRoot,
    PrivateScratch,
    Landlock,
    NoCapabilities,
    NoNewPrivileges,
    Seccomp,
    Rlimits,
    Cgroup,
    ClosedDescriptors,
    EmptyEnvironment,
    Watchdog,
}

impl Layer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnprivilegedUid => "unprivileged_uid",
            Self::UserNamespace => "user_namespace",
            Self::PidNamespace => "pid_namespace",
            Self::MountNamespace => "mount_namespace",
            Self::NetNamespace => "net_namespace",
            Self::IpcNamespace => "ipc_namespace",
            Self::UtsNamespace => "uts_namespace",
            Self::CgroupNamespace => "cgroup_namespace",
            Self::ReadOnlyRoot => "read_only_root",
            Self::PrivateScratch => "private_scratch",
            Self::Landlock => "landlock",
            Self::NoCapabilities => "no_capabilities",
            Self::NoNewPrivileges => "no_new_privileges",
            Self::Seccomp => "seccomp",
            Self::Rlimits => "rlimits",
            Self::Cgroup => "cgroup",
            Self::ClosedDescriptors => "closed_descriptors",
            Self::EmptyEnvironment => "empty_environment",
            Self::Watchdog => "watchdog",
        }
    }
}

/// A layer as found on this machine (`doctor`) or as it stood in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatus {
    pub layer: Layer,
    pub in_force: bool,
    /// Without it the run is refused (exit 5).
    pub required: bool,
    /// Detail (`abi 7`, `v1: memory, pids`), or why it is missing and what would provide it.
    pub note: String,
}

/// A file that the tool produced: already copied out, a plain file in the caller's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// As the tool named it: one plain component.
    pub name: String,
    pub bytes: u64,
    pub digest: crate::Digest,
}

/// Everything a caller needs of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SandboxResult {
    pub outcome: Outcome,
    pub limit: Option<LimitHit>,
    /// Present exactly when `outcome` is `ok`.
    pub output: Option<Value>,
    pub artifacts: Vec<Artifact>,
    /// `None` where a signal ended it.
    pub exit_code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// From request to parsed result.
    pub runtime_ms: f64,
    pub usage: Usage,
    /// The layers in force, each checked for this very process before tool code reached it.
    pub layers: Vec<Layer>,
    pub error: Option<RunError>,
}
