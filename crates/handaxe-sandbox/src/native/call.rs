//! One call: check what goes in, take a child, hear it out, send the request, and say what came of
//! it. Every limit that has an outcome of its own is enforced from outside (see `watch`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use handaxe_types::{Layer, SandboxResult};
use serde_json::{Map, Value};

use super::codes::{CODE_BYTES, Codes, Form};
use super::pool::{Class, Pool, Ready};
use super::watch::{GRACE, Watch};
use crate::exchange::ending::ms;
use crate::exchange::hearing::End;
use crate::exchange::request::{PROCESSES, check_files, floor_bytes, floors, input, request};
use crate::exchange::wire::Request;
use crate::{Call, Cancel, SandboxError};

/// Runs one call in one child.
pub(super) fn run(
    pool: &Arc<Pool>,
    mounts: &BTreeSet<String>,
    codes: &Arc<Codes>,
    call: &Call,
    cancel: &Cancel,
) -> Result<SandboxResult, SandboxError> {
    check_files(call, mounts)?;
    let mut input = input(call, mounts)?;
    if pool.jail.place.is_some() {
        refuse_assets(call)?;
    }
    let form = codes.form(&call.code);
    let mut child = pool.take(class(call), cancel)?;
    if let Some(place) = &pool.jail.place {
        input = place.input(call, child.id)?;
    }
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

fn own_floors(call: &Call, child: &Ready) -> Vec<u8> {
    let (size, base) = (child.warm.address_space, child.warm.base);
    // Without a user namespace the processes of everyone of this user would count.
    let shared = !child.warm.layers.contains(&Layer::UserNamespace);
    let floors = floors(&call.limits, size, base);
    floor_bytes(floors.filter(|(resource, _)| !(shared && *resource == PROCESSES)))
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
    let parts = [call.code.as_bytes(), compiled, &own_floors(call, child)];
    let data = pool.jail.place.as_ref().map(|place| place.data(child.id));
    let mut request = request(call, input, parts);
    if let Some(data) = &data {
        // Assets were refused, so all of them are the call's files.
        request.files.iter_mut().for_each(|file| file.0 = data);
    }
    let mut bytes = encode(&request, child, parts)?;
    for file in call.files.iter().chain(&call.assets) {
        bytes.extend_from_slice(&file.bytes);
    }
    let started = Instant::now();
    let mut watch = Watch::new(call, cancel, &child.warm, started);
    converse(&mut watch, call, child, &bytes)?;
    let runtime = started.elapsed();
    let mut usage = watch.usage;

    // Only where no result came must the way it died be known.
    let told = watch.heard.told();
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
    if matches!(watch.heard.end, Some(End::Cancelled)) {
        return Err(SandboxError::Cancelled);
    }
    let layers = std::mem::take(&mut child.warm.layers);
    watch
        .heard
        .result(layers, runtime, usage, died, out_of_memory)
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
    let parts = [source.as_bytes(), &[], &own_floors(&call, &child)];
    let mut request = request(&call, &call.input, parts);
    request.compile = true;
    let bytes = encode(&request, &child, parts)?;
    let mut watch = Watch::new(&call, &cancel, &child.warm, Instant::now());
    let done = converse(&mut watch, &call, &mut child, &bytes);
    let compiled = watch.heard.output();
    pool.put_down(child);
    done.map(|()| compiled)
}

/// A tool finds its assets under a fixed path, which only a root of the jail's own has.
fn refuse_assets(call: &Call) -> Result<(), SandboxError> {
    match call.assets.first() {
        None => Ok(()),
        Some(asset) => Err(SandboxError::File {
            name: asset.name.clone(),
            reason: "a tool with assets needs the `native` profile: without namespaces there is \
                     no /assets"
                .to_owned(),
        }),
    }
}
