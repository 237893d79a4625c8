//! The proof that a tool must pass, and the checked path that every call of it takes.
//!
//! The order of things: [`gate`] (may such a tool be made at all), [`vet`] and [`check_template`]
//! (read the draft, run nothing), [`Validator::trial`] (cases in the sandbox), [`judge`] (the
//! verdict). Production calls go through [`invoke`], the same function that a trial uses.
//!
//! What may not enter: nothing here starts a process or runs Python other than through the
//! `Sandbox` trait; no verdict is read from what a tool prints; no expected value is ever part of
//! a call. This crate reads no environment, no files and no clock but for measuring, and prints
//! nothing. The Python parser's crates are named in `parse` alone.

#![forbid(unsafe_code)]

mod bench;
mod capabilities;
mod card;
mod cases;
mod compare;
mod cost;
mod coverage;
mod fuzz;
mod gate;
mod golden;
mod holds;
mod invoke;
mod isolation;
mod judge;
mod mutation;
mod parse;
mod policy_file;
mod relations;
mod rules;
mod runner;
mod schema;
mod shadow;
mod template;
mod text;
mod trial;
mod vet;
mod vetter;

pub use cases::INPUT_REFUSED;
pub use compare::{Mismatch, compare};
pub use fuzz::GENERATOR;
pub use gate::{DomainRefusal, gate};
pub use golden::{GoldenError, parse_goldens};
pub use invoke::{Arguments, Contract, ContractError, InvokeError, invoke};
pub use isolation::{IsolationRefusal, isolation};
pub use judge::judge;
pub use policy_file::{PolicyError, default_policy_toml, load_policy};
pub use schema::{Schema, SchemaError, SchemaViolation};
pub use shadow::{Shadow, is_sampled, shadow};
pub use template::check_template;
pub use trial::{ValidateError, Validator};
pub use vet::{RULES, Rule};
pub use vetter::{main_if_asked, vet, vet_in, vetting_process};
