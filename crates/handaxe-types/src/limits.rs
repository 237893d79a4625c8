//! What one run may use.

use serde::{Deserialize, Serialize};

/// Bounds on one call. Sizes are bytes and times milliseconds. Wall, CPU, memory and output end
/// the run with their own outcome; the rest reach the tool as an errno.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub wall_ms: u64,
    pub cpu_ms: u64,
    pub memory_bytes: u64,
    /// The result frame (JSON).
    pub output_bytes: u64,
    /// stdout and stderr, each.
    pub stdio_bytes: u64,
    /// All files in the scratch directory together; also what artefacts may add up to.
    pub scratch_bytes: u64,
    pub scratch_inodes: u64,
    /// The largest single file.
    pub file_bytes: u64,
    pub open_files: u64,
    /// Processes and threads together.
    pub processes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: 10_000,
            cpu_ms: 10_000,
            memory_bytes: 256 << 20,
            output_bytes: 8 << 20,
            stdio_bytes: 256 << 10,
            scratch_bytes: 64 << 20,
            scratch_inodes: 4096,
            file_bytes: 64 << 20,
            open_files: 64,
            processes: 16,
        }
    }
}

impl Limits {
    /// The defaults, grown for `data_bytes` of attached files: time in proportion (about
    /// 4 MB a second is assumed of a tool that reads its data once), memory not at all, because a
    /// tool over large data is expected to stream it.
    pub fn for_data(data_bytes: u64) -> Self {
        let base = Self::default();
        let extra_ms = data_bytes / 4_000;
        Self {
            wall_ms: base.wall_ms + extra_ms,
            cpu_ms: base.cpu_ms + extra_ms,
            ..base
        }
    }
}
