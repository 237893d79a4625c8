//! The three wire formats and every way a server can fail. Servers that behave are wiremock's;
//! those that cut, drip or flood are plain listeners.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use handaxe_agent::model::{
    Finish, HttpModel, HttpOptions, Message, Model, ModelError, ModelReply, ModelRequest,
    ModelSpec, Phase, Retries, RoleName, Secret, SetupError, Speaker, Timeouts, Tokens,
    probe_ollama,
};
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) const KEY: &str = "sk-test-0123456789abcdef";

pub(crate) fn options(base: &str) -> HttpOptions {
    HttpOptions {
        key: Secret::new(KEY),
        base_url: Some(base.to_owned()),
        proxy: None,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            idle: Duration::from_millis(300),
        },
        retries: Retries {
            max: 2,
            base: Duration::from_millis(2),
            cap: Duration::from_millis(5),
        },
    }
}

pub(crate) fn model(spec: &str, base: &str) -> HttpModel {
    HttpModel::new(&ModelSpec::parse(spec).unwrap(), options(base)).unwrap()
}

pub(crate) fn request() -> ModelRequest {
    ModelRequest {
        role: RoleName::Planner,
        system: "be brief".to_owned(),
        messages: vec![Message {
            role: Speaker::User,
            content: "hello".to_owned(),
        }],
        schema: None,
        max_tokens: 100,
        temperature: Some(0.0),
        sample: 0,
        deadline: Instant::now() + Duration::from_secs(30),
        listener: None,
    }
}

pub(crate) fn with_schema() -> ModelRequest {
    ModelRequest {
        schema: Some(json!({"type": "object", "properties": {"a": {"type": "integer"}}})),
        ..request()
    }
}

pub(crate) fn openai_reply(text: &str) -> Value {
    json!({
        "id": "x", "model": "m-2026", "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text, "refusal": null},
        }],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    })
}

/// Answers each request with the next of a list, then with the last for ever.
struct Sequence(Vec<ResponseTemplate>, AtomicUsize);

impl Respond for Sequence {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let n = self.1.fetch_add(1, Ordering::SeqCst);
        self.0[n.min(self.0.len() - 1)].clone()
    }
}

pub(crate) async fn serve(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(Sequence(answers, AtomicUsize::new(0)))
        .mount(&server)
        .await;
    server
}

pub(crate) async fn hits(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// The requests' bodies.
pub(crate) async fn sent(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|r| r.body_json().unwrap()).collect()
}

pub(crate) fn status(code: u16) -> ResponseTemplate {
    let error = json!({"error": {"message": format!("no: {KEY} \u{1b}[2J"), "code": "some_code"}});
    ResponseTemplate::new(code).set_body_json(error)
}

pub(crate) fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// Every error, however it is shown, is without the key and without control characters.
#[track_caller]
pub(crate) fn assert_clean(error: &ModelError) {
    let mut shown = format!("{error:?} {error}");
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        shown.push_str(&e.to_string());
        source = e.source();
    }
    assert!(!shown.contains(KEY), "{shown}");
    assert!(!error.to_string().contains('\u{1b}'), "{shown}");
}

#[tokio::test]
async fn openai_shape() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {KEY}")))
        .and(body_partial_json(json!({
            "model": "m", "stream": false, "max_completion_tokens": 100, "temperature": 0.0,
            "messages": [
                {"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"},
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "reply"}},
        })))
        .respond_with(ok(&openai_reply("{\"a\":1}")))
        .expect(1)
        .mount(&server)
        .await;
    let model = model("openai:m", &format!("{}/v1/", server.uri()));
    let reply = model.complete(&with_schema()).await.unwrap();
    let want = ModelReply {
        text: "{\"a\":1}".to_owned(),
        usage: Tokens {
            input: 11,
            output: 3,
        },
        finish: Finish::Stop,
        model: "m-2026".to_owned(),
    };
    assert_eq!(reply, want);
    assert_eq!(model.id().to_string(), "openai:m");
    assert_eq!(model.remote(), None, "loopback is not remote");
}

