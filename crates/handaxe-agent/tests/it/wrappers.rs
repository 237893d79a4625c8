//! What stands around the wire: the budget, recordings and scripts, and the memory of paid calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use handaxe_agent::model::{
    Bound, Budget, Budgeted, Finish, Memo, Model, ModelError, ModelReply, ModelRequest, Recorder,
    Replay, ReplyStore, RoleName, StoreError,
};
use handaxe_types::Digest;
use serde_json::Value;

use crate::wire::{KEY, model, ok, openai_reply, raw, request, serve, with_schema};

#[tokio::test]
async fn a_budget_stops_the_next_call() {
    let server = serve(vec![ok(&openai_reply("x"))]).await;
    let budget = Arc::new(Budget::new(30, Duration::from_mins(1)));
    let model = Budgeted::new(model("openai:m", &server.uri()), Arc::clone(&budget));
    let mut calls = 0;
    let stopped = loop {
        match model.complete(&request()).await {
            Ok(_) => calls += 1,
            Err(ModelError::Budget(stopped)) => break stopped,
            Err(e) => panic!("{e:?}"),
        }
    };
    assert_eq!(
        (calls, stopped.bound, stopped.spent),
        (2, Bound::Tokens, 28)
    );
    let sent: Value = server.received_requests().await.unwrap()[1]
        .body_json()
        .unwrap();
    assert!(
        sent["max_completion_tokens"].as_u64().unwrap() < 16,
        "clamped to what is left"
    );

    let spent = Budgeted::new(
        self::model("openai:m", &server.uri()),
        Arc::new(Budget::new(1000, Duration::ZERO)),
    );
    let error = spent.complete(&request()).await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Budget(b) if b.bound == Bound::WallTime),
        "{error:?}"
    );
    // A call cut short by the run's own end is the budget's doing.
    let silent = raw(|_s| thread::sleep(Duration::from_secs(20)));
    let ends = Budgeted::new(
        self::model("openai:m", &format!("http://{silent}")),
        Arc::new(Budget::new(1000, Duration::from_millis(200))),
    );
    let error = ends.complete(&request()).await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Budget(b) if b.bound == Bound::WallTime),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_recording_replays_for_its_prompts_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("talk.jsonl");
    let server = serve(vec![ok(&openai_reply("one")), ok(&openai_reply("two"))]).await;
    let recorder = Recorder::create(&file, model("openai:m", &server.uri())).unwrap();
    let live = [
        recorder.complete(&request()).await.unwrap(),
        recorder.complete(&with_schema()).await.unwrap(),
    ];
    assert!(Recorder::create(&file, model("openai:m", &server.uri())).is_err());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(r#"{"kind":"recording","provider":"openai","model":"m","date":"2"#));
    assert!(!text.contains(KEY));

    let replay = Replay::open(&file).unwrap();
    assert_eq!(replay.remote(), None);
    for want in &live {
        assert_eq!(&replay.complete(&request()).await.unwrap(), want);
    }
    assert_eq!(replay.left_over(), 0);
    let error = replay.complete(&request()).await.unwrap_err();
    assert!(matches!(error, ModelError::NoRecording { index: 3, .. }));

    let replay = Replay::open(&file).unwrap();
    let other = ModelRequest {
        system: "be long".to_owned(),
        ..request()
    };
    let error = replay.complete(&other).await.unwrap_err();
    assert!(matches!(error, ModelError::NoRecording { index: 1, .. }));
}

