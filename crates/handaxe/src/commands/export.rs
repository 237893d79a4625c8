//! `handaxe tools export` and `docs`: tools for other programs, and the library for readers.

use std::path::{Path, PathBuf};

use handaxe_export::{
    Format, FormatError, Options, Page, Subject, WriteError, export as files_of, site, skill_name,
    write,
};
use handaxe_registry::Files;
use handaxe_types::ToolRef;
use serde_json::json;

use super::verify::registered;
use crate::cli::{ExportArgs, FormArg};
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::render::faint;
use crate::workshop::{Workshop, registry_failure, tool_ref};

pub(crate) fn export(shop: &Workshop, args: &ExportArgs) -> Outcome {
    let (tool, signed) = registered(shop, &tool_ref(&args.tool)?)?;
    let subject = Subject::read(signed).map_err(|e| {
        Failure::new(Exit::Refused, "altered", chain(&e))
            .hint(format!("handaxe tools verify {tool}"))
    })?;
    let format = format(args.form);
    let target = target(&args.out, format, subject.name());
    let place = std::path::absolute(&target).ok();
    let options = Options {
        place: place.as_deref(),
        loose: args.no_strict,
    };
    let files =
        files_of(&subject, format, options).map_err(|e| format_failure(&tool, format, &e))?;
    write(&target, &files, args.force).map_err(|e| write_failure(&e))?;
    let names: Vec<&String> = files.keys().collect();
    let signed = target.join(format.evidence_dir(&subject));
    shop.out.document(&json!({
        "tool": tool.to_string(), "form": format.as_str(), "folder": target,
        "files": names, "signed_folder": signed, "digest": subject.digest,
    }))?;
    shop.out.say(format!(
        "Wrote {tool} to {} ({} files).",
        target.display(),
        files.len()
    ));
    if format != Format::Folder {
        shop.out.say(
            "  Outside Handaxe no sandbox holds it: README.md there says what is no longer guaranteed.",
        );
    }
    shop.out.say(faint().apply_to(format!(
        "  there: handaxe tools verify --against {} --key FILE   (the file of `handaxe keys export`, taken there by another way)",
        signed.display()
    )));
    Ok(Exit::Done)
}

fn format(form: FormArg) -> Format {
    match form {
        FormArg::Folder => Format::Folder,
        FormArg::Python => Format::Python,
        FormArg::Skill => Format::Skill,
        FormArg::Openai => Format::OpenAi,
        FormArg::Anthropic => Format::Anthropic,
        FormArg::Mcp => Format::Mcp,
    }
}

/// A skill's folder must have the skill's name: it is DIR where that is its name, and goes into
/// DIR otherwise.
fn target(out: &Path, format: Format, tool: &str) -> PathBuf {
    let name = skill_name(tool);
    if format != Format::Skill || out.file_name().is_some_and(|n| n == name.as_str()) {
        return out.to_owned();
    }
    out.join(name)
}

fn format_failure(tool: &ToolRef, format: Format, error: &FormatError) -> Failure {
    Failure::failed(
        error.kind(),
        format!(
            "{tool} cannot be exported as {}: {}",
            format.as_str(),
            chain(error)
        ),
    )
    .hint(error.hint())
}

fn write_failure(error: &WriteError) -> Failure {
    Failure::failed("write", chain(error)).hint(error.hint())
}

pub(crate) fn docs(shop: &Workshop, dir: &Path, force: bool) -> Outcome {
    let registry = shop.registry()?;
    let mut pages = Vec::new();
    for summary in registry.tools(&[]).map_err(|e| registry_failure(&e))? {
        let tool = ToolRef {
            name: summary.name,
            version: Some(summary.version),
        };
        // What never was registered has no evidence, and is nobody's tool yet.
        let Some((_, signed)) = registry.folder(&tool).map_err(|e| registry_failure(&e))? else {
            continue;
        };
        if let Some(detail) = registry.tool(&tool).map_err(|e| registry_failure(&e))? {
            pages.push(Page { detail, signed });
        }
    }
    let files: Files = site(&pages).map_err(|e| Failure::failed("site", chain(&e)))?;
    write(dir, &files, force).map_err(|e| write_failure(&e))?;
    let index = dir.join("index.html");
    shop.out.document(&json!({
        "site": dir, "index": index, "versions": pages.len(), "files": files.len(),
    }))?;
    shop.out.say(format!(
        "Wrote {} ({} {}, {} files). Open it in any browser; it needs no server.",
        index.display(),
        pages.len(),
        if pages.len() == 1 {
            "version"
        } else {
            "versions"
        },
        files.len()
    ));
    Ok(Exit::Done)
}
