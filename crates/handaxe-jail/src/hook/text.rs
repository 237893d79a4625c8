//! Small NUL-terminated strings without an allocator.

/// A path or an option string, always ending in NUL.
pub(crate) struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }

    /// Appends; what would not fit is left out, and the string then names nothing that exists.
    pub(crate) fn push(mut self, part: &[u8]) -> Self {
        for &byte in part {
            if self.len + 1 < self.bytes.len() {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
        self
    }

    pub(crate) fn number(self, mut value: u64) -> Self {
        let (mut digits, mut at) = ([0; 20], 20);
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return self.push(&digits[at..]);
            }
        }
    }

    /// With its NUL.
    pub(crate) fn c(&self) -> &[u8] {
        &self.bytes[..=self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_options() {
        let text = Text::new()
            .push(b"size=")
            .number(0)
            .push(b",nr=")
            .number(u64::MAX);
        assert_eq!(text.c(), b"size=0,nr=18446744073709551615\0");
        let full = Text::new().push(&[b'x'; 600]);
        assert_eq!((full.c().len(), full.c()[511]), (512, 0));
    }
}
