//! What a model is asked for, and what is made of its answer: planner, author, tester, arbiter,
//! reviewer.
//!
//! One mechanism for all of them: a role names its template, fills it, and reads the reply. What a
//! reply holds is data: it is parsed strictly into types, and an unreadable one is sent back once
//! with what was wrong. What may not enter: any held-out case on its way to the author, any code
//! on its way to the tester or the arbiter.

mod arbiter;
mod author;
mod documents;
mod failure;
mod planner;
mod quote;
mod reply;
mod reviewer;
mod template;
mod tester;

use std::time::{Duration, Instant};

use handaxe_types::{Case, Digest, Draft, Finding, Progress, Reporter, Review, Spec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{
    Finish, Listener, Message, Model, ModelError, ModelRequest, RoleName, Speaker, Tokens,
};

pub use arbiter::Ruling;
pub use author::{AuthorBrief, Base};
pub use failure::{Failure, Repair, feedback};
pub use planner::{ExternalOffer, Met, Offer, PlanBrief, PlanReply};
pub use reply::ReplyFault;
pub(crate) use reply::clip;
pub use template::{TemplateError, Templates};

/// Replies that are longer than this are refused unread, in bytes.
pub const MAX_REPLY: usize = 512 << 10;
/// How often an unreadable reply is sent back.
const READ_REPAIRS: usize = 1;
/// Of an unreadable reply, shown back to the model, in characters.
const ECHO: usize = 8_000;

/// The roles over one model.
#[derive(Clone, Copy)]
pub struct Roles<'a> {
    pub model: &'a dyn Model,
    pub templates: &'a Templates,
    pub reporter: &'a dyn Reporter,
    /// For one call of the model, its retries included.
    pub call_timeout: Duration,
    /// Of one reply.
    pub max_tokens: u32,
    pub temperature: f32,
    /// Which of several replies to the same prompt is asked for, from 0.
    pub sample: u32,
}

/// What a role gave, and what was said on the way.
#[derive(Debug)]
pub struct Answered<T> {
    pub reply: T,
    pub exchanges: Vec<Exchange>,
}

/// One call of the model, for the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    pub role: RoleName,
    /// `provider:name`.
    pub model: String,
    /// What the provider says answered.
    pub answered_by: String,
    /// [`ModelRequest::key`].
    pub key: Digest,
    /// Of `system` and `messages`.
    pub prompt: Digest,
    pub system: String,
    pub messages: Vec<Message>,
    pub reply: String,
    pub reply_digest: Digest,
    pub finish: Finish,
    pub usage: Tokens,
    pub seconds: f64,
}

#[derive(Debug, thiserror::Error)]
#[error("the {} gave nothing that can be used", role.as_str())]
pub struct RoleError {
    pub role: RoleName,
    #[source]
    pub failure: RoleFailure,
    /// What was said until then.
    pub exchanges: Vec<Exchange>,
}

#[derive(Debug, thiserror::Error)]
pub enum RoleFailure {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the model declined: {said}")]
    Refused { said: String },
    #[error("the model's reply cannot be read, also after it was told why: {fault}")]
    Unreadable { fault: ReplyFault },
}

