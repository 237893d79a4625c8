//! Other programs' servers, with us as the client: started or reached for one question, bounded in
//! time and in what they may say, and gone afterwards with everything that they started.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handaxe_agent::{ExternalError, ExternalReply, Externals};
use handaxe_sandbox::Cancel;
use handaxe_types::{Digest, ExternalListing, ExternalTool};
use rmcp::ServiceExt as _;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, ContentBlock,
    JsonRpcError, PaginatedRequestParams, ResourceContents, Tool,
};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader, duplex};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::implementation;
use super::lines::{AHEAD, sort};

/// Until it speaks the protocol, and for each page of its list.
const ANSWERS: Duration = Duration::from_secs(20);
/// One call.
const CALL: Duration = Duration::from_mins(1);
/// How often the cancel flag is looked at.
const CANCEL_TICK: Duration = Duration::from_millis(50);
/// Tools of one server, and pages that they may come in.
const MOST_TOOLS: usize = 200;
const MOST_PAGES: usize = 20;
/// Of all that is listed, as JSON.
const MOST_LISTED_BYTES: usize = 512 << 10;
/// Of what it writes to standard error.
const STDERR_BYTES: usize = 4 << 10;

/// How a server is started or reached.
#[derive(Clone, Debug)]
pub enum Reach {
    Command {
        command: String,
        args: Vec<String>,
        /// All that it is given beside `surroundings`.
        env: BTreeMap<String, String>,
    },
    Url {
        url: String,
        /// Sent as a bearer token.
        token: Option<String>,
    },
}

impl Reach {
    /// Of what decides who answers. A token does not, and may be renewed.
    fn digest(&self) -> Digest {
        Digest::of_json(&match self {
            Self::Command { command, args, env } => {
                json!({"command": command, "args": args, "env": env})
            }
            Self::Url { url, .. } => json!({ "url": url }),
        })
    }
}

/// The servers that the settings name.
pub struct ExternalServers {
    servers: BTreeMap<String, Reach>,
    /// What every started server gets of our environment.
    surroundings: BTreeMap<String, String>,
    runtime: tokio::runtime::Handle,
}

impl ExternalServers {
    pub fn new(
        servers: BTreeMap<String, Reach>,
        surroundings: BTreeMap<String, String>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            servers,
            surroundings,
            runtime,
        }
    }

    /// Runs on the runtime until it is done or cancelled. Must not be called on its threads.
    fn wait<T>(
        &self,
        cancel: &Cancel,
        work: impl Future<Output = Result<T, ExternalError>>,
    ) -> Result<T, ExternalError> {
        let cancelled = async {
            while !cancel.is_cancelled() {
                tokio::time::sleep(CANCEL_TICK).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = cancelled => Err(ExternalError::Cancelled),
            }
        })
    }

    async fn connect(&self, server: &str) -> Result<Connected, ExternalError> {
        let reach = self
            .servers
            .get(server)
            .ok_or_else(|| ExternalError::Unknown(server.to_owned()))?;
        match reach {
            Reach::Command { command, args, env } => {
                let mut surroundings = self.surroundings.clone();
                surroundings.extend(env.clone());
                started(server, command, args, &surroundings).await
            }
            Reach::Url { url, token } => reached(server, url, token.as_deref()).await,
        }
    }
}

impl Externals for ExternalServers {
    fn servers(&self) -> Vec<(String, Digest)> {
        let named = self.servers.iter();
        named
            .map(|(name, reach)| (name.clone(), reach.digest()))
            .collect()
    }

    fn list(&self, server: &str, cancel: &Cancel) -> Result<ExternalListing, ExternalError> {
        self.wait(cancel, async {
            let mut connected = self.connect(server).await?;
            let mut tools = connected.tools().await?;
            connected.close().await;
            tools.sort_by(|a, b| a.name.cmp(&b.name));
            let reached_by = self.servers.get(server).map(Reach::digest);
            Ok(ExternalListing {
                reached_by: reached_by.unwrap_or(Digest::of(b"")),
                tools,
            })
        })
    }

