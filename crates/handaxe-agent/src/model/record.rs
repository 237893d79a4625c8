//! Makes a recording of a live conversation.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;

use super::cassette::{Entry, Header, Origin};
use super::{HttpModel, Model, ModelError, ModelId, ModelReply, ModelRequest};

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot create the recording (an existing file is never overwritten)")]
    Create(#[source] std::io::Error),
    #[error("cannot write the recording")]
    Write(#[source] std::io::Error),
}

/// Wraps an [`HttpModel`] and nothing else, so that a replay can never be passed off as a
/// recording.
pub struct Recorder {
    inner: HttpModel,
    file: Mutex<File>,
}

impl Recorder {
    /// Creates the file and writes its header.
    pub fn create(path: &Path, inner: HttpModel) -> Result<Self, RecordError> {
        let mut file = File::create_new(path).map_err(RecordError::Create)?;
        let header = Header {
            kind: Origin::Recording,
            provider: Some(inner.id().provider.clone()),
            model: Some(inner.id().name.clone()),
            date: Some(jiff::Timestamp::now().strftime("%F").to_string()),
            note: None,
        };
        write_line(&mut file, &header).map_err(RecordError::Write)?;
        Ok(Self {
            inner,
            file: Mutex::new(file),
        })
    }
}

#[async_trait]
impl Model for Recorder {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    fn remote(&self) -> Option<&str> {
        self.inner.remote()
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let reply = self.inner.complete(request).await?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        write_line(&mut file, &Entry::recorded(request, &reply)).map_err(ModelError::Recording)?;
        Ok(reply)
    }
}

fn write_line(file: &mut File, line: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_data()
}
