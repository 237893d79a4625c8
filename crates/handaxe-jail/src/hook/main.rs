//! The root of the extension module; see `mod.rs`, which is the same code inside the crate.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

mod child;
mod contained;
mod kept;
mod landlock;
mod packet;
mod plan;
mod python;
mod serve;
mod sys;
mod text;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    child::die()
}

/// `core` was built to unwind and names this; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
