//! The conversation with a child: one poll loop over its four pipes, with the clocks and the cancel
//! flag looked at in every turn, and nothing kept beyond its bound.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use handaxe_types::Usage;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::artifacts::{Sink, is_plain};
use super::jail::{readable, timespec};
use super::pool::Ready;
use super::wire::{FrameError, HEAD, Head, Meta, NONCE, Status};
use crate::{Call, Cancel, SandboxError};

/// Between two looks at the clocks and at the cancel flag.
pub(super) const SLICE: Duration = Duration::from_millis(20);
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
    pub(super) fn new(
        call: &'a Call,
        cancel: &'a Cancel,
        nonce: [u8; NONCE],
        pid: u32,
        base: Duration,
        started: Instant,
    ) -> Self {
        let stream = || Stream::new(call.limits.stdio_bytes);
        let (stdout, stderr, result) = (stream(), stream(), Told::Head(Vec::new()));
        let usage = Usage::default();
        Self {
            call,
            cancel,
            nonce,
            pid,
            base,
            started,
            result,
            stdout,
            stderr,
            usage,
            end: None,
        }
    }

    /// Talks to the child until there is an end.
    pub(super) fn converse(
        &mut self,
        child: &Ready,
        mut inlet: Option<OwnedFd>,
        request: &[u8],
        meanwhile: impl FnOnce(),
    ) -> Result<(), SandboxError> {
        let ends = &child.ends;
        // Closed once everything is written: the tool's standard input is then at its end.
        let mut left = request;
        let mut meanwhile = Some(meanwhile);
        let wall = self.started + Duration::from_millis(self.call.limits.wall_ms);
        let mut buffer = vec![0; 64 << 10];
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
            let now = Instant::now();
            // A short call has the machine to itself; a long one need not hold up its successor.
            if now - self.started > SLICE
                && let Some(meanwhile) = meanwhile.take()
            {
                meanwhile();
            }
            if self.cancel.is_cancelled() {
                self.end = Some(End::Cancelled);
            } else if now >= wall {
                self.end = Some(End::Wall);
            } else if self.cpu() > Duration::from_millis(self.call.limits.cpu_ms) {
                self.end = Some(End::Cpu);
            }
            if self.end.is_some() {
                break;
            }
            self.wait(ends, inlet.as_ref(), (wall - now).min(SLICE), &mut buffer)?;
        }
        self.usage = self.measure();
        // What the tool still had in its pipes belongs to it: after a kill, they end.
        child.kill();
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        self.drain(ends, &mut buffer)
    }

    fn cpu(&self) -> Duration {
        handaxe_jail::cpu_time(self.pid)
            .unwrap_or_default()
            .saturating_sub(self.base)
    }

    fn wait(
        &mut self,
        ends: &super::jail::Ends,
        inlet: Option<&OwnedFd>,
        time: Duration,
        buffer: &mut [u8],
    ) -> Result<(), SandboxError> {
        let mut fds = vec![PollFd::new(&ends.result, PollFlags::IN)];
        let streams = [
            (&ends.stdout, self.stdout.open),
            (&ends.stderr, self.stderr.open),
        ];
        for (fd, open) in streams {
            // A closed stream is told again and again; nothing is asked of it.
            let fd = if open { fd } else { &ends.result };
            fds.push(PollFd::new(fd, PollFlags::IN));
        }
        if let Some(inlet) = inlet {
            fds.push(PollFd::new(inlet, PollFlags::OUT));
        }
        match poll(&mut fds, Some(&timespec(time))) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(broken("waiting for a child")(errno)),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready[1] && self.stdout.open {
            self.stream(1, &ends.stdout, buffer)?;
        }
        if ready[2] && self.stderr.open {
            self.stream(2, &ends.stderr, buffer)?;
        }
        if ready[0] && self.end.is_none() {
            match read(&ends.result, buffer)? {
                None => self.end = Some(End::Closed),
                Some(bytes) => self.frame(bytes),
            }
        }
        Ok(())
    }

    fn stream(&mut self, number: u8, fd: &OwnedFd, buffer: &mut [u8]) -> Result<(), SandboxError> {
        let stream = if number == 1 {
            &mut self.stdout
        } else {
            &mut self.stderr
        };
        match read(fd, buffer)? {
            None => stream.open = false,
            Some(bytes) => stream.take(bytes),
        }
        if stream.over && self.end.is_none() {
            self.end = Some(End::Stdio);
        }
        Ok(())
    }

    /// Takes the rest of both streams of a process that has been killed.
    fn drain(&mut self, ends: &super::jail::Ends, buffer: &mut [u8]) -> Result<(), SandboxError> {
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
                if !stream.open || stream.over || !readable(fd.as_fd(), until) {
                    break;
                }
                self.stream(number, fd, buffer)?;
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

    /// Read while the process still stands.
    fn measure(&self) -> Usage {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let peak = status.lines().find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()
        });
        Usage {
            cpu_ms: ms(self.cpu()),
            max_rss_kib: peak.unwrap_or(0),
        }
    }
}
