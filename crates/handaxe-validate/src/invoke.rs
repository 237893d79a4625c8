//! The one checked path to a tool: input checked on the host before any run, output checked after
//! it. Trials and production both come through here, for ever.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use handaxe_sandbox::{Call, Cancel, InlineFile, SandboxError, Session};
use handaxe_types::{Asset, Capability, Limits, SandboxResult, Spec};
use serde_json::{Map, Value};

use crate::schema::{Schema, SchemaError, SchemaViolation};

/// A tool's parts, compiled once and called many times. It proves nothing of approval: whoever
/// makes one for production makes it from an approved tool's parts.
#[derive(Clone, Debug)]
pub struct Contract {
    input: Schema,
    output: Schema,
    code: Arc<str>,
    assets: Vec<InlineFile>,
    file_inputs: Vec<String>,
    file_outputs: Vec<String>,
    limits: Limits,
}

#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error("the input schema cannot be used: {0}")]
    Input(#[source] SchemaError),
    #[error("the output schema cannot be used: {0}")]
    Output(#[source] SchemaError),
}

/// What one call is given.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    pub input: Map<String, Value>,
    /// Files that travel with the call.
    pub files: Vec<InlineFile>,
    /// Names of files that the session mounts.
    pub mounted: Vec<String>,
    /// Where artefacts go; see [`Call::artifacts`].
    pub artifacts: Option<PathBuf>,
    /// The limits of this call, where the caller knows more than the files that travel with it
    /// (mounted data, a ceiling of the machine). `None`: the tool's own, grown for those files.
    pub limits: Option<Limits>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Refused on the host: nothing ran.
    #[error("the input does not fit the tool's input schema: {0}")]
    Input(#[source] SchemaViolation),
    /// Refused on the host: nothing ran.
    #[error("`{property}` names the file `{file}`, which is not attached")]
    FileNotAttached { property: String, file: String },
    /// It ran, and what came back breaks the tool's promise. `result.output` still holds it.
    #[error("the tool's output does not fit its output schema: {violation}")]
    Output {
        violation: SchemaViolation,
        result: Box<SandboxResult>,
    },
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Contract {
    pub fn new(
        spec: &Spec,
        code: &str,
        assets: &BTreeMap<String, Asset>,
    ) -> Result<Self, ContractError> {
        Ok(Self {
            input: Schema::compile_input(&spec.input_schema).map_err(ContractError::Input)?,
            output: Schema::compile(&spec.output_schema).map_err(ContractError::Output)?,
            code: Arc::from(code),
            assets: assets
                .iter()
                .map(|(name, asset)| InlineFile {
                    name: name.clone(),
                    bytes: Arc::from(asset.0.as_slice()),
                })
                .collect(),
            file_inputs: spec.input_files(),
            file_outputs: spec.output_files(),
            limits: granted(spec),
        })
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn same_code(&self, other: &Self) -> bool {
        self.code == other.code
    }

    pub(crate) fn file_inputs(&self) -> &[String] {
        &self.file_inputs
    }

    /// The same contract for other code under other limits: a mutant's.
    pub(crate) fn changed(&self, code: Arc<str>, limits: &Limits) -> Self {
        Self {
            code,
            limits: limits.clone(),
            ..self.clone()
        }
    }

    pub(crate) fn call(&self, arguments: &Arguments) -> Call {
        Call {
            code: Arc::clone(&self.code),
            input: arguments.input.clone(),
            files: arguments.files.clone(),
            assets: self.assets.clone(),
            file_inputs: self.file_inputs.clone(),
            file_outputs: self.file_outputs.clone(),
            artifacts: arguments.artifacts.clone(),
            limits: self.limits_for(arguments),
        }
    }

    pub fn input(&self) -> &Schema {
        &self.input
    }

    pub fn output(&self) -> &Schema {
        &self.output
    }

    fn limits_for(&self, arguments: &Arguments) -> Limits {
        let mut limits = arguments.limits.clone().unwrap_or_else(|| {
            let inline = arguments.files.iter().map(|f| f.bytes.len() as u64).sum();
            self.limits.for_data(inline, !self.file_outputs.is_empty())
        });
        // What was not asked for is granted to no caller: a trial and production look alike.
        if self.limits.file_bytes == 0 {
            limits.file_bytes = 0;
        }
        limits
    }

    /// Whether an input may reach the tool: it fits the schema, and the files that it names are
    /// attached.
    pub fn check_input(&self, arguments: &Arguments) -> Result<(), InvokeError> {
        self.input
            .check_object(&arguments.input)
            .map_err(InvokeError::Input)?;
        for property in &self.file_inputs {
            let Some(Value::String(file)) = arguments.input.get(property) else {
                continue;
            };
            let attached = arguments.files.iter().any(|f| f.name == *file)
                || arguments.mounted.iter().any(|m| m == file);
            if !attached {
                return Err(InvokeError::FileNotAttached {
                    property: property.clone(),
                    file: file
                        .chars()
                        .take(100)
                        .flat_map(char::escape_debug)
                        .collect(),
                });
            }
        }
        Ok(())
    }
}

/// The limits as the jail applies them: who does not ask to write files has no byte of one.
fn granted(spec: &Spec) -> Limits {
    let mut limits = spec.limits.clone();
    if !spec.capabilities.contains(&Capability::WriteFiles) {
        limits.file_bytes = 0;
    }
    limits
}

/// Checks the input, runs one call, checks the output. An `Ok` whose outcome is `ok` holds an
/// output that fits the schema; every other outcome has no output.
pub fn invoke(
    session: &dyn Session,
    contract: &Contract,
    arguments: &Arguments,
    cancel: &Cancel,
) -> Result<SandboxResult, InvokeError> {
    contract.check_input(arguments)?;
    let result = session.call(&contract.call(arguments), cancel)?;
    match result.output.as_ref().map(|o| contract.output.check(o)) {
        Some(Err(violation)) => Err(InvokeError::Output {
            violation,
            result: Box::new(result),
        }),
        _ => Ok(result),
    }
}
