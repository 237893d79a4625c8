//! Measures calls: `cargo run --release --example bench [python]`. Its own launcher.

#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handaxe_sandbox::{Call, Cancel, NativeConfig, NativeSandbox, Sandbox, SessionSpec};
use handaxe_types::Limits;

const CODE: &str = r#"
"""Counts words."""
import re
from collections import Counter


def run(text: str) -> dict:
    words = Counter(re.findall(r"[a-z]+", text.lower()))
    return {"total": sum(words.values()), "top": words.most_common(5)}
"#;

fn percentile(times: &mut [Duration], of: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * of) as usize]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    handaxe_jail::main_if_asked();
    let mut config = NativeConfig::new(std::env::current_exe()?);
    config.python = std::env::args().nth(1).map(PathBuf::from);
    config.idle = 4;
    let at = Instant::now();
    let sandbox = NativeSandbox::new(config)?;
    let discovery = at.elapsed();
    let text = "The quick brown fox jumps over the lazy dog again and again. ".repeat(14);
    let call = Call {
        code: Arc::from(CODE),
        input: serde_json::from_value(serde_json::json!({ "text": text }))?,
        files: Vec::new(),
        assets: Vec::new(),
        file_inputs: Vec::new(),
        file_outputs: Vec::new(),
        artifacts: None,
        limits: Limits::default(),
    };
    let cancel = Cancel::default();
    let mut cold = Vec::new();
    for _ in 0..10 {
        let at = Instant::now();
        let session = sandbox.open(SessionSpec::default())?;
        session.call(&call, &cancel)?;
        cold.push(at.elapsed());
    }
    let session = sandbox.open(SessionSpec::default())?;
    let (mut warm, mut inside, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for pause in [5, 0] {
        warm.clear();
        inside.clear();
        cpu.clear();
        let start = Instant::now();
        for n in 0..300 {
            if pause > 0 {
                while session.stats().ready < 4 || session.stats().coming > 0 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            let at = Instant::now();
            let result = session.call(&call, &cancel)?;
            warm.push(at.elapsed());
            inside.push(Duration::from_secs_f64(result.runtime_ms / 1e3));
            cpu.push(Duration::from_secs_f64(result.usage.cpu_ms / 1e3));
            if n == 0 || result.output.is_none() {
                println!("{}", serde_json::to_string(&result)?);
            }
        }
        let rate = 300.0 / (start.elapsed().as_secs_f64());
        println!(
            "pause {pause} ms: warm p50 {:?} p95 {:?}; of that, request to result p50 {:?} p95 {:?}, least {:?}; child's processor time p50 {:?}; {rate:.0}/s",
            percentile(&mut warm, 0.5),
            percentile(&mut warm, 0.95),
            percentile(&mut inside, 0.5),
            percentile(&mut inside, 0.95),
            percentile(&mut inside, 0.0),
            percentile(&mut cpu, 0.5),
        );
    }
    println!(
        "{}; discovery {discovery:?}; cold open to result p50 {:?} p95 {:?}",
        sandbox.interpreter().version,
        percentile(&mut cold, 0.5),
        percentile(&mut cold, 0.95)
    );
    Ok(())
}
