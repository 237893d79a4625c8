//! `handaxe config`: what is in force, and where it comes from.

use serde_json::json;

use crate::cli::ConfigCommand;
use crate::failure::{Exit, Outcome};
use crate::render::text::Lines;
use crate::workshop::Workshop;

pub(crate) fn run(shop: &Workshop, command: ConfigCommand) -> Outcome {
    let home = shop.home()?;
    match command {
        ConfigCommand::Show => {
            shop.out
                .document(&json!({ "config": home.config, "policy": home.policy }))?;
            let config = toml::to_string_pretty(&home.config).unwrap_or_default();
            let policy = toml::to_string_pretty(&home.policy).unwrap_or_default();
            let state = |path: &std::path::Path| {
                if path.exists() {
                    ""
                } else {
                    " (not there: defaults)"
                }
            };
            let (c, p) = (home.config_path(), home.policy_path());
            shop.out.say(format!(
                "# {}{}\n{}",
                c.display(),
                state(&c),
                Lines(&config)
            ));
            shop.out.say(format!(
                "# {}{}\n{}",
                p.display(),
                state(&p),
                Lines(&policy)
            ));
        }
        ConfigCommand::Path => {
            let paths = json!({
                "home": home.dir(),
                "config": home.config_path(),
                "policy": home.policy_path(),
                "templates": home.templates_dir(),
                "database": home.dir().join("handaxe.db"),
                "tools": home.dir().join("tools"),
                "runs": home.dir().join("runs"),
                "keys": home.dir().join("keys"),
            });
            shop.out.document(&paths)?;
            for (name, path) in paths.as_object().into_iter().flatten() {
                shop.out
                    .say(format!("{name:<10} {}", path.as_str().unwrap_or_default()));
            }
        }
    }
    Ok(Exit::Done)
}
