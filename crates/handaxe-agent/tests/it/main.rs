//! The agent's models and roles from outside: wire faults against local servers, and realistic
//! replies from data files.

#[cfg(test)]
mod prompts;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod wrappers;
