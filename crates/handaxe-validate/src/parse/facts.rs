//! The tree, flattened into what the rules ask about.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_ast::visitor::source_order::{self, SourceOrderVisitor};
use ruff_python_ast::{
    Alias, Decorator, Expr, ExprCall, ExprContext, Identifier, InterpolatedStringElement, Keyword,
    PatternKeyword, Stmt,
};
use ruff_text_size::{Ranged, TextRange};

use super::{Lines, Module, signature};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) what: What,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// `import module as bound`.
    Import {
        module: String,
        bound: String,
    },
    /// `from module import name as bound`; `level` counts the leading dots.
    ImportFrom {
        module: String,
        name: String,
        bound: String,
        level: u32,
    },
    /// A name read as a value.
    Load(String),
    /// The root of `name.attribute`: read, but only to reach into it.
    Root(String),
    /// A name bound, deleted, declared global, or introduced by a parameter, handler, pattern…
    Bind(String),
    /// `def name` or `class name` inside a class body.
    Member(String),
    /// `base.name`; `base` where it is a plain dotted path. `load` is false for stores and
    /// deletes.
    Attribute {
        base: Option<String>,
        name: String,
        load: bool,
    },
    /// `case Class(name=…)`: reads the attribute.
    PatternAttribute(String),
    /// The argument name in `f(name=…)`, and whether it is a class's.
    Keyword {
        name: String,
        of_class: bool,
    },
    /// A string's value; f-string parts are one each. Documentation strings are marked.
    Text {
        value: String,
        docstring: bool,
    },
    /// A constant bound to a name: `password = "…"`, `f(token="…")`.
    NamedText {
        name: String,
        value: String,
    },
    /// A decorator, where it is a plain dotted path or a call of one.
    Decorator(Option<String>),
    /// A class's metaclass, where it is a plain dotted path.
    Metaclass(Option<String>),
    Call(Called),
    /// A name written with other letters than ASCII: the interpreter folds some of them into it.
    NonAsciiName(String),
    /// A statement that acts when the module is loaded.
    TopLevel(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) callee: Option<String>,
    pub(crate) positional: usize,
    /// `*args` or `**kwargs` hide what is passed.
    pub(crate) starred: bool,
    /// The second positional argument or `mode=`.
    pub(crate) mode: FileMode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileMode {
    Absent,
    Literal(String),
    Computed,
}

pub(super) fn collect(suite: &[Stmt], tokens: &Tokens, lines: &Lines<'_>) -> Module {
    let mut walk = Walk {
        lines,
        facts: Vec::new(),
        in_class_body: false,
        callee: None,
    };
    let mut module = Module {
        docstring: docstring(suite),
        ..Module::default()
    };
    for stmt in suite {
        if let Some(effect) = effect(stmt) {
            walk.add(What::TopLevel(effect), stmt.range());
        }
        match stmt {
            Stmt::FunctionDef(f) => module.functions.push(signature::function(f, lines)),
            Stmt::ClassDef(c) if is_typed_dict(c) => module.dict_classes.push(c.name.to_string()),
            _ => {}
        }
    }
    for token in tokens {
        let written = lines.text(token.range());
        if token.kind() == TokenKind::Name && !written.is_ascii() {
            walk.add(What::NonAsciiName(written.to_owned()), token.range());
        }
    }
    source_order::walk_body(&mut walk, suite);
    mark_docstring(&mut walk, suite);
    module.facts = walk.facts;
    module
}

fn is_typed_dict(class: &ruff_python_ast::StmtClassDef) -> bool {
    class.arguments.as_ref().is_some_and(|a| {
        a.args
            .iter()
            .any(|base| dotted(base).is_some_and(|p| p.ends_with("TypedDict")))
    })
}

