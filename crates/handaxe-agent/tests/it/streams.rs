//! Replies that arrive in pieces, in three providers' framings, and every way in which a server can
//! abuse that it was asked to go on speaking.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use handaxe_agent::model::{
    Finish, Listener, MAX_BODY, Model as _, ModelError, ModelReply, ModelRequest, Phase, Tokens,
};
use serde_json::{Value, json};

use crate::wire::{
    assert_clean, hits, model, ok, openai_reply, raw, request, sent, serve, with_schema,
};

const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n";
const LINES: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";

/// What a call came to, and what was heard on the way.
async fn heard(
    provider: &str,
    base: &str,
    asked: ModelRequest,
) -> (Result<ModelReply, ModelError>, String) {
    let (listener, mut words) = Listener::new();
    let asked = ModelRequest {
        listener: Some(listener),
        ..asked
    };
    let reply = model(provider, base).complete(&asked).await;
    drop(asked);
    let mut heard = String::new();
    while let Some(piece) = words.recv().await {
        heard.push_str(&piece);
    }
    (reply, heard)
}

/// Answers everyone with these bytes, in pieces of `size`, each a packet of its own.
fn in_pieces(head: &'static str, body: String, size: usize) -> String {
    let address = raw(move |mut s| {
        s.set_nodelay(true).unwrap();
        let _ = s.write_all(head.as_bytes());
        for piece in body.as_bytes().chunks(size) {
            if s.write_all(piece).is_err() {
                return;
            }
        }
    });
    format!("http://{address}")
}

fn delta(content: &str) -> String {
    let event = json!({"model": "m-2026", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]});
    format!("data: {event}\r\n\r\n")
}

fn openai_stream() -> String {
    [
        ": ping\r\n\r\n".to_owned(),
        "data: {\"model\":\"m-2026\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n".to_owned(),
        delta("{\"a\":"),
        // Someone else's choice, and a thought.
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\r\n\r\n".to_owned(),
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n".to_owned(),
        delta("\"ü€🪓"),
        delta("\"}"),
        "event: x\r\nid: 9\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n".to_owned(),
        "data: {\"choices\":[],\r\ndata: \"usage\":{\"prompt_tokens\":11,\"completion_tokens\":3}}\r\n\r\n".to_owned(),
        "data: [DONE]\r\n\r\n".to_owned(),
        delta("after the end"),
    ]
    .concat()
}

#[tokio::test]
async fn openai_in_any_pieces() {
    for size in [1, 2, 3, 7, 64, 100_000] {
        let url = in_pieces(SSE, openai_stream(), size);
        let (reply, heard) = heard("openai:m", &url, with_schema()).await;
        let want = ModelReply {
            text: "{\"a\":\"ü€🪓\"}".to_owned(),
            usage: Tokens {
                input: 11,
                output: 3,
            },
            finish: Finish::Stop,
            model: "m-2026".to_owned(),
        };
        assert_eq!(reply.unwrap(), want, "pieces of {size}");
        assert_eq!(heard, want.text);
    }
}

/// A stream and the same reply in one are one reply.
#[tokio::test]
async fn the_whole_is_what_it_would_have_been() {
    let choice = |delta: Value, finish: Value| {
        let event = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {event}\n\n")
    };
    let table = [
        (
            [
                choice(json!({"refusal": "I "}), Value::Null),
                choice(json!({"refusal": "won't"}), json!("stop")),
            ],
            json!({"message": {"content": null, "refusal": "I won't"}, "finish_reason": "stop"}),
        ),
        (
            [
                choice(
                    json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}),
                    Value::Null,
                ),
                choice(
                    json!({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
                    json!("tool_calls"),
                ),
            ],
            json!({"message": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "tool_calls"}),
        ),
        (
            [
                choice(json!({"content": "ab"}), Value::Null),
                choice(json!({"content": ""}), json!("length")),
            ],
            json!({"message": {"content": "ab"}, "finish_reason": "length"}),
        ),
    ];
    for (events, whole) in table {
        let url = in_pieces(SSE, events.concat(), 9);
        let (streamed, _) = heard("openai:m", &url, request()).await;
        let server = serve(vec![ok(&json!({ "choices": [whole] }))]).await;
        let in_one = model("openai:m", &server.uri()).complete(&request()).await;
        assert_eq!(streamed.unwrap(), in_one.unwrap());
    }
}

