//! One call: check what goes in, take a child, hear it out, send the request, and say what came of
//! it. Every limit that has an outcome of its own is enforced from outside (see `watch`).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use handaxe_jail::ChildReport;
use handaxe_types::{Layer, Limits, SandboxResult};
use rustix::io::Errno;
use serde_json::{Map, Value};

use super::artifacts::is_plain;
use super::is_required;
use super::jail::readable;
use super::layers::missing;
use super::pool::{Class, Pool, Ready};
use super::watch::{End, GRACE, SLICE, Watch, broken, ms};
use super::wire::{NONCE, Request};
use crate::{Call, Cancel, InlineFile, SandboxError};

/// Files that travel with a call, all of a kind together.
const INLINE_BYTES: usize = 1 << 20;
const INLINE_FILES: usize = 1000;
/// How long a child may take to get ready.
const READY_TIME: Duration = Duration::from_secs(20);
/// Runs one call in one child.
pub(super) fn run(
    pool: &Pool,
    mounts: &BTreeSet<String>,
    excused: &[Layer],
    call: &Call,
    cancel: &Cancel,
) -> Result<SandboxResult, SandboxError> {
    check_files(call, mounts)?;
    let input = input(call, mounts)?;
    let with_files = !call.files.is_empty() || !call.assets.is_empty();
    let class = Class::of(&call.limits, with_files);
    let mut child = pool.take(class, cancel)?;
    let greeted = greet(pool, &child, excused, Instant::now() + READY_TIME, cancel)?;

    let started = Instant::now();
    let pid = process_id(&child.ends.pidfd)?;
    let base = handaxe_jail::cpu_time(pid).unwrap_or_default();
    if let Some(group) = &child.group {
        group
            .limit(&call.limits)
            .map_err(|source| SandboxError::Io {
                doing: "setting the call's control group",
                source,
            })?;
    }
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|e| SandboxError::Io {
        doing: "drawing a nonce",
        source: io::Error::other(e.to_string()),
    })?;
    let request = request(call, &input, &greeted, base, with_files).encode(&nonce);
    let mut request = request.map_err(|e| SandboxError::Io {
        doing: "writing the request",
        source: e.into(),
    })?;
    for file in call.files.iter().chain(&call.assets) {
        request.extend_from_slice(&file.bytes);
    }

    let mut watch = Watch::new(call, cancel, nonce, pid, base, started);
    let inlet = child.ends.request.take();
    watch.converse(&child, inlet, &request, || pool.replace(class))?;
    let runtime = started.elapsed();
    let mut usage = watch.usage;

    // Only where no result came must the way it died be known.
    let told = watch.told();
    let died = if told {
        None
    } else {
        pool.ended(child.id, GRACE * 8)
    };
    if let Some(ended) = died {
        usage.cpu_ms = usage.cpu_ms.max(ms(ended.cpu.saturating_sub(base)));
        usage.max_rss_kib = usage.max_rss_kib.max(ended.max_rss_kib);
    }
    let out_of_memory = !told && child.group.as_ref().is_some_and(|g| g.ran_out());
    if matches!(watch.end, Some(End::Cancelled)) {
        return Err(SandboxError::Cancelled);
    }
    watch.result(greeted.layers, runtime, usage, died, out_of_memory)
}

