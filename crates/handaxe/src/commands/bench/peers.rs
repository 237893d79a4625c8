//! What people would otherwise use, as far as it is installed: the same program, cold, each time
//! with its output checked.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Spread, program, work};

/// A peer, and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) how: String,
    pub(super) isolation: &'static str,
    pub(super) spread: Option<Spread>,
    /// Why there is none.
    pub(super) not_run: Option<String>,
}

/// Where the program and the roots for the others are laid.
pub(super) struct Stage {
    dir: PathBuf,
    python: PathBuf,
    prefix: PathBuf,
}

/// Links at the top of a merged-/usr system.
const LINKS: [&str; 3] = ["bin", "lib", "lib64"];

impl Stage {
    pub(super) fn new(
        dir: PathBuf,
        python: PathBuf,
        prefix: PathBuf,
        modules: Vec<String>,
    ) -> std::io::Result<Self> {
        let program = format!("{}{}", work::CODE, work::PROGRAM_END);
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("tool.py"), &program)?;
        std::fs::write(dir.join("written_out.py"), work::written_out())?;
        // As much imported as our sessions have.
        let imports = format!(
            "import {}\n",
            modules.join(", ").replace("__future__, ", "")
        );
        std::fs::write(dir.join("warm.py"), format!("{imports}{program}"))?;
        Ok(Self {
            dir,
            python,
            prefix,
        })
    }

    fn tool(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn python(&self) -> String {
        self.python.display().to_string()
    }

    fn prefix(&self) -> String {
        self.prefix.display().to_string()
    }

    fn bwrap(&self, tool: &str) -> Vec<String> {
        let words = "--unshare-all --die-with-parent --new-session --ro-bind /usr /usr --proc /proc --dev /dev";
        let mut all: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if !self.prefix.starts_with("/usr") {
            all.extend(["--ro-bind".to_owned(), self.prefix(), self.prefix()]);
        }
        for name in LINKS {
            all.extend([
                "--symlink".to_owned(),
                format!("usr/{name}"),
                format!("/{name}"),
            ]);
        }
        all.extend([
            "--ro-bind".to_owned(),
            self.tool(tool),
            "/tool.py".to_owned(),
            self.python(),
        ]);
        all.extend(["-I", "-S", "/tool.py"].map(str::to_owned));
        all
    }

    /// A root with nothing but the places where things are mounted.
    fn root(&self) -> std::io::Result<PathBuf> {
        let root = self.dir.join("rootfs");
        for name in ["usr", "proc", "dev", "sys", "tmp", "etc", "tool"] {
            std::fs::create_dir_all(root.join(name))?;
        }
        if let Ok(inner) = self.prefix.strip_prefix("/") {
            std::fs::create_dir_all(root.join(inner))?;
        }
        for name in LINKS {
            let _ = std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name));
        }
        Ok(root)
    }

    fn bundle(&self) -> std::io::Result<PathBuf> {
        self.root()?;
        let bind = |from: &Path, to: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["rbind", "ro"]});
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            bind(Path::new("/usr"), "/usr"),
            bind(&self.dir, "/tool"),
        ];
        if !self.prefix.starts_with("/usr") {
            mounts.push(bind(&self.prefix, &self.prefix()));
        }
        let namespaces: Vec<Value> = ["pid", "network", "ipc", "uts", "mount"]
            .map(|n| json!({ "type": n }))
            .to_vec();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": {"uid": 65534, "gid": 65534}, "cwd": "/",
                "args": [self.python(), "-I", "-S", "/tool/tool.py"], "env": ["LC_ALL=C.UTF-8"],
                "noNewPrivileges": true,
            },
            "root": {"path": "rootfs", "readonly": true},
            "mounts": mounts,
            "linux": {"namespaces": namespaces, "resources": {"memory": {"limit": 256 << 20}, "pids": {"limit": 64}}},
        });
        std::fs::write(self.dir.join("config.json"), config.to_string())?;
        Ok(self.dir.clone())
    }

    /// All of them, each cold `runs` times.
    pub(super) fn measure(&self, runs: usize, note: &dyn Fn(&str)) -> Vec<Peer> {
        let few = runs.min(10);
        let cold = |name, program, isolation, runs, arguments: Arguments<'_>| {
            let peer = Peer::new(name, isolation);
            self.cold(peer, program, runs, note, arguments)
        };
        vec![
            cold("python, cold", PYTHON, "none", runs, &|_| {
                Ok(own(&["-I", "-S", &self.tool("tool.py")]))
            }),
            cold("bwrap, cold", "bwrap", "namespaces", runs, &|_| {
                Ok(self.bwrap("tool.py"))
            }),
            cold(
                "bwrap, cold, same imports",
                "bwrap",
                "namespaces",
                runs,
                &|_| Ok(self.bwrap("warm.py")),
            ),
            cold(
                "crun, cold",
                "crun",
                "namespaces, memory and pids groups",
                few,
                &|n| self.oci("crun", &[], n),
            ),
            cold(
                "runsc, cold",
                "runsc",
                "user-space kernel (ptrace)",
                few,
                &|n| {
                    let flags = ["--network=none", "--platform=ptrace", "--ignore-cgroups"];
                    self.oci("runsc", &flags, n)
                },
            ),
            cold(
                "podman, cold",
                "podman",
                "container: namespaces, groups, seccomp",
                few,
                &|_| self.podman(),
            ),
            cold("srt, cold", "srt", "bwrap and seccomp", few, &|_| {
                Ok(own(&[&self.python(), "-I", "-S", &self.tool("tool.py")]))
            }),
            cold("monty, cold", "monty", "own interpreter", runs, &|_| {
                Ok(vec![self.tool("written_out.py")])
            }),
            monty_pool(runs * 20, note),
        ]
    }

    /// In a mount namespace of its own, without the unified hierarchy where there are others:
    /// runtimes refuse a machine that has both.
    fn alone(program: &str, more: Vec<String>) -> Vec<String> {
        let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
        let words = ["--mount", "--propagation", "private", "sh", "-c", script];
        let mut all = own(&words);
        all.extend(["sh".to_owned(), program.to_owned()]);
        all.extend(more);
        all
    }

    fn oci(&self, runtime: &str, flags: &[&str], n: usize) -> Result<Vec<String>, String> {
        let bundle = self.bundle().map_err(|e| e.to_string())?;
        let mut all = own(flags);
        all.extend(own(&["run", "--bundle", &bundle.display().to_string()]));
        all.push(format!("handaxe-bench-{}-{n}", std::process::id()));
        Ok(Self::alone(runtime, all))
    }

    fn podman(&self) -> Result<Vec<String>, String> {
        let root = self.root().map_err(|e| e.to_string())?;
        // The two limits are what a root without CAP_SYS_RESOURCE may still set.
        let words = "--cgroup-manager cgroupfs run --rm -i --network none --read-only --memory 256m \
                     --pids-limit 64 --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 -v /usr:/usr:ro";
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut all = own(&words);
        if !self.prefix.starts_with("/usr") {
            all.extend(own(&["-v", &format!("{0}:{0}:ro", self.prefix())]));
        }
        all.extend(own(&["-v", &format!("{}:/tool:ro", self.dir.display())]));
        all.extend(own(&["--rootfs", &root.display().to_string()]));
        all.extend(own(&[&self.python(), "-I", "-S", "/tool/tool.py"]));
        Ok(Self::alone("podman", all))
    }

    fn cold(
        &self,
        mut peer: Peer,
        name: &str,
        runs: usize,
        note: &dyn Fn(&str),
        arguments: Arguments<'_>,
    ) -> Peer {
        let found = if name == PYTHON {
            Some(self.python.clone())
        } else {
            program::find(name)
        };
        if found.is_none() {
            peer.not_run = Some("not installed".to_owned());
            return peer;
        }
        note(peer.name);
        let input = work::input().to_string();
        let mut times = Vec::new();
        // The first fills the caches.
        for n in 0..=runs {
            let done = arguments(n).and_then(|arguments| {
                let alone = arguments.first().is_some_and(|a| a == "--mount");
                let program = if alone {
                    program::find("unshare")
                } else {
                    found.clone()
                };
                let program = program.ok_or("unshare is not installed")?;
                peer.how = shown(&program, &arguments);
                let start = Instant::now();
                let said = program::run(&program, &arguments, input.as_bytes())?;
                let time = start.elapsed();
                match serde_json::from_slice::<Value>(&said) {
                    Ok(value) if value == work::expected() => Ok(time),
                    _ => Err("its output was wrong".to_owned()),
                }
            });
            match done {
                Ok(time) => times.push(time),
                Err(error) => {
                    peer.not_run = Some(error);
                    return peer;
                }
            }
        }
        times.remove(0);
        peer.spread = Some(Spread::of(times));
        peer
    }
}

