//! One call: send the request, take the one result, and tell how it ended. Every limit that has an
//! outcome of its own is enforced here, from outside, whatever the child does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use handaxe_jail::ChildReport;
use handaxe_types::json::{self, Bounds, JsonError};
use handaxe_types::{Artifact, Layer, LimitHit, Limits, Outcome, RunError, SandboxResult, Usage};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::{Map, Value};

use super::artifacts::{Sink, is_plain};
use super::is_required;
use super::jail::{Ended, readable, timespec};
use super::layers::missing;
use super::pool::{Class, Pool, Ready};
use super::wire::{FrameError, HEAD, Head, Meta, NONCE, Request, Status};
use crate::{Call, Cancel, InlineFile, SandboxError};

/// Files that travel with a call, all of a kind together.
const INLINE_BYTES: usize = 1 << 20;
const INLINE_FILES: usize = 1000;
/// How long a child may take to get ready.
const READY_TIME: Duration = Duration::from_secs(20);
/// Between two looks at the clocks and at the cancel flag.
const SLICE: Duration = Duration::from_millis(20);
/// How long a child that closed its result may take to be seen dead.
const GRACE: Duration = Duration::from_millis(250);

fn broken(doing: &'static str) -> impl Fn(Errno) -> SandboxError {
    move |errno| SandboxError::Io {
        doing,
        source: errno.into(),
    }
}

/// Runs one call in one child.
pub(super) fn run(
    pool: &Pool,
    mounts: &BTreeSet<String>,
    excused: &[Layer],
    call: &Call,
    cancel: &Cancel,
) -> Result<SandboxResult, SandboxError> {
    check_files(call, mounts)?;
    let input = input(call, mounts)?;
    let with_files = !call.files.is_empty() || !call.assets.is_empty();
    let class = Class::of(&call.limits, with_files);
    let child = pool.take(class, cancel)?;
    let greeted = greet(pool, &child, excused, Instant::now() + READY_TIME, cancel)?;

    let started = Instant::now();
    let pid = process_id(&child.ends.pidfd)?;
    let base = handaxe_jail::cpu_time(pid).unwrap_or_default();
    if let Some(group) = &child.group {
        let all = call
            .limits
            .memory_bytes
            .saturating_add(call.limits.scratch_bytes);
        // The group also carries the interpreter's own touched pages.
        group
            .limit(all.saturating_add(OWN_BYTES), call.limits.processes)
            .map_err(|source| SandboxError::Io {
                doing: "setting the call's control group",
                source,
            })?;
    }
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|e| SandboxError::Io {
        doing: "drawing a nonce",
        source: io::Error::other(e.to_string()),
    })?;
    let request = request(call, &input, &greeted, base, with_files).encode(&nonce);
    let mut request = request.map_err(|e| SandboxError::Io {
        doing: "writing the request",
        source: e.into(),
    })?;
    for file in call.files.iter().chain(&call.assets) {
        request.extend_from_slice(&file.bytes);
    }

    let mut watch = Watch::new(call, cancel, nonce, pid, base, started);
    watch.converse(&child, &request, || pool.replace(class))?;
    let runtime = started.elapsed();
    let mut usage = watch.usage;

    // Only where no result came must the way it died be known.
    let told = watch.told();
    let died = if told {
        None
    } else {
        pool.ended(child.id, GRACE * 8)
    };
    if let Some(ended) = died {
        usage.cpu_ms = usage.cpu_ms.max(ms(ended.cpu.saturating_sub(base)));
        usage.max_rss_kib = usage.max_rss_kib.max(ended.max_rss_kib);
    }
    let out_of_memory = !told && child.group.as_ref().is_some_and(|g| g.ran_out());
    if matches!(watch.end, Some(End::Cancelled)) {
        return Err(SandboxError::Cancelled);
    }
    watch.result(greeted.layers, runtime, usage, died, out_of_memory)
}

