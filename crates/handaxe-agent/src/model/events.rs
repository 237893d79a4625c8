//! A stream of bytes as the events in it: server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), of which providers use the
//! `data` alone, or one JSON document a line. Lines are put together here, so that nothing is held
//! that is not bounded: not a line, not an event, and not their number.

/// Of one event, in bytes. Some servers send a whole reply as one.
pub(super) const MAX_EVENT: usize = 1 << 20;
/// Of one reply. A token an event is usual; replies end at some ten thousand.
pub(super) const MAX_EVENTS: usize = 100_000;

/// What OpenAI's protocol says after the last event.
const DONE: &[u8] = b"[DONE]";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `data: …` lines, ended by a blank one.
    Events,
    /// A document a line.
    Lines,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Data(Vec<u8>),
    /// The server says that there is no more.
    Done,
}

/// Which bound a stream went past.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flood {
    Event,
    Events,
}

/// Events of the pieces of a stream, wherever the pieces begin and end.
#[derive(Debug)]
pub(super) struct Events {
    framing: Framing,
    line: Vec<u8>,
    /// Of the event that is not yet ended; `None` before its first `data`.
    data: Option<Vec<u8>>,
    /// The last piece ended with a carriage return: a line feed that follows belongs to it.
    returned: bool,
    count: usize,
}

impl Events {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            line: Vec::new(),
            data: None,
            returned: false,
            count: 0,
        }
    }

    /// The events that a further piece ends.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Event>, Flood> {
        let mut found = Vec::new();
        for byte in piece {
            let after_return = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(&mut found)?,
                _ if self.held() >= MAX_EVENT => return Err(Flood::Event),
                _ => self.line.push(*byte),
            }
        }
        Ok(found)
    }

    /// What was not ended when the stream was. A last line needs no line feed; an event needs its
    /// blank line, because without it nobody knows whether more of it was to come.
    pub(super) fn end(mut self) -> Result<Vec<Event>, Flood> {
        let mut found = Vec::new();
        if self.framing == Framing::Lines {
            self.end_line(&mut found)?;
        }
        Ok(found)
    }

    fn held(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, Vec::len)
    }

    fn end_line(&mut self, found: &mut Vec<Event>) -> Result<(), Flood> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        let ended = match self.framing {
            Framing::Lines if line.trim_ascii().is_empty() => None,
            Framing::Lines => Some(line.to_vec()),
            Framing::Events if line.is_empty() => self.data.take(),
            Framing::Events => {
                // Comments, names, numbers and fields of later versions are none of ours.
                if let Some(more) = field(line, b"data") {
                    let data = self.data.get_or_insert_default();
                    if !data.is_empty() {
                        data.push(b'\n');
                    }
                    data.extend_from_slice(more);
                }
                None
            }
        };
        if let Some(data) = ended {
            self.count += 1;
            if self.count > MAX_EVENTS {
                return Err(Flood::Events);
            }
            found.push(if data.trim_ascii() == DONE {
                Event::Done
            } else {
                Event::Data(data)
            });
        }
        Ok(())
    }
}

/// The value of a field, where the line is that field.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(framing: Framing, pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::new(framing);
        let mut found = Vec::new();
        for piece in pieces {
            found.extend(events.feed(piece).unwrap());
        }
        found.extend(events.end().unwrap());
        let words = |event| match event {
            Event::Data(data) => String::from_utf8(data).unwrap(),
            Event::Done => "done".to_owned(),
        };
        found.into_iter().map(words).collect()
    }

    #[test]
    fn streams() {
        let table: [(&str, &[&str]); 12] = [
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("\u{feff}data:a\n\n", &["a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            (
                ": ping\n\nevent: x\nid: 7\nretry: z\ndata: a\n\n:\n",
                &["a"],
            ),
            ("event: x\n\ndata: a\n\n", &["a"]),
            ("data: a\n\ndata: [DONE]\n\n", &["a", "done"]),
            ("data\n\n", &[""]),
            ("database: a\n\ndata: ä€🪓\n\n", &["ä€🪓"]),
            // Cut off before its end.
            ("data: a\n\ndata: b\n", &["a"]),
            ("", &[]),
        ];
        for (stream, want) in table {
            assert_eq!(
                all(Framing::Events, &[stream.as_bytes()]),
                want,
                "{stream:?}"
            );
            // Whatever the pieces are, and in the middle of a character or a line's end.
            for size in 1..5 {
                let pieces: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
                assert_eq!(all(Framing::Events, &pieces), want, "{stream:?} by {size}");
            }
        }
        assert_eq!(
            all(Framing::Lines, &[b"{\"a\"", b":1}\r\n\n  \n{}"]),
            ["{\"a\":1}", "{}"]
        );
    }

    #[test]
    fn floods_are_not_held() {
        let line = vec![b'x'; MAX_EVENT + 1];
        for framing in [Framing::Events, Framing::Lines] {
            assert_eq!(Events::new(framing).feed(&line), Err(Flood::Event));
        }
        let many = b"data: x\n".repeat(MAX_EVENT / 2);
        assert_eq!(Events::new(Framing::Events).feed(&many), Err(Flood::Event));
        let many = b"{}\n".repeat(MAX_EVENTS + 1);
        assert_eq!(Events::new(Framing::Lines).feed(&many), Err(Flood::Events));
        let at_most = b"{}\n".repeat(MAX_EVENTS);
        assert_eq!(
            Events::new(Framing::Lines).feed(&at_most).unwrap().len(),
            MAX_EVENTS
        );
    }
}