fn anthropic_stream(stop: &str, parts: &[&str]) -> String {
    let mut events = vec![
        json!({"type": "message_start", "message": {"model": "c", "content": [],
               "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Here. "}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1,
               "content_block": {"type": "tool_use", "id": "t", "name": "reply", "input": {}}}),
    ];
    events.extend(parts.iter().map(|part| {
        json!({"type": "content_block_delta", "index": 1,
               "delta": {"type": "input_json_delta", "partial_json": part}})
    }));
    events.extend([
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]);
    let line = |e: &Value| {
        let kind = e["type"].as_str().unwrap();
        format!("event: {kind}\ndata: {e}\n\n")
    };
    events.iter().map(line).collect()
}

#[tokio::test]
async fn anthropic_in_any_pieces() {
    // A call's input is read and written again, as it is where it comes in one.
    let table: [(&str, &[&str], &str, Finish); 4] = [
        (
            "tool_use",
            &["", "{\"b\": \"ü", "\", \"a\": [1", "]}"],
            "{\"a\":[1],\"b\":\"ü\"}",
            Finish::Stop,
        ),
        ("tool_use", &[], "{}", Finish::Stop),
        // Cut at its length: what there is, as it is.
        ("max_tokens", &["{\"a\": [1"], "{\"a\": [1", Finish::Length),
        (
            "tool_use",
            &["{\"a\":1,\"a\":2}"],
            "{\"a\":1,\"a\":2}",
            Finish::Stop,
        ),
    ];
    for (stop, parts, text, finish) in table {
        for size in [1, 5, 100_000] {
            let url = in_pieces(SSE, anthropic_stream(stop, parts), size);
            let (reply, heard) = heard("anthropic:c", &url, with_schema()).await;
            let reply = reply.unwrap();
            assert_eq!((reply.text.as_str(), reply.finish), (text, finish));
            assert_eq!((reply.usage.input, reply.usage.output), (7, 9));
            assert_eq!(heard, format!("Here. {}", parts.concat()));
        }
    }
}

#[tokio::test]
async fn ollama_in_any_pieces() {
    let line = |content: &str| json!({"model": "q:1b", "message": {"role": "assistant", "content": content}, "done": false});
    let end = json!({"model": "q:1b", "done": true, "done_reason": "length",
                     "message": {"role": "assistant", "content": ""},
                     "prompt_eval_count": 4, "eval_count": 100});
    let body = format!("{}\n\n{}\n{end}", line("{\"ä"), line("\":"));
    for size in [1, 4, 100_000] {
        let url = in_pieces(LINES, body.clone(), size);
        let (reply, heard) = heard("ollama:q:1b", &url, request()).await;
        let reply = reply.unwrap();
        assert_eq!(reply.text, "{\"ä\":");
        assert_eq!((reply.finish, reply.usage.total()), (Finish::Length, 104));
        assert_eq!(heard, reply.text);
    }
}

/// What a stream that cannot be used becomes; how often it is asked for; what was heard.
#[tokio::test]
async fn streams_that_cannot_be_used() {
    type Is = fn(&ModelError) -> bool;
    let cut: Is = |e| matches!(e, ModelError::CutOff { .. });
    let bad: Is = |e| matches!(e, ModelError::NotJson { .. });
    let shape: Is = |e| matches!(e, ModelError::Malformed { .. });
    let table: [(&str, String, usize, &str, Is); 15] = [
        ("openai:m", delta("half"), 1, "half", cut),
        // The last event has no end, so nobody knows what more was in it.
        (
            "openai:m",
            format!("{}data: {{\"choices\":[{{\"ind", delta("half")),
            1,
            "half",
            cut,
        ),
        ("openai:m", String::new(), 1, "", cut),
        ("openai:m", "data: {\"choices\"\n\n".to_owned(), 1, "", bad),
        ("openai:m", "data: {\"a\":1,\"a\":2}\n\n".to_owned(), 1, "", bad),
        (
            "openai:m",
            format!("data: {}\n\n", "[".repeat(10_000)),
            1,
            "",
            bad,
        ),
        ("openai:m", "data: \n\n".to_owned(), 1, "", bad),
        ("openai:m", "<html>hello</html>".to_owned(), 1, "", shape),
        ("openai:m", "data: [DONE]\n\n".to_owned(), 1, "", shape),
        (
            "openai:m",
            format!(
                "{}data: {{\"error\":{{\"message\":\"out of memory \\u001b[2J\"}}}}\n\n",
                delta("half")
            ),
            1,
            "half",
            |e| matches!(e, ModelError::BrokenOff { received: 4, detail, .. } if detail.contains("memory")),
        ),
        // Before any text it may be overload: tried again.
        (
            "anthropic:c",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n".to_owned(),
            3,
            "",
            |e| matches!(e, ModelError::BrokenOff { received: 0, .. }),
        ),
        (
            "anthropic:c",
            "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"x\"}}\n\n".to_owned(),
            1,
            "",
            shape,
        ),
        (
            "anthropic:c",
            "data: {\"type\":\"message_start\",\"message\":7}\n\ndata: {\"type\":\"content_block_start\",\"index\":4000000000,\"content_block\":{}}\n\n".to_owned(),
            1,
            "",
            shape,
        ),
        (
            "anthropic:c",
            format!(
                "data: {{\"type\":\"message_start\",\"message\":{{\"usage\":7}}}}\n\ndata: {{\"type\":\"message_delta\",\"usage\":{{\"{}\":1}}}}\n\n",
                "/a".repeat(100_000)
            ),
            1,
            "",
            cut,
        ),
        ("ollama:q", "7\n".to_owned(), 1, "", shape),
    ];
    for (provider, body, times, said, is) in table {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let shown = body.chars().take(80).collect::<String>();
        let address = raw(move |mut s| {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = write!(s, "{SSE}{body}");
        });
        let (reply, heard) = heard(provider, &format!("http://{address}"), request()).await;
        let error = reply.unwrap_err();
        assert!(is(&error), "{shown}: {error:?}");
        assert_clean(&error);
        assert_eq!(asked.load(Ordering::SeqCst), times, "{shown}");
        assert_eq!(heard, said, "{shown}");
    }
}

