//! What goes in: the files that are attached, the input with their paths, the request's document.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use handaxe_jail::DataFile;
use handaxe_types::Limits;
use serde_json::{Map, Value};

use super::artifacts::is_plain;
use super::wire::Request;
use crate::{Call, InlineFile, SandboxError, SessionSpec};

/// Files that travel with a call, all of a kind together.
const INLINE_BYTES: usize = 1 << 20;
const INLINE_FILES: usize = 1000;

/// What was attached: regular files under plain names, each name once.
pub(crate) fn data_files(spec: &SessionSpec) -> Result<Vec<DataFile>, SandboxError> {
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    for mount in &spec.mounts {
        let refuse = |reason: String| SandboxError::File {
            name: mount.name.clone(),
            reason,
        };
        if !is_plain(&mount.name) {
            return Err(refuse("its name must be one plain component".to_owned()));
        }
        if !names.insert(&mount.name) {
            return Err(refuse("another file has this name".to_owned()));
        }
        let path = mount
            .path
            .canonicalize()
            .map_err(|e| refuse(e.to_string()))?;
        let seen = path.metadata().map_err(|e| refuse(e.to_string()))?;
        if !seen.is_file() {
            return Err(refuse("it is not a regular file".to_owned()));
        }
        let (name, device, inode) = (mount.name.clone(), seen.dev(), seen.ino());
        files.push(DataFile {
            name,
            path,
            device,
            inode,
        });
    }
    Ok(files)
}

/// Refuses what could not be laid out, before a child is spent on it.
pub(crate) fn check_files(call: &Call, mounts: &BTreeSet<String>) -> Result<(), SandboxError> {
    for (list, taken) in [(&call.files, Some(mounts)), (&call.assets, None)] {
        let mut names = BTreeSet::new();
        let mut total = 0;
        for InlineFile { name, bytes } in list {
            let refuse = |reason: &str| {
                Err(SandboxError::File {
                    name: name.clone(),
                    reason: reason.to_owned(),
                })
            };
            if !is_plain(name) {
                return refuse("its name must be one plain component");
            }
            if !names.insert(name) || taken.is_some_and(|t| t.contains(name)) {
                return refuse("another file has this name");
            }
            total += bytes.len();
            if total > INLINE_BYTES || names.len() > INLINE_FILES {
                return refuse("files that travel with a call are at most 1 MiB together");
            }
        }
    }
    Ok(())
}

/// The input, its file names made paths inside: of the session's files, and of those that come with
/// the call.
pub(crate) fn input<'a>(
    call: &'a Call,
    mounts: &BTreeSet<String>,
) -> Result<Cow<'a, Map<String, Value>>, SandboxError> {
    input_at(call, "/data", |name| {
        mounts.contains(name).then(|| format!("/data/{name}"))
    })
}

/// The same where files are elsewhere: the session's by name, the call's beneath a directory.
pub(crate) fn input_at<'a>(
    call: &'a Call,
    data: &str,
    mounted: impl Fn(&str) -> Option<String>,
) -> Result<Cow<'a, Map<String, Value>>, SandboxError> {
    if call.file_inputs.is_empty() {
        return Ok(Cow::Borrowed(&call.input));
    }
    let mut input = call.input.clone();
    let inside = |name: &str| {
        if let Some(path) = mounted(name) {
            Ok(Value::String(path))
        } else if call.files.iter().any(|f| f.name == name) {
            Ok(Value::String(format!("{data}/{name}")))
        } else {
            let name = name.chars().take(255).collect();
            Err(SandboxError::File {
                name,
                reason: "no file of this name is attached".to_owned(),
            })
        }
    };
    for property in &call.file_inputs {
        match input.get_mut(property) {
            Some(value @ Value::String(_)) => {
                *value = inside(value.as_str().unwrap_or_default())?;
            }
            Some(Value::Array(items)) => {
                for item in items {
                    if let Some(name) = item.as_str() {
                        *item = inside(name)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Cow::Owned(input))
}

/// The request's document; the parts follow it, and then the files.
pub(crate) fn request<'a>(
    call: &'a Call,
    input: &'a Map<String, Value>,
    parts: [&[u8]; 3],
) -> Request<'a> {
    let files = call
        .files
        .iter()
        .map(|f| ("/data", f.name.as_str(), f.bytes.len()));
    let assets = call
        .assets
        .iter()
        .map(|f| ("/assets", f.name.as_str(), f.bytes.len()));
    Request {
        parts: parts.map(<[u8]>::len),
        input,
        files: files.chain(assets).collect(),
        file_outputs: if call.artifacts.is_some() {
            &call.file_outputs
        } else {
            &[]
        },
        output_bytes: call.limits.output_bytes,
        artifact_bytes: call.limits.scratch_bytes,
        seal: !call.files.is_empty() || !call.assets.is_empty(),
        compile: false,
    }
}

/// The call's resource limits: resource and value. `address_space`
/// (bytes) and `base` (processor time) are what the child had used before the call.
pub(crate) fn floors(
    limits: &Limits,
    address_space: u64,
    base: Duration,
) -> impl Iterator<Item = (u64, u64)> {
    let address_space = address_space.saturating_add(limits.memory_bytes);
    // The floor under the watchdog, in whole seconds, one to spare.
    let cpu = (base + Duration::from_millis(limits.cpu_ms)).as_secs() + 2;
    [
        (9, address_space),
        (0, cpu),
        (1, limits.file_bytes),
        (7, limits.open_files),
        (PROCESSES, limits.processes),
    ]
    .into_iter()
}

/// `RLIMIT_NPROC`.
pub(crate) const PROCESSES: u64 = 6;

/// Resource limits as they travel.
pub(crate) fn floor_bytes(floors: impl Iterator<Item = (u64, u64)>) -> Vec<u8> {
    let words = floors.flat_map(|(resource, value)| [resource, value]);
    words.flat_map(u64::to_le_bytes).collect()
}
