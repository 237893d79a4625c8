//! Finds the Python that runs the tools, and the files that it cannot run without.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use handaxe_types::Digest;
use handaxe_types::json::{self, Bounds};
use serde::{Deserialize, Serialize};

use crate::{Interpreter, SandboxError};

/// An interpreter and everything of the host that the jail must show it. Finding one costs a start
/// of Python: keep it as long as the executable's path, size, inode and time stay the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    pub interpreter: Interpreter,
    /// Standard library and time zones; site-packages are not among them.
    pub directories: Vec<PathBuf>,
    /// The executable and its shared libraries.
    pub files: Vec<PathBuf>,
    /// Links under which the loader looks for them.
    pub links: Vec<(PathBuf, PathBuf)>,
}

impl Runtime {
    /// The directory on the way to it, if any, that only its owner may enter: where the jail's user is
    /// another and sees the host's own tree, it would not find its interpreter.
    pub(crate) fn closed_to_others(&self) -> Option<&Path> {
        const OTHERS_ENTER: u32 = 0o001;
        let there = std::iter::once(self.interpreter.executable.as_path())
            .chain(self.directories.iter().map(PathBuf::as_path));
        there.flat_map(|path| path.ancestors().skip(1)).find(|dir| {
            dir.metadata()
                .is_ok_and(|found| found.mode() & OTHERS_ENTER == 0)
        })
    }
}

/// Entries of a standard library that a tool has no business with.
pub(crate) const COVERED: [&str; 5] = [
    "site-packages",
    "dist-packages",
    "test",
    "ensurepip",
    "idlelib",
];

/// Time zones for `zoneinfo`.
const ZONES: &str = "/usr/share/zoneinfo";

const PROBE: &str = include_str!("probe.py");
const PROBE_TIME: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probed {
    implementation: String,
    version: [u32; 3],
    free_threaded: bool,
    executable: PathBuf,
    prefix: PathBuf,
    path: Vec<PathBuf>,
    libraries: Vec<PathBuf>,
    loader: Option<PathBuf>,
}

fn none(reason: impl Into<String>) -> SandboxError {
    SandboxError::NoInterpreter {
        reason: reason.into(),
    }
}

/// `python` where given, else the first `python3` on `search`, else `/usr/bin/python3`.
pub(crate) fn find(
    python: Option<&Path>,
    search: Option<&OsStr>,
    modules: &[String],
) -> Result<Runtime, SandboxError> {
    if let Some(python) = python {
        return inspect(python, search, modules);
    }
    let on_path = search
        .into_iter()
        .flat_map(std::env::split_paths)
        .map(|d| d.join("python3"));
    let mut reasons = Vec::new();
    for candidate in on_path.chain([PathBuf::from("/usr/bin/python3")]) {
        if !candidate.is_absolute() || !candidate.is_file() {
            continue;
        }
        match inspect(&candidate, search, modules) {
            Ok(found) => return Ok(found),
            Err(SandboxError::NoInterpreter { reason }) => reasons.push(reason),
            Err(other) => return Err(other),
        }
    }
    if reasons.is_empty() {
        reasons.push("no `python3` on the search path, and no /usr/bin/python3".to_owned());
    }
    Err(none(reasons.join("; ")))
}

/// Asks one interpreter about itself.
fn inspect(
    python: &Path,
    search: Option<&OsStr>,
    modules: &[String],
) -> Result<Runtime, SandboxError> {
    let shown = python.display();
    let text = run(python, search, modules).map_err(|e| none(format!("{shown}: {e}")))?;
    let bounds = Bounds {
        bytes: 1 << 20,
        depth: 4,
    };
    let probed: Probed = json::parse_as(&text, bounds).map_err(|_| {
        none(format!(
            "{shown} is not a Python 3 (its answer made no sense)"
        ))
    })?;
    let [major, minor, patch] = probed.version;
    let name = format!("{} {major}.{minor}.{patch}", probed.implementation);
    if probed.implementation != "cpython" || (major, minor) < (3, 9) || major != 3 {
        return Err(none(format!(
            "{shown} is {name}; CPython 3.9 or newer is needed"
        )));
    }
    if probed.free_threaded {
        return Err(none(format!(
            "{shown} is a free-threaded build, which cannot be jailed yet"
        )));
    }
    let bytes = std::fs::read(&probed.executable)
        .map_err(|e| none(format!("cannot read {}: {e}", probed.executable.display())))?;
    let interpreter = Interpreter {
        executable: probed.executable.clone(),
        prefix: probed.prefix,
        version: format!("CPython {major}.{minor}.{patch}"),
        digest: Digest::of(&bytes),
    };
    Ok(needs(
        interpreter,
        &probed.path,
        &probed.libraries,
        probed.loader,
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "asks the host's interpreter about itself; no tool code"
)]
fn run(python: &Path, search: Option<&OsStr>, modules: &[String]) -> std::io::Result<Vec<u8>> {
    let mut command = Command::new(python);
    command
        .args(["-I", "-S", "-B", "-c", PROBE])
        .args(modules)
        .env_clear();
    command.env("LC_ALL", "C.UTF-8").current_dir("/");
    // A version manager's shim finds the real one by it.
    command.env(
        "PATH",
        search.map_or_else(|| OsString::from("/usr/bin:/bin"), OsStr::to_owned),
    );
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.map(|out| out.take(1 << 20).read_to_end(&mut text))
            .transpose()
            .map(|_| text)
    });
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > PROBE_TIME {
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "did not answer",
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    reader
        .join()
        .unwrap_or_else(|_| Err(std::io::Error::other("the reader ended")))
}

