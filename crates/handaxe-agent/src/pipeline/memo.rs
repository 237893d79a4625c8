//! A run's memory: what was decided or paid for is found again when the run is resumed.
//!
//! A resumed run walks the same pipeline from the start. Each step asks here first; only what is
//! not yet recorded is done. Keys are deterministic, so a step has the same key in every process.

use std::fmt::Write as _;

use handaxe_registry::Registry;
use handaxe_types::{Digest, RunId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::PipelineError;
use crate::model::{ModelReply, ReplyStore, Speaker, StoreError};
use crate::roles::Exchange;

/// How many values a numbered key may take.
const MAX_NUMBERED: u32 = 1000;

#[derive(Clone)]
pub(crate) struct Memory {
    registry: Registry,
    run: RunId,
}

impl Memory {
    pub(crate) fn new(registry: Registry, run: RunId) -> Self {
        Self { registry, run }
    }

    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    /// What was recorded under `key`, if anything.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, PipelineError> {
        let Some(value) = self
            .registry
            .step_get(&self.run, key)
            .map_err(PipelineError::Run)?
        else {
            return Ok(None);
        };
        serde_json::from_value(value)
            .map(Some)
            .map_err(|source| PipelineError::Record {
                key: key.to_owned(),
                source,
            })
    }

    /// Records a value; it outlives this process when this returns.
    pub(crate) fn put(&self, key: &str, value: &impl Serialize) -> Result<(), PipelineError> {
        self.registry
            .step_put(&self.run, key, &json!(value))
            .map_err(PipelineError::Run)
    }

    /// The newest of the values recorded under `key/1`, `key/2` …
    pub(crate) fn last<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, PipelineError> {
        let mut last = None;
        for n in 1..MAX_NUMBERED {
            match self.get(&format!("{key}/{n}"))? {
                Some(value) => last = Some(value),
                None => break,
            }
        }
        Ok(last)
    }

    /// Records a value as the newest of its key; nothing is recorded where it is that already.
    pub(crate) fn push<T>(&self, key: &str, value: &T) -> Result<(), PipelineError>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        for n in 1..MAX_NUMBERED {
            let numbered = format!("{key}/{n}");
            match self.get::<T>(&numbered)? {
                Some(before) if before == *value => return Ok(()),
                Some(_) => {}
                None => return self.put(&numbered, value),
            }
        }
        Ok(())
    }

    pub(crate) fn record_attempt(
        &self,
        attempt: &handaxe_registry::Attempt,
    ) -> Result<(), PipelineError> {
        self.registry
            .record_attempt(&self.run, attempt)
            .map_err(PipelineError::Run)
    }

    pub(crate) fn record_plan(&self, plan: &handaxe_types::Plan) -> Result<(), PipelineError> {
        self.registry
            .record_plan(&self.run, plan)
            .map_err(PipelineError::Run)
    }

    /// Keeps what was said to a model and by it, as evidence.
    pub(crate) fn keep_exchange(&self, exchange: &Exchange) -> Result<(), PipelineError> {
        let mut prompt = format!("# system\n\n{}\n", exchange.system);
        for message in &exchange.messages {
            let speaker = match message.role {
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
            };
            let _ = write!(prompt, "\n# {speaker}\n\n{}\n", message.content);
        }
        let kept = handaxe_registry::Exchange {
            role: exchange.role.as_str().to_owned(),
            model: exchange.model.clone(),
            prompt,
            reply: exchange.reply.clone(),
            tokens_in: exchange.usage.input,
            tokens_out: exchange.usage.output,
            seconds: exchange.seconds,
        };
        let key = exchange.key.to_string();
        // The first telling counts: the same words remembered on resume took no time.
        let told = self
            .registry
            .exchanges(&self.run)
            .map_err(PipelineError::Registry)?;
        if told.iter().any(|e| e.key == key) {
            return Ok(());
        }
        self.registry
            .record_exchange(&self.run, &key, &kept)
            .map(|_| ())
            .map_err(PipelineError::Run)
    }
}

/// Replies that were paid for, by the digest of what was asked.
impl ReplyStore for Memory {
    fn get(&self, key: &Digest) -> Result<Option<ModelReply>, StoreError> {
        Memory::get(self, &format!("reply/{key}")).map_err(Into::into)
    }

    fn put(&self, key: &Digest, reply: &ModelReply) -> Result<(), StoreError> {
        Memory::put(self, &format!("reply/{key}"), reply).map_err(Into::into)
    }
}
