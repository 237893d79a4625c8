//! `handaxe tools verify`: evidence checked by someone who doubts it, here or on a machine that has
//! never seen the registry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use handaxe_agent::{Difference, Reproof, reprove};
use handaxe_export::{Entry, Folder, ReadError};
use handaxe_registry::{Files, FolderProblem, Inspection, PublicKey, inspect_folder};
use handaxe_types::{Digest, Silent, ToolRef};
use serde_json::{Value, json};

use super::validate_failure;
use crate::cli::VerifyArgs;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::inputs::read_bounded;
use crate::render::text::{Shown, clip};
use crate::render::{Watcher, bad, caution, faint, good, strong};
use crate::workshop::{Workshop, registry_failure, tool_ref};

const MAX_FILE_BYTES: u64 = 32 << 20;
const MAX_FILES: usize = 256;
const MAX_KEY_BYTES: u64 = 4096;

/// What is to be verified.
struct Found {
    /// As the person named it.
    name: String,
    files: Files,
    /// Why the folder on disk is not what the registry holds.
    folder: Vec<String>,
}

pub(crate) fn verify(shop: &Workshop, args: &VerifyArgs) -> Outcome {
    let trusted = trusted(shop, args)?;
    let found = find(shop, args)?;
    let mut inspection = inspect_folder(&found.files, &trusted);
    for id in &args.fingerprint {
        let id = id.trim().to_lowercase();
        let same = |k: &PublicKey| id.len() == 64 && k.id().to_string() == id;
        inspection.trusted |= inspection.signer.as_ref().is_some_and(same);
    }
    // A name beside a folder says which tool the folder must be.
    let other = match (&args.tool, &args.against) {
        (Some(name), Some(_)) => Some(tool_ref(name)?),
        _ => None,
    };
    let wrong_tool = other.filter(|wanted| {
        inspection.tool.as_ref().is_none_or(|t| {
            t.name != wanted.name || (wanted.version.is_some() && t.version != wanted.version)
        })
    });
    let holds = inspection.problems.is_empty()
        && inspection.trusted
        && found.folder.is_empty()
        && wrong_tool.is_none();
    // What does not hold is not worth running.
    let reproof = if args.offline || !inspection.problems.is_empty() {
        None
    } else {
        prove_again(shop, &inspection)?
    };
    let same = reproof
        .as_ref()
        .is_none_or(|r| r.differences.is_empty() && r.verdict.accepted);
    let ok = holds && same;
    shop.out.document(&document(
        &found,
        &inspection,
        wrong_tool.as_ref(),
        reproof.as_ref(),
        ok,
    ))?;
    tell(shop, &found, &inspection, wrong_tool.as_ref());
    tell_proof(shop, args, reproof.as_ref());
    if ok {
        shop.out.say(good().bold().apply_to("Verified."));
        return Ok(Exit::Done);
    }
    shop.out.say(bad().bold().apply_to("Not verified."));
    if inspection.problems.is_empty() && !inspection.trusted {
        let key = inspection.signer.map(|k| k.id());
        let key = key.map(|k| k.to_string()).unwrap_or_default();
        shop.out.warn(format!(
            "hint: ask the owner for `handaxe keys list` there, compare {key} by another way than \
             this folder came, then add --fingerprint {key}"
        ));
    } else if !found.folder.is_empty() && inspection.problems.is_empty() {
        shop.out.warn(
            "hint: what runs is the registry's copy, which is whole; `handaxe tools export` writes \
             it anew",
        );
    }
    Ok(Exit::Refused)
}

