//! Tests of what people run: the built binary, and the shape of the workspace.

mod ask;
mod conversations;
mod critical;
mod lab;
mod workspace;
