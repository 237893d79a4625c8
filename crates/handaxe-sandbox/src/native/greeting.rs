//! What a child says before it may be used: that every required layer is in force, and that it has
//! rehearsed. What comes back is hostile until it is parsed here.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use handaxe_jail::ChildReport;
use handaxe_types::Layer;
use rustix::io::Errno;

use super::jail::{Ends, Jail};
use super::layers::missing;
use super::watch::broken;
use crate::SandboxError;
use crate::exchange::wire::NONCE;

const DOING: &str = "waiting for a child to get ready";
const READY: usize = 4 + ChildReport::BYTES;
pub(super) const WHOLE: usize = READY + 4;

/// As much as has been heard.
#[derive(Debug)]
pub(super) struct Greeting {
    said: [u8; WHOLE],
    have: usize,
}

impl Default for Greeting {
    fn default() -> Self {
        Self {
            said: [0; WHOLE],
            have: 0,
        }
    }
}

/// A child that is ready, as the host knows it.
#[derive(Debug)]
pub(super) struct Warm {
    pub(super) layers: Vec<Layer>,
    pub(super) landlock_abi: u32,
    /// Bytes of address space before any call.
    pub(super) address_space: u64,
    /// The process's number as this host's `/proc` and clocks know it.
    pub(super) pid: u32,
    /// Processor time that it took to get ready.
    pub(super) base: Duration,
    /// Its `/proc/<pid>/status`.
    pub(super) status: Option<File>,
    /// This call's, drawn ahead.
    pub(super) nonce: [u8; NONCE],
}

/// What was said, once it is whole: the report, or why the child is of no use.
pub(super) fn parse(said: &[u8; WHOLE]) -> Result<ChildReport, SandboxError> {
    let protocol = |detail: &str| SandboxError::Protocol {
        doing: DOING,
        detail: detail.to_owned(),
    };
    let mut report = [0; ChildReport::BYTES];
    report.copy_from_slice(&said[4..READY]);
    let report = ChildReport::parse(&report).filter(|_| said.starts_with(b"HXRY"));
    let report = report.ok_or_else(|| protocol("its first word is no report"))?;
    if let Some((layer, doing, errno)) = report.failure {
        let error = io::Error::from_raw_os_error(errno);
        return Err(missing(layer, format!("failed to {doing}: {error}")));
    }
    if &said[READY..] == b"HXGO" {
        Ok(report)
    } else {
        Err(protocol("its rehearsal failed"))
    }
}

/// The same words, where they came by another road; what is missing of them was not said.
pub(crate) fn parse_greeting(said: &[u8]) -> Result<ChildReport, SandboxError> {
    let mut whole = [0; WHOLE];
    let len = said.len().min(WHOLE);
    whole[..len].copy_from_slice(&said[..len]);
    parse(&whole)
}

impl Greeting {
    /// Reads what is there. `None` while there is more to come.
    pub(super) fn hear(
        &mut self,
        ends: &Ends,
        jail: &Jail,
        excused: &[Layer],
        late: bool,
    ) -> Result<Option<Warm>, SandboxError> {
        while self.have < WHOLE {
            match rustix::io::read(&ends.result, &mut self.said[self.have..]) {
                Ok(0) => return Err(self.ended(ends, jail)),
                Ok(more) => self.have += more,
                Err(Errno::AGAIN | Errno::INTR) if late => {
                    let source = io::ErrorKind::TimedOut.into();
                    return Err(SandboxError::Io {
                        doing: DOING,
                        source,
                    });
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
                Err(errno) => return Err(broken(DOING)(errno)),
            }
        }
        let report = parse(&self.said)?;
        warm(report, ends, &jail.layers, excused).map(Some)
    }

    /// It ended before it was ready: what it reported, or what it wrote to its standard error.
    fn ended(&self, ends: &Ends, jail: &Jail) -> SandboxError {
        if self.have >= READY
            && let Err(error @ SandboxError::MissingLayer { .. }) = parse(&self.said)
        {
            return error;
        }
        let mut fault = [0; 2048];
        let len = rustix::io::read(&ends.stderr, &mut fault).unwrap_or(0);
        let text = String::from_utf8_lossy(&fault[..len]).into_owned();
        jail.died(DOING, format!("a child ended. {text}"))
    }
}

/// It must have every required layer in force before anything is sent.
fn warm(
    report: ChildReport,
    ends: &Ends,
    outer: &[Layer],
    excused: &[Layer],
) -> Result<Warm, SandboxError> {
    let mut layers: Vec<Layer> = outer.iter().chain(&report.layers).copied().collect();
    layers.push(Layer::Watchdog);
    layers.sort_unstable();
    layers.dedup();
    // What its profile does not require is excused.
    for layer in handaxe_jail::all_layers() {
        if !layers.contains(layer) && !excused.contains(layer) {
            let reason = "a child did not find it in force".to_owned();
            return Err(missing(*layer, reason));
        }
    }
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|e| SandboxError::Io {
        doing: "drawing a nonce",
        source: io::Error::other(e.to_string()),
    })?;
    let pid = process_id(&ends.pidfd)?;
    Ok(Warm {
        layers,
        landlock_abi: report.landlock_abi,
        address_space: report
            .pages
            .saturating_mul(rustix::param::page_size() as u64),
        pid,
        base: handaxe_jail::cpu_time(pid).unwrap_or_default(),
        status: File::open(format!("/proc/{pid}/status")).ok(),
        nonce,
    })
}

fn process_id(pidfd: &OwnedFd) -> Result<u32, SandboxError> {
    if let Some(pid) = handaxe_jail::process_id(pidfd.as_fd()) {
        return Ok(pid);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_child_says_first_is_a_report_or_a_refusal() {
        let mut good = [0; WHOLE];
        good[..4].copy_from_slice(b"HXRY");
        good[READY..].copy_from_slice(b"HXGO");
        assert!(parse(&good).is_ok());
        for at in 0..WHOLE {
            for bit in 0..8 {
                let mut said = good;
                said[at] ^= 1 << bit;
                // Only the magic words and the number of a failed step can spoil a report.
                let spoils = !(5..READY).contains(&at);
                assert_eq!(parse(&said).is_err(), spoils, "byte {at}, bit {bit}");
            }
        }
    }
}
