//! How results look to a person. Takes data, writes text; decides nothing.

mod card;
mod code;
mod cost;
mod live;
mod progress;
mod table;
pub(crate) mod text;
mod words;

pub(crate) use card::{
    card_width, cases_page, code_page, diff_page, evidence_page, failing_page, render_card,
    run_page, score_card,
};
pub(crate) use code::highlight;
pub(crate) use cost::{cost_line, cost_table};
pub(crate) use progress::Watcher;
pub(crate) use table::table;

use std::io::Write as _;

use console::Style;
use serde::Serialize;

use crate::cli::{Color, Global};
use crate::failure::Failure;

/// Where a command's output goes: people's text or one JSON document on stdout, progress on
/// stderr.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    color: bool,
    live: live::LiveLine,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                !global.json
                    && console::Term::stdout().is_term()
                    && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        console::set_colors_enabled(color);
        console::set_colors_enabled_stderr(color && console::Term::stderr().is_term());
        Self {
            json: global.json,
            quiet: global.quiet,
            color,
            live: live::LiveLine::default(),
        }
    }

    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Text for a person. A closed pipe ends the output, not the work.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        if !self.json {
            self.live.clear();
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// A sentence or two under a word, broken between words on a terminal and left whole elsewhere.
    pub(crate) fn paragraph(&self, style: &Style, title: &str, text: &str) {
        let term = console::Term::stdout();
        if !term.is_term() {
            return self.say(format!("{} {}", style.apply_to(title), text::Lines(text)));
        }
        let width = usize::from(term.size().1).clamp(40, 110);
        let whole = format!("{title} {}", text::Lines(text));
        let lines: Vec<String> = whole.lines().flat_map(|l| text::wrap(l, width)).collect();
        let rest = lines.join("\n");
        let rest = rest.strip_prefix(title).unwrap_or(&rest);
        self.say(format!("{}{rest}", style.apply_to(title)));
    }

    /// What a person wants to know while it runs, and a program does not.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet && !self.json {
            self.live.clear();
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// What a person must know even where progress is not wanted.
    pub(crate) fn warn(&self, text: impl std::fmt::Display) {
        if !self.json {
            self.live.clear();
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// The one JSON document.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string_pretty(value)
                .map_err(|e| Failure::failed("json", format!("could not write the result: {e}")))?;
            let _ = writeln!(std::io::stdout(), "{text}");
        }
        Ok(())
    }
}

pub(crate) fn strong() -> Style {
    Style::new().bold()
}
pub(crate) fn good() -> Style {
    Style::new().green()
}
pub(crate) fn bad() -> Style {
    Style::new().red()
}
pub(crate) fn caution() -> Style {
    Style::new().yellow()
}
pub(crate) fn faint() -> Style {
    Style::new().dim()
}

/// `2026-11-22 08:30` in UTC, from milliseconds since the epoch.
pub(crate) fn when(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |at| at.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::when(0), "1970-01-01 00:00");
        assert_eq!(super::when(1_772_352_566_000), "2026-03-01 08:09");
        assert_eq!(super::when(951_782_400_000), "2000-02-29 00:00");
    }
}
