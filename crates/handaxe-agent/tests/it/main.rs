//! The agent's models and roles from outside: wire faults against local servers, and realistic
//! replies from data files.

mod replies;
mod wire;
