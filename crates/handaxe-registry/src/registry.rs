//! The handle: opening a home, transactions, the clock, and who is acting.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use handaxe_types::{ApprovalPolicy, Digest, Redactor};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dense::Dense;
use crate::error::{RegistryError, Step as _};
use crate::group::Waiting;
use crate::loaded::{Loaded, Via};
use crate::schema;

/// Milliseconds since the Unix epoch, for whoever asks.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How long a writer waits for another process before [`RegistryError::Busy`].
const BUSY_TIMEOUT: Duration = Duration::from_secs(15);

/// Everything Handaxe keeps, in one SQLite database under a home directory. Cheap to clone; every
/// method blocks, so asynchronous callers use a blocking thread.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
    actor: Arc<str>,
    pub(crate) policy: Arc<ApprovalPolicy>,
    redactor: Arc<Redactor>,
    /// What finds tools by meaning, beside their words.
    pub(crate) dense: Option<Arc<Dense>>,
}

pub(crate) struct Inner {
    home: PathBuf,
    home_id: String,
    clock: Clock,
    conn: Mutex<Connection>,
    /// Reads beside a write that waits for the disk; opened when one first has to.
    reader: OnceLock<Mutex<Connection>>,
    pub(crate) calls: Waiting,
    pub(crate) loaded: Loaded,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("home", &self.inner.home)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Opens the home, making it (mode 0700) where it does not exist.
    pub fn open(home: &Path) -> Result<Self, RegistryError> {
        Self::open_with_clock(home, Arc::new(system_clock))
    }

    pub fn open_with_clock(home: &Path, clock: Clock) -> Result<Self, RegistryError> {
        private_dir(home).map_err(|source| RegistryError::CreateHome {
            path: home.to_owned(),
            source,
        })?;
        let path = home.join("handaxe.db");
        let fresh = !path.exists();
        let mut conn = connect(&path)?;
        if fresh {
            // For its owner alone, whatever the umask; SQLite gives its side files the same mode.
            // By path: closing another descriptor of the file would drop SQLite's locks on it. A
            // failure leaves the home's own mode, 0700, to keep others out.
            let _ = std::fs::set_permissions(&path, Permissions::from_mode(0o600));
        }
        schema::check_owner(&conn, &path)?;
        use_wal(&conn)?;
        set_up(&conn)?;
        schema::migrate(&mut conn, &hex::encode(random::<16>()?))?;
        let home_id = conn
            .query_row("SELECT value FROM meta WHERE key = 'home_id'", [], |r| {
                r.get(0)
            })
            .step("read the home's id")?;
        Ok(Self {
            inner: Arc::new(Inner {
                home: home.to_owned(),
                home_id,
                clock,
                conn: Mutex::new(conn),
                reader: OnceLock::new(),
                calls: Waiting::default(),
                loaded: Loaded::default(),
            }),
            actor: Arc::from("handaxe"),
            policy: Arc::default(),
            redactor: Arc::default(),
            dense: None,
        })
    }

    /// The same registry; what is done through this handle is journalled under `actor` (a login
    /// name, `composer`, `openai:…`).
    #[must_use]
    pub fn acting_as(&self, actor: &str) -> Self {
        Self {
            actor: Arc::from(self.redactor.text(actor).as_ref()),
            ..self.clone()
        }
    }

