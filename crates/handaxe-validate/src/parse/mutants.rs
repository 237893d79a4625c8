//! The places where a source can be changed, and what by. Each [`Edit`] is one small change of the
//! text at a node's range, so that a mutant is the tool's own source with one thing different.
//!
//! The operators are the ones that the field agrees on (A. J. Offutt et al., "An experimental
//! determination of sufficient mutant operators", 1996; for Python: mutmut, cosmic-ray), less
//! those that cannot tell a strong set of cases from a weak one: documentation, annotations,
//! imports, decorators, the words of an exception (a case that says `raises` checks its kind), how
//! a file is opened.

use std::ops::Range;

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_ast::visitor::source_order::{self, SourceOrderVisitor};
use ruff_python_ast::{
    Arguments, BoolOp, CmpOp, Comprehension, Decorator, ElifElseClause, ExceptHandler, Expr,
    ExprBinOp, ExprCall, InterpolatedStringElement, Keyword, Number, Operator as BinaryOperator,
    Parameter, Stmt, UnaryOp,
};
use ruff_text_size::{Ranged, TextRange};

use super::Lines;
use super::facts::dotted;

/// More places than this are not looked for: a table of ten thousand numbers is one idea.
const MAX_EDITS: usize = 20_000;

/// What kind of mistake a mutant stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operator {
    Comparison,
    Arithmetic,
    Constant,
    Boundary,
    Logic,
    Statement,
    Arguments,
    Exception,
    Return,
    Loop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) operator: Operator,
    /// Bytes of the source.
    pub(crate) range: Range<usize>,
    pub(crate) with: String,
    /// Where it begins, from 1.
    pub(crate) line: u32,
}

pub(super) fn collect(suite: &[Stmt], tokens: &Tokens, lines: &Lines<'_>) -> Vec<Edit> {
    let mut walk = Walk {
        lines,
        tokens,
        edits: Vec::new(),
    };
    walk.suite(suite, false);
    walk.edits
}

struct Walk<'a, 'l> {
    lines: &'l Lines<'a>,
    tokens: &'l Tokens,
    edits: Vec<Edit>,
}

/// `<` becomes `<=` and its opposite; equality and membership only their opposites.
fn comparisons(op: CmpOp) -> &'static [&'static str] {
    match op {
        CmpOp::Lt => &["<=", ">="],
        CmpOp::LtE => &["<", ">"],
        CmpOp::Gt => &[">=", "<="],
        CmpOp::GtE => &[">", "<"],
        CmpOp::Eq => &["!="],
        CmpOp::NotEq => &["=="],
        CmpOp::Is => &["is not"],
        CmpOp::IsNot => &["is"],
        CmpOp::In => &["not in"],
        CmpOp::NotIn => &["in"],
    }
}

fn arithmetic(op: BinaryOperator) -> &'static str {
    match op {
        BinaryOperator::Add => "-",
        BinaryOperator::Sub => "+",
        BinaryOperator::Mult => "/",
        BinaryOperator::Div | BinaryOperator::FloorDiv | BinaryOperator::Mod => "*",
        BinaryOperator::Pow | BinaryOperator::MatMult => "*",
        BinaryOperator::LShift => ">>",
        BinaryOperator::RShift => "<<",
        BinaryOperator::BitOr => "&",
        BinaryOperator::BitAnd => "|",
        BinaryOperator::BitXor => "&",
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::StringLiteral(_) | Expr::FString(_) | Expr::BytesLiteral(_)
    )
}

/// Keywords that say how a file is read, not what is done with it.
const HOW_OPENED: &[&str] = &["encoding", "errors", "mode", "newline"];

impl Walk<'_, '_> {
    fn add(&mut self, operator: Operator, range: TextRange, with: impl Into<String>) {
        let with = with.into();
        if self.edits.len() >= MAX_EDITS || self.lines.text(range) == with {
            return;
        }
        let (line, _) = self.lines.place(range.start().to_usize());
        self.edits.push(Edit {
            operator,
            range: range.start().to_usize()..range.end().to_usize(),
            with,
            line,
        });
    }

    fn text(&self, node: &impl Ranged) -> String {
        self.lines.text(node.range()).to_owned()
    }

