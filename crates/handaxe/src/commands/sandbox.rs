//! `handaxe sandbox run`: the jail by itself, for any Python with a `run(**input)`.

use std::io::Read as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use handaxe_sandbox::{Call, Cancel, InlineFile, Mount, SessionSpec};
use handaxe_types::{Limits, Outcome as RunOutcome, RunError, SandboxResult};
use indicatif::ProgressBar;
use serde_json::Value;

use crate::cli::SandboxCommand;
use crate::failure::{Exit, Failure, Outcome};
use crate::inputs;
use crate::render::text::{Lines, Shown};
use crate::render::{bad, faint, good};
use crate::workshop::{Workshop, sandbox_failure};

/// Larger source than this is not a tool.
const MAX_CODE_BYTES: u64 = 1 << 20;

/// Attached files up to this many bytes together travel with the call.
const INLINE_BYTES: u64 = 1 << 20;

pub(crate) fn run(shop: &Workshop, command: SandboxCommand) -> Outcome {
    let (code, input, data, collect, out, limits) = match command {
        SandboxCommand::Run {
            code,
            input,
            data,
            collect,
            out,
            limits,
        } => (code, input, data, collect, out, limits),
        SandboxCommand::Probe => return super::probe::run(shop),
        SandboxCommand::Bench { calls, quick, svg } => {
            return super::bench::run(shop, calls, quick, svg.as_deref());
        }
    };
    if code.as_os_str() == "-" && input.as_deref() == Some("-") {
        return Err(Failure::usage(
            "the code and the input cannot both come from standard input",
        ));
    }
    let source = read_code(&code)?;
    let mut input = inputs::input_object(input.as_deref())?;
    let limits = inputs::limits(Limits::default(), &limits.limit)?;

    let (properties, paths): (Vec<_>, Vec<_>) = data
        .iter()
        .map(|text| inputs::property_and_path(text))
        .unzip();
    let files = inputs::attach(&paths)?;
    let mut file_inputs = Vec::new();
    for (property, file) in properties.iter().zip(&files) {
        if let Some(property) = property {
            input.insert((*property).to_owned(), Value::String(file.name.clone()));
            file_inputs.push((*property).to_owned());
        }
    }
    let total: u64 = files.iter().map(|f| f.bytes).sum();
    let mut spec = SessionSpec::default();
    let mut inline = Vec::new();
    for file in &files {
        if total > INLINE_BYTES {
            spec.mounts.push(Mount {
                name: file.name.clone(),
                path: file.path.clone(),
            });
        } else {
            let bytes = std::fs::read(&file.path).map_err(|e| {
                Failure::failed("data_file", format!("{}: {e}", file.path.display()))
            })?;
            inline.push(InlineFile {
                name: file.name.clone(),
                bytes: bytes.into(),
            });
        }
    }
    if !collect.is_empty() {
        std::fs::create_dir_all(&out)
            .map_err(|e| Failure::usage(format!("cannot make {}: {e}", out.display())))?;
    }
    let sandbox = shop.sandbox()?;
    let session = sandbox.open(spec).map_err(|e| sandbox_failure(&e))?;
    let call = Call {
        files: inline,
        file_inputs,
        artifacts: (!collect.is_empty()).then(|| out.clone()),
        file_outputs: collect,
        limits: limits.for_data(total, false),
        ..Call::new(source, input)
    };
    let cancel = Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let result = spinning(shop.out.quiet, || session.call(&call, &cancel))
        .map_err(|e| sandbox_failure(&e))?;
    shop.out.document(&result)?;
    show(shop, &result);
    if let Some(hint) = result.error.as_ref().and_then(hint) {
        shop.out.warn(format!("hint: {hint}"));
    }
    Ok(exit_for(&result))
}

