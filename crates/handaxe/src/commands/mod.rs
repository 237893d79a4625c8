//! One file per command.

mod approvals;
mod ask;
mod audit;
mod bench;
mod chat;
mod config;
mod doctor;
mod eval;
mod export;
mod junit;
mod keys;
mod probe;
mod run;
mod runs;
mod sandbox;
mod serve;
mod servers;
mod test;
mod tools;
mod verify;

use std::io::Write as _;

use clap::Parser as _;
use handaxe_agent::Goal;
use serde_json::json;

use crate::cli::{Cli, Command};
use crate::failure::{Exit, Failure};
use crate::render::text::Lines;
use crate::render::{bad, caution};
use crate::telemetry::Telemetry;
use crate::workshop::{Workshop, sandbox_failure};

pub(crate) fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            if !error.use_stderr() {
                return Exit::Done;
            }
            // No options were read, and a program still gets its document.
            if std::env::args_os().any(|a| a == "--json") {
                let message = error.kind().to_string();
                let document = json!({"error": {
                    "kind": "usage", "message": message, "hint": "handaxe help",
                }});
                let _ = writeln!(std::io::stdout(), "{document:#}");
            }
            return Exit::Usage;
        }
    };
    let telemetry = Telemetry::start(&cli.global);
    let shop = Workshop::new(cli.global);
    let _telemetry = match telemetry {
        Ok(telemetry) => telemetry,
        Err(failure) => {
            tell(&shop, &failure);
            return failure.exit;
        }
    };
    let outcome = match cli.command {
        Command::Ask(args) => ask::run(&shop, args, Goal::Answer),
        Command::Chat(args) => chat::run(&shop, &args),
        Command::Make(args) => ask::run(&shop, args, Goal::Make),
        Command::Run(args) => run::run(&shop, args),
        Command::Tools(command) => tools::run(&shop, command),
        Command::Approvals(command) => approvals::run(&shop, command),
        Command::Runs(command) => runs::run(&shop, command),
        Command::Audit(command) => audit::run(&shop, command),
        Command::Doctor => doctor::run(&shop),
        Command::Sandbox(command) => sandbox::run(&shop, command),
        Command::Keys(command) => keys::run(&shop, command),
        Command::Config(command) => config::run(&shop, command),
        Command::Eval(args) => eval::run(&shop, &args),
        Command::Mcp(args) => serve::mcp(&shop, args),
        Command::Serve(args) => serve::http(&shop, args),
    };
    outcome.unwrap_or_else(|failure| {
        tell(&shop, &failure);
        failure.exit
    })
}

/// What went wrong and what to do next: as the one document for programs, as words on stderr.
fn tell(shop: &Workshop, failure: &Failure) {
    let document = json!({"error": {
        "kind": failure.kind, "message": failure.message, "hint": failure.hint,
    }});
    let _ = shop.out.document(&document);
    let mut err = std::io::stderr();
    let _ = writeln!(
        err,
        "{} {}",
        bad().for_stderr().bold().apply_to("error:"),
        Lines(&failure.message)
    );
    if let Some(hint) = &failure.hint {
        let _ = writeln!(
            err,
            "{} {}",
            caution().for_stderr().apply_to("hint:"),
            Lines(hint)
        );
    }
}

pub(crate) fn validate_failure(error: &handaxe_validate::ValidateError) -> Failure {
    use handaxe_validate::ValidateError;
    match error {
        ValidateError::Sandbox(e) => sandbox_failure(e),
        ValidateError::Cancelled => crate::workshop::cancelled(),
        ValidateError::Isolation(refusal) => crate::workshop::isolation_failure(refusal),
        ValidateError::TooManyCases { .. } | ValidateError::Generated { .. } => {
            Failure::new(Exit::Refused, "trial", crate::failure::chain(error))
        }
    }
}
