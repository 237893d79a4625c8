//! PERS04: every edit, deletion, insertion and reordering of the journal shows, and a checkpoint
//! shows what a chain alone cannot.

use handaxe_registry::{
    Checkpoint, CheckpointError, KeyError, KeyState, StateChange, Verification,
};
use handaxe_types::{Digest, canonical_json};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;

use crate::common::{Home, draft, profile, result, task, tool};

/// A journal of every kind of event, ending in one that records no row.
fn busy_home() -> Home {
    let home = Home::new();
    for i in 0..26 {
        let run = home.registry.start_run(&task("question")).unwrap();
        let request = home.propose(&draft(&format!("tool_{i:02}"), "why"), Some(run.id()));
        if i % 3 == 0 {
            home.registry.reject(request.id, "bob", "no").unwrap();
            continue;
        }
        home.registry
            .approve_and_register(
                request.id,
                request.subject,
                "alice",
                handaxe_types::ApprovalMethod::YesFlag,
            )
            .unwrap();
        let approved = home
            .registry
            .load_approved(&tool(&format!("tool_{i:02}")), &profile())
            .unwrap();
        for _ in 0..6 {
            home.registry
                .record_invocation(
                    &approved,
                    Some(run.id()),
                    &serde_json::Map::new(),
                    &result(),
                )
                .unwrap();
        }
        home.registry
            .change_state(&approved.tool_ref(), &StateChange::Retire, "done")
            .unwrap();
    }
    home.registry
        .record_domain_refusal(None, "network", "denied by policy")
        .unwrap();
    home
}

fn count(conn: &Connection) -> i64 {
    conn.query_row("SELECT count(*) FROM event", [], |r| r.get(0))
        .unwrap()
}

fn row(conn: &Connection, seq: i64) -> Vec<Value> {
    conn.query_row("SELECT * FROM event WHERE seq = ?1", [seq], |r| {
        (0..8).map(|i| r.get(i)).collect()
    })
    .unwrap()
}

fn put(conn: &Connection, row: &[Value]) {
    conn.execute(
        "INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        rusqlite::params_from_iter(row),
    )
    .unwrap();
}

fn delete(conn: &Connection, seq: i64) {
    assert_eq!(
        conn.execute("DELETE FROM event WHERE seq = ?1", [seq])
            .unwrap(),
        1
    );
}

