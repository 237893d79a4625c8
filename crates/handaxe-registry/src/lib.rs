//! What Handaxe keeps: tools and their versions, approvals, the journal, runs, usage, search. One
//! SQLite database under a home directory is the truth; folders beside it are views.
//!
//! Nothing in here can run a tool, start a process, ask a person, print, or read an environment.
//! Everything blocks; asynchronous callers use a blocking thread.
//!
//! Three types carry the proofs: [`RegisteredTool`] is made only by
//! [`Registry::approve_and_register`]; [`ApprovedTool`], the only thing that can be run, only by
//! [`Registry::load_approved`]; and [`Provisional`], one use of what still waits, where the policy
//! allows that, only by [`Registry::mint_provisional`].

#![forbid(unsafe_code)]

mod approve;
mod approver;
mod attempts;
mod checkpoint;
mod dense;
mod dsse;
mod duplicates;
mod error;
mod evidence;
mod external;
mod figures;
mod fitness;
mod folder;
mod group;
mod guard;
mod invocations;
mod journal;
mod keys;
mod load;
mod loaded;
#[cfg(feature = "dense")]
mod minilm;
mod names;
mod offered;
mod propose;
mod provisional;
mod readme;
mod registry;
mod runs;
mod schema;
mod search;
mod stored;
mod tools;
mod verify;
mod views;

pub use approve::{ApprovalDetail, Proposal, RegisteredTool};
pub use approver::{ApproverKey, MIN_PASSPHRASE, SealedKey};
pub use attempts::{Attempt, Exchange, ExchangeSummary};
pub use checkpoint::Checkpoint;
pub use dense::{EmbedError, Embedder};
pub use dsse::{EnvelopeError, PublicKey};
pub use error::{
    ApproveError, CheckpointError, KeyError, LoadError, ProposeError, RegistryError, RunError,
    StateError, Unfit, ViewError,
};
pub use evidence::{ApprovalEvidence, CaseEvidence, Evidence, Proof, SandboxEvidence};
pub use external::AcceptedListing;
pub use figures::{BuildCost, Standing, UsagePeriod, VersionFigures};
pub use folder::{FolderProblem, Inspection, SpecError, inspect_folder, read_cases, read_spec};
pub use invocations::{Invocation, ToolUsage};
pub use journal::{ExportError, LogFilter};
pub use keys::{APPROVERS, KeyInfo, KeyKind, KeyState, Rotated, sealed_keys};
pub use load::ApprovedTool;
#[cfg(feature = "dense")]
pub use minilm::{MiniLm, MiniLmAt, MiniLmError};
pub use names::confusable;
pub use offered::Offer;
pub use provisional::{Provisional, ProvisionalError};
pub use registry::{Clock, Registry};
pub use runs::{ActiveRun, Foundation, RunDetail, RunEnd, RunFilter, RunSummary};
pub use search::Hit;
pub use tools::{StateChange, ToolDetail, ToolSummary};
pub use verify::{Bad, Head, Verification};
pub use views::{Files, ViewProblem};
