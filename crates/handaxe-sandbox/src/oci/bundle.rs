//! The bundle: a root that holds the interpreter's files and nothing else, and `config.json`.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use handaxe_jail::DataFile;
use serde_json::{Value, json};

use crate::container::{Size, USER};
use crate::interpreter::{COVERED, Runtime};

/// Users and groups of the container, as many as it maps.
pub(super) const IDS: u32 = 2000;

/// Directories of the container's own.
const OWN: [&str; 7] = [
    "proc", "dev", "scratch", "data", "assets", "handaxe", "empty",
];

/// A directory on the host.
pub(super) struct Bundle {
    pub(super) directory: PathBuf,
    /// Everything of `config.json` that is the same for every container of the session.
    mounts: Vec<Value>,
    /// The first of the host's users that stand for the container's.
    first_id: u32,
}

/// A directory that others may pass through and not read, and that is not there yet.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o711).create(path)
}

fn place(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

impl Bundle {
    /// Lays out the root of a session in `directory`, which exists and is empty.
    pub(super) fn lay(
        directory: PathBuf,
        runtime: &Runtime,
        files: &[(&'static str, Vec<u8>)],
        data: &[DataFile],
        first_id: u32,
    ) -> io::Result<Self> {
        let root = directory.join("root");
        fs::DirBuilder::new().mode(0o755).create(&root)?;
        for name in OWN {
            fs::create_dir(root.join(name))?;
        }
        for (name, bytes) in files {
            fs::write(root.join("handaxe").join(name), bytes)?;
        }
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc",
                   "options": ["nosuid", "noexec", "nodev"]}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                   "options": ["nosuid", "noexec", "mode=755", "size=64k"]}),
        ];
        for path in &runtime.directories {
            fs::create_dir_all(place(&root, path))?;
            mounts.push(bind(path, path, "exec"));
            for name in COVERED.iter().map(|name| path.join(name)) {
                if name.is_dir() {
                    mounts.push(bind(&root.join("empty"), &name, "noexec"));
                }
            }
        }
        for path in &runtime.files {
            if runtime.directories.iter().any(|d| path.starts_with(d)) {
                continue;
            }
            let inside = place(&root, path);
            inside.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(inside, "")?;
            mounts.push(bind(path, path, "exec"));
        }
        for (link, target) in &runtime.links {
            let inside = place(&root, link);
            inside.parent().map_or(Ok(()), fs::create_dir_all)?;
            match symlink(target, inside) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        for own in ["/data", "/assets"] {
            mounts.push(tmpfs(own, 2 << 20, 2048));
        }
        for file in data {
            // gVisor wants the place to be there beneath the tmpfs as well.
            fs::write(root.join("data").join(&file.name), "")?;
            mounts.push(bind(
                &file.path,
                &Path::new("/data").join(&file.name),
                "noexec",
            ));
        }
        Ok(Self {
            directory,
            mounts,
            first_id,
        })
    }

    /// `config.json` of one container.
    pub(super) fn config(&self, name: &str, size: Size, process: &Value, seccomp: &Value) -> Value {
        let mut mounts = self.mounts.clone();
        mounts.push(tmpfs("/scratch", size.scratch_bytes, size.scratch_inodes));
        let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup", "user"];
        let namespaces = kinds.map(|kind| json!({ "type": kind }));
        let map = json!([{"containerID": 0, "hostID": self.first_id, "size": IDS}]);
        let memory = size.whole_memory();
        let linux = json!({
            "namespaces": namespaces,
            "seccomp": seccomp,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "uidMappings": map,
            "gidMappings": map,
            "cgroupsPath": format!("/{name}"),
            "resources": {
                "memory": {"limit": memory, "swap": memory},
                "pids": {"limit": 160},
                "cpu": {"quota": 400_000, "period": 100_000},
                "devices": [{"allow": false, "access": "rwm"}],
            },
        });
        json!({
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": self.directory.join("root"), "readonly": true},
            "hostname": "handaxe",
            "mounts": mounts,
            "linux": linux,
        })
    }
}

/// What the first process is.
pub(super) fn process(command: &[String], environment: &[(String, String)]) -> Value {
    let environment: Vec<String> = environment
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    let limits: Vec<Value> = [
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_MSGQUEUE", 0),
    ]
    .iter()
    .map(|(kind, value)| json!({"type": kind, "hard": value, "soft": value}))
    .collect();
    let none: [&str; 0] = [];
    json!({
        "terminal": false,
        "user": {"uid": USER, "gid": USER},
        "args": command,
        "env": environment,
        "cwd": "/scratch",
        "noNewPrivileges": true,
        "capabilities": {"bounding": none, "effective": none, "permitted": none,
                         "inheritable": none, "ambient": none},
        "rlimits": limits,
    })
}

fn bind(from: &Path, to: &Path, executable: &str) -> Value {
    let options = ["rbind", "ro", "nosuid", "nodev", executable];
    json!({"destination": to, "type": "bind", "source": from, "options": options})
}

fn tmpfs(at: &str, bytes: u64, inodes: u64) -> Value {
    let mut options: Vec<String> = ["nosuid", "nodev", "noexec", "mode=0700"]
        .map(str::to_owned)
        .to_vec();
    options.extend([
        format!("size={bytes}"),
        format!("nr_inodes={inodes}"),
        format!("uid={USER}"),
        format!("gid={USER}"),
    ]);
    json!({"destination": at, "type": "tmpfs", "source": "tmpfs", "options": options})
}

/// Parts of `/proc` that tell of the host.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/kmsg",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
