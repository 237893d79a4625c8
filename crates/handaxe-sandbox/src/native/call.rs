//! One call: check what goes in, take a child, hear it out, send the request, and say what came of
//! it. Every limit that has an outcome of its own is enforced from outside (see `watch`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_types::SandboxResult;
use serde_json::{Map, Value};

use super::artifacts::is_plain;
use super::codes::{CODE_BYTES, Codes, Form};
use super::pool::{Class, Pool, Ready};
use super::watch::{End, GRACE, Watch, ms};
use super::wire::Request;
use crate::{Call, Cancel, InlineFile, SandboxError};

/// Files that travel with a call, all of a kind together.
const INLINE_BYTES: usize = 1 << 20;
const INLINE_FILES: usize = 1000;

/// Runs one call in one child.
pub(super) fn run(
    pool: &Arc<Pool>,
    mounts: &BTreeSet<String>,
    codes: &Arc<Codes>,
    call: &Call,
    cancel: &Cancel,
) -> Result<SandboxResult, SandboxError> {
    check_files(call, mounts)?;
    let input = input(call, mounts)?;
    let form = codes.form(&call.code);
    let mut child = pool.take(class(call), cancel)?;
    let done = serve(pool, call, cancel, &mut child, &input, &form);
    pool.put_down(child);
    if matches!(form, Form::SourceAgain) && done.as_ref().is_ok_and(|r| r.output.is_some()) {
        compile_behind(pool, codes, &call.code);
    }
    done
}

fn class(call: &Call) -> Class {
    let files = !call.files.is_empty() || !call.assets.is_empty();
    Class::of(&call.limits, files)
}

fn serve(
    pool: &Pool,
    call: &Call,
    cancel: &Cancel,
    child: &mut Ready,
    input: &Map<String, Value>,
    form: &Form,
) -> Result<SandboxResult, SandboxError> {
    let compiled: &[u8] = match form {
        Form::Compiled(bytes) => bytes,
        Form::Source | Form::SourceAgain => &[],
    };
    let parts = [call.code.as_bytes(), compiled, &floors(call, child)];
    let mut bytes = encode(&request(call, input, parts), child, parts)?;
    for file in call.files.iter().chain(&call.assets) {
        bytes.extend_from_slice(&file.bytes);
    }
    let started = Instant::now();
    let mut watch = Watch::new(call, cancel, &child.warm, started);
    converse(&mut watch, call, child, &bytes)?;
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
        let cpu = ended.cpu.saturating_sub(child.warm.base);
        usage.cpu_ms = usage.cpu_ms.max(ms(cpu));
        usage.max_rss_kib = usage.max_rss_kib.max(ended.max_rss_kib);
    }
    let out_of_memory = !told && child.group.as_ref().is_some_and(|g| g.ran_out());
    if matches!(watch.end, Some(End::Cancelled)) {
        return Err(SandboxError::Cancelled);
    }
    let layers = std::mem::take(&mut child.warm.layers);
    watch.result(layers, runtime, usage, died, out_of_memory)
}

/// Bounds the child, sends the request and hears it out.
fn converse(
    watch: &mut Watch<'_>,
    call: &Call,
    child: &mut Ready,
    request: &[u8],
) -> Result<(), SandboxError> {
    if let Some(group) = &child.group {
        group
            .limit(&call.limits)
            .map_err(|source| SandboxError::Io {
                doing: "setting the call's control group",
                source,
            })?;
    }
    watch.converse(child, request)
}

fn encode(
    request: &Request<'_>,
    child: &Ready,
    parts: [&[u8]; 3],
) -> Result<Vec<u8>, SandboxError> {
    let bytes = request.encode(&child.warm.nonce, parts);
    bytes.map_err(|e| SandboxError::Io {
        doing: "writing the request",
        source: e.into(),
    })
}

/// Compiles a source for the calls to come, while nobody waits for it.
fn compile_behind(pool: &Arc<Pool>, codes: &Arc<Codes>, source: &Arc<str>) {
    let (pool, codes, source) = (Arc::clone(pool), Arc::clone(codes), Arc::clone(source));
    let thread = std::thread::Builder::new().name("handaxe-compile".to_owned());
    // Without a thread the source is compiled in every call, as before.
    let _ = thread.spawn(move || match compile(&pool, &source) {
        Ok(Some(compiled)) => codes.keep(&source, compiled),
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "a source was not compiled ahead"),
    });
}

/// The compiled form, from a child that does nothing else. `None` where there is none.
fn compile(pool: &Pool, source: &Arc<str>) -> Result<Option<Vec<u8>>, SandboxError> {
    let mut call = Call::new(Arc::clone(source), Map::new());
    call.limits.output_bytes = CODE_BYTES;
    let cancel = Cancel::default();
    let mut child = pool.take(class(&call), &cancel)?;
    let parts = [source.as_bytes(), &[], &floors(&call, &child)];
    let mut request = request(&call, &call.input, parts);
    request.compile = true;
    let bytes = encode(&request, &child, parts)?;
    let mut watch = Watch::new(&call, &cancel, &child.warm, Instant::now());
    let done = converse(&mut watch, &call, &mut child, &bytes);
    let compiled = watch.output();
    pool.put_down(child);
    done.map(|()| compiled)
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
fn input<'a>(
    call: &'a Call,
    mounts: &BTreeSet<String>,
) -> Result<Cow<'a, Map<String, Value>>, SandboxError> {
    if call.file_inputs.is_empty() {
        return Ok(Cow::Borrowed(&call.input));
    }
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
    Ok(Cow::Owned(input))
}

/// The call's resource limits: pairs of little-endian words, resource and value.
fn floors(call: &Call, child: &Ready) -> Vec<u8> {
    let limits = &call.limits;
    let address_space = child.warm.address_space.saturating_add(limits.memory_bytes);
    // The floor under the watchdog, in whole seconds, one to spare.
    let cpu = (child.warm.base + Duration::from_millis(limits.cpu_ms)).as_secs() + 2;
    let pairs = [
        (9, address_space),
        (0, cpu),
        (1, limits.file_bytes),
        (7, limits.open_files),
        (6, limits.processes),
    ];
    let words = pairs
        .iter()
        .flat_map(|(resource, value)| [*resource, *value]);
    words.flat_map(u64::to_le_bytes).collect()
}

fn request<'a>(call: &'a Call, input: &'a Map<String, Value>, parts: [&[u8]; 3]) -> Request<'a> {
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