fn docstring(suite: &[Stmt]) -> Option<String> {
    match suite.first() {
        Some(Stmt::Expr(e)) => match &*e.value {
            Expr::StringLiteral(s) => Some(s.value.to_str().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// The module's own documentation is not inside a body that the walk enters by itself.
fn mark_docstring(walk: &mut Walk<'_, '_>, suite: &[Stmt]) {
    let Some(doc) = docstring(suite) else { return };
    for fact in &mut walk.facts {
        if let What::Text { value, docstring } = &mut fact.what
            && *value == doc
        {
            *docstring = true;
            return;
        }
    }
}

/// What a top-level statement does beyond defining.
fn effect(stmt: &Stmt) -> Option<&'static str> {
    match stmt {
        Stmt::For(_) | Stmt::While(_) => Some("a loop"),
        Stmt::With(_) => Some("a `with` block"),
        Stmt::Delete(_) => Some("a `del`"),
        Stmt::Raise(_) => Some("a `raise`"),
        Stmt::Assert(_) => Some("an `assert`"),
        Stmt::Match(_) => Some("a `match`"),
        Stmt::Expr(e) if !matches!(*e.value, Expr::StringLiteral(_) | Expr::EllipsisLiteral(_)) => {
            Some("a call")
        }
        _ => None,
    }
}

/// `a.b.c`, where it is nothing but names.
pub(super) fn dotted(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(a) => Some(format!("{}.{}", dotted(&a.value)?, a.attr)),
        _ => None,
    }
}

struct Walk<'a, 'l> {
    lines: &'l Lines<'a>,
    facts: Vec<Fact>,
    /// Directly in a class body, where definitions are members.
    in_class_body: bool,
    /// The callee of the call being entered: `open(…)` is a call, `open` alone is a value.
    callee: Option<TextRange>,
}

impl Walk<'_, '_> {
    fn add(&mut self, what: What, range: TextRange) {
        let (line, column) = self.lines.place(range.start().to_usize());
        self.facts.push(Fact { what, line, column });
    }

    fn imports(&mut self, names: &[Alias], mut fact: impl FnMut(&Alias) -> What) {
        for alias in names {
            let what = fact(alias);
            self.add(what, alias.range());
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let args = &call.arguments;
        let by_name = args
            .keywords
            .iter()
            .find(|k| k.arg.as_ref().is_some_and(|n| n.as_str() == "mode"))
            .map(|k| &k.value);
        let mode = match args.args.get(1).or(by_name) {
            None => FileMode::Absent,
            Some(Expr::StringLiteral(s)) => FileMode::Literal(s.value.to_str().to_owned()),
            Some(_) => FileMode::Computed,
        };
        let starred = args.args.iter().any(Expr::is_starred_expr)
            || args.keywords.iter().any(|k| k.arg.is_none());
        let called = Called {
            callee: dotted(&call.func),
            positional: args.args.len(),
            starred,
            mode,
        };
        self.add(What::Call(called), call.range());
        self.callee = Some(call.func.range());
    }

    fn named_text(&mut self, name: &str, value: &Expr) {
        if let Expr::StringLiteral(s) = value {
            let what = What::NamedText {
                name: name.to_owned(),
                value: s.value.to_str().to_owned(),
            };
            self.add(what, value.range());
        }
    }

    fn text(&mut self, value: &str, range: TextRange) {
        let what = What::Text {
            value: value.to_owned(),
            docstring: false,
        };
        self.add(what, range);
    }

    /// Walks a body, marking its leading string as documentation.
    fn body(&mut self, stmt: &Stmt, suite: &[Stmt], in_class_body: bool) {
        let before = std::mem::replace(&mut self.in_class_body, in_class_body);
        let first = self.facts.len();
        source_order::walk_stmt(self, stmt);
        self.in_class_body = before;
        let Some(doc) = docstring(suite) else { return };
        for fact in &mut self.facts[first..] {
            if let What::Text { value, docstring } = &mut fact.what
                && *value == doc
            {
                *docstring = true;
                return;
            }
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Walk<'_, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => self.imports(&import.names, |alias| {
                let module = alias.name.to_string();
                let bound = match &alias.asname {
                    Some(name) => name.to_string(),
                    None => module.split('.').next().unwrap_or_default().to_owned(),
                };
                What::Import { module, bound }
            }),
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", Identifier::as_str);
                self.imports(&import.names, |alias| What::ImportFrom {
                    module: module.to_owned(),
                    name: alias.name.to_string(),
                    bound: alias.asname.as_ref().unwrap_or(&alias.name).to_string(),
                    level: import.level,
                });
            }
            Stmt::FunctionDef(f) => {
                if self.in_class_body {
                    self.add(What::Member(f.name.to_string()), f.name.range());
                }
                self.body(stmt, &f.body, false);
            }
            Stmt::ClassDef(c) => {
                if self.in_class_body {
                    self.add(What::Member(c.name.to_string()), c.name.range());
                }
                if let Some(arguments) = &c.arguments {
                    for k in &*arguments.keywords {
                        match &k.arg {
                            Some(name) if name.as_str() == "metaclass" => {
                                self.add(What::Metaclass(dotted(&k.value)), k.range());
                            }
                            Some(name) => {
                                let name = name.to_string();
                                self.add(
                                    What::Keyword {
                                        name,
                                        of_class: true,
                                    },
                                    k.range(),
                                );
                            }
                            None => self.add(What::Metaclass(None), k.range()),
                        }
                    }
                }
                self.body(stmt, &c.body, true);
            }
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    if let Some(name) = dotted(target) {
                        self.named_text(&name, &assign.value);
                    }
                }
                source_order::walk_stmt(self, stmt);
            }
            Stmt::AnnAssign(assign) => {
                if let (Some(name), Some(value)) = (dotted(&assign.target), &assign.value) {
                    self.named_text(&name, value);
                }
                source_order::walk_stmt(self, stmt);
            }
            _ => source_order::walk_stmt(self, stmt),
        }
    }

    fn visit_decorator(&mut self, decorator: &'a Decorator) {
        let path = match &decorator.expression {
            Expr::Call(call) => dotted(&call.func),
            other => dotted(other),
        };
        self.add(What::Decorator(path), decorator.range());
        source_order::walk_decorator(self, decorator);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Attribute(a) => {
                let what = What::Attribute {
                    base: dotted(&a.value),
                    name: a.attr.to_string(),
                    load: a.ctx == ExprContext::Load,
                };
                self.add(what, a.attr.range());
                match &*a.value {
                    Expr::Name(name) => self.add(What::Root(name.id.to_string()), name.range()),
                    value => self.visit_expr(value),
                }
            }
            Expr::Name(name) => {
                let id = name.id.to_string();
                let what = match name.ctx {
                    // The callee is judged with its call; it is still a use of the name.
                    ExprContext::Load if self.callee.take() == Some(name.range()) => What::Root(id),
                    ExprContext::Load => What::Load(id),
                    _ => What::Bind(id),
                };
                self.add(what, name.range());
            }
            Expr::Call(call) => {
                self.call(call);
                source_order::walk_expr(self, expr);
            }
            Expr::StringLiteral(s) => self.text(s.value.to_str(), s.range()),
            Expr::BytesLiteral(b) => {
                let bytes: Vec<u8> = b.value.bytes().collect();
                self.text(&String::from_utf8_lossy(&bytes), b.range());
            }
            _ => source_order::walk_expr(self, expr),
        }
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        if let InterpolatedStringElement::Literal(literal) = element {
            self.text(&literal.value, literal.range());
        }
        source_order::walk_interpolated_string_element(self, element);
    }

    fn visit_string_literal(&mut self, literal: &'a ruff_python_ast::StringLiteral) {
        // Only reached for the plain parts of an implicitly concatenated f-string.
        self.text(&literal.value, literal.range());
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        if let Some(name) = &keyword.arg {
            self.named_text(name.as_str(), &keyword.value);
            let what = What::Keyword {
                name: name.to_string(),
                of_class: false,
            };
            self.add(what, name.range());
        }
        self.visit_expr(&keyword.value);
    }

    fn visit_pattern_keyword(&mut self, keyword: &'a PatternKeyword) {
        self.add(
            What::PatternAttribute(keyword.attr.to_string()),
            keyword.attr.range(),
        );
        self.visit_pattern(&keyword.pattern);
    }

    /// Functions, classes, parameters, `global`, `nonlocal`, handlers, captures, type parameters.
    fn visit_identifier(&mut self, identifier: &'a Identifier) {
        self.add(What::Bind(identifier.to_string()), identifier.range());
    }
}
