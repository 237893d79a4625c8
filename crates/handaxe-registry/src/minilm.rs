//! A sentence model on this machine: BERT weights as sentence-transformers keeps them (MiniLM, six
//! layers, 384 dimensions), mean pooling over the tokens, through `candle`. Nothing is fetched: the
//! folder is the owner's, and what is in it is read like anything from outside.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use handaxe_types::Digest;
use tokenizers::{Tokenizer, TruncationParams};

use crate::dense::{EmbedError, Embedder};

/// Of each file, in bytes.
const MAX_CONFIG: u64 = 64 << 10;
const MAX_TOKENIZER: u64 = 16 << 20;
const MAX_WEIGHTS: u64 = 1 << 30;
/// Of a text, in tokens.
const MAX_TOKENS: usize = 256;

/// Why a folder is no sentence model.
#[derive(Debug, thiserror::Error)]
pub enum MiniLmError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("config.json is not that of a BERT model: {0}")]
    Config(#[source] serde_json::Error),
    #[error("config.json: {field} is {found}; at most {limit} and at least 1 is taken")]
    Beyond {
        field: &'static str,
        found: usize,
        limit: usize,
    },
    #[error("config.json: hidden_size {hidden} is no multiple of {heads} heads")]
    Heads { hidden: usize, heads: usize },
    #[error("tokenizer.json cannot be used: {0}")]
    Tokenizer(#[source] tokenizers::Error),
    #[error("model.safetensors does not hold the weights that config.json describes: {0}")]
    Weights(#[source] candle_core::Error),
    #[error("the model's tokenizer has {tokens} tokens, and its weights are for {known}")]
    Vocabulary { tokens: usize, known: usize },
    #[error("the model gives no vector for a word: {0}")]
    Probe(#[source] EmbedError),
}

/// A text that was not made a vector.
#[derive(Debug, thiserror::Error)]
enum EmbedFailure {
    #[error("the text could not be cut into tokens: {0}")]
    Tokens(#[source] tokenizers::Error),
    #[error("the model failed: {0}")]
    Model(#[from] candle_core::Error),
    #[error("the model's vector has no length")]
    Degenerate,
}

/// The weights in a folder.
pub struct MiniLm {
    id: String,
    model: BertModel,
    tokenizer: Tokenizer,
}

impl MiniLm {
    /// Reads `config.json`, `tokenizer.json` and `model.safetensors`.
    pub fn open(dir: &Path) -> Result<Self, MiniLmError> {
        let config = read(dir, "config.json", MAX_CONFIG)?;
        let config: Config = serde_json::from_slice(&config).map_err(MiniLmError::Config)?;
        check(&config)?;
        let mut tokenizer = Tokenizer::from_bytes(read(dir, "tokenizer.json", MAX_TOKENIZER)?)
            .map_err(MiniLmError::Tokenizer)?;
        tokenizer
            .with_truncation(Some(TruncationParams {
                max_length: MAX_TOKENS.min(config.max_position_embeddings),
                ..TruncationParams::default()
            }))
            .map_err(MiniLmError::Tokenizer)?;
        tokenizer.with_padding(None);
        let tokens = tokenizer.get_vocab_size(true);
        if tokens > config.vocab_size {
            return Err(MiniLmError::Vocabulary {
                tokens,
                known: config.vocab_size,
            });
        }
        let weights = read(dir, "model.safetensors", MAX_WEIGHTS)?;
        let id = format!("minilm:{}", Digest::of(&weights));
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .map_err(MiniLmError::Weights)?;
        let model = BertModel::load(weights, &config).map_err(MiniLmError::Weights)?;
        let this = Self {
            id,
            model,
            tokenizer,
        };
        this.embed("word").map_err(MiniLmError::Probe)?;
        Ok(this)
    }

    fn vector(&self, text: &str) -> Result<Vec<f32>, EmbedFailure> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(EmbedFailure::Tokens)?;
        let ids = Tensor::new(encoding.get_ids(), &Device::Cpu)?.unsqueeze(0)?;
        let hidden = self.model.forward(&ids, &ids.zeros_like()?, None)?;
        let mean = hidden.mean(1)?.squeeze(0)?;
        let mut vector: Vec<f32> = mean.to_vec1()?;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if !length.is_normal() {
            return Err(EmbedFailure::Degenerate);
        }
        for x in &mut vector {
            *x /= length;
        }
        Ok(vector)
    }
}

impl Embedder for MiniLm {
    fn id(&self) -> Result<&str, EmbedError> {
        Ok(&self.id)
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(self.vector(text)?)
    }
}

/// The weights in a folder, read when they are first asked for: most commands never search.
pub struct MiniLmAt {
    dir: PathBuf,
    opened: OnceLock<Result<MiniLm, Arc<MiniLmError>>>,
}

impl MiniLmAt {
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            opened: OnceLock::new(),
        }
    }

    fn model(&self) -> Result<&MiniLm, EmbedError> {
        let opened = self
            .opened
            .get_or_init(|| MiniLm::open(&self.dir).map_err(Arc::new));
        opened.as_ref().map_err(|e| Arc::clone(e).into())
    }
}

impl Embedder for MiniLmAt {
    fn id(&self) -> Result<&str, EmbedError> {
        self.model()?.id()
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.model()?.embed(text)
    }
}

/// Sizes that are made room for before a weight is read.
fn check(config: &Config) -> Result<(), MiniLmError> {
    for (field, found, limit) in [
        ("vocab_size", config.vocab_size, 500_000),
        ("hidden_size", config.hidden_size, 4_096),
        ("num_hidden_layers", config.num_hidden_layers, 48),
        ("num_attention_heads", config.num_attention_heads, 64),
        ("intermediate_size", config.intermediate_size, 16_384),
        (
            "max_position_embeddings",
            config.max_position_embeddings,
            16_384,
        ),
        ("type_vocab_size", config.type_vocab_size, 16),
    ] {
        if found == 0 || found > limit {
            return Err(MiniLmError::Beyond {
                field,
                found,
                limit,
            });
        }
    }
    let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
    if hidden % heads != 0 {
        return Err(MiniLmError::Heads { hidden, heads });
    }
    Ok(())
}

fn read(dir: &Path, name: &str, limit: u64) -> Result<Vec<u8>, MiniLmError> {
    let path = dir.join(name);
    let fail = |source| MiniLmError::Read {
        path: path.clone(),
        source,
    };
    let file = std::fs::File::open(&path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        return Err(MiniLmError::TooLarge { path, limit });
    }
    Ok(bytes)
}
