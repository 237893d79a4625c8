//! Lines of text out of bytes: universal newlines, U+FFFD for bad UTF-8, a bound on each line.

use std::io::{BufRead, BufReader, Read};

use super::{MAX_LINE_CHARS, ReadError};

pub(super) struct Lines<R> {
    source: BufReader<R>,
    /// 1-based number of the line last given.
    pub(super) number: u64,
    pub(super) unreadable: u64,
    /// The last line ended in `\r`: a `\n` right after it belongs to it.
    after_cr: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source: BufReader::with_capacity(1 << 16, source),
            number: 0,
            unreadable: 0,
            after_cr: false,
        }
    }

    /// The next line without its end.
    pub(super) fn next(&mut self) -> Result<Option<String>, ReadError> {
        Ok(self.next_ended()?.map(|(line, _)| line))
    }

    /// The next line, and whether a line end followed it.
    pub(super) fn next_ended(&mut self) -> Result<Option<(String, bool)>, ReadError> {
        let mut bytes = Vec::new();
        let mut ended = false;
        let mut any = false;
        loop {
            let buffer = fill(&mut self.source)?;
            if buffer.is_empty() {
                break;
            }
            if self.after_cr {
                self.after_cr = false;
                if buffer[0] == b'\n' {
                    self.source.consume(1);
                    continue;
                }
            }
            any = true;
            if let Some(at) = buffer.iter().position(|b| matches!(b, b'\n' | b'\r')) {
                bytes.extend_from_slice(&buffer[..at]);
                self.after_cr = buffer[at] == b'\r';
                self.source.consume(at + 1);
                ended = true;
                break;
            }
            bytes.extend_from_slice(buffer);
            let taken = buffer.len();
            self.source.consume(taken);
            if bytes.len() > 4 * MAX_LINE_CHARS {
                return Err(ReadError::LineTooLong {
                    line: self.number + 1,
                });
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        let text = self.decode(&bytes, self.number == 1)?;
        if bytes.len() >= MAX_LINE_CHARS && text.chars().count() >= MAX_LINE_CHARS {
            return Err(ReadError::LineTooLong { line: self.number });
        }
        Ok(Some((text, ended)))
    }

    /// All that is left, if it is at most `limit` characters.
    pub(super) fn rest(&mut self, limit: usize) -> Result<Option<String>, ReadError> {
        let mut bytes = Vec::new();
        (&mut self.source)
            .take(4 * limit as u64 + 4)
            .read_to_end(&mut bytes)?;
        let text = self.decode(&bytes, true)?;
        Ok((text.chars().count() <= limit).then_some(text))
    }

    fn decode(&mut self, bytes: &[u8], first: bool) -> Result<String, ReadError> {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if first && text.starts_with('\u{feff}') {
            text.remove(0);
        }
        if bytes.contains(&0) {
            return Err(ReadError::Binary {
                line: self.number.max(1),
            });
        }
        self.unreadable += text.matches('\u{fffd}').count() as u64;
        Ok(text)
    }
}

fn fill<R: Read>(source: &mut BufReader<R>) -> Result<&[u8], ReadError> {
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(source.buffer())
}
