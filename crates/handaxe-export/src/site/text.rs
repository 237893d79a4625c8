//! Text of tools on a page: shown, never obeyed, and highlighted where it is Python.

use std::fmt::Write as _;

use syntect::html::{ClassStyle, ClassedHTMLGenerator};
use syntect::parsing::SyntaxSet;

/// Control characters, and those that turn the direction of what follows, made visible.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
        if turns || (c.is_control() && !matches!(c, '\n' | '\t')) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// One for all pages: loading the syntaxes is what takes the time.
pub(super) struct Highlighter(SyntaxSet);

impl Highlighter {
    pub(super) fn new() -> Self {
        Self(SyntaxSet::load_defaults_newlines())
    }

    /// Python as HTML: every text escaped, classes with the prefix `s-` and no style of its own.
    pub(super) fn python(&self, code: &str) -> String {
        let code = visible(code);
        let syntax = self
            .0
            .find_syntax_by_extension("py")
            .unwrap_or_else(|| self.0.find_syntax_plain_text());
        let style = ClassStyle::SpacedPrefixed { prefix: "s-" };
        let mut html = ClassedHTMLGenerator::new_with_class_style(syntax, &self.0, style);
        for line in code.lines() {
            let line = format!("{line}\n");
            if html
                .parse_html_for_line_which_includes_newline(&line)
                .is_err()
            {
                return escaped(&code);
            }
        }
        html.finalize()
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// Milliseconds since the epoch as a date (proleptic Gregorian; Howard Hinnant, *chrono-compatible
/// low-level date algorithms*, `civil_from_days`).
pub(super) fn date(ms: i64) -> String {
    let days = ms.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let doe = days.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_code_becomes_markup() {
        let html = Highlighter::new().python(
            "x = '</script><b>' # \u{202e}turned\n\"\"\"<img src=x onerror=alert(1)>\"\"\"\n",
        );
        assert!(
            html.contains("s-string") && html.contains("s-comment"),
            "{html}"
        );
        for bad in ["<b>", "</script>", "<img", "\u{202e}", "style="] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
        assert_eq!(escaped("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_772_352_566_000, "2026-03-01"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(date(ms), text);
        }
    }
}