    /// The same registry, holding every yes to this policy, when it is given and before each run.
    #[must_use]
    pub fn under(&self, policy: ApprovalPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
            ..self.clone()
        }
    }

    pub(crate) fn with_dense(&self, dense: Arc<Dense>) -> Self {
        Self {
            dense: Some(dense),
            ..self.clone()
        }
    }

    /// The same registry, keeping these secrets out of what it stores: people's words are redacted,
    /// and a row that would hold one all the same is refused.
    pub fn redacting(&self, redactor: Arc<Redactor>) -> Result<Self, RegistryError> {
        crate::guard::install(&self.lock(), Arc::clone(&redactor))?;
        Ok(Self {
            redactor,
            ..self.clone()
        })
    }

    /// The secrets that are kept out of what is stored.
    pub fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    pub fn policy(&self) -> &ApprovalPolicy {
        &self.policy
    }

    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub fn home(&self) -> &Path {
        &self.inner.home
    }

    /// Names this home in checkpoints: random, made with the database.
    pub fn home_id(&self) -> &str {
        &self.inner.home_id
    }

    /// The registry's clock, milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        (self.inner.clock)()
    }

    /// A document without its secrets.
    pub(crate) fn redacted<T: Serialize + DeserializeOwned>(
        &self,
        what: &'static str,
        value: &T,
    ) -> Result<T, RegistryError> {
        let unwritable = |source| RegistryError::Unwritable { what, source };
        let document = serde_json::to_value(value).map_err(unwritable)?;
        serde_json::from_value(self.redactor.json(&document)).map_err(unwritable)
    }

    /// One snapshot for all reads in `f`.
    pub(crate) fn read<T, E: From<RegistryError>>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.read_via(|tx, _| f(tx))
    }

    /// The same for one who must know which connection it reads through.
    pub(crate) fn read_via<T, E: From<RegistryError>>(
        &self,
        f: impl FnOnce(&Transaction<'_>, Via) -> Result<T, E>,
    ) -> Result<T, E> {
        let (mut conn, via) = match self.inner.conn.try_lock() {
            Ok(conn) => (conn, Via::Writer),
            Err(TryLockError::Poisoned(poisoned)) => (poisoned.into_inner(), Via::Writer),
            Err(TryLockError::WouldBlock) => (self.reader()?, Via::Reader),
        };
        let tx = conn.transaction().step("begin reading")?;
        f(&tx, via)
    }

    fn reader(&self) -> Result<MutexGuard<'_, Connection>, RegistryError> {
        let reader = if let Some(reader) = self.inner.reader.get() {
            reader
        } else {
            let conn = connect(&self.inner.home.join("handaxe.db"))?;
            set_up(&conn)?;
            conn.pragma_update(None, "query_only", true)
                .step("set up the database")?;
            self.inner.reader.get_or_init(|| Mutex::new(conn))
        };
        Ok(reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of `f`, durably, or nothing. The write lock is taken first, so that what `f` reads is
    /// what it changes.
    pub(crate) fn write<T, E: From<RegistryError>>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self.lock();
        let tx = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .step(doing)?;
        let value = f(&tx)?;
        tx.commit().step(doing)?;
        Ok(value)
    }

    /// The connection that writes, to write anything with.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        let conn = self.lock_for_calls();
        self.inner.loaded.may_change();
        conn
    }

    /// The same, to write nothing but records of calls. A panic elsewhere rolled its transaction
    /// back, so the connection is still good.
    pub(crate) fn lock_for_calls(&self) -> MutexGuard<'_, Connection> {
        self.inner
            .conn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to the file, which is made where there is none.
fn connect(path: &Path) -> Result<Connection, RegistryError> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .step("open the database")?;
    conn.busy_timeout(BUSY_TIMEOUT)
        .step("set the busy timeout")?;
    Ok(conn)
}

/// Not before it is known that the file is ours.
fn set_up(conn: &Connection) -> Result<(), RegistryError> {
    // FULL, because WAL with NORMAL may lose acknowledged commits when the power fails.
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )
    .step("set up the database")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn system_clock() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

/// Switching to WAL does not wait for the busy timeout, so two processes that open a new home at
/// once are made to take turns here.
fn use_wal(conn: &Connection) -> Result<(), RegistryError> {
    const DOING: &str = "switch the database to write-ahead logging";
    let mut tries = 0;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get::<_, String>(0)) {
            Ok(_) => return Ok(()),
            Err(e)
                if tries < 100
                    && e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
            {
                tries += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(e) => return Err(RegistryError::sql(DOING, e)),
        }
    }
}

/// Makes a directory that only its owner can enter; leaves one that exists as it is.
pub(crate) fn private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], RegistryError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RegistryError::Random)?;
    Ok(bytes)
}

// Bytes by digest, and the JSON documents kept in them.

pub(crate) fn put_blob(tx: &Transaction<'_>, bytes: &[u8]) -> Result<Digest, RegistryError> {
    let digest = Digest::of(bytes);
    tx.prepare_cached("INSERT INTO blob (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
        .and_then(|mut s| s.execute((digest.to_string(), bytes)))
        .step("store bytes")?;
    Ok(digest)
}

pub(crate) fn put_json<T: Serialize>(
    tx: &Transaction<'_>,
    what: &'static str,
    value: &T,
) -> Result<Digest, RegistryError> {
    let bytes =
        serde_json::to_vec(value).map_err(|source| RegistryError::Unwritable { what, source })?;
    put_blob(tx, &bytes)
}

/// The bytes, checked against the digest they are asked for by.
pub(crate) fn get_blob(conn: &Connection, digest: &str) -> Result<Vec<u8>, RegistryError> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("SELECT bytes FROM blob WHERE digest = ?1")
        .and_then(|mut s| s.query_row([digest], |r| r.get(0)).optional())
        .step("read stored bytes")?;
    match bytes {
        Some(bytes) if Digest::of(&bytes).to_string() == digest => Ok(bytes),
        _ => Err(RegistryError::BlobDamaged {
            digest: parse_digest("digest", digest)?,
        }),
    }
}

