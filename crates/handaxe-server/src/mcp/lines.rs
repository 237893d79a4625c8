//! Standard input as messages, each read strictly before the protocol library has it. What is
//! refused is answered here and costs the messages around it nothing.

use std::pin::Pin;

use rmcp::model::{JsonRpcError, ServerJsonRpcMessage};
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::strict::{self, MAX_MESSAGE_BYTES};

/// What has been read and not been taken yet, in bytes.
pub(super) const AHEAD: usize = 256 << 10;
/// Refusals that wait to be written; a client that does not read is not read from either.
const WAITING: usize = 16;

type Sending<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// The library's transport, behind the strict reader.
pub(super) struct StrictLines<W: AsyncWrite + Send + Unpin + 'static> {
    inner: AsyncRwTransport<RoleServer, DuplexStream, W>,
    refused: mpsc::Receiver<JsonRpcError>,
    /// Kept across a `receive` that is given up half way.
    answering: Option<Sending<std::io::Error>>,
    reading: JoinHandle<()>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> StrictLines<W> {
    /// Needs a running async runtime.
    pub(super) fn new(from: impl AsyncRead + Send + Unpin + 'static, to: W) -> Self {
        let (good, taken) = duplex(AHEAD);
        let (refuse, refused) = mpsc::channel(WAITING);
        Self {
            inner: AsyncRwTransport::new(taken, to),
            refused,
            answering: None,
            reading: tokio::spawn(sort(BufReader::new(from), good, refuse)),
        }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Drop for StrictLines<W> {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Transport<RoleServer> for StrictLines<W> {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(answering) = &mut self.answering {
                let written = answering.await;
                self.answering = None;
                if written.is_err() {
                    return None;
                }
            }
            tokio::select! {
                biased;
                Some(error) = self.refused.recv() => {
                    let error = ServerJsonRpcMessage::Error(error);
                    self.answering = Some(Box::pin(self.inner.send(error)));
                }
                message = self.inner.receive() => return message,
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

/// Hands on the lines that are strict JSON, and a refusal for each of the others.
pub(super) async fn sort<R: AsyncRead + Send + Unpin>(
    mut from: BufReader<R>,
    mut good: DuplexStream,
    refuse: mpsc::Sender<JsonRpcError>,
) {
    let mut line = Vec::new();
    // Of a line that is too long the rest is skipped.
    let mut skipping = false;
    loop {
        let Ok(read) = from.fill_buf().await else {
            return;
        };
        if read.is_empty() {
            return;
        }
        let end = read.iter().position(|b| *b == b'\n');
        let taken = end.map_or(read.len(), |n| n + 1);
        let was_skipping = skipping;
        if !skipping {
            skipping = line.len() + taken > MAX_MESSAGE_BYTES + 1;
            if !skipping {
                line.extend_from_slice(&read[..taken]);
            }
        }
        from.consume(taken);
        if skipping {
            line = Vec::new();
            if !was_skipping && refuse.send(strict::too_large()).await.is_err() {
                return;
            }
            skipping = end.is_none();
            continue;
        }
        if end.is_none() {
            continue;
        }
        if !line.trim_ascii().is_empty() {
            let handed_on = match strict::refusal(&line) {
                None => good.write_all(&line).await.is_ok(),
                Some(error) => refuse.send(error).await.is_ok(),
            };
            if !handed_on {
                return;
            }
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tokio::io::AsyncReadExt as _;

    /// What comes through of these bytes, and what is answered.
    async fn through(bytes: Vec<u8>) -> (Vec<Value>, Vec<Value>) {
        let (mut client, server) = duplex(1 << 20);
        let (read, write) = tokio::io::split(server);
        let mut lines = StrictLines::new(read, write);
        let feeding = tokio::spawn(async move {
            client.write_all(&bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answers = String::new();
            client.read_to_string(&mut answers).await.unwrap();
            answers
        });
        let mut came = Vec::new();
        while let Some(message) = lines.receive().await {
            came.push(json!(message)["id"].clone());
        }
        lines.close().await.unwrap();
        drop(lines);
        let answers = feeding.await.unwrap();
        let answers = answers.lines().map(|l| serde_json::from_str(l).unwrap());
        (came, answers.collect())
    }

    fn ping(id: u32) -> String {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n")
    }

    #[tokio::test]
    async fn nothing_between_refused_lines_is_lost() {
        let mut bytes = Vec::new();
        for n in 0..200 {
            bytes.extend(ping(n).into_bytes());
            bytes.extend(match n % 4 {
                0 => b"{\"a\":1,\"a\":2}\n".to_vec(),
                1 => b"\xff\xfe\n".to_vec(),
                2 => b"\r\n\n".to_vec(),
                _ => b"[NaN]\n".to_vec(),
            });
        }
        let (came, answers) = through(bytes).await;
        assert_eq!(came, (0..200).map(|n| json!(n)).collect::<Vec<_>>());
        assert_eq!(answers.len(), 150);
        assert!(answers.iter().all(|a| a["error"]["code"] == -32700));
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused_once_and_skipped() {
        let mut bytes = ping(1).into_bytes();
        bytes.extend(vec![b'['; 3 * MAX_MESSAGE_BYTES]);
        bytes.push(b'\n');
        bytes.extend(ping(2).into_bytes());
        let (came, answers) = through(bytes).await;
        assert_eq!(came, [json!(1), json!(2)]);
        assert_eq!(answers.len(), 1, "{answers:?}");
    }
}
