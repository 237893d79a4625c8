//! The conversation with a child: one poll loop over its four pipes, with the clocks and the cancel
//! flag looked at in every turn, and nothing kept beyond its bound.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use handaxe_types::Usage;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::greeting::Warm;
use super::jail::{Ends, readable, timespec};
use super::pool::Ready;
use crate::exchange::ending::ms;
use crate::exchange::hearing::{End, Hearing, Told};
use crate::{Call, Cancel, SandboxError};

/// Between two looks at the clocks and at the cancel flag.
pub(super) const SLICE: Duration = Duration::from_millis(20);
/// Bytes read at once.
const BUFFER: usize = 32 << 10;
/// How often the result is looked at again before going to sleep, once it is whole.
const LOOKS: u32 = 64;
/// How long a child that closed its result may take to be seen dead.
pub(super) const GRACE: Duration = Duration::from_millis(250);

pub(crate) fn broken(doing: &'static str) -> impl Fn(Errno) -> SandboxError {
    move |errno| SandboxError::Io {
        doing,
        source: errno.into(),
    }
}

pub(super) struct Watch<'a> {
    pub(super) heard: Hearing<'a>,
    cancel: &'a Cancel,
    pid: u32,
    base: Duration,
    started: Instant,
    /// When the clocks were last looked at.
    looked: Instant,
    /// Whether to wake for each part of the result. Most results fit into their pipe, and then their
    /// end is all there is to wake for. A child whose result does not fit, or goes on with files,
    /// closes its standard error first; one that keeps silent is looked at once a slice.
    eager: bool,
    pub(super) usage: Usage,
}

/// Reads what is there, as much as the buffer has room for; `None` at the end.
fn read<'b>(fd: &OwnedFd, buffer: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>, SandboxError> {
    buffer.clear();
    match rustix::io::read(fd, spare_capacity(buffer)) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(buffer)),
        Err(Errno::INTR | Errno::AGAIN) => Ok(Some(&[])),
        Err(errno) => Err(broken("reading from a child")(errno)),
    }
}

impl<'a> Watch<'a> {
    pub(super) fn new(call: &'a Call, cancel: &'a Cancel, warm: &Warm, started: Instant) -> Self {
        Self {
            heard: Hearing::new(call, warm.nonce),
            cancel,
            pid: warm.pid,
            base: warm.base,
            started,
            looked: started,
            eager: false,
            usage: Usage::default(),
        }
    }

    /// Talks to the child until there is an end, and then kills it.
    pub(super) fn converse(
        &mut self,
        child: &mut Ready,
        request: &[u8],
    ) -> Result<(), SandboxError> {
        // Closed once everything is written: the tool's standard input is then at its end.
        let mut inlet = child.ends.request.take();
        let mut left = request;
        let wall = self.started + Duration::from_millis(self.heard.call.limits.wall_ms);
        let mut buffer = Vec::with_capacity(BUFFER);
        while self.heard.end.is_none() {
            if let Some(fd) = &inlet {
                match rustix::io::write(fd, left) {
                    Ok(written) => left = &left[written..],
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    // It does not read on; how it ended will be seen.
                    Err(_) => left = &[],
                }
                if left.is_empty() {
                    inlet = None;
                }
            }
            let slice = (wall - self.looked).min(SLICE);
            self.wait(&child.ends, inlet.as_ref(), slice, &mut buffer)?;
            if self.heard.end.is_none() && self.looked.elapsed() >= slice {
                self.hear(&child.ends, &mut buffer)?;
            }
            if self.heard.end.is_none() && self.looked.elapsed() >= slice {
                self.look(wall);
            }
        }
        self.measure(child);
        child.kill();
        self.drain(&child.ends, &mut buffer)
    }

    /// Looks at the clocks and at the cancel flag.
    fn look(&mut self, wall: Instant) {
        self.looked = Instant::now();
        if self.cancel.is_cancelled() {
            self.heard.end = Some(End::Cancelled);
        } else if self.looked >= wall {
            self.heard.end = Some(End::Wall);
        } else if self.cpu() > Duration::from_millis(self.heard.call.limits.cpu_ms) {
            self.heard.end = Some(End::Cpu);
        }
    }

    fn cpu(&self) -> Duration {
        handaxe_jail::cpu_time(self.pid)
            .unwrap_or_default()
            .saturating_sub(self.base)
    }