    /// The operator written between two operands, brackets and comments left out.
    fn between(&self, left: TextRange, right: TextRange) -> Option<TextRange> {
        let gap = TextRange::new(left.end(), right.start());
        let mut found = self.tokens.iter().filter(|t| {
            gap.contains_range(t.range())
                && !matches!(
                    t.kind(),
                    TokenKind::Lpar
                        | TokenKind::Rpar
                        | TokenKind::Comment
                        | TokenKind::NonLogicalNewline
                )
        });
        let first = found.next()?;
        Some(found.fold(first.range(), |all, t| all.cover(t.range())))
    }

    fn suite(&mut self, suite: &[Stmt], in_function: bool) {
        for (i, stmt) in suite.iter().enumerate() {
            let documents = i == 0
                && matches!(stmt, Stmt::Expr(e) if matches!(*e.value, Expr::StringLiteral(_)));
            if !documents {
                self.drop_statement(stmt, in_function && i + 1 == suite.len());
                self.visit_stmt(stmt);
            }
        }
    }

    /// A statement that is left out. Where that could only be a `NameError`, nothing is learned.
    fn drop_statement(&mut self, stmt: &Stmt, last_of_function: bool) {
        let (operator, drop) = match stmt {
            Stmt::Expr(e) => (
                Operator::Statement,
                !is_text(&e.value) && !e.value.is_ellipsis_literal_expr(),
            ),
            Stmt::AugAssign(_) | Stmt::Delete(_) => (Operator::Statement, true),
            Stmt::Assign(a) => {
                let value = self.text(&*a.value);
                let again = a.targets.iter().any(|t| match t {
                    Expr::Attribute(_) | Expr::Subscript(_) => true,
                    Expr::Name(n) => mentions(&value, n.id.as_str()),
                    _ => false,
                });
                (Operator::Statement, again)
            }
            Stmt::Raise(_) => (Operator::Exception, true),
            Stmt::Return(_) => (Operator::Return, !last_of_function),
            Stmt::Break(_) | Stmt::Continue(_) => (Operator::Loop, true),
            _ => (Operator::Statement, false),
        };
        if drop {
            self.add(operator, stmt.range(), "pass");
        }
    }

    /// `if x` → `if not (x)`, where no operator in `x` is changed by another rule already.
    fn negate(&mut self, test: &Expr) {
        let has_own = match test {
            Expr::Compare(_) | Expr::BoolOp(_) | Expr::BooleanLiteral(_) => true,
            Expr::UnaryOp(u) => u.op == UnaryOp::Not,
            _ => false,
        };
        if !has_own {
            let text = self.text(test);
            self.add(Operator::Logic, test.range(), format!("not ({text})"));
        }
    }

    fn handler(&mut self, handler: &ExceptHandler) {
        let ExceptHandler::ExceptHandler(h) = handler;
        if let (Some(first), Some(last)) = (h.body.first(), h.body.last()) {
            let body = first.range().cover(last.range());
            self.add(Operator::Exception, body, "raise");
            self.add(Operator::Exception, body, "pass");
        }
        self.suite(&h.body, false);
    }

