//! The built-in author: a question, a data profile, and out comes a typed chain and its Python.
//!
//! No model, no network. Knows `handaxe-types` only: it can write a draft and cannot run one.

#![forbid(unsafe_code)]

mod answer;
mod by_example;
mod cases;
mod chain;
mod compose;
mod emit;
mod eval;
mod join;
mod needs;
mod patterns;
mod profile;
mod question;
mod read;
mod words;

pub use by_example::{
    ByExample, EmittedExample, Example, Stop, compose_by_example, example_file, parse_example, same,
};
pub use chain::{
    Axis, Bucket, Chain, Change, Comparison, Extractable, Filter, Format, Func, How, Join, Measure,
    Op, Order, PERCENTILES, Scalar, Shape, Sort, Terminal, Tidy, Window,
};
pub use compose::{ComposeError, Composed, compose, domain};
pub use emit::{EmitError, Emitted, emit, invocation};
pub use eval::{EvalError, PatternError, evaluate, evaluate_with, written};
pub use needs::needs;
pub use profile::{DataError, Field, Kind, Profile, SAMPLE, profile, profile_path};
pub use question::{ABILITIES, Refusal};
pub use read::{Datum, ReadError, Record, Records, Tally};
pub use words::PROOF;