/// Keys whose word counts: this home's for its own tools, and those that were named.
fn trusted(shop: &Workshop, args: &VerifyArgs) -> Result<Vec<PublicKey>, Failure> {
    let mut keys = Vec::new();
    for path in &args.key {
        let bytes = read_bounded(path, MAX_KEY_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        let key = PublicKey::from_pem(&text)
            .or_else(|| PublicKey::from_hex(&text))
            .ok_or_else(|| {
                Failure::usage(format!("{} is not a public key", path.display()))
                    .hint("`handaxe keys export --out FILE` writes one, on the machine that signed")
            })?;
        keys.push(key);
    }
    for id in &args.fingerprint {
        if Digest::parse(&id.trim().to_lowercase()).is_err() {
            return Err(Failure::usage(format!(
                "`{}` is not a fingerprint",
                Shown(&clip(id, 80))
            ))
            .hint("64 hexadecimal digits, as `handaxe keys list` shows them on the machine that signed"));
        }
    }
    let own = shop.registry()?.home_keys();
    keys.extend(own.map_err(|e| registry_failure(&e))?);
    Ok(keys)
}

fn find(shop: &Workshop, args: &VerifyArgs) -> Result<Found, Failure> {
    let is_path = |name: &&str| name.contains('/') || Path::new(name).is_dir();
    let named = args.tool.as_deref().filter(is_path).map(PathBuf::from);
    if let Some(dir) = args.against.clone().or(named) {
        return Ok(Found {
            name: dir.display().to_string(),
            files: read_dir(&dir)?,
            folder: Vec::new(),
        });
    }
    let tool = tool_ref(args.tool.as_deref().unwrap_or_default())?;
    let registry = shop.registry()?;
    let (tool, files) = registered(shop, &tool)?;
    let version = tool.version.unwrap_or(handaxe_types::Version(1));
    let dir = registry.tool_dir(&tool.name, version);
    Ok(Found {
        name: tool.to_string(),
        folder: folder_differs(&dir, &files),
        files,
    })
}

pub(super) fn registered(shop: &Workshop, tool: &ToolRef) -> Result<(ToolRef, Files), Failure> {
    shop.registry()?
        .folder(tool)
        .map_err(|e| Failure::new(Exit::Refused, "altered", chain(&e)).hint(e.hint()))?
        .ok_or_else(|| {
            Failure::failed("not_found", format!("there is no registered tool `{tool}`"))
                .hint("`handaxe tools list`; what waits for approval has no evidence yet")
        })
}

/// The folder in the home is a view for people; it is compared, never believed.
fn folder_differs(dir: &Path, files: &Files) -> Vec<String> {
    files
        .iter()
        .filter_map(|(name, bytes)| {
            let path = dir.join(name);
            match read_bounded(&path, MAX_FILE_BYTES) {
                Ok(found) if found == *bytes => None,
                Ok(_) => Some(format!("{} was changed", path.display())),
                Err(_) => Some(format!("{} is missing", path.display())),
            }
        })
        .collect()
}

fn prove_again(shop: &Workshop, inspection: &Inspection) -> Result<Option<Reproof>, Failure> {
    let (Some(draft), Some(recorded)) = (&inspection.draft, &inspection.proof) else {
        return Ok(None);
    };
    let cancel = handaxe_sandbox::Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let watcher = Watcher::new(&shop.out);
    let reporter: &dyn handaxe_types::Reporter = if shop.out.quiet { &Silent } else { &watcher };
    let again = reprove(
        Arc::clone(shop.sandbox()?),
        &shop.home()?.policy,
        draft,
        recorded,
        reporter,
        &cancel,
    );
    watcher.clear();
    again.map(Some).map_err(|e| validate_failure(&e))
}

fn document(
    found: &Found,
    inspection: &Inspection,
    wrong_tool: Option<&ToolRef>,
    reproof: Option<&Reproof>,
    ok: bool,
) -> Value {
    let problems: Vec<Value> = inspection
        .problems
        .iter()
        .map(|p| json!({ "kind": p.kind(), "message": chain(p) }))
        .chain(
            found
                .folder
                .iter()
                .map(|f| json!({ "kind": "folder", "message": f })),
        )
        .chain(
            wrong_tool
                .map(|t| json!({ "kind": "wrong_tool", "message": format!("it is not {t}") })),
        )
        .collect();
    json!({
        "ok": ok,
        "tool": inspection.tool.as_ref().map(ToString::to_string),
        "digest": inspection.subject,
        "signer": inspection.signer.map(|k| json!({
            "key": k.id(), "public": k.to_hex(), "trusted": inspection.trusted,
        })),
        "problems": problems,
        "not_covered": inspection.not_covered,
        "approval": inspection.approval,
        "proof": reproof.map(|r| json!({
            "accepted": r.verdict.accepted,
            "reasons": r.verdict.reasons,
            "card": r.verdict.card,
            "differences": r.differences,
            "environment": r.environment,
        })),
    })
}

fn tell(shop: &Workshop, found: &Found, inspection: &Inspection, wrong_tool: Option<&ToolRef>) {
    let out = &shop.out;
    let row = |name: &str, text: String| {
        out.say(format!(
            "  {} {text}",
            strong().apply_to(format!("{name:<11}"))
        ));
    };
    let tool = inspection.tool.as_ref().map(ToString::to_string);
    row(
        "Tool",
        tool.unwrap_or_else(|| Shown(&found.name).to_string()),
    );
    row(
        "Signature",
        match (&inspection.signer, inspection.trusted) {
            (None, _) => bad().apply_to("none that holds").to_string(),
            (Some(key), true) => good()
                .apply_to(format!("holds; key {}, which you trust", key.id().short()))
                .to_string(),
            (Some(key), false) => caution()
                .apply_to(format!(
                    "holds under key {}, which came with the folder and which nobody here vouches for",
                    key.id().short()
                ))
                .to_string(),
        },
    );
    if inspection.problems.is_empty() {
        let digest = inspection.subject.map(|s| s.0.short()).unwrap_or_default();
        row(
            "Files",
            good()
                .apply_to(format!(
                    "{} as they were signed for; digest {digest}",
                    found.files.len() - inspection.not_covered.len()
                ))
                .to_string(),
        );
        if let Some(evidence) = &inspection.approval {
            let a = &evidence.approval;
            let by = match &a.signature {
                Some(s) => format!("signed with key {}, which holds", s.key.short()),
                None => format!("{}; the signer's word", a.method.as_str()),
            };
            let own = if a.self_approved {
                ", self-approved"
            } else {
                ""
            };
            row("Approval", format!("by {} ({by}{own})", Shown(&a.approver)));
        }
    }
    for problem in &inspection.problems {
        row(
            "Problem",
            bad()
                .apply_to(Shown(&chain(problem as &FolderProblem)))
                .to_string(),
        );
    }
    for folder in &found.folder {
        row("Problem", bad().apply_to(Shown(folder)).to_string());
    }
    if let Some(wanted) = wrong_tool {
        row(
            "Problem",
            bad().apply_to(format!("it is not {wanted}")).to_string(),
        );
    }
    for file in &inspection.not_covered {
        row(
            "Not signed",
            faint()
                .apply_to(format!("{} (no part of the tool)", Shown(file)))
                .to_string(),
        );
    }
}

fn tell_proof(shop: &Workshop, args: &VerifyArgs, reproof: Option<&Reproof>) {
    let out = &shop.out;
    let row = |name: &str, text: String| {
        out.say(format!(
            "  {} {text}",
            strong().apply_to(format!("{name:<11}"))
        ));
    };
    let Some(reproof) = reproof else {
        if args.offline {
            row(
                "Proof",
                faint().apply_to("not run again (--offline)").to_string(),
            );
        }
        return;
    };
    let told = |d: &Difference| {
        format!(
            "{}: {} on record, {} here",
            Shown(&d.what),
            Shown(&clip(&d.recorded.to_string(), 60)),
            Shown(&clip(&d.now.to_string(), 60))
        )
    };
    let runs = reproof.trial.sandbox_runs;
    if reproof.differences.is_empty() {
        row(
            "Proof",
            good()
                .apply_to(format!("run again, {runs} sandbox runs: the same result"))
                .to_string(),
        );
    } else {
        row(
            "Proof",
            bad()
                .apply_to(format!("run again, {runs} sandbox runs: another result"))
                .to_string(),
        );
    }
    for difference in &reproof.differences {
        row("", bad().apply_to(told(difference)).to_string());
    }
    for difference in &reproof.environment {
        row("Ran under", faint().apply_to(told(difference)).to_string());
    }
}

/// Plain files only, of the folder and of `assets/`; what is deeper or a link is refused.
fn read_dir(dir: &Path) -> Result<Files, Failure> {
    let folder = Folder::open(dir).map_err(|e| read_failure(&e))?;
    let mut files = Files::new();
    for inner in ["", "assets"] {
        for (name, kind) in folder
            .entries(inner)
            .map_err(|e| read_failure(&e))?
            .unwrap_or_default()
        {
            let path = if inner.is_empty() {
                name
            } else {
                format!("{inner}/{name}")
            };
            match (kind, path.as_str()) {
                (Entry::Folder, "assets") => continue,
                // An installed package has one; nobody signed for it, and that is told.
                (Entry::Folder, "__pycache__") => {
                    files.insert(format!("{path}/"), Vec::new());
                    continue;
                }
                (Entry::File, _) => {}
                _ => {
                    return Err(read_failure(&ReadError::NotAFile {
                        path: dir.join(Shown(&path).to_string()).display().to_string(),
                    }));
                }
            }
            if files.len() == MAX_FILES {
                return Err(Failure::usage(format!(
                    "{} holds more than {MAX_FILES} files",
                    dir.display()
                )));
            }
            if let Some(bytes) = folder
                .file(&path, MAX_FILE_BYTES)
                .map_err(|e| read_failure(&e))?
            {
                files.insert(path, bytes);
            }
        }
    }
    Ok(files)
}

fn read_failure(error: &ReadError) -> Failure {
    match error {
        ReadError::Link { .. } | ReadError::NotAFile { .. } => {
            Failure::new(Exit::Refused, "not_a_file", chain(error))
                .hint("a tool folder holds plain files, and `assets/`")
        }
        _ => Failure::usage(chain(error))
            .hint("name an exported tool folder: it holds tool.py and evidence.json"),
    }
}
