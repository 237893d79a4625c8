//! Where things live, and the settings found there. The only place that reads the environment.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use handaxe_agent::model::RoleName;
use handaxe_agent::{Price, RoleSettings};
use handaxe_types::{MIN_SECRET_CHARS, Policy, Preview, ToolName};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};
use crate::telemetry;

/// Settings are small; anything larger is not one.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) policy: Policy,
}

/// `config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) model: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) preview: Option<Preview>,
    pub(crate) max_repairs: Option<u32>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) max_seconds: Option<u64>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) sandbox: Option<String>,
    /// Drafts that a model writes side by side.
    pub(crate) candidates: Option<u32>,
    /// `[roles.author]` and so on: a model, a temperature and bounds of its own for a role.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) roles: BTreeMap<RoleName, RoleSettings>,
    /// `[mcp.NAME]`: another program whose tools a plan may use, once a person accepted them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) mcp: BTreeMap<String, McpServer>,
    /// `[search]`: finding tools by meaning too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) search: Option<SearchSettings>,
    /// `[prices."openai:NAME"]`: what a million tokens cost.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) prices: BTreeMap<String, Price>,
}

/// Of the search for tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSettings {
    /// A folder with a sentence model: `config.json`, `tokenizer.json`, `model.safetensors`.
    pub(crate) weights: PathBuf,
}

/// Another program's server: a command, or a URL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct McpServer {
    pub(crate) command: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) url: Option<String>,
    /// The environment variable that holds the bearer token.
    pub(crate) token_env: Option<String>,
}

impl Home {
    /// Opens the home, making it when it is new.
    pub(crate) fn open(explicit: Option<&Path>) -> Result<Self, Failure> {
        let dir = match explicit {
            Some(dir) => dir.to_owned(),
            None => default_dir()?,
        };
        let make = |path: &Path| {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| {
                    Failure::failed("home", format!("cannot make {}: {e}", path.display()))
                        .hint("give another place with --home DIR or HANDAXE_HOME")
                })
        };
        make(&dir)?;
        // Absolute, so that a stored path means the same from anywhere.
        let dir = dir
            .canonicalize()
            .map_err(|e| Failure::failed("home", format!("cannot open {}: {e}", dir.display())))?;
        let policy_path = dir.join("policy.toml");
        let policy = if let Some(text) = read_settings(&policy_path)? {
            handaxe_validate::load_policy(&text).map_err(|e| settings_failure(&policy_path, &e))?
        } else {
            // A read-only home still serves reading commands, under the defaults.
            let _ = std::fs::write(&policy_path, handaxe_validate::default_policy_toml());
            Policy::default()
        };
        let short = telemetry::add_secrets(&policy.secrets);
        if !short.is_empty() {
            let what = format!(
                "secrets: {} cannot be kept secret; at least {MIN_SECRET_CHARS} characters are needed",
                short.join(", ")
            );
            return Err(settings_failure(&policy_path, &what));
        }
        let config_path = dir.join("config.toml");
        let config = match read_settings(&config_path)? {
            Some(text) => toml::from_str(&text).map_err(|e| settings_failure(&config_path, &e))?,
            None => Config::default(),
        };
        Ok(Self {
            dir,
            config,
            policy,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    pub(crate) fn policy_path(&self) -> PathBuf {
        self.dir.join("policy.toml")
    }

    /// What the owner expects of a tool of that name, where there is something: JSON Lines.
    pub(crate) fn goldens_path(&self, tool: &ToolName) -> PathBuf {
        self.dir.join("goldens").join(format!("{tool}.jsonl"))
    }

    pub(crate) fn templates_dir(&self) -> PathBuf {
        self.dir.join("templates")
    }

    pub(crate) fn run_dir(&self, run: &str) -> PathBuf {
        self.dir.join("runs").join(run)
    }
}

fn settings_failure(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Usage,
        "settings",
        format!("{}: {error}", path.display()),
    )
    .hint("correct the file, or move it away to go back to the defaults")
}

fn read_settings(path: &Path) -> Result<Option<String>, Failure> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(settings_failure(path, &e)),
    };
    let mut text = String::new();
    file.take(MAX_SETTINGS_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| settings_failure(path, &e))?;
    if text.len() as u64 > MAX_SETTINGS_BYTES {
        return Err(settings_failure(path, &"larger than 1 MiB"));
    }
    Ok(Some(text))
}

fn default_dir() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return Ok(data.join("handaxe"));
    }
    absolute("HOME")
        .map(|home| home.join(".local/share/handaxe"))
        .ok_or_else(|| {
            Failure::failed("home", "there is no home directory: HOME is not set")
                .hint("say where state may live with --home DIR or HANDAXE_HOME")
        })
}

/// The name that approvals and the journal record for whoever runs the command.
pub(crate) fn login() -> String {
    for name in ["USER", "LOGNAME"] {
        if let Ok(value) = std::env::var(name)
            && !value.trim().is_empty()
        {
            return value.chars().take(64).collect();
        }
    }
    format!("uid:{}", rustix::process::getuid().as_raw())
}
