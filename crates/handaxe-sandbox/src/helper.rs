//! A helper: this very program in a second process, for our own code at work on hostile bytes. It
//! is no jail and runs no Python. What it gives is that a parser which overflows its stack, or
//! takes all memory or time, ends a process that nobody will miss.
//!
//! One helper is kept warm and answers one request at a time, over a socket: a length (four bytes,
//! little-endian) and so many bytes, each way. Every wait has a deadline, every size a bound. When
//! its owner goes, the socket closes and the helper ends; processor time bounds one that is too
//! busy to notice.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a helper may hold and use. A soft limit that is lower already stays.
#[derive(Clone, Copy, Debug)]
pub struct HelperLimits {
    /// Address space.
    pub memory_bytes: u64,
    /// Processor time over its whole life.
    pub cpu: Duration,
    /// One request, and one answer.
    pub frame_bytes: usize,
    /// After so many answers it makes room for a fresh one.
    pub requests: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    #[error("the helper process could not be started")]
    Start(#[source] std::io::Error),
    #[error("{bytes} bytes are more than a helper is given at once")]
    TooLarge { bytes: usize },
    /// It ended, or was killed, with the request in its hands.
    #[error("the helper process ended before it answered")]
    Died,
    #[error("the helper process did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("input/output with the helper process failed")]
    Io(#[source] std::io::Error),
}

/// Starts helpers and asks them. Dropping it kills the one that is warm.
#[derive(Debug)]
pub struct Helper {
    program: PathBuf,
    argument: &'static str,
    limits: HelperLimits,
    warm: Mutex<Option<Warm>>,
}

#[derive(Debug)]
struct Warm {
    process: Child,
    socket: UnixStream,
    answered: u32,
}

impl Drop for Warm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Helper {
    /// `program` must call [`serve_helper`] where its first argument is `argument`, before it
    /// does anything else. Nothing is started yet.
    pub fn new(program: PathBuf, argument: &'static str, limits: HelperLimits) -> Self {
        Self {
            program,
            argument,
            limits,
            warm: Mutex::new(None),
        }
    }

    /// One request and its answer. Callers wait for each other. After any error the next request
    /// goes to a new process.
    pub fn ask(&self, request: &[u8], patience: Duration) -> Result<Vec<u8>, HelperError> {
        if request.len() > self.limits.frame_bytes {
            return Err(HelperError::TooLarge {
                bytes: request.len(),
            });
        }
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        // One that ended while idle (a signal, its processor time) is no one's fault.
        if let Some(old) = warm.as_mut()
            && (old.answered >= self.limits.requests || !matches!(old.process.try_wait(), Ok(None)))
        {
            *warm = None;
        }
        let mut at_work = match warm.take() {
            Some(at_work) => at_work,
            None => self.start().map_err(HelperError::Start)?,
        };
        // An error leaves the slot empty, and dropping kills what did not answer.
        let answer = self.converse(&mut at_work, request, patience)?;
        at_work.answered += 1;
        *warm = Some(at_work);
        Ok(answer)
    }

    /// The process that is warm now.
    pub fn process(&self) -> Option<u32> {
        let warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.as_ref().map(|w| w.process.id())
    }

    fn start(&self) -> std::io::Result<Warm> {
        let (socket, theirs) = UnixStream::pair()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this very program, reading what might end it"
        )]
        let mut command = Command::new(&self.program);
        command.arg(self.argument).env_clear().current_dir("/");
        let limits = self.limits;
        command.args([
            limits.memory_bytes.to_string(),
            limits.cpu.as_secs().to_string(),
            limits.frame_bytes.to_string(),
            limits.requests.to_string(),
        ]);
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Warm {
            process: command.spawn()?,
            socket,
            answered: 0,
        })
    }

    fn converse(
        &self,
        warm: &mut Warm,
        request: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, HelperError> {
        let until = Instant::now() + patience;
        let socket = &mut warm.socket;
        let length = (request.len() as u32).to_le_bytes();
        let mut sent = 0;
        let whole = [&length, request].concat();
        while sent < whole.len() {
            let left = left(until, patience)?;
            socket
                .set_write_timeout(Some(left))
                .map_err(HelperError::Io)?;
            match socket.write(&whole[sent..]) {
                Ok(n) => sent += n,
                Err(e) => again(e, patience)?,
            }
        }
        let mut head = [0; 4];
        fill(socket, &mut head, until, patience)?;
        let bytes = u32::from_le_bytes(head) as usize;
        if bytes > self.limits.frame_bytes {
            return Err(HelperError::TooLarge { bytes });
        }
        let mut answer = vec![0; bytes];
        fill(socket, &mut answer, until, patience)?;
        Ok(answer)
    }
}

fn left(until: Instant, patience: Duration) -> Result<Duration, HelperError> {
    let left = until.saturating_duration_since(Instant::now());
    // A timeout of zero would mean none.
    if left < Duration::from_millis(1) {
        return Err(HelperError::TimedOut(patience));
    }
    Ok(left)
}

fn again(error: std::io::Error, patience: Duration) -> Result<(), HelperError> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    match error.kind() {
        Interrupted => Ok(()),
        WouldBlock | TimedOut => Err(HelperError::TimedOut(patience)),
        BrokenPipe | ConnectionReset => Err(HelperError::Died),
        _ => Err(HelperError::Io(error)),
    }
}

fn fill(
    socket: &mut UnixStream,
    into: &mut [u8],
    until: Instant,
    patience: Duration,
) -> Result<(), HelperError> {
    let mut have = 0;
    while have < into.len() {
        let left = left(until, patience)?;
        socket
            .set_read_timeout(Some(left))
            .map_err(HelperError::Io)?;
        match socket.read(&mut into[have..]) {
            Ok(0) => return Err(HelperError::Died),
            Ok(n) => have += n,
            Err(e) => again(e, patience)?,
        }
    }
    Ok(())
}

/// Becomes the helper, and returns its exit code when its owner lets go, where the first argument
/// is `argument`; else `None`. To be called first in `main`, before any thread exists.
pub fn serve_helper(argument: &str, answer: impl Fn(&[u8]) -> Vec<u8>) -> Option<i32> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != argument {
        return None;
    }
    let numbers: Vec<u64> = words.filter_map(|w| w.to_str()?.parse().ok()).collect();
    let [memory_bytes, cpu, frame_bytes, requests] = numbers[..] else {
        return Some(2);
    };
    for (resource, most) in [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 16),
    ] {
        let now = getrlimit(resource);
        let most = now.current.map_or(most, |now| now.min(most));
        let lowered = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if setrlimit(resource, lowered).is_err() {
            return Some(3);
        }
    }
    let socket = rustix::stdio::stdin();
    for _ in 0..requests {
        let mut head = [0; 4];
        if !take(socket, &mut head) {
            return Some(0);
        }
        let bytes = u32::from_le_bytes(head) as usize;
        if bytes as u64 > frame_bytes {
            return Some(4);
        }
        let mut request = vec![0; bytes];
        if !take(socket, &mut request) {
            return Some(0);
        }
        let reply = answer(&request);
        let whole = [&(reply.len() as u32).to_le_bytes()[..], &reply].concat();
        let mut rest = &whole[..];
        while !rest.is_empty() {
            match rustix::net::send(socket, rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(n) => rest = &rest[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Some(0),
            }
        }
    }
    Some(0)
}

fn take(socket: std::os::fd::BorrowedFd<'_>, into: &mut [u8]) -> bool {
    let mut have = 0;
    while have < into.len() {
        match rustix::io::read(socket, &mut into[have..]) {
            Ok(0) => return false,
            Ok(n) => have += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