/// What a child's own pages and page tables may come to, beside what the call may use.
const OWN_BYTES: u64 = 48 << 20;

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Refuses what could not be laid out, before a child is spent on it.
fn check_files(call: &Call, mounts: &BTreeSet<String>) -> Result<(), SandboxError> {
    for (list, taken) in [(&call.files, Some(mounts)), (&call.assets, None)] {
        let mut names = BTreeSet::new();
        let mut total = 0;
        for InlineFile { name, bytes } in list {
            let refuse = |reason: &str| {
                Err(SandboxError::File {
                    name: name.clone(),
                    reason: reason.to_owned(),
                })
            };
            if !is_plain(name) {
                return refuse("its name must be one plain component");
            }
            if !names.insert(name) || taken.is_some_and(|t| t.contains(name)) {
                return refuse("another file has this name");
            }
            total += bytes.len();
            if total > INLINE_BYTES || names.len() > INLINE_FILES {
                return refuse("files that travel with a call are at most 1 MiB together");
            }
        }
    }
    Ok(())
}

/// The input, its file names made paths inside.
fn input(call: &Call, mounts: &BTreeSet<String>) -> Result<Map<String, Value>, SandboxError> {
    let mut input = call.input.clone();
    let inside = |name: &str| {
        if mounts.contains(name) || call.files.iter().any(|f| f.name == name) {
            Ok(Value::String(format!("/data/{name}")))
        } else {
            let name = name.chars().take(255).collect();
            Err(SandboxError::File {
                name,
                reason: "no file of this name is attached".to_owned(),
            })
        }
    };
    for property in &call.file_inputs {
        match input.get_mut(property) {
            Some(value @ Value::String(_)) => {
                *value = inside(value.as_str().unwrap_or_default())?;
            }
            Some(Value::Array(items)) => {
                for item in items {
                    if let Some(name) = item.as_str() {
                        *item = inside(name)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(input)
}

fn request<'a>(
    call: &'a Call,
    input: &'a Map<String, Value>,
    greeted: &Greeted,
    base: Duration,
    seal: bool,
) -> Request<'a> {
    let Limits {
        cpu_ms,
        memory_bytes,
        file_bytes,
        open_files,
        processes,
        ..
    } = call.limits;
    let address_space = greeted.address_space.saturating_add(memory_bytes);
    // The floor under the watchdog, in whole seconds, one to spare.
    let cpu = (base + Duration::from_millis(cpu_ms)).as_secs() + 2;
    let files = call
        .files
        .iter()
        .map(|f| ("/data", f.name.as_str(), f.bytes.len()));
    let assets = call
        .assets
        .iter()
        .map(|f| ("/assets", f.name.as_str(), f.bytes.len()));
    Request {
        code: &call.code,
        input,
        files: files.chain(assets).collect(),
        file_outputs: if call.artifacts.is_some() {
            &call.file_outputs
        } else {
            &[]
        },
        rlimits: vec![
            (9, address_space),
            (0, cpu),
            (1, file_bytes),
            (7, open_files),
            (6, processes),
        ],
        output_bytes: call.limits.output_bytes,
        artifact_bytes: call.limits.scratch_bytes,
        seal,
    }
}

/// What a ready child said of itself.
pub(super) struct Greeted {
    pub(super) layers: Vec<Layer>,
    pub(super) landlock_abi: u32,
    address_space: u64,
}

/// Hears a child out before anything is sent: it must have every required layer in force.
pub(super) fn greet(
    pool: &Pool,
    child: &Ready,
    excused: &[Layer],
    until: Instant,
    cancel: &Cancel,
) -> Result<Greeted, SandboxError> {
    let doing = "waiting for a child to get ready";
    let mut said = [0; 4 + ChildReport::BYTES + 4];
    let mut have = 0;
    let mut wanted = said.len() - 4;
    while have < wanted {
        let slice = Instant::now() + SLICE;
        if !readable(child.ends.result.as_fd(), slice.min(until)) {
            if cancel.is_cancelled() {
                return Err(SandboxError::Cancelled);
            }
            if Instant::now() >= until {
                let source = io::ErrorKind::TimedOut.into();
                return Err(SandboxError::Io { doing, source });
            }
            continue;
        }
        match rustix::io::read(&child.ends.result, &mut said[have..]) {
            Ok(0) => {
                let mut fault = [0; 2048];
                let len = rustix::io::read(&child.ends.stderr, &mut fault).unwrap_or(0);
                let text = String::from_utf8_lossy(&fault[..len]).into_owned();
                return Err(pool.jail.died(doing, format!("a child ended. {text}")));
            }
            Ok(more) => have += more,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(errno) => return Err(broken(doing)(errno)),
        }
        if have >= wanted && wanted < said.len() {
            let failed = said[4] != 0;
            if !failed {
                wanted = said.len();
            }
        }
    }
    let protocol = |detail: &str| SandboxError::Protocol {
        doing,
        detail: detail.to_owned(),
    };
    let mut report = [0; ChildReport::BYTES];
    report.copy_from_slice(&said[4..4 + ChildReport::BYTES]);
    let report = ChildReport::parse(&report).filter(|_| said.starts_with(b"HXRY"));
    let report = report.ok_or_else(|| protocol("its first word is no report"))?;
    if let Some((layer, doing, errno)) = report.failure {
        let error = io::Error::from_raw_os_error(errno);
        return Err(missing(layer, format!("failed to {doing}: {error}")));
    }
    if &said[said.len() - 4..] != b"HXGO" {
        return Err(protocol("its rehearsal failed"));
    }
    let mut layers: Vec<Layer> = pool
        .jail
        .layers
        .iter()
        .chain(&report.layers)
        .copied()
        .collect();
    layers.push(Layer::Watchdog);
    layers.sort_unstable();
    layers.dedup();
    for layer in handaxe_jail::all_layers() {
        if is_required(*layer) && !layers.contains(layer) && !excused.contains(layer) {
            return Err(missing(
                *layer,
                "a child did not find it in force".to_owned(),
            ));
        }
    }
    let address_space = report.pages * rustix::param::page_size() as u64;
    Ok(Greeted {
        layers,
        landlock_abi: report.landlock_abi,
        address_space,
    })
}

/// The process's number as this host's `/proc` and clocks know it.
fn process_id(pidfd: &OwnedFd) -> Result<u32, SandboxError> {
    use std::os::fd::AsRawFd;
    let doing = "reading a child's process number";
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = fs::read_to_string(path).map_err(|source| SandboxError::Io { doing, source })?;
    let number = text
        .lines()
        .find_map(|l| l.strip_prefix("Pid:")?.trim().parse().ok());
    number.ok_or_else(|| SandboxError::Protocol {
        doing,
        detail: "it has none".to_owned(),
    })
}

/// Why the conversation was over.
#[derive(Debug)]
enum End {
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
enum Result_ {
    Head(Vec<u8>),
    Body(Head, Vec<u8>),
    /// Everything but the files is here.
    Files(Box<Meta>, Vec<u8>, Option<Sink>),
}

struct Watch<'a> {
    call: &'a Call,
    cancel: &'a Cancel,
    nonce: [u8; NONCE],
    pid: u32,
    base: Duration,
    started: Instant,
    result: Result_,
    stdout: Stream,
    stderr: Stream,
    usage: Usage,
    end: Option<End>,
}

/// One of the tool's own streams: kept up to a cap.
struct Stream {
    bytes: Vec<u8>,
    limit: usize,
    open: bool,
    over: bool,
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
    fn new(
        call: &'a Call,
        cancel: &'a Cancel,
        nonce: [u8; NONCE],
        pid: u32,
        base: Duration,
        started: Instant,
    ) -> Self {
        let stream = || Stream::new(call.limits.stdio_bytes);
        let (stdout, stderr, result) = (stream(), stream(), Result_::Head(Vec::new()));
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
    fn converse(
        &mut self,
        child: &Ready,
        request: &[u8],
        meanwhile: impl FnOnce(),
    ) -> Result<(), SandboxError> {
        let ends = &child.ends;
        for fd in [&ends.request, &ends.result, &ends.stdout, &ends.stderr] {
            rustix::fs::fcntl_setfl(fd, OFlags::NONBLOCK).map_err(broken("preparing a pipe"))?;
        }
        // Closed once everything is written: the tool's standard input is then at its end.
        let mut inlet = Some(rustix::io::dup(&ends.request).map_err(broken("preparing a pipe"))?);
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
                    if let Some(meanwhile) = meanwhile.take() {
                        meanwhile();
                    }
                }
            }
            let now = Instant::now();
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
        if let Result_::Head(have) = &mut self.result {
            let part = bytes.len().min(HEAD - have.len());
            have.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            let Ok(head) = <&[u8; HEAD]>::try_from(&have[..]) else {
                return Ok(());
            };
            let limit = self.call.limits.output_bytes;
            let head = Head::parse(head, &self.nonce, limit).map_err(End::Frame)?;
            self.result = Result_::Body(head, Vec::with_capacity(head.meta + head.output));
        }
        if let Result_::Body(head, have) = &mut self.result {
            let part = bytes.len().min(head.meta + head.output - have.len());
            have.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if have.len() < head.meta + head.output {
                return Ok(());
            }
            let output = have.split_off(head.meta);
            let meta = Meta::parse(have).map_err(End::Frame)?;
            let sink = self.sink(&meta)?;
            self.result = Result_::Files(Box::new(meta), output, sink);
        }
        if let Result_::Files(_, _, sink) = &mut self.result
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
    fn told(&self) -> bool {
        let whole = match &self.result {
            Result_::Files(_, _, sink) => sink.as_ref().is_none_or(Sink::is_complete),
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

    /// Tells how it ended.
    fn result(
        self,
        layers: Vec<Layer>,
        runtime: Duration,
        usage: Usage,
        died: Option<Ended>,
        out_of_memory: bool,
    ) -> Result<SandboxResult, SandboxError> {
        let text = |stream: &Stream| String::from_utf8_lossy(&stream.bytes).into_owned();
        let mut result = SandboxResult {
            outcome: Outcome::Crash,
            limit: None,
            output: None,
            artifacts: Vec::new(),
            exit_code: died.and_then(exit_code),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            runtime_ms: ms(runtime),
            usage,
            layers,
            error: None,
        };
        let told = self.told();
        let over = self.stdout.over || self.stderr.over;
        let (limits, started) = (
            &self.call.limits,
            matches!(&self.result, Result_::Head(h) if h.is_empty()),
        );
        let ended = match self.end {
            Some(End::Artifact(error)) => return Err(error),
            Some(End::Closed) if told && !over => {
                finish(&mut result, self.result, limits);
                return Ok(result);
            }
            Some(End::Wall) => Verdict::limit(Outcome::Timeout, LimitHit::Wall),
            Some(End::Cpu) => Verdict::limit(Outcome::Timeout, LimitHit::Cpu),
            Some(End::Stdio) => Verdict::limit(Outcome::OutputLimit, LimitHit::Output),
            Some(End::Closed) if over => Verdict::limit(Outcome::OutputLimit, LimitHit::Output),
            Some(End::Frame(FrameError::TooLong { .. })) => {
                Verdict::limit(Outcome::OutputLimit, LimitHit::Output)
            }
            Some(End::Frame(error)) => Verdict::said(Outcome::Protocol, error.to_string()),
            Some(End::Trailing) => Verdict::said(
                Outcome::Protocol,
                "there is more after the result".to_owned(),
            ),
            Some(End::Closed | End::Cancelled) | None => {
                death(died, out_of_memory, started, usage, limits)
            }
        };
        result.outcome = ended.outcome;
        result.limit = ended.limit;
        result.error = ended.reason.map(|message| RunError {
            kind: ended.outcome.as_str().to_owned(),
            message,
            line: None,
            errno: None,
        });
        Ok(result)
    }
}

struct Verdict {
    outcome: Outcome,
    limit: Option<LimitHit>,
    reason: Option<String>,
}

impl Verdict {
    fn limit(outcome: Outcome, limit: LimitHit) -> Self {
        Self {
            outcome,
            limit: Some(limit),
            reason: None,
        }
    }

    fn said(outcome: Outcome, reason: String) -> Self {
        Self {
            outcome,
            limit: None,
            reason: Some(reason),
        }
    }
}

fn exit_code(ended: Ended) -> Option<i32> {
    (ended.status & 0x7f == 0).then_some(ended.status >> 8 & 0xff)
}

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGSYS: i32 = 31;

/// What a process that gave no result died of, from the host's own evidence.
fn death(
    died: Option<Ended>,
    out_of_memory: bool,
    silent: bool,
    usage: Usage,
    limits: &Limits,
) -> Verdict {
    let Some(ended) = died else {
        return Verdict::said(Outcome::Crash, "it ended without a result".to_owned());
    };
    let signal = ended.status & 0x7f;
    match signal {
        SIGSYS => {
            let reason = "killed by the system-call filter".to_owned();
            Verdict::said(Outcome::Policy, reason)
        }
        SIGXCPU => Verdict::limit(Outcome::Timeout, LimitHit::Cpu),
        SIGKILL if out_of_memory => Verdict::limit(Outcome::Memory, LimitHit::Memory),
        SIGKILL if usage.cpu_ms >= limits.cpu_ms as f64 => {
            Verdict::limit(Outcome::Timeout, LimitHit::Cpu)
        }
        // The host kills a child that closed its result without having given one.
        SIGKILL | 0 if !silent => {
            Verdict::said(Outcome::Protocol, "the result is cut short".to_owned())
        }
        SIGKILL => {
            let reason = "it closed its result without giving one".to_owned();
            Verdict::said(Outcome::Protocol, reason)
        }
        0 => {
            let code = ended.status >> 8 & 0xff;
            Verdict::said(
                Outcome::Crash,
                format!("it exited with code {code} without a result"),
            )
        }
        other => Verdict::said(Outcome::Crash, format!("ended by signal {other}")),
    }
}

/// Fills in what a whole result says.
fn finish(result: &mut SandboxResult, told: Result_, limits: &Limits) {
    let Result_::Files(meta, output, sink) = told else {
        return;
    };
    let meta = *meta;
    let error = RunError {
        kind: clip(meta.kind, 200),
        message: clip(meta.message, 16 << 10),
        line: meta.line,
        errno: meta.errno.map(|e| clip(e, 32)),
    };
    match meta.status {
        Status::Ok => {
            let bounds = Bounds {
                bytes: usize::try_from(limits.output_bytes).unwrap_or(usize::MAX),
                ..Bounds::DEFAULT
            };
            match json::parse(&output, bounds) {
                Ok(value) => {
                    result.outcome = Outcome::Ok;
                    result.exit_code = Some(0);
                    result.output = Some(value);
                    result.artifacts = sink.map_or_else(Vec::<Artifact>::new, Sink::keep);
                }
                Err(error) => not_json(result, &error),
            }
        }
        Status::OutputLimit => {
            result.outcome = Outcome::OutputLimit;
            result.limit = Some(LimitHit::Output);
            result.error = Some(error);
        }
        Status::ToolError => {
            let memory = error.kind == "MemoryError";
            result.outcome = if memory {
                Outcome::Memory
            } else {
                Outcome::ToolError
            };
            result.limit = memory.then_some(LimitHit::Memory);
            result.exit_code = Some(1);
            result.error = Some(error);
        }
    }
}

/// The output is a value of Python's that our JSON does not have.
fn not_json(result: &mut SandboxResult, error: &JsonError) {
    result.outcome = Outcome::ToolError;
    result.exit_code = Some(1);
    let (kind, message) = ("NotJson".to_owned(), format!("the output: {error}"));
    result.error = Some(RunError {
        kind,
        message,
        line: None,
        errno: None,
    });
}

fn clip(mut text: String, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
