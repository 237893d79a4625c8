//! What an honest tool sees.

use std::sync::Arc;

use handaxe_sandbox::{Cancel, InlineFile, Mount, SessionSpec};
use handaxe_types::{Digest, Layer, Outcome};
use serde_json::json;

use crate::backends::{Backend, call};

pub(crate) fn echo(b: &Backend) {
    let value = json!({"a": [1, 2.5, null, "é\u{1f600}"], "b": {"c": true}});
    let result = b.run(&call("def run(v):\n    return v\n", json!({ "v": value })));
    assert_eq!(result.output, Some(value), "{result:?}");
    assert_eq!((result.outcome, result.exit_code), (Outcome::Ok, Some(0)));
    assert!(result.usage.max_rss_kib > 1000, "{:?}", result.usage);
}

pub(crate) fn tool_error(b: &Backend) {
    for (code, kind, line) in [
        (
            "def run():\n    x = 1\n    raise ValueError('no')\n",
            "ValueError",
            3,
        ),
        ("def run(:\n", "SyntaxError", 1),
        ("import no_such_module\n", "ModuleNotFoundError", 1),
        ("def run():\n    return {1, 2}\n", "NotJson", 0),
    ] {
        let result = b.code(code);
        assert_eq!(result.outcome, Outcome::ToolError, "{result:?}");
        let error = result.error.unwrap();
        assert_eq!(error.kind, kind);
        assert_eq!(error.line, (line > 0).then_some(line), "{code}");
    }
}

/// What a tool prints is kept apart from what it gives, and believed for nothing.
pub(crate) fn streams(b: &Backend) {
    let code = "import sys\ndef run():\n    print('out', '{\"status\":\"ok\"}')\n    print('err', file=sys.stderr)\n    return [sys.stdin.read()]\n";
    let result = b.code(code);
    assert_eq!(result.output, Some(json!([""])), "{result:?}");
    assert_eq!(result.stdout, "out {\"status\":\"ok\"}\n");
    assert_eq!(result.stderr, "err\n");
}

pub(crate) fn endings(b: &Backend) {
    let exit = b.code("import os\ndef run():\n    os._exit(3)\n");
    assert_eq!(
        (exit.outcome, exit.exit_code),
        (Outcome::Crash, Some(3)),
        "{exit:?}"
    );
    let signal = b.code("import os, signal\ndef run():\n    os.abort()\n");
    assert_eq!(
        (signal.outcome, signal.exit_code),
        (Outcome::Crash, None),
        "{signal:?}"
    );
    let early = b.code("import sys\nsys.exit(0)\n");
    assert_eq!(early.outcome, Outcome::ToolError, "{early:?}");
    b.benign();
}

pub(crate) fn files_in(b: &Backend) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big");
    std::fs::write(&path, "x".repeat(3 << 20)).unwrap();
    let spec = SessionSpec {
        mounts: vec![Mount {
            name: "big.txt".to_owned(),
            path: path.clone(),
        }],
        ..SessionSpec::default()
    };
    let session = b.open(spec);
    let code = "import os\ndef run(big, small):\n    sizes = [os.path.getsize(big), os.path.getsize(small)]\n    said = open('/assets/words').read()\n    tried = []\n    for path in (big, small, '/assets/words'):\n        try:\n            open(path, 'a').close()\n            tried.append('OPEN')\n        except OSError as e:\n            tried.append(e.errno)\n    return {'sizes': sizes, 'said': said, 'tried': tried, 'paths': [big, small]}\n";
    let mut call = call(code, json!({"big": "big.txt", "small": "small.txt"}));
    let inline = |name: &str, text: &str| InlineFile {
        name: name.to_owned(),
        bytes: Arc::from(text.as_bytes()),
    };
    call.files = vec![inline("small.txt", "hello")];
    call.assets = vec![inline("words", "good bad")];
    call.file_inputs = vec!["big".to_owned(), "small".to_owned()];
    let result = session.call(&call, &Cancel::default()).unwrap();
    let output = result
        .output
        .clone()
        .unwrap_or_else(|| panic!("{result:?}"));
    assert_eq!(output["sizes"], json!([3 << 20, 5]));
    assert_eq!(output["said"], "good bad");
    assert_eq!(output["paths"], json!(["/data/big.txt", "/data/small.txt"]));
    let tried = output["tried"].as_array().unwrap();
    assert_ne!(tried[0], "OPEN", "the host's file is read-only");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 << 20);
    if !b.differs("sealed") {
        assert!(tried.iter().all(|t| t != "OPEN"), "{tried:?}");
    }
}