#[tokio::test]
async fn anthropic_shape() {
    let server = MockServer::start().await;
    Mock::given(path("/v1/messages"))
        .and(header("x-api-key", KEY))
        .and(header("anthropic-version", "2023-06-01"))
        .and(body_partial_json(json!({
            "system": "be brief", "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 100, "tool_choice": {"type": "tool", "name": "reply"},
        })))
        .respond_with(ok(&json!({
            "type": "message", "model": "c", "stop_reason": "tool_use",
            "content": [
                {"type": "text", "text": "Here."},
                {"type": "tool_use", "id": "t", "name": "reply", "input": {"a": 1}},
            ],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 9},
        })))
        .expect(1)
        .mount(&server)
        .await;
    let reply = model("anthropic:c", &server.uri())
        .complete(&with_schema())
        .await
        .unwrap();
    assert_eq!(reply.text, r#"{"a":1}"#);
    assert_eq!(
        reply.usage,
        Tokens {
            input: 7,
            output: 9
        }
    );
    assert_eq!(reply.finish, Finish::Stop);
}

#[tokio::test]
async fn ollama_shape_and_probe() {
    let server = MockServer::start().await;
    Mock::given(path("/api/chat"))
        .and(body_partial_json(json!({
            "model": "q:1b", "stream": false, "format": {"type": "object"},
            "options": {"num_predict": 100, "num_ctx": 8192},
        })))
        .respond_with(ok(&json!({
            "model": "q:1b", "done": true, "done_reason": "length",
            "message": {"role": "assistant", "content": "{\"a\":"},
            "prompt_eval_count": 4, "eval_count": 100,
        })))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/api/tags"))
        .respond_with(ok(&json!({"models": [{"name": "q:1b"}, {"name": "z"}]})))
        .mount(&server)
        .await;
    let reply = model("ollama:q:1b", &server.uri())
        .complete(&with_schema())
        .await
        .unwrap();
    assert_eq!(reply.finish, Finish::Length);
    assert_eq!(reply.usage.total(), 104);
    let patience = Duration::from_secs(5);
    let found = probe_ollama(Some(&server.uri()), patience).await;
    assert_eq!(found.unwrap(), ["q:1b", "z"]);
    let closed = probe_ollama(Some("http://127.0.0.1:1"), patience).await;
    assert_eq!(closed, None);
}

#[tokio::test]
async fn refusals_and_tool_calls() {
    let choice = |message: Value, finish: &str| json!({"choices": [{"message": message, "finish_reason": finish}]});
    let table = [
        (
            choice(json!({"content": null, "refusal": "I won't"}), "stop"),
            Finish::Refusal,
            "I won't",
        ),
        (
            choice(json!({"content": ""}), "content_filter"),
            Finish::Refusal,
            "",
        ),
        (
            choice(
                json!({"content": null, "tool_calls": [{"function": {"name": "f"}}]}),
                "tool_calls",
            ),
            Finish::Other,
            r#"{"tool_calls":[{"function":{"name":"f"}}]}"#,
        ),
        (
            choice(
                json!({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}),
                "stop",
            ),
            Finish::Stop,
            "ab",
        ),
        (choice(json!({"content": ""}), "stop"), Finish::Stop, ""),
    ];
    for (body, finish, text) in table {
        let server = serve(vec![ok(&body)]).await;
        let reply = model("openai:m", &server.uri())
            .complete(&request())
            .await
            .unwrap();
        assert_eq!((reply.finish, reply.text.as_str()), (finish, text));
        // A server that counts nothing is charged by size.
        assert!(reply.usage.input > 0);
    }
}

#[tokio::test]
async fn waits_as_told_and_succeeds() {
    let server = serve(vec![
        status(429).insert_header("retry-after", "0"),
        status(503).insert_header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ok(&openai_reply("done")),
    ])
    .await;
    let reply = model("openai:m", &server.uri())
        .complete(&request())
        .await
        .unwrap();
    assert_eq!(reply.text, "done");
    assert_eq!(hits(&server).await, 3);
}

