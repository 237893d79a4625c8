//! `handaxe mcp servers`: the other programs that the settings name, and what a person accepted of
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use handaxe_agent::{Externals, NoExternals};
use handaxe_registry::AcceptedListing;
use handaxe_sandbox::Cancel;
use handaxe_server::{ExternalServers, Reach};
use handaxe_types::{ApprovalHow, ExternalListing, ExternalTool};
use inquire::Confirm;
use serde_json::{Value, json};

use crate::approver::{sealed_key, unlock};
use crate::asking::Asking;
use crate::cli::{ServersCommand, SignArgs};
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::home::{McpServer, login};
use crate::render::text::Shown;
use crate::render::{caution, faint, strong};
use crate::telemetry::redactor;
use crate::workshop::{Workshop, registry_failure};

/// What a started server gets of our environment: what the protocol's own libraries pass on.
const SURROUNDINGS: [&str; 8] = [
    "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER",
];

/// The servers of the settings; their runtime only where there are any.
pub(crate) fn externals(shop: &Workshop) -> Result<Arc<dyn Externals>, Failure> {
    let configured = &shop.home()?.config.mcp;
    if configured.is_empty() {
        return Ok(Arc::new(NoExternals));
    }
    let mut servers = BTreeMap::new();
    for (name, server) in configured {
        servers.insert(name.clone(), reach(name, server)?);
    }
    let surroundings = SURROUNDINGS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    let runtime = shop.runtime()?.handle().clone();
    Ok(Arc::new(ExternalServers::new(
        servers,
        surroundings,
        runtime,
    )))
}

fn reach(name: &str, server: &McpServer) -> Result<Reach, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("[mcp.{}]: {why}", Shown(name))).hint(
            "command = \"…\" with args and env, or url = \"…\" with token_env, in config.toml",
        )
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > 48 || !name.chars().all(plain) {
        return Err(wrong("a name is up to 48 letters, digits, _ and -"));
    }
    match (&server.command, &server.url) {
        (Some(command), None) if server.token_env.is_none() => Ok(Reach::Command {
            command: command.clone(),
            args: server.args.clone(),
            env: server.env.clone(),
        }),
        (None, Some(url)) if server.args.is_empty() && server.env.is_empty() => {
            let token = match &server.token_env {
                Some(variable) => {
                    let token = std::env::var(variable)
                        .map_err(|_| wrong(&format!("token_env: {variable} is not set")))?;
                    redactor().add(&token);
                    Some(token)
                }
                None => None,
            };
            Ok(Reach::Url {
                url: url.clone(),
                token,
            })
        }
        _ => Err(wrong("either a command or a url")),
    }
}

pub(crate) fn servers(shop: &Workshop, command: ServersCommand) -> Outcome {
    match command {
        ServersCommand::List => list(shop),
        ServersCommand::Show { name } => show(shop, &name),
        ServersCommand::Accept { name, digest, sign } => {
            accept(shop, &name, digest.as_deref(), &sign)
        }
    }
}

/// How a server's listing stands to what was accepted.
struct Standing {
    now: Result<ExternalListing, String>,
    accepted: Option<AcceptedListing>,
}

impl Standing {
    fn of(shop: &Workshop, externals: &dyn Externals, name: &str) -> Result<Self, Failure> {
        let accepted = shop.registry()?.accepted_external(name);
        let cancel = Cancel::default();
        shop.cancel_on_interrupt(&cancel);
        Ok(Self {
            now: externals.list(name, &cancel).map_err(|e| chain(&e)),
            accepted: accepted.map_err(|e| registry_failure(&e))?,
        })
    }

    fn state(&self) -> &'static str {
        match (&self.now, &self.accepted) {
            (Err(_), _) => "unreachable",
            (Ok(_), None) => "not accepted",
            (Ok(now), Some(then)) if *now == then.listing => "accepted",
            (Ok(now), Some(then)) if now.reached_by != then.listing.reached_by => {
                "reached another way"
            }
            (Ok(_), Some(_)) => "changed",
        }
    }

    /// `new`, `changed`, `gone` or `accepted`, tool by tool.
    fn tools(&self) -> Vec<(&'static str, &ExternalTool)> {
        let then = self.accepted.as_ref().map(|a| &a.listing);
        let Ok(now) = &self.now else {
            return Vec::new();
        };
        let stands = |tool: &ExternalTool| match then.and_then(|t| t.tool(&tool.name)) {
            None => "new",
            Some(old) if old == tool => "accepted",
            Some(_) => "changed",
        };
        let gone = then
            .into_iter()
            .flat_map(|t| &t.tools)
            .filter(|t| now.tool(&t.name).is_none());
        now.tools
            .iter()
            .map(|t| (stands(t), t))
            .chain(gone.map(|t| ("gone", t)))
            .collect()
    }

    fn document(&self, name: &str) -> Value {
        let tools: Vec<Value> = self
            .tools()
            .into_iter()
            .map(|(stands, tool)| {
                let was = self
                    .accepted
                    .as_ref()
                    .and_then(|a| a.listing.tool(&tool.name));
                json!({"stands": stands, "tool": tool, "was": was.filter(|w| *w != tool)})
            })
            .collect();
        json!({
            "server": name, "state": self.state(), "error": self.now.as_ref().err(),
            "digest": self.now.as_ref().ok().map(ExternalListing::digest),
            "accepted_by": self.accepted.as_ref().map(|a| &a.by), "tools": tools,
        })
    }
}

