//! A server of its own for each test, spoken to in raw HTTP: what any program, browser or attacker
//! would send.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::Lab;

const PATIENCE: Duration = Duration::from_mins(1);

/// One `handaxe serve`; it dies with the value.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// Host and port.
    pub(crate) addr: String,
    pub(crate) token: String,
    /// The one-time link.
    pub(crate) login: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// It is a problem of this kind.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        assert!(
            self.head.contains("application/problem+json"),
            "{}",
            self.head
        );
        let problem = self.json();
        assert_eq!(problem["kind"], kind, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
    }
}

/// A signed-in person's cookie and token.
pub(crate) struct Session {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Server {
    pub(crate) fn start(lab: &Lab, args: &[&str]) -> Self {
        let mut all = vec![
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--model",
            "composer",
            "--json",
        ];
        all.extend(args);
        let mut child = lab.command(&all).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut document = String::new();
        while serde_json::from_str::<Value>(&document).is_err() {
            assert!(out.read_line(&mut document).unwrap() > 0, "{document}");
        }
        let document: Value = serde_json::from_str(&document).unwrap();
        let url = document["mcp"].as_str().unwrap();
        let token = std::fs::read_to_string(document["token_file"].as_str().unwrap()).unwrap();
        Self {
            child,
            addr: url
                .trim_start_matches("http://")
                .trim_end_matches("/mcp")
                .to_owned(),
            token: token.trim().to_owned(),
            login: document["login"].as_str().unwrap().to_owned(),
        }
    }

    /// One exchange with exactly these headers (but length and connection).
    pub(crate) fn raw(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n"
        );
        // Of a body that is refused unread, the rest need not be taken.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        let at = reply.windows(4).position(|w| w == b"\r\n\r\n");
        let (head, body) = match at {
            Some(at) => (&reply[..at], &reply[at + 4..]),
            None => (&reply[..], &[][..]),
        };
        let head = String::from_utf8_lossy(head).to_lowercase();
        let body = if head.contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_vec()
        };
        Reply {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|s| s.parse().ok())
                .unwrap_or(0),
            head,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// As a program that holds the token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        let head = format!(
            "Host: {}\r\nAuthorization: Bearer {}\r\nUser-Agent: tester/1\r\nContent-Type: application/json\r\n",
            self.addr, self.token
        );
        self.raw(method, path, &head, body.unwrap_or_default().as_bytes())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).is(200).json()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value, status: u16) -> Value {
        let reply = self.ask("POST", path, Some(&body.to_string()));
        reply.is(status).json()
    }

    /// Signs a person in with the one-time link.
    pub(crate) fn sign_in(&self) -> Session {
        let path = self.login.split_once(&self.addr).unwrap().1;
        let host = format!("Host: {}\r\n", self.addr);
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nConnection: close\r\n{host}\r\n"
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let cookie = reply
            .lines()
            .find_map(|l| l.strip_prefix("set-cookie: "))
            .unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.raw(
            "GET",
            "/journal",
            &format!("{host}Cookie: {cookie}\r\n"),
            b"",
        );
        let marked = page.body.split("\"x-csrf-token\": \"").nth(1).unwrap();
        Session {
            csrf: marked.split('"').next().unwrap().to_owned(),
            cookie,
        }
    }

    /// Waits until nobody works on the run; its document.
    pub(crate) fn ended(&self, run: &str) -> Value {
        let begun = Instant::now();
        loop {
            let document = self.get(&format!("/api/v1/runs/{run}"));
            if document["live"] == false {
                return document;
            }
            assert!(begun.elapsed() < PATIENCE, "{document}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// PROT02: what was sent cost no more memory than a server may take, and its time was bounded.
    #[track_caller]
    pub(crate) fn stayed_small(&self, since: Instant) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
        let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kib < 512 << 10, "{peak}");
        assert!(since.elapsed() < PATIENCE, "{:?}", since.elapsed());
    }

    /// Ends it as whoever runs services would; it must end well and soon.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success());
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the server did not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = body.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&body[..at]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let chunk = &body[at + 2..];
        if size == 0 || chunk.len() < size {
            break;
        }
        whole.extend_from_slice(&chunk[..size]);
        body = &chunk[size + 2..];
    }
    whole
}
