//! What is exported: a registered version, read from the files that its evidence was signed for.

use handaxe_registry::{Files, FolderProblem, Proof, inspect_folder};
use handaxe_types::{Draft, ToolDigest, ToolRef, Version};

/// Why a folder's files are not a tool that can be exported.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    #[error("its folder is not what was signed: {0}")]
    NotWhole(#[source] Box<FolderProblem>),
    #[error("its evidence names no tool with a version, a digest and a proof")]
    Nameless,
}

/// A version with its evidence.
#[derive(Debug)]
pub struct Subject {
    pub tool: ToolRef,
    pub version: Version,
    pub digest: ToolDigest,
    pub draft: Draft,
    pub proof: Proof,
    /// Exactly the files that were signed for, and the evidence.
    pub signed: Files,
}

impl Subject {
    /// Reads a registered version's files; anything that does not hold together is refused.
    pub fn read(signed: Files) -> Result<Self, SubjectError> {
        let mut inspection = inspect_folder(&signed, &[]);
        if !inspection.problems.is_empty() {
            let first = inspection.problems.swap_remove(0);
            return Err(SubjectError::NotWhole(Box::new(first)));
        }
        let (Some(tool), Some(digest), Some(draft), Some(proof)) = (
            inspection.tool,
            inspection.subject,
            inspection.draft,
            inspection.proof,
        ) else {
            return Err(SubjectError::Nameless);
        };
        let version = tool.version.ok_or(SubjectError::Nameless)?;
        Ok(Self {
            tool,
            version,
            digest,
            draft,
            proof,
            signed,
        })
    }

    /// The tool's name.
    pub fn name(&self) -> &str {
        self.draft.spec.name.as_str()
    }

    /// The description as one line.
    pub(crate) fn line(&self) -> String {
        let words = self.draft.spec.description.split_whitespace();
        words.collect::<Vec<_>>().join(" ")
    }

    /// The signed files under a folder of the export.
    pub(crate) fn under(&self, folder: &str) -> Files {
        let place = |name: &String| format!("{folder}{name}");
        self.signed
            .iter()
            .map(|(name, bytes)| (place(name), bytes.clone()))
            .collect()
    }
}
