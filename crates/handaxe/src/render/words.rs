//! A model's reply while it arrives: its last lines, as they fit under the live line.

use std::time::{Duration, Instant};

use super::text::Lines;

/// Lines that are shown.
const LINES: usize = 6;
/// Of the reply, kept for showing, in bytes.
const KEPT: usize = 16 << 10;
/// Pieces come faster than anyone reads.
const PAUSE: Duration = Duration::from_millis(60);

/// What was heard of the reply that is under way.
#[derive(Debug, Default)]
pub(super) struct Words {
    text: String,
    /// Bytes heard in all.
    bytes: usize,
    shown: Option<Instant>,
}

impl Words {
    /// Takes a further piece; gives whether it is time to show what there is.
    pub(super) fn hear(&mut self, piece: &str) -> bool {
        self.bytes += piece.len();
        self.text.push_str(piece);
        if self.text.len() > KEPT {
            let from = self.text.ceil_char_boundary(self.text.len() - KEPT / 2);
            self.text.drain(..from);
        }
        let now = Instant::now();
        let due = self.shown.is_none_or(|then| now - then >= PAUSE);
        if due {
            self.shown = Some(now);
        }
        due
    }

    /// About how many tokens that is (four bytes each); providers count only at the end.
    pub(super) fn tokens(&self) -> usize {
        self.bytes.div_ceil(4)
    }

    /// The last lines, none wider than `width` columns.
    pub(super) fn tail(&self, width: usize) -> Vec<String> {
        let answer = answer(&self.text);
        let text = answer.as_deref().unwrap_or(&self.text);
        // More than fits is not worth folding: pieces wait while this is drawn.
        let most = LINES * width * 4;
        let from = text.ceil_char_boundary(text.len().saturating_sub(most));
        let text = Lines(&text[from..]).to_string();
        let lines: Vec<String> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .flat_map(|line| folded(line, width))
            .collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }
}

/// A line in parts of at most `width` columns.
fn folded(line: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    for c in line.replace('\t', "    ").chars() {
        let wide = match c {
            ' '..='~' => 1,
            _ => console::measure_text_width(c.encode_utf8(&mut [0; 4])),
        };
        if used + wide > width {
            parts.push(String::new());
            used = 0;
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        used += wide;
    }
    parts
}

/// Of a planner's reply, the words that are meant for the person, as far as they have come.
fn answer(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '`']) {
        return None;
    }
    let (_, rest) = text.rsplit_once("\"answer\"")?;
    let written = rest.trim_start().strip_prefix(':')?.trim_start();
    let written = written.strip_prefix('"')?;
    let mut end = written.len();
    let mut escaped = false;
    for (at, c) in written.char_indices() {
        if c == '"' && !escaped {
            end = at;
            break;
        }
        escaped = c == '\\' && !escaped;
    }
    // Cut inside an escape, the last characters have to wait for the rest of it.
    (0..=12.min(end)).find_map(|less| {
        let part = written.get(..end - less)?;
        serde_json::from_str(&format!("\"{part}\"")).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Words {
        let mut words = Words::default();
        words.hear(text);
        words
    }

    #[test]
    fn the_last_lines_that_fit() {
        let words = heard("one\n\ntwo three\n\x1b[2J\u{202e}4\n日本語\nfive\nsix\nseven");
        assert_eq!(
            words.tail(9),
            ["\\u{1b}[2J", "\\u{202e}4", "日本語", "five", "six", "seven"]
        );
        assert_eq!(words.tail(4), ["日本", "語", "five", "six", "seve", "n"]);
        assert_eq!(heard("日本語").tail(5), ["日本", "語"]);
        assert_eq!(heard("").tail(5), Vec::<String>::new());
        assert_eq!(heard("abcde").tokens(), 2);
    }

    #[test]
    fn a_long_reply_is_not_kept_whole() {
        let mut words = Words::default();
        for _ in 0..100_000 {
            words.hear("é €\n");
        }
        assert!(words.text.len() <= KEPT);
        assert_eq!(words.tokens(), 100_000 * 7 / 4);
    }

    #[test]
    fn an_answer_is_read_while_it_is_written() {
        for (reply, want) in [
            (r#"{"steps": [], "route": "direct", "ans"#, None),
            (r#"{"answer": "Par"#, Some("Par")),
            (r#"{"answer":"a\"b\nc \u00"#, Some("a\"b\nc ")),
            (r#"{"answer":"a \ud83e\ude"#, Some("a ")),
            (r#"{"answer":"done", "x": "y"}"#, Some("done")),
            (r#"the "answer": "x""#, None),
            (r#"{"answer": 7"#, None),
        ] {
            assert_eq!(answer(reply).as_deref(), want, "{reply}");
        }
    }
}
