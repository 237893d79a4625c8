//! The keys of a home: its own, which signs evidence and checkpoints, and those of the people who
//! approve. The database says which key is which; private halves are files under `keys/`.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use handaxe_types::{ApprovalPolicy, Digest, EventKind};
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::approver::{ApproverKey, KEY, SealedKey, key_message, key_of};
use crate::dsse::PublicKey;
use crate::error::{KeyError, RegistryError, Step as _};
use crate::journal::{Entry, Row};
use crate::registry::{Registry, parse_digest, parse_word, private_dir, random, unknown};

/// Where approvers' key files lie, in a home's `keys` folder.
pub const APPROVERS: &str = "approvers";
/// A sealed key is small; what is larger is none, and does not parse.
const MAX_SEALED_BYTES: u64 = 17 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Signs evidence and checkpoints.
    Home,
    /// Says yes for a person.
    Approver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// In use.
    Current,
    /// Signs no more; what it signed still verifies.
    Retired,
    /// What it signed verifies no more.
    Revoked,
}

impl KeyKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Approver => "approver",
        }
    }
}

impl KeyState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// A key as this home knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// SHA-256 of the public bytes.
    pub key: Digest,
    /// The 32 public bytes, hexadecimal.
    pub public: String,
    pub kind: KeyKind,
    /// Whose it is.
    pub name: String,
    pub state: KeyState,
    /// The approver key that vouched for it; the first has none.
    pub vouched_by: Option<Digest>,
    pub reason: Option<String>,
    pub created_ms: i64,
    pub ended_ms: Option<i64>,
    #[serde(skip)]
    pub(crate) row: i64,
    #[serde(skip)]
    vouch: Option<String>,
}

impl KeyInfo {
    pub fn public_key(&self) -> Option<PublicKey> {
        PublicKey::from_hex(&self.public).filter(|p| p.id() == self.key)
    }
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rotated {
    pub new: KeyInfo,
    pub old: Option<Digest>,
    /// The old private half, where it could not be removed.
    pub left_behind: Option<PathBuf>,
}

impl Registry {
    /// Every key, oldest first.
    pub fn keys(&self) -> Result<Vec<KeyInfo>, RegistryError> {
        self.read(|tx| select(tx, "1 OR ?1", ""))
    }

    /// This home's own public keys that evidence may bear: the current and the retired.
    pub fn home_keys(&self) -> Result<Vec<PublicKey>, RegistryError> {
        self.read(|tx| home_keys(tx))
    }

    /// Makes the home's key where there is none yet, and tells which it is.
    pub fn home_key(&self) -> Result<KeyInfo, KeyError> {
        self.write("make the home's key", |tx| {
            self.signing_key(tx)?;
            current(tx)?.ok_or(KeyError::NotFound("home".to_owned()))
        })
    }

    /// A new key signs from now on; the old one's private half is removed and its public half
    /// stays for verifying.
    pub fn rotate_key(&self) -> Result<Rotated, KeyError> {
        let (new, old) = self.write("rotate the home's key", |tx| {
            let old = current(tx)?;
            if let Some(old) = &old {
                self.set_ended(tx, old, KeyState::Retired, "rotated")?;
            }
            self.new_home_key(tx)?;
            let new = current(tx)?.ok_or(KeyError::NotFound("home".to_owned()))?;
            Ok::<_, KeyError>((new, old.map(|k| k.key)))
        })?;
        let left_behind = old.map(|key| self.private_path(key)).filter(|path| {
            std::fs::remove_file(path).is_err_and(|e| e.kind() != std::io::ErrorKind::NotFound)
        });
        Ok(Rotated {
            new,
            old,
            left_behind,
        })
    }

    /// Enrols an approver's key. The first is taken on trust; every later one needs the word of
    /// an approver who is enrolled already, or its id in the policy's list: a program with a
    /// shell could enrol itself otherwise, revoking the others first.
    pub fn enrol_approver(
        &self,
        public: &PublicKey,
        name: &str,
        voucher: Option<&ApproverKey>,
    ) -> Result<KeyInfo, KeyError> {
        self.write("enrol the approver's key", |tx| {
            let keys = select(tx, "kind = ?1", KeyKind::Approver.as_str())?;
            if keys.iter().any(|k| k.key == public.id()) {
                return Err(KeyError::Enrolled(public.id()));
            }
            let message = key_message(self.home_id(), public, name);
            let named = self.policy().approvers.contains(&public.id());
            let vouch = match voucher {
                None if keys.is_empty() || named => None,
                None => return Err(KeyError::NeedsVoucher),
                Some(voucher) => {
                    let by = voucher.public();
                    let current = |k: &KeyInfo| k.key == by.id() && k.state == KeyState::Current;
                    if !keys.iter().any(current) {
                        return Err(KeyError::NotAnApprover(by.id()));
                    }
                    Some((by.id(), voucher.vouch(&message)))
                }
            };
            self.insert_key(tx, public, KeyKind::Approver, name, vouch)?;
            find(tx, public.id())
        })
    }

