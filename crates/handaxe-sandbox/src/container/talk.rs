//! The conversation with one container, on one thread: frames in, the request out, the clocks and
//! the cancel flag looked at in every turn, nothing kept beyond its bound.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use handaxe_jail::ChildReport;
use handaxe_types::{Layer, SandboxResult, Usage};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::engine::{Running, Stop};
use super::frames::{Frame, Frames, Info, Used};
use crate::exchange::ending::{Ended, ms};
use crate::exchange::hearing::{End, Hearing};
use crate::exchange::wire::NONCE;
use crate::native::{broken, timespec};
use crate::{Call, Cancel, SandboxError};

/// Between two looks at the clocks and at the cancel flag.
const SLICE: Duration = Duration::from_millis(20);
/// How long a container whose child gave no result may take to say how it ended.
const GRACE: Duration = Duration::from_secs(2);
const BUFFER: usize = 64 << 10;
/// What is kept of the runtime's and the first process's own complaints.
const FAULT_BYTES: usize = 4 << 10;
const GREETING: usize = 4 + ChildReport::BYTES + 4;

/// A container, and what it said so far.
pub(super) struct Line {
    running: Running,
    frames: Frames,
    open: bool,
    complains: bool,
    fault: Vec<u8>,
}

/// A container that waits for its one call.
pub(super) struct Ready {
    pub(super) line: Line,
    pub(super) info: Info,
    pub(super) report: ChildReport,
    base: Used,
    pub(super) nonce: [u8; NONCE],
}

impl Line {
    pub(super) fn new(running: Running) -> Self {
        Self {
            running,
            frames: Frames::default(),
            open: true,
            complains: true,
            fault: Vec::new(),
        }
    }

    /// Waits for bytes, or for the time to pass; gives the next whole frame.
    fn next(
        &mut self,
        time: Duration,
        left: &mut &[u8],
        doing: &'static str,
    ) -> Result<Option<Frame>, SandboxError> {
        if let Some(frame) = self.frame(doing)? {
            return Ok(Some(frame));
        }
        self.write(left);
        self.wait(time, !left.is_empty())?;
        self.frame(doing)
    }

    fn frame(&mut self, doing: &'static str) -> Result<Option<Frame>, SandboxError> {
        self.frames.next().map_err(|e| SandboxError::Protocol {
            doing,
            detail: e.to_string(),
        })
    }

    fn write(&mut self, left: &mut &[u8]) {
        let Some(stdin) = &self.running.stdin else {
            return;
        };
        if left.is_empty() {
            return;
        }
        match rustix::io::write(stdin, left) {
            Ok(written) => *left = &left[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            // It does not read on; how it ended will be seen.
            Err(_) => *left = &[],
        }
        if left.is_empty() {
            // The tool's standard input is then at its end.
            self.running.stdin = None;
        }
    }

    fn wait(&mut self, time: Duration, writing: bool) -> Result<(), SandboxError> {
        let Running {
            stdin,
            stdout,
            stderr,
            ..
        } = &self.running;
        let mut fds = Vec::with_capacity(3);
        if self.open {
            fds.push(PollFd::new(stdout, PollFlags::IN));
        }
        if self.complains {
            fds.push(PollFd::new(stderr, PollFlags::IN));
        }
        if let (true, Some(stdin)) = (writing, stdin) {
            fds.push(PollFd::new(stdin, PollFlags::OUT));
        }
        match poll(&mut fds, Some(&timespec(time))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(broken("waiting for a container")(errno)),
        }
        let mut buffer = vec![0; BUFFER];
        if self.open {
            match read(stdout, &mut buffer)? {
                None => self.open = false,
                Some(bytes) => self.frames.feed(bytes),
            }
        }
        if self.complains {
            match read(stderr, &mut buffer)? {
                None => self.complains = false,
                Some(bytes) => {
                    let room = FAULT_BYTES.saturating_sub(self.fault.len());
                    self.fault
                        .extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            }
        }
        Ok(())
    }

    /// It ended where it should not have: with its last words.
    fn died(&mut self, doing: &'static str) -> SandboxError {
        // What it still had to say.
        let until = Instant::now() + SLICE * 5;
        while self.complains && Instant::now() < until {
            if self.wait(SLICE, false).is_err() {
                break;
            }
        }
        let said = String::from_utf8_lossy(&self.fault);
        let detail = said.trim().chars().take(1000).collect::<String>();
        SandboxError::JailDied { doing, detail }
    }

    pub(super) fn layers(&self) -> Vec<Layer> {
        self.running.body.layers()
    }

    /// Hears a new container out until its child is ready, or says what is missing.
    pub(super) fn greet(mut self, stop: &Stop) -> Result<Ready, SandboxError> {
        const DOING: &str = "waiting for a container to get ready";
        let (mut info, mut base, mut said) = (None, Used::default(), Vec::new());
        while said.len() < GREETING {
            stop.check(DOING)?;
            match self.next(SLICE, &mut &[][..], DOING)? {
                Some(Frame::Info(told)) => info = Some(told),
                Some(Frame::Used(used)) => base = used,
                Some(Frame::Bytes(3, bytes)) if !bytes.is_empty() => said.extend(bytes),
                Some(Frame::Bytes(2, bytes)) => {
                    self.fault.extend(bytes.into_iter().take(FAULT_BYTES));
                }
                Some(Frame::Bytes(1, _)) => {}
                // A report of failure is all that it says.
                Some(Frame::Bytes(..) | Frame::Ended { .. }) => break,
                None if !self.open => return Err(self.died(DOING)),
                None => {}
            }
        }
        let Some(info) = info.filter(|_| !said.is_empty()) else {
            return Err(self.died(DOING));
        };
        let report = crate::native::parse_greeting(&said)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|e| SandboxError::Io {
            doing: "drawing a nonce",
            source: std::io::Error::other(e.to_string()),
        })?;
        Ok(Ready {
            line: self,
            info,
            report,
            base,
            nonce,
        })
    }
}

/// Reads what is there; `None` at the end.
fn read<'b>(fd: &OwnedFd, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, SandboxError> {
    match rustix::io::read(fd, &mut *buffer) {
        Ok(0) => Ok(None),
        Ok(len) => Ok(Some(&buffer[..len])),
        Err(Errno::INTR | Errno::AGAIN) => Ok(Some(&[])),
        Err(errno) => Err(broken("reading from a container")(errno)),
    }
}

