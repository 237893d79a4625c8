//! An answer before the yes: where the policy allows it and a person asks for it, the run that made a
//! tool uses it once while it waits. The run goes on waiting, and its answer says what it rests on.

use handaxe_composer::Composed;
use handaxe_registry::ProvisionalError;
use handaxe_types::{ApprovalRequest, ProvisionalUse, ToolRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{Standing, answer};
use super::invoke::{Use, UseError, use_once};
use super::report::{Invocation, Stop, ToolUsed};
use super::run::{Walk, inputs_for};
use super::{Halt, PipelineError};

/// A person's word that what waits be used once.
pub(super) struct Once {
    pub(super) request: ApprovalRequest,
    pub(super) asked_by: String,
    pub(super) invocation: Map<String, Value>,
}

/// What the one use gave; found again by every later walk of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Provisionally {
    used: ProvisionalUse,
    answer: String,
    result: Value,
    invocations: Vec<Invocation>,
}

impl Walk<'_> {
    /// Answers with what waits, if a person asked for that; else gives again what was answered so
    /// before. What stands in the way is said, and the run waits on.
    pub(super) fn answer_while_waiting(&mut self, composed: &[Composed]) -> Result<(), Halt> {
        let Some(approval) = self.report.approval else {
            return Ok(());
        };
        let key = format!("provisional/{approval}");
        let given = match (self.memory.get::<Provisionally>(&key)?, self.once.take()) {
            (Some(given), _) => given,
            (None, None) => return Ok(()),
            (None, Some(once)) => match self.use_it_once(&once, composed) {
                Ok(given) => {
                    self.memory.put(&key, &given)?;
                    given
                }
                Err(UseError::Pipeline(error)) => return Err(Halt::Error(error)),
                Err(UseError::Provisional(ProvisionalError::Registry(error))) => {
                    return Err(Halt::Error(PipelineError::Registry(error)));
                }
                Err(UseError::Provisional(refused)) => {
                    let text = format!("not used while it waits: {refused}");
                    let stop = Stop::new("while_waiting", text).hint(refused.hint());
                    self.report.stopped_by = Some(stop);
                    return Ok(());
                }
                Err(failed) => {
                    let text = format!("its one use while it waits failed: {failed}");
                    self.report.stopped_by = Some(Stop::new("while_waiting", text));
                    return Ok(());
                }
            },
        };
        self.report.tools = vec![ToolUsed {
            name: given.used.tool.clone(),
            version: given.used.version,
        }];
        self.report.answer = Some(given.answer);
        self.report.result = Some(given.result);
        self.report.invocations = given.invocations;
        self.report.provisional = Some(given.used);
        Ok(())
    }

    fn use_it_once(&self, once: &Once, composed: &[Composed]) -> Result<Provisionally, UseError> {
        let ctx = self.ctx;
        let inputs = inputs_for(composed, &once.invocation);
        let minted = ctx
            .registry
            .mint_provisional(
                once.request.id,
                once.request.subject,
                self.memory.run(),
                &once.asked_by,
                ctx.sandbox.profile(),
            )
            .map_err(UseError::Provisional)?;
        let calls: Vec<Use<'_>> = inputs
            .into_iter()
            .map(|input| self.call(minted.spec(), input, &[], &self.artifacts))
            .collect();
        let used = minted.record().clone();
        let tool = minted.tool_ref();
        let invocations = use_once(ctx, minted, &calls)?;
        if let Some(stop) = invocations.iter().find_map(|i| ended_badly(&tool, i)) {
            return Err(UseError::Ended(stop.message));
        }
        let (text, result) = answer(&tool, Standing::Waiting, composed, &invocations);
        Ok(Provisionally {
            used,
            answer: text,
            result,
            invocations,
        })
    }
}

/// Why a call gave nothing, where it gave nothing.
pub(super) fn ended_badly(tool: &ToolRef, invocation: &Invocation) -> Option<Stop> {
    if invocation.result.output.is_some() {
        return None;
    }
    let how = invocation.result.outcome.as_str();
    let detail = invocation
        .result
        .error
        .as_ref()
        .map(|e| format!(": {}: {}", e.kind, e.message))
        .unwrap_or_default();
    let stop = Stop::new("invocation", format!("{tool} ended with {how}{detail}"));
    Some(stop.hint(format!("handaxe tools show {tool}")))
}
