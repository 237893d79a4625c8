//! stub
use serde_json::{Map, Value};
use std::sync::Arc;
#[derive(Clone, Debug)]
pub struct Schema {
    inner: Arc<()>,
}
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("{0}")]
    Keyword(String),
}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaViolation {
    pub path: String,
    pub message: String,
}
impl Schema {
    pub fn compile(_schema: &Value) -> Result<Self, SchemaError> {
        Ok(Self {
            inner: Arc::new(()),
        })
    }
    pub fn compile_input(schema: &Value) -> Result<Self, SchemaError> {
        Self::compile(schema)
    }
    pub fn check(&self, _v: &Value) -> Result<(), SchemaViolation> {
        Ok(*self.inner)
    }
    pub fn check_object(&self, _v: &Map<String, Value>) -> Result<(), SchemaViolation> {
        Ok(())
    }
}
