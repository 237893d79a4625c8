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
    #[error("the model that finds tools by meaning failed: {source}")]
    Embed { source: crate::dense::EmbedError },
    #[error(
        "could not {doing}: it holds a value that is to be kept secret, and nothing was stored"
    )]
    Secret { doing: &'static str },
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
            Self::Embed { .. } => {
                "take `[search]` out of config.toml: tools are then found by their words"
            }
            Self::Secret { .. } => {
                "take the value out of the question, the tool and the data that a tool is made from (a tool that is there runs on any data: `handaxe run`); `secrets` in policy.toml and the providers' keys say which values"
            }
        }
    }

    pub(crate) fn sql(doing: &'static str, source: rusqlite::Error) -> Self {
        if source.to_string().contains(crate::guard::REFUSED) {
            return Self::Secret { doing };
        }
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
    #[error("approval {id} of `{tool}` does not count: {why}")]
    Unfit {
        tool: ToolRef,
        id: handaxe_types::ApprovalId,
        why: Unfit,
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
            Self::Unfit { id, .. } => format!("`handaxe approvals approve {id}` gives a new yes"),
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
            Self::Unfit { .. } => "unfit_approval",
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
    /// The yes was said in a way that the policy does not take, or its signature does not hold.
    #[error("this yes does not count: {why}")]
    Unfit {
        id: handaxe_types::ApprovalId,
        why: Unfit,
    },
    #[error("the evidence cannot be signed: {0}")]
    Key(#[from] KeyError),
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
            Self::Unfit {
                id,
                why: Unfit::NotSigned { .. },
            } => format!(
                "`handaxe approvals approve {id}` asks for an approver's passphrase; `handaxe keys approver create` makes a key"
            ),
            Self::Unfit { .. } => "`handaxe keys list` names the approvers".into(),
            Self::Tampered { .. } => "`handaxe audit verify`".into(),
            Self::Key(e) => e.hint(),
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
            Self::Unfit {
                why: Unfit::NotSigned { .. },
                ..
            } => "not_signed",
            Self::Unfit { .. } => "unfit_approval",
            Self::Key(_) => "key",
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
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("not a checkpoint: {0}")]
    Malformed(handaxe_types::json::JsonError),
    #[error("the checkpoint's format is `{0}`")]
    Format(String),
    #[error("the checkpoint's signature does not hold")]
    Signature,
    #[error("the checkpoint belongs to another home ({0})")]
    OtherHome(String),
    #[error(
        "the checkpoint was signed with a key that this home does not know: it is another's, or \
         the home was put back to before the key was made"
    )]
    OtherKey,
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl CheckpointError {
    pub fn hint(&self) -> String {
        match self {
            Self::Key(e) => e.hint(),
            Self::Malformed(_) | Self::Format(_) | Self::Signature => {
                "use the file that `handaxe audit checkpoint` wrote, unchanged".into()
            }
            Self::OtherHome(_) => "name the right home with `--home`".into(),
            Self::OtherKey => "`handaxe keys list` names this home's; find out who signed".into(),
            Self::Registry(e) => e.hint().into(),
        }
    }
}

/// Why a key could not be made, read, used or ended.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot {doing} the private key {}: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not the private key that belongs there", path.display())]
    Format { path: PathBuf },
    #[error("the private key {} can be read by others (mode {mode:03o})", path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("there is no key `{}`", .0.escape_debug())]
    NotFound(String),
    #[error("key {} is {state}", key.short())]
    Ended { key: Digest, state: &'static str },
    #[error("key {} signs for this home just now", .0.short())]
    InUse(Digest),
    #[error("key {} is enrolled already", .0.short())]
    Enrolled(Digest),
    #[error("this home has approvers: a new one needs the word of one of them")]
    NeedsVoucher,
    #[error("key {} is not an approver's of this home", .0.short())]
    NotAnApprover(Digest),
    #[error("an approver's name is 1 to 64 characters on one line")]
    Name,
    #[error("the passphrase is too short: at least {least} characters")]
    WeakPassphrase { least: usize },
    #[error("the passphrase does not open the key, or the key file was altered")]
    Passphrase,
    #[error("it is not a key file: {0}")]
    Malformed(#[source] handaxe_types::json::JsonError),
    #[error("it is not a key file of a kind that is known here")]
    Unknown,
    #[error("the key could not be sealed")]
    Seal,
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl KeyError {
    pub fn hint(&self) -> String {
        match self {
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "restore it from a backup, or make a new one with `handaxe keys rotate`".into()
            }
            Self::File { .. } | Self::Seal => "check that the home directory is writable".into(),
            Self::Format { path } => format!(
                "restore {} from a backup, or make a new one with `handaxe keys rotate`",
                path.display()
            ),
            Self::Mode { path, .. } => format!("`chmod 600 {}`", path.display()),
            Self::NotFound(_) | Self::Ended { .. } | Self::Enrolled(_) => {
                "`handaxe keys list`".into()
            }
            Self::InUse(_) => "`handaxe keys rotate` first".into(),
            Self::NeedsVoucher => {
                "name an approver's key file with `--vouched-by FILE`, or the new key's id under \
                 [approval] approvers in policy.toml"
                    .into()
            }
            Self::NotAnApprover(_) => "`handaxe keys list` names the approvers".into(),
            Self::Name => "give one with `--name`".into(),
            Self::WeakPassphrase { .. } => "four or five words that only you put together".into(),
            Self::Passphrase => "try again; without it a new key is the only way".into(),
            Self::Malformed(_) | Self::Unknown => {
                "use the file that `handaxe keys approver create` wrote".into()
            }
            Self::Registry(e) => e.hint().into(),
        }
    }

    /// A stable word for `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "key_file",
            Self::Format { .. } | Self::Malformed(_) | Self::Unknown => "key_format",
            Self::Mode { .. } => "key_mode",
            Self::NotFound(_) => "not_found",
            Self::Ended { .. } => "ended",
            Self::InUse(_) => "in_use",
            Self::Enrolled(_) => "enrolled",
            Self::NeedsVoucher => "needs_voucher",
            Self::NotAnApprover(_) => "not_an_approver",
            Self::Name => "name",
            Self::WeakPassphrase { .. } => "weak_passphrase",
            Self::Passphrase => "passphrase",
            Self::Seal => "seal",
            Self::Registry(_) => "registry",
        }
    }
}

/// Why an approval that was given does not count, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "the policy asks for a yes that is signed with an approver's key, and this one was given by {method}"
    )]
    NotSigned { method: &'static str },
    #[error("its signature is missing, or is not one over this request")]
    Signature,
    #[error("key {} is not an enrolled approver's", key.short())]
    UnknownKey { key: Digest },
    #[error("key {} was revoked", key.short())]
    RevokedKey { key: Digest },
    #[error("the policy does not name key {} among its approvers", key.short())]
    NotNamed { key: Digest },
    #[error("{approver} wrote this tool, and the policy asks for a second person")]
    SelfApproval { approver: String },
}
