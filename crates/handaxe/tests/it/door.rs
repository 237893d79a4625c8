//! Clients of the doors for agents: raw lines and raw HTTP, what any client would send.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::server::Server;

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A client of one `handaxe mcp`; the server dies with it.
pub(crate) struct Client {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) lines: Receiver<Value>,
    pub(crate) notes: Vec<Value>,
    pub(crate) n: u64,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    pub(crate) fn open(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tx, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                let Ok(line) = line else { return };
                // Nothing but the protocol may be on standard output.
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if tx.send(value).is_err() {
                    return;
                }
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            notes: Vec::new(),
            n: 0,
        }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        self.n += 1;
        let id = self.n;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.lines.recv_timeout(PATIENCE).unwrap();
            assert!(message.is_object(), "not the protocol: {message}");
            if message["id"] == id {
                return message;
            }
            self.notes.push(message);
        }
    }

    pub(crate) fn initialized(lab: &Lab, args: &[&str]) -> Self {
        Self::opened(lab, args, &json!({}))
    }

    /// A client that can do so much. Without a model among `args` it is the composer.
    pub(crate) fn opened(lab: &Lab, args: &[&str], capabilities: &Value) -> Self {
        let mut all = vec!["mcp"];
        if !args.contains(&"--model") {
            all.extend(["--model", "composer"]);
        }
        all.extend(args);
        let mut client = Self::open(lab.command(&all));
        let hello = client.request(
            "initialize",
            &json!({"protocolVersion": "2025-11-25", "capabilities": capabilities,
                    "clientInfo": {"name": "tester\n\u{1b}[31m", "version": "1"}}),
        );
        assert_eq!(hello["result"]["protocolVersion"], "2025-11-25", "{hello}");
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    pub(crate) fn call(&mut self, name: &str, arguments: &Value) -> Value {
        let params = json!({"name": name, "arguments": arguments, "_meta": {"progressToken": 7}});
        self.request("tools/call", &params)
    }

    pub(crate) fn names(&mut self) -> Vec<String> {
        let listed = self.request("tools/list", &json!({}));
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        tools
            .iter()
            .map(|t| t["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[track_caller]
pub(crate) fn text(reply: &Value) -> String {
    reply["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{reply}"))
        .to_owned()
}

/// One HTTP/1.1 exchange; the status and the body.
pub(crate) fn http(addr: &str, head: &str, body: &[u8]) -> (u16, String) {
    try_http(addr, head, body).unwrap()
}

/// The same, of a server that may be gone.
fn try_http(addr: &str, head: &str, body: &[u8]) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\n\
         Content-Length: {}\r\n{head}\r\n",
        body.len()
    )?;
    // A body that is not wanted may be cut off.
    let _ = stream.write_all(body);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let status = reply.split(' ').nth(1).unwrap_or("0").parse().unwrap_or(0);
    Ok((status, reply))
}

impl Server {
    /// The headers that let a request in.
    pub(crate) fn mcp_head(&self) -> String {
        let Self { addr, token, .. } = self;
        format!("Host: {addr}\r\nAuthorization: Bearer {token}\r\n")
    }

    /// One message of 2026-07-28, which needs no session; its answer.
    pub(crate) fn mcp(&self, method: &str, params: Value) -> Value {
        let (status, reply) = self.try_mcp(method, params);
        answer(&reply).unwrap_or_else(|| panic!("{status} {reply}"))
    }

    pub(crate) fn try_mcp(&self, method: &str, params: Value) -> (u16, String) {
        self.reach_mcp(method, params).unwrap()
    }

    /// The status and the reply; none where the server is gone.
    pub(crate) fn reach_mcp(&self, method: &str, mut params: Value) -> Option<(u16, String)> {
        params["_meta"] = modern(&json!({}));
        let name = params["name"]
            .as_str()
            .map(|n| format!("Mcp-Name: {n}\r\n"));
        let head = format!(
            "{}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{}",
            self.mcp_head(),
            name.unwrap_or_default()
        );
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        try_http(&self.addr, &head, message.to_string().as_bytes()).ok()
    }
}

/// What every request of 2026-07-28 says of its client.
pub(crate) fn modern(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

/// The message in a reply over HTTP, whether it came as JSON or as an event.
pub(crate) fn answer(reply: &str) -> Option<Value> {
    let body = reply.split_once("\r\n\r\n")?.1;
    let messages = body
        .lines()
        .filter_map(|l| serde_json::from_str(l.strip_prefix("data:").unwrap_or(l).trim()).ok());
    messages.rev().find(|m: &Value| m.get("id").is_some())
}
