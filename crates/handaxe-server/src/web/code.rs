//! Code in lines of classed pieces: the classes are ours, the text is escaped by the template, and
//! what cannot be seen (control and direction characters) is written out.

use std::sync::LazyLock;

use syntect::easy::ScopeRegionIterator;
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxSet};

use super::parts::lines;

/// Longer texts are shown plain.
const MOST_COLOURED: usize = 128 << 10;
/// Longer texts are cut.
const MOST_SHOWN: usize = 512 << 10;

static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(SyntaxSet::load_defaults_newlines);

/// The first scope of a piece that is listed gives its class.
static CLASSES: LazyLock<Vec<(Scope, &'static str)>> = LazyLock::new(|| {
    [
        ("comment", "c"),
        ("string", "s"),
        ("constant.numeric", "n"),
        ("constant.language", "k"),
        ("keyword", "k"),
        ("storage", "k"),
        ("entity.name", "f"),
        ("support.function", "f"),
        ("variable.language", "k"),
        ("meta.mapping.key", "f"),
    ]
    .into_iter()
    .filter_map(|(scope, class)| Some((Scope::new(scope).ok()?, class)))
    .collect()
});

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) n: usize,
    pub(crate) pieces: Vec<Piece>,
    /// Why a person should read it first.
    pub(crate) why: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    Json,
}

/// A text in its lines.
pub(crate) fn coloured(text: &str, language: Language) -> Vec<Line> {
    let text = cut(text);
    let extension = match language {
        Language::Python => "py",
        Language::Json => "json",
    };
    let syntax = SYNTAXES
        .find_syntax_by_extension(extension)
        .filter(|_| text.len() <= MOST_COLOURED);
    let mut parser = syntax.map(|s| (ParseState::new(s), ScopeStack::new()));
    (1..)
        .zip(text.split_inclusive('\n'))
        .map(|(n, line)| Line {
            n,
            pieces: parser
                .as_mut()
                .and_then(|(state, stack)| pieces(line, state, stack))
                .unwrap_or_else(|| vec![piece("", line)]),
            why: Vec::new(),
        })
        .collect()
}

fn pieces(line: &str, state: &mut ParseState, stack: &mut ScopeStack) -> Option<Vec<Piece>> {
    let ops = state.parse_line(line, &SYNTAXES).ok()?;
    let mut found: Vec<Piece> = Vec::new();
    for (text, op) in ScopeRegionIterator::new(&ops, line) {
        stack.apply(op).ok()?;
        if text.is_empty() {
            continue;
        }
        let class = class(stack);
        match found.last_mut().filter(|last| last.class == class) {
            Some(last) => last.text.push_str(&piece(class, text).text),
            None => found.push(piece(class, text)),
        }
    }
    Some(found)
}

fn class(stack: &ScopeStack) -> &'static str {
    let of = |scope: &Scope| {
        CLASSES
            .iter()
            .find(|(prefix, _)| prefix.is_prefix_of(*scope))
    };
    let innermost = stack.as_slice().iter().rev().find_map(of);
    innermost.map_or("", |(_, class)| class)
}

fn piece(class: &'static str, text: &str) -> Piece {
    let text = lines(text.trim_end_matches(['\n', '\r']));
    Piece { class, text }
}

fn cut(text: &str) -> &str {
    if text.len() <= MOST_SHOWN {
        return text;
    }
    let mut end = MOST_SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_there_and_nothing_hides() {
        let code = "def run(*, a):\n    \"\"\"doc\n    more\"\"\"\n    return a + 1  # \u{202e}x\n";
        let shown = coloured(code, Language::Python);
        let text: Vec<String> = shown
            .iter()
            .map(|l| l.pieces.iter().map(|p| p.text.as_str()).collect())
            .collect();
        assert_eq!(text[0], "def run(*, a):");
        assert_eq!(text[2], "    more\"\"\"");
        assert_eq!(text[3], "    return a + 1  # \\u{202e}x");
        let classes = |n: usize| shown[n].pieces.iter().map(|p| p.class).collect::<Vec<_>>();
        assert!(classes(0).contains(&"k") && classes(0).contains(&"f"));
        assert!(classes(2).contains(&"c") || classes(2).contains(&"s"));
        assert!(classes(3).contains(&"n"));
        assert_eq!(coloured("", Language::Json), []);
        let long = "é".repeat(MOST_SHOWN);
        assert!(coloured(&long, Language::Json)[0].pieces[0].text.len() <= MOST_SHOWN);
    }
}
