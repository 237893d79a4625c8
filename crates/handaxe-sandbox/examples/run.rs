//! One call in the jail: `cargo run --example run`. The program is its own launcher.

#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]

use handaxe_sandbox::{Call, Cancel, NativeConfig, NativeSandbox, Sandbox, SessionSpec};

const CODE: &str = r#"
import re
from collections import Counter


def run(text: str) -> dict:
    return dict(Counter(re.findall(r"[a-z]+", text.lower())))
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First of all: the jail is this program, started again.
    handaxe_jail::main_if_asked();

    let sandbox = NativeSandbox::new(NativeConfig::new(std::env::current_exe()?))?;
    let session = sandbox.open(SessionSpec::default())?;
    let text = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "to be or not to be".to_owned());
    let input = [("text".to_owned(), text.into())].into_iter().collect();
    let call = Call::new(CODE, input);
    let result = session.call(&call, &Cancel::default())?;
    println!("{}", serde_json::to_string_pretty(&result)?);
    println!("{:?}", session.stats());
    Ok(())
}
