//! The conversation with a child: one poll loop over its four pipes, with the clocks and the cancel
//! flag looked at in every turn, and nothing kept beyond its bound.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use handaxe_types::Usage;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::artifacts::{Sink, is_plain};
use super::greeting::Warm;
use super::jail::{Ends, readable, timespec};
use super::pool::Ready;
use super::wire::{FrameError, HEAD, Head, Meta, NONCE, Status};
use crate::{Call, Cancel, SandboxError};

/// Between two looks at the clocks and at the cancel flag.
pub(super) const SLICE: Duration = Duration::from_millis(20);
/// Bytes read at once.
const BUFFER: usize = 32 << 10;
/// How often the result is looked at again before going to sleep, once it is whole.
const LOOKS: u32 = 64;
/// How long a child that closed its result may take to be seen dead.
pub(super) const GRACE: Duration = Duration::from_millis(250);

pub(super) fn broken(doing: &'static str) -> impl Fn(Errno) -> SandboxError {
    move |errno| SandboxError::Io {
        doing,
        source: errno.into(),
    }
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Why the conversation was over.
#[derive(Debug)]
pub(super) enum End {
    /// The result's descriptor was closed.
    Closed,
    Wall,
    Cpu,
    Stdio,
    Frame(FrameError),
    /// More, after the result.
    Trailing,
    Artifact(SandboxError),
    Cancelled,
}

/// What came of the result so far.
pub(super) enum Told {
    Head(Vec<u8>),
    Body(Head, Vec<u8>),
    /// Everything but the files is here.
    Files(Box<Meta>, Vec<u8>, Option<Sink>),
}

pub(super) struct Watch<'a> {
    pub(super) call: &'a Call,
    cancel: &'a Cancel,
    nonce: [u8; NONCE],
    pid: u32,
    base: Duration,
    started: Instant,
    /// When the clocks were last looked at.
    looked: Instant,
    pub(super) result: Told,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    pub(super) usage: Usage,
    pub(super) end: Option<End>,
}

/// One of the tool's own streams: kept up to a cap.
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    limit: usize,
    open: bool,
    pub(super) over: bool,
}

impl Stream {
    fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            bytes: Vec::new(),
            limit,
            open: true,
            over: false,
        }
    }

    fn take(&mut self, part: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.over |= part.len() > room;
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// Reads what is there; `None` at the end.
fn read<'b>(fd: &OwnedFd, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, SandboxError> {
    match rustix::io::read(fd, &mut *buffer) {
        Ok(0) => Ok(None),
        Ok(len) => Ok(Some(&buffer[..len])),
        Err(Errno::INTR | Errno::AGAIN) => Ok(Some(&[])),
        Err(errno) => Err(broken("reading from a child")(errno)),
    }
}