/// Monty's own way to be fast: workers that wait, each used once; timed in its own process.
fn monty_pool(calls: usize, note: &dyn Fn(&str)) -> Peer {
    let mut peer = Peer::new("monty, checkout", "own interpreter");
    let Some(python) = program::find("monty").map(|p| p.with_file_name("python")) else {
        peer.not_run = Some("not installed".to_owned());
        return peer;
    };
    note(peer.name);
    let job = json!({
        "code": work::CODE, "input": work::input(), "calls": calls, "expected": work::expected(),
    });
    peer.how
        .push_str("pydantic_monty.Monty().checkout(), feed_run");
    let said = program::run(&python, &["-c", MONTY], job.to_string().as_bytes());
    let timed = said.and_then(|said| {
        let timed: Timed = serde_json::from_slice(&said).map_err(|e| e.to_string())?;
        if timed.right == calls {
            Ok(timed.seconds)
        } else {
            Err("its output was wrong".to_owned())
        }
    });
    match timed {
        Ok(seconds) => {
            let times = seconds
                .into_iter()
                .filter_map(|s| Duration::try_from_secs_f64(s).ok());
            peer.spread = Some(Spread::of(times.collect()));
        }
        Err(error) => peer.not_run = Some(error),
    }
    peer
}

/// Of the run with this number.
type Arguments<'a> = &'a dyn Fn(usize) -> Result<Vec<String>, String>;

/// Stands for the interpreter that the jail uses.
const PYTHON: &str = "python";
const MONTY: &str = include_str!("monty.py");

#[derive(Deserialize)]
struct Timed {
    seconds: Vec<f64>,
    right: usize,
}

impl Peer {
    fn new(name: &'static str, isolation: &'static str) -> Self {
        Self {
            name,
            how: String::new(),
            isolation,
            spread: None,
            not_run: None,
        }
    }
}

fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

/// The whole command, so that it can be run again by hand.
fn shown(program: &Path, arguments: &[String]) -> String {
    let quoted = arguments.iter().map(|a| {
        if a.contains([' ', '"', '$']) {
            format!("'{a}'")
        } else {
            a.clone()
        }
    });
    let words: Vec<String> = std::iter::once(program.display().to_string())
        .chain(quoted)
        .collect();
    words.join(" ")
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