#[tokio::test]
async fn scripts() {
    let script = r#"{"kind":"scripted","note":"by hand"}
        {"role":"author","reply":["a","b"]}
        {"role":"planner","reply":{"route":"direct"}}
        {"role":"planner","fault":"cut_off"}
        {"role":"planner","repeat":"x","times":10000000}
        {"role":"planner","repeat":"xy","times":3,"finish":"length"}"#;
    let replay = Replay::parse("s", script).unwrap();
    let ask = async |role| {
        let request = ModelRequest { role, ..request() };
        replay.complete(&request).await
    };
    assert_eq!(
        ask(RoleName::Planner).await.unwrap().text,
        r#"{"route":"direct"}"#
    );
    assert!(matches!(
        ask(RoleName::Planner).await,
        Err(ModelError::CutOff { .. })
    ));
    assert!(matches!(
        ask(RoleName::Planner).await,
        Err(ModelError::TooLarge { .. })
    ));
    let last = ask(RoleName::Planner).await.unwrap();
    assert_eq!(
        (last.text.as_str(), last.finish),
        ("xyxyxy", Finish::Length)
    );
    assert_eq!(last.model, "scripted");
    assert_eq!(ask(RoleName::Author).await.unwrap().text, "a\nb");

    let bad = [
        ("", "empty"),
        ("{}", "line 1"),
        (r#"{"kind":"recording"}"#, "names its provider"),
        ("{\"kind\":\"scripted\"}\n\n{\"role\":\"author\"}", "line 3"),
        (
            "{\"kind\":\"scripted\"}\n{\"role\":\"author\",\"reply\":\"a\",\"fault\":\"server\"}",
            "exactly one",
        ),
        (
            "{\"kind\":\"scripted\"}\n{\"role\":\"king\",\"reply\":\"a\"}",
            "line 2",
        ),
        (
            "{\"kind\":\"recording\",\"provider\":\"p\",\"model\":\"m\",\"date\":\"d\"}\n{\"role\":\"author\",\"reply\":\"a\"}",
            "prompt_digest",
        ),
    ];
    for (text, needle) in bad {
        let error = Replay::parse("s", text).err().unwrap().to_string();
        assert!(error.contains(needle), "{text}: {error}");
    }
}

/// The replies of one run, as a process after it finds them.
#[derive(Default)]
struct Kept(Mutex<HashMap<Digest, ModelReply>>);

impl ReplyStore for &Kept {
    fn get(&self, key: &Digest) -> Result<Option<ModelReply>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn put(&self, key: &Digest, reply: &ModelReply) -> Result<(), StoreError> {
        self.0.lock().unwrap().insert(*key, reply.clone());
        Ok(())
    }
}

#[tokio::test]
async fn a_resumed_run_pays_nothing_twice() {
    let script = r#"{"kind":"scripted"}
        {"role":"planner","reply":"first","usage":{"input":7,"output":3}}
        {"role":"planner","reply":"second","usage":{"input":7,"output":3}}"#;
    let kept = Kept::default();
    let other = ModelRequest {
        system: "another prompt".to_owned(),
        ..request()
    };
    for (asked, want) in [
        (vec![request()], vec!["first"]),
        // The next process: the first is remembered, and the script goes on with the second.
        (vec![request(), other.clone()], vec!["first", "second"]),
        (vec![request(), other], vec!["first", "second"]),
    ] {
        let budget = Arc::new(Budget::new(1000, Duration::from_mins(1)));
        let replay = Arc::new(Replay::parse("s", script).unwrap());
        let budgeted = Budgeted::new(Arc::clone(&replay), Arc::clone(&budget));
        let model = Memo::new(budgeted, &kept);
        for (request, want) in asked.iter().zip(&want) {
            assert_eq!(model.complete(request).await.unwrap().text, *want);
        }
        // What was paid before counts, and the script stands where it would.
        assert_eq!(budget.spent(), 10 * want.len() as u64);
        assert_eq!(replay.left_over(), 2 - want.len());
    }
    // A key does not hang on what is left of the budget or the time.
    let later = ModelRequest {
        max_tokens: 5,
        deadline: Instant::now(),
        ..request()
    };
    let id = handaxe_agent::model::ModelId {
        provider: "p".to_owned(),
        name: "n".to_owned(),
    };
    assert_eq!(later.key(&id), request().key(&id));
    assert_ne!(with_schema().key(&id), request().key(&id));
}
