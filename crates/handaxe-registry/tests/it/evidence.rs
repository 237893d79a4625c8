//! The evidence of a version: what it says, who signed it, and that nothing of it can be changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handaxe_registry::{Files, FolderProblem, Inspection, KeyState, PublicKey, inspect_folder};
use handaxe_types::{Asset, Author, Digest};
use serde_json::{Value, json};

use crate::common::{Home, approver, draft, profile, tool};

fn registered() -> (Home, Files) {
    let home = Home::new();
    let mut draft = draft("count_text", "how long?");
    draft
        .assets
        .insert("lex.txt".into(), Asset(b"a\n".to_vec()));
    home.register(&draft);
    let (_, files) = home.registry.folder(&tool("count_text")).unwrap().unwrap();
    (home, files)
}

fn keys(home: &Home) -> Vec<PublicKey> {
    home.registry.home_keys().unwrap()
}

fn kinds(found: &Inspection) -> Vec<&'static str> {
    found.problems.iter().map(FolderProblem::kind).collect()
}

fn payload(files: &Files, file: &str) -> Value {
    let envelope: Value = serde_json::from_slice(&files[file]).unwrap();
    let bytes = STANDARD
        .decode(envelope["payload"].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn it_says_what_the_published_formats_ask_for() {
    let (home, files) = registered();
    let evidence = payload(&files, "evidence.json");
    assert_eq!(evidence["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(
        evidence["predicateType"],
        "https://in-toto.io/attestation/test-result/v0.1"
    );
    let draft = draft("count_text", "how long?");
    let subject = |name: &str| {
        evidence["subject"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["name"] == name)
            .unwrap()["digest"]
            .clone()
    };
    for (file, bytes) in &files {
        if !["evidence.json", "provenance.json"].contains(&file.as_str()) {
            assert_eq!(subject(file)["sha256"], Digest::of(bytes).to_string());
        }
    }
    assert_eq!(
        subject("tool.py")["sha256"],
        Digest::of(draft.code.as_bytes()).to_string()
    );
    let predicate = &evidence["predicate"];
    assert_eq!(predicate["result"], "PASSED");
    assert_eq!(
        predicate["passedTests"],
        json!(["author/three letters", "tester/none"])
    );
    assert_eq!(predicate["failedTests"], json!([]));
    assert!(predicate["configuration"][0]["digest"]["sha256"].is_string());
    let proof = &predicate["handaxe_proof"];
    assert_eq!(proof["cases"]["tester"][0]["held_out"], true);
    assert_eq!(proof["sandbox"]["profile"], profile().digest().to_string());
    assert_eq!(proof["interpreter"], "CPython 3.11.2");

    let provenance = payload(&files, "provenance.json");
    assert_eq!(
        provenance["predicateType"],
        "https://slsa.dev/provenance/v1"
    );
    assert_eq!(provenance["subject"], evidence["subject"]);
    let predicate = &provenance["predicate"];
    assert_eq!(
        predicate["buildDefinition"]["externalParameters"],
        json!({ "task": "how long?", "model": "composer" })
    );
    assert!(predicate["runDetails"]["builder"]["id"].is_string());
    let finished = predicate["runDetails"]["metadata"]["finishedOn"].as_str();
    assert!(
        finished.unwrap().starts_with("2023-11-14T22:13:20"),
        "{finished:?}"
    );
    assert_eq!(predicate["handaxe_approval"]["approver"], "alice");
    let shown = home.registry.tool(&tool("count_text")).unwrap().unwrap();
    let shown = shown.evidence.unwrap();
    assert_eq!(
        (shown.test_result, shown.provenance),
        (evidence, provenance)
    );
    assert_eq!(shown.key, home.registry.home_key().unwrap().key);
}

#[test]
fn a_models_exchange_and_a_runs_attempts_are_in_the_provenance() {
    let home = Home::new();
    let run = home
        .registry
        .start_run(&crate::common::task("how long?"))
        .unwrap();
    let mut made = draft("count_text", "how long?");
    made.provenance.author = Author::Model {
        model: "openai:some-model".into(),
        prompts: vec![Digest::of(b"p1"), Digest::of(b"p2")],
        replies: vec![Digest::of(b"r1"), Digest::of(b"r2")],
    };
    home.registry
        .record_attempt(
            run.id(),
            &handaxe_registry::Attempt {
                n: 1,
                draft: Some(made.clone()),
                ..Default::default()
            },
        )
        .unwrap();
    let request = home.propose(&made, Some(run.id()));
    home.registry
        .approve_and_register(
            request.id,
            request.subject,
            "alice",
            handaxe_types::ApprovalMethod::Command,
        )
        .unwrap();
    let (_, files) = home.registry.folder(&tool("count_text")).unwrap().unwrap();
    let predicate = &payload(&files, "provenance.json")["predicate"];
    let definition = &predicate["buildDefinition"];
    assert_eq!(
        definition["externalParameters"]["model"],
        "openai:some-model"
    );
    let names: Vec<&str> = definition["resolvedDependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["task.json", "prompt/1", "prompt/2", "reply/1", "reply/2"]
    );
    assert_eq!(
        predicate["runDetails"]["byproducts"][0]["name"],
        "attempt/1/draft"
    );
    assert_eq!(
        predicate["runDetails"]["metadata"]["invocationId"],
        run.id().as_str()
    );
}

#[test]
fn a_folder_is_what_was_signed_and_by_whom() {
    let (home, mut files) = registered();
    let found = inspect_folder(&files, &keys(&home));
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert!(found.trusted);
    assert_eq!(found.tool, Some(tool("count_text@1")));
    assert_eq!(found.draft.unwrap().cases.len(), 2);
    assert!(found.proof.unwrap().accepted);
    // A machine that has never seen this home: it holds together, and nobody vouches for the key.
    let found = inspect_folder(&files, &[]);
    assert!(found.problems.is_empty());
    assert!(!found.trusted);
    assert_eq!(
        found.signer.map(|k| k.id()),
        keys(&home).first().map(PublicKey::id)
    );
    // A note in the folder is nobody's business, and is named.
    files.insert("my notes.txt".into(), b"mine".to_vec());
    let found = inspect_folder(&files, &[]);
    assert!(found.problems.is_empty());
    assert_eq!(found.not_covered, ["my notes.txt"]);
    // An old key still verifies after a rotation; not once it was revoked.
    let old = home.registry.rotate_key().unwrap().old.unwrap();
    assert!(inspect_folder(&files, &keys(&home)).trusted);
    home.registry
        .end_key(&old.to_string(), KeyState::Revoked, "leaked")
        .unwrap();
    assert!(!inspect_folder(&files, &keys(&home)).trusted);
}

#[test]
fn no_file_can_be_changed_removed_or_added() {
    let (home, good) = registered();
    let trusted = keys(&home);
    for file in good.keys() {
        for change in ["append", "flip", "empty", "remove"] {
            let mut files = good.clone();
            let bytes = files.get_mut(file).unwrap();
            match change {
                "append" => bytes.push(b' '),
                "flip" => {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                "empty" => bytes.clear(),
                _ => {
                    files.remove(file);
                }
            }
            let signed = ["evidence.json", "provenance.json"].contains(&file.as_str());
            if signed && change == "append" {
                // White space after the envelope is outside of what is signed, and says nothing.
                assert!(inspect_folder(&files, &trusted).problems.is_empty());
                continue;
            }
            let found = inspect_folder(&files, &trusted);
            assert!(!found.problems.is_empty(), "{file}: {change}");
        }
    }
    let mut files = good.clone();
    files.insert("assets/more.txt".into(), b"x".to_vec());
    assert!(kinds(&inspect_folder(&files, &trusted)).contains(&"added"));
}

fn edit(files: &mut Files, file: &str, change: impl Fn(&mut Value)) {
    let mut envelope: Value = serde_json::from_slice(&files[file]).unwrap();
    change(&mut envelope);
    files.insert(file.to_owned(), envelope.to_string().into_bytes());
}

/// Every byte of the payload and of the signature counts.
#[test]
fn the_envelope_cannot_be_changed() {
    let (home, good) = registered();
    let trusted = keys(&home);
    let refused = |files: &Files, kind: &str, what: &str| {
        let found = inspect_folder(files, &trusted);
        assert!(
            kinds(&found).contains(&kind),
            "{what}: {:?}",
            found.problems
        );
        assert!(
            !inspect_folder(files, &[]).problems.is_empty(),
            "{what}, with no key trusted"
        );
    };
    for file in ["evidence.json", "provenance.json"] {
        let text = |v: &Value| STANDARD.decode(v.as_str().unwrap()).unwrap();
        let mut files = good.clone();
        edit(&mut files, file, |e| {
            let payload = String::from_utf8(text(&e["payload"])).unwrap();
            let payload = payload
                .replace("alice", "mallo")
                .replace("PASSED", "WARNED");
            e["payload"] = json!(STANDARD.encode(payload));
        });
        refused(&files, "not_signed", "the payload");
        for bit in [0, 255, 256, 511] {
            let mut files = good.clone();
            edit(&mut files, file, |e| {
                let mut sig = text(&e["signatures"][0]["sig"]);
                sig[bit / 8] ^= 1 << (bit % 8);
                e["signatures"][0]["sig"] = json!(STANDARD.encode(sig));
            });
            refused(&files, "not_signed", "the signature");
        }
        let mut files = good.clone();
        edit(&mut files, file, |e| e["signatures"] = json!([]));
        refused(&files, "not_evidence", "no signature");
        let mut files = good.clone();
        edit(&mut files, file, |e| e["payloadType"] = json!("text/plain"));
        refused(&files, "not_evidence", "another type");
    }
    // Each envelope in the other's place is signed, and is not what belongs there.
    let mut files = good.clone();
    files.insert("evidence.json".into(), good["provenance.json"].clone());
    refused(&files, "statement", "swapped");
}

/// A key that came with the envelope is no trust: swapped or signed anew by another key, the
/// evidence is another's.
#[test]
fn another_key_is_another_signer() {
    let (home, good) = registered();
    let trusted = keys(&home);
    let other = Home::new();
    other.registry.home_key().unwrap();
    let others = keys(&other);
    // The public key in the envelope swapped: the signature does not hold under it.
    let mut files = good.clone();
    for file in ["evidence.json", "provenance.json"] {
        edit(&mut files, file, |e| {
            e["signatures"][0]["publicKey"] = json!(others[0].to_hex());
            e["signatures"][0]["keyid"] = json!(others[0].id());
        });
    }
    assert_eq!(
        kinds(&inspect_folder(&files, &[])),
        ["not_signed", "not_signed"]
    );
    // The reader's own key still verifies it: what the envelope says of keys decides nothing.
    assert!(inspect_folder(&files, &trusted).trusted);

    // The same tool registered, and so signed, elsewhere: whole, and not by a key that is trusted.
    let mut copy = draft("count_text", "how long?");
    copy.assets.insert("lex.txt".into(), Asset(b"a\n".to_vec()));
    other.register(&copy);
    let (_, resigned) = other.registry.folder(&tool("count_text")).unwrap().unwrap();
    let found = inspect_folder(&resigned, &trusted);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert!(!found.trusted);
    // One statement of each.
    let mut mixed = good.clone();
    mixed.insert(
        "provenance.json".into(),
        resigned["provenance.json"].clone(),
    );
    assert_eq!(kinds(&inspect_folder(&mixed, &trusted)), ["unlike"]);
}

/// The approver's own signature is in the evidence, and is checked without the home.
#[test]
fn a_signed_approval_verifies_elsewhere() {
    let home = Home::new();
    let alice = approver(&home, "alice", None);
    let request = home.propose(&draft("count_text", "why"), None);
    let signature = alice.sign_approval(home.registry.home_id(), &request);
    home.registry
        .approve_signed(request.id, request.subject, &signature)
        .unwrap();
    let (_, files) = home.registry.folder(&tool("count_text")).unwrap().unwrap();
    let found = inspect_folder(&files, &keys(&home));
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let approval = found.approval.unwrap();
    assert_eq!(approval.approver_key, Some(alice.public().to_hex()));
}

/// The folder stays as it was signed, whatever a later README would look like.
#[test]
fn the_kept_folder_is_the_signed_one() {
    let (home, files) = registered();
    let dir = home
        .registry
        .tool_dir(&tool("count_text").name, handaxe_types::Version(1));
    for (file, bytes) in &files {
        assert_eq!(&std::fs::read(dir.join(file)).unwrap(), bytes, "{file}");
    }
    home.propose(&draft("waiting_tool", "why"), None);
    assert!(
        home.registry
            .folder(&tool("waiting_tool"))
            .unwrap()
            .is_none()
    );
}
