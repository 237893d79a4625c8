//! Each way in which a call can end, told apart.

use handaxe_types::{LimitHit, Outcome};
use serde_json::{Value, json};

use crate::support::{benign, call, output, run, run_with, session};

#[test]
fn a_value_comes_back_as_it_was() {
    let session = session();
    let echo = "def run(v):\n    return v\n";
    let odd = json!({"é\u{0}\u{1F980}": [1, 1.0, -0.5, 1e300, true, null, "\u{7f}\n", {}, []], "n": u64::MAX});
    let result = run(&session, &call(echo, json!({ "v": odd })));
    assert_eq!((result.outcome, output(&result)), (Outcome::Ok, &odd));
    assert_eq!(result.exit_code, Some(0));
    assert!(
        result.usage.cpu_ms > 0.0 && result.usage.max_rss_kib > 1000,
        "{:?}",
        result.usage
    );
    let large: Value = (0..200_000).collect::<Vec<i32>>().into();
    assert_eq!(
        output(&run(&session, &call(echo, json!({ "v": large })))),
        &large
    );
}

/// Those that fit into a pipe, those that do not, and those whose maker closed what tells of them.
#[test]
fn a_value_of_any_size_comes_back_whole() {
    let session = session();
    let code = "import os\n\ndef run(n: int, closed: list):\n    for fd in closed:\n        os.close(fd)\n    return 'x' * n\n";
    for size in [0, 4000, 4096, 65_500, 65_536, 70_000, 700_000] {
        for closed in [json!([]), json!([2]), json!([1, 2])] {
            let input = json!({ "n": size, "closed": closed });
            let result = run(&session, &call(code, input));
            let text = output(&result).as_str().unwrap();
            assert_eq!(text.len(), size, "{closed}");
        }
    }
}

#[test]
fn what_a_tool_prints_is_kept_and_not_believed() {
    let code = "import sys\ndef run():\n    print('{\"accepted\": true}')\n    sys.stderr.write('oh\\n')\n    return 1\n";
    let result = run_with(code, |_| {});
    assert_eq!(output(&result), &json!(1));
    assert_eq!(result.stdout, "{\"accepted\": true}\n");
    assert_eq!(result.stderr, "oh\n");
}

#[test]
fn standard_input_is_at_its_end() {
    let code = "import sys\ndef run():\n    return sys.stdin.read()\n";
    assert_eq!(output(&run_with(code, |l| l.wall_ms = 3000)), &json!(""));
}

#[test]
fn an_error_says_what_and_where() {
    let session = session();
    for (body, kind, message, line, errno) in [
        ("raise ValueError('no')", "ValueError", "no", 2, None),
        (
            "open('/data/absent')",
            "FileNotFoundError",
            "[Errno 2]",
            2,
            Some("ENOENT"),
        ),
        ("return {}['k']", "KeyError", "'k'", 2, None),
        ("return 1 +", "SyntaxError", "invalid syntax", 2, None),
        (
            "exit_ = SystemExit(0); raise exit_",
            "SystemExit",
            "0",
            2,
            None,
        ),
        (
            "def f(): return f()\n    return f()",
            "RecursionError",
            "maximum",
            2,
            None,
        ),
        (
            "import no_such_module",
            "ModuleNotFoundError",
            "no_such",
            2,
            None,
        ),
    ] {
        let code = format!("def run():\n    {body}\n");
        let result = run(&session, &call(&code, json!({})));
        let error = result
            .error
            .as_ref()
            .unwrap_or_else(|| panic!("{body}: {result:?}"));
        assert_eq!(result.outcome, Outcome::ToolError, "{body}");
        assert_eq!(
            (error.kind.as_str(), error.line),
            (kind, Some(line)),
            "{body}"
        );
        assert!(error.message.contains(message), "{body}: {}", error.message);
        assert_eq!(error.errno.as_deref(), errno, "{body}");
        assert!(
            result.output.is_none() && result.stderr.contains(kind),
            "{body}: {}",
            result.stderr
        );
    }
    // No `run` at all, and a `run` that does not take the input.
    for (code, kind) in [
        ("x = 1\n", "AttributeError"),
        ("def run(b):\n    return b\n", "TypeError"),
    ] {
        let result = run(&session, &call(code, json!({"a": 1})));
        assert_eq!(result.error.unwrap().kind, kind);
    }
}

#[test]
fn what_is_not_json_is_the_tools_error() {
    let session = session();
    for (value, needle) in [
        ("float('nan')", "not JSON compliant"),
        ("{1, 2}", "not JSON serializable"),
        ("10 ** 30", "64 bits"),
        ("'\\ud800'", "not JSON"),
        ("{1: 'a', '1': 'b'}", "duplicate"),
    ] {
        let result = run(
            &session,
            &call(&format!("def run():\n    return {value}\n"), json!({})),
        );
        assert_eq!(result.outcome, Outcome::ToolError, "{value}");
        let error = result.error.unwrap();
        assert!(
            error.kind == "NotJson" && error.message.contains(needle),
            "{value}: {error:?}"
        );
    }
}

#[test]
fn ends_without_a_result() {
    let session = session();
    let cases: [(&str, Outcome, Option<i32>); 5] = [
        ("import os\nos._exit(0)\n", Outcome::Crash, Some(0)),
        (
            "import os\nprint('OK', flush=True)\nos._exit(3)\n",
            Outcome::Crash,
            Some(3),
        ),
        ("import os\nos.abort()\n", Outcome::Crash, None),
        (
            "import os\nos.close(3)\nimport time\ntime.sleep(60)\n",
            Outcome::Protocol,
            None,
        ),
        (
            "import os\nos.write(3, b'HXRS')\nos._exit(0)\n",
            Outcome::Protocol,
            Some(0),
        ),
    ];
    for (code, outcome, exit_code) in cases {
        let result = run(&session, &call(code, json!({})));
        assert_eq!(
            (result.outcome, result.exit_code),
            (outcome, exit_code),
            "{code}: {result:?}"
        );
        assert!(result.output.is_none());
    }
    benign(&session);
}

#[test]
fn each_limit_has_its_outcome() {
    let spin = "def run():\n    while True: pass\n";
    let result = run_with(spin, |l| l.wall_ms = 300);
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::Timeout, Some(LimitHit::Wall))
    );
    let result = run_with(spin, |l| l.cpu_ms = 200);
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::Timeout, Some(LimitHit::Cpu))
    );
    let result = run_with("def run():\n    return len(bytes(1 << 30))\n", |_| {});
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::Memory, Some(LimitHit::Memory))
    );
    let result = run_with("def run():\n    return 'x' * 5000\n", |l| {
        l.output_bytes = 4096
    });
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::OutputLimit, Some(LimitHit::Output))
    );
    let result = run_with("def run():\n    print('x' * 5000)\n", |l| {
        l.stdio_bytes = 4096
    });
    assert_eq!(
        (result.outcome, result.limit),
        (Outcome::OutputLimit, Some(LimitHit::Output))
    );
    assert_eq!(result.stdout.len(), 4096);
}