    fn binary(&mut self, e: &ExprBinOp) {
        // Text does not subtract: such a mutant says nothing but `TypeError`. `%` may format.
        if !is_text(&e.left)
            && !is_text(&e.right)
            && let Some(at) = self.between(e.left.range(), e.right.range())
        {
            self.add(Operator::Arithmetic, at, arithmetic(e.op));
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let args = &call.arguments.args;
        if let [first, second, ..] = &**args
            && !first.is_starred_expr()
            && !second.is_starred_expr()
        {
            let (a, b) = (self.text(first), self.text(second));
            let with = {
                let gap = TextRange::new(first.end(), second.start());
                format!("{b}{}{a}", self.lines.text(gap))
            };
            let both = first.range().cover(second.range());
            if a != b && self.no_comment_in(both) {
                self.add(Operator::Arguments, both, with);
            }
        }
        if dotted(&call.func).as_deref() == Some("range")
            && let Some(end) = args.get(usize::from(args.len() > 1))
            && !end.is_number_literal_expr()
            && !end.is_starred_expr()
        {
            self.one_off(end);
        }
    }

    fn no_comment_in(&self, range: TextRange) -> bool {
        !self
            .tokens
            .iter()
            .any(|t| t.kind() == TokenKind::Comment && range.contains_range(t.range()))
    }

    fn one_off(&mut self, end: &Expr) {
        let text = self.text(end);
        for by in ["+ 1", "- 1"] {
            self.add(Operator::Boundary, end.range(), format!("({text}) {by}"));
        }
    }

    fn number(&mut self, value: &Number, range: TextRange) {
        match value {
            Number::Int(int) => {
                let Some(n) = int.as_i64() else { return };
                for m in [n.saturating_add(1), n - 1, 0] {
                    // `-1` in brackets: it may follow a dot or a power.
                    let with = if m < 0 {
                        format!("({m})")
                    } else {
                        m.to_string()
                    };
                    // 0 and 1 are their neighbours' neighbours.
                    if m != n && !(m == 0 && n == -1) && !self.has(range, &with) {
                        self.add(Operator::Constant, range, with);
                    }
                }
            }
            Number::Float(x) => {
                for y in [x + 1.0, x - 1.0, 0.0] {
                    if y != *x && y.is_finite() {
                        self.add(Operator::Constant, range, format!("({y:?})"));
                    }
                }
            }
            Number::Complex { .. } => {}
        }
    }

    fn has(&self, range: TextRange, with: &str) -> bool {
        let range = range.start().to_usize()..range.end().to_usize();
        let of_it = self.edits.iter().rev().take(3);
        of_it
            .into_iter()
            .any(|e| e.range == range && e.with == with)
    }

    fn arguments(&mut self, arguments: &Arguments) {
        for arg in &arguments.args {
            self.visit_expr(arg);
        }
        for keyword in &arguments.keywords {
            self.visit_keyword(keyword);
        }
    }
}

fn mentions(text: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word))
}

/// `if __name__ == "__main__"` and `if TYPE_CHECKING` never run here.
fn never_runs(test: &Expr) -> bool {
    match test {
        Expr::Compare(c) => dotted(&c.left).as_deref() == Some("__name__"),
        other => dotted(other).is_some_and(|p| p.ends_with("TYPE_CHECKING")),
    }
}

