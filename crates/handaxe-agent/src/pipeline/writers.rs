//! Those who write a tool without a model of ours: the composer, a person, and a client.

use handaxe_composer::Composed;
use handaxe_types::{Case, Draft, Finding, Review, Spec};

use super::Halt;
use super::make::Mind;

/// The composer as author: it writes once, and the same each time. Its tester is its own second
/// implementation, which the card says.
pub(super) struct Composing<'a> {
    pub(super) composed: &'a Composed,
}

impl Mind for Composing<'_> {
    fn draw(&self, _: u32) -> Result<Vec<Draft>, Halt> {
        Ok(vec![self.composed.draft.clone()])
    }

    fn held_out(&self, _: &Spec) -> Result<Vec<Case>, Halt> {
        Ok(self.composed.held_out.clone())
    }
}

/// A person's own tool: what was given is what is tried.
pub(super) struct Handwritten<'a> {
    pub(super) draft: &'a Draft,
}

impl Mind for Handwritten<'_> {
    fn draw(&self, _: u32) -> Result<Vec<Draft>, Halt> {
        Ok(vec![self.draft.clone()])
    }
}

/// A draft that a client wrote, under our tester, arbiter and reviewer: whoever wrote the code
/// writes no case that counts as independent. It is not repaired here; its author may come again.
pub(super) struct Proposed<'a, M> {
    pub(super) draft: &'a Draft,
    pub(super) others: &'a M,
}

impl<M: Mind> Mind for Proposed<'_, M> {
    fn draw(&self, _: u32) -> Result<Vec<Draft>, Halt> {
        Ok(vec![self.draft.clone()])
    }

    fn held_out(&self, spec: &Spec) -> Result<Vec<Case>, Halt> {
        self.others.held_out(spec)
    }

    fn sharpen(
        &self,
        spec: &Spec,
        cases: &[Case],
        survivors: &[String],
    ) -> Result<Vec<Case>, Halt> {
        self.others.sharpen(spec, cases, survivors)
    }

    fn arbitrate(&self, spec: &Spec, case: &Case) -> Result<Option<String>, Halt> {
        self.others.arbitrate(spec, case)
    }

    fn review(&self, draft: &Draft, findings: &[Finding]) -> Result<Option<Review>, Halt> {
        self.others.review(draft, findings)
    }
}
