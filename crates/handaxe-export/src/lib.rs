//! One artefact, several exports: a registered tool as a Python package, an Agent Skill, a
//! provider's tool, a stand-alone MCP server; the whole library as a static site; and the way back
//! for the first two.
//!
//! An export is a pure function from a signed folder's files to other files, so the same version
//! gives the same bytes on every machine. [`write()`] puts them down whole or not at all; [`Folder`]
//! reads what came from elsewhere, and follows no link.
//!
//! What may not enter: nothing here runs a tool, approves one, or believes what an imported folder
//! says of itself. What comes in is a draft, and the whole proof applies.

#![forbid(unsafe_code)]

mod formats;
mod import;
mod mcp;
mod outside;
mod provider;
mod python;
mod read;
mod site;
mod skill;
mod subject;
mod subset;
mod write;

pub use formats::{Format, FormatError, Options, export};
pub use import::{Found, ImportError, Layout, import};
pub use read::{Entry, Folder, ReadError};
pub use site::{Page, SiteError, site};
pub use skill::skill_name;
pub use subject::{Subject, SubjectError};
pub use subset::{Inexpressible, Provider};
pub use write::{WriteError, write};
