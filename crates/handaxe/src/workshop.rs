//! What every command works with: the home, the registry, the sandbox, the terminal. Each is
//! opened when it is first needed, so that `--help` and bad usage touch nothing.

use std::cell::OnceCell;
use std::sync::Arc;

use handaxe_registry::{Registry, RegistryError};
use handaxe_sandbox::{Cancel, NativeConfig, NativeSandbox, Sandbox, SandboxError};
use handaxe_types::{Isolation, ToolRef};

use crate::cli::Global;
use crate::failure::{Exit, Failure, chain};
use crate::home::{Home, SearchSettings, login};
use crate::interpreter;
use crate::render::Output;
use crate::sandboxes::{self, Choice};
use crate::telemetry::redactor;

pub(crate) struct Workshop {
    pub(crate) out: Output,
    pub(crate) global: Global,
    home: OnceCell<Home>,
    registry: OnceCell<Registry>,
    sandbox: OnceCell<Arc<dyn Sandbox>>,
    runtime: OnceCell<tokio::runtime::Runtime>,
}

impl Workshop {
    pub(crate) fn new(global: Global) -> Self {
        Self {
            out: Output::new(&global),
            global,
            home: OnceCell::new(),
            registry: OnceCell::new(),
            sandbox: OnceCell::new(),
            runtime: OnceCell::new(),
        }
    }

    pub(crate) fn home(&self) -> Result<&Home, Failure> {
        get_or_try(&self.home, || Home::open(self.global.home.as_deref()))
    }

    pub(crate) fn registry(&self) -> Result<&Registry, Failure> {
        get_or_try(&self.registry, || {
            let registry = Registry::open(self.home()?.dir()).map_err(|e| registry_failure(&e))?;
            let registry = registry
                .redacting(Arc::clone(redactor()))
                .map_err(|e| registry_failure(&e))?;
            let registry = registry
                .acting_as(&login())
                .under(self.home()?.policy.approval.clone());
            match &self.home()?.config.search {
                None => Ok(registry),
                Some(settings) => by_meaning(&registry, settings),
            }
        })
    }

    pub(crate) fn sandbox(&self) -> Result<&Arc<dyn Sandbox>, Failure> {
        get_or_try(&self.sandbox, || {
            let choice = self.sandbox_choice()?;
            self.named_by_hand(&choice)?;
            let config = self.native_config()?;
            let home = self.home()?.dir();
            let runtime = if let Some(runtime) = interpreter::recall(home, &config) {
                runtime
            } else {
                let found = NativeSandbox::new(config.clone()).map_err(|e| sandbox_failure(&e))?;
                interpreter::keep(home, &config, found.runtime());
                found.runtime().clone()
            };
            sandboxes::make(&choice, &config, runtime).map_err(|e| sandbox_failure(&e))
        })
    }

    /// The level without namespaces is for policies that name it; asking for it is not enough.
    fn named_by_hand(&self, choice: &Choice) -> Result<(), Failure> {
        let isolation = &self.home()?.policy.isolation;
        let levels = || isolation.domains.values().chain([&isolation.least]);
        if *choice != Choice::Landlock || levels().any(|l| *l == Isolation::Landlock) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Refused,
            "isolation",
            format!(
                "the sandbox `landlock` isolates least, and no line of the policy allows it: policy.toml [isolation] least = \"{}\"",
                isolation.least.as_str()
            ),
        )
        .hint("where nothing stronger can be had, a person may write [isolation] least = \"landlock\" into policy.toml (`handaxe config path`)"))
    }

    /// The flag or its variable, else the settings, else native.
    pub(crate) fn sandbox_choice(&self) -> Result<Choice, Failure> {
        match (&self.global.sandbox, &self.home()?.config.sandbox) {
            (Some(choice), _) => Ok(choice.clone()),
            (None, Some(text)) => text.parse().map_err(|e| {
                Failure::usage(format!("config.toml: sandbox = \"{text}\": {e}"))
                    .hint("`handaxe config path` says where it is")
            }),
            (None, None) => Ok(Choice::default()),
        }
    }

    pub(crate) fn native_config(&self) -> Result<NativeConfig, Failure> {
        let launcher = std::env::current_exe().map_err(|e| {
            Failure::new(
                Exit::SandboxUnavailable,
                "sandbox",
                format!("cannot find this program: {e}"),
            )
        })?;
        let python = match &self.global.python {
            Some(python) => Some(python.clone()),
            None => self.home()?.config.python.clone(),
        };
        Ok(NativeConfig {
            python,
            search: std::env::var_os("PATH"),
            ..NativeConfig::new(launcher)
        })
    }

    pub(crate) fn runtime(&self) -> Result<&tokio::runtime::Runtime, Failure> {
        get_or_try(&self.runtime, || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|e| Failure::failed("runtime", format!("cannot start: {e}")))
        })
    }

    /// The first Ctrl-C stops the work in good order; a second one ends the program.
    pub(crate) fn cancel_on_interrupt(&self, cancel: &Cancel) {
        let Ok(runtime) = self.runtime() else { return };
        let (cancel, out) = (cancel.clone(), self.out.clone());
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                out.note("stopping …");
                cancel.cancel();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    }
}