    fn call(
        &self,
        server: &str,
        accepted: &ExternalTool,
        input: &Map<String, Value>,
        cancel: &Cancel,
    ) -> Result<ExternalReply, ExternalError> {
        self.wait(cancel, async {
            let mut connected = self.connect(server).await?;
            // Looked at on the very connection that is called on.
            let now = connected.tools().await?;
            let found = now.iter().find(|t| t.name == accepted.name);
            let (server, tool) = (server.to_owned(), accepted.name.clone());
            match found {
                None => return Err(ExternalError::Gone { server, tool }),
                Some(found) if found.digest() != accepted.digest() => {
                    return Err(ExternalError::Changed { server, tool });
                }
                Some(_) => {}
            }
            let reply = connected.call(&accepted.name, input).await;
            connected.close().await;
            reply
        })
    }
}

/// A server at the other end. Dropped, it is killed with its group.
struct Connected {
    server: String,
    client: RunningService<RoleClient, ClientConfig>,
    owned: Option<Owned>,
}

/// A started server: its process group, what it said beside the protocol, and the first thing of it
/// that could not be read.
struct Owned {
    group: Option<Pid>,
    _child: Child,
    stderr: Arc<Mutex<String>>,
    refused: mpsc::Receiver<JsonRpcError>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn config() -> ClientConfig {
    // Neither our files nor our models nor our person are theirs to ask for.
    ClientConfig::new(ClientCapabilities::default(), implementation())
}

async fn started(
    server: &str,
    command: &str,
    args: &[String],
    env: &BTreeMap<String, String>,
) -> Result<Connected, ExternalError> {
    let start = |source| ExternalError::Start {
        server: server.to_owned(),
        source,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a program that the person named in the settings; it is no tool, and no tool's bytes reach it"
    )]
    let mut child = Command::new(command)
        .args(args)
        .env_clear()
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let piped = || start(std::io::Error::other("its standard streams are not there"));
    let to = child.stdin.take().ok_or_else(piped)?;
    let from = child.stdout.take().ok_or_else(piped)?;
    let errors = child.stderr.take().ok_or_else(piped)?;
    let (good, taken) = duplex(AHEAD);
    let (refuse, refused) = mpsc::channel(1);
    tokio::spawn(sort(BufReader::new(from), good, refuse));
    let stderr = Arc::new(Mutex::new(String::new()));
    tokio::spawn(keep_the_end(errors, Arc::clone(&stderr)));
    let mut owned = Owned {
        group: child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
        _child: child,
        stderr,
        refused,
    };
    let opening = config().serve(AsyncRwTransport::new_client(taken, to));
    let opened = owned
        .within(server, "opening the protocol", ANSWERS, opening)
        .await?;
    match opened {
        Ok(client) => Ok(Connected {
            server: server.to_owned(),
            client,
            owned: Some(owned),
        }),
        Err(e) => Err(ExternalError::Open {
            server: server.to_owned(),
            stderr: owned.said(),
            source: Box::new(e),
        }),
    }
}

async fn reached(server: &str, url: &str, token: Option<&str>) -> Result<Connected, ExternalError> {
    let open = |source: Box<dyn std::error::Error + Send + Sync>| ExternalError::Open {
        server: server.to_owned(),
        stderr: String::new(),
        source,
    };
    let http = handaxe_agent::model::plain_client(url).map_err(|e| open(Box::new(e)))?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.max_sse_event_size = super::strict::MAX_MESSAGE_BYTES;
    if let Some(token) = token {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let opening = tokio::time::timeout(ANSWERS, self::config().serve(transport));
    let opened = opening
        .await
        .map_err(|_| late(server, "opening the protocol", ANSWERS))?;
    Ok(Connected {
        server: server.to_owned(),
        client: opened.map_err(|e| open(Box::new(e)))?,
        owned: None,
    })
}

fn late(server: &str, doing: &'static str, most: Duration) -> ExternalError {
    ExternalError::Late {
        server: server.to_owned(),
        doing,
        seconds: most.as_secs(),
    }
}

/// Keeps the last of what comes, and reads all of it so that nobody is held up.
async fn keep_the_end(mut from: impl AsyncRead + Unpin, kept: Arc<Mutex<String>>) {
    let mut chunk = [0; 1024];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(&String::from_utf8_lossy(&chunk[..n]));
        let over = kept.len().saturating_sub(STDERR_BYTES);
        let cut = (over..=kept.len()).find(|n| kept.is_char_boundary(*n));
        kept.drain(..cut.unwrap_or_default());
    }
}

