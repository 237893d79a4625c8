//! What can go wrong while keeping the books; each with what a person should do next.

use std::path::PathBuf;

use handaxe_types::{Confusion, Digest, RunId, RunState, ToolName, ToolRef, ToolState};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// A failure of storage. The transaction under way was rolled back: nothing half-written stays,
/// and nothing that was acknowledged before is lost.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("cannot create the home directory {}: {source}", path.display())]
    CreateHome {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not a Handaxe database", path.display())]
    Foreign { path: PathBuf },
    #[error("the database was written by a newer Handaxe (schema {found}; this one knows {known})")]
    Newer { found: i64, known: i64 },
    #[error("the database is damaged, seen while trying to {doing}: {source}")]
    Corrupt {
        doing: &'static str,
        source: rusqlite::Error,
    },
    #[error("the disk is full: could not {doing}; nothing was changed")]
    Full {
        doing: &'static str,
        source: rusqlite::Error,
    },
    #[error("another process kept the database busy: could not {doing}")]
    Busy {
        doing: &'static str,
        source: rusqlite::Error,
    },
    #[error("the database cannot be written: could not {doing}: {source}")]
    ReadOnly {
        doing: &'static str,
        source: rusqlite::Error,
    },
    #[error("the database cannot be opened or read: could not {doing}: {source}")]
    Io {
        doing: &'static str,
        source: rusqlite::Error,
    },
    #[error("could not {doing}: {source}")]
    Sql {
        doing: &'static str,
        source: rusqlite::Error,
    },
    /// A stored document that this version cannot read, or that was altered.
    #[error("stored {what} cannot be read back: {source}")]
    Unreadable {
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("{what} cannot be written as JSON: {source}")]
    Unwritable {
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("stored {what} holds `{found}`, which has no meaning here")]
    UnknownWord { what: &'static str, found: String },
    #[error("stored bytes with digest {digest} are missing or were altered")]
    BlobDamaged { digest: Digest },
    #[error("no random numbers could be had: {0}")]
    Random(getrandom::Error),
}

impl RegistryError {
    /// The next thing to try.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::CreateHome { .. } => "choose a directory you may write to with `--home`",
            Self::Foreign { .. } => "choose another directory with `--home`",
            Self::Newer { .. } => "use the newer `handaxe`, or another `--home`",
            Self::Corrupt { .. } | Self::BlobDamaged { .. } => {
                "see `handaxe audit verify`; restore the home directory from a backup"
            }
            Self::Full { .. } => "free some space and run the same command again",
            Self::Busy { .. } => "run the command again when the other process is done",
            Self::ReadOnly { .. } => "check who owns the home directory and that it is writable",
            Self::Io { .. } | Self::Sql { .. } => "check the disk and the home directory",
            Self::Unreadable { .. } | Self::UnknownWord { .. } => "see `handaxe audit verify`",
            Self::Unwritable { .. } | Self::Random(_) => "run the command again",
        }
    }

    pub(crate) fn sql(doing: &'static str, source: rusqlite::Error) -> Self {
        let code = source.sqlite_error().map(|e| (e.code, e.extended_code));
        match code {
            Some((ErrorCode::DiskFull, _) | (_, SQLITE_IOERR_SHMSIZE)) => {
                Self::Full { doing, source }
            }
            Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => {
                Self::Busy { doing, source }
            }
            Some((ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)) => {
                Self::Corrupt { doing, source }
            }
            Some((ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _)) => {
                Self::ReadOnly { doing, source }
            }
            Some((ErrorCode::SystemIoFailure | ErrorCode::CannotOpen, _)) => {
                Self::Io { doing, source }
            }
            _ => Self::Sql { doing, source },
        }
    }
}

/// Names the step that a statement belongs to.
pub(crate) trait Step<T> {
    fn step(self, doing: &'static str) -> Result<T, RegistryError>;
}

impl<T> Step<T> for Result<T, rusqlite::Error> {
    fn step(self, doing: &'static str) -> Result<T, RegistryError> {
        self.map_err(|source| RegistryError::sql(doing, source))
    }
}

/// Why a tool does not run. Every variant but `NotFound` and `Registry` was journalled.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there is no tool `{tool}`")]
    NotFound { tool: ToolRef },
    #[error("tool `{tool}` has no approved version{}", waiting_note(*.waiting))]
    NotApproved {
        tool: ToolRef,
        waiting: Option<handaxe_types::ApprovalId>,
    },
    #[error("tool `{tool}` is {} and does not run", state.as_str())]
    State { tool: ToolRef, state: ToolState },
    #[error("the stored bytes of `{tool}` are not the ones that were approved")]
    DigestMismatch { tool: ToolRef },
    /// The sandbox is another one, and not known to be stricter.
    #[error(
        "`{tool}` was approved under sandbox profile {}; `{}` (isolation `{}`, profile {}) is neither that nor stricter",
        approved.short(),
        given.name,
        given.level.as_str(),
        given.digest().short()
    )]
    ProfileMismatch {
        tool: ToolRef,
        approved: Digest,
        given: Box<handaxe_types::Profile>,
    },
    /// A row that decides whether the tool runs differs from what the journal recorded of it.
    #[error("the record of `{tool}` was changed behind the journal")]
    Tampered { tool: ToolRef },
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn waiting_note(waiting: Option<handaxe_types::ApprovalId>) -> String {
    waiting.map_or_else(String::new, |id| format!(" (approval {id} is waiting)"))
}

