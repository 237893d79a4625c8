//! The launcher alone, for this crate's tests and for programs that embed the crate but cannot
//! execute themselves.

fn main() -> std::process::ExitCode {
    handaxe_jail::main_if_asked();
    std::process::ExitCode::from(2)
}
