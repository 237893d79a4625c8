//! Places that give less: containers with and without namespaces, a root that may not mount. What
//! is missing is named with what would provide it, or everything holds; nothing in between.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use handaxe_sandbox::{Cancel, Sandbox, SandboxError, SessionSpec};
use handaxe_types::Layer;
use serde_json::json;

use crate::landlock::bare;
use crate::support::{
    LAUNCHER_VARIABLE, PYTHON, call, config, config_with_ctypes, launcher, output, probe,
    sandbox_of,
};

/// The other half of these tests: says in a line what this place gives each profile.
#[test]
#[ignore = "started by the others of this file alone"]
fn what_this_place_gives() {
    for (name, config) in [("native", config()), ("landlock", bare(config()))] {
        let opened = sandbox_of(config).open(SessionSpec::default());
        let done = opened.and_then(|session| {
            let code = "def run():\n    return 'ran'\n";
            session.call(&call(code, json!({})), &Cancel::default())
        });
        let said = match done {
            Ok(result) => format!("{} {}", output(&result), result.layers.len()),
            Err(SandboxError::MissingLayer {
                layer,
                reason,
                hint,
            }) => {
                format!("missing {}: {reason}; {hint}", layer.as_str())
            }
            Err(error) => format!("error {error:?}"),
        };
        println!("[{name}] {said}");
    }
}

/// The escapes that matter most, in whatever place this is.
#[test]
#[ignore = "started by the others of this file alone"]
fn attacks_in_this_place() {
    let session = sandbox_of(config_with_ctypes())
        .open(SessionSpec::default())
        .unwrap();
    let result = session.call(
        &call(probe("kernel"), json!({"privileged": true})),
        &Cancel::default(),
    );
    let result = result.unwrap();
    let found = output(&result).as_object().unwrap().clone();
    assert!(found.len() > 40);
    for (name, said) in found {
        assert!(
            matches!(said.as_str(), Some("EPERM" | "ENOSYS")),
            "{name}: {said}"
        );
    }
    println!("[attacks] denied");
}

/// A copy of these tests that any user may run.
struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let dir = tempfile::Builder::new()
            .permissions(mode)
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::copy(std::env::current_exe().unwrap(), dir.path().join("tests")).unwrap();
        std::fs::copy(launcher(), dir.path().join("launcher")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs one of the halves behind a prefix of commands, and gives its lines.
    fn within(&self, prefix: &[&str], half: &str) -> (Output, String) {
        #[expect(
            clippy::disallowed_methods,
            reason = "this test binary in another place"
        )]
        let mut command = Command::new(prefix.first().map_or("env", |first| first));
        command
            .args(prefix.iter().skip(1))
            .arg(self.path("tests"))
            .args([
                "--exact",
                &format!("environments::{half}"),
                "--include-ignored",
                "--nocapture",
            ])
            .env(LAUNCHER_VARIABLE, self.path("launcher"))
            .env("TMPDIR", "/tmp")
            .current_dir("/");
        let done = command.output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        (done, text)
    }

    /// What each profile is given there.
    #[track_caller]
    fn gives(&self, prefix: &[&str]) -> [String; 2] {
        let (_, text) = self.within(prefix, "what_this_place_gives");
        ["[native] ", "[landlock] "].map(|mark| {
            let line = text.lines().find_map(|line| line.split_once(mark));
            line.unwrap_or_else(|| panic!("{prefix:?}: {text}"))
                .1
                .to_owned()
        })
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// As somebody without rights, whoever runs these tests.
fn nobody() -> Vec<&'static str> {
    if is_root() {
        vec![
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ]
    } else {
        vec!["env"]
    }
}

fn with<'a>(prefix: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [prefix, more].concat()
}

#[track_caller]
fn ran(said: &str) {
    assert!(said.starts_with("\"ran\" "), "{said}");
}

#[track_caller]
fn refused(said: &str, layer: Layer, hints: &[&str]) {
    assert!(
        said.starts_with(&format!("missing {}: ", layer.as_str())),
        "{said}"
    );
    for hint in hints {
        assert!(said.contains(hint), "no `{hint}` in: {said}");
    }
}

/// A filter as containers have by default: no new namespaces, no mounts.
const CONTAINER: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine == "aarch64"
refused = (97, 40, 429, 428, 268) if arm else (272, 165, 429, 428, 308)
program = [(0x20, 0, 0, 0)]
for at, number in enumerate(refused):
    program.append((0x15, len(refused) - at, 0, number))