/// The files and links of the jail's root.
fn needs(
    interpreter: Interpreter,
    path: &[PathBuf],
    libraries: &[PathBuf],
    loader: Option<PathBuf>,
) -> Runtime {
    let mut directories = BTreeSet::new();
    let mut links = BTreeSet::new();
    for found in path.iter().map(PathBuf::as_path).chain([Path::new(ZONES)]) {
        let Ok(real) = found.canonicalize() else {
            continue;
        };
        if real != found {
            links.insert((found.to_owned(), real.clone()));
        }
        directories.insert(real);
    }
    // A directory inside another is seen through it.
    let all = directories.clone();
    directories.retain(|d| !all.iter().any(|other| d != other && d.starts_with(other)));

    let mut files = BTreeSet::from([interpreter.executable.clone()]);
    for library in libraries {
        if !library.is_file() || directories.iter().any(|d| library.starts_with(d)) {
            continue;
        }
        for name in names_of(library) {
            // Every loader looks in /usr/lib or /lib; both are the same in the jail.
            let link = Path::new("/usr/lib").join(name);
            if link != *library {
                links.insert((link, library.clone()));
            }
        }
        files.insert(library.clone());
    }
    if let Some((loader, real)) = loader.and_then(|l| l.canonicalize().ok().map(|r| (l, r))) {
        files.insert(real.clone());
        if loader != real {
            links.insert((loader, real));
        }
    }
    if !files.iter().any(|f| f.starts_with("/lib")) {
        links.insert(("/lib".into(), "/usr/lib".into()));
    }
    Runtime {
        interpreter,
        directories: directories.into_iter().collect(),
        files: files.into_iter().collect(),
        links: links.into_iter().collect(),
    }
}

/// The names that lead to a library in its own directory: `libz.so.1` beside `libz.so.1.2.13`.
fn names_of(library: &Path) -> Vec<OsString> {
    let (Some(directory), Some(name)) = (library.parent(), library.file_name()) else {
        return Vec::new();
    };
    let mut names = vec![name.to_owned()];
    let stem = name.to_string_lossy();
    let stem = stem.split(".so").next().unwrap_or_default();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let other = entry.file_name();
        if !other.to_string_lossy().starts_with(stem) || other == *name {
            continue;
        }
        let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
        if is_link
            && entry
                .path()
                .canonicalize()
                .is_ok_and(|real| real == library)
        {
            names.push(other);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_python_is_found_without_a_search_path() {
        let found = find(None, None, &["json".to_owned(), "zlib".to_owned()]).unwrap();
        assert!(found.interpreter.version.starts_with("CPython 3."));
        assert!(found.files.contains(&found.interpreter.executable));
        assert!(found.directories.iter().any(|d| d.join("os.py").is_file()));
    }

    #[test]
    fn a_directory_that_only_its_owner_enters_is_named() {
        let mut found = find(None, None, &[]).unwrap();
        assert_eq!(found.closed_to_others(), None);
        let own = tempfile::tempdir().unwrap();
        found.interpreter.executable = own.path().join("bin/python3");
        let may_enter = |mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(own.path(), mode).unwrap();
        };
        may_enter(0o755);
        assert_eq!(found.closed_to_others(), None);
        may_enter(0o700);
        assert_eq!(found.closed_to_others(), Some(own.path()));
    }

    #[test]
    fn what_is_no_python_is_said_to_be_none() {
        for (path, needle) in [
            ("/bin/true", "made no sense"),
            ("/nonexistent/python3", "No such"),
        ] {
            let error = find(Some(Path::new(path)), None, &[]).unwrap_err();
            assert!(
                matches!(&error, SandboxError::NoInterpreter { reason } if reason.contains(needle))
            );
        }
    }
}