/// The registry that finds tools by meaning too.
#[cfg(feature = "dense")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn by_meaning(registry: &Registry, settings: &SearchSettings) -> Result<Registry, Failure> {
    let model = handaxe_registry::MiniLmAt::new(settings.weights.clone());
    Ok(registry.finding_by_meaning(Box::new(model)))
}

#[cfg(not(feature = "dense"))]
fn by_meaning(_: &Registry, settings: &SearchSettings) -> Result<Registry, Failure> {
    Err(Failure::usage(format!(
        "config.toml: [search] weights = \"{}\": this program was built without a sentence model",
        settings.weights.display()
    ))
    .hint("build it with `--features dense`, or take `[search]` out of config.toml: tools are then found by their words"))
}

/// `OnceCell::get_or_try_init`, which is not stable yet.
fn get_or_try<T>(
    cell: &OnceCell<T>,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<&T, Failure> {
    if cell.get().is_none() {
        let value = make()?;
        return Ok(cell.get_or_init(|| value));
    }
    cell.get()
        .ok_or_else(|| Failure::failed("internal", "a value that was just made is gone"))
}

pub(crate) fn registry_failure(error: &RegistryError) -> Failure {
    Failure::failed("registry", chain(error)).hint(error.hint())
}

pub(crate) fn sandbox_failure(error: &SandboxError) -> Failure {
    match error {
        SandboxError::MissingLayer { layer, hint, .. } => {
            Failure::new(Exit::SandboxUnavailable, "missing_layer", chain(error)).hint(format!(
                "{hint}; `handaxe doctor` shows every layer ({})",
                layer.as_str()
            ))
        }
        SandboxError::Backend { hint, .. } => {
            Failure::new(Exit::SandboxUnavailable, "sandbox_backend", chain(error))
                .hint(format!("{hint}; `handaxe doctor` lists every sandbox"))
        }
        SandboxError::NoInterpreter { .. } => {
            Failure::new(Exit::SandboxUnavailable, "no_interpreter", chain(error))
                .hint("install Python 3.10 or newer, or name one with --python PATH")
        }
        SandboxError::Cancelled => cancelled(),
        SandboxError::Busy { .. } => {
            Failure::new(Exit::Bound, "busy", chain(error)).hint("try again when fewer calls run")
        }
        SandboxError::File { .. } => Failure::failed("data_file", chain(error)),
        SandboxError::Artifact { .. } => {
            Failure::failed("artifact", chain(error)).hint("choose another place with --out DIR")
        }
        _ => Failure::new(Exit::SandboxUnavailable, "sandbox", chain(error))
            .hint("`handaxe doctor` shows what this machine gives"),
    }
}

pub(crate) fn run_failure(error: &handaxe_registry::RunError) -> Failure {
    Failure::failed("run", chain(error)).hint(error.hint())
}

/// A pipeline error outside a run.
pub(crate) fn pipeline_failure(error: handaxe_agent::PipelineError) -> Failure {
    use handaxe_agent::PipelineError;
    match error {
        PipelineError::Cancelled => cancelled(),
        PipelineError::Sandbox(e) => sandbox_failure(&e),
        PipelineError::Isolation(refusal) => isolation_failure(&refusal),
        PipelineError::Registry(e) => registry_failure(&e),
        PipelineError::Run(e) => run_failure(&e),
        PipelineError::Data { source, .. } => {
            let text = source.to_string();
            match text.split_once("\nhint: ") {
                Some((what, hint)) => Failure::failed("data", what).hint(hint),
                None => Failure::failed("data", text),
            }
        }
        PipelineError::Load(e) => Failure::failed(e.kind(), chain(&e)).hint(e.hint()),
        PipelineError::Approve(e) => {
            Failure::new(Exit::Refused, e.kind(), chain(&e)).hint(e.hint())
        }
        PipelineError::DataChanged { .. } => Failure::failed("data_changed", chain(&error)).hint(
            "its approval and answer are for the file as it was: put that back, or ask anew with `handaxe ask`",
        ),
        PipelineError::DataIo { .. } => Failure::failed("data", chain(&error))
            .hint("put the file back where it was, or ask anew with `handaxe ask`"),
        PipelineError::Propose(e) => Failure::failed("propose", chain(&e)).hint(e.hint()),
        other => Failure::failed("run", chain(&other)),
    }
}

/// The policy asks for a stronger sandbox than the one that was chosen.
pub(crate) fn isolation_failure(refusal: &handaxe_validate::IsolationRefusal) -> Failure {
    Failure::new(Exit::Refused, "isolation", refusal.to_string()).hint(
        "`handaxe doctor` lists the sandboxes of this machine and their isolation; choose one with --sandbox",
    )
}

pub(crate) fn cancelled() -> Failure {
    Failure::failed("cancelled", "stopped")
}

/// `NAME` or `NAME@VERSION`.
pub(crate) fn tool_ref(text: &str) -> Result<ToolRef, Failure> {
    text.parse()
        .map_err(|e| Failure::usage(e).hint("`handaxe tools list` shows the names"))
}
