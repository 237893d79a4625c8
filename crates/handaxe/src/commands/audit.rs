//! `handaxe audit`: the journal.

use std::io::Read as _;
use std::path::Path;

use handaxe_registry::{Checkpoint, LogFilter};
use handaxe_types::EventKind;
use serde_json::{Value, json};

use crate::cli::AuditCommand;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::render::text::{Shown, clip};
use crate::render::{bad, faint, good, table, when};
use crate::workshop::{Workshop, registry_failure};

/// A checkpoint is a few hundred bytes.
const MAX_CHECKPOINT_BYTES: u64 = 64 << 10;

pub(crate) fn run(shop: &Workshop, command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Log {
            subject,
            kind,
            limit,
        } => log(shop, subject, kind.as_deref(), limit),
        AuditCommand::Verify { checkpoint } => verify(shop, checkpoint.as_deref()),
        AuditCommand::Checkpoint { out } => checkpoint(shop, out.as_deref()),
        AuditCommand::Export { out } => export(shop, out.as_deref()),
    }
}

fn log(shop: &Workshop, subject: Option<String>, kind: Option<&str>, limit: u32) -> Outcome {
    let kind = kind
        .map(|text| {
            serde_json::from_value::<EventKind>(Value::String(text.to_owned())).map_err(|_| {
                Failure::usage(format!(
                    "`{}` is no event; for example tool_registered",
                    Shown(text)
                ))
            })
        })
        .transpose()?;
    let filter = LogFilter {
        kind,
        subject,
        ..LogFilter::default()
    };
    let mut events = shop
        .registry()?
        .log(&filter)
        .map_err(|e| registry_failure(&e))?;
    let cut = events.len().saturating_sub(limit as usize);
    events.drain(..cut);
    shop.out.document(&json!({ "events": events }))?;
    let rows = events
        .iter()
        .map(|e| {
            vec![
                e.seq.to_string(),
                when(e.at_ms),
                e.kind.clone(),
                e.actor.clone(),
                e.subject.clone(),
                clip(&e.detail.to_string(), 70),
            ]
        })
        .collect();
    shop.out.say(table(
        &["seq", "at (UTC)", "event", "by", "about", "detail"],
        rows,
    ));
    Ok(Exit::Done)
}

fn verify(shop: &Workshop, checkpoint: Option<&Path>) -> Outcome {
    let registry = shop.registry()?;
    let checked = match checkpoint {
        None => registry.verify().map_err(|e| registry_failure(&e))?,
        Some(path) => {
            let fail =
                |e: std::io::Error| Failure::usage(format!("cannot read {}: {e}", path.display()));
            let mut bytes = Vec::new();
            let file = std::fs::File::open(path).map_err(fail)?;
            file.take(MAX_CHECKPOINT_BYTES)
                .read_to_end(&mut bytes)
                .map_err(fail)?;
            let checkpoint = Checkpoint::parse(&bytes).map_err(|e| {
                Failure::usage(format!("{}: {}", path.display(), chain(&e))).hint(e.hint())
            })?;
            registry
                .verify_with(&checkpoint)
                .map_err(|e| Failure::failed("checkpoint", chain(&e)).hint(e.hint()))?
        }
    };
    shop.out.document(&checked)?;
    if let Some(first) = &checked.first_bad {
        shop.out.say(format!(
            "{} {}: {}",
            bad().bold().apply_to("Not intact."),
            Shown(&first.place),
            Shown(&first.reason)
        ));
    } else {
        let head = checked
            .head
            .as_ref()
            .map(|h| h.hash.short())
            .unwrap_or_default();
        shop.out.say(format!(
            "{} {} events, head {head}.",
            good().apply_to("Intact."),
            checked.events
        ));
    }
    for doubt in &checked.not_ruled_out {
        shop.out
            .say(faint().apply_to(format!("Not ruled out: {}", Shown(doubt))));
    }
    Ok(if checked.ok { Exit::Done } else { Exit::Failed })
}

fn checkpoint(shop: &Workshop, out: Option<&Path>) -> Outcome {
    let checkpoint = shop
        .registry()?
        .checkpoint()
        .map_err(|e| Failure::failed("checkpoint", chain(&e)).hint(e.hint()))?;
    let text = serde_json::to_string_pretty(&checkpoint)
        .map_err(|e| Failure::failed("json", e.to_string()))?;
    match out {
        Some(path) => {
            std::fs::write(path, format!("{text}\n")).map_err(|e| {
                Failure::failed("write", format!("cannot write {}: {e}", path.display()))
            })?;
            shop.out.document(&checkpoint)?;
            shop.out.say(format!(
                "Wrote {}. Keep it somewhere else: handaxe audit verify --checkpoint FILE",
                path.display()
            ));
        }
        None if shop.out.json => shop.out.document(&checkpoint)?,
        None => shop.out.say(text),
    }
    Ok(Exit::Done)
}

fn export(shop: &Workshop, out: Option<&Path>) -> Outcome {
    let registry = shop.registry()?;
    let fail = |e: &dyn std::error::Error| Failure::failed("export", chain(e));
    match out {
        Some(path) => {
            let mut file = std::fs::File::create(path).map_err(|e| fail(&e))?;
            let n = registry.export(&mut file).map_err(|e| fail(&e))?;
            shop.out.document(&json!({ "events": n, "file": path }))?;
            shop.out
                .say(format!("Wrote {n} events to {}.", path.display()));
        }
        None => {
            registry
                .export(&mut std::io::stdout().lock())
                .map_err(|e| fail(&e))?;
        }
    }
    Ok(Exit::Done)
}