impl Owned {
    fn said(&self) -> String {
        let said = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        said.trim_end().to_owned()
    }

    /// Waits for it, unless it takes too long or says something that cannot be read.
    async fn within<T>(
        &mut self,
        server: &str,
        doing: &'static str,
        most: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, ExternalError> {
        let server = server.to_owned();
        tokio::select! {
            biased;
            Some(refused) = self.refused.recv() => Err(ExternalError::Unreadable {
                server,
                why: refused.error.message.to_string(),
            }),
            done = tokio::time::timeout(most, work) => done.map_err(|_| late(&server, doing, most)),
        }
    }
}

impl Connected {
    async fn within<T, E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        doing: &'static str,
        most: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ExternalError> {
        let done = if let Some(owned) = &mut self.owned {
            owned.within(&self.server, doing, most, work).await?
        } else {
            let done = tokio::time::timeout(most, work).await;
            done.map_err(|_| late(&self.server, doing, most))?
        };
        done.map_err(|e| ExternalError::Failed {
            server: self.server.clone(),
            doing,
            stderr: self.owned.as_ref().map(Owned::said).unwrap_or_default(),
            source: Box::new(e),
        })
    }

    async fn tools(&mut self) -> Result<Vec<ExternalTool>, ExternalError> {
        const DOING: &str = "listing its tools";
        let mut tools = Vec::new();
        let (mut cursor, mut bytes) = (None, 0);
        let much = |what: &str| ExternalError::Unreadable {
            server: self.server.clone(),
            why: what.to_owned(),
        };
        let (pages, count, size) = (
            much("too many pages"),
            much("too many tools"),
            much("a list too long"),
        );
        for _ in 0..MOST_PAGES {
            let peer = self.client.peer().clone();
            let mut params = PaginatedRequestParams::default();
            params.cursor = cursor;
            let page = self
                .within(DOING, ANSWERS, async move {
                    peer.list_tools(Some(params)).await
                })
                .await?;
            for tool in page.tools {
                let tool = external(tool);
                bytes += json!(tool).to_string().len();
                if bytes > MOST_LISTED_BYTES {
                    return Err(size);
                }
                tools.push(tool);
                if tools.len() > MOST_TOOLS {
                    return Err(count);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(pages)
    }

    async fn call(
        &mut self,
        tool: &str,
        input: &Map<String, Value>,
    ) -> Result<ExternalReply, ExternalError> {
        const DOING: &str = "calling a tool";
        let peer = self.client.peer().clone();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(input.clone());
        let reply = self
            .within(
                DOING,
                CALL,
                async move { peer.call_tool_once(params).await },
            )
            .await?;
        let CallToolResponse::Complete(result) = reply else {
            return Ok(ExternalReply {
                failed: true,
                text: "it asks for something that is not given to it".to_owned(),
                output: None,
            });
        };
        let parts: Vec<String> = result.content.iter().map(shown).collect();
        Ok(ExternalReply {
            failed: result.is_error == Some(true),
            text: parts.join("\n"),
            output: result.structured_content,
        })
    }

    async fn close(self) {
        // What does not go by itself is killed when this is dropped.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.client.cancel()).await;
    }
}

fn external(tool: Tool) -> ExternalTool {
    ExternalTool {
        name: tool.name.to_string(),
        title: tool.title,
        description: tool.description.unwrap_or_default().to_string(),
        input_schema: Value::Object((*tool.input_schema).clone()),
        output_schema: tool.output_schema.map(|s| Value::Object((*s).clone())),
        annotations: json!(tool.annotations),
    }
}

fn shown(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "[data that is not text]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[a link: {}]", link.uri),
        _ => "[something that is not text]".to_owned(),
    }
}
