//! One launched jail: the launcher's process, and the socket over which the server is told what to
//! do. When the socket's host end closes, for whatever reason, the jail ends.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use handaxe_jail::{JAIL_ARGUMENT, Launch, Launched, MESSAGE_BYTES};
use handaxe_types::Layer;
use handaxe_types::json::{self, Bounds};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};

use super::layers::missing;
use super::place::Place;
use super::{NativeConfig, pool::Class};
use crate::SandboxError;
use crate::exchange::ending::Ended;

/// How long building the jail may take.
const LAUNCH_TIME: Duration = Duration::from_secs(20);

pub(super) struct Jail {
    launcher: Mutex<Child>,
    control: OwnedFd,
    /// What the launcher confirmed.
    pub(super) layers: Vec<Layer>,
    /// Where its children have their directories, when they have no mounts.
    pub(super) place: Option<Place>,
}

/// A child that the server made: the host's ends.
#[derive(Debug)]
pub(super) struct Ends {
    /// Taken by the call, which closes it when everything is written.
    pub(super) request: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) result: OwnedFd,
    pub(super) pidfd: OwnedFd,
}

/// What the server, or the launcher, says.
#[derive(Debug)]
pub(super) enum Said {
    Child(u64, Ends),
    Ended(u64, Ended),
    /// It could not be forked.
    NotMade(u64, i32),
    LaunchFailed(String),
    /// The socket's other end is closed.
    Gone,
}

fn start(doing: &'static str) -> impl Fn(Errno) -> SandboxError {
    move |errno| SandboxError::Start {
        doing,
        source: errno.into(),
    }
}

impl Jail {
    pub(super) fn launch(
        config: &NativeConfig,
        launch: &Launch,
        place: Option<Place>,
    ) -> Result<Self, SandboxError> {
        let (control, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(start("making its control socket"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the launcher: this very program, jailing itself"
        )]
        let mut command = Command::new(&config.launcher);
        command.arg(JAIL_ARGUMENT).env_clear().current_dir("/");
        command
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let launcher = command.spawn().map_err(|source| SandboxError::Start {
            doing: "starting its launcher",
            source,
        })?;
        // The command holds the other end until it is dropped.
        drop(command);
        let mut jail = Self {
            launcher: Mutex::new(launcher),
            control,
            layers: Vec::new(),
            place,
        };
        let message = serde_json::to_vec(launch).map_err(|e| SandboxError::Start {
            doing: "describing the jail",
            source: e.into(),
        })?;
        if message.len() > MESSAGE_BYTES {
            return Err(start("describing the jail")(Errno::MSGSIZE));
        }
        match rustix::net::send(&jail.control, &message, SendFlags::NOSIGNAL) {
            // One that is gone already is heard of below.
            Ok(_) | Err(Errno::PIPE) => {}
            Err(errno) => return Err(jail.died("describing the jail", errno.to_string())),
        }
        jail.layers = jail.launched()?;
        Ok(jail)
    }

    fn launched(&self) -> Result<Vec<Layer>, SandboxError> {
        let doing = BUILDING;
        if !readable(self.control.as_fd(), Instant::now() + LAUNCH_TIME) {
            return Err(self.died(doing, "no word within 20 s".to_owned()));
        }
        let mut text = [0; 4096];
        let len = match rustix::net::recv(&self.control, &mut text[..], RecvFlags::empty()) {
            Ok((len, _)) => len,
            // It ended before it read what it was told.
            Err(Errno::CONNRESET) => 0,
            Err(errno) => return Err(self.died(doing, errno.to_string())),
        };
        if len == 0 {
            return Err(self.died(doing, "the launcher ended without a word".to_owned()));
        }
        heard(&text[..len])
    }

    /// Asks for a child. Its descriptors come in a message of their own.
    pub(super) fn ask(&self, id: u64, class: Class, groups: &[OwnedFd]) -> Result<(), Errno> {
        let mut message = vec![b'M'];
        let words = [
            id,
            class.scratch_bytes,
            class.scratch_inodes,
            u64::from(class.files),
        ];
        message.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        let fds: Vec<BorrowedFd<'_>> = groups.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let parts = [IoSlice::new(&message)];
        rustix::net::sendmsg(&self.control, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
    }

    /// To be polled for the next word from inside.
    pub(super) fn awaited(&self) -> PollFd<'_> {
        PollFd::new(&self.control, PollFlags::IN)
    }

    /// The next word from inside, if there is one.
    pub(super) fn listen(&self) -> Option<Said> {
        loop {
            let mut message = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = rustix::net::recvmsg(
                &self.control,
                &mut [IoSliceMut::new(&mut message)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
            );
            let len = match received {
                Ok(received) if received.bytes > 0 => received.bytes,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return None,
                _ => return Some(Said::Gone),
            };
            let mut fds = Vec::new();
            for item in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = item {
                    fds.extend(rights);
                }
            }
            let said = understand(&message[..len], fds);
            if said.is_some() {
                return said;
            }
            tracing::warn!("the jail's server said something unknown");
        }
    }

    /// The jail has ended, or is not of use: what its standard error says goes along.
    pub(super) fn died(&self, doing: &'static str, detail: String) -> SandboxError {
        let said = self.last_words();
        let detail = if said.is_empty() {
            detail
        } else {
            format!("{detail}: {said}")
        };
        SandboxError::JailDied { doing, detail }
    }

    fn last_words(&self) -> String {
        let Ok(mut launcher) = self.launcher.lock() else {
            return String::new();
        };
        let Some(stderr) = launcher.stderr.take() else {
            return String::new();
        };
        let mut text = vec![0; 4096];
        let fd = OwnedFd::from(stderr);
        let soon = Instant::now() + Duration::from_millis(200);
        let len = if readable(fd.as_fd(), soon) {
            File::from(fd).read(&mut text).unwrap_or(0)
        } else {
            0
        };
        String::from_utf8_lossy(&text[..len]).trim().to_owned()
    }

    /// Lets go. The launcher kills the server, and with it everything inside.
    pub(super) fn shut(&self) {
        let _ = rustix::net::shutdown(&self.control, Shutdown::Both);
        let Ok(mut launcher) = self.launcher.lock() else {
            return;
        };
        let until = Instant::now() + Duration::from_secs(5);
        let mut wait = Duration::from_micros(100);
        while matches!(launcher.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = launcher.kill();
                let _ = launcher.wait();
                return;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(10));
        }
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        self.shut();
    }
}