#[tokio::test]
async fn a_wait_past_the_deadline_is_not_waited() {
    let server = serve(vec![status(429).insert_header("retry-after", "3600")]).await;
    let error = model("openai:m", &server.uri())
        .complete(&request())
        .await
        .unwrap_err();
    let asked = Some(Duration::from_hours(1));
    assert!(
        matches!(&error, ModelError::RateLimited { retry_after, attempts: 1, .. } if *retry_after == asked),
        "{error:?}"
    );
    assert_clean(&error);
}

/// Each status: how often it is asked, and what it becomes.
#[tokio::test]
async fn statuses() {
    type Is = fn(&ModelError) -> bool;
    let table: [(u16, usize, Is); 9] = [
        (500, 3, |e| {
            matches!(e, ModelError::Server { attempts: 3, .. })
        }),
        (529, 3, |e| {
            matches!(e, ModelError::Server { attempts: 3, .. })
        }),
        (429, 3, |e| {
            matches!(e, ModelError::RateLimited { attempts: 3, .. })
        }),
        (401, 1, |e| matches!(e, ModelError::Unauthorized { .. })),
        (403, 1, |e| matches!(e, ModelError::Unauthorized { .. })),
        (400, 1, |e| matches!(e, ModelError::Rejected { .. })),
        (404, 1, |e| matches!(e, ModelError::Rejected { .. })),
        (408, 1, |e| matches!(e, ModelError::Rejected { .. })),
        (302, 1, |e| matches!(e, ModelError::Redirected { .. })),
    ];
    for (code, times, is) in table {
        // Where the redirect leads, an answer would wait.
        let server = serve(vec![status(code).insert_header("location", "/elsewhere")]).await;
        let error = model("openai:m", &server.uri())
            .complete(&request())
            .await
            .unwrap_err();
        assert!(is(&error), "{code}: {error:?}");
        assert_eq!(hits(&server).await, times, "{code}");
        assert_clean(&error);
        if code != 302 {
            assert!(error.to_string().contains("[key]"), "{error}");
            assert!(error.to_string().contains("some_code"), "{error}");
        }
    }
}

#[tokio::test]
async fn no_money_is_not_retried() {
    let body = json!({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}});
    let server = serve(vec![ResponseTemplate::new(429).set_body_json(body)]).await;
    let error = model("openai:m", &server.uri()).complete(&request()).await;
    assert!(matches!(
        error,
        Err(ModelError::RateLimited { attempts: 1, .. })
    ));
}

