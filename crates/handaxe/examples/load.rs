//! Many callers of one small tool at the door for agents, and the sandbox's own rate beside it.
//!
//! ```text
//! cargo run --release --package handaxe --example load -- [--callers 64] [--seconds 60] [--no-bench]
//! ```
//!
//! Needs `handaxe` built beside it. Every reply is checked; one that is wrong or does not come makes
//! the exit code 1. With the bench, the last lines are the two rates and their ratio.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program: it starts the built binary and prints what it saw"
)]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The piece of work of `handaxe sandbox bench`.
const CODE: &str = r#""""Counts words."""

import re
from collections import Counter


def run(*, text: str) -> dict[str, object]:
    """Count words, and name the five most frequent."""
    words = Counter(re.findall(r"[a-z]+", text.lower()))
    top = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    return {"total": sum(words.values()), "top": [word for word, _ in top]}
"#;
const PATIENCE: Duration = Duration::from_secs(30);

struct Settings {
    callers: usize,
    seconds: u64,
    bench: bool,
}

fn settings() -> Result<Settings> {
    let mut settings = Settings {
        callers: 64,
        seconds: 60,
        bench: true,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().ok_or("a number is missing");
        match word.as_str() {
            "--callers" => settings.callers = number()?.parse()?,
            "--seconds" => settings.seconds = number()?.parse()?,
            "--no-bench" => settings.bench = false,
            other => {
                return Err(format!("{other} is none of --callers, --seconds, --no-bench").into());
            }
        }
    }
    Ok(settings)
}

/// The binary of the same build.
fn handaxe() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let built = me
        .ancestors()
        .nth(2)
        .ok_or("no target directory")?
        .join("handaxe");
    if built.is_file() {
        Ok(built)
    } else {
        Err("build handaxe first".into())
    }
}

