//! A model call as it is told to those who watch: the one place that knows the names of
//! OpenTelemetry's conventions for generative AI
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>). No prompt and no reply is
//! told, only their sizes; and what is sent holds no secret.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use handaxe_types::{Redactor, measures};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::{Model, ModelError, ModelId, ModelReply, ModelRequest};

/// A model whose calls are spans and figures, and to which no secret is sent.
pub struct Observed<M> {
    inner: M,
    redactor: Arc<Redactor>,
}

impl<M: Model> Observed<M> {
    pub fn new(inner: M, redactor: Arc<Redactor>) -> Self {
        Self { inner, redactor }
    }

    /// The request without its secrets. Whatever remembers or records what was asked does so below
    /// this, so that it meets none either.
    fn clean(&self, request: &ModelRequest) -> ModelRequest {
        let mut request = request.clone();
        if !self.redactor.is_empty() {
            request.system = self.redactor.text(&request.system).into_owned();
            for message in &mut request.messages {
                message.content = self.redactor.text(&message.content).into_owned();
            }
        }
        request
    }

    fn span(&self, request: &ModelRequest) -> tracing::Span {
        let id = self.inner.id();
        tracing::info_span!(
            "model_call",
            otel.name = format!("chat {}", id.name),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = id.provider,
            gen_ai.request.model = id.name,
            gen_ai.request.max_tokens = i64::from(request.max_tokens),
            gen_ai.request.temperature = request.temperature,
            gen_ai.response.model = Empty,
            gen_ai.response.finish_reasons = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            server.address = self.inner.remote(),
            error.type = Empty,
            handaxe.role = request.role.as_str(),
        )
    }

    fn told(&self, span: &tracing::Span, result: &Result<ModelReply, ModelError>, begun: Instant) {
        let id = self.inner.id();
        let outcome = match result {
            Ok(reply) => {
                let finish = format!("{:?}", reply.finish).to_lowercase();
                span.record("gen_ai.response.model", &reply.model);
                span.record("gen_ai.response.finish_reasons", finish);
                // Signed: a trace has no other whole numbers.
                span.record("gen_ai.usage.input_tokens", reply.usage.input.cast_signed());
                span.record(
                    "gen_ai.usage.output_tokens",
                    reply.usage.output.cast_signed(),
                );
                for (direction, tokens) in
                    [("input", reply.usage.input), ("output", reply.usage.output)]
                {
                    metrics::counter!(
                        measures::MODEL_TOKENS,
                        "provider" => id.provider.clone(), "model" => id.name.clone(),
                        "direction" => direction,
                    )
                    .increment(tokens);
                }
                "ok"
            }
            Err(error) => {
                span.record("error.type", error.kind());
                error.kind()
            }
        };
        metrics::counter!(
            measures::MODEL_CALLS,
            "provider" => id.provider.clone(), "model" => id.name.clone(), "outcome" => outcome,
        )
        .increment(1);
        metrics::histogram!(
            measures::MODEL_SECONDS,
            "provider" => id.provider.clone(), "model" => id.name.clone(),
        )
        .record(begun.elapsed());
    }
}

#[async_trait]
impl<M: Model> Model for Observed<M> {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }

    fn remote(&self) -> Option<&str> {
        self.inner.remote()
    }

    async fn complete(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        let request = self.clean(request);
        let span = self.span(&request);
        let begun = Instant::now();
        let result = self.inner.complete(&request).instrument(span.clone()).await;
        self.told(&span, &result, begun);
        result
    }

    fn skip(&self, request: &ModelRequest, reply: &ModelReply) {
        self.inner.skip(&self.clean(request), reply);
    }
}
