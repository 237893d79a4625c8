//! The whole surface of the command line, so that a change of it shows in review.

use std::fmt::Write as _;

use crate::lab::Lab;

/// Every command, by its path.
const COMMANDS: &[&str] = &[
    "",
    "ask",
    "chat",
    "make",
    "run",
    "tools",
    "tools list",
    "tools show",
    "tools search",
    "tools reindex",
    "tools test",
    "tools verify",
    "tools docs",
    "tools export",
    "tools import",
    "tools deprecate",
    "tools retire",
    "tools restore",
    "tools revoke",
    "approvals",
    "approvals list",
    "approvals show",
    "approvals review",
    "approvals approve",
    "approvals reject",
    "runs",
    "runs list",
    "runs show",
    "runs resume",
    "audit",
    "audit log",
    "audit verify",
    "audit checkpoint",
    "audit export",
    "doctor",
    "sandbox",
    "sandbox run",
    "sandbox probe",
    "sandbox bench",
    "keys",
    "keys list",
    "keys rotate",
    "keys export",
    "keys retire",
    "keys revoke",
    "keys approver",
    "keys approver create",
    "keys approver enrol",
    "config",
    "mcp",
    "mcp servers",
    "mcp servers list",
    "mcp servers show",
    "mcp servers accept",
    "serve",
    "serve login",
    "serve openapi",
    "config show",
    "config path",
    "eval",
];

#[test]
fn reference() {
    let lab = Lab::with_the_whole_proof();
    let mut text = String::new();
    for command in COMMANDS {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ran = lab.run(&args).exits(0);
        let _ = write!(text, "# handaxe {command}\n\n{}\n\n", ran.stdout.trim_end());
    }
    insta::assert_snapshot!(text);
    // Asking for help touches nothing.
    assert!(!lab.home().exists());
}
