//! What people would otherwise use, as far as it is installed: the same program, cold, each time
//! with its output checked.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
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
    modules: Vec<String>,
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
            modules,
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
        let own = |words: &[&str]| {
            words
                .iter()
                .map(|w| (*w).to_owned())
                .collect::<Vec<String>>()
        };
        let mut peers = vec![
            self.peer("python", "none", runs, note, |_| {
                Ok(own(&["-I", "-S", &self.tool("tool.py")]))
            }),
            self.peer("bwrap", "namespaces", runs, note, |_| {
                Ok(self.bwrap("tool.py"))
            }),
        ];
        let warmed = format!("{} modules imported", self.modules.len());
        let mut with_modules = self.peer("bwrap", "namespaces", runs, note, |_| {
            Ok(self.bwrap("warm.py"))
        });
        with_modules.name = "bwrap, same imports";
        with_modules.how = format!("{}; {warmed}", with_modules.how);
        peers.push(with_modules);
        for (name, isolation, more) in [
            ("crun", "container", &[][..]),
            (
                "runsc",
                "user-space kernel",
                &["--rootless", "--network=none", "--platform=ptrace"],
            ),
        ] {
            peers.push(self.peer(name, isolation, runs.min(10), note, |n| {
                let bundle = self.bundle().map_err(|e| e.to_string())?;
                let id = format!("handaxe-bench-{}-{n}", std::process::id());
                let mut all = own(more);
                all.extend(own(&["run", "--bundle"]));
                all.extend([bundle.display().to_string(), id]);
                Ok(all)
            }));
        }
        peers.push(self.peer("podman", "container", runs.min(10), note, |_| {
            let root = self.root().map_err(|e| e.to_string())?;
            let words = "run --rm -i --network none --read-only --memory 256m --pids-limit 64 --cgroups=enabled -v /usr:/usr:ro";
            let mut all: Vec<String> = words.split(' ').map(str::to_owned).collect();
            all.extend(["-v".to_owned(), format!("{}:/tool:ro", self.dir.display())]);
            all.extend(["--rootfs".to_owned(), root.display().to_string(), self.python()]);
            all.extend(own(&["-I", "-S", "/tool/tool.py"]));
            Ok(all)
        }));
        peers.push(
            self.peer("srt", "bwrap + seccomp", runs.min(10), note, |_| {
                Ok(own(&[&self.python(), "-I", "-S", &self.tool("tool.py")]))
            }),
        );
        peers
    }

    fn peer(
        &self,
        name: &'static str,
        isolation: &'static str,
        runs: usize,
        note: &dyn Fn(&str),
        arguments: impl Fn(usize) -> Result<Vec<String>, String>,
    ) -> Peer {
        let program = if name == "python" {
            Some(self.python.clone())
        } else {
            program::find(name)
        };
        let mut peer = Peer {
            name,
            how: String::new(),
            isolation,
            spread: None,
            not_run: None,
        };
        let Some(program) = program else {
            peer.not_run = Some("not installed".to_owned());
            return peer;
        };
        note(name);
        let input = work::input().to_string();
        let mut times = Vec::new();
        for n in 0..=runs {
            let arguments = match arguments(n) {
                Ok(arguments) => arguments,
                Err(error) => {
                    peer.not_run = Some(error);
                    return peer;
                }
            };
            let first: Vec<_> = arguments.iter().take(2).map(String::as_str).collect();
            peer.how = format!("{name} {} …", first.join(" "));
            let start = Instant::now();
            let said = program::run(&program, &arguments, input.as_bytes());
            let time = start.elapsed();
            match said.map(|text| serde_json::from_slice::<Value>(&text)) {
                // The first fills the caches.
                Ok(Ok(value)) if value == work::expected() => {
                    if n > 0 {
                        times.push(time);
                    }
                }
                Ok(_) => peer.not_run = Some("its output was wrong".to_owned()),
                Err(error) => peer.not_run = Some(error),
            }
            if peer.not_run.is_some() {
                return peer;
            }
        }
        peer.spread = Some(Spread::of(times));
        peer
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
