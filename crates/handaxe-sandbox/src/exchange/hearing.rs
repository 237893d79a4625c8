//! What was heard of a child so far: its streams, capped, and its one result, taken apart as it
//! comes and refused at the first byte that cannot belong to one.

use std::collections::BTreeSet;

use super::artifacts::{Sink, is_plain};
use super::wire::{FrameError, HEAD, Head, Meta, NONCE, Status};
use crate::{Call, SandboxError};

/// Why the conversation was over.
#[derive(Debug)]
pub(crate) enum End {
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
pub(crate) enum Told {
    Head(Vec<u8>),
    Body(Head, Vec<u8>),
    /// Everything but the files is here.
    Files(Box<Meta>, Vec<u8>, Option<Sink>),
}

/// What one call was given, and what came back of it.
pub(crate) struct Hearing<'a> {
    pub(crate) call: &'a Call,
    nonce: [u8; NONCE],
    pub(crate) result: Told,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    pub(crate) end: Option<End>,
}

/// One of the tool's own streams: kept up to a cap.
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u8>,
    limit: usize,
    pub(crate) open: bool,
    pub(crate) over: bool,
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

    pub(crate) fn take(&mut self, part: &[u8]) {
        let room = self.limit - self.bytes.len();
        self.over |= part.len() > room;
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
    }
}

impl<'a> Hearing<'a> {
    pub(crate) fn new(call: &'a Call, nonce: [u8; NONCE]) -> Self {
        let stream = || Stream::new(call.limits.stdio_bytes);
        Self {
            call,
            nonce,
            result: Told::Head(Vec::new()),
            stdout: stream(),
            stderr: stream(),
            end: None,
        }
    }

    /// Takes a part of the result.
    pub(crate) fn frame(&mut self, bytes: &[u8]) {
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
    pub(crate) fn told(&self) -> bool {
        let whole = match &self.result {
            Told::Files(_, _, sink) => sink.as_ref().is_none_or(Sink::is_complete),
            _ => false,
        };
        whole && matches!(self.end, Some(End::Closed))
    }

    /// The output's bytes, where the whole of a good result came.
    pub(crate) fn output(self) -> Option<Vec<u8>> {
        let told = self.told();
        match self.result {
            Told::Files(meta, output, _) if told && meta.status == Status::Ok => Some(output),
            _ => None,
        }
    }
}
