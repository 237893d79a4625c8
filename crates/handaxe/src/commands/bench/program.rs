//! Starts one of the programs that are measured, and hears it out.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// The longest that one start may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the last words of one that failed are waited for.
const WORDS: Duration = Duration::from_secs(1);
const MOST_BYTES: u64 = 1 << 20;

/// With everything that it starts, so that it can be ended whole.
fn started<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Result<Child, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is measured, on a fixed program of ours"
    )]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command.spawn().map_err(|e| e.to_string())
}

fn end(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = group.map(|g| kill_process_group(g, Signal::KILL));
}

/// Its standard output, or why there is none worth having.
pub(super) fn run<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let mut child = started(program, arguments)?;
    // Our inputs fit into a pipe's buffer, or are read before anything is written.
    let written = child.stdin.take().map(|mut pipe| pipe.write_all(input));
    let (output, errors) = (heard(child.stdout.take()), heard(child.stderr.take()));
    let said = output.recv_timeout(PATIENCE);
    if said.is_err() {
        end(&child);
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

/// One that is asked by the line and answers by the line. Dropping it ends it.
pub(super) struct Asked {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
}

impl Asked {
    pub(super) fn start<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Result<Self, String> {
        let mut child = started(program, arguments)?;
        let (Some(questions), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("it has no streams".to_owned());
        };
        // Read, so that it is not held up by what it complains of.
        drop(heard(child.stderr.take()));
        let (tell, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output.take(MOST_BYTES)).lines();
            lines.map_while(Result::ok).try_for_each(|l| tell.send(l))
        });
        Ok(Self {
            child,
            questions,
            answers,
        })
    }

    pub(super) fn ask(&mut self, question: &str) -> Result<(), String> {
        let asked = writeln!(self.questions, "{question}").and_then(|()| self.questions.flush());
        asked.map_err(|e| e.to_string())
    }

    pub(super) fn answer(&mut self) -> Result<String, String> {
        let answer = self.answers.recv_timeout(PATIENCE);
        answer.map_err(|e| match e {
            RecvTimeoutError::Timeout => format!("no answer within {} s", PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => "it ended".to_owned(),
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        end(&self.child);
        let _ = self.child.wait();
    }
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