/// A server that dies with this.
struct Served {
    child: Child,
    addr: String,
    token: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(handaxe: &Path, dir: &Path) -> Result<Served> {
    let home = dir.join("home");
    let tool = dir.join("count_words_of");
    std::fs::create_dir_all(&home)?;
    std::fs::create_dir_all(&tool)?;
    std::fs::write(
        home.join("policy.toml"),
        "[trial]\nfuzz_inputs = 24\nmutants = 0\n",
    )?;
    std::fs::write(tool.join("tool.py"), CODE)?;
    let spec = json!({
        "name": "count_words_of", "description": "Counts the words of a text and names the five most frequent.",
        "domain": "text", "capabilities": [], "deterministic": true,
        "input_schema": {"type": "object", "additionalProperties": false, "required": ["text"],
            "properties": {"text": {"type": "string", "maxLength": 2000}}},
        "output_schema": {"type": "object", "additionalProperties": false, "required": ["total", "top"],
            "properties": {"total": {"type": "integer"}, "top": {"type": "array", "items": {"type": "string"}}}},
    });
    std::fs::write(tool.join("spec.json"), spec.to_string())?;
    let case = json!({"name": "two", "input": {"text": "b a b"}, "expect": {"total": 3, "top": ["b", "a"]}});
    std::fs::write(tool.join("cases.jsonl"), case.to_string())?;
    let imported = Command::new(handaxe)
        .args(["tools", "import", "count_words_of", "--yes", "--json"])
        .current_dir(dir)
        .env("HANDAXE_HOME", &home)
        .output()?;
    if !imported.status.success() {
        return Err(String::from_utf8_lossy(&imported.stderr).into());
    }
    let mut child = Command::new(handaxe)
        .args([
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--model",
            "composer",
            "--json",
        ])
        .env("HANDAXE_HOME", &home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut text = String::new();
    let document: Value = loop {
        if out.read_line(&mut text)? == 0 {
            return Err("the server did not start".into());
        }
        if let Ok(document) = serde_json::from_str(&text) {
            break document;
        }
    };
    let url = document["mcp"].as_str().ok_or("no address")?;
    let addr = url
        .trim_start_matches("http://")
        .trim_end_matches("/mcp")
        .to_owned();
    let token = std::fs::read_to_string(document["token_file"].as_str().ok_or("no token")?)?;
    Ok(Served {
        child,
        addr,
        token: token.trim().to_owned(),
    })
}

/// One connection that is kept.
struct Caller {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Caller {
    fn new(served: &Served) -> Result<Self> {
        let stream = TcpStream::connect(&served.addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: count_words_of\r\n",
            served.addr, served.token
        );
        Ok(Self {
            stream: BufReader::new(stream),
            head,
        })
    }

    /// One call of the tool; its structured result.
    fn call(&mut self, id: u64, text: &str) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": "count_words_of", "arguments": {"text": text},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }}})
        .to_string();
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.get_mut().write_all(request.as_bytes())?;
        let reply = self.reply()?;
        let messages = reply.lines().filter_map(|l| {
            let l = l.strip_prefix("data:").unwrap_or(l).trim();
            serde_json::from_str::<Value>(l).ok()
        });
        let message = messages.rev().find(|m| m["id"] == id);
        let message = message.ok_or_else(|| format!("no reply in: {reply}"))?;
        match message["result"]["structuredContent"].clone() {
            Value::Null => Err(message.to_string().into()),
            content => Ok(content),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The body of a reply, chunked or of a length.
    fn reply(&mut self) -> Result<String> {
        let status = self.line()?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", n)) => length = Some(n.trim().parse::<usize>()?),
                Some(("transfer-encoding", how)) => chunked = how.trim() == "chunked",
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        while chunked {
            let size = usize::from_str_radix(&self.line()?, 16)?;
            chunked = size > 0;
            let at = body.len();
            body.resize(at + size, 0);
            self.stream
                .read_exact(body.get_mut(at..).unwrap_or_default())?;
            self.line()?;
        }
        if let Some(length) = length {
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        }
        let body = String::from_utf8(body)?;
        if status.contains(" 200 ") {
            Ok(body)
        } else {
            Err(format!("{status}: {body}").into())
        }
    }
}

/// What one caller saw: a time for each call, or what went wrong.
fn caller(served: &Served, me: usize, over: &AtomicBool) -> Result<Vec<Duration>> {
    let mut caller = Caller::new(served)?;
    let mut times = Vec::new();
    let fox = "the quick brown fox jumps over the lazy dog again and again ".repeat(14);
    while !over.load(Ordering::Relaxed) {
        let n = times.len() as u64;
        let text = format!("{fox} caller {} call", "x".repeat(me % 7));
        let begun = Instant::now();
        let got = caller.call(n, &text)?;
        times.push(begun.elapsed());
        let total = 14 * 12 + 2 + u64::from(!me.is_multiple_of(7));
        if got["total"] != total || got["top"][0] != "again" {
            return Err(format!("caller {me}: {got}").into());
        }
    }
    Ok(times)
}

fn main() -> Result<()> {
    let settings = settings()?;
    let handaxe = handaxe()?;
    let dir = tempfile::tempdir()?;
    let served = Arc::new(serve(&handaxe, dir.path())?);
    // A warm server, as `sandbox bench` has a warm pool.
    let mut first = Caller::new(&served)?;
    for n in 0..40 {
        first.call(n, "warm")?;
    }
    drop(first);
    let over = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let callers: Vec<_> = (0..settings.callers)
        .map(|me| {
            let (served, over) = (Arc::clone(&served), Arc::clone(&over));
            std::thread::spawn(move || caller(&served, me, &over))
        })
        .collect();
    std::thread::sleep(Duration::from_secs(settings.seconds));
    over.store(true, Ordering::Relaxed);
    let (mut times, mut errors) = (Vec::new(), Vec::new());
    for caller in callers {
        match caller.join().map_err(|_| "a caller broke down")? {
            Ok(more) => times.extend(more),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len().saturating_sub(1) as f64 * share) as usize;
        times.get(index).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    };
    let rate = times.len() as f64 / seconds;
    println!(
        "{} callers, {seconds:.0} s: {} calls, {} errors, p50 {:.1} ms, p99 {:.1} ms",
        settings.callers,
        times.len(),
        errors.len(),
        at(0.5),
        at(0.99)
    );
    for error in errors.iter().take(5) {
        println!("  {error}");
    }
    println!("the server:  {rate:.0} calls a second");
    drop(served);
    if settings.bench {
        let bench = Command::new(&handaxe)
            .args(["sandbox", "bench", "--quick", "--json"])
            .env("HANDAXE_HOME", dir.path().join("home"))
            .output()?;
        let bench: Value = serde_json::from_slice(&bench.stdout)?;
        let rates = bench["native"]["sustained"]
            .as_array()
            .into_iter()
            .flatten();
        let best = rates
            .filter_map(|s| s["calls_per_second"].as_f64())
            .fold(0.0, f64::max);
        println!("the sandbox: {best:.0} calls a second");
        println!("ratio:       {:.2}", rate / best);
    }
    if times.is_empty() || !errors.is_empty() {
        return Err("there were errors".into());
    }
    Ok(())
}