program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
code = b"".join(struct.pack("HBBI", *line) for line in program)
buffer = ctypes.create_string_buffer(code)
head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(head), 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn a_place_without_namespaces_is_refused_by_name_and_landlock_runs_there() {
    let copy = Copy::new();
    let container = [PYTHON, "-c", CONTAINER];
    let none = "echo 0 > /proc/sys/user/max_user_namespaces && \
                exec setpriv --inh-caps=-all --ambient-caps=-all \"$@\"";
    let none = [
        "unshare",
        "--user",
        "--map-current-user",
        "--keep-caps",
        "sh",
        "-c",
        none,
        "sh",
    ];
    let hints = [
        "kernel.apparmor_restrict_unprivileged_userns",
        "packaging/apparmor/handaxe",
        "landlock",
    ];
    for place in [with(&nobody(), &container), with(&nobody(), &none)] {
        let [native, landlock] = copy.gives(&place);
        refused(&native, Layer::UserNamespace, &hints);
        ran(&landlock);
    }
    if is_root() {
        // Root without the rights of one, as in a container.
        let powerless = [
            "setpriv",
            "--bounding-set=-sys_admin",
            "--inh-caps=-sys_admin",
        ];
        let [native, landlock] = copy.gives(&with(&powerless, &container));
        refused(&native, Layer::UserNamespace, &hints);
        ran(&landlock);
    }
}

#[test]
fn a_root_without_rights_has_the_whole_jail_or_is_told_what_lacks() {
    if !is_root() {
        // Somebody who is not root cannot become such a root.
        eprintln!("not run: these tests are not root's");
        return;
    }
    let copy = Copy::new();
    // It may not mount, but may become somebody who may make namespaces.
    let place = [
        "setpriv",
        "--bounding-set=-sys_admin",
        "--inh-caps=-sys_admin",
    ];
    let [native, landlock] = copy.gives(&place);
    ran(&native);
    ran(&landlock);
    let (_, text) = copy.within(&place, "attacks_in_this_place");
    assert!(text.contains("[attacks] denied"), "{text}");
    // It may not even become somebody else: a jail built by root is no boundary.
    let place = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    for said in copy.gives(&place) {
        refused(&said, Layer::UnprivilegedUid, &["ordinary user"]);
    }
}

/// A container that allows namespaces within, and one that does not: bubblewrap makes both.
#[test]
fn a_container_that_allows_namespaces_has_the_whole_jail() {
    let bwrap = Path::new("/usr/bin/bwrap");
    if !bwrap.exists() {
        eprintln!("not run: there is no {}", bwrap.display());
        return;
    }
    let copy = Copy::new();
    let container = [
        "bwrap",
        "--unshare-all",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--bind",
        "/tmp",
        "/tmp",
    ];
    let open = with(&nobody(), &container);
    let [native, landlock] = copy.gives(&open);
    ran(&native);
    ran(&landlock);
    let (_, text) = copy.within(&open, "attacks_in_this_place");
    assert!(text.contains("[attacks] denied"), "{text}");
    let shut = with(&open, &["--unshare-user", "--disable-userns"]);
    let [native, landlock] = copy.gives(&shut);
    refused(&native, Layer::UserNamespace, &["max_user_namespaces"]);
    ran(&landlock);
}

/// Control groups are optional: without the right to make any, the rest is in force, and says so.
#[test]
fn without_control_groups_the_rest_is_in_force() {
    let copy = Copy::new();
    let [native, _] = copy.gives(&nobody());
    ran(&native);
    let layers: usize = native.rsplit(' ').next().unwrap().parse().unwrap();
    let all = handaxe_jail::all_layers().len();
    // An ordinary user of a machine with delegated groups may have them too.
    assert!(layers == all - 1 || layers == all, "{native}");
}

/// The profile that Ubuntu needs. Parsers before 4.0 know neither its rule nor its version.
#[test]
fn the_apparmor_profile_is_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/apparmor/handaxe");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("\n  userns,\n") && text.contains("flags=(unconfined)"));
    let places = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];
    let Some(parser) = places.iter().find(|p| Path::new(p).exists()) else {
        eprintln!("syntax not checked: there is no apparmor_parser");
        return;
    };
    #[expect(clippy::disallowed_methods, reason = "checks the profile's syntax")]
    let run = |arguments: &[&str]| Command::new(parser).args(arguments).output().unwrap();
    let version = run(&["-V"]).stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    let old = version.contains("version 2.") || version.contains("version 3.");
    let text = if old {
        text.replace("abi <abi/4.0>,\n", "")
            .replace("  userns,\n", "")
    } else {
        text
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let given = file.path().to_str().unwrap();
    let check = ["--skip-kernel-load", "--skip-cache", given];
    let done = run(&check);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    std::fs::write(file.path(), text.replace("unconfined", "nonsense")).unwrap();
    assert!(!run(&check).status.success(), "the parser takes anything");
}
