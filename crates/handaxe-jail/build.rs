//! Compiles `src/hook` a second time, as the extension module that the jail's Python loads, and
//! leaves it in `OUT_DIR/hook.so` for `include_bytes!`.
//!
//! The module is `no_std`, calls the kernel directly and links nothing, so that one file serves
//! every CPython from 3.9 on, with any C library.

use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=src/hook");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");

    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("hook.so");
    #[expect(clippy::disallowed_methods, reason = "the compiler, at build time")]
    let mut rustc = Command::new(std::env::var("RUSTC")?);
    rustc
        .args(["--crate-name", "handaxe_hook", "--crate-type", "cdylib"])
        .args(["--edition", "2024", "--target", &std::env::var("TARGET")?])
        .args([
            "-C",
            "panic=abort",
            "-C",
            "opt-level=2",
            "-C",
            "strip=symbols",
        ])
        .args([
            "-C",
            "link-arg=-nostdlib",
            "-C",
            "target-feature=-crt-static",
        ])
        .arg("-o")
        .arg(&out)
        .arg("src/hook/main.rs");
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    if std::env::var_os("CARGO_FEATURE_TESTING").is_some() {
        rustc.args(["--cfg", "feature=\"testing\""]);
    }
    let status = rustc.status()?;
    if !status.success() {
        return Err(format!("compiling the hook ended with {status}").into());
    }
    Ok(())
}
