//! The backends, and what every case needs of one.

use std::path::PathBuf;
use std::sync::Arc;

use handaxe_sandbox::{
    Call, Cancel, DockerConfig, DockerSandbox, NativeConfig, NativeSandbox, OciConfig, OciSandbox,
    Runtime, Sandbox, SandboxError, Session, SessionSpec,
};
use handaxe_types::{Limits, SandboxResult};
use serde_json::{Value, json};

pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) sandbox: Box<dyn Sandbox>,
    pub(crate) session: Arc<dyn Session>,
    /// Where it lays out what it needs.
    pub(crate) place: PathBuf,
    _engine: Option<podman::Service>,
}

/// What a backend may do otherwise: backend, case, what, why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "oci:runsc",
        "inodes",
        "its scratch has no cap on files",
        "gVisor of 2022 ignores a tmpfs's nr_inodes; the size cap bounds the host all the same",
    ),
    (
        "oci:runsc",
        "sealed",
        "a tool may write over its own copy of an attached file",
        "sealing is Landlock's, which gVisor's kernel lacks; the copy dies with the call",
    ),
    (
        "docker (podman)",
        "inodes",
        "its scratch has no cap on files",
        "podman's service takes no nr_inodes; the container's memory limit counts the inodes",
    ),
    (
        "oci:runsc",
        "threads",
        "threads are bounded by memory alone",
        "gVisor of 2022 does not enforce RLIMIT_NPROC",
    ),
];

impl Backend {
    /// Whether the contract excuses this backend from a part of a case.
    pub(crate) fn differs(&self, what: &str) -> bool {
        let found = DIFFERENCES
            .iter()
            .find(|(backend, part, ..)| *backend == self.name && *part == what);
        if let Some((backend, _, how, why)) = found {
            println!("{backend}: {how}: {why}");
        }
        found.is_some()
    }

    pub(crate) fn open(&self, spec: SessionSpec) -> Arc<dyn Session> {
        self.sandbox
            .open(spec)
            .unwrap_or_else(|e| panic!("{}: {}", self.name, chain(&e)))
    }

    #[track_caller]
    pub(crate) fn run(&self, call: &Call) -> SandboxResult {
        match self.session.call(call, &Cancel::default()) {
            Ok(result) => result,
            Err(error) => panic!("{}: {}", self.name, chain(&error)),
        }
    }

    #[track_caller]
    pub(crate) fn code(&self, code: &str) -> SandboxResult {
        self.run(&call(code, json!({})))
    }

    #[track_caller]
    pub(crate) fn limited(&self, code: &str, change: impl FnOnce(&mut Limits)) -> SandboxResult {
        let mut call = call(code, json!({}));
        change(&mut call.limits);
        self.run(&call)
    }

    /// The liveness control: an honest tool still works beside an attack.
    #[track_caller]
    pub(crate) fn benign(&self) {
        let call = call("def run(a):\n    return a + 1\n", json!({"a": 1}));
        let result = self.run(&call);
        assert_eq!(result.output, Some(json!(2)), "{}: {result:?}", self.name);
    }
}

pub(crate) fn call(code: &str, input: Value) -> Call {
    Call::new(code, input.as_object().unwrap().clone())
}

