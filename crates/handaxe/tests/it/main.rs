//! Tests of what people run: the built binary, and the shape of the workspace.

mod ask;
mod bad_input;
mod cli_reference;
mod conversations;
mod critical;
mod lab;
mod resume;
mod tools;
mod workspace;