const BUILDING: &str = "building the jail";

/// The launcher's first word: the layers that it confirmed, or why there is no jail.
pub(super) fn heard(message: &[u8]) -> Result<Vec<Layer>, SandboxError> {
    let doing = BUILDING;
    match json::parse_as(message, Bounds::DEFAULT) {
        Ok(Launched::Started { layers }) => Ok(layers),
        Ok(Launched::Failed {
            reason,
            layer: Some(layer),
            ..
        }) => Err(missing(layer, reason)),
        Ok(Launched::Failed { reason, errno, .. }) => Err(SandboxError::Start {
            doing,
            source: std::io::Error::new(
                errno.map_or(std::io::ErrorKind::Other, |e| {
                    std::io::Error::from_raw_os_error(e).kind()
                }),
                reason,
            ),
        }),
        Err(error) => Err(SandboxError::Protocol {
            doing,
            detail: error.to_string(),
        }),
    }
}

/// The server is trusted, and still read as if it were not.
pub(super) fn understand(message: &[u8], fds: Vec<OwnedFd>) -> Option<Said> {
    let (kind, rest) = message.split_first()?;
    let word = |at: usize| Some(u64::from_le_bytes(rest.get(at..at + 8)?.try_into().ok()?));
    let number = |at: usize| Some(i32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let seconds = |at: usize| {
        let value = f64::from_bits(word(at)?);
        Duration::try_from_secs_f64(value).ok()
    };
    match kind {
        b'C' => {
            // They came as descriptions of the host's own: the child's ends still block.
            for fd in &fds[..4.min(fds.len())] {
                rustix::fs::fcntl_setfl(fd, OFlags::NONBLOCK).ok()?;
            }
            let [request, stdout, stderr, result, pidfd] = fds.try_into().ok()?;
            Some(Said::Child(
                word(0)?,
                Ends {
                    request: Some(request),
                    stdout,
                    stderr,
                    result,
                    pidfd,
                },
            ))
        }
        b'X' => {
            let cpu = seconds(12)?.saturating_add(seconds(20)?);
            Some(Said::Ended(
                word(0)?,
                Ended {
                    status: number(8)?,
                    cpu,
                    max_rss_kib: word(28)?,
                },
            ))
        }
        b'F' => Some(Said::NotMade(word(0)?, number(8)?)),
        b'{' => match json::parse_as(message, Bounds::DEFAULT) {
            Ok(Launched::Failed { reason, .. }) => Some(Said::LaunchFailed(reason)),
            _ => None,
        },
        _ => None,
    }
}

/// Waits until there is something to read, or an end.
pub(super) fn readable(fd: BorrowedFd<'_>, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(left))) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            done => return done.is_ok(),
        }
    }
}

pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().min(1 << 30) as i64,
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}