/// Something else of the same type.
fn altered(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(n) => vec![Value::Integer(n + 1_000_000), Value::Integer(n - 1_000_000)],
        Value::Text(text) => {
            let mut flipped: Vec<char> = text.chars().collect();
            let middle = flipped.len() / 2;
            flipped[middle] = if flipped[middle] == 'a' { 'b' } else { 'a' };
            vec![
                Value::Text(flipped.into_iter().collect()),
                Value::Text(format!("{text} ")),
                Value::Text(String::new()),
            ]
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn bad_at(found: &Verification, expected: i64, attack: &str) {
    assert!(!found.ok, "not found: {attack} at {expected}");
    let bad = found.first_bad.as_ref().unwrap();
    let seq = bad.seq.unwrap();
    assert_eq!(seq, expected, "{attack}: {bad:?}");
}

#[test]
fn every_single_change_is_found_at_its_row() {
    let home = busy_home();
    let conn = home.raw();
    let total = count(&conn);
    assert!(total >= 200, "{total} events");
    let verify = || home.registry.verify().unwrap();
    assert!(verify().ok);
    let (mut attacks, mut caught) = (0, 0);
    let mut attack = |expected: i64, name: &str, found: &Verification| {
        attacks += 1;
        bad_at(found, expected, name);
        caught += 1;
    };
    for seq in 1..=total {
        let original = row(&conn, seq);
        // Flip: every column of every row.
        for (i, value) in original.iter().enumerate() {
            for other in altered(value) {
                let mut changed = original.clone();
                changed[i] = other;
                delete(&conn, seq);
                put(&conn, &changed);
                let at = match changed[0] {
                    Value::Integer(moved) => moved,
                    _ => seq,
                };
                attack(seq.min(at), "flip", &verify());
                delete(&conn, at);
                put(&conn, &original);
            }
        }
        // Drop (the last is a cut tail, below).
        if seq < total {
            delete(&conn, seq);
            attack(seq, "drop", &verify());
            // Drop and close the gap.
            conn.execute_batch(&format!(
                "UPDATE event SET seq = -seq WHERE seq > {seq};
                 UPDATE event SET seq = -seq - 1 WHERE seq < 0;"
            ))
            .unwrap();
            attack(seq, "drop and renumber", &verify());
            conn.execute_batch(&format!(
                "UPDATE event SET seq = -seq WHERE seq >= {seq};
                 UPDATE event SET seq = -seq + 1 WHERE seq < 0;"
            ))
            .unwrap();
            put(&conn, &original);
            // Swap with the next.
            let mut next = row(&conn, seq + 1);
            let mut this = original.clone();
            std::mem::swap(&mut this[0], &mut next[0]);
            delete(&conn, seq);
            delete(&conn, seq + 1);
            put(&conn, &this);
            put(&conn, &next);
            attack(seq, "swap", &verify());
            delete(&conn, seq);
            delete(&conn, seq + 1);
            std::mem::swap(&mut this[0], &mut next[0]);
            put(&conn, &this);
            put(&conn, &next);
        }
        // Insert a copy before it.
        conn.execute_batch(&format!(
            "UPDATE event SET seq = -seq WHERE seq >= {seq};
             UPDATE event SET seq = -seq + 1 WHERE seq < 0;"
        ))
        .unwrap();
        put(&conn, &original);
        attack(seq + 1, "insert", &verify());
        delete(&conn, seq);
        conn.execute_batch(&format!(
            "UPDATE event SET seq = -seq WHERE seq > {seq};
             UPDATE event SET seq = -seq - 1 WHERE seq < 0;"
        ))
        .unwrap();
    }
    assert!(verify().ok, "the attacks were undone");
    assert_eq!(attacks, caught);
    assert!(attacks > 20 * total, "{attacks} attacks on {total} events");
}

/// The journal is left alone and the state is changed behind it.
#[test]
fn every_vouched_row_is_held_to_its_event() {
    let home = busy_home();
    let conn = home.raw();
    let run = home.registry.start_run(&task("question")).unwrap();
    home.registry
        .record_attempt(
            run.id(),
            &handaxe_registry::Attempt {
                n: 1,
                stderr: "boom".into(),
                ..Default::default()
            },
        )
        .unwrap();
    home.registry
        .record_exchange(
            run.id(),
            "author/1",
            &handaxe_registry::Exchange {
                role: "author".into(),
                model: "replay:x".into(),
                prompt: "p".into(),
                reply: "r".into(),
                tokens_in: 1,
                tokens_out: 1,
                seconds: 0.5,
            },
        )
        .unwrap();
    let alice = crate::common::approver(&home, "alice", None);
    let request = home.propose(&draft("signed_tool", "why"), None);
    let signature = alice.sign_approval(home.registry.home_id(), &request);
    home.registry
        .approve_signed(request.id, request.subject, &signature)
        .unwrap();
    let waits = home.propose(&draft("used_once", "why"), Some(run.id()));
    home.registry
        .under(handaxe_types::ApprovalPolicy {
            while_waiting_minutes: 5,
            ..handaxe_types::ApprovalPolicy::default()
        })
        .mint_provisional(
            waits.id,
            waits.subject,
            run.id(),
            "alice",
            &crate::common::profile(),
        )
        .unwrap();
    assert!(home.registry.verify().unwrap().ok);
    for (table, column) in [
        ("run", "question"),
        ("attempt", "at_ms"),
        ("exchange", "model"),
        ("tool_version", "why"),
        ("approval", "expires_ms"),
        ("invocation", "outcome"),
        ("signing_key", "name"),
        ("approval_signature", "signature"),
        ("provisional_use", "asked_by"),
    ] {
        let change = if column.ends_with("_ms") {
            format!("{column} = {column} + 1")
        } else {
            format!("{column} = {column} || '!'")
        };
        let last = format!("rowid = (SELECT max(rowid) FROM {table})");
        for (attack, why) in [
            (
                format!("UPDATE {table} SET {change} WHERE {last}"),
                "changed",
            ),
            (format!("DELETE FROM {table} WHERE {last}"), "deleted"),
        ] {
            conn.execute_batch("SAVEPOINT attack").unwrap();
            assert_eq!(conn.execute(&attack, []).unwrap(), 1);
            conn.execute_batch("RELEASE attack").unwrap();
            let found = home.registry.verify().unwrap();
            assert!(!found.ok, "{table} {why}");
            assert!(
                found.first_bad.as_ref().unwrap().place.starts_with(table),
                "{found:?}"
            );
            // Start again from a fresh home for the next attack.
            if why == "changed" {
                let undo = if column.ends_with("_ms") {
                    format!("{column} = {column} - 1")
                } else {
                    format!("{column} = substr({column}, 1, length({column}) - 1)")
                };
                conn.execute(&format!("UPDATE {table} SET {undo} WHERE {last}"), [])
                    .unwrap();
                assert!(home.registry.verify().unwrap().ok);
                conn.execute_batch(&format!(
                    "CREATE TABLE saved_{table} AS SELECT * FROM {table} WHERE {last}"
                ))
                .unwrap();
            } else {
                conn.execute_batch(&format!(
                    "INSERT INTO {table} SELECT * FROM saved_{table}; DROP TABLE saved_{table}"
                ))
                .unwrap();
                assert!(home.registry.verify().unwrap().ok, "{table} put back");
            }
        }
    }
    // A row that no event records.
    conn.execute_batch(
        "INSERT INTO invocation SELECT 9999, tool, run, input, output, outcome, runtime_us, cpu_us,
         rss_kib, layers, at_ms FROM invocation LIMIT 1",
    )
    .unwrap();
    let bad = home.registry.verify().unwrap().first_bad.unwrap();
    assert_eq!(
        (bad.place.as_str(), bad.reason.as_str()),
        ("invocation/9999", "no event records it")
    );
}

/// What someone does who knows the format: change an event and make every hash anew.
fn rewrite_from(conn: &Connection, from: i64) {
    rewrite(conn, from, count(conn));
}

fn rewrite(conn: &Connection, from: i64, to: i64) {
    let mut prev = if from == 1 {
        Digest::from_bytes([0; 32]).to_string()
    } else {
        conn.query_row("SELECT hash FROM event WHERE seq = ?1", [from - 1], |r| {
            r.get(0)
        })
        .unwrap()
    };
    for seq in from..=to {
        let (at_ms, kind, mut actor, subject, detail): (i64, String, String, String, String) = conn
            .query_row(
                "SELECT at_ms, kind, actor, subject, detail FROM event WHERE seq = ?1",
                [seq],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)),
            )
            .unwrap();
        if seq == from {
            actor = "nobody".into();
        }
        let detail: serde_json::Value = serde_json::from_str(&detail).unwrap();
        let hash = Digest::of(
            canonical_json(
                &json!({"seq": seq, "at_ms": at_ms, "kind": kind, "actor": actor,
                "subject": subject, "detail": detail, "prev": prev}),
            )
            .as_bytes(),
        )
        .to_string();
        conn.execute(
            "UPDATE event SET actor = ?2, prev = ?3, hash = ?4 WHERE seq = ?1",
            (seq, &actor, &prev, &hash),
        )
        .unwrap();
        prev = hash;
    }
}

