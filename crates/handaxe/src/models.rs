//! Which model a run uses, made from the command line, the settings and the environment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use handaxe_agent::model::{
    Budget, Choice, HttpModel, HttpOptions, Model, ModelSpec, ProviderEnv, Recorder, Replay,
    RoleName, Secret, choose as choose_spec, probe_ollama,
};
use handaxe_agent::roles::Templates;
use handaxe_agent::{Begun, MAX_REPLY_TOKENS, Making, Minds, ModelMind, Seat};
use handaxe_types::Preview;

use crate::cli::ModelArgs;
use crate::failure::{Failure, chain};
use crate::render::text::Shown;
use crate::render::{caution, faint};
use crate::workshop::Workshop;

/// How long a local server may take to say that it is there.
const PROBE: Duration = Duration::from_millis(200);
/// One call of a model, its retries included.
const CALL_TIMEOUT: Duration = Duration::from_mins(3);

/// What `--model` and its neighbours came to.
pub(crate) struct Chosen {
    pub(crate) spec: String,
    pub(crate) why: String,
    pub(crate) base_url: Option<String>,
    pub(crate) record: Option<PathBuf>,
}

pub(crate) fn choose(shop: &Workshop, args: &ModelArgs) -> Result<Chosen, Failure> {
    let config = &shop.home()?.config;
    let explicit = args.model.as_deref().or(config.model.as_deref());
    let base_url = args.base_url.clone().or_else(|| config.base_url.clone());
    let mut env = provider_env(base_url.clone());
    if explicit.is_none()
        && base_url.is_none()
        && env.openai_key.is_none()
        && env.anthropic_key.is_none()
    {
        env.ollama_models = shop.runtime()?.block_on(probe_ollama(None, PROBE));
    }
    let Choice { spec, why } = choose_spec(explicit, &env)
        .map_err(|e| Failure::usage(e).hint("`handaxe doctor` shows what is set"))?;
    let remote = !matches!(spec, ModelSpec::Composer | ModelSpec::Replay { .. });
    if args.record.is_some() && !remote {
        return Err(Failure::usage(format!(
            "--record keeps a live model's words; {spec} is not one"
        )));
    }
    // A file is found again from anywhere when the run is resumed.
    let spec = match spec {
        ModelSpec::Replay { file } => {
            let absolute = file.canonicalize().map_err(|e| {
                Failure::usage(format!("cannot open {}: {e}", file.display()))
                    .hint("replay:FILE names a conversation kept with --record FILE")
            })?;
            ModelSpec::Replay { file: absolute }
        }
        other => other,
    };
    Ok(Chosen {
        spec: spec.to_string(),
        why,
        base_url,
        record: args.record.clone(),
    })
}

/// The same choice again, for a run that is taken up.
pub(crate) fn again(begun: &Begun) -> Chosen {
    Chosen {
        spec: begun.model.clone(),
        why: "as the run began".to_owned(),
        base_url: begun.base_url.clone(),
        record: None,
    }
}

pub(crate) fn provider_env(base_url: Option<String>) -> ProviderEnv {
    let secret = |name: &str| std::env::var(name).ok().and_then(|v| Secret::new(&v));
    ProviderEnv {
        openai_key: secret("OPENAI_API_KEY"),
        anthropic_key: secret("ANTHROPIC_API_KEY"),
        base_url,
        ..ProviderEnv::default()
    }
}

pub(crate) fn minds(shop: &Workshop, chosen: &Chosen, begun: &Begun) -> Result<Minds, Failure> {
    let spec = ModelSpec::parse(&chosen.spec).map_err(Failure::usage)?;
    if spec == ModelSpec::Composer {
        return Ok(Minds::Composer);
    }
    let base_url = chosen.base_url.as_deref();
    let model = connect(&spec, base_url, chosen.record.as_deref())?;
    let mut seats = BTreeMap::new();
    for (role, settings) in &begun.making.roles {
        let model = match &settings.model {
            Some(text) => {
                let spec = ModelSpec::parse(text).map_err(|e| role_failure(*role, e))?;
                connect(&spec, settings.base_url.as_deref().or(base_url), None)?
            }
            None => Arc::clone(&model),
        };
        if let Some(host) = model.remote() {
            tell_what_leaves(shop, host, begun)?;
        }
        let wall = Duration::from_secs(begun.max_seconds);
        let seat = Seat {
            model,
            temperature: settings.temperature.unwrap_or(0.0),
            max_tokens: settings.max_tokens.unwrap_or(MAX_REPLY_TOKENS),
            budget: Arc::new(match settings.budget_tokens {
                Some(tokens) => Budget::new(tokens, wall),
                None => Budget::unbounded(),
            }),
        };
        seats.insert(*role, seat);
    }
    if let Some(host) = model.remote() {
        tell_what_leaves(shop, host, begun)?;
    }
    let templates = templates(shop)?;
    Ok(Minds::Model(ModelMind {
        model,
        seats,
        templates: Arc::new(templates),
        budget: Arc::new(Budget::new(
            begun.max_tokens,
            Duration::from_secs(begun.max_seconds),
        )),
        call_timeout: CALL_TIMEOUT,
        runtime: shop.runtime()?.handle().clone(),
    }))
}

