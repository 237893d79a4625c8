//! The built-in author: a question, a data profile, and out comes a typed chain and its Python.
//!
//! No model, no network. Knows `handaxe-types` only: it can write a draft and cannot run one.

#![forbid(unsafe_code)]

mod chain;

pub use chain::{
    Bucket, Chain, Extractable, Filter, Format, Func, Measure, Op, Order, Scalar, Terminal,
};