fn list(shop: &Workshop) -> Outcome {
    let externals = externals(shop)?;
    let mut documents = Vec::new();
    for (name, _) in externals.servers() {
        let standing = Standing::of(shop, externals.as_ref(), &name)?;
        let tools = standing.now.as_ref().map_or(0, |n| n.tools.len());
        shop.out.say(format!(
            "{}  {}, {tools} tools",
            strong().apply_to(&name),
            standing.state()
        ));
        if let Err(why) = &standing.now {
            shop.out.say(format!("  {}", Shown(why)));
        }
        documents.push(standing.document(&name));
    }
    if documents.is_empty() {
        shop.out
            .say("No other program is named in config.toml ([mcp.NAME] with a command or a url).");
    }
    shop.out.document(&json!({ "servers": documents }))?;
    Ok(Exit::Done)
}

fn show(shop: &Workshop, name: &str) -> Outcome {
    let standing = standing(shop, name)?;
    tell(shop, name, &standing);
    shop.out.document(&standing.document(name))?;
    Ok(Exit::Done)
}

fn standing(shop: &Workshop, name: &str) -> Result<Standing, Failure> {
    let externals = externals(shop)?;
    if !externals.servers().iter().any(|(n, _)| n == name) {
        return Err(
            Failure::usage(format!("the settings name no server {}", Shown(name)))
                .hint("handaxe mcp servers list"),
        );
    }
    Standing::of(shop, externals.as_ref(), name)
}

/// Everything that the server says of itself, escaped; of what changed, both.
fn tell(shop: &Workshop, name: &str, standing: &Standing) {
    let out = &shop.out;
    out.say(format!("{}  {}", strong().apply_to(name), standing.state()));
    match &standing.now {
        Err(why) => return out.say(format!("  {}", Shown(why))),
        Ok(now) => out.say(format!("  digest {}", now.digest())),
    }
    for (stands, tool) in standing.tools() {
        out.say(format!(
            "\n  {} ({stands})",
            strong().apply_to(Shown(&tool.name))
        ));
        let was = standing
            .accepted
            .as_ref()
            .and_then(|a| a.listing.tool(&tool.name));
        if let Some(was) = was.filter(|_| stands == "changed") {
            out.say(faint().apply_to(format!("    was   {}", said(was))));
        }
        out.say(format!("    says  {}", said(tool)));
    }
}

fn said(tool: &ExternalTool) -> String {
    let title = tool.title.as_deref().unwrap_or_default();
    let whole = format!(
        "{title} {}\n          takes {}\n          gives {}\n          notes {}",
        Shown(&tool.description),
        Shown(&tool.input_schema.to_string()),
        Shown(
            &tool
                .output_schema
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default()
        ),
        Shown(&tool.annotations.to_string()),
    );
    whole.trim_start().to_owned()
}

/// A person's act: the digest that was shown, or a yes at a terminal that has just been shown it.
fn accept(shop: &Workshop, name: &str, digest: Option<&str>, sign: &SignArgs) -> Outcome {
    let standing = standing(shop, name)?;
    let now = standing.now.as_ref().map_err(|why| {
        Failure::failed(
            "external",
            format!("{name} cannot be listed: {}", Shown(why)),
        )
    })?;
    let shown = now.digest().to_string();
    match digest {
        Some(prefix) if prefix.len() >= 6 && shown.starts_with(&prefix.to_lowercase()) => {}
        Some(prefix) => {
            let text = format!(
                "{name} is listed with digest {shown}, not {}",
                Shown(prefix)
            );
            return Err(Failure::new(Exit::Refused, "digest_changed", text)
                .hint(format!("handaxe mcp servers show {name}")));
        }
        None if Asking::possible(shop) => {
            tell(shop, name, &standing);
            shop.out.note(caution().for_stderr().apply_to(
                "It runs outside the sandbox and was not proved here. What you ask of it leaves this program.",
            ));
            if !Confirm::new("Accept it as it is?")
                .with_default(false)
                .prompt()
                .unwrap_or(false)
            {
                return Err(Failure::new(
                    Exit::Refused,
                    "not_accepted",
                    "nothing was accepted",
                ));
            }
        }
        None => {
            return Err(Failure::new(
                Exit::Waiting,
                "confirm",
                format!("{name} waits for a person's yes"),
            )
            .hint(format!(
                "handaxe mcp servers show {name}, then accept it with --digest"
            )));
        }
    }
    let registry = shop.registry()?;
    if shop.home()?.policy.approval.how == ApprovalHow::Key {
        // A shell alone is no person under this policy.
        let sealed = sealed_key(&registry.keys_dir(), sign.key.as_deref())?;
        unlock(&sealed, sign.passphrase_file.as_deref())?;
    }
    registry
        .acting_as(&login())
        .accept_external(name, now)
        .map_err(|e| registry_failure(&e))?;
    shop.out
        .document(&json!({"server": name, "digest": shown, "tools": now.tools.len()}))?;
    shop.out.say(format!(
        "Accepted {name} with {} tools; they hold until it says anything else.",
        now.tools.len()
    ));
    Ok(Exit::Done)
}
