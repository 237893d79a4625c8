//! The `handaxe` command. One file per command under `commands/`; rendering and errors beside
//! them. Everything that decides anything is in the libraries.

#![forbid(unsafe_code)]

mod approver;
mod asking;
mod cli;
mod commands;
mod failure;
mod folder;
mod home;
mod inputs;
mod interpreter;
mod models;
mod render;
mod sandboxes;
mod telemetry;
mod workshop;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread, runtime or allocation of note: this program is also its own jail.
    handaxe_jail::main_if_asked();
    // And the reader of sources that nobody vouches for.
    handaxe_validate::main_if_asked();
    if let Ok(program) = std::env::current_exe() {
        handaxe_validate::vet_in(program);
    }
    ExitCode::from(commands::main() as u8)
}