fn chain(error: &SandboxError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

pub(crate) fn launcher() -> PathBuf {
    env!("CARGO_BIN_EXE_handaxe-jail-launcher").into()
}

pub(crate) fn native() -> NativeSandbox {
    let mut config = NativeConfig::new(launcher());
    config.python = Some("/usr/bin/python3".into());
    config.idle = 1;
    NativeSandbox::new(config).unwrap()
}

/// The backend, or why this machine does not offer it.
pub(crate) fn offered(name: &str) -> Result<Backend, String> {
    let place = std::env::temp_dir().join(format!("handaxe-contract-{}", std::process::id()));
    let native = native();
    let runtime: Runtime = native.runtime().clone();
    let mut service = None;
    let sandbox: Box<dyn Sandbox> = match name.split_once(':') {
        None if name == "native" => Box::new(native),
        None => {
            let started = podman::Service::for_tests(&place)?;
            let config = DockerConfig::new(started.socket.clone());
            service = started.owned;
            Box::new(DockerSandbox::new(config, runtime).map_err(|e| chain(&e))?)
        }
        Some((_, kind)) => {
            let mut config = OciConfig::new(launcher());
            config.runtime = Some(kind.to_owned());
            config.search = std::env::var_os("PATH");
            Box::new(OciSandbox::new(config, runtime).map_err(|e| chain(&e))?)
        }
    };
    let session = match sandbox.open(SessionSpec::default()) {
        Ok(session) => session,
        Err(error) if name == "native" => panic!("{}", chain(&error)),
        Err(error) => return Err(chain(&error)),
    };
    // The first container says whether this machine can start one at all.
    if let Err(error) = session.call(
        &call("def run():\n    return 1\n", json!({})),
        &Cancel::default(),
    ) {
        let text = chain(&error);
        assert!(!matches!(error, SandboxError::Protocol { .. }), "{text}");
        let optional = name != "native" && std::env::var_os("HANDAXE_CONTRACT_STRICT").is_none();
        assert!(optional, "{name}: {text}");
        return Err(text);
    }
    let name = if service.is_some() {
        "docker (podman)"
    } else {
        name
    };
    Ok(Backend {
        name: name.to_owned(),
        sandbox,
        session,
        place,
        _engine: service,
    })
}

/// Podman's service that speaks Docker's interface, started for the tests where no daemon answers.
mod podman {
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    pub(crate) struct Found {
        pub(crate) socket: PathBuf,
        pub(crate) owned: Option<Service>,
    }

    pub(crate) struct Service {
        child: Child,
        place: PathBuf,
    }

    impl Service {
        pub(crate) fn for_tests(place: &Path) -> Result<Found, String> {
            let daemon = PathBuf::from("/var/run/docker.sock");
            if std::os::unix::net::UnixStream::connect(&daemon).is_ok() {
                return Ok(Found {
                    socket: daemon,
                    owned: None,
                });
            }
            Self::start(place, "overlay").or_else(|_| Self::start(place, "vfs"))
        }

        #[expect(
            clippy::disallowed_methods,
            reason = "a container engine for the tests"
        )]
        fn start(place: &Path, driver: &str) -> Result<Found, String> {
            std::fs::create_dir_all(place).map_err(|e| e.to_string())?;
            let socket = place.join("engine.sock");
            let log = std::fs::File::create(place.join("log")).map_err(|e| e.to_string())?;
            // Hybrid control groups stop it like every runtime: it goes apart from them too.
            let mut command = Command::new(env!("CARGO_BIN_EXE_handaxe-jail-launcher"));
            command.args(["__apart", "/usr/bin/podman"]);
            command.arg("--root").arg(place.join("root"));
            command.arg("--runroot").arg(place.join("run"));
            command.arg("--tmpdir").arg(place.join("tmp"));
            command.args(["--storage-driver", driver, "--cgroup-manager", "cgroupfs"]);
            command.args(["--events-backend", "file"]);
            command.args(["system", "service", "--time", "0"]);
            command.arg(format!("unix://{}", socket.display()));
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            let mut child = command.spawn().map_err(|e| format!("no podman: {e}"))?;
            let until = Instant::now() + Duration::from_secs(30);
            while std::os::unix::net::UnixStream::connect(&socket).is_err() {
                if Instant::now() > until || !matches!(child.try_wait(), Ok(None)) {
                    let _ = child.kill();
                    let _ = child.wait();
                    let log = std::fs::read_to_string(place.join("log")).unwrap_or_default();
                    let _ = std::fs::remove_dir_all(place);
                    return Err(format!(
                        "no daemon answers at /var/run/docker.sock, and podman's service does not start: {}",
                        log.lines().last().unwrap_or("it said nothing")
                    ));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let place = place.to_owned();
            let owned = Some(Self { child, place });
            Ok(Found { socket, owned })
        }
    }

    impl Drop for Service {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = std::fs::remove_dir_all(&self.place);
        }
    }
}