/// What is no UTF-8 is no JSON, in whatever it stands; nothing of it is heard.
#[tokio::test]
async fn bytes_that_are_no_text() {
    for bad in [&b"\xff"[..], b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f"] {
        let head = delta("half").into_bytes();
        let event = [
            b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
            bad,
            b"\"}}]}\n\n",
        ]
        .concat();
        let bytes = [SSE.as_bytes(), &head, &event].concat();
        let address = raw(move |mut s| {
            let _ = s.write_all(&bytes);
        });
        let (reply, heard) = heard("openai:m", &format!("http://{address}"), request()).await;
        let error = reply.unwrap_err();
        assert!(
            matches!(error, ModelError::NotJson { .. }),
            "{bad:?}: {error:?}"
        );
        assert_clean(&error);
        assert_eq!(heard, "half");
    }
}

/// Each would go on for ever: the client hangs up, within its bounds.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_do_not_end() {
    type Is = fn(&ModelError) -> bool;
    // Each bound by itself: a line or an event, all that is said, all that is sent.
    let event: Is = |e| matches!(e, ModelError::TooLarge { limit, .. } if *limit == 1 << 20);
    let text: Is = |e| matches!(e, ModelError::TooLarge { limit, .. } if *limit == MAX_BODY);
    let stream: Is = |e| matches!(e, ModelError::TooLarge { limit, .. } if *limit == 32 << 20);
    let total: Is = |e| {
        let phase = Phase::Total;
        matches!(e, ModelError::Timeout { phase: p, .. } if *p == phase)
    };
    let word = delta(&"word ".repeat(300)).repeat(50);
    let begun = delta("word");
    let table: [(&str, String, Duration, Is); 7] = [
        // One line; one event of many lines; text without end; events without text; a comment now
        // and then.
        ("x", "x".repeat(64 << 10), Duration::ZERO, event),
        (
            "data: y",
            "data: y\n".repeat(8 << 10),
            Duration::ZERO,
            event,
        ),
        ("", word, Duration::ZERO, text),
        ("", "data: {}\n\n".repeat(6_000), Duration::ZERO, |e| {
            matches!(e, ModelError::TooManyEvents { .. })
        }),
        // Comments without end, which are no event and no text.
        (
            "",
            format!(":{}\n", "c".repeat(60 << 10)),
            Duration::ZERO,
            stream,
        ),
        ("", ":\n\n".to_owned(), Duration::from_millis(50), total),
        // Now and then something after the first word: never idle, and never done.
        (&begun, ":\n\n".to_owned(), Duration::from_millis(50), total),
    ];
    for (first, more, pause, is) in table {
        let first = first.to_owned();
        let (sent, hung_up) = std::sync::mpsc::channel();
        let shown = more.chars().take(30).collect::<String>();
        let address = raw(move |mut s| {
            let _ = write!(s, "{SSE}{first}");
            let mut bytes = 0;
            while bytes < 256 << 20 && s.write_all(more.as_bytes()).is_ok() {
                bytes += more.len();
                thread::sleep(pause);
            }
            let _ = sent.send(bytes);
        });
        let asked = ModelRequest {
            deadline: Instant::now()
                + if pause.is_zero() {
                    Duration::from_mins(2)
                } else {
                    Duration::from_millis(600)
                },
            ..request()
        };
        let (reply, _) = heard("openai:m", &format!("http://{address}"), asked).await;
        let error = reply.unwrap_err();
        assert!(is(&error), "{shown}: {error:?}");
        let bytes = hung_up.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(bytes < 200 << 20, "{shown}: {bytes} bytes were taken");
    }
}

