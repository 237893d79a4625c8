//! Running a tool. The only ways in are an [`ApprovedTool`], and, used up by one answer, a
//! [`Provisional`]; both only the registry can make.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use handaxe_registry::{ApprovedTool, Provisional, ProvisionalError, StateChange, StateError};
use handaxe_sandbox::{InlineFile, Mount, SandboxError, SessionSpec};
use handaxe_types::{
    Asset, Capability, DataFile, Limits, Progress, RunId, Spec, ToolDigest, ToolName, ToolRef,
    Version, measures,
};
use handaxe_validate::{Arguments, Contract, InvokeError, is_sampled, shadow};
use serde_json::{Map, Value};

use super::data::{Carried, carry};
use super::report::Invocation;
use super::{Context, PipelineError};

/// What one call is given.
pub struct Use<'a> {
    pub input: Map<String, Value>,
    pub files: Vec<&'a DataFile>,
    /// Where files that the tool produces go; made when there is one.
    pub artifacts: PathBuf,
    pub run: Option<RunId>,
    /// Lowers the approved limits; they are never raised.
    pub ceiling: Option<Limits>,
}

#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// Refused before anything ran, or what came back broke the tool's promise.
    #[error(transparent)]
    Invoke(InvokeError),
    #[error("the approved tool's schemas cannot be used: {0}")]
    Contract(#[source] handaxe_validate::ContractError),
    /// What waited is decided, changed or late by now.
    #[error(transparent)]
    Provisional(ProvisionalError),
    /// It ran under a use before approval and gave nothing.
    #[error("{0}")]
    Ended(String),
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// What the registry let out to be run.
#[derive(Clone, Copy)]
enum Held<'a> {
    Approved(&'a ApprovedTool),
    Once(&'a Provisional),
}

impl<'a> Held<'a> {
    fn spec(self) -> &'a Spec {
        match self {
            Self::Approved(tool) => tool.spec(),
            Self::Once(tool) => tool.spec(),
        }
    }

    fn code(self) -> &'a str {
        match self {
            Self::Approved(tool) => tool.code(),
            Self::Once(tool) => tool.code(),
        }
    }

    fn assets(self) -> &'a BTreeMap<String, Asset> {
        match self {
            Self::Approved(tool) => tool.assets(),
            Self::Once(tool) => tool.assets(),
        }
    }

    fn name(self) -> &'a ToolName {
        &self.spec().name
    }

    fn version(self) -> Version {
        match self {
            Self::Approved(tool) => tool.version(),
            Self::Once(tool) => tool.version(),
        }
    }
}

/// Runs the tool once, in the jail that it was proved in, and journals it.
pub fn use_tool(
    ctx: &Context,
    tool: &ApprovedTool,
    what: &Use<'_>,
) -> Result<Invocation, UseError> {
    call(ctx, Held::Approved(tool), what)
}

/// Makes the calls of one answer with a tool that waits for a person, in the same jail and limits,
/// and with that its use is over.
pub(super) fn use_once(
    ctx: &Context,
    tool: Provisional,
    calls: &[Use<'_>],
) -> Result<Vec<Invocation>, UseError> {
    let mut made = Vec::with_capacity(calls.len());
    for what in calls {
        ctx.check_cancel()?;
        ctx.registry
            .still_provisional(&tool)
            .map_err(UseError::Provisional)?;
        made.push(call(ctx, Held::Once(&tool), what)?);
    }
    drop(tool);
    Ok(made)
}

fn call(ctx: &Context, tool: Held<'_>, what: &Use<'_>) -> Result<Invocation, UseError> {
    let spec = tool.spec();
    handaxe_validate::isolation(&ctx.policy, &spec.domain, ctx.sandbox.profile())
        .map_err(PipelineError::Isolation)?;
    ctx.report(Progress::Invoking(ToolRef {
        name: tool.name().clone(),
        version: Some(tool.version()),
    }));
    let contract = contract(tool)?;
    let (files, mounts) = match carry(&what.files)? {
        Carried::Inline(files) => (files, Vec::new()),
        Carried::Mounted(mounts) => (Vec::<InlineFile>::new(), mounts),
    };
    let bytes: u64 = what.files.iter().map(|f| f.bytes).sum();
    let writes = spec.capabilities.contains(&Capability::WriteFiles);
    let mut limits = spec.limits.for_data(bytes, writes);
    if let Some(ceiling) = &what.ceiling {
        limits = limits.at_most(ceiling);
    }
    let artifacts = if writes {
        Some(make_dir(&what.artifacts)?)
    } else {
        None
    };
    let arguments = Arguments {
        input: what.input.clone(),
        files,
        mounted: mounts.iter().map(|m| m.name.clone()).collect(),
        artifacts,
        limits: Some(limits),
    };
    contract.check_input(&arguments).map_err(UseError::Invoke)?;
    let session = ctx
        .sandbox
        .open(SessionSpec {
            mounts: mounts.clone(),
            ..SessionSpec::default()
        })
        .map_err(PipelineError::Sandbox)?;
    let span = tracing::info_span!(
        "sandbox_call",
        handaxe.tool = tool.name().as_str(),
        handaxe.version = i64::from(tool.version().0),
        handaxe.outcome = tracing::field::Empty,
    );
    let outcome = span.in_scope(|| {
        handaxe_validate::invoke(session.as_ref(), &contract, &arguments, &ctx.cancel)
    });
    told(&span, tool, &outcome);
    let result = match outcome {
        Ok(result) => result,
        Err(InvokeError::Sandbox(handaxe_sandbox::SandboxError::Cancelled)) => {
            return Err(PipelineError::Cancelled.into());
        }
        Err(error) => {
            if let InvokeError::Output { result, .. } = &error {
                journal(ctx, tool, what, result)?;
            }
            return Err(UseError::Invoke(error));
        }
    };
    journal(ctx, tool, what, &result)?;
    drop(session);
    if let Held::Approved(tool) = tool
        && spec.deterministic
        && is_sampled(ctx.policy.trial.shadow_percent)
        && let Some(difference) = second_look(ctx, &mounts, &contract, &arguments, &result)?
    {
        quarantine(ctx, tool, &difference)?;
    }
    Ok(Invocation {
        tool: tool.name().clone(),
        version: tool.version(),
        data: what.files.iter().map(|f| f.name.clone()).collect(),
        input: Value::Object(what.input.clone()),
        result,
    })
}

/// Contracts that were made lately. Reading a schema costs as much as a quick tool does, and a
/// contract comes of nothing but what the digest is over.
static CONTRACTS: Mutex<VecDeque<(ToolDigest, Arc<Contract>)>> = Mutex::new(VecDeque::new());
/// So many are kept, the latest used first.
const CONTRACTS_KEPT: usize = 64;

fn contract(tool: Held<'_>) -> Result<Arc<Contract>, UseError> {
    let make = || {
        Contract::new(tool.spec(), tool.code(), tool.assets())
            .map(Arc::new)
            .map_err(UseError::Contract)
    };
    let digest = match tool {
        Held::Approved(approved) => approved.digest(),
        Held::Once(_) => return make(),
    };
    let kept = || CONTRACTS.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut kept = kept();
        if let Some(at) = kept.iter().position(|(of, _)| *of == digest)
            && let Some(found) = kept.remove(at)
        {
            let contract = Arc::clone(&found.1);
            kept.push_front(found);
            return Ok(contract);
        }
    }
    let contract = make()?;
    let mut kept = kept();
    kept.push_front((digest, Arc::clone(&contract)));
    kept.truncate(CONTRACTS_KEPT);
    Ok(contract)
}