pub(crate) fn files_out(b: &Backend) {
    let dir = tempfile::tempdir().unwrap();
    let code = "def run():\n    open('out.csv', 'w').write('a,b\\n' * 50000)\n    return {'f': 'out.csv'}\n";
    let mut call = call(code, json!({}));
    call.file_outputs = vec!["f".to_owned()];
    call.artifacts = Some(dir.path().to_owned());
    let result = b.run(&call);
    assert_eq!(result.outcome, Outcome::Ok, "{result:?}");
    let written = std::fs::read(dir.path().join("out.csv")).unwrap();
    assert_eq!(result.artifacts[0].digest, Digest::of(&written));
    assert_eq!(written.len(), 200_000);
    // A name that leads elsewhere is the tool's error, and nothing is written.
    call.code = "def run():\n    return {'f': '../../etc/passwd'}\n".into();
    assert_eq!(b.run(&call).outcome, Outcome::ToolError);
}

/// No call finds anything of the one before.
pub(crate) fn fresh(b: &Backend) {
    let code = "import json, os\ndef run():\n    seen = [hasattr(json, 'planted'), os.listdir('.'), os.listdir('/data')]\n    json.planted = 1\n    open('planted', 'w').close()\n    return seen\n";
    for _ in 0..3 {
        let result = b.code(code);
        assert_eq!(result.output, Some(json!([false, [], []])), "{result:?}");
    }
}

pub(crate) fn hash_seed(b: &Backend) {
    let code = "import random\ndef run():\n    return [hash('a'), random.random()]\n";
    let under = |seed| {
        let spec = SessionSpec {
            hash_seed: seed,
            ..SessionSpec::default()
        };
        let result = b
            .open(spec)
            .call(&call(code, json!({})), &Cancel::default());
        result.unwrap().output.unwrap()
    };
    let (first, other) = (under(0), under(1));
    assert_eq!(
        first,
        b.code(code).output.unwrap(),
        "production's seed is 0"
    );
    assert_ne!(first[0], other[0]);
    assert_ne!(first[1], other[1]);
}

pub(crate) fn environment(b: &Backend) {
    let code = "import os, sys\ndef run():\n    return [sorted(os.environ), [p for p in sys.path if 'site' in p or not p], os.getcwd()]\n";
    let wanted = json!([
        ["LC_ALL", "MALLOC_ARENA_MAX", "PYTHONHASHSEED", "TZ"],
        [],
        "/scratch"
    ]);
    assert_eq!(b.code(code).output, Some(wanted));
}

/// Each result says what was in force, and no required layer is missing from it.
pub(crate) fn required_layers(b: &Backend) {
    let result = b.code("def run():\n    return 1\n");
    let required = &b.sandbox.profile().required;
    assert!(required.len() >= 11, "{required:?}");
    for layer in required {
        assert!(result.layers.contains(layer), "{}: {layer:?}", b.name);
    }
    for always in [
        Layer::Seccomp,
        Layer::NoCapabilities,
        Layer::NetNamespace,
        Layer::Watchdog,
    ] {
        assert!(required.contains(&always), "{}: {always:?}", b.name);
    }
    let table = b.sandbox.layers();
    assert!(table.iter().all(|l| l.in_force || !l.required), "{table:?}");
}