#[tokio::test]
async fn silence_before_the_first_word_is_thought_and_after_it_is_not() {
    let hold = Duration::from_secs(20);
    for (said, phase) in [("", Phase::Total), ("word", Phase::Idle)] {
        let address = raw(move |mut s| {
            let _ = write!(s, "{SSE}{}", delta(said));
            thread::sleep(hold);
        });
        let asked = ModelRequest {
            deadline: Instant::now() + Duration::from_millis(1_500),
            ..request()
        };
        let (reply, _) = heard("openai:m", &format!("http://{address}"), asked).await;
        let error = reply.unwrap_err();
        assert!(
            matches!(&error, ModelError::Timeout { phase: p, .. } if *p == phase),
            "{said:?}: {error:?}"
        );
    }
    // All was said, and the door stands open.
    let address = raw(move |mut s| {
        let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        let _ = write!(s, "{SSE}{}{end}", delta("all"));
        thread::sleep(hold);
    });
    let (reply, _) = heard("openai:m", &format!("http://{address}"), request()).await;
    assert_eq!(reply.unwrap().text, "all");
}

#[tokio::test]
async fn servers_that_do_not_stream() {
    // One that sends the whole all the same: heard at once.
    let server = serve(vec![ok(&openai_reply("whole"))]).await;
    let (reply, said) = heard("openai:m", &server.uri(), request()).await;
    assert_eq!(
        (reply.unwrap().text.as_str(), said.as_str()),
        ("whole", "whole")
    );
    // Those that reject a field: left out, and remembered.
    for (complaint, gone) in [
        (
            "Unrecognized request argument: stream_options",
            "stream_options",
        ),
        ("stream is not supported here", "stream"),
    ] {
        let no = wiremock::ResponseTemplate::new(400).set_body_json(json!({"error": complaint}));
        let server = serve(vec![no, ok(&openai_reply("whole"))]).await;
        let model = model("openai:m", &server.uri());
        let (listener, _words) = Listener::new();
        let asked = ModelRequest {
            listener: Some(listener),
            ..request()
        };
        for _ in 0..2 {
            assert_eq!(model.complete(&asked).await.unwrap().text, "whole");
        }
        assert_eq!(hits(&server).await, 3, "{complaint}");
        let sent = sent(&server).await;
        assert_eq!(sent[0]["stream"], true);
        assert_eq!(sent[0]["stream_options"]["include_usage"], true);
        for again in &sent[1..] {
            assert!(!again[gone].is_object() && again[gone] != true, "{again}");
        }
    }
}

/// Nobody listens: nothing is streamed, and what is asked has the same key either way.
#[tokio::test]
async fn whether_anyone_listens_is_in_no_key() {
    let server = serve(vec![ok(&openai_reply("x"))]).await;
    let model = model("openai:m", &server.uri());
    model.complete(&request()).await.unwrap();
    let sent = sent(&server).await;
    assert_eq!(sent[0]["stream"], false);
    assert!(sent[0].get("stream_options").is_none());
    let (listener, _words) = Listener::new();
    let listening = ModelRequest {
        listener: Some(listener),
        ..request()
    };
    assert_eq!(listening.key(model.id()), request().key(model.id()));
    assert_eq!(listening.prompt_digest(), request().prompt_digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_stream_hangs_up() {
    let (closed, was_closed) = std::sync::mpsc::channel();
    let address = raw(move |mut s: TcpStream| {
        let _ = write!(s, "{SSE}{}", delta("first"));
        let _ = closed.send(s.read(&mut [0; 16]).unwrap_or(0) == 0);
    });
    let (listener, mut words) = Listener::new();
    let asked = ModelRequest {
        listener: Some(listener),
        ..request()
    };
    let model = model("openai:m", &format!("http://{address}"));
    tokio::select! {
        said = model.complete(&asked) => panic!("{said:?}"),
        word = words.recv() => assert_eq!(word.as_deref(), Some("first")),
    }
    assert!(was_closed.recv_timeout(Duration::from_secs(20)).unwrap());
}