/// Refuses what could not be laid out, before a child is spent on it.
fn check_files(call: &Call, mounts: &BTreeSet<String>) -> Result<(), SandboxError> {
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

/// The input, its file names made paths inside.
fn input(call: &Call, mounts: &BTreeSet<String>) -> Result<Map<String, Value>, SandboxError> {
    let mut input = call.input.clone();
    let inside = |name: &str| {
        if mounts.contains(name) || call.files.iter().any(|f| f.name == name) {
            Ok(Value::String(format!("/data/{name}")))
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
    Ok(input)
}

fn request<'a>(
    call: &'a Call,
    input: &'a Map<String, Value>,
    greeted: &Greeted,
    base: Duration,
    seal: bool,
) -> Request<'a> {
    let Limits {
        cpu_ms,
        memory_bytes,
        file_bytes,
        open_files,
        processes,
        ..
    } = call.limits;
    let address_space = greeted.address_space.saturating_add(memory_bytes);
    // The floor under the watchdog, in whole seconds, one to spare.
    let cpu = (base + Duration::from_millis(cpu_ms)).as_secs() + 2;
    let files = call
        .files
        .iter()
        .map(|f| ("/data", f.name.as_str(), f.bytes.len()));
    let assets = call
        .assets
        .iter()
        .map(|f| ("/assets", f.name.as_str(), f.bytes.len()));
    Request {
        code: &call.code,
        input,
        files: files.chain(assets).collect(),
        file_outputs: if call.artifacts.is_some() {
            &call.file_outputs
        } else {
            &[]
        },
        rlimits: vec![
            (9, address_space),
            (0, cpu),
            (1, file_bytes),
            (7, open_files),
            (6, processes),
        ],
        output_bytes: call.limits.output_bytes,
        artifact_bytes: call.limits.scratch_bytes,
        seal,
    }
}

/// What a ready child said of itself.
pub(super) struct Greeted {
    pub(super) layers: Vec<Layer>,
    pub(super) landlock_abi: u32,
    address_space: u64,
}

/// Hears a child out before anything is sent: it must have every required layer in force.
pub(super) fn greet(
    pool: &Pool,
    child: &Ready,
    excused: &[Layer],
    until: Instant,
    cancel: &Cancel,
) -> Result<Greeted, SandboxError> {
    let doing = "waiting for a child to get ready";
    let mut said = [0; 4 + ChildReport::BYTES + 4];
    let mut have = 0;
    let mut wanted = said.len() - 4;
    while have < wanted {
        let slice = Instant::now() + SLICE;
        if !readable(child.ends.result.as_fd(), slice.min(until)) {
            if cancel.is_cancelled() {
                return Err(SandboxError::Cancelled);
            }
            if Instant::now() >= until {
                let source = io::ErrorKind::TimedOut.into();
                return Err(SandboxError::Io { doing, source });
            }
            continue;
        }
        match rustix::io::read(&child.ends.result, &mut said[have..]) {
            Ok(0) => {
                let mut fault = [0; 2048];
                let len = rustix::io::read(&child.ends.stderr, &mut fault).unwrap_or(0);
                let text = String::from_utf8_lossy(&fault[..len]).into_owned();
                return Err(pool.jail.died(doing, format!("a child ended. {text}")));
            }
            Ok(more) => have += more,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(errno) => return Err(broken(doing)(errno)),
        }
        if have >= wanted && wanted < said.len() {
            let failed = said[4] != 0;
            if !failed {
                wanted = said.len();
            }
        }
    }
    let protocol = |detail: &str| SandboxError::Protocol {
        doing,
        detail: detail.to_owned(),
    };
    let mut report = [0; ChildReport::BYTES];
    report.copy_from_slice(&said[4..4 + ChildReport::BYTES]);
    let report = ChildReport::parse(&report).filter(|_| said.starts_with(b"HXRY"));
    let report = report.ok_or_else(|| protocol("its first word is no report"))?;
    if let Some((layer, doing, errno)) = report.failure {
        let error = io::Error::from_raw_os_error(errno);
        return Err(missing(layer, format!("failed to {doing}: {error}")));
    }
    if &said[said.len() - 4..] != b"HXGO" {
        return Err(protocol("its rehearsal failed"));
    }
    let mut layers: Vec<Layer> = pool
        .jail
        .layers
        .iter()
        .chain(&report.layers)
        .copied()
        .collect();
    layers.push(Layer::Watchdog);
    layers.sort_unstable();
    layers.dedup();
    for layer in handaxe_jail::all_layers() {
        if is_required(*layer) && !layers.contains(layer) && !excused.contains(layer) {
            return Err(missing(
                *layer,
                "a child did not find it in force".to_owned(),
            ));
        }
    }
    let address_space = report.pages * rustix::param::page_size() as u64;
    Ok(Greeted {
        layers,
        landlock_abi: report.landlock_abi,
        address_space,
    })
}

/// The process's number as this host's `/proc` and clocks know it.
fn process_id(pidfd: &OwnedFd) -> Result<u32, SandboxError> {
    use std::os::fd::AsRawFd;
    let doing = "reading a child's process number";
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = fs::read_to_string(path).map_err(|source| SandboxError::Io { doing, source })?;
    let number = text
        .lines()
        .find_map(|l| l.strip_prefix("Pid:")?.trim().parse().ok());
    number.ok_or_else(|| SandboxError::Protocol {
        doing,
        detail: "it has none".to_owned(),
    })
}
