//! A runtime that builds one wall less than it was told to is found out before a tool runs.

use std::os::unix::fs::PermissionsExt as _;

use handaxe_sandbox::{Cancel, OciConfig, OciSandbox, Sandbox, SandboxError, SessionSpec};
use handaxe_types::Layer;
use serde_json::json;

use crate::backends::{call, launcher, native};

/// What is left out of `config.json`, as Python over `c`, and the layer that is then missed.
const FORGOTTEN: &[(&str, Layer)] = &[
    (
        "c['linux']['namespaces'] = [n for n in c['linux']['namespaces'] if n['type'] != 'network']",
        Layer::NetNamespace,
    ),
    (
        "c['linux']['namespaces'] = [n for n in c['linux']['namespaces'] if n['type'] != 'ipc']",
        Layer::IpcNamespace,
    ),
    ("c['root']['readonly'] = False", Layer::ReadOnlyRoot),
    (
        "c['process']['capabilities'] = {k: ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE'] for k in ('bounding', 'effective', 'permitted')}",
        Layer::NoCapabilities,
    ),
    (
        "c['mounts'] = [m for m in c['mounts'] if m['destination'] != '/scratch']",
        Layer::PrivateScratch,
    ),
    (
        "[m['options'].remove(o) for m in c['mounts'] if m['destination'] == '/scratch' for o in list(m['options']) if o.startswith('size')]",
        Layer::PrivateScratch,
    ),
    (
        "c['process']['env'] = [e for e in c['process']['env'] if not e.startswith('PYTHONHASHSEED')]",
        Layer::EmptyEnvironment,
    ),
    // Another user than the one whose scratch it is; root's number, and none of its rights.
    (
        "c['process']['user'] = {'uid': 0, 'gid': 0}",
        Layer::PrivateScratch,
    ),
];

#[test]
fn a_forgotten_wall_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("crun");
    let with = |change: &str| {
        let text = format!(
            "#!/usr/bin/python3\nimport json, os, sys\nat = sys.argv[sys.argv.index('--bundle') + 1] + '/config.json'\nc = json.load(open(at))\n{change}\njson.dump(c, open(at, 'w'))\nos.execv('/usr/bin/crun', ['crun', *sys.argv[1:]])\n"
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = OciConfig::new(launcher());
        config.runtime = Some("crun".to_owned());
        config.search = Some(dir.path().into());
        let sandbox = OciSandbox::new(config, native().runtime().clone())?;
        let session = sandbox.open(SessionSpec::default())?;
        let tool = call("def run():\n    return 1\n", json!({}));
        session.call(&tool, &Cancel::default())
    };
    // The control: nothing changed, and it runs.
    match with("pass") {
        Ok(result) => assert_eq!(result.output, Some(json!(1)), "{result:?}"),
        Err(error) => {
            println!("not run: forgotten walls: because {error}");
            return;
        }
    }
    for (change, wall) in FORGOTTEN {
        match with(change) {
            Err(SandboxError::MissingLayer { layer, .. }) => assert_eq!(layer, *wall, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
    }
}