impl<'a> SourceOrderVisitor<'a> for Walk<'_, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(_)
            | Stmt::ImportFrom(_)
            | Stmt::TypeAlias(_)
            | Stmt::Assert(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_) => {}
            Stmt::FunctionDef(f) => {
                self.visit_parameters(&f.parameters);
                self.suite(&f.body, true);
            }
            Stmt::ClassDef(c) => {
                if let Some(arguments) = &c.arguments {
                    self.arguments(arguments);
                }
                self.suite(&c.body, false);
            }
            Stmt::If(i) if never_runs(&i.test) => {}
            Stmt::If(i) => {
                self.negate(&i.test);
                self.visit_expr(&i.test);
                self.suite(&i.body, false);
                for clause in &i.elif_else_clauses {
                    self.visit_elif_else_clause(clause);
                }
            }
            Stmt::While(w) => {
                self.negate(&w.test);
                self.visit_expr(&w.test);
                self.suite(&w.body, false);
                self.suite(&w.orelse, false);
            }
            Stmt::For(f) => {
                self.visit_expr(&f.iter);
                self.suite(&f.body, false);
                self.suite(&f.orelse, false);
            }
            Stmt::With(w) => {
                for item in &w.items {
                    self.visit_with_item(item);
                }
                self.suite(&w.body, false);
            }
            Stmt::Try(t) => {
                self.suite(&t.body, false);
                for handler in &t.handlers {
                    self.handler(handler);
                }
                self.suite(&t.orelse, false);
                self.suite(&t.finalbody, false);
            }
            Stmt::Return(r) => {
                if let Some(value) = &r.value {
                    if !value.is_none_literal_expr() {
                        self.add(Operator::Return, value.range(), "None");
                    }
                    self.visit_expr(value);
                }
            }
            Stmt::Break(_) => self.add(Operator::Loop, stmt.range(), "continue"),
            Stmt::Continue(_) => self.add(Operator::Loop, stmt.range(), "break"),
            Stmt::AnnAssign(a) => {
                if let Some(value) = &a.value {
                    self.visit_expr(value);
                }
            }
            Stmt::AugAssign(a) => {
                if let Some(at) = self.between(a.target.range(), a.value.range())
                    && !is_text(&a.value)
                {
                    self.add(Operator::Arithmetic, at, format!("{}=", arithmetic(a.op)));
                    self.add(Operator::Arithmetic, at, "=");
                }
                self.visit_expr(&a.value);
            }
            // The words of an error; its kind is what cases check.
            Stmt::Raise(_) => {}
            _ => source_order::walk_stmt(self, stmt),
        }
    }

    fn visit_body(&mut self, body: &'a [Stmt]) {
        self.suite(body, false);
    }

    fn visit_elif_else_clause(&mut self, clause: &'a ElifElseClause) {
        if let Some(test) = &clause.test {
            self.negate(test);
            self.visit_expr(test);
        }
        self.suite(&clause.body, false);
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_decorator(&mut self, _: &'a Decorator) {}

    fn visit_parameter(&mut self, _: &'a Parameter) {}

    fn visit_comprehension(&mut self, part: &'a Comprehension) {
        for test in &part.ifs {
            self.negate(test);
        }
        source_order::walk_comprehension(self, part);
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        let name = keyword
            .arg
            .as_ref()
            .map(ruff_python_ast::Identifier::as_str);
        if !name.is_some_and(|n| HOW_OPENED.contains(&n)) {
            self.visit_expr(&keyword.value);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Compare(c) => {
                let mut left = c.left.range();
                for (op, right) in c.ops.iter().zip(&c.comparators) {
                    if let Some(at) = self.between(left, right.range()) {
                        for with in comparisons(*op) {
                            self.add(Operator::Comparison, at, *with);
                        }
                    }
                    left = right.range();
                }
            }
            Expr::BoolOp(b) => {
                let with = match b.op {
                    BoolOp::And => "or",
                    BoolOp::Or => "and",
                };
                for pair in b.values.windows(2) {
                    if let Some(at) = self.between(pair[0].range(), pair[1].range()) {
                        self.add(Operator::Logic, at, with);
                    }
                }
            }
            Expr::UnaryOp(u) => {
                let operand = self.text(&*u.operand);
                match u.op {
                    UnaryOp::Not => {
                        self.add(Operator::Logic, u.range(), format!("bool({operand})"));
                    }
                    UnaryOp::USub if !u.operand.is_number_literal_expr() => {
                        self.add(Operator::Arithmetic, u.range(), format!("({operand})"));
                    }
                    _ => {}
                }
            }
            Expr::BinOp(b) => self.binary(b),
            Expr::If(i) => self.negate(&i.test),
            Expr::Call(call) => {
                self.call(call);
                self.visit_expr(&call.func);
                // The mode of a file is how it is opened.
                if dotted(&call.func).as_deref() == Some("open") {
                    if let Some(path) = call.arguments.args.first() {
                        self.visit_expr(path);
                    }
                } else {
                    self.arguments(&call.arguments);
                }
                return;
            }
            Expr::Slice(s) => {
                for end in [&s.lower, &s.upper].into_iter().flatten() {
                    self.add(Operator::Boundary, end.range(), "");
                    if !end.is_number_literal_expr() {
                        self.one_off(end);
                    }
                }
            }
            Expr::NumberLiteral(n) => self.number(&n.value, n.range()),
            Expr::BooleanLiteral(b) => {
                let with = if b.value { "False" } else { "True" };
                self.add(Operator::Constant, b.range(), with);
            }
            Expr::StringLiteral(s) => {
                let with = if s.value.is_empty() { "'x'" } else { "''" };
                self.add(Operator::Constant, s.range(), with);
                return;
            }
            Expr::BytesLiteral(b) => {
                let with = if b.value.is_empty() { "b'x'" } else { "b''" };
                self.add(Operator::Constant, b.range(), with);
                return;
            }
            _ => {}
        }
        source_order::walk_expr(self, expr);
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        match element {
            InterpolatedStringElement::Literal(l) => self.add(Operator::Constant, l.range(), ""),
            // A format's words are how it looks; what is formatted is looked at.
            InterpolatedStringElement::Interpolation(i) => self.visit_expr(&i.expression),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    /// Every mutant of a function's body, as the changed line's text.
    fn mutants(body: &str) -> Vec<String> {
        let code = format!("def f(a, b, c):\n    {body}\n");
        let edits = parse::edits(&code, 60).unwrap();
        edits
            .iter()
            .map(|e| {
                let mut text = code.clone();
                text.replace_range(e.range.clone(), &e.with);
                assert!(parse::module(&text, 60).is_ok(), "{text}");
                text.split_once('\n').unwrap().1.trim().to_owned()
            })
            .collect()
    }

    #[test]
    fn each_operator() {
        for (body, wanted) in [
            ("x = a < b", &["x = a <= b", "x = a >= b"][..]),
            ("x = (a) is not (b)", &["x = (a) is (b)"]),
            ("x = a not  in b", &["x = a in b"]),
            ("x = (a + b) * c", &["x = (a + b) / c", "x = (a - b) * c"]),
            ("x = 'a' + b", &["x = '' + b"]),
            ("x = 'a' % b", &["x = '' % b"]),
            ("x = a(5)", &["x = a(6)", "x = a(4)", "x = a(0)"]),
            ("x = a(1)", &["x = a(2)", "x = a(0)"]),
            ("x = a(0)", &["x = a(1)", "x = a((-1))"]),
            (
                "x = a(0.5)",
                &["x = a((1.5))", "x = a((-0.5))", "x = a((0.0))"],
            ),
            ("x = True", &["x = False"]),
            ("x = ''", &["x = 'x'"]),
            (
                "x = f'n{a!r:>3}m'",
                &["x = f'{a!r:>3}m'", "x = f'n{a!r:>3}'"],
            ),
            (
                "x = a[b:]",
                &["x = a[:]", "x = a[(b) + 1:]", "x = a[(b) - 1:]"],
            ),
            ("x = a and b", &["x = a or b"]),
            ("x = not a", &["x = bool(a)"]),
            ("x = a if b else c", &["x = a if not (b) else c"]),
            (
                "x = [y for y in a if y]",
                &["x = [y for y in a if not (y)]"],
            ),
            ("a.append(b)", &["pass"]),
            (
                "a += 2",
                &["pass", "a -= 2", "a = 2", "a += 3", "a += 1", "a += 0"],
            ),
            ("a = a.strip()", &["pass"]),
            ("x = a.strip()", &[]),
            ("x = a(b, c)", &["x = a(c, b)"]),
            ("raise ValueError(f'no {a}')", &["pass"]),
            ("return a", &["return None"]),
            ("return None", &[]),
            ("x: int = a", &[]),
            ("import json", &[]),
            ("assert a", &[]),
            ("'''doc 1'''", &[]),
            (
                "x = open(a, 'rb', encoding='utf-8')",
                &["x = open('rb', a, encoding='utf-8')"],
            ),
        ] {
            assert_eq!(mutants(body), wanted, "{body}");
        }
    }

    #[test]
    fn blocks() {
        let of = |body: &str| mutants(body).join(" / ");
        assert_eq!(
            of("for i in range(a):\n        if b: continue"),
            [
                "for i in range((a) + 1):\n        if b: continue",
                "for i in range((a) - 1):\n        if b: continue",
                "for i in range(a):\n        if not (b): continue",
                "for i in range(a):\n        if b: pass",
                "for i in range(a):\n        if b: break",
            ]
            .join(" / ")
        );
        assert_eq!(
            of("try:\n        a()\n    except ValueError:\n        b = ''\n        c()"),
            [
                "try:\n        pass\n    except ValueError:\n        b = ''\n        c()",
                "try:\n        a()\n    except ValueError:\n        raise",
                "try:\n        a()\n    except ValueError:\n        pass",
                "try:\n        a()\n    except ValueError:\n        b = 'x'\n        c()",
                "try:\n        a()\n    except ValueError:\n        b = ''\n        pass",
            ]
            .join(" / ")
        );
        // An early return may be left out, the last one only loses its value.
        assert_eq!(
            of("if a:\n        return b\n    return c"),
            [
                "if not (a):\n        return b\n    return c",
                "if a:\n        pass\n    return c",
                "if a:\n        return None\n    return c",
                "if a:\n        return b\n    return None",
            ]
            .join(" / ")
        );
    }

    #[test]
    fn what_says_nothing_of_behaviour_is_left_alone() {
        let code = "'''Doc 1.'''\nfrom __future__ import annotations\nimport re\nfrom typing import Literal, TYPE_CHECKING\nif TYPE_CHECKING:\n    X = 1\nclass C:\n    '''Doc 2.'''\n    x: Literal['a', 1]\n@decorated(3)\ndef run(a: list[Literal['b']]) -> Literal['c']:\n    '''Doc 4.'''\nif __name__ == '__main__':\n    run(5)\n";
        assert_eq!(parse::edits(code, 60).unwrap(), []);
        let default = parse::edits("def run(a: int = 3): ...\n", 60).unwrap();
        assert_eq!(default.len(), 3);
    }
}
