//! Text from outside, made fit to be read: what a name or a message holds is shown, never obeyed.

use std::fmt;

/// Shows control characters, line breaks and direction overrides as escapes.
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_shown(self.0, false, f)
    }
}

/// The same, but line breaks and tabs stay: for code, stderr and answers.
pub struct Lines<'a>(pub &'a str);

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
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// `1.5 MiB`, `640 bytes`.
pub fn bytes(n: u64) -> String {
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