impl Roles<'_> {
    /// What to do about a question.
    pub async fn plan(&self, brief: &PlanBrief<'_>) -> Result<Answered<PlanReply>, RoleError> {
        self.ask(brief).await
    }

    /// A draft; with [`AuthorBrief::repair`], the next attempt at one.
    pub async fn author(&self, brief: &AuthorBrief<'_>) -> Result<Answered<Draft>, RoleError> {
        let answered = self.ask(brief).await?;
        Ok(Answered {
            reply: brief.draft(answered.reply, &answered.exchanges),
            exchanges: answered.exchanges,
        })
    }

    /// Held-out cases and properties, from the spec alone.
    pub async fn test(&self, spec: &Spec) -> Result<Answered<Vec<Case>>, RoleError> {
        let (cases, survivors) = (&[], &[]);
        let brief = tester::TesterBrief {
            spec,
            cases,
            survivors,
        };
        self.ask(&brief).await
    }

    /// More held-out cases, where mutants of a tool went unnoticed by `cases`, the tester's own.
    pub async fn sharpen(
        &self,
        spec: &Spec,
        cases: &[Case],
        survivors: &[String],
    ) -> Result<Answered<Vec<Case>>, RoleError> {
        let brief = tester::TesterBrief {
            spec,
            cases,
            survivors,
        };
        self.ask(&brief).await
    }

    /// What a second reader says of an accepted draft.
    pub async fn review(
        &self,
        draft: &Draft,
        findings: &[Finding],
    ) -> Result<Answered<Review>, RoleError> {
        let brief = reviewer::ReviewerBrief {
            draft,
            findings,
            model: self.model.id(),
        };
        self.ask(&brief).await
    }

    /// Whether a disputed case follows from the spec.
    pub async fn arbitrate(&self, spec: &Spec, case: &Case) -> Result<Answered<Ruling>, RoleError> {
        self.ask(&arbiter::ArbiterBrief { spec, case }).await
    }

    async fn ask<R: Role>(&self, role: &R) -> Result<Answered<R::Reply>, RoleError> {
        let mut exchanges = Vec::new();
        match self.converse(role, &mut exchanges).await {
            Ok(reply) => Ok(Answered { reply, exchanges }),
            Err(failure) => Err(RoleError {
                role: R::NAME,
                failure,
                exchanges,
            }),
        }
    }

    async fn converse<R: Role>(
        &self,
        role: &R,
        exchanges: &mut Vec<Exchange>,
    ) -> Result<R::Reply, RoleFailure> {
        let prompt = self.templates.render(role.template(), &role.context())?;
        let mut messages = vec![user(prompt.user)];
        for repairs_left in (0..=READ_REPAIRS).rev() {
            let exchange = self.say(role, &prompt.system, &messages).await?;
            let (text, finish) = (exchange.reply.clone(), exchange.finish);
            exchanges.push(exchange);
            let fault = match reply::check(&text, finish).and_then(|text| role.read(text)) {
                Ok(reply) => return Ok(reply),
                Err(ReplyFault::Refusal { said }) => return Err(RoleFailure::Refused { said }),
                Err(_) if finish == Finish::Length && repairs_left == 0 => {
                    let fault = ReplyFault::Truncated;
                    return Err(RoleFailure::Unreadable { fault });
                }
                Err(_) if finish == Finish::Length => ReplyFault::Truncated,
                Err(fault) if repairs_left == 0 => return Err(RoleFailure::Unreadable { fault }),
                Err(fault) => fault,
            };
            let note = serde_json::json!({"fault": fault.to_string()});
            let again = self.templates.render("parse_repair.md", &note)?;
            messages.push(Message {
                role: Speaker::Assistant,
                // An empty turn is refused by some providers.
                content: match text.trim() {
                    "" => "(empty)".to_owned(),
                    text => text.chars().take(ECHO).collect(),
                },
            });
            messages.push(user(again.user));
        }
        Err(RoleFailure::Unreadable {
            fault: ReplyFault::Empty,
        })
    }

    async fn say<R: Role>(
        &self,
        role: &R,
        system: &str,
        messages: &[Message],
    ) -> Result<Exchange, ModelError> {
        let begun = Instant::now();
        let (listener, mut words) = Listener::new();
        let request = ModelRequest {
            role: R::NAME,
            system: system.to_owned(),
            messages: messages.to_vec(),
            schema: role.schema(),
            max_tokens: self.max_tokens,
            temperature: Some(self.temperature),
            sample: self.sample,
            deadline: begun + self.call_timeout,
            listener: self.reporter.hears_words().then_some(listener),
        };
        let model = self.model.id().to_string();
        let report = |tokens| {
            self.reporter.report(Progress::Model {
                role: R::NAME.as_str().to_owned(),
                model: model.clone(),
                tokens,
            });
        };
        report(0);
        let reply = {
            let mut completing = self.model.complete(&request);
            loop {
                tokio::select! {
                    biased;
                    Some(text) = words.recv() => self.reporter.report(Progress::Words { text }),
                    reply = &mut completing => break reply?,
                }
            }
        };
        report(reply.usage.total());
        Ok(Exchange {
            role: R::NAME,
            answered_by: reply.model,
            key: request.key(self.model.id()),
            prompt: request.prompt_digest(),
            system: request.system,
            messages: request.messages,
            reply_digest: Digest::of(reply.text.as_bytes()),
            reply: reply.text,
            finish: reply.finish,
            usage: reply.usage,
            seconds: begun.elapsed().as_secs_f64(),
            model,
        })
    }
}

/// What the roles have in common.
trait Role: Sync {
    type Reply: Send;
    const NAME: RoleName;
    /// Its template's name.
    fn template(&self) -> &'static str;
    /// What the template is filled with. Everything from outside is quoted by the template.
    fn context(&self) -> Value;
    /// Of the reply, where the provider can be held to one.
    fn schema(&self) -> Option<Value>;
    /// `text` is neither empty nor larger than [`MAX_REPLY`].
    fn read(&self, text: &str) -> Result<Self::Reply, ReplyFault>;
}

fn user(content: String) -> Message {
    Message {
        role: Speaker::User,
        content,
    }
}
