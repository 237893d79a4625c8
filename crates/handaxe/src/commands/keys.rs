//! `handaxe keys`: what signs evidence and approvals.

use std::path::{Path, PathBuf};

use handaxe_registry::{ApproverKey, KeyError, KeyInfo, KeyKind, KeyState, SealedKey};
use handaxe_types::ApprovalHow;
use serde_json::json;

use crate::approver::{
    approvers_dir, key_failure, new_passphrase, sealed_key, unlock, write_sealed,
};
use crate::cli::{ApproverCommand, EnrolArgs, KeysCommand};
use crate::failure::{Exit, Failure, Outcome};
use crate::home::login;
use crate::render::text::Shown;
use crate::render::{faint, good, table, when};
use crate::workshop::{Workshop, registry_failure};

pub(crate) fn run(shop: &Workshop, command: KeysCommand) -> Outcome {
    match command {
        KeysCommand::List => list(shop),
        KeysCommand::Rotate => rotate(shop),
        KeysCommand::Export { key, out } => export(shop, key.as_deref(), out.as_deref()),
        KeysCommand::Retire { key } => end(shop, &key, KeyState::Retired, "retired"),
        KeysCommand::Revoke { key, reason } => end(shop, &key, KeyState::Revoked, &reason),
        KeysCommand::Approver(ApproverCommand::Create { name, out, word }) => {
            create(shop, &name.unwrap_or_else(login), out, &word)
        }
        KeysCommand::Approver(ApproverCommand::Enrol { file, word }) => {
            let sealed = sealed_key(&shop.registry()?.keys_dir(), Some(&file))?;
            let key = unlock(&sealed, word.passphrase_file.as_deref())?;
            enrol(shop, &key, &file, &word)
        }
    }
}

fn list(shop: &Workshop) -> Outcome {
    let keys = shop.registry()?.keys().map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({ "keys": keys }))?;
    if keys.is_empty() {
        shop.out.say(
            "No keys yet. The first is made with the first tool, or by `handaxe keys rotate`.",
        );
        return Ok(Exit::Done);
    }
    let rows = keys
        .iter()
        .map(|k| {
            vec![
                k.key.short(),
                kind(k).to_owned(),
                k.state.as_str().to_owned(),
                k.name.clone(),
                when(k.created_ms),
                k.vouched_by.map(|v| v.short()).unwrap_or_default(),
            ]
        })
        .collect();
    shop.out.say(table(
        &["key", "signs", "state", "whose", "made (UTC)", "vouched by"],
        rows,
    ));
    // Whole, because that is what another machine compares.
    for key in keys.iter().filter(|k| k.state == KeyState::Current) {
        shop.out
            .say(faint().apply_to(format!("{} {}", key.key.short(), key.key)));
    }
    Ok(Exit::Done)
}

fn kind(key: &KeyInfo) -> &'static str {
    match key.kind {
        KeyKind::Home => "evidence",
        KeyKind::Approver => "approvals",
    }
}

fn rotate(shop: &Workshop) -> Outcome {
    let rotated = shop.registry()?.rotate_key().map_err(|e| key_failure(&e))?;
    shop.out.document(&rotated)?;
    let new = rotated.new.key.short();
    shop.out.say(match rotated.old {
        Some(old) => format!(
            "{} signs from now on. What {} signed still verifies.",
            good().apply_to(new),
            old.short()
        ),
        None => format!("{} signs from now on.", good().apply_to(new)),
    });
    if let Some(path) = &rotated.left_behind {
        shop.out.warn(format!(
            "the old private key could not be removed: delete {}",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

fn export(shop: &Workshop, key: Option<&str>, out: Option<&Path>) -> Outcome {
    let registry = shop.registry()?;
    let info = match key {
        Some(key) => registry.key(key),
        None => registry.home_key(),
    }
    .map_err(|e| key_failure(&e))?;
    let pem = info
        .public_key()
        .and_then(|k| k.to_pem())
        .ok_or_else(|| Failure::failed("key", "the stored public key cannot be read"))?;
    shop.out.document(&json!({ "key": info, "pem": pem }))?;
    match out {
        None => shop.out.say(pem.trim_end()),
        Some(path) => {
            std::fs::write(path, &pem).map_err(|e| {
                Failure::failed("write", format!("cannot write {}: {e}", path.display()))
            })?;
            shop.out.say(format!(
                "Wrote {}. Its fingerprint, to compare by another way: {}",
                path.display(),
                info.key
            ));
        }
    }
    Ok(Exit::Done)
}

fn end(shop: &Workshop, key: &str, to: KeyState, reason: &str) -> Outcome {
    let info = shop
        .registry()?
        .end_key(key, to, reason)
        .map_err(|e| key_failure(&e))?;
    shop.out.document(&json!({ "key": info }))?;
    shop.out.say(format!(
        "Key {} is {}.",
        info.key.short(),
        info.state.as_str()
    ));
    Ok(Exit::Done)
}

fn create(shop: &Workshop, name: &str, out: Option<PathBuf>, word: &EnrolArgs) -> Outcome {
    let passphrase = new_passphrase(word.passphrase_file.as_deref())?;
    let (sealed, key) = SealedKey::create(name, &passphrase).map_err(|e| key_failure(&e))?;
    let path = out.map_or_else(
        || {
            let id = key.public().id().short();
            let keys = shop.registry()?.keys_dir();
            Ok(approvers_dir(&keys).join(format!("{id}.json")))
        },
        Ok,
    )?;
    // The file before the row: an approver that is enrolled has a key.
    write_sealed(&path, &sealed)?;
    enrol(shop, &key, &path, word)
}

fn enrol(shop: &Workshop, key: &ApproverKey, file: &Path, word: &EnrolArgs) -> Outcome {
    let registry = shop.registry()?;
    let voucher = word
        .vouched_by
        .as_deref()
        .map(|path| {
            let sealed = sealed_key(&registry.keys_dir(), Some(path))?;
            unlock(&sealed, word.voucher_passphrase_file.as_deref())
        })
        .transpose()?;
    let info = registry
        .enrol_approver(&key.public(), key.name(), voucher.as_ref())
        .map_err(|e| match e {
            KeyError::NeedsVoucher => Failure::new(Exit::Refused, e.kind(), &e).hint(format!(
                "the key is in {0}; then: handaxe keys approver enrol {0} --vouched-by FILE, or \
                 name it in {1}: [approval] approvers = [\"{2}\"]",
                file.display(),
                shop.home()
                    .map(|h| h.policy_path().display().to_string())
                    .unwrap_or_default(),
                key.public().id()
            )),
            e => Failure::new(Exit::Refused, e.kind(), &e).hint(e.hint()),
        })?;
    shop.out.document(&json!({ "key": info, "file": file }))?;
    shop.out.say(format!(
        "{} Key {} of {} is in {}.",
        good().apply_to("Enrolled."),
        info.key.short(),
        Shown(&info.name),
        file.display()
    ));
    if shop.home()?.policy.approval.how != ApprovalHow::Key {
        shop.out.say(format!(
            "  It is asked for once {} says, under [approval]: how = \"key\"",
            shop.home()?.policy_path().display()
        ));
    }
    Ok(Exit::Done)
}
