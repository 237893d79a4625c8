//! Many inputs in one process: what a call would give for each, and nobody blamed for another.

use std::time::Duration;

use handaxe_sandbox::{Batch, BatchRun, BatchStop, Cancel, InlineFile};
use handaxe_types::{LimitHit, Outcome};
use serde_json::{Map, Value, json};

use crate::support::{call, output, run, session};

fn inputs(values: &[Value]) -> Vec<Map<String, Value>> {
    values
        .iter()
        .map(|v| v.as_object().unwrap().clone())
        .collect()
}

fn batch(code: &str, values: &[Value], change: impl FnOnce(&mut Batch)) -> BatchRun {
    let mut batch = Batch::of(&call(code, json!({})), inputs(values));
    change(&mut batch);
    let run = batch.run(&*session(), &Cancel::default()).unwrap();
    for item in &run.items {
        assert_eq!(item.output.is_some(), item.outcome == Outcome::Ok);
    }
    run
}

/// Everything that can come of a call, chosen by the input.
const MOODS: &str = r"
import os
seen = []
def run(mood: str) -> list:
    seen.append(mood)
    if mood == 'raise':
        raise ValueError('no')
    if mood == 'errno':
        open('/nowhere')
    if mood == 'nan':
        return [float('nan')]
    if mood == 'huge':
        return [2 ** 70]
    if mood == 'set':
        return {1, 2}
    if mood == 'exit':
        os._exit(3)
    if mood == 'quit':
        raise SystemExit(1)
    if mood == 'spin':
        while True: pass
    if mood == 'hold':
        return len([b'x' * (1 << 20) for _ in range(4096)])
    if mood == 'flood':
        print('y' * (1 << 20))
    if mood == 'long':
        return ['z' * (9 << 20)]
    if mood == 'file':
        open('kept', 'x').close()
    return seen
";

#[test]
fn each_input_ends_as_its_own_call_does() {
    let moods = [
        "a", "raise", "file", "errno", "nan", "exit", "b", "huge", "file", "set", "hold", "quit",
        "spin", "flood", "long", "c",
    ];
    let values: Vec<Value> = moods.iter().map(|m| json!({"mood": m})).collect();
    let many = batch(MOODS, &values, |b| b.limits.wall_ms = 1500);
    assert_eq!((many.items.len(), many.stopped), (moods.len(), None));
    let session = session();
    for ((mood, value), item) in moods.iter().zip(&values).zip(&many.items) {
        let mut one = call(MOODS, value.clone());
        one.limits.wall_ms = 1500;
        let alone = run(&session, &one);
        assert_eq!(
            (item.outcome, item.limit, &item.output),
            (alone.outcome, alone.limit, &alone.output),
            "{mood}: {item:?}"
        );
        let words = |e: &Option<handaxe_types::RunError>| {
            e.as_ref()
                .map(|e| (e.kind.clone(), e.line, e.errno.clone()))
        };
        assert_eq!(words(&item.error), words(&alone.error), "{mood}");
    }
}

#[test]
fn hundreds_share_a_process() {
    let values: Vec<Value> = (0..300).map(|n| json!({ "n": n })).collect();
    let many = batch("def run(n):\n    return n * 2\n", &values, |_| {});
    assert_eq!((many.processes, many.items.len()), (1, 300));
    for (n, item) in many.items.iter().enumerate() {
        assert_eq!(item.output, Some(json!(n * 2)));
        assert!(item.elapsed.is_some_and(|t| t > Duration::ZERO));
    }
}

#[test]
fn a_bound_stops_it_and_says_which() {
    let code = "import os\ndef run():\n    os._exit(1)\n";
    let dying = batch(code, &vec![json!({}); 20], |b| b.deaths = 3);
    assert_eq!(
        (dying.items.len(), dying.stopped),
        (3, Some(BatchStop::Deaths))
    );
    assert!(dying.items.iter().all(|i| i.outcome == Outcome::Crash));
    let slow = batch(code, &vec![json!({}); 20], |b| b.patience = Duration::ZERO);
    assert_eq!(
        (slow.items.len(), slow.stopped),
        (1, Some(BatchStop::Patience))
    );
}

