//! A function's signature, as far as a schema can agree with it.

use ruff_python_ast::{Expr, Number, Operator, StmtFunctionDef, UnaryOp};
use ruff_text_size::Ranged;
use serde_json::{Map, Value};

use super::Lines;
use super::facts::dotted;

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) is_async: bool,
    pub(crate) is_generator: bool,
    pub(crate) decorated: bool,
    pub(crate) positional_only: bool,
    pub(crate) variadic: bool,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) returns: Option<Annotation>,
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) annotation: Option<Annotation>,
    pub(crate) default: Option<Default>,
}

/// A parameter's default: its JSON value where it is a literal.
#[derive(Debug)]
pub(crate) struct Default {
    pub(crate) literal: Option<Value>,
}

/// An annotation in the words that JSON has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Annotation {
    Str,
    Int,
    Float,
    Bool,
    Null,
    Any,
    List(Option<Box<Annotation>>),
    Dict,
    Literal(Vec<Value>),
    Union(Vec<Annotation>),
    /// Not one of the above: as written.
    Other(String),
}

pub(super) fn function(f: &StmtFunctionDef, lines: &Lines<'_>) -> Function {
    let p = &f.parameters;
    let parameters = p
        .posonlyargs
        .iter()
        .chain(&p.args)
        .chain(&p.kwonlyargs)
        .map(|p| Parameter {
            name: p.parameter.name.to_string(),
            annotation: p.parameter.annotation.as_deref().map(annotation),
            default: p.default.as_deref().map(|d| Default {
                literal: literal(d),
            }),
        })
        .collect();
    Function {
        name: f.name.to_string(),
        line: lines.place(f.name.range().start().to_usize()).0,
        is_async: f.is_async,
        is_generator: yields(f),
        decorated: !f.decorator_list.is_empty(),
        positional_only: !p.posonlyargs.is_empty(),
        variadic: p.vararg.is_some() || p.kwarg.is_some(),
        parameters,
        returns: f.returns.as_deref().map(annotation),
    }
}

/// Whether the function's own body yields; nested functions do not count.
fn yields(f: &StmtFunctionDef) -> bool {
    use ruff_python_ast::visitor::source_order::{self, SourceOrderVisitor};
    struct Find(bool);
    impl<'a> SourceOrderVisitor<'a> for Find {
        fn visit_stmt(&mut self, stmt: &'a ruff_python_ast::Stmt) {
            if !stmt.is_function_def_stmt() && !stmt.is_class_def_stmt() {
                source_order::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            match expr {
                Expr::Yield(_) | Expr::YieldFrom(_) => self.0 = true,
                Expr::Lambda(_) => {}
                _ => source_order::walk_expr(self, expr),
            }
        }
    }
    let mut find = Find(false);
    source_order::walk_body(&mut find, &f.body);
    find.0
}

fn annotation(expr: &Expr) -> Annotation {
    match expr {
        Expr::NoneLiteral(_) => Annotation::Null,
        Expr::BinOp(b) if b.op == Operator::BitOr => {
            Annotation::Union(vec![annotation(&b.left), annotation(&b.right)])
        }
        Expr::Subscript(s) => {
            let base = last(dotted(&s.value));
            match base.as_str() {
                "Optional" => Annotation::Union(vec![annotation(&s.slice), Annotation::Null]),
                "Union" => Annotation::Union(elements(&s.slice).map(annotation).collect()),
                "Literal" => elements(&s.slice)
                    .map(literal)
                    .collect::<Option<Vec<_>>>()
                    .map_or_else(|| Annotation::Other(base), Annotation::Literal),
                "Annotated" => elements(&s.slice)
                    .next()
                    .map_or_else(|| Annotation::Other(base), annotation),
                "list" | "List" | "Sequence" | "Iterable" => {
                    Annotation::List(Some(Box::new(annotation(&s.slice))))
                }
                other => plain(other),
            }
        }
        // `"list[int]"`: a forward reference to something this small is not worth following.
        Expr::StringLiteral(s) => plain(s.value.to_str()),
        other => plain(&last(dotted(other))),
    }
}

fn plain(name: &str) -> Annotation {
    match name {
        "str" => Annotation::Str,
        "int" => Annotation::Int,
        "float" => Annotation::Float,
        "bool" => Annotation::Bool,
        "None" => Annotation::Null,
        "Any" | "object" => Annotation::Any,
        "list" | "List" | "tuple" | "Tuple" | "Sequence" | "Iterable" => Annotation::List(None),
        "dict" | "Dict" | "Mapping" | "OrderedDict" | "Counter" | "defaultdict" => Annotation::Dict,
        other => Annotation::Other(other.chars().take(60).collect()),
    }
}

fn last(path: Option<String>) -> String {
    path.map_or_else(
        || "this expression".to_owned(),
        |p| p.rsplit('.').next().unwrap_or_default().to_owned(),
    )
}

fn elements(expr: &Expr) -> impl Iterator<Item = &Expr> {
    match expr {
        Expr::Tuple(t) => t.elts.as_slice(),
        other => std::slice::from_ref(other),
    }
    .iter()
}

/// The JSON value of a literal expression.
fn literal(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::NoneLiteral(_) => Some(Value::Null),
        Expr::BooleanLiteral(b) => Some(Value::Bool(b.value)),
        Expr::StringLiteral(s) => Some(Value::String(s.value.to_str().to_owned())),
        Expr::NumberLiteral(n) => number(&n.value, false),
        Expr::UnaryOp(u) if u.op == UnaryOp::USub => match &*u.operand {
            Expr::NumberLiteral(n) => number(&n.value, true),
            _ => None,
        },
        Expr::List(l) => l
            .elts
            .iter()
            .map(literal)
            .collect::<Option<_>>()
            .map(Value::Array),
        Expr::Tuple(t) => t
            .elts
            .iter()
            .map(literal)
            .collect::<Option<_>>()
            .map(Value::Array),
        Expr::Dict(d) => {
            let mut map = Map::new();
            for item in &d.items {
                let Some(Value::String(key)) = item.key.as_ref().and_then(literal) else {
                    return None;
                };
                map.insert(key, literal(&item.value)?);
            }
            Some(Value::Object(map))
        }
        _ => None,
    }
}

fn number(n: &Number, negative: bool) -> Option<Value> {
    match n {
        Number::Int(i) => {
            let i = i.as_i64()?;
            Some(Value::from(if negative { i.checked_neg()? } else { i }))
        }
        Number::Float(f) => {
            serde_json::Number::from_f64(if negative { -f } else { *f }).map(Value::Number)
        }
        Number::Complex { .. } => None,
    }
}