/// One call, for those who watch.
fn told(
    span: &tracing::Span,
    tool: Held<'_>,
    outcome: &Result<handaxe_types::SandboxResult, InvokeError>,
) {
    let word = match outcome {
        Ok(result) => result.outcome.as_str(),
        Err(InvokeError::Output { .. }) => "bad_output",
        Err(InvokeError::Sandbox(SandboxError::Cancelled)) => "cancelled",
        Err(InvokeError::Sandbox(_)) => "sandbox_failed",
        Err(InvokeError::Input(_) | InvokeError::FileNotAttached { .. }) => "refused",
    };
    span.record("handaxe.outcome", word);
    let name = tool.name().to_string();
    metrics::counter!(measures::CALLS, "tool" => name.clone(), "outcome" => word).increment(1);
    if let Ok(result) = outcome {
        metrics::histogram!(measures::CALL_SECONDS, "tool" => name).record(result.runtime_ms / 1e3);
    }
}

/// Runs the call again elsewhere. A sandbox that fails here has failed no one's call.
fn second_look(
    ctx: &Context,
    mounts: &[Mount],
    contract: &Contract,
    arguments: &Arguments,
    first: &handaxe_types::SandboxResult,
) -> Result<Option<String>, PipelineError> {
    let sandbox = ctx.sandbox.as_ref();
    match shadow(sandbox, mounts, contract, arguments, first, &ctx.cancel) {
        Ok(seen) => Ok(seen.difference()),
        Err(SandboxError::Cancelled) => Err(PipelineError::Cancelled),
        Err(error) => {
            tracing::warn!(%error, "a call was not looked at a second time");
            Ok(None)
        }
    }
}

/// Takes the version out of use, in the journal with the reason, until a person restores it. One
/// that somebody else took out of use meanwhile stays as it is.
fn quarantine(ctx: &Context, tool: &ApprovedTool, difference: &str) -> Result<(), PipelineError> {
    let version = ToolRef {
        name: tool.name().clone(),
        version: Some(tool.version()),
    };
    let reason = format!("shadow run: {difference}");
    match ctx
        .registry
        .acting_as("shadow")
        .change_state(&version, &StateChange::Quarantine, &reason)
    {
        Ok(_) | Err(StateError::Illegal { .. }) => Ok(()),
        Err(StateError::Registry(error)) => Err(PipelineError::Registry(error)),
        Err(error) => {
            tracing::warn!(%error, %reason, "a version was not quarantined");
            Ok(())
        }
    }
}

fn make_dir(path: &Path) -> Result<PathBuf, PipelineError> {
    std::fs::create_dir_all(path).map_err(PipelineError::Artifacts)?;
    Ok(path.to_owned())
}

fn journal(
    ctx: &Context,
    tool: Held<'_>,
    what: &Use<'_>,
    result: &handaxe_types::SandboxResult,
) -> Result<(), PipelineError> {
    let registry = &ctx.registry;
    let recorded = match tool {
        Held::Approved(tool) => {
            registry.record_invocation(tool, what.run.as_ref(), &what.input, result)
        }
        Held::Once(tool) => registry.record_provisional_invocation(tool, &what.input, result),
    };
    recorded.map(|_| ()).map_err(PipelineError::Registry)
}
