//! Vets files: `cargo run --example vet FILE…`. One line a finding, and a count at the end.
#![expect(clippy::print_stdout, reason = "an example's output")]

use handaxe_types::{Capability, Severity, StaticPolicy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut files, mut refused) = (0, 0);
    for path in std::env::args().skip(1) {
        let code = std::fs::read_to_string(&path)?;
        let capabilities = [Capability::ReadFiles, Capability::WriteFiles];
        let findings = handaxe_validate::vet(&code, &StaticPolicy::default(), &capabilities);
        files += 1;
        refused += u32::from(findings.iter().any(|f| f.severity == Severity::Refuse));
        for f in findings {
            println!(
                "{path}:{}:{}: {:?} {}: {}",
                f.line, f.column, f.severity, f.rule, f.reason
            );
        }
    }
    println!("{files} files, {refused} refused");
    Ok(())
}
