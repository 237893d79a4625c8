//! Starts one of the programs that are measured, and hears it out.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// The longest that one start may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the last words of one that failed are waited for.
const WORDS: Duration = Duration::from_secs(1);
const MOST_BYTES: u64 = 1 << 20;

/// Its standard output, or why there is none worth having.
pub(super) fn run<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    input: &[u8],
) -> Result<Vec<u8>, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is measured, on a fixed program of ours"
    )]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // With everything that it starts, so that it can be ended whole.
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Our inputs fit into a pipe's buffer, or are read before anything is written.
    let written = child.stdin.take().map(|mut pipe| pipe.write_all(input));
    let (output, errors) = (heard(child.stdout.take()), heard(child.stderr.take()));
    let said = output.recv_timeout(PATIENCE);
    if said.is_err() {
        let _ = group.map(|g| kill_process_group(g, Signal::KILL));
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    // What it left behind may hold its streams open; that is not waited for.
    let output = said.map_err(|_| format!("no end within {} s", PATIENCE.as_secs()))?;
    // One that needs no input need not read it.
    let written = match written {
        Some(Err(error)) => error.kind() == ErrorKind::BrokenPipe,
        sent => sent.is_some(),
    };
    if status.success() && written {
        return Ok(output);
    }
    let errors = errors.recv_timeout(WORDS).unwrap_or_default();
    let errors = String::from_utf8_lossy(&errors).into_owned();
    let last = errors.lines().rev().find(|l| !l.trim().is_empty());
    Err(format!("{status}: {}", last.unwrap_or("it said nothing")))
}

/// All of a stream, once it is at its end.
fn heard(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stream.map(|s| s.take(MOST_BYTES).read_to_end(&mut text));
        let _ = tell.send(text);
    });
    told
}

/// The first program of this name on the search path.
pub(super) fn find(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(name))
        .find(|p| p.is_file())
}
