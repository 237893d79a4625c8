//! Packets with descriptors over a socket, without an allocator.

use super::sys::{self, Errno, call, nr};

/// Bytes of the longest packet that is received.
const ROOM: usize = 64;
/// Descriptors of one packet, at most.
const MOST: usize = 6;

#[repr(C)]
struct Part {
    at: usize,
    len: usize,
}

/// The kernel's `struct msghdr`.
#[repr(C)]
struct Message {
    name: usize,
    name_len: usize,
    parts: usize,
    part_count: usize,
    control: usize,
    control_len: usize,
    flags: usize,
}

impl Message {
    fn new(part: &Part, control: usize, control_len: usize) -> Self {
        Self {
            name: 0,
            name_len: 0,
            parts: &raw const *part as usize,
            part_count: 1,
            control,
            control_len,
            flags: 0,
        }
    }
}

/// The kernel's `struct cmsghdr` with room for the descriptors of one packet.
#[repr(C)]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; MOST],
}

const HEAD: usize = 16;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

impl Rights {
    fn new(fds: &[i32]) -> Self {
        let mut rights = Self {
            len: HEAD + size_of_val(fds),
            level: SOL_SOCKET,
            kind: SCM_RIGHTS,
            fds: [0; MOST],
        };
        rights.fds[..fds.len()].copy_from_slice(fds);
        rights
    }
}

/// What came: a text, and descriptors that are the receiver's to close.
pub(super) struct Packet {
    text: [u8; ROOM],
    pub(super) len: usize,
    fds: [i32; MOST],
    count: usize,
}

impl Packet {
    pub(super) fn kind(&self) -> u8 {
        self.text[0]
    }

    /// The little-endian word that begins at a byte.
    pub(super) fn word(&self, at: usize) -> u64 {
        let bytes = self.text.get(at..at + 8).and_then(|b| b.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    }

    pub(super) fn fds(&self) -> &[i32] {
        &self.fds[..self.count]
    }

    pub(super) fn close(&self) {
        self.fds().iter().for_each(|fd| sys::close(*fd as usize));
    }
}

pub(super) fn send(to: usize, text: &[u8], fds: &[i32]) -> Result<(), Errno> {
    const NO_SIGNAL: usize = 0x4000;
    let part = Part {
        at: text.as_ptr() as usize,
        len: text.len(),
    };
    let rights = Rights::new(fds);
    let (control, len) = match fds {
        [] => (0, 0),
        _ => (&raw const rights as usize, rights.len.next_multiple_of(8)),
    };
    let message = Message::new(&part, control, len);
    call(nr::SENDMSG, &[to, &raw const message as usize, NO_SIGNAL]).map(drop)
}

/// The next packet; `None` once the other end is gone.
pub(super) fn receive(from: usize) -> Result<Option<Packet>, Errno> {
    const CLOEXEC: usize = 0x4000_0000;
    let mut text = [0_u8; ROOM];
    let part = Part {
        at: text.as_mut_ptr() as usize,
        len: text.len(),
    };
    let mut rights = Rights::new(&[]);
    let room = size_of::<Rights>();
    let mut message = Message::new(&part, &raw mut rights as usize, room);
    let len = call(nr::RECVMSG, &[from, &raw mut message as usize, CLOEXEC])?;
    let told =
        message.control_len >= HEAD && (rights.level, rights.kind) == (SOL_SOCKET, SCM_RIGHTS);
    let count = if told {
        (rights.len.saturating_sub(HEAD) / 4).min(MOST)
    } else {
        0
    };
    Ok((len > 0).then_some(Packet {
        text,
        len,
        fds: rights.fds,
        count,
    }))
}
