//! What the sandbox does when the machine does not give what it needs: it says so, and runs nothing.

use handaxe_sandbox::{Cancel, NativeSandbox, Sandbox, SandboxError, SessionSpec};
use handaxe_types::Layer;
use serde_json::json;

use crate::support::{call, config, sandbox_of, session};

#[test]
fn every_layer_is_in_force_here() {
    let sandbox = sandbox_of(config());
    let layers = sandbox.layers();
    assert_eq!(layers.len(), 19);
    for status in layers {
        assert_eq!(status.required, status.layer != Layer::Cgroup);
        assert!(status.in_force || !status.required, "{status:?}");
    }
    let landlock = layers.iter().find(|s| s.layer == Layer::Landlock).unwrap();
    assert!(landlock.note.starts_with("abi "), "{landlock:?}");
    let result = session().call(
        &call("def run():\n    return 1\n", json!({})),
        &Cancel::default(),
    );
    let in_run = result.unwrap().layers;
    for status in layers.iter().filter(|s| s.in_force) {
        assert!(in_run.contains(&status.layer), "{status:?}");
    }
}

#[test]
fn a_missing_layer_is_refused_by_name() {
    for layer in [
        Layer::UserNamespace,
        Layer::PidNamespace,
        Layer::MountNamespace,
        Layer::NetNamespace,
        Layer::IpcNamespace,
        Layer::UtsNamespace,
        Layer::CgroupNamespace,
        Layer::PrivateScratch,
        Layer::ReadOnlyRoot,
        Layer::Landlock,
        Layer::NoCapabilities,
        Layer::NoNewPrivileges,
        Layer::Seccomp,
        Layer::Rlimits,
        Layer::ClosedDescriptors,
    ] {
        let mut config = config();
        config.knobs.missing = vec![layer];
        let sandbox = sandbox_of(config);
        // The jail may stand; then its first child finds out.
        let attempt = sandbox.open(SessionSpec::default()).and_then(|session| {
            let marker = call("def run():\n    return 'ran'\n", json!({}));
            session.call(&marker, &Cancel::default())
        });
        match attempt {
            Err(SandboxError::MissingLayer {
                layer: named, hint, ..
            }) => {
                assert_eq!(named, layer);
                assert!(!hint.is_empty());
            }
            other => panic!("{layer:?}: {other:?}"),
        }
        let status = sandbox.layers().iter().find(|s| s.layer == layer).unwrap();
        assert!(
            !status.in_force && status.required && status.note.len() > 10,
            "{status:?}"
        );
    }
}

#[test]
fn a_launcher_that_is_none_is_an_error() {
    for (launcher, needle) in [
        ("/bin/true", "without a word"),
        ("/nonexistent", "No such file"),
    ] {
        let mut config = config();
        let runtime = sandbox_of(config.clone()).runtime().clone();
        config.launcher = launcher.into();
        let opened = NativeSandbox::with_runtime(config, runtime).open(SessionSpec::default());
        let error = opened.map(drop).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        assert!(text.contains(needle), "{launcher}: {text}");
    }
}