/// What to do about an error that says more of the call than of the code.
fn hint(error: &RunError) -> Option<&'static str> {
    match error.kind.as_str() {
        "AttributeError" if error.message == "module 'tool' has no attribute 'run'" => Some(
            "the file needs a function, e.g. `def run(text: str) -> dict:`; its parameters are the \
             properties of --input",
        ),
        "TypeError" if error.message.starts_with("run() missing") => {
            Some("give run's arguments as one JSON object, e.g. --input '{\"text\": \"hello\"}'")
        }
        "TypeError" if error.message.starts_with("run() got an unexpected") => {
            Some("every property of --input must be a parameter of run")
        }
        _ => None,
    }
}

/// Shows that something goes on, once it has for a second.
fn spinning<T>(quiet: bool, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let soon = waiting.recv_timeout(Duration::from_secs(1));
            if quiet || soon != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // Draws only on a terminal.
            let bar = ProgressBar::new_spinner().with_message("running …");
            bar.enable_steady_tick(Duration::from_millis(100));
            let _ = waiting.recv();
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

fn read_code(path: &std::path::Path) -> Result<String, Failure> {
    let fail = |e: std::io::Error| {
        Failure::usage(format!("cannot read {}: {e}", path.display()))
            .hint("--code names a file of Python with a function run(…)")
    };
    let mut text = String::new();
    let from = if path.as_os_str() == "-" {
        std::path::Path::new("/dev/stdin")
    } else {
        path
    };
    let file = std::fs::File::open(from).map_err(fail)?;
    file.take(MAX_CODE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(fail)?;
    if text.len() as u64 > MAX_CODE_BYTES {
        return Err(Failure::usage(format!(
            "{} is larger than 1 MiB",
            path.display()
        )));
    }
    Ok(text)
}

/// A bound of the sandbox is exit 6; anything else that is not a result is exit 1.
pub(crate) fn exit_for(result: &SandboxResult) -> Exit {
    match result.outcome {
        RunOutcome::Ok => Exit::Done,
        RunOutcome::Timeout | RunOutcome::Memory | RunOutcome::OutputLimit => Exit::Bound,
        _ => Exit::Failed,
    }
}

/// A run's result for a person: the value on stdout, everything about it on stderr.
pub(crate) fn show(shop: &Workshop, result: &SandboxResult) {
    if !result.stdout.is_empty() {
        shop.out.note(
            faint()
                .for_stderr()
                .apply_to(Lines(result.stdout.trim_end())),
        );
    }
    if !result.stderr.is_empty() {
        shop.out.note(
            faint()
                .for_stderr()
                .apply_to(Lines(result.stderr.trim_end())),
        );
    }
    if let Some(output) = &result.output {
        let text = serde_json::to_string_pretty(output).unwrap_or_default();
        shop.out.say(Lines(&text));
    }
    for artifact in &result.artifacts {
        let size = crate::render::text::bytes(artifact.bytes);
        shop.out
            .note(format!("wrote {} ({size})", Shown(&artifact.name)));
    }
    let how = match (&result.error, result.limit) {
        (Some(error), _) => {
            let line = error
                .line
                .map(|l| format!(" (line {l})"))
                .unwrap_or_default();
            format!("{}: {}{line}", Shown(&error.kind), Shown(&error.message))
        }
        (None, Some(limit)) => format!("stopped at its {limit:?} limit").to_lowercase(),
        (None, None) => String::new(),
    };
    let word = result.outcome.as_str().replace('_', " ");
    let style = if result.outcome == RunOutcome::Ok {
        good()
    } else {
        bad()
    };
    let ended = style.for_stderr().apply_to(word);
    if shop.out.quiet && result.outcome != RunOutcome::Ok {
        // Quiet is about progress; why there is no result is not progress.
        shop.out.warn(format!("{ended} {how}"));
    }
    shop.out.note(format!(
        "{ended} {how}{}",
        faint().for_stderr().apply_to(format!(
            "  {:.1} ms, {:.0} ms CPU, {} KiB; {} isolation layers in force",
            result.runtime_ms,
            result.usage.cpu_ms,
            result.usage.max_rss_kib,
            result.layers.len()
        ))
    ));
}
