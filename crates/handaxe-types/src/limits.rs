//! What one run may use.

use serde::{Deserialize, Serialize};

/// Bounds on one call. Sizes are bytes and times milliseconds. Wall, CPU, memory and output end
/// the run with their own outcome; the rest reach the tool as an errno.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub wall_ms: u64,
    pub cpu_ms: u64,
    /// Added to wall and CPU for each MiB of attached files. A rule and not a number, so that one
    /// approval covers small and large data alike.
    pub per_mib_ms: u64,
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
            per_mib_ms: 1_000,
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
    /// These limits as they stand for a call with `data_bytes` of attached files. Time grows by
    /// [`Limits::per_mib_ms`]; memory does not, because a tool over large data streams it. Where
    /// the tool `writes_files`, the scratch grows to hold the data three times over (JSON is
    /// wordier than CSV).
    #[must_use]
    pub fn for_data(&self, data_bytes: u64, writes_files: bool) -> Self {
        let extra_ms = data_bytes.div_ceil(1 << 20).saturating_mul(self.per_mib_ms);
        let extra_bytes = if writes_files {
            data_bytes.saturating_mul(3)
        } else {
            0
        };
        Self {
            wall_ms: self.wall_ms.saturating_add(extra_ms),
            cpu_ms: self.cpu_ms.saturating_add(extra_ms),
            scratch_bytes: self.scratch_bytes.saturating_add(extra_bytes),
            file_bytes: self.file_bytes.saturating_add(extra_bytes),
            ..self.clone()
        }
    }

    /// Each limit at most what `ceiling` has.
    #[must_use]
    pub fn at_most(&self, ceiling: &Self) -> Self {
        Self {
            wall_ms: self.wall_ms.min(ceiling.wall_ms),
            cpu_ms: self.cpu_ms.min(ceiling.cpu_ms),
            per_mib_ms: self.per_mib_ms.min(ceiling.per_mib_ms),
            memory_bytes: self.memory_bytes.min(ceiling.memory_bytes),
            output_bytes: self.output_bytes.min(ceiling.output_bytes),
            stdio_bytes: self.stdio_bytes.min(ceiling.stdio_bytes),
            scratch_bytes: self.scratch_bytes.min(ceiling.scratch_bytes),
            scratch_inodes: self.scratch_inodes.min(ceiling.scratch_inodes),
            file_bytes: self.file_bytes.min(ceiling.file_bytes),
            open_files: self.open_files.min(ceiling.open_files),
            processes: self.processes.min(ceiling.processes),
        }
    }
}
