//! `handaxe sandbox bench`: the sandbox, the bare loop of forks beneath it, and whatever else is
//! installed, on one piece of work in one run.

mod chart;
mod native;
mod peers;
mod proc;
mod program;
mod work;

use std::path::Path;
use std::time::Duration;

use handaxe_sandbox::{Cancel, Sandbox as _};
use serde::Serialize;
use serde_json::json;

use crate::failure::{Exit, Failure, Outcome};
use crate::render::{faint, strong, table};
use crate::workshop::{Workshop, sandbox_failure};

/// The middle and the slow end of some times.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    runs: usize,
    p50_ms: f64,
    p95_ms: f64,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len().saturating_sub(1) as f64 * share).round() as usize;
            times.get(index).map_or(0.0, |t| t.as_secs_f64() * 1e3)
        };
        Self {
            runs: times.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
        }
    }
}

pub(crate) fn run(shop: &Workshop, calls: usize, quick: bool, svg: Option<&Path>) -> Outcome {
    let config = shop.native_config()?;
    let cancel = Cancel::default();
    shop.cancel_on_interrupt(&cancel);
    let note = |what: &str| {
        shop.out
            .note(faint().apply_to(format!("measuring {what} …")));
    };
    let (calls, cold) = if quick {
        (calls.min(200), 5)
    } else {
        (calls, 15)
    };
    let measured = native::measure(&config, calls.max(20), cold, &cancel, &note)?;

    let sandbox =
        handaxe_sandbox::NativeSandbox::new(config.clone()).map_err(|e| sandbox_failure(&e))?;
    let found = sandbox.interpreter();
    let dir = std::env::temp_dir().join(format!("handaxe-bench-{}", std::process::id()));
    let stage = peers::Stage::new(
        dir,
        found.executable.clone(),
        found.prefix.clone(),
        config.modules.clone(),
    )
    .map_err(|e| Failure::failed("bench", format!("cannot lay out the peers' program: {e}")))?;
    let peers = stage.measure(if quick { 5 } else { 20 }, &note);
    drop(stage);

    if let Some(path) = svg {
        let mut bars = vec![
            ("handaxe, warm call".to_owned(), measured.warm.p50_ms, true),
            (
                "handaxe, cold session".to_owned(),
                measured.cold.p50_ms,
                true,
            ),
        ];
        for peer in &peers {
            bars.extend(peer.spread.map(|s| (peer.name.to_owned(), s.p50_ms, false)));
        }
        let title = "One small Python function, request to checked result";
        std::fs::write(path, chart::draw(title, &bars)).map_err(|e| {
            Failure::failed("bench", format!("cannot write {}: {e}", path.display()))
        })?;
    }
    shop.out.document(&json!({
        "native": measured,
        "peers": peers,
        "load": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    }))?;
    show(shop, &measured, &peers);
    Ok(Exit::Done)
}

fn show(shop: &Workshop, native: &native::Native, peers: &[peers::Peer]) {
    let out = &shop.out;
    let base = native.warm.p50_ms;
    let row = |name: &str, spread: &Spread, isolation: &str| {
        vec![
            name.to_owned(),
            format!("{:.3}", spread.p50_ms),
            format!("{:.3}", spread.p95_ms),
            format!("{:.1}", spread.p50_ms / base),
            spread.runs.to_string(),
            isolation.to_owned(),
        ]
    };
    let mut rows = vec![
        row("handaxe, warm call", &native.warm, "every layer"),
        row("handaxe, cold session", &native.cold, "every layer"),
    ];
    for peer in peers {
        rows.push(match (&peer.spread, &peer.not_run) {
            (Some(spread), _) => row(peer.name, spread, peer.isolation),
            (None, why) => {
                let why = why.clone().unwrap_or_default();
                let none = || "–".to_owned();
                vec![
                    peer.name.to_owned(),
                    none(),
                    none(),
                    none(),
                    none(),
                    format!("not run: {why}"),
                ]
            }
        });
    }
    let header = ["", "p50 ms", "p95 ms", "ratio", "runs", "isolation"];
    out.say(strong().apply_to("Request to checked result"));
    out.say(table(&header, rows));

    let rows = native.sustained.iter().map(|s| {
        vec![
            s.cores.to_string(),
            format!("{:.0}", s.calls_per_second),
            format!("{:.0}", s.bare_per_second),
            format!("{:.0} %", 100.0 * s.calls_per_second / s.bare_per_second),
            format!("{:.2}", s.cpu_ms),
            format!("{:.2}", s.bare_cpu_ms),
            format!("{:.0} %", 100.0 * s.bare_cpu_ms / s.cpu_ms),
        ]
    });
    let header = [
        "processors",
        "calls/s",
        "bare forks/s",
        "of it",
        "cpu ms",
        "bare cpu ms",
        "of it",
    ];
    out.say(format!("\n{}", strong().apply_to("Sustained")));
    out.say(table(&header, rows.collect()));

    let loaded = &native.loaded;
    out.say(format!(
        "\n{} callers at once, at most {} children: {:.1} ms p50, {:.1} ms p95 with the wait; the \
         queue was {} deep",
        loaded.callers,
        loaded.most_children,
        loaded.latency.p50_ms,
        loaded.latency.p95_ms,
        loaded.deepest_queue
    ));
    if let Some(memory) = &native.idle_child {
        out.say(format!(
            "An idle child: {:.1} MiB private, {:.1} MiB its share of all; {} page faults to get ready",
            memory.private_kib as f64 / 1024.0,
            memory.proportional_kib as f64 / 1024.0,
            memory.faults
        ));
    }
    let native::Growth {
        calls,
        before,
        after,
    } = &native.growth;
    let change = |a: usize, b: usize| format!("{a} → {b}");
    out.say(format!(
        "{calls} calls left: descriptors {}, processes {}, mounts {}, namespaces {}, groups {}, host {} KiB, server {} KiB",
        change(before.descriptors, after.descriptors),
        change(before.processes, after.processes),
        change(before.mounts, after.mounts),
        change(before.namespaces, after.namespaces),
        change(before.cgroups, after.cgroups),
        change(before.host_rss_kib as usize, after.host_rss_kib as usize),
        change(before.server_rss_kib as usize, after.server_rss_kib as usize),
    ));
    out.say(format!("{}; filter {}", native.interpreter, native.filter));
}