/// The time that many take together is not held against the last of them.
#[test]
fn limits_are_of_one_input() {
    let code = "import time\ndef run():\n    time.sleep(0.2)\n    return 1\n";
    let many = batch(code, &vec![json!({}); 8], |b| b.limits.wall_ms = 700);
    assert!(
        many.items.iter().all(|i| i.outcome == Outcome::Ok),
        "{many:?}"
    );
    assert!((2..=8).contains(&many.processes), "{}", many.processes);
}

#[test]
fn what_does_not_compile_says_so_for_every_input() {
    let many = batch("def run(:\n", &[json!({}), json!({})], |_| {});
    let kinds: Vec<_> = many
        .items
        .iter()
        .map(|i| i.error.as_ref().map(|e| (e.kind.as_str(), e.line)))
        .collect();
    assert_eq!(kinds, [Some(("SyntaxError", Some(1))); 2]);
}

#[test]
fn a_forged_answer_is_the_tools_own_failure() {
    let code = "import sys\ndef run():\n    f = sys._getframe(1)\n    f.f_locals['items'].extend([1, 2])\n    return 1\n";
    let many = batch(code, &[json!({}), json!({})], |_| {});
    assert!(many.items.iter().all(|i| i.outcome == Outcome::Protocol));
    // A mark of its own can only cost the tool another process.
    let code = "import os\ndef run(n):\n    os.write(2, b'\\x1e999999\\n')\n    if n == 1: os._exit(1)\n    return n\n";
    let values: Vec<Value> = (0..3).map(|n| json!({ "n": n })).collect();
    let many = batch(code, &values, |_| {});
    let ends: Vec<_> = many.items.iter().map(|i| i.outcome).collect();
    assert_eq!(ends, [Outcome::Ok, Outcome::Crash, Outcome::Ok]);
}

#[test]
fn files_are_there_for_every_input() {
    let code = "def run(file):\n    with open(file) as f:\n        return f.read()\n";
    let values = [json!({"file": "a.txt"}), json!({"file": "b.txt"})];
    let many = batch(code, &values, |b| {
        for name in ["a.txt", "b.txt"] {
            let bytes = name.as_bytes().into();
            let name = name.to_owned();
            b.files.push(InlineFile { name, bytes });
        }
        b.file_inputs = vec!["file".to_owned()];
    });
    let outputs: Vec<_> = many.items.iter().map(|i| i.output.clone()).collect();
    assert_eq!(outputs, [Some(json!("a.txt")), Some(json!("b.txt"))]);
}

/// An observer sees the tool's lines, and those of nobody else.
#[test]
fn an_observer_sees_which_lines_ran() {
    let code = "def run(n):\n    if n > 1:\n        return 'many'\n    return 'few'\n";
    let observer = "
import sys
lines = set()
def local(frame, event, _):
    if event == 'line':
        lines.add(frame.f_lineno)
    return local
def enter():
    sys.settrace(lambda frame, *_: local if frame.f_code.co_filename == 'tool.py' else None)
def leave():
    sys.settrace(None)
def report():
    return sorted(lines)
";
    let seen = |n: i32| {
        let many = batch(code, &[json!({ "n": n })], |b| {
            b.observer = Some(observer.into());
        });
        many.observed
    };
    assert_eq!(seen(2), [json!([1, 2, 3])]);
    assert_eq!(seen(1), [json!([1, 2, 4])]);
}

/// The order of a set and `random` are a call's, whatever came before.
#[test]
fn chance_is_the_same_for_every_input() {
    let code = "import random\ndef run():\n    return [random.random(), list({'a', 'b', 'c'})]\n";
    let many = batch(code, &[json!({}), json!({})], |_| {});
    let alone = run(&session(), &call(code, json!({})));
    for item in &many.items {
        assert_eq!(item.output.as_ref(), Some(output(&alone)));
    }
    assert_eq!(many.items[0].limit, None::<LimitHit>);
}
