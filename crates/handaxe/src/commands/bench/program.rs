//! Starts one of the programs that are measured, and hears it out.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that one start may take.
const PATIENCE: Duration = Duration::from_mins(1);
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
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    // Our inputs fit into a pipe's buffer, or are read before anything is written.
    let written = child.stdin.take().map(|mut pipe| pipe.write_all(input));
    let errors = child.stderr.take();
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.map(|e| e.take(MOST_BYTES).read_to_end(&mut text));
        text
    });
    let output = child.stdout.take();
    let output = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = output.map(|o| o.take(MOST_BYTES).read_to_end(&mut text));
        text
    });
    let until = Instant::now() + PATIENCE;
    // Its output ends when it does; only one that hangs is looked at again and again.
    while !output.is_finished() {
        if Instant::now() > until {
            let _ = child.kill();
            break;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let output = output.join().unwrap_or_default();
    if status.success() && matches!(written, Some(Ok(()))) {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&errors.join().unwrap_or_default()).into_owned();
    let last = errors.lines().rev().find(|l| !l.trim().is_empty());
    Err(format!("{status}: {}", last.unwrap_or("it said nothing")))
}

/// The first program of this name on the search path.
pub(super) fn find(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|d| d.join(name))
        .find(|p| p.is_file())
}
