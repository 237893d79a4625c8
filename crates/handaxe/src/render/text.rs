//! Text from outside, made fit for a terminal: what a name or a message holds is shown, never
//! obeyed.

use std::fmt;

/// Shows control characters, line breaks and direction overrides as escapes.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_shown(self.0, false, f)
    }
}

/// The same, but line breaks and tabs stay: for code, stderr and answers.
pub(crate) struct Lines<'a>(pub(crate) &'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_shown(self.0, true, f)
    }
}

fn write_shown(text: &str, keep_lines: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write as _;
    for c in text.chars() {
        if keep_lines && matches!(c, '\n' | '\t') {
            f.write_char(c)?;
        } else if c.is_control() || is_invisible(c) {
            for escaped in c.escape_default() {
                f.write_char(escaped)?;
            }
        } else {
            f.write_char(c)?;
        }
    }
    Ok(())
}

/// Direction marks and overrides, zero-width characters, the byte-order mark, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}')
}

/// At most `max` characters, with an ellipsis where something was cut.
pub(crate) fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// The text in lines of at most `width` characters, broken between words; a longer word stands
/// alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let long = word.chars().count();
        if used > 0 && used + 1 + long > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += long;
        }
    }
    lines
}

/// `1.5 MiB`, `640 bytes`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} bytes");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(
            wrap("a incomprehensibilities b", 8),
            ["a", "incomprehensibilities", "b"]
        );
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn nothing_is_obeyed() {
        assert_eq!(
            Shown("a\x1b[31mb\r\nc\u{202e}d").to_string(),
            "a\\u{1b}[31mb\\r\\nc\\u{202e}d"
        );
        assert_eq!(Lines("a\n\tb\x07").to_string(), "a\n\tb\\u{7}");
        assert_eq!(Shown("naïve – 日本").to_string(), "naïve – 日本");
    }
}