/// The prompts, with those of the home in place of ours.
pub(crate) fn templates(shop: &Workshop) -> Result<Templates, Failure> {
    let dir = shop.home()?.templates_dir();
    Templates::load(dir.is_dir().then_some(dir.as_path()))
        .map_err(|e| Failure::usage(chain(&e)).hint("mend the template or take it away"))
}

/// The one model that was chosen; `None` for the composer.
pub(crate) fn alone(chosen: &Chosen) -> Result<Option<Arc<dyn Model>>, Failure> {
    let spec = ModelSpec::parse(&chosen.spec).map_err(Failure::usage)?;
    if spec == ModelSpec::Composer {
        return Ok(None);
    }
    let base_url = chosen.base_url.as_deref();
    connect(&spec, base_url, chosen.record.as_deref()).map(Some)
}

/// A role's settings ask for something that cannot be had.
fn role_failure(role: RoleName, why: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("[roles.{}]: {why}", role.as_str()))
        .hint("correct config.toml; `handaxe config path` says where it is")
}

fn connect(
    spec: &ModelSpec,
    base_url: Option<&str>,
    record: Option<&Path>,
) -> Result<Arc<dyn Model>, Failure> {
    let setup = |e: &dyn std::error::Error| {
        Failure::usage(chain(e)).hint(match spec {
            ModelSpec::OpenAi { .. } => "set OPENAI_API_KEY, or give --base-url for a local server",
            ModelSpec::Anthropic { .. } => "set ANTHROPIC_API_KEY",
            _ => "`handaxe doctor` shows what is set",
        })
    };
    if let ModelSpec::Replay { file } = spec {
        return Ok(Arc::new(Replay::open(file).map_err(|e| setup(&e))?));
    }
    let env = provider_env(None);
    let key = match spec {
        ModelSpec::Anthropic { .. } => env.anthropic_key,
        ModelSpec::OpenAi { .. } => env.openai_key,
        _ => None,
    };
    let options = HttpOptions {
        key,
        base_url: base_url.map(str::to_owned),
        ..HttpOptions::default()
    };
    let live = HttpModel::new(spec, options).map_err(|e| setup(&e))?;
    match record {
        None => Ok(Arc::new(live)),
        Some(path) => match Recorder::create(path, live) {
            Ok(recorder) => Ok(Arc::new(recorder)),
            Err(e) => Err(Failure::usage(format!("{}: {}", path.display(), chain(&e)))),
        },
    }
}

/// How tools are made in this run: the settings, with what the command says instead of them. A
/// model that was named on the command plays every role.
pub(crate) fn making(shop: &Workshop, args: &ModelArgs) -> Result<Making, Failure> {
    let config = &shop.home()?.config;
    let mut roles = config.roles.clone();
    for (role, settings) in &mut roles {
        if args.model.is_some() {
            (settings.model, settings.base_url) = (None, None);
        }
        if let Some(text) = &settings.model {
            let spec = ModelSpec::parse(text).map_err(|e| role_failure(*role, e))?;
            if spec == ModelSpec::Composer {
                let why = "the composer plays no single role; choose it with --model composer";
                return Err(role_failure(*role, why));
            }
        }
        if settings
            .temperature
            .is_some_and(|t| !(0.0..=2.0).contains(&t))
        {
            return Err(role_failure(*role, "temperature is between 0 and 2"));
        }
    }
    Ok(Making {
        candidates: args.candidates.or(config.candidates).unwrap_or(1),
        roles,
        prices: config.prices.clone(),
        history: Vec::new(),
    })
}

/// The first time that a host is used, says what will leave this machine.
fn tell_what_leaves(shop: &Workshop, host: &str, begun: &Begun) -> Result<(), Failure> {
    let path = shop.home()?.dir().join("known-hosts");
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let line = format!("{host} {:?}", begun.task.preview).to_lowercase();
    if known.lines().any(|l| l == line) {
        return Ok(());
    }
    let data = match begun.task.preview {
        Preview::None => "nothing of your data but the files' names",
        Preview::Schema => "your data's field names, types and counts, and no values",
        Preview::Sample => "your data's field names, types, counts and a few of its rows",
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "This is the first use of {} from this home. It will be sent:",
        Shown(host)
    );
    let _ = writeln!(text, "  - your question, in full");
    let _ = writeln!(text, "  - {data} (--preview none|schema|sample)");
    let _ = writeln!(
        text,
        "  - descriptions of your tools, the code it writes, and how that code failed"
    );
    let _ = write!(
        text,
        "Never sent: goldens, held-out cases, results, other files, keys of other services."
    );
    shop.out.note(caution().for_stderr().apply_to(text));
    shop.out.note(
        faint()
            .for_stderr()
            .apply_to("Ctrl-C stops it now; it will not be said again for this host."),
    );
    let _ = std::fs::write(&path, format!("{known}{line}\n"));
    Ok(())
}
