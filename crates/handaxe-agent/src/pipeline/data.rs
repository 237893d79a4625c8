//! The attached files: checked to be the ones that the run began with, and profiled.

use std::io::Read as _;

use handaxe_composer::Profile;
use handaxe_sandbox::{InlineFile, Mount};
use handaxe_types::{DataFile, Digest, Preview};
use serde_json::{Value, json};

use super::PipelineError;

/// Files up to this many bytes together travel with the call; larger ones are mounted.
pub(crate) const INLINE_BYTES: u64 = 1 << 20;

/// How many rows a `sample` preview shows.
const SAMPLE_ROWS: usize = 5;

pub(crate) struct Data<'a> {
    pub(crate) files: &'a [DataFile],
    pub(crate) profiles: Vec<Profile>,
}

impl<'a> Data<'a> {
    pub(crate) fn open(files: &'a [DataFile]) -> Result<Self, PipelineError> {
        let mut profiles = Vec::with_capacity(files.len());
        for file in files {
            let digest = digest(file).map_err(|source| PipelineError::DataIo {
                name: file.name.clone(),
                source,
            })?;
            if digest != file.digest {
                return Err(PipelineError::DataChanged {
                    name: file.name.clone(),
                });
            }
            let profile =
                handaxe_composer::profile(file).map_err(|source| PipelineError::Data {
                    name: file.name.clone(),
                    source,
                })?;
            profiles.push(profile);
        }
        Ok(Self { files, profiles })
    }

    /// What a model may see of the data.
    pub(crate) fn preview(&self, preview: Preview) -> Value {
        let one = |profile: &Profile| match preview {
            Preview::None => Value::Null,
            Preview::Schema => profile.schema_preview(),
            Preview::Sample => profile.sample_preview(SAMPLE_ROWS),
        };
        let files: Vec<Value> = self
            .files
            .iter()
            .zip(&self.profiles)
            .map(|(file, profile)| json!({"file": file.name, "content": one(profile)}))
            .collect();
        json!(files)
    }
}

fn digest(file: &DataFile) -> std::io::Result<Digest> {
    Digest::of_reader(&mut std::fs::File::open(&file.path)?)
}

/// How a set of files reaches the tool: with the call, or as mounts of a session of their own.
pub(crate) enum Carried {
    Inline(Vec<InlineFile>),
    Mounted(Vec<Mount>),
}

pub(crate) fn carry(files: &[&DataFile]) -> Result<Carried, PipelineError> {
    let total: u64 = files.iter().map(|f| f.bytes).sum();
    if total > INLINE_BYTES {
        let mounts = files
            .iter()
            .map(|f| Mount {
                name: f.name.clone(),
                path: f.path.clone(),
            })
            .collect();
        return Ok(Carried::Mounted(mounts));
    }
    let mut inline = Vec::with_capacity(files.len());
    for file in files {
        let io = |source| PipelineError::DataIo {
            name: file.name.clone(),
            source,
        };
        let mut bytes = Vec::with_capacity(file.bytes as usize);
        let opened = std::fs::File::open(&file.path).map_err(io)?;
        // The file may have grown since it was measured; what was measured is what is read.
        opened
            .take(file.bytes)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        if Digest::of(&bytes) != file.digest {
            return Err(PipelineError::DataChanged {
                name: file.name.clone(),
            });
        }
        inline.push(InlineFile {
            name: file.name.clone(),
            bytes: bytes.into(),
        });
    }
    Ok(Carried::Inline(inline))
}