impl<'a> Watch<'a> {
    pub(super) fn new(call: &'a Call, cancel: &'a Cancel, warm: &Warm, started: Instant) -> Self {
        let stream = || Stream::new(call.limits.stdio_bytes);
        Self {
            call,
            cancel,
            nonce: warm.nonce,
            pid: warm.pid,
            base: warm.base,
            started,
            looked: started,
            result: Told::Head(Vec::new()),
            stdout: stream(),
            stderr: stream(),
            usage: Usage::default(),
            end: None,
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
        let wall = self.started + Duration::from_millis(self.call.limits.wall_ms);
        let mut buffer = vec![0; BUFFER];
        while self.end.is_none() {
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
            if self.end.is_none() && self.looked.elapsed() >= slice {
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
            self.end = Some(End::Cancelled);
        } else if self.looked >= wall {
            self.end = Some(End::Wall);
        } else if self.cpu() > Duration::from_millis(self.call.limits.cpu_ms) {
            self.end = Some(End::Cpu);
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
        buffer: &mut [u8],
    ) -> Result<(), SandboxError> {
        let out = |open: bool, fd| if open { fd } else { &ends.result };
        // A stream that is at its end is told again and again; nothing is asked of it.
        let mut fds = [
            PollFd::new(&ends.result, PollFlags::IN),
            PollFd::new(out(self.stdout.open, &ends.stdout), PollFlags::IN),
            PollFd::new(out(self.stderr.open, &ends.stderr), PollFlags::IN),
            PollFd::new(inlet.unwrap_or(&ends.result), PollFlags::OUT),
        ];
        let count = if inlet.is_some() { 4 } else { 3 };
        match poll(&mut fds[..count], Some(&timespec(time))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(broken("waiting for a child")(errno)),
        }
        let ready = [0, 1, 2].map(|at| !fds[at].revents().is_empty());
        if ready[1] && self.stdout.open {
            self.stream(1, &ends.stdout, buffer)?;
        }
        if ready[2] && self.stderr.open {
            self.stream(2, &ends.stderr, buffer)?;
        }
        if ready[0] && self.end.is_none() {
            self.hear(ends, buffer)?;
        }
        Ok(())
    }

    /// Takes what there is of the result. Once all of it is here its end follows at once, and
    /// going to sleep for that would cost more than looking again.
    fn hear(&mut self, ends: &Ends, buffer: &mut [u8]) -> Result<(), SandboxError> {
        for _ in 0..=LOOKS {
            match read(&ends.result, buffer)? {
                None => self.end = Some(End::Closed),
                Some([]) => std::hint::spin_loop(),
                Some(bytes) => self.frame(bytes),
            }
            if self.end.is_some() || !matches!(self.result, Told::Files(..)) {
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
        buffer: &mut [u8],
    ) -> Result<bool, SandboxError> {
        let stream = if number == 1 {
            &mut self.stdout
        } else {
            &mut self.stderr
        };
        let some = match read(fd, buffer)? {
            None => {
                stream.open = false;
                false
            }
            Some(bytes) => {
                stream.take(bytes);
                !bytes.is_empty()
            }
        };
        if stream.over && self.end.is_none() {
            self.end = Some(End::Stdio);
        }
        Ok(some)
    }

    /// Takes what is left in both streams. After a result that is what was written before it; a
    /// process that gave none is waited for, so that its last words are not lost.
    fn drain(&mut self, ends: &Ends, buffer: &mut [u8]) -> Result<(), SandboxError> {
        let told = self.told();
        let until = Instant::now() + GRACE;
        for number in [1, 2] {
            let fd = if number == 1 {
                &ends.stdout
            } else {
                &ends.stderr
            };
            loop {
                let stream = if number == 1 {
                    &self.stdout
                } else {
                    &self.stderr
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

    /// Takes a part of the result.
    fn frame(&mut self, bytes: &[u8]) {
        if let Err(end) = self.advance(bytes) {
            self.end = Some(end);
        }
    }

    fn advance(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        if let Told::Head(have) = &mut self.result {
            let part = bytes.len().min(HEAD - have.len());
            have.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            let Ok(head) = <&[u8; HEAD]>::try_from(&have[..]) else {
                return Ok(());
            };
            let limit = self.call.limits.output_bytes;
            let head = Head::parse(head, &self.nonce, limit).map_err(End::Frame)?;
            self.result = Told::Body(head, Vec::with_capacity(head.meta + head.output));
        }
        if let Told::Body(head, have) = &mut self.result {
            let part = bytes.len().min(head.meta + head.output - have.len());
            have.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if have.len() < head.meta + head.output {
                return Ok(());
            }
            let output = have.split_off(head.meta);
            let meta = Meta::parse(have).map_err(End::Frame)?;
            let sink = self.sink(&meta)?;
            self.result = Told::Files(Box::new(meta), output, sink);
        }
        if let Told::Files(_, _, sink) = &mut self.result
            && let Some(sink) = sink
        {
            bytes = sink.take(bytes).map_err(End::Artifact)?;
        }
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(End::Trailing)
        }
    }

    /// Where announced files go; they are announced only when asked for, under plain names, each
    /// once, within the scratch's size.
    fn sink(&self, meta: &Meta) -> Result<Option<Sink>, End> {
        if meta.files.is_empty() {
            return Ok(None);
        }
        let names: BTreeSet<&String> = meta.files.iter().map(|(name, _)| name).collect();
        let total = meta
            .files
            .iter()
            .try_fold(0_u64, |sum, (_, size)| sum.checked_add(*size));
        let fits = total.is_some_and(|t| t <= self.call.limits.scratch_bytes);
        let plain = names.len() == meta.files.len() && names.iter().all(|n| is_plain(n));
        let wanted = meta.status == Status::Ok && !self.call.file_outputs.is_empty();
        match &self.call.artifacts {
            Some(directory) if fits && plain && wanted => {
                let mut sink = Sink::new(directory, meta.files.clone()).map_err(End::Artifact)?;
                // Empty files need no byte to be there.
                sink.take(&[]).map_err(End::Artifact)?;
                Ok(Some(sink))
            }
            _ => Err(End::Frame(FrameError::Meta)),
        }
    }

    /// Whether the whole of one result came.
    pub(super) fn told(&self) -> bool {
        let whole = match &self.result {
            Told::Files(_, _, sink) => sink.as_ref().is_none_or(Sink::is_complete),
            _ => false,
        };
        whole && matches!(self.end, Some(End::Closed))
    }

    /// The output's bytes, where the whole of a good result came.
    pub(super) fn output(self) -> Option<Vec<u8>> {
        let told = self.told();
        match self.result {
            Told::Files(meta, output, _) if told && meta.status == Status::Ok => Some(output),
            _ => None,
        }
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
