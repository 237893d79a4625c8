//! Remembers paid replies, so that a resumed run does not pay twice.

use async_trait::async_trait;
use handaxe_types::Digest;

use super::{Model, ModelError, ModelId, ModelReply, ModelRequest};

pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Where the replies of one run are kept. Both calls are short; `put` returns when the reply
/// would outlive this process.
pub trait ReplyStore: Send + Sync {
    fn get(&self, key: &Digest) -> Result<Option<ModelReply>, StoreError>;
    fn put(&self, key: &Digest, reply: &ModelReply) -> Result<(), StoreError>;
}

/// A model that is asked once per key. Goes outermost: around the budget, which is told of every
/// remembered reply.
pub struct Memo<M, S> {
    inner: M,
    store: S,
}

impl<M: Model, S: ReplyStore> Memo<M, S> {
    pub fn new(inner: M, store: S) -> Self {
        Self { inner, store }
    }
}

#[async_trait]
impl<M: Model, S: ReplyStore> Model for Memo<M, S> {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    fn remote(&self) -> Option<&str> {
        self.inner.remote()
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let key = request.key(self.id());
        if let Some(reply) = self.store.get(&key).map_err(ModelError::Store)? {
            self.inner.skip(request, &reply);
            return Ok(reply);
        }
        let reply = self.inner.complete(request).await?;
        self.store.put(&key, &reply).map_err(ModelError::Store)?;
        Ok(reply)
    }
}
