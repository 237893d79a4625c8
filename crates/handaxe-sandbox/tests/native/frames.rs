//! A tool that writes results of its own. It shares the process with the harness, so it can know
//! the nonce; what it can gain is one value of its own, which it could have returned as well.

use handaxe_types::Outcome;
use serde_json::json;

use crate::drill::Drill;
use crate::support::{call, run, session};

/// Finds the harness's nonce in the frames above, as a hostile tool would.
const FORGE: &str = r#"
import os, struct, sys


def frame(output=b"1", meta=b'{"status":"ok","files":[]}', nonce=None, magic=b"HXRS"):
    if nonce is None:
        step = sys._getframe()
        while "nonce" not in step.f_locals or step.f_code.co_name != "answer":
            step = step.f_back
        nonce = step.f_locals["nonce"]
    return magic + nonce + struct.pack("<II", len(meta), len(output)) + meta + output
"#;

#[test]
fn forged_frames_gain_nothing() {
    let drill = Drill::of(&["HARN08"]);
    let session = session();
    let honest = format!(
        "{FORGE}\n\ndef run():\n    os.write(3, frame(b'42')); os.close(3); import time; time.sleep(9)\n"
    );
    let told = run(&session, &call(&honest, json!({})));
    drill.control(
        "one whole frame is believed",
        told.output == Some(json!(42)),
    );
    let forged = [
        // The control: a well-made one is a result like any other, if it is the only one.
        (
            "os.write(3, frame(b'42')); os.close(3); import time; time.sleep(9)",
            Outcome::Ok,
        ),
        ("os.write(3, frame())", Outcome::Protocol),
        (
            "os.write(3, frame() + frame()); os._exit(0)",
            Outcome::Protocol,
        ),
        (
            "os.write(3, frame() + b'x'); os._exit(0)",
            Outcome::Protocol,
        ),
        ("os.write(3, frame()[:-1]); os._exit(0)", Outcome::Protocol),
        ("os.write(3, frame()[:10]); os._exit(0)", Outcome::Protocol),
        ("os.write(3, frame(nonce=bytes(16)))", Outcome::Protocol),
        ("os.write(3, frame(magic=b'HXRY'))", Outcome::Protocol),
        (
            "os.write(3, b'HXGO' + frame()); os._exit(0)",
            Outcome::Protocol,
        ),
        (
            "os.write(3, frame(meta=b'{\"status\":\"accepted\",\"files\":[]}'))",
            Outcome::Protocol,
        ),
        (
            "os.write(3, frame(meta=b'{\"status\":\"ok\",\"files\":[[\"a\",1]]}') + b'x'); os._exit(0)",
            Outcome::Protocol,
        ),
        ("os.write(3, frame(meta=b'x' * 70000))", Outcome::Protocol),
        (
            "os.write(3, b'HXRS' + frame()[4:20] + b'\\xff' * 8)",
            Outcome::Protocol,
        ),
        (
            "os.write(3, frame()[:20] + struct.pack('<II', 26, 2**32 - 1))",
            Outcome::OutputLimit,
        ),
        ("os.write(1, frame()); os._exit(0)", Outcome::Crash),
        (
            "import atexit; atexit.register(os.write, 3, frame()); return 7",
            Outcome::Ok,
        ),
    ];
    drill.attack(&session, |_| {
        for (body, outcome) in forged {
            let code = format!("{FORGE}\n\ndef run():\n    {body}\n");
            let result = run(&session, &call(&code, json!({})));
            assert_eq!(result.outcome, outcome, "{body}: {result:?}");
            let output = match body {
                b if b.contains("42") => Some(json!(42)),
                b if b.contains("return 7") => Some(json!(7)),
                _ => None,
            };
            assert_eq!(result.output, output, "{body}");
        }
    });
}

#[test]
fn a_frame_from_another_call_does_not_fit() {
    let drill = Drill::of(&["HARN08"]);
    let session = session();
    let steal = format!("{FORGE}\n\ndef run():\n    return frame(b'1').hex()\n");
    let stolen = run(&session, &call(&steal, json!({}))).output.unwrap();
    let replay = "import os\ndef run(f):\n    os.write(3, bytes.fromhex(f)); os._exit(0)\n";
    drill.control(
        "it is a whole frame",
        stolen.as_str().is_some_and(|f| f.len() > 48),
    );
    drill.attack(&session, |_| {
        let result = run(&session, &call(replay, json!({ "f": stolen })));
        assert_eq!(result.outcome, Outcome::Protocol);
        assert!(result.error.unwrap().message.contains("nonce"));
    });
}

#[test]
fn a_late_frame_is_not_waited_for() {
    let drill = Drill::of(&["HARN08"]);
    let session = session();
    let code = format!(
        "{FORGE}\n\ndef run(late):\n    import time\n    f = frame()\n    os.write(3, f[:5]); time.sleep(late); os.write(3, f[5:]); os.close(3); time.sleep(9)\n"
    );
    let soon = run(&session, &call(&code, json!({"late": 0.01})));
    drill.control("in time it is believed", soon.outcome == Outcome::Ok);
    drill.attack(&session, |_| {
        let mut call = call(&code, json!({"late": 5}));
        call.limits.wall_ms = 300;
        assert_eq!(run(&session, &call).outcome, Outcome::Timeout);
    });
}
