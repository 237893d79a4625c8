//! The forms that a tool can be exported in.

use std::path::Path;

use handaxe_registry::Files;
use serde_json::{Value, json};

use crate::subject::Subject;
use crate::subset::{Inexpressible, Provider};
use crate::{mcp, provider, python, skill};

/// A form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The signed folder as it is, for another home.
    Folder,
    /// A package for pip whose tests run under plain pytest.
    Python,
    /// An Agent Skill.
    Skill,
    /// A function tool for `OpenAI`'s API.
    OpenAi,
    /// A tool for Anthropic's API.
    Anthropic,
    /// A stand-alone MCP server.
    Mcp,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Python => "python",
            Self::Skill => "skill",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Mcp => "mcp",
        }
    }

    /// Where, inside the export, the signed folder lies: what `tools verify --against` is pointed
    /// at. Empty where the export is that folder.
    pub fn evidence_dir(self, subject: &Subject) -> String {
        match self {
            Self::Folder => String::new(),
            Self::Python => format!("src/{}/", python::module(subject)),
            Self::Skill | Self::OpenAi | Self::Anthropic | Self::Mcp => "tool/".to_owned(),
        }
    }
}

/// What the form leaves open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Where the export will lie, for a client's settings that must name it.
    pub place: Option<&'a Path>,
    /// A provider's tool may be written without `strict`, where the strict subset cannot express
    /// its schema.
    pub loose: bool,
}

/// Why a tool cannot be had in a form.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error(transparent)]
    Schema(#[from] Inexpressible),
    #[error("it reads its own data from /assets, a path that exists in the sandbox alone")]
    Assets,
    #[error("its input schema cannot be used: {0}")]
    Input(#[from] handaxe_validate::SchemaError),
    #[error("{what} could not be written as JSON")]
    Json {
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("the package's settings could not be written as TOML")]
    Toml(#[from] toml::ser::Error),
}

impl FormatError {
    /// A stable word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Schema(_) => "inexpressible",
            Self::Assets => "assets",
            Self::Input(_) => "schema",
            Self::Json { .. } | Self::Toml(_) => "unwritable",
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Schema(_) => {
                "--no-strict writes the whole schema and leaves `strict` off; or make a version with a simpler schema"
            }
            Self::Assets => {
                "`handaxe mcp` serves it from the sandbox; --as folder takes it to another home"
            }
            Self::Input(_) | Self::Json { .. } | Self::Toml(_) => {
                "`handaxe tools verify` says whether the stored tool is whole"
            }
        }
    }
}

/// The files of an export, by their relative paths.
pub fn export(
    subject: &Subject,
    format: Format,
    options: Options<'_>,
) -> Result<Files, FormatError> {
    // Only the jail lays assets where the code looks for them.
    if format != Format::Folder && !subject.draft.assets.is_empty() {
        return Err(FormatError::Assets);
    }
    let mut files = match format {
        Format::Folder => return Ok(subject.signed.clone()),
        Format::Python => python::package(subject)?,
        Format::Skill => skill::folder(subject),
        Format::OpenAi => provider::folder(subject, Provider::OpenAi, options.loose)?,
        Format::Anthropic => provider::folder(subject, Provider::Anthropic, options.loose)?,
        Format::Mcp => mcp::server(subject, options.place)?,
    };
    let mark = json!({
        "format": format.as_str(),
        "tool": subject.tool.to_string(),
        "digest": subject.digest,
        "signed_folder": format.evidence_dir(subject),
    });
    files.insert(MARK.to_owned(), pretty("the mark", &mark)?);
    Ok(files)
}

/// Says that a folder was written by an export, and may be written again by one.
pub(crate) const MARK: &str = ".handaxe-export.json";

pub(crate) fn pretty(what: &'static str, value: &Value) -> Result<Vec<u8>, FormatError> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|source| FormatError::Json { what, source })?;
    bytes.push(b'\n');
    Ok(bytes)
}