#[tokio::test]
async fn parts_that_a_server_rejects_are_left_out_once() {
    let server = MockServer::start().await;
    let complain = |m: &str| ResponseTemplate::new(400).set_body_json(json!({"error": m}));
    let answers = vec![
        complain("Unsupported parameter: 'max_completion_tokens'"),
        complain("'temperature' does not support 0.0 with this model"),
        complain("response_format json_schema is not supported"),
        ok(&openai_reply("plain")),
    ];
    Mock::given(method("POST"))
        .respond_with(Sequence(answers, AtomicUsize::new(0)))
        .mount(&server)
        .await;
    let model = model("openai:m", &server.uri());
    for _ in 0..2 {
        assert_eq!(model.complete(&with_schema()).await.unwrap().text, "plain");
    }
    let sent = sent(&server).await;
    assert_eq!(sent.len(), 5, "remembered for the second call");
    let last = sent.last().unwrap();
    assert_eq!(last["max_tokens"], 100);
    for gone in ["temperature", "response_format", "max_completion_tokens"] {
        assert!(last.get(gone).is_none(), "{last}");
        assert!(sent[0].get(gone).is_some());
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    type Is = fn(&ModelError) -> bool;
    let table: [(&str, Is); 8] = [
        ("<html>hello</html>", |e| {
            matches!(e, ModelError::NotJson { .. })
        }),
        ("", |e| matches!(e, ModelError::NotJson { .. })),
        ("{\"a\":1,\"a\":2}", |e| {
            matches!(e, ModelError::NotJson { .. })
        }),
        ("{\"choices\":[{\"mess", |e| {
            matches!(e, ModelError::CutOff { .. })
        }),
        ("{\"choices\":[]}", |e| {
            matches!(e, ModelError::Malformed { .. })
        }),
        ("{\"choices\":{\"0\":7}}", |e| {
            matches!(e, ModelError::Malformed { .. })
        }),
        ("[]", |e| matches!(e, ModelError::Malformed { .. })),
        (
            "{\"error\":{\"message\":\"overloaded\"}}",
            |e| matches!(e, ModelError::Malformed { detail, .. } if detail == "overloaded"),
        ),
    ];
    for (body, is) in table {
        let server = serve(vec![ResponseTemplate::new(200).set_body_string(body)]).await;
        let error = model("openai:m", &server.uri())
            .complete(&request())
            .await
            .unwrap_err();
        assert!(is(&error), "{body}: {error:?}");
        assert_eq!(hits(&server).await, 1, "{body}");
    }
    let deep = "[".repeat(100_000);
    let server = serve(vec![ResponseTemplate::new(200).set_body_string(deep)]).await;
    let error = model("openai:m", &server.uri()).complete(&request()).await;
    assert!(matches!(error, Err(ModelError::NotJson { .. })));
}

/// A listener that reads one request and hands the socket to `answer`, for every connection.
pub(crate) fn raw(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                // The tests' requests are small; their JSON ends with the one closing brace.
                while !seen.ends_with(b"}") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => seen.extend_from_slice(&buffer[..n]),
                    }
                }
                answer(stream);
            });
        }
    });
    address
}

