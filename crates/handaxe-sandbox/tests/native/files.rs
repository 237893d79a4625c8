//! Files into a call, and out of it.

use std::sync::Arc;

use handaxe_sandbox::{Call, Cancel, InlineFile, Mount, Sandbox, SandboxError, SessionSpec};
use handaxe_types::{Digest, Outcome};
use serde_json::json;

use crate::support::{benign, call, config, output, run, sandbox_of, session};

fn inline(name: &str, bytes: &[u8]) -> InlineFile {
    InlineFile {
        name: name.to_owned(),
        bytes: Arc::from(bytes),
    }
}

#[test]
fn a_file_has_the_same_path_however_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("real name.csv");
    std::fs::write(&host, "a,b\n1,2\n").unwrap();
    let mounts = vec![Mount {
        name: "big.csv".to_owned(),
        path: host.clone(),
    }];
    let session = sandbox_of(config())
        .open(SessionSpec {
            mounts,
            hash_seed: 0,
        })
        .unwrap();
    let code =
        "def run(f, more):\n    return [f, open(f).read(), [[m, open(m).read()] for m in more]]\n";
    let mut plain = call(code, json!({"f": "big.csv", "more": []}));
    plain.file_inputs = vec!["f".to_owned(), "more".to_owned()];
    assert_eq!(
        output(&run(&session, &plain)),
        &json!(["/data/big.csv", "a,b\n1,2\n", []])
    );

    let mut beside = call(code, json!({"f": "big.csv", "more": ["s.txt", "big.csv"]}));
    beside.file_inputs.clone_from(&plain.file_inputs);
    beside.files = vec![inline("s.txt", b"small")];
    beside.assets = vec![inline("table", b"1")];
    let want = json!([
        "/data/big.csv",
        "a,b\n1,2\n",
        [["/data/s.txt", "small"], ["/data/big.csv", "a,b\n1,2\n"]]
    ]);
    assert_eq!(output(&run(&session, &beside)), &want);

    // None of them can be changed, on either road.
    let attack = "import os\ndef run(paths):\n    found = []\n    for p in paths:\n        for act in (lambda: open(p, 'r+'), lambda: os.unlink(p), lambda: os.truncate(p, 0), lambda: os.rename(p, p + 'x'), lambda: open(p + 'y', 'w')):\n            try:\n                act(); found.append('OK')\n            except OSError as e:\n                found.append(type(e).__name__)\n    return found\n";
    let mut attack = call(
        attack,
        json!({"paths": ["/data/big.csv", "/data/s.txt", "/assets/table"]}),
    );
    attack.files.clone_from(&beside.files);
    attack.assets.clone_from(&beside.assets);
    let result = run(&session, &attack);
    let found = output(&result).as_array().unwrap();
    assert_eq!(found.len(), 15);
    assert!(found.iter().all(|f| f != "OK"), "{found:?}");
    assert_eq!(std::fs::read_to_string(&host).unwrap(), "a,b\n1,2\n");
    benign(&session);
}

#[test]
fn what_cannot_be_attached_is_said_before_anything_runs() {
    let session = session();
    let refuses = |change: &dyn Fn(&mut Call), needle: &str| {
        let mut call = call("def run(**k):\n    return 1\n", json!({"f": "a"}));
        change(&mut call);
        let error = session.call(&call, &Cancel::default()).unwrap_err();
        assert!(
            matches!(&error, SandboxError::File { reason, .. } if reason.contains(needle)),
            "{needle}: {error:?}"
        );
    };
    for name in ["", ".", "..", "a/b", "/etc/passwd", "a\0b", "a\nb"] {
        refuses(&|c| c.files = vec![inline(name, b"")], "plain component");
        refuses(&|c| c.assets = vec![inline(name, b"")], "plain component");
    }
    refuses(
        &|c| c.files = vec![inline("a", b""), inline("a", b"")],
        "another file",
    );
    refuses(
        &|c| c.files = vec![inline("a", &vec![0; (1 << 20) + 1])],
        "1 MiB",
    );
    refuses(&|c| c.file_inputs = vec!["f".to_owned()], "attached");
    let open = |mounts| {
        sandbox_of(config())
            .open(SessionSpec {
                mounts,
                hash_seed: 0,
            })
            .map(drop)
    };
    for (name, path) in [("d", "/tmp"), ("a/b", "/etc/passwd"), ("x", "/nonexistent")] {
        let mount = Mount {
            name: name.to_owned(),
            path: path.into(),
        };
        assert!(
            matches!(open(vec![mount]), Err(SandboxError::File { .. })),
            "{name}"
        );
    }
}

#[test]
fn files_are_handed_back_by_name() {
    let session = session();
    let code = "def run():\n    open('out.csv', 'w').write('a,b\\n' * 50000)\n    open('empty', 'w').close()\n    open('unnamed', 'w').close()\n    return {'f': 'out.csv', 'g': ['empty'], 'h': None}\n";
    let dir = tempfile::tempdir().unwrap();
    let mut call = call(code, json!({}));
    call.file_outputs = ["f", "g", "h"].map(str::to_owned).to_vec();
    // Without a place to put them they are only named.
    assert!(run(&session, &call).artifacts.is_empty());
    call.artifacts = Some(dir.path().to_owned());
    let result = run(&session, &call);
    assert_eq!(result.outcome, Outcome::Ok, "{result:?}");
    let names: Vec<_> = result
        .artifacts
        .iter()
        .map(|a| (a.name.as_str(), a.bytes))
        .collect();
    assert_eq!(names, [("out.csv", 200_000), ("empty", 0)]);
    let written = std::fs::read(dir.path().join("out.csv")).unwrap();
    assert_eq!(result.artifacts[0].digest, Digest::of(&written));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    // What is there is not overwritten.
    let again = session.call(&call, &Cancel::default());
    assert!(
        matches!(again, Err(SandboxError::Artifact { .. })),
        "{again:?}"
    );
}
