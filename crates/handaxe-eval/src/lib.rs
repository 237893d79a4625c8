//! Suites with known answers, run against the built-in author, and what they measured.
//!
//! A suite is a file of items that a generator made and an independent program answered; this
//! crate runs them and scores. A wrong answer is worse than a refusal, and the report says both.

#![forbid(unsafe_code)]

mod answer;
mod builtin;
mod data;
mod error;
mod example;
mod report;

pub use answer::{Expected, agrees};
pub use builtin::unpack;
pub use data::{Question, questions, run as run_data};
pub use error::SuiteError;
pub use example::{Pair, Task, run as run_examples, tasks};
pub use report::{Item, Outcome, Report, Score, wilson};
