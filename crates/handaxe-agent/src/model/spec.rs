//! Which model: what a person writes after `--model`, and the choice where nothing was written.

use std::fmt;
use std::path::PathBuf;

use super::Secret;

const OPENAI_DEFAULT: &str = "gpt-5";
const ANTHROPIC_DEFAULT: &str = "claude-sonnet-4-5";
const FORMS: &str = "openai:NAME, anthropic:NAME, ollama:NAME, replay:FILE or composer";

/// A `--model` argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSpec {
    OpenAi { name: String },
    Anthropic { name: String },
    Ollama { name: String },
    Replay { file: PathBuf },
    Composer,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("`{given}` names no provider; write {FORMS}")]
    UnknownProvider { given: String },
    #[error("`{provider}:` needs a name after the colon")]
    NoName { provider: String },
    #[error("a model's name is at most 200 printable characters without spaces")]
    BadName,
    #[error("--base-url needs a model: give `--model openai:NAME`")]
    BaseUrlWithoutModel,
}

impl ModelSpec {
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        if text == "composer" {
            return Ok(Self::Composer);
        }
        let unknown = || SpecError::UnknownProvider {
            given: text
                .chars()
                .take(60)
                .flat_map(char::escape_default)
                .collect(),
        };
        let (provider, name) = text.split_once(':').ok_or_else(unknown)?;
        let make: fn(String) -> Self = match provider {
            "openai" => |name| Self::OpenAi { name },
            "anthropic" => |name| Self::Anthropic { name },
            "ollama" => |name| Self::Ollama { name },
            "replay" => |name| Self::Replay { file: name.into() },
            _ => return Err(unknown()),
        };
        if name.is_empty() {
            return Err(SpecError::NoName {
                provider: provider.to_owned(),
            });
        }
        // A file name may hold anything; a model's name goes into URLs, headers and the journal.
        let plain = name.len() <= 200 && name.bytes().all(|b| b.is_ascii_graphic());
        if provider != "replay" && !plain {
            return Err(SpecError::BadName);
        }
        Ok(make(name.to_owned()))
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenAi { name } => write!(f, "openai:{name}"),
            Self::Anthropic { name } => write!(f, "anthropic:{name}"),
            Self::Ollama { name } => write!(f, "ollama:{name}"),
            Self::Replay { file } => write!(f, "replay:{}", file.display()),
            Self::Composer => f.write_str("composer"),
        }
    }
}

/// What the edge found in its environment and configuration; the library reads neither.
#[derive(Clone, Debug, Default)]
pub struct ProviderEnv {
    pub openai_key: Option<Secret>,
    pub anthropic_key: Option<Secret>,
    /// Of an OpenAI-compatible server; used with `openai:NAME`.
    pub base_url: Option<String>,
    /// Default names, from the configuration.
    pub openai_model: Option<String>,
    pub anthropic_model: Option<String>,
    pub ollama_model: Option<String>,
    /// What the local Ollama server offers; `None` where it did not answer, or was not asked.
    pub ollama_models: Option<Vec<String>>,
}

/// Which model, and the sentence for the first line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub spec: ModelSpec,
    pub why: String,
}

/// The named model; else the provider whose key is set; else a local server that answers; else
/// the composer.
pub fn choose(explicit: Option<&str>, env: &ProviderEnv) -> Result<Choice, SpecError> {
    let choice = |spec, why: &str| {
        Ok(Choice {
            spec,
            why: why.to_owned(),
        })
    };
    if let Some(text) = explicit {
        return choice(ModelSpec::parse(text)?, "it was named");
    }
    let or =
        |name: &Option<String>, default: &str| name.clone().unwrap_or_else(|| default.to_owned());
    if env.base_url.is_some() {
        let name = env
            .openai_model
            .clone()
            .ok_or(SpecError::BaseUrlWithoutModel)?;
        return choice(ModelSpec::OpenAi { name }, "a base URL is configured");
    }
    if env.openai_key.is_some() {
        let name = or(&env.openai_model, OPENAI_DEFAULT);
        return choice(ModelSpec::OpenAi { name }, "an OpenAI key is set");
    }
    if env.anthropic_key.is_some() {
        let name = or(&env.anthropic_model, ANTHROPIC_DEFAULT);
        return choice(ModelSpec::Anthropic { name }, "an Anthropic key is set");
    }
    let local = env.ollama_models.as_ref().and_then(|offered| {
        let wanted = env.ollama_model.as_ref();
        wanted.filter(|w| offered.contains(w)).or(offered.first())
    });
    if let Some(name) = local {
        let name = name.clone();
        return choice(
            ModelSpec::Ollama { name },
            "no key is set and a local Ollama answers",
        );
    }
    choice(
        ModelSpec::Composer,
        "no model was named, no key is set and no local server answers",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in [
            "openai:gpt-5",
            "anthropic:claude-x",
            "ollama:qwen3:8b",
            "replay:a b/c.jsonl",
            "composer",
        ] {
            assert_eq!(ModelSpec::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "gpt-5",
            "openai:",
            "other:x",
            "openai:a b",
            "openai:a\nb",
        ] {
            assert!(ModelSpec::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_first_that_is_there() {
        let key = Secret::new("k");
        let env = |openai: bool, anthropic: bool, ollama: bool| ProviderEnv {
            openai_key: key.clone().filter(|_| openai),
            anthropic_key: key.clone().filter(|_| anthropic),
            ollama_models: ollama.then(|| vec!["m:1b".to_owned()]),
            ..ProviderEnv::default()
        };
        let picks = [
            (Some("composer"), env(true, true, true), "composer"),
            (None, env(true, true, true), "openai:gpt-5"),
            (None, env(false, true, true), "anthropic:claude-sonnet-4-5"),
            (None, env(false, false, true), "ollama:m:1b"),
            (None, env(false, false, false), "composer"),
        ];
        for (explicit, env, want) in picks {
            let choice = choose(explicit, &env).unwrap();
            assert_eq!(choice.spec.to_string(), want);
            assert!(!choice.why.is_empty());
        }
        let url = ProviderEnv {
            base_url: Some("http://x".to_owned()),
            ..ProviderEnv::default()
        };
        assert_eq!(choose(None, &url), Err(SpecError::BaseUrlWithoutModel));
        let none_pulled = ProviderEnv {
            ollama_models: Some(Vec::new()),
            ..ProviderEnv::default()
        };
        assert_eq!(
            choose(None, &none_pulled).unwrap().spec,
            ModelSpec::Composer
        );
    }
}
