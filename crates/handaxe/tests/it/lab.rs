//! A home of its own for each test, and the built binary in it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_handaxe");

/// Longer than any command here may take on a busy machine; a hang fails and does not hang CI.
const PATIENCE: Duration = Duration::from_mins(2);

const SHORT_PROOF: &str = "[trial]\nfuzz_inputs = 24\nmutants = 0\n";

pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        let all = format!("{}\n{}", self.stdout, self.stderr);
        assert!(all.contains(text), "`{text}` is missing in:\n{all}");
        self
    }
}

impl Lab {
    /// Under a policy with a short proof: most tests are of other things.
    pub(crate) fn new() -> Self {
        let lab = Self::with_the_whole_proof();
        lab.file("home/policy.toml", SHORT_PROOF);
        lab
    }

    /// Under the policy that a new home gets.
    pub(crate) fn with_the_whole_proof() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir().join("home")
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The binary in this home, with an environment of its own: no keys, no settings.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_of(BIN);
        command.args(args);
        command
    }

    /// Any program, in the same surroundings.
    pub(crate) fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HANDAXE_HOME", self.home())
            .env("USER", "tester")
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args))
    }

    /// The binary at a terminal of its own; each step is a text that is waited for and what is
    /// typed then. All that was written is in `stdout`.
    pub(crate) fn at_terminal(&self, args: &[&str], steps: &[(&str, &str)]) -> Ran {
        let mut argv = vec![BIN];
        argv.extend(args);
        let mut command = self.command_of("python3");
        command
            .args(["-c", include_str!("terminal.py")])
            .args([json!(argv).to_string(), json!(steps).to_string()])
            .env("TERM", "xterm");
        finish(command)
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut with: Vec<&str> = args.to_vec();
        with.push("--json");
        self.run(&with).json()
    }
}

pub(crate) fn finish(mut command: Command) -> Ran {
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let read = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let _ = (&mut out, &mut err);
    let (out, err) = (read(Box::new(out)), read(Box::new(err)));
    let begun = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran {
        code,
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
    }
}

/// The repository's root, for the example data.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

pub(crate) fn example(name: &str) -> String {
    root()
        .join("examples")
        .join(name)
        .to_str()
        .unwrap()
        .to_owned()
}

/// Runs a probe outside the jail: the positive control. Its last line of output is JSON.
pub(crate) fn outside(code: &Path, input: &Value) -> Value {
    let driver = "import json,sys,runpy; m = runpy.run_path(sys.argv[1]); \
                  print(json.dumps(m['run'](**json.loads(sys.argv[2]))))";
    let out = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", driver])
        .arg(code)
        .arg(input.to_string())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8(out.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}
