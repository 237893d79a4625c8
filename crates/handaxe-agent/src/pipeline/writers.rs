//! Those who write a tool without a model: the composer, and a person.

use handaxe_composer::Composed;
use handaxe_types::{Case, Draft, Spec};

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
