//! Builds the jail around one process. All of Handaxe's unsafe code is here; nothing here knows
//! what a tool is, and no other `handaxe` crate but the types may enter.
//!
//! Three programs meet in this crate:
//!
//! - the **launcher** ([`main_if_asked`]): the host's own executable, started again with a private
//!   first argument. It builds the jail, becomes nobody in it, starts the server and then only
//!   watches: when the host is gone, everything in the jail is.
//! - the **server** (`server.py`, after `request.py`, which other backends share): a warm CPython,
//!   trusted, first process of the jail's process-id namespace. It forks one child per call and never
//!   holds a byte of untrusted code.
//! - the **hook** (`hook/`): an extension module with the server's loop, and with which each child
//!   hardens itself.
//!
//! # What each layer stops
//!
//! | layer | where | stops |
//! |---|---|---|
//! | unprivileged uid | launcher | a jail built by root owning the host's files if all else fails |
//! | user namespace | launcher, and one a child | privileges over anything outside; a shared process count |
//! | pid namespace | launcher, and one a child | seeing, signalling or tracing others; outliving the call |
//! | mount namespace, read-only root | launcher | every host file but the interpreter's and the attached ones |
//! | net namespace | launcher | every network, loopback and abstract sockets included |
//! | ipc, uts, cgroup namespaces | launcher, and one a child | shared memory and queues; the host's name; the host's groups |
//! | private scratch | child | files of one call in another; filling the host's disk or inodes |
//! | Landlock | child | anything written outside the scratch, executed, or connected, should a mount be wrong |
//! | no capabilities, no new privileges | child | using the child's own namespaces for more kernel surface |
//! | seccomp | half of it the server, which its children inherit; the rest each child | all system calls but those in `seccomp/syscalls.json`: no socket, process, program, key, ring, namespace |
//! | rlimits | child | memory, descriptors, threads, file size and processor time without a bound |
//! | cgroup, where it can be had | host | memory by any road, scratch included; processes |
//! | closed descriptors | child | whatever the host or the server had open |
//! | empty environment | launcher | secrets and loader tricks in variables |
//! | watchdog | host | time; and it alone says how a run ended |

mod apart;
mod config;
mod hook;
mod launcher;
mod process;
pub mod seccomp;

pub use apart::APART_ARGUMENT;
#[cfg(feature = "testing")]
pub use config::Knobs;
pub use config::{
    ChildReport, DataFile, Directory, JAIL_ARGUMENT, Launch, Launched, MESSAGE_BYTES, Shape,
    all_layers,
};
pub use launcher::{ENVIRONMENT, HOOK, REQUEST, SERVER, main_if_asked, source_digest};
pub use process::{cpu_time, process_id, wake_without_preempting};