    /// Ends a key. Retired, it signs no more and what it signed stands; revoked, what it signed
    /// counts no more either: evidence, checkpoints, approvals.
    pub fn end_key(&self, key: &str, to: KeyState, reason: &str) -> Result<KeyInfo, KeyError> {
        self.write("end the key", |tx| {
            let info = by_prefix(tx, key)?;
            match (info.kind, info.state, to) {
                (_, _, KeyState::Current)
                | (_, KeyState::Retired, KeyState::Retired)
                | (_, KeyState::Revoked, _) => {
                    return Err(KeyError::Ended {
                        key: info.key,
                        state: info.state.as_str(),
                    });
                }
                (KeyKind::Home, KeyState::Current, _) => return Err(KeyError::InUse(info.key)),
                _ => {}
            }
            self.set_ended(tx, &info, to, reason)?;
            find(tx, info.key)
        })
    }

    /// The key whose id begins with `prefix`, at least six digits of it.
    pub fn key(&self, prefix: &str) -> Result<KeyInfo, KeyError> {
        self.read(|tx| by_prefix(tx, prefix))
    }

    /// The home's private key, made first where there is none.
    pub(crate) fn signing_key(&self, tx: &Transaction<'_>) -> Result<SigningKey, KeyError> {
        let Some(info) = current(tx)? else {
            return self.new_home_key(tx);
        };
        let path = self.private_path(info.key);
        let key = read_key(&path)?;
        if PublicKey::from(&key).id() != info.key {
            return Err(KeyError::Format { path });
        }
        Ok(key)
    }

    fn private_path(&self, key: Digest) -> PathBuf {
        self.keys_dir().join(format!("{key}.pem"))
    }

    /// Where this home's private keys are.
    pub fn keys_dir(&self) -> PathBuf {
        self.home().join("keys")
    }

    /// The file before the row: a crash between leaves a file that nothing names.
    fn new_home_key(&self, tx: &Transaction<'_>) -> Result<SigningKey, KeyError> {
        let key = SigningKey::from_bytes(&random::<32>()?);
        let public = PublicKey::from(&key);
        let path = self.private_path(public.id());
        let failed = |source| KeyError::File {
            doing: "make",
            path: path.clone(),
            source,
        };
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyError::Format { path: path.clone() })?;
        let dir = self.keys_dir();
        private_dir(&dir).map_err(failed)?;
        write_private(&path, pem.as_bytes()).map_err(failed)?;
        File::open(&dir)
            .and_then(|d| d.sync_all())
            .map_err(failed)?;
        self.insert_key(tx, &public, KeyKind::Home, "this home", None)?;
        Ok(key)
    }

    fn insert_key(
        &self,
        tx: &Transaction<'_>,
        public: &PublicKey,
        kind: KeyKind,
        name: &str,
        vouch: Option<(Digest, String)>,
    ) -> Result<(), RegistryError> {
        let (vouched_by, vouch) = vouch.map_or((None, None), |(by, vouch)| {
            (Some(by.to_string()), Some(vouch))
        });
        tx.execute(
            "INSERT INTO signing_key (key, public, kind, name, state, vouched_by, vouch, created_ms)
             VALUES (?1, ?2, ?3, ?4, 'current', ?5, ?6, ?7)",
            (
                public.id().to_string(),
                public.to_hex(),
                kind.as_str(),
                name,
                &vouched_by,
                vouch,
                self.now_ms(),
            ),
        )
        .step("store the key")?;
        let row = tx.last_insert_rowid();
        self.append(
            tx,
            Entry {
                kind: EventKind::KeyAdded,
                subject: key_subject(public.id()),
                detail: json!({
                    "kind": kind,
                    "name": name,
                    "public": public.to_hex(),
                    "vouched_by": vouched_by,
                }),
                rows: &[Row::new("signing_key", row)],
            },
        )?;
        Ok(())
    }

    fn set_ended(
        &self,
        tx: &Transaction<'_>,
        key: &KeyInfo,
        state: KeyState,
        reason: &str,
    ) -> Result<(), RegistryError> {
        tx.execute(
            "UPDATE signing_key SET state = ?2, reason = ?3, ended_ms = ?4 WHERE id = ?1",
            (key.row, state.as_str(), reason, self.now_ms()),
        )
        .step("change the key's state")?;
        let kind = if state == KeyState::Revoked {
            EventKind::KeyRevoked
        } else {
            EventKind::KeyRetired
        };
        self.append(
            tx,
            Entry {
                kind,
                subject: key_subject(key.key),
                detail: json!({ "kind": key.kind, "name": key.name, "reason": reason }),
                rows: &[Row::new("signing_key", key.row)],
            },
        )?;
        Ok(())
    }
}

