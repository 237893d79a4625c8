//! Suites with known answers, run against the built-in author, and what they measured.
//!
//! A suite is a file of items that a generator made and an independent program answered; this
//! crate runs them and scores. A wrong answer is worse than a refusal, and the report says both.

#![forbid(unsafe_code)]

mod answer;
mod arms;
mod builtin;
mod data;
pub mod document;
mod error;
mod example;
mod gap;
mod gate;
mod pool;
mod problem;
mod report;
mod store;

pub use answer::{Expected, agrees};
pub use arms::{Arm, ArmReport, ArmScore, ArmTrial, Bench, Bounds, Ended, Made, Thinker, run_arms};
pub use builtin::unpack;
pub use data::{Question, questions, run as run_data};
pub use error::SuiteError;
pub use example::{Pair, Task, run as run_examples, tasks};
pub use gap::{GapRequest, Standing, gap_requests, run_gap};
pub use gate::{
    Check, Gate, GateItem, GateReport, GateResult, Half, Operator, Tried, Without, gate_items,
    run_gate,
};
pub use pool::Tick;
pub use problem::{Problem, ProblemSuite, Solved, problems};
pub use report::{Item, Outcome, Report, Score, wilson};
pub use store::Store;
