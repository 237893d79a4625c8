//! Python, coloured and numbered.

use std::fmt::Write as _;

use syntect::easy::HighlightLines;
use syntect::highlighting::ThemeSet;
use syntect::parsing::SyntaxSet;
use syntect::util::as_24_bit_terminal_escaped;

use super::text::Lines;

/// The code with line numbers; highlighted where `color`. Control characters in it are escaped
/// before anything else sees them.
pub(crate) fn highlight(code: &str, color: bool) -> String {
    let shown = Lines(code).to_string();
    let width = shown.lines().count().to_string().len();
    let mut out = String::with_capacity(shown.len() * 2);
    if !color {
        for (i, line) in shown.lines().enumerate() {
            let _ = writeln!(out, "{:>width$}  {line}", i + 1);
        }
        return out;
    }
    let syntaxes = SyntaxSet::load_defaults_newlines();
    let themes = ThemeSet::load_defaults();
    let syntax = syntaxes
        .find_syntax_by_extension("py")
        .unwrap_or_else(|| syntaxes.find_syntax_plain_text());
    let mut state = HighlightLines::new(syntax, &themes.themes["base16-ocean.dark"]);
    for (i, line) in shown.lines().enumerate() {
        let with_end = format!("{line}\n");
        let _ = write!(out, "\x1b[2m{:>width$}\x1b[0m  ", i + 1);
        match state.highlight_line(&with_end, &syntaxes) {
            Ok(ranges) => {
                out.push_str(as_24_bit_terminal_escaped(&ranges, false).trim_end_matches('\n'));
                out.push_str("\x1b[0m\n");
            }
            Err(_) => out.push_str(&with_end),
        }
    }
    out
}
