//! What of a module can be reached: statements by their lines, and where the way forks.
//!
//! Lines are all that a trace sees, so a branch is a jump between lines: from the header of an
//! `if`, `while` or `for` into its body, or past it; into an `except` handler; into a `case`. What
//! is written on its header's own line forks unseen, and is not counted.

use ruff_python_ast::visitor::source_order::{self, SourceOrderVisitor};
use ruff_python_ast::{ExceptHandler, Expr, MatchCase, Stmt};
use ruff_text_size::{Ranged, TextSize};

use super::Lines;

/// First and last line, from 1, both within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Span {
    pub(crate) fn holds(self, line: u32) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    /// From the header to the body's first line.
    Into { header: Span, body: u32 },
    /// From the header to anything else, the function's end included.
    Past { header: Span, body: u32 },
    /// The first line of a handler's or a case's body.
    Entered { header: u32, body: Span },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// One a statement: its lines, or those of its header.
    pub(crate) statements: Vec<Span>,
    pub(crate) branches: Vec<Branch>,
}

pub(super) fn collect(suite: &[Stmt], lines: &Lines<'_>) -> Shape {
    let mut walk = Walk {
        lines,
        shape: Shape::default(),
    };
    walk.visit_body(suite);
    walk.shape
}

struct Walk<'a, 'l> {
    lines: &'l Lines<'a>,
    shape: Shape,
}

impl Walk<'_, '_> {
    fn line(&self, at: TextSize) -> u32 {
        self.lines.place(at.to_usize()).0
    }

    fn span(&self, from: TextSize, to: TextSize) -> Span {
        // The end of a range is past it.
        let last = to.to_usize().saturating_sub(1);
        Span {
            first: self.line(from),
            last: self.lines.place(last).0,
        }
    }

    fn fork(&mut self, header: Span, body: &[Stmt]) {
        let Some(body) = body.first().map(|s| self.line(s.start())) else {
            return;
        };
        if body > header.last {
            self.shape.branches.push(Branch::Into { header, body });
            self.shape.branches.push(Branch::Past { header, body });
        }
    }

    fn entered(&mut self, header: TextSize, body: &[Stmt]) {
        let Some(first) = body.first() else { return };
        let (header, body) = (self.line(header), self.span(first.start(), first.end()));
        if body.first > header {
            self.shape.branches.push(Branch::Entered { header, body });
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Walk<'_, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let whole = self.span(stmt.start(), stmt.end());
        let header_to = |end: TextSize| self.span(stmt.start(), end);
        let header = match stmt {
            Stmt::If(s) => Some(header_to(s.test.end())),
            Stmt::While(s) => Some(header_to(s.test.end())),
            Stmt::For(s) => Some(header_to(s.iter.end())),
            Stmt::With(s) => s.items.last().map(|i| header_to(i.end())),
            Stmt::Match(s) => Some(header_to(s.subject.end())),
            // `try:` itself does nothing that a line shows in every interpreter.
            Stmt::Try(_) | Stmt::Global(_) | Stmt::Nonlocal(_) => None,
            Stmt::FunctionDef(f) => Some(self.span(f.name.start(), f.name.end())),
            Stmt::ClassDef(c) => Some(self.span(c.name.start(), c.name.end())),
            Stmt::AnnAssign(a) if a.value.is_none() => None,
            // Constants by themselves are left out when compiled.
            Stmt::Expr(e)
                if matches!(
                    *e.value,
                    Expr::StringLiteral(_)
                        | Expr::EllipsisLiteral(_)
                        | Expr::NumberLiteral(_)
                        | Expr::NoneLiteral(_)
                ) =>
            {
                None
            }
            _ => Some(whole),
        };
        if let Some(header) = header {
            self.shape.statements.push(header);
            match stmt {
                Stmt::If(s) => {
                    self.fork(header, &s.body);
                    for clause in &s.elif_else_clauses {
                        if let Some(test) = &clause.test {
                            let header = self.span(test.start(), test.end());
                            self.shape.statements.push(header);
                            self.fork(header, &clause.body);
                        }
                    }
                }
                Stmt::While(s) => self.fork(header, &s.body),
                Stmt::For(s) => self.fork(header, &s.body),
                _ => {}
            }
        }
        source_order::walk_stmt(self, stmt);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(h) = handler;
        self.entered(h.start(), &h.body);
        source_order::walk_except_handler(self, handler);
    }

    fn visit_match_case(&mut self, case: &'a MatchCase) {
        self.entered(case.start(), &case.body);
        source_order::walk_match_case(self, case);
    }

    /// Nothing inside an expression is a statement.
    fn visit_expr(&mut self, _: &'a Expr) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_forks() {
        let code = "'''Doc.'''\nimport re\ndef run(a):\n    '''Doc.'''\n    if (a and\n            a):\n        x = 1\n    elif a: x = 2\n    else:\n        x = [\n            3]\n    for i in a:\n        x += i\n    try:\n        x()\n    except ValueError:\n        pass\n    return x\n";
        let shape = crate::parse::shape(code, 60).unwrap();
        let spans: Vec<_> = shape.statements.iter().map(|s| (s.first, s.last)).collect();
        assert_eq!(
            spans,
            [
                (2, 2),
                (3, 3),
                (5, 6),
                (8, 8),
                (7, 7),
                (8, 8),
                (10, 11),
                (12, 12),
                (13, 13),
                (15, 15),
                (17, 17),
                (18, 18)
            ]
        );
        let header = Span { first: 5, last: 6 };
        assert_eq!(shape.branches[0], Branch::Into { header, body: 7 });
        assert_eq!(shape.branches[1], Branch::Past { header, body: 7 });
        // The `elif` on one line forks unseen; then the loop's two and the handler's one.
        assert_eq!(shape.branches.len(), 5);
        assert_eq!(
            shape.branches[4],
            Branch::Entered {
                header: 16,
                body: Span {
                    first: 17,
                    last: 17
                }
            }
        );
    }
}
