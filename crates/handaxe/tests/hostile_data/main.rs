//! Data of others, made to break what reads it, at our doors. `scripts/hostile-data` fetches it;
//! without it the tests are listed as skipped, under a name that says so.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test's main and the helpers that it shares with the others"
)]

#[path = "../it/door.rs"]
mod door;
mod json;
#[path = "../it/lab.rs"]
mod lab;
#[path = "../it/script.rs"]
mod script;
#[path = "../it/server.rs"]
mod server;
mod strings;

use std::path::Path;
use std::process::ExitCode;

use serde::de::DeserializeOwned;

/// A file that was fetched; `None` where it was not.
fn data<T: DeserializeOwned>(name: &str) -> Option<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/hostile");
    serde_json::from_slice(&std::fs::read(path.join(name)).ok()?).ok()
}

fn main() -> ExitCode {
    let tests: &[(&str, fn())] = &[
        ("the_strict_parser_on_the_json_suite", json::parser),
        ("the_http_api_on_the_json_suite", json::door),
        ("the_command_line_on_naughty_strings", strings::command_line),
        ("the_http_doors_on_naughty_strings", strings::http),
        ("the_doors_for_agents_on_naughty_strings", strings::agents),
    ];
    // The words that test runners use: list the names, or run the ones named.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let there = data::<serde_json::Value>("json.json").is_some()
        && data::<serde_json::Value>("strings.json").is_some();
    if has("--list") {
        for (name, _) in tests {
            match (there, has("--ignored")) {
                (true, false) => println!("{name}: test"),
                (false, _) => println!("{name} (no data: run scripts/hostile-data): test"),
                (true, true) => {}
            }
        }
        return ExitCode::SUCCESS;
    }
    let named: Vec<&String> = words.iter().filter(|w| !w.starts_with('-')).collect();
    for (name, test) in tests {
        if there && (named.is_empty() || named.iter().any(|n| name == n)) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}
