//! Approvers' key files and their passphrases: found, read, asked for. The registry decides what
//! a signature is worth.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use handaxe_registry::{APPROVERS, ApproverKey, KeyError, SealedKey, sealed_keys};

use crate::failure::{Exit, Failure, chain};
use crate::home::login;
use crate::inputs::read_bounded;
use crate::render::text::Shown;

const MAX_KEY_BYTES: u64 = 16 << 10;
const MAX_PASSPHRASE_BYTES: u64 = 4 << 10;
/// Wrong passphrases before a person is sent away.
const TRIES: u32 = 3;

pub(crate) fn key_failure(error: &KeyError) -> Failure {
    Failure::failed(error.kind(), chain(error)).hint(error.hint())
}

/// Where approvers' key files of a home are.
pub(crate) fn approvers_dir(keys: &Path) -> PathBuf {
    keys.join(APPROVERS)
}

/// The key file that was named, or the one of this home that is the person's own, or the only one.
pub(crate) fn sealed_key(keys: &Path, named: Option<&Path>) -> Result<SealedKey, Failure> {
    if let Some(path) = named {
        return read_sealed(path);
    }
    let dir = approvers_dir(keys);
    let mut found = sealed_keys(keys).map_err(|e| key_failure(&e))?;
    let me = login();
    let own = found.iter().filter(|(_, k)| k.name() == me).count();
    if found.len() > 1 && own == 1 {
        found.retain(|(_, k)| k.name() == me);
    }
    match (found.pop(), found.len()) {
        (Some((_, key)), 0) => Ok(key),
        (None, _) => Err(Failure::new(
            Exit::Refused,
            "no_key",
            "the policy asks for a signed approval, and this home has no approver's key file",
        )
        .hint("handaxe keys approver create; or name a file with --key FILE")),
        (Some(_), _) => Err(Failure::usage(format!(
            "{} holds several approvers' keys",
            dir.display()
        ))
        .hint("name one with --key FILE")),
    }
}

fn read_sealed(path: &Path) -> Result<SealedKey, Failure> {
    let bytes = read_bounded(path, MAX_KEY_BYTES)?;
    SealedKey::parse(&bytes)
        .map_err(|e| Failure::usage(format!("{}: {}", path.display(), chain(&e))).hint(e.hint()))
}

/// Writes a new key file that only its owner reads.
pub(crate) fn write_sealed(path: &Path, key: &SealedKey) -> Result<(), Failure> {
    let text = key.to_json().map_err(|e| key_failure(&e))?;
    let failed = |e: std::io::Error| {
        Failure::failed("key_file", format!("cannot write {}: {e}", path.display()))
            .hint("give another place with --out FILE; nothing there is overwritten")
    };
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// Unlocks a key with the passphrase in a file, or asks at the terminal.
pub(crate) fn unlock(
    sealed: &SealedKey,
    passphrase_file: Option<&Path>,
) -> Result<ApproverKey, Failure> {
    let refused = |e: &KeyError| Failure::new(Exit::Refused, e.kind(), chain(e)).hint(e.hint());
    if let Some(path) = passphrase_file {
        let passphrase = read_passphrase(path)?;
        return sealed.unlock(&passphrase).map_err(|e| refused(&e));
    }
    let prompt = format!("Passphrase of {}'s key:", Shown(sealed.name()));
    let mut last = None;
    for _ in 0..TRIES {
        let passphrase = ask_passphrase(&prompt, false)?;
        match sealed.unlock(&passphrase) {
            Ok(key) => return Ok(key),
            Err(e) => {
                let _ = writeln!(std::io::stderr(), "  {e}");
                last = Some(e);
            }
        }
    }
    Err(refused(&last.unwrap_or(KeyError::Passphrase)))
}

/// A passphrase for a new key: from a file, or asked twice.
pub(crate) fn new_passphrase(passphrase_file: Option<&Path>) -> Result<String, Failure> {
    match passphrase_file {
        Some(path) => read_passphrase(path),
        None => ask_passphrase("Passphrase for the new key:", true),
    }
}

fn ask_passphrase(prompt: &str, twice: bool) -> Result<String, Failure> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::new(
            Exit::Waiting,
            "no_terminal",
            "a passphrase is asked for at a terminal, and there is none",
        )
        .hint("run it at a terminal, or give --passphrase-file FILE"));
    }
    let question = inquire::Password::new(prompt);
    let question = if twice {
        question.with_help_message("four or five words that only you put together")
    } else {
        question.without_confirmation()
    };
    question
        .prompt()
        .map_err(|_| Failure::failed("cancelled", "no passphrase was given"))
}

/// The first line of a file.
fn read_passphrase(path: &Path) -> Result<String, Failure> {
    let bytes = read_bounded(path, MAX_PASSPHRASE_BYTES)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{}: not UTF-8", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