impl LoadError {
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound { tool } => format!("`handaxe tools search {}`", tool.name),
            Self::NotApproved {
                waiting: Some(id), ..
            } => format!("`handaxe approvals show {id}`"),
            Self::NotApproved { tool, .. } => format!("`handaxe tools show {}`", tool.name),
            Self::State {
                tool,
                state: ToolState::Retired | ToolState::Quarantined,
            } => format!("`handaxe tools restore {tool}`"),
            Self::State { tool, .. } => format!("`handaxe tools show {tool}`"),
            Self::DigestMismatch { .. } | Self::Tampered { .. } => "`handaxe audit verify`".into(),
            Self::ProfileMismatch { tool, .. } => {
                format!(
                    "`handaxe tools test {tool}` proves it under this profile for a new approval"
                )
            }
            Self::Registry(e) => e.hint().to_owned(),
        }
    }

    /// A stable word for the journal and for `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::NotApproved { .. } => "not_approved",
            Self::State { .. } => "state",
            Self::DigestMismatch { .. } => "digest_mismatch",
            Self::ProfileMismatch { .. } => "profile_mismatch",
            Self::Tampered { .. } => "tampered",
            Self::Registry(_) => "registry",
        }
    }
}

/// Why a draft cannot be put before a person.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    #[error("the verdict refuses this draft")]
    Refused,
    #[error("the trial ran no case; a tool without evidence cannot be approved")]
    NoCases,
    #[error("the verdict accepts, though case `{}` failed or is a withdrawn golden", case.escape_debug())]
    Contradicted { case: String },
    #[error("the {what} is about another draft or profile than this one")]
    SubjectMismatch { what: &'static str },
    #[error("asset name `{0}` is not one plain file name")]
    AssetName(String),
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    #[error("the name `{name}` {how} `{other}`, and a reader would take one for the other")]
    Confusable {
        name: ToolName,
        other: ToolName,
        how: Confusion,
    },
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl ProposeError {
    pub fn hint(&self) -> String {
        match self {
            Self::Refused => "see the verdict's reasons with `handaxe runs show`".into(),
            Self::NoCases => "add cases to cases.jsonl and test again".into(),
            Self::Contradicted { .. } | Self::SubjectMismatch { .. } => {
                "test the draft again".into()
            }
            Self::AssetName(_) => "rename the asset: letters, digits, `.`, `_`, `-`".into(),
            Self::UnknownRun(_) => "`handaxe runs list`".into(),
            Self::Confusable { other, .. } => {
                format!("choose another name, or make it the next version of `{other}`")
            }
            Self::Registry(e) => e.hint().into(),
        }
    }
}

/// Why an approval, or a refusal of one, does not stand. Refused approvals are journalled.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    #[error("there is no approval {0}")]
    NotFound(handaxe_types::ApprovalId),
    #[error("approval {id} expired")]
    Expired { id: handaxe_types::ApprovalId },
    #[error("approval {id} is already {}", state.as_str())]
    AlreadyDecided {
        id: handaxe_types::ApprovalId,
        state: handaxe_types::ApprovalState,
    },
    #[error("approval {id} is for another digest than the one you were shown")]
    DigestChanged { id: handaxe_types::ApprovalId },
    #[error("the stored draft of approval {id} is not the one that was proved")]
    Tampered { id: handaxe_types::ApprovalId },
    #[error("{approver} wrote this tool; the policy asks for a second person")]
    SelfApproval {
        id: handaxe_types::ApprovalId,
        approver: String,
    },
    #[error("an approver has a name")]
    NoApprover,
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl ApproveError {
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound(_) | Self::NoApprover => "`handaxe approvals list`".into(),
            Self::Expired { .. } => "make or import the tool again for a new approval".into(),
            Self::AlreadyDecided { id, .. }
            | Self::DigestChanged { id }
            | Self::SelfApproval { id, .. } => format!("`handaxe approvals show {id}`"),
            Self::Tampered { .. } => "`handaxe audit verify`".into(),
            Self::Registry(e) => e.hint().into(),
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Expired { .. } => "expired",
            Self::AlreadyDecided { .. } => "already_decided",
            Self::DigestChanged { .. } => "digest_changed",
            Self::Tampered { .. } => "tampered",
            Self::SelfApproval { .. } => "self_approval",
            Self::NoApprover => "no_approver",
            Self::Registry(_) => "registry",
        }
    }
}

