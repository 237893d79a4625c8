//! Progress of long work as the protocol's notifications, for a client that gave a token.

use std::sync::Arc;

use handaxe_types::{Progress, Reporter, Silent};
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext, RoleServer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Reports that wait to be sent; more are dropped, for a client that reads slowly.
const WAITING: usize = 64;

/// Notifications under way; none where the client asked for none.
pub(super) struct Told {
    sending: Option<(mpsc::Sender<Line>, JoinHandle<()>)>,
}

/// Words, and how far of how much where it is known.
struct Line {
    text: String,
    of: Option<(u32, u32)>,
}

impl Told {
    pub(super) fn begin(context: &RequestContext<RoleServer>) -> Self {
        let Some(token) = context.meta.get_progress_token() else {
            return Self { sending: None };
        };
        let (tx, rx) = mpsc::channel(WAITING);
        let peer = context.peer.clone();
        Self {
            sending: Some((tx, tokio::spawn(send(peer, token, rx)))),
        }
    }

    pub(super) fn reporter(&self) -> Arc<dyn Reporter> {
        match &self.sending {
            Some((tx, _)) => Arc::new(Lines(tx.clone())),
            None => Arc::new(Silent),
        }
    }

    /// Sends what is left. After this no notification follows the reply.
    pub(super) async fn end(self) {
        if let Some((tx, task)) = self.sending {
            drop(tx);
            // The reporter may live on in a run that goes on by itself.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(200), task).await;
        }
    }
}

async fn send(peer: Peer<RoleServer>, token: ProgressToken, mut lines: mpsc::Receiver<Line>) {
    // The protocol wants a number that only grows; parts of parts would not.
    let mut n = 0.0;
    while let Some(line) = lines.recv().await {
        n += 1.0;
        let text = match line.of {
            Some((done, of)) => format!("{} {done}/{of}", line.text),
            None => line.text,
        };
        let note = ProgressNotificationParam::new(token.clone(), n).with_message(text);
        if peer.notify_progress(note).await.is_err() {
            return;
        }
    }
}

struct Lines(mpsc::Sender<Line>);

impl Reporter for Lines {
    fn report(&self, progress: Progress) {
        if let Some(line) = line(progress) {
            let _ = self.0.try_send(line);
        }
    }
}

fn line(progress: Progress) -> Option<Line> {
    let plain = |text: String| Some(Line { text, of: None });
    match progress {
        Progress::Step(text) | Progress::Note(text) => plain(text),
        Progress::Attempt { n, of, tool } => Some(Line {
            text: format!("writing {tool}, attempt"),
            of: Some((n, of)),
        }),
        Progress::Trial {
            stage,
            done,
            of,
            failed,
        } => Some(Line {
            text: format!("proving it, {} ({failed} failed)", stage.as_str()),
            of: Some((done, of)),
        }),
        Progress::Registered { tool, version } => plain(format!("registered {tool}@{version}")),
        Progress::Invoking(tool) => plain(format!("running {tool}")),
        _ => None,
    }
}