impl Ready {
    /// Processor time that getting ready took.
    pub(super) fn base(&self) -> Duration {
        Duration::from_secs_f64(self.base.seconds)
    }

    /// Sends the request, hears the result out, kills the container, and says how it ended.
    pub(super) fn serve(
        mut self,
        call: &Call,
        cancel: &Cancel,
        request: &[u8],
        layers: Vec<Layer>,
    ) -> Result<SandboxResult, SandboxError> {
        let started = Instant::now();
        let mut heard = Hearing::new(call, self.nonce);
        let mut turn = Turn {
            cancel,
            wall: started + Duration::from_millis(call.limits.wall_ms),
            used: self.base,
            ended: None,
        };
        let mut left = request;
        while heard.end.is_none() {
            turn.once(&mut self, &mut heard, &mut left)?;
        }
        let runtime = started.elapsed();
        // A child that gave no result has ended, or will at once: how, only its parent knows.
        let closed = matches!(heard.end, Some(End::Closed));
        if closed && !heard.told() {
            let until = Instant::now() + GRACE;
            while turn.ended.is_none() && self.line.open && Instant::now() < until {
                turn.listen(&mut self.line, &mut heard, &mut left)?;
            }
        }
        let Running {
            stdin,
            stdout,
            stderr,
            mut body,
        } = self.line.running;
        // Whoever passes its words on must not wait for us to take them.
        drop((stdin, stdout, stderr));
        body.kill();
        if matches!(heard.end, Some(End::Cancelled)) {
            return Err(SandboxError::Cancelled);
        }
        let told = heard.told();
        let died = if told { None } else { turn.ended };
        // Nobody kills the first process but the kernel for want of memory, nor its child before
        // the host does: the filter keeps the tool from it, and the limits have signals of their own.
        let bounded = layers.contains(&Layer::Cgroup);
        let out_of_memory = !told && bounded && closed && died.is_none_or(|d| d.status & 0x7f == 9);
        let died = died.or(out_of_memory.then_some(Ended {
            status: 9,
            cpu: Duration::ZERO,
            max_rss_kib: 0,
        }));
        let usage = turn.usage(self.base);
        heard.result(layers, runtime, usage, died, out_of_memory)
    }
}

/// What changes while a call is under way.
struct Turn<'a> {
    cancel: &'a Cancel,
    wall: Instant,
    used: Used,
    ended: Option<Ended>,
}

impl Turn<'_> {
    fn once(
        &mut self,
        ready: &mut Ready,
        heard: &mut Hearing<'_>,
        left: &mut &[u8],
    ) -> Result<(), SandboxError> {
        self.listen(&mut ready.line, heard, left)?;
        if heard.end.is_some() {
            return Ok(());
        }
        let cpu = (self.used.seconds - ready.base.seconds) * 1e3;
        heard.end = if self.cancel.is_cancelled() {
            Some(End::Cancelled)
        } else if Instant::now() >= self.wall {
            Some(End::Wall)
        } else if cpu > heard.call.limits.cpu_ms as f64 {
            Some(End::Cpu)
        } else if !ready.line.open && self.ended.is_none() {
            // The whole container ended, first process and all.
            Some(End::Closed)
        } else {
            None
        };
        Ok(())
    }

    /// Takes in one frame, where there is one.
    fn listen(
        &mut self,
        line: &mut Line,
        heard: &mut Hearing<'_>,
        left: &mut &[u8],
    ) -> Result<(), SandboxError> {
        let time = self
            .wall
            .saturating_duration_since(Instant::now())
            .clamp(Duration::from_millis(1), SLICE);
        match line.next(time, left, "hearing a container")? {
            Some(Frame::Bytes(3, bytes)) if bytes.is_empty() => {
                heard.end.get_or_insert(End::Closed);
            }
            Some(Frame::Bytes(3, bytes)) if heard.end.is_none() => heard.frame(&bytes),
            Some(Frame::Bytes(number @ (1 | 2), bytes)) => {
                let stream = if number == 1 {
                    &mut heard.stdout
                } else {
                    &mut heard.stderr
                };
                stream.take(&bytes);
                if stream.over && heard.end.is_none() {
                    heard.end = Some(End::Stdio);
                }
            }
            Some(Frame::Used(used)) => self.used = used,
            Some(Frame::Ended { status, used }) => {
                self.used = used;
                self.ended = Some(Ended {
                    status,
                    cpu: Duration::ZERO,
                    max_rss_kib: used.max_rss_kib,
                });
                heard.end.get_or_insert(End::Closed);
            }
            Some(Frame::Bytes(..) | Frame::Info(_)) | None => {}
        }
        Ok(())
    }

    fn usage(&self, base: Used) -> Usage {
        let seconds = (self.used.seconds - base.seconds).max(0.0);
        Usage {
            cpu_ms: ms(Duration::from_secs_f64(seconds)),
            max_rss_kib: self.used.max_rss_kib,
        }
    }
}
