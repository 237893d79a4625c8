//! `handaxe sandbox probe`: what of the kernel a tool's process reaches on this machine.

use handaxe_sandbox::{
    MOST_REACHABLE, NativeSandbox, PROBE_MODULES, Reach, SandboxError, filter_digest,
    probe_surface_in, reachable,
};
use serde_json::json;

use crate::failure::{Exit, Outcome};
use crate::render::{bad, good, table};
use crate::sandboxes;
use crate::workshop::{Workshop, sandbox_failure};

pub(crate) fn run(shop: &Workshop) -> Outcome {
    let failed = |e: SandboxError| sandbox_failure(&e);
    let mut config = shop.native_config()?;
    config.modules.extend(PROBE_MODULES.map(str::to_owned));
    let native = NativeSandbox::new(config.clone()).map_err(failed)?;
    let runtime = native.runtime().clone();
    let sandbox = sandboxes::make(&shop.sandbox_choice()?, &config, runtime).map_err(failed)?;
    let found = probe_surface_in(sandbox.as_ref()).map_err(failed)?;
    let filter = filter_digest().map_err(|e| sandbox_failure(&e))?;
    let open = reachable(&found);
    // One without a written reason is one too many.
    let unexplained = found
        .iter()
        .any(|p| p.reach == Reach::Reachable && p.reason.is_none());
    let held = open <= MOST_REACHABLE && !unexplained;
    shop.out.document(&json!({
        "ok": held, "probes": found, "reachable": open, "most": MOST_REACHABLE,
        "filter": filter.to_string(),
    }))?;
    let rows = found.iter().map(|probe| {
        let said = match probe.reach {
            Reach::Denied => format!("denied: {}", probe.said),
            Reach::Absent => format!("absent: {}", probe.said),
            Reach::Reachable => format!("REACHABLE: {}", probe.said),
        };
        let reason = probe.reason.clone().unwrap_or_default();
        vec![probe.name.clone(), said, probe.bubblewrap.clone(), reason]
    });
    let out = &shop.out;
    out.say(table(
        &["probe", "in a tool's process", "bubblewrap 0.8", "reason"],
        rows.collect(),
    ));
    let style = if held { good() } else { bad() };
    out.say(style.apply_to(format!(
        "\n{open} of {} reachable; {MOST_REACHABLE} are allowed, each with its reason",
        found.len()
    )));
    out.say(format!("filter {filter}"));
    Ok(if held { Exit::Done } else { Exit::Failed })
}