pub(crate) async fn raw_error(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> ModelError {
    let address = raw(answer);
    let model = model("openai:m", &format!("http://{address}"));
    model.complete(&request()).await.unwrap_err()
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn cut_streams() {
    let with_length = raw_error(|mut s| {
        let _ = write!(s, "{HEAD}content-length: 500\r\n\r\n{{\"choices\":[");
    })
    .await;
    assert!(
        matches!(with_length, ModelError::CutOff { received: 12, .. }),
        "{with_length:?}"
    );
    let chunked = raw_error(|mut s| {
        let _ = write!(
            s,
            "{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{{\"cho\r\n"
        );
    })
    .await;
    assert!(matches!(chunked, ModelError::CutOff { .. }), "{chunked:?}");
    let until_close = raw_error(|mut s| {
        let _ = write!(s, "{HEAD}connection: close\r\n\r\n{{\"choices\":[");
    })
    .await;
    assert!(
        matches!(until_close, ModelError::CutOff { .. }),
        "{until_close:?}"
    );
    let nothing = raw_error(drop).await;
    assert!(
        matches!(nothing, ModelError::CutOff { received: 0, .. }),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn slow_drips() {
    let hold = Duration::from_secs(20);
    let stalls = raw_error(move |mut s| {
        let _ = write!(s, "{HEAD}content-length: 500\r\n\r\n{{");
        thread::sleep(hold);
    })
    .await;
    assert!(
        matches!(
            stalls,
            ModelError::Timeout {
                phase: Phase::Idle,
                ..
            }
        ),
        "{stalls:?}"
    );
    // A byte now and then is never idle: the deadline ends it.
    let address = raw(|mut s| {
        let _ = write!(s, "{HEAD}content-length: 100000\r\n\r\n");
        while s.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let model = model("openai:m", &format!("http://{address}"));
    let short = ModelRequest {
        deadline: Instant::now() + Duration::from_millis(900),
        ..request()
    };
    let drips = model.complete(&short).await.unwrap_err();
    assert!(
        matches!(
            drips,
            ModelError::Timeout {
                phase: Phase::Total,
                ..
            }
        ),
        "{drips:?}"
    );
    // So does it where no byte ever comes.
    let silent = raw(move |_s| thread::sleep(hold));
    let model = self::model("openai:m", &format!("http://{silent}"));
    let short = ModelRequest {
        deadline: Instant::now() + Duration::from_millis(300),
        ..request()
    };
    let waits = model.complete(&short).await.unwrap_err();
    assert!(
        matches!(
            waits,
            ModelError::Timeout {
                phase: Phase::Total,
                ..
            }
        ),
        "{waits:?}"
    );
}

/// The client must hang up: the server cannot get rid of its bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_not_read() {
    const FLOOD: usize = 64 << 20;
    for declared in [true, false] {
        let (sent, received) = std::sync::mpsc::channel();
        let address = raw(move |mut s| {
            let length = if declared {
                format!("content-length: {FLOOD}\r\n")
            } else {
                "connection: close\r\n".to_owned()
            };
            let _ = write!(s, "{HEAD}{length}\r\n");
            let part = vec![b' '; 64 << 10];
            let mut total = 0;
            while total < FLOOD && s.write_all(&part).is_ok() {
                total += part.len();
            }
            let _ = sent.send(total);
        });
        let model = model("openai:m", &format!("http://{address}"));
        let error = model.complete(&request()).await.unwrap_err();
        assert!(matches!(error, ModelError::TooLarge { .. }), "{error:?}");
        let total = received.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(total < FLOOD / 2, "{total} bytes were taken");
    }
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let model = model("openai:m", "http://127.0.0.1:1");
    let error = model.complete(&request()).await.unwrap_err();
    assert!(
        matches!(error, ModelError::Connect { attempts: 3, .. }),
        "{error:?}"
    );
    assert_clean(&error);
}

#[tokio::test]
async fn https_with_ring_reaches_the_handshake() {
    // Plain text where TLS was meant: the handshake fails, so the provider is there and working.
    let address = raw(|_| {});
    let spec = ModelSpec::parse("openai:m").unwrap();
    let model = match HttpModel::new(&spec, options(&format!("https://{address}"))) {
        Ok(model) => model,
        // A machine without CA certificates says so.
        Err(SetupError::Client(_)) => return,
        Err(e) => panic!("{e:?}"),
    };
    let short = ModelRequest {
        deadline: Instant::now() + Duration::from_millis(500),
        ..request()
    };
    assert!(model.complete(&short).await.is_err());
}

#[test]
fn setup_is_checked() {
    let spec = |s| ModelSpec::parse(s).unwrap();
    let new = |s, o| HttpModel::new(&spec(s), o).err();
    let none = HttpOptions::default;
    assert!(matches!(
        new("openai:m", none()),
        Some(SetupError::NoKey { .. })
    ));
    assert!(matches!(
        new("anthropic:m", none()),
        Some(SetupError::NoKey { .. })
    ));
    assert!(matches!(
        new("composer", none()),
        Some(SetupError::NotHttp(_))
    ));
    let bad = options("http://user:pw@host");
    assert!(matches!(new("openai:m", bad), Some(SetupError::BadUrl)));
    let plain = options("http://models.example.org/v1");
    assert!(matches!(
        new("openai:m", plain),
        Some(SetupError::PlainKey { .. })
    ));
    assert!(new("openai:m", options("http://127.0.0.1:8080/v1")).is_none());
    let none_sent = HttpOptions {
        key: None,
        ..options("http://models.example.org/v1")
    };
    assert!(new("openai:m", none_sent).is_none());
    let key = HttpOptions {
        key: Secret::new("a\nb"),
        ..options("https://h")
    };
    assert!(matches!(new("openai:m", key), Some(SetupError::BadKey)));
    assert!(!format!("{:?}", options("http://h")).contains(KEY));
}

/// The one that matters: a cancelled call closes its connection.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_call_hangs_up() {
    let (closed, was_closed) = std::sync::mpsc::channel();
    let address = raw(move |mut s| {
        let _ = closed.send(s.read(&mut [0; 16]).unwrap_or(0) == 0);
    });
    let model = model("openai:m", &format!("http://{address}"));
    let request = request();
    let call = tokio::time::timeout(Duration::from_millis(200), model.complete(&request));
    assert!(call.await.is_err());
    assert!(was_closed.recv_timeout(Duration::from_secs(20)).unwrap());
}