/// Why a version's state did not change.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("there is no tool `{0}`")]
    NotFound(ToolRef),
    #[error("`{tool}` is {}: it cannot be {to}", from.as_str())]
    Illegal {
        tool: ToolRef,
        from: ToolState,
        to: &'static str,
    },
    #[error("`{0}` was never approved")]
    NeverApproved(ToolRef),
    #[error("`{0}` cannot succeed it: there is no such active version")]
    NoSuccessor(ToolRef),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl StateError {
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound(tool) => format!("`handaxe tools search {}`", tool.name),
            Self::Illegal { tool, .. } | Self::NeverApproved(tool) => {
                format!("`handaxe tools show {tool}`")
            }
            Self::NoSuccessor(_) => "`handaxe tools list`".into(),
            Self::Registry(e) => e.hint().into(),
        }
    }
}

/// Why a run's record could not be read or added to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("there is no run {0}")]
    NotFound(RunId),
    #[error("run {0} is under way in another process")]
    Live(RunId),
    #[error("run {id} is {} already", state.as_str())]
    Over { id: RunId, state: RunState },
    #[error("run {id} already holds another value for step `{key}`")]
    StepConflict { id: RunId, key: String },
    #[error("run {id} already holds another attempt {n}")]
    AttemptConflict { id: RunId, n: u32 },
    #[error("the value of step `{key}` is {bytes} bytes; at most {limit} are kept")]
    StepTooLarge {
        key: String,
        bytes: usize,
        limit: usize,
    },
    #[error("the stored value of step `{key}` was altered")]
    StepDamaged { key: String },
    #[error("cannot take the lock file {} of the run: {source}", path.display())]
    Lock {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl RunError {
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound(_) => "`handaxe runs list`".into(),
            Self::Live(id) => format!("wait for it, then `handaxe runs show {id}`"),
            Self::Over { id, .. }
            | Self::StepConflict { id, .. }
            | Self::AttemptConflict { id, .. } => format!("`handaxe runs show {id}`"),
            Self::StepTooLarge { .. } => "ask for less at once".into(),
            Self::StepDamaged { .. } => "`handaxe audit verify`".into(),
            Self::Lock { .. } | Self::View(_) => {
                "check that the home directory is writable and the disk not full".into()
            }
            Self::Registry(e) => e.hint().into(),
        }
    }
}

/// A folder that could not be written. The database, which is the truth, is not affected.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} {}: {source}", path.display())]
pub struct ViewError {
    pub doing: &'static str,
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Why a checkpoint was not signed or could not be used. A checkpoint that the journal
/// contradicts is no error: [`crate::Verification`] says so.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot {doing} the signing key {}: {source}", path.display())]
    Key {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not a signing key", path.display())]
    KeyFormat { path: PathBuf },
    #[error("the signing key {} can be read by others (mode {mode:03o})", path.display())]
    KeyMode { path: PathBuf, mode: u32 },
    #[error("not a checkpoint: {0}")]
    Malformed(handaxe_types::json::JsonError),
    #[error("the checkpoint's format is `{0}`")]
    Format(String),
    #[error("the checkpoint's signature does not hold")]
    Signature,
    #[error("the checkpoint belongs to another home ({0})")]
    OtherHome(String),
    #[error("the checkpoint was signed with another key than this home's")]
    OtherKey,
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl CheckpointError {
    pub fn hint(&self) -> String {
        match self {
            Self::Key { .. } => "check that the home directory is writable".into(),
            Self::KeyFormat { path } => {
                format!("restore {} from a backup, or move it away", path.display())
            }
            Self::KeyMode { path, .. } => format!("`chmod 600 {}`", path.display()),
            Self::Malformed(_) | Self::Format(_) | Self::Signature => {
                "use the file that `handaxe audit checkpoint` wrote, unchanged".into()
            }
            Self::OtherHome(_) => "name the right home with `--home`".into(),
            Self::OtherKey => "find out who replaced the key under `keys/`".into(),
            Self::Registry(e) => e.hint().into(),
        }
    }
}