/// Approvers' key files in a home's `keys` folder, sealed as they lie, by path.
pub fn sealed_keys(keys: &Path) -> Result<Vec<(PathBuf, SealedKey)>, KeyError> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(keys.join(APPROVERS))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_SEALED_BYTES).read_to_end(&mut bytes))
            .map_err(|source| KeyError::File {
                doing: "read",
                path: path.clone(),
                source,
            })?;
        Ok((path, SealedKey::parse(&bytes)?))
    };
    paths.into_iter().map(read).collect()
}

fn key_subject(key: Digest) -> String {
    format!("key {}", key.short())
}

pub(crate) fn home_keys(conn: &Connection) -> Result<Vec<PublicKey>, RegistryError> {
    let keys = select(conn, "kind = ?1", KeyKind::Home.as_str())?;
    Ok(keys
        .iter()
        .filter(|k| k.state != KeyState::Revoked)
        .filter_map(KeyInfo::public_key)
        .collect())
}

/// An approver's key as an approval may rest on it: enrolled, vouched for, as the journal left it.
pub(crate) fn approver_key(
    conn: &Connection,
    home_id: &str,
    policy: &ApprovalPolicy,
    key: Digest,
) -> Result<Option<KeyInfo>, RegistryError> {
    let keys = select(conn, "kind = ?1", KeyKind::Approver.as_str())?;
    let Some(info) = keys.iter().find(|k| k.key == key) else {
        return Ok(None);
    };
    let Some(public) = info.public_key() else {
        return Ok(None);
    };
    let vouched = match (info.vouched_by, &info.vouch) {
        (None, None) => {
            policy.approvers.contains(&key) || keys.first().is_some_and(|first| first.key == key)
        }
        (Some(by), Some(vouch)) => {
            let message = key_message(home_id, &public, &info.name);
            keys.iter()
                .find(|k| k.key == by)
                .and_then(KeyInfo::public_key)
                .is_some_and(|by| by.verifies(KEY, message.as_bytes(), vouch))
        }
        _ => false,
    };
    let recorded = Row::new("signing_key", info.row).unchanged(conn)?;
    Ok((vouched && recorded).then(|| info.clone()))
}

fn current(conn: &Connection) -> Result<Option<KeyInfo>, RegistryError> {
    let keys = select(conn, "kind = ?1", KeyKind::Home.as_str())?;
    Ok(keys.into_iter().find(|k| k.state == KeyState::Current))
}

fn find(conn: &Connection, key: Digest) -> Result<KeyInfo, KeyError> {
    select(conn, "key = ?1", &key.to_string())?
        .pop()
        .ok_or_else(|| KeyError::NotFound(key.to_string()))
}

fn by_prefix(conn: &Connection, prefix: &str) -> Result<KeyInfo, KeyError> {
    let prefix = prefix.trim().to_lowercase();
    if prefix.len() == 64 {
        return find(conn, key_of(&prefix)?);
    }
    let mut keys: Vec<KeyInfo> = select(conn, "1 OR ?1", "")?
        .into_iter()
        .filter(|k| prefix.len() >= 6 && k.key.to_string().starts_with(&prefix))
        .collect();
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        _ => Err(KeyError::NotFound(prefix.chars().take(80).collect())),
    }
}

fn select(
    conn: &Connection,
    condition: &'static str,
    parameter: &str,
) -> Result<Vec<KeyInfo>, RegistryError> {
    const DOING: &str = "read the keys";
    let sql = format!(
        "SELECT id, key, public, kind, name, state, vouched_by, vouch, reason, created_ms, ended_ms
         FROM signing_key WHERE {condition} ORDER BY id"
    );
    let mut statement = conn.prepare_cached(&sql).step(DOING)?;
    let mut rows = statement.query([parameter]).step(DOING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().step(DOING)? {
        let text = |i: usize| row.get::<_, String>(i).step(DOING);
        let optional = |i: usize| row.get::<_, Option<String>>(i).step(DOING);
        found.push(KeyInfo {
            row: row.get(0).step(DOING)?,
            key: parse_digest("key id", &text(1)?)?,
            public: text(2)?,
            kind: parse_word("key kind", &text(3)?)?,
            name: text(4)?,
            state: parse_word("key state", &text(5)?)?,
            vouched_by: optional(6)?
                .map(|k| Digest::parse(&k).map_err(|_| unknown("key id", &k)))
                .transpose()?,
            vouch: optional(7)?,
            reason: optional(8)?,
            created_ms: row.get(9).step(DOING)?,
            ended_ms: row.get(10).step(DOING)?,
        });
    }
    Ok(found)
}

/// A new file that only its owner reads, on disk when this returns.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read_key(path: &Path) -> Result<SigningKey, KeyError> {
    let failed = |source| KeyError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    let mut pem = zeroize::Zeroizing::new(String::new());
    file.take(4096).read_to_string(&mut pem).map_err(failed)?;
    SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::Format {
        path: path.to_owned(),
    })
}
