//! Starts the runtimes from one thread that lives as long as the session: the kernel ends a process
//! that is tied to its parent's life when the *thread* that started it ends.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

struct Job {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

/// Ends, with every runtime that it started, when it is dropped.
pub(super) struct Spawner(Mutex<Sender<Job>>);

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, take) = channel();
        std::thread::Builder::new()
            .name("handaxe-oci".to_owned())
            .spawn(move || work(&take))?;
        Ok(Self(Mutex::new(jobs)))
    }

    pub(super) fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = channel();
        let gone = || io::Error::other("the thread that starts runtimes ended");
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.send(Job { command, reply }).map_err(|_| gone())?;
        drop(jobs);
        answer.recv().map_err(|_| gone())?
    }
}

fn work(jobs: &Receiver<Job>) {
    for Job { mut command, reply } in jobs {
        // Who asked waits for the answer.
        let _ = reply.send(command.spawn());
    }
}
