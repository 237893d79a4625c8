//! A scripted model behind an OpenAI-compatible server on this machine: what it says is a function
//! of what it is asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

/// What the server answers.
pub(crate) enum Says {
    Text(String),
    /// Cut off at the length bound.
    Cut(String),
    /// Declined.
    Declines(String),
    /// Goes on saying it, where it was asked for a stream.
    NoEnd(String),
    /// The connection closes without a word.
    HangsUp,
}

/// A question to the model: its system text, and all messages as one text.
pub(crate) struct Asked {
    pub(crate) system: String,
    pub(crate) messages: String,
    /// Whether the reply is wanted in pieces.
    pub(crate) streamed: bool,
}

/// Serves until the test's process ends; gives the base URL.
pub(crate) fn serve(mut answer: impl FnMut(&Asked) -> Says + Send + 'static) -> String {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", door.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in door.incoming() {
            // One at a time, in the order in which they come: a script has an order.
            let _ = one(&mut stream.unwrap(), &mut answer);
        }
    });
    url
}

/// As server-sent events, a few characters each; again and again where there is no `finish`.
fn stream(stream: &mut TcpStream, text: &str, finish: Option<&str>) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    )?;
    let mut event = |choices: Value, usage: Value| {
        let event = json!({"model": "scripted", "choices": choices, "usage": usage});
        write!(stream, "data: {event}\n\n")
    };
    let choice = |delta: Value, finish: Option<&str>| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let letters: Vec<char> = text.chars().collect();
    loop {
        for piece in letters.chunks(7) {
            let piece: String = piece.iter().collect();
            event(choice(json!({"content": piece}), None), Value::Null)?;
        }
        if finish.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    event(choice(json!({}), finish), Value::Null)?;
    event(
        json!([]),
        json!({"prompt_tokens": 100, "completion_tokens": 10}),
    )?;
    write!(stream, "data: [DONE]\n\n")
}

fn one(socket: &mut TcpStream, answer: &mut impl FnMut(&Asked) -> Says) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let said = |m: &Value| m["content"].as_str().unwrap_or_default().to_owned();
    let messages = body["messages"].as_array().unwrap();
    let asked = Asked {
        system: said(&messages[0]),
        messages: messages[1..]
            .iter()
            .map(said)
            .collect::<Vec<_>>()
            .join("\n"),
        streamed: body["stream"] == true,
    };
    let (message, finish) = match answer(&asked) {
        Says::Text(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Says::Cut(text) => (json!({"role": "assistant", "content": text}), "length"),
        Says::Declines(text) => (json!({"role": "assistant", "refusal": text}), "stop"),
        Says::NoEnd(text) => return stream(socket, &text, None),
        Says::HangsUp => return Ok(()),
    };
    if asked.streamed && message["content"].is_string() {
        return stream(socket, message["content"].as_str().unwrap(), Some(finish));
    }
    let reply = json!({
        "model": "scripted", "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    })
    .to_string();
    write!(
        socket,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{reply}",
        reply.len()
    )
}
