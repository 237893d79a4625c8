//! The only room that names the Python parser's crates. Source goes in, plain facts come out.
//!
//! The parser and the walk over its tree are recursive, and a stack that overflows aborts the
//! whole process. So nesting is measured on the flat token stream first, and the rest happens on a
//! thread with a large stack, where the tree is dropped as well.

mod branches;
mod depth;
mod facts;
mod mutants;
mod signature;

use ruff_python_ast::token::Tokens;
use ruff_python_ast::{PythonVersion, Stmt};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::{Ranged, TextRange};

pub(crate) use branches::{Branch, Shape, Span};
pub(crate) use facts::{Called, Fact, FileMode, What};
pub(crate) use mutants::{Edit, Operator};
pub(crate) use signature::{Annotation, Function, Parameter};

/// The grammar that the rules know. Newer syntax is refused, not guessed at; an interpreter newer
/// than this runs a subset of what it could.
const SYNTAX: PythonVersion = PythonVersion::PY313;

const STACK_BYTES: usize = 64 << 20;

/// A module as the rules and the template see it.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) docstring: Option<String>,
    /// Top-level functions, in order.
    pub(crate) functions: Vec<Function>,
    /// Top-level classes whose instances are plain dictionaries (`TypedDict`).
    pub(crate) dict_classes: Vec<String>,
    pub(crate) facts: Vec<Fact>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseFailure {
    #[error("nests deeper than {limit} levels")]
    Nesting { limit: usize },
    #[error("holds one expression of more than {limit} operators")]
    Chain { limit: usize },
    #[error("does not parse: {message}")]
    Syntax {
        message: String,
        line: u32,
        column: u32,
    },
    #[error("is not a single expression: {message}")]
    Expression { message: String },
    #[error("the parser gave up on it")]
    ParserDied,
}

/// Parses a module into facts. `code` must be bounded in size by the caller.
pub(crate) fn module(code: &str, max_nesting: usize) -> Result<Module, ParseFailure> {
    read(code, max_nesting, facts::collect)
}

/// The places where a module can be changed into a mutant of it.
pub(crate) fn edits(code: &str, max_nesting: usize) -> Result<Vec<Edit>, ParseFailure> {
    read(code, max_nesting, mutants::collect)
}

/// The statements and the branches that a run of a module can reach.
pub(crate) fn shape(code: &str, max_nesting: usize) -> Result<Shape, ParseFailure> {
    read(code, max_nesting, |suite, _, lines| {
        branches::collect(suite, lines)
    })
}

/// Whether a source parses at all. It must be a small change of one that nests no deeper than it
/// may.
pub(crate) fn is_module(code: &str) -> bool {
    read(code, usize::MAX, |_, _, _| ()).is_ok()
}

fn read<T: Send>(
    code: &str,
    max_nesting: usize,
    look: impl FnOnce(&[Stmt], &Tokens, &Lines<'_>) -> T + Send,
) -> Result<T, ParseFailure> {
    depth::check(code, max_nesting)?;
    on_large_stack(|| {
        let options = ParseOptions::from(Mode::Module).with_target_version(SYNTAX);
        let parsed = parse_unchecked(code, options);
        let lines = Lines::new(code);
        let first = (parsed
            .errors()
            .iter()
            .map(|e| (e.error.to_string(), e.range())))
        .chain(
            parsed
                .unsupported_syntax_errors()
                .iter()
                .map(|e| (e.to_string(), e.range)),
        )
        .min_by_key(|(_, range)| range.start());
        if let Some((message, range)) = first {
            let (line, column) = lines.place(range.start().to_usize());
            return Err(ParseFailure::Syntax {
                message: bounded(&message),
                line,
                column,
            });
        }
        let Some(parsed) = parsed.try_into_module() else {
            return Err(ParseFailure::ParserDied);
        };
        Ok(look(parsed.suite(), parsed.tokens(), &lines))
    })
}

/// Whether `code` is exactly one expression.
pub(crate) fn expression(code: &str, max_nesting: usize) -> Result<(), ParseFailure> {
    depth::check(code, max_nesting)?;
    on_large_stack(|| {
        ruff_python_parser::parse_expression(code)
            .map(drop)
            .map_err(|e| ParseFailure::Expression {
                message: bounded(&e.error.to_string()),
            })
    })
}

fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, ParseFailure> + Send,
) -> Result<T, ParseFailure> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("vet".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|_| ParseFailure::ParserDied)?
            .join()
            .unwrap_or(Err(ParseFailure::ParserDied))
    })
}

fn bounded(message: &str) -> String {
    message
        .chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

/// Byte offsets to 1-based lines and columns (columns count characters).
pub(crate) struct Lines<'a> {
    code: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(code: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(code.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Self { code, starts }
    }

    pub(crate) fn text(&self, range: TextRange) -> &'a str {
        let range = range.start().to_usize()..range.end().to_usize();
        self.code.get(range).unwrap_or_default()
    }

    pub(crate) fn place(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|s| *s <= offset).max(1);
        let start = self.starts[line - 1];
        let column = self
            .code
            .get(start..offset)
            .map_or(0, |before| before.chars().count());
        (line as u32, column as u32 + 1)
    }
}
