//! `handaxe doctor`: what this machine gives, and what to do about what is missing.

use handaxe_agent::model::{choose, probe_ollama};
use handaxe_sandbox::{NativeSandbox, Sandbox, probe_surface, reachable};
use serde_json::json;

use crate::failure::{Exit, Outcome, chain};
use crate::models::provider_env;
use crate::render::text::{Lines, Shown};
use crate::render::{bad, caution, faint, good, strong, table};
use crate::sandboxes;
use crate::workshop::{Workshop, sandbox_failure};

pub(crate) fn run(shop: &Workshop) -> Outcome {
    let out = &shop.out;
    let config = shop.native_config()?;
    let sandbox = NativeSandbox::new(config.clone());
    let layers = sandbox
        .as_ref()
        .map(|s| s.layers().to_vec())
        .unwrap_or_default();
    let missing: Vec<_> = layers
        .iter()
        .filter(|l| l.required && !l.in_force)
        .collect();
    let surface = match &sandbox {
        Ok(_) if missing.is_empty() => probe_surface(&config).ok(),
        _ => None,
    };
    let backends = sandbox
        .as_ref()
        .map(|s| sandboxes::survey(&config, s.runtime()))
        .unwrap_or_default();
    let home = shop.home()?;
    let base_url = home.config.base_url.clone();
    let mut env = provider_env(base_url);
    env.ollama_models = shop
        .runtime()?
        .block_on(probe_ollama(None, std::time::Duration::from_millis(300)));
    let choice = choose(home.config.model.as_deref(), &env);
    let journal = shop.registry().and_then(|r| {
        r.verify()
            .map_err(|e| crate::workshop::registry_failure(&e))
    });
    let views = shop
        .registry()
        .ok()
        .and_then(|r| r.check_views().ok())
        .unwrap_or_default();

    out.document(&json!({
        "layers": layers,
        "interpreter": sandbox.as_ref().ok().map(Sandbox::interpreter),
        "profile": sandbox.as_ref().ok().map(Sandbox::profile),
        "kernel_surface": surface.as_ref().map(|found| json!({
            "probes": found.len(), "reachable": reachable(found),
        })),
        "sandboxes": backends,
        "sandbox_error": sandbox.as_ref().err().map(|e| chain(e)),
        "model": choice.as_ref().ok().map(|c| json!({"spec": c.spec.to_string(), "why": c.why})),
        "home": home.dir(),
        "journal": journal.as_ref().ok(),
        "views": views.len(),
    }))?;

    out.say(strong().apply_to("Isolation"));
    let rows = layers
        .iter()
        .map(|l| {
            let state = if l.in_force {
                "yes"
            } else if l.required {
                "MISSING"
            } else {
                "no"
            };
            let need = if l.required { "required" } else { "optional" };
            vec![
                l.layer.as_str().to_owned(),
                state.to_owned(),
                need.to_owned(),
                l.note.clone(),
            ]
        })
        .collect();
    out.say(table(&["layer", "here", "", "note"], rows));
    let mut exit = Exit::Done;
    match &sandbox {
        Ok(sandbox) => {
            let python = sandbox.interpreter();
            out.say(format!(
                "\n{} {} ({})",
                strong().apply_to("Interpreter"),
                Shown(&python.version),
                python.executable.display()
            ));
            out.say(format!(
                "{} {} {}",
                strong().apply_to("Profile"),
                sandbox.profile().name,
                sandbox.profile().digest().short()
            ));
            if missing.is_empty() {
                if let Some(found) = &surface {
                    out.say(format!(
                        "{} {} of {} probes reach anything (handaxe sandbox probe)",
                        strong().apply_to("Kernel"),
                        reachable(found),
                        found.len()
                    ));
                }
                out.say(good().apply_to("Tools can run here."));
            } else {
                for layer in &missing {
                    let text = format!(
                        "Tools cannot run here: {}: {}",
                        layer.layer.as_str(),
                        layer.note
                    );
                    out.say(bad().bold().apply_to(text));
                }
                exit = Exit::SandboxUnavailable;
            }
        }
        Err(error) => {
            let failure = sandbox_failure(error);
            out.say(format!(
                "\n{} {}",
                bad().bold().apply_to("Tools cannot run here:"),
                Lines(&failure.message)
            ));
            if let Some(hint) = &failure.hint {
                out.say(format!("{} {}", caution().apply_to("hint:"), Lines(hint)));
            }
            exit = Exit::SandboxUnavailable;
        }
    }
    if !backends.is_empty() {
        out.say(format!(
            "\n{} (chosen: {})",
            strong().apply_to("Sandboxes"),
            shop.sandbox_choice()?
        ));
        let rows = backends.iter().map(|found| {
            let usable = if found.usable { "yes" } else { "no" };
            vec![
                found.backend.clone(),
                usable.to_owned(),
                found.isolation.unwrap_or_default().to_owned(),
                Shown(found.reason.as_deref().unwrap_or_default()).to_string(),
            ]
        });
        out.say(table(
            &["sandbox", "usable", "isolation", "why not"],
            rows.collect(),
        ));
    }
    match &choice {
        Ok(choice) => {
            out.say(format!(
                "\n{} {}: {}",
                strong().apply_to("Model"),
                Shown(&choice.spec.to_string()),
                choice.why
            ));
            let set = |there: bool| if there { "set" } else { "not set" };
            out.say(faint().apply_to(format!(
                "  OPENAI_API_KEY {}, ANTHROPIC_API_KEY {}, local Ollama {}",
                set(env.openai_key.is_some()),
                set(env.anthropic_key.is_some()),
                if env.ollama_models.is_some() {
                    "answers"
                } else {
                    "does not answer"
                },
            )));
        }
        Err(error) => out.say(format!("\n{} {error}", bad().apply_to("Model"))),
    }
    out.say(format!(
        "\n{} {}",
        strong().apply_to("Home"),
        home.dir().display()
    ));
    match &journal {
        Ok(checked) if checked.ok => {
            out.say(format!("  journal intact, {} events", checked.events));
        }
        Ok(_) => out.say(bad().apply_to("  the journal is not intact: handaxe audit verify")),
        Err(failure) => out.say(bad().apply_to(format!("  {}", failure.message))),
    }
    if !views.is_empty() {
        out.say(caution().apply_to(format!(
            "  {} tool folders differ from the database; they are views and can be deleted",
            views.len()
        )));
    }
    Ok(exit)
}