/// A forger who hashes some events anew, but not all that follow.
#[test]
fn each_event_is_tied_to_the_one_before() {
    let home = busy_home();
    let conn = home.raw();
    let total = count(&conn);
    conn.execute_batch("CREATE TABLE saved AS SELECT * FROM event")
        .unwrap();
    for from in (1..total).step_by(9) {
        let to = (from + from % 5).min(total - 1);
        rewrite(&conn, from, to);
        let found = home.registry.verify().unwrap();
        bad_at(&found, to + 1, "rehash");
        conn.execute_batch("DELETE FROM event; INSERT INTO event SELECT * FROM saved")
            .unwrap();
    }
    assert!(home.registry.verify().unwrap().ok);
}

#[test]
fn a_checkpoint_shows_a_cut_tail_and_a_rewrite() {
    let home = busy_home();
    let checkpoint = home.registry.checkpoint().unwrap();
    let text = serde_json::to_vec(&checkpoint).unwrap();
    let checkpoint = Checkpoint::parse(&text).unwrap();
    let with = || home.registry.verify_with(&checkpoint).unwrap();
    assert!(with().ok && with().not_ruled_out.is_empty());
    home.registry
        .record_domain_refusal(None, "network", "one more")
        .unwrap();
    assert!(with().ok && with().not_ruled_out.len() == 1);

    // A rewrite: the chain alone is content, and says that it could not rule this out.
    let conn = home.raw();
    conn.execute_batch("CREATE TABLE saved AS SELECT * FROM event")
        .unwrap();
    for from in [1, 100, checkpoint.seq()] {
        rewrite_from(&conn, from);
        let alone = home.registry.verify().unwrap();
        assert!(alone.ok, "the forgery is well made: {alone:?}");
        assert_eq!(alone.not_ruled_out.len(), 2);
        bad_at(&with(), checkpoint.seq(), "rewrite");
        conn.execute_batch("DELETE FROM event; INSERT INTO event SELECT * FROM saved")
            .unwrap();
        assert!(with().ok);
    }
    // A cut tail of events that recorded no rows.
    for keep in [checkpoint.seq() - 1, checkpoint.seq() - 2] {
        conn.execute("DELETE FROM event WHERE seq > ?1", [keep])
            .unwrap();
        let alone = home.registry.verify().unwrap();
        assert!(alone.ok && alone.events == keep);
        bad_at(&with(), keep + 1, "cut tail");
    }
    // Cut further, and the rows that are left have no events.
    conn.execute("DELETE FROM event WHERE seq > 100", [])
        .unwrap();
    assert!(!home.registry.verify().unwrap().ok);
}

