//! How deep a source nests, counted on the flat token stream: no recursion here.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

use super::ParseFailure;

/// Operators of all open expressions together. `1+1+…`, `a.b.c…`, `f()()()…`, `not not …` nest in
/// the tree as deep as they are long, though no bracket says so.
const MAX_CHAIN: usize = 500;

pub(super) fn check(code: &str, max_nesting: usize) -> Result<(), ParseFailure> {
    let mut lexer = lexer::lex(code, Mode::Module);
    let mut indent = 0_usize;
    // Operators seen so far in the expression under way, per open bracket.
    let mut open = vec![0_usize];
    let mut chain = 0_usize;
    // Every token but the end consumes a byte, or is one of at most as many dedents.
    for _ in 0..code.len().saturating_mul(2).saturating_add(16) {
        let kind = lexer.next_token();
        match kind {
            TokenKind::EndOfFile => return Ok(()),
            TokenKind::Indent => indent += 1,
            TokenKind::Dedent => indent = indent.saturating_sub(1),
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                bump(&mut open, &mut chain);
                open.push(0);
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd => {
                if open.len() > 1 {
                    chain -= open.pop().unwrap_or(0);
                }
            }
            TokenKind::Newline | TokenKind::Comma | TokenKind::Semi => {
                if let Some(top) = open.last_mut() {
                    chain -= std::mem::take(top);
                }
            }
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringMiddle
            | TokenKind::TStringMiddle
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline => {}
            _ => bump(&mut open, &mut chain),
        }
        if indent + open.len() - 1 > max_nesting {
            return Err(ParseFailure::Nesting { limit: max_nesting });
        }
        if chain > MAX_CHAIN {
            return Err(ParseFailure::Chain { limit: MAX_CHAIN });
        }
    }
    Err(ParseFailure::ParserDied)
}

fn bump(open: &mut [usize], chain: &mut usize) {
    if let Some(top) = open.last_mut() {
        *top += 1;
        *chain += 1;
    }
}