pub(crate) fn get_json<T: DeserializeOwned>(
    conn: &Connection,
    what: &'static str,
    digest: &str,
) -> Result<T, RegistryError> {
    serde_json::from_slice(&get_blob(conn, digest)?)
        .map_err(|source| RegistryError::Unreadable { what, source })
}

pub(crate) fn get_text(conn: &Connection, digest: &str) -> Result<String, RegistryError> {
    let bytes = get_blob(conn, digest)?;
    String::from_utf8(bytes).map_err(|_| RegistryError::UnknownWord {
        what: "text",
        found: format!("bytes that are not UTF-8 ({digest})"),
    })
}

pub(crate) fn parse_digest(what: &'static str, text: &str) -> Result<Digest, RegistryError> {
    Digest::parse(text).map_err(|_| unknown(what, text))
}

/// A stored word, as the type that serialises to it.
pub(crate) fn parse_word<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, RegistryError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| unknown(what, text))
}

pub(crate) fn unknown(what: &'static str, found: &str) -> RegistryError {
    RegistryError::UnknownWord {
        what,
        found: found
            .chars()
            .take(80)
            .flat_map(char::escape_debug)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use handaxe_types::{Preview, RunId, Task};
    use serde_json::json;

    use super::*;
    use crate::error::RunError;

    fn limit_pages(registry: &Registry, extra: i64) {
        let conn = registry.lock();
        let pages: i64 = conn
            .query_row("PRAGMA page_count", [], |r| r.get(0))
            .unwrap();
        conn.query_row(
            &format!("PRAGMA max_page_count = {}", pages + extra),
            [],
            |_| Ok(()),
        )
        .unwrap();
    }

    fn fill(registry: &Registry, run: &RunId, round: i64) -> (usize, RunError) {
        let mut kept = 0;
        loop {
            let value = json!([round, kept, "x".repeat(9_000)]);
            match registry.step_put(run, &format!("{round}/{kept}"), &value) {
                Ok(()) => kept += 1,
                Err(e) => return (kept, e),
            }
        }
    }

    /// PERS03: a full disk is a typed error; what was acknowledged stays and work goes on later.
    #[test]
    fn a_full_disk_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        let task = Task {
            question: "q".into(),
            data: vec![],
            goldens: vec![],
            examples: vec![],
            preview: Preview::None,
        };
        let run = registry.start_run(&task).unwrap();
        for extra in 0..12 {
            limit_pages(&registry, extra);
            let (kept, error) = fill(&registry, run.id(), extra);
            assert!(
                matches!(error, RunError::Registry(RegistryError::Full { .. })),
                "{error:?}"
            );
            let refused = registry.record_domain_refusal(None, "network", &"y".repeat(60_000));
            assert!(matches!(refused, Err(RegistryError::Full { .. })));
            for i in 0..kept {
                let value = registry
                    .step_get(run.id(), &format!("{extra}/{i}"))
                    .unwrap();
                assert_eq!(value.unwrap()[1], json!(i));
            }
            let found = registry.verify().unwrap();
            assert!(found.ok && found.events == 1, "no half event: {found:?}");
        }
        limit_pages(&registry, 1_000_000);
        registry.step_put(run.id(), "after", &json!(1)).unwrap();
        assert!(registry.verify().unwrap().ok);
    }

    /// A writer that waits in vain gets a typed error and changes nothing.
    #[test]
    fn a_busy_database_is_a_typed_error() {
        let dir = tempfile::tempdir().unwrap();
        let one = Registry::open(dir.path()).unwrap();
        let two = Registry::open(dir.path()).unwrap();
        two.lock().busy_timeout(Duration::ZERO).unwrap();
        one.write::<_, RegistryError>("hold the lock", |_| {
            let refused = two.record_domain_refusal(None, "x", "y");
            assert!(matches!(refused, Err(RegistryError::Busy { .. })));
            assert_eq!(two.verify()?.events, 0, "readers are not held up");
            Ok(())
        })
        .unwrap();
        two.record_domain_refusal(None, "x", "y").unwrap();
    }

    #[test]
    fn durability_is_as_promised() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        let conn = registry.lock();
        let text = |pragma: &str| -> String {
            conn.query_row(&format!("SELECT {pragma} FROM pragma_{pragma}"), [], |r| {
                r.get::<_, rusqlite::types::Value>(0)
            })
            .map(|v| format!("{v:?}"))
            .unwrap()
        };
        assert_eq!(text("journal_mode"), "Text(\"wal\")");
        assert_eq!(text("synchronous"), "Integer(2)");
        assert_eq!(text("foreign_keys"), "Integer(1)");
    }
}