/// The whole home put back as it was an hour ago.
#[test]
fn a_checkpoint_shows_a_rollback() {
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    let conn = home.raw();
    let old = home.path().with_extension("old");
    conn.execute("VACUUM INTO ?1", [old.to_str().unwrap()])
        .unwrap();
    home.registry
        .change_state(&tool("count_text"), &StateChange::Revoke, "bad")
        .unwrap();
    let checkpoint = home.registry.checkpoint().unwrap();
    let path = home.path().with_extension("restored");
    std::fs::create_dir(&path).unwrap();
    std::fs::rename(old, path.join("handaxe.db")).unwrap();
    std::fs::rename(home.path().join("keys"), path.join("keys")).unwrap();
    let rolled_back = handaxe_registry::Registry::open(&path).unwrap();
    assert!(rolled_back.verify().unwrap().ok);
    assert!(!rolled_back.verify_with(&checkpoint).unwrap().ok);
}

#[test]
fn a_checkpoint_that_was_touched_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    home.register(&draft("count_text", "why"));
    let checkpoint = home.registry.checkpoint().unwrap();
    let good = serde_json::to_value(&checkpoint).unwrap();
    for (field, value) in [
        ("seq", json!(1)),
        ("at_ms", json!(0)),
        ("hash", json!("0".repeat(64))),
        ("home", json!("0".repeat(32))),
        ("key", json!("0".repeat(64))),
        ("signature", json!("00")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let bad = Checkpoint::parse(&serde_json::to_vec(&bad).unwrap()).unwrap();
        assert!(
            matches!(
                home.registry.verify_with(&bad),
                Err(CheckpointError::Signature)
            ),
            "{field}"
        );
    }
    for junk in ["", "{}", "[1]", "{\"format\":\"x\"}"] {
        assert!(Checkpoint::parse(junk.as_bytes()).is_err());
    }
    // Another home's, and the same home with its key replaced.
    let other = Home::new();
    assert!(matches!(
        other.registry.verify_with(&checkpoint),
        Err(CheckpointError::OtherHome(_))
    ));
    let id = home.registry.home_key().unwrap().key;
    let key = home.path().join(format!("keys/{id}.pem"));
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&key), mode(&home.path().join("keys"))),
        (0o600, 0o700)
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        home.registry.checkpoint(),
        Err(CheckpointError::Key(KeyError::Mode { .. }))
    ));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(
        home.registry.checkpoint(),
        Err(CheckpointError::Key(KeyError::File { .. }))
    ));
    // A rotation mends it; what the old key signed still verifies, until it is revoked.
    let rotated = home.registry.rotate_key().unwrap();
    assert_eq!((rotated.old, rotated.left_behind), (Some(id), None));
    home.registry.checkpoint().unwrap();
    assert!(home.registry.verify_with(&checkpoint).unwrap().ok);
    home.registry
        .end_key(&id.to_string(), KeyState::Revoked, "it leaked")
        .unwrap();
    assert!(matches!(
        home.registry.verify_with(&checkpoint),
        Err(CheckpointError::OtherKey)
    ));
}