    fn wait(
        &mut self,
        ends: &Ends,
        inlet: Option<&OwnedFd>,
        time: Duration,
        buffer: &mut Vec<u8>,
    ) -> Result<(), SandboxError> {
        // A stream that is at its end is told again and again; nothing is asked of it.
        let out = |open: bool, fd| if open { fd } else { &ends.result };
        // Its end is told of even where nothing is asked.
        let parts = if self.eager {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let mut fds = [
            PollFd::new(&ends.result, parts),
            PollFd::new(out(self.heard.stdout.open, &ends.stdout), PollFlags::IN),
            PollFd::new(out(self.heard.stderr.open, &ends.stderr), PollFlags::IN),
            PollFd::new(inlet.unwrap_or(&ends.result), PollFlags::OUT),
        ];
        let count = if inlet.is_some() { 4 } else { 3 };
        match poll(&mut fds[..count], Some(&timespec(time))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(broken("waiting for a child")(errno)),
        }
        let ready = [0, 1, 2].map(|at| !fds[at].revents().is_empty());
        if ready[1] && self.heard.stdout.open {
            self.stream(1, &ends.stdout, buffer)?;
        }
        if ready[2] && self.heard.stderr.open {
            self.stream(2, &ends.stderr, buffer)?;
        }
        if ready[0] && self.heard.end.is_none() {
            self.hear(ends, buffer)?;
        }
        Ok(())
    }

    /// Takes what there is of the result. Once all of it is here its end follows at once, and
    /// going to sleep for that would cost more than looking again.
    fn hear(&mut self, ends: &Ends, buffer: &mut Vec<u8>) -> Result<(), SandboxError> {
        for _ in 0..=LOOKS {
            match read(&ends.result, buffer)? {
                None => self.heard.end = Some(End::Closed),
                Some([]) => std::hint::spin_loop(),
                Some(bytes) => {
                    self.eager = true;
                    self.heard.frame(bytes);
                }
            }
            if self.heard.end.is_some() || !matches!(self.heard.result, Told::Files(..)) {
                break;
            }
        }
        Ok(())
    }

    /// Reads of one stream; says whether there was anything.
    fn stream(
        &mut self,
        number: u8,
        fd: &OwnedFd,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, SandboxError> {
        let stream = if number == 1 {
            &mut self.heard.stdout
        } else {
            &mut self.heard.stderr
        };
        let some = match read(fd, buffer)? {
            None => {
                stream.open = false;
                self.eager = true;
                false
            }
            Some(bytes) => {
                stream.take(bytes);
                !bytes.is_empty()
            }
        };
        if stream.over && self.heard.end.is_none() {
            self.heard.end = Some(End::Stdio);
        }
        Ok(some)
    }

    /// Takes what is left in both streams. After a result that is what was written before it; a
    /// process that gave none is waited for, so that its last words are not lost.
    fn drain(&mut self, ends: &Ends, buffer: &mut Vec<u8>) -> Result<(), SandboxError> {
        let told = self.heard.told();
        let until = Instant::now() + GRACE;
        for number in [1, 2] {
            let fd = if number == 1 {
                &ends.stdout
            } else {
                &ends.stderr
            };
            loop {
                let stream = if number == 1 {
                    &self.heard.stdout
                } else {
                    &self.heard.stderr
                };
                if !stream.open || stream.over || !(told || readable(fd.as_fd(), until)) {
                    break;
                }
                if !self.stream(number, fd, buffer)? && told {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What the call used, read while the process still stands.
    fn measure(&mut self, child: &Ready) {
        let mut text = [0; 4096];
        let status = child.warm.status.as_ref();
        let len = status.map_or(0, |f| rustix::io::pread(f, &mut text, 0).unwrap_or(0));
        self.usage = Usage {
            cpu_ms: ms(self.cpu()),
            max_rss_kib: peak(&text[..len]).unwrap_or(0),
        };
    }
}

/// The most memory that was resident, from a `status` file, in KiB.
fn peak(status: &[u8]) -> Option<u64> {
    let mut lines = status.split(|b| *b == b'\n');
    let line = lines.find_map(|l| l.strip_prefix(b"VmHWM:"))?;
    let digits = line.iter().filter(|b| b.is_ascii_digit()).take(15);
    Some(digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}
