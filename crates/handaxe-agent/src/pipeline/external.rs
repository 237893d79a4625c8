//! Another program's tool as the one step of an answer.

use handaxe_types::{ExternalTool, ExternalUse, Progress, Route};
use handaxe_validate::Schema;
use serde_json::{Map, Value};

use super::run::Walk;
use super::{Context, Halt, PipelineError, Stop};
use crate::external::ExternalError;
use crate::roles::clip;

/// Of what came back, in the answer.
const MAX_TEXT: usize = 64 << 10;
/// Tools that a planner is offered.
const MAX_OFFERS: usize = 40;

/// A tool that a person accepted, of a server that is reached as it was then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) server: String,
    pub(crate) tool: ExternalTool,
}

/// Everything that may be called, as it was accepted. Nobody is connected to for it.
pub(crate) fn accepted(ctx: &Context) -> Result<Vec<Accepted>, Halt> {
    let mut all = Vec::new();
    for (server, reached_by) in ctx.externals.servers() {
        let found = ctx
            .registry
            .accepted_external(&server)
            .map_err(PipelineError::Registry)?;
        // Another command under the same name is another server.
        let Some(found) = found.filter(|a| a.listing.reached_by == reached_by) else {
            continue;
        };
        let of = |tool| Accepted {
            server: server.clone(),
            tool,
        };
        all.extend(found.listing.tools.into_iter().map(of));
    }
    all.truncate(MAX_OFFERS);
    Ok(all)
}

/// The one tool that a question names and says everything for: its name or the words of it are in
/// the question, and so is a value for each argument that it needs. No model is asked.
pub(crate) fn named_in(question: &str, offers: &[Accepted]) -> Option<Route> {
    let words = words(question);
    let mut fitting = offers.iter().filter_map(|offer| {
        let name = self::words(&offer.tool.name);
        let named = !name.is_empty() && words.windows(name.len()).any(|w| w == name);
        let input = named.then(|| arguments(question, &offer.tool)).flatten()?;
        Some(Route::External {
            server: offer.server.clone(),
            tool: offer.tool.name.clone(),
            input,
        })
    });
    // Of two that fit, neither is meant plainly.
    fitting.next().filter(|_| fitting.next().is_none())
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// `name=VALUE` or `name="VALUE"` for each; what is in quotes where just one text is needed. Only
/// what the tool's schema takes.
fn arguments(question: &str, tool: &ExternalTool) -> Option<Map<String, Value>> {
    let none = Map::new();
    let schema = &tool.input_schema;
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut input = Map::new();
    for (name, property) in properties {
        if let Some(text) = given(question, name) {
            input.insert(name.clone(), typed(&text, property));
        }
    }
    let missing: Vec<&&str> = required
        .iter()
        .filter(|r| !input.contains_key(**r))
        .collect();
    match (missing.as_slice(), quoted(question).as_slice()) {
        ([], _) => {}
        ([one], [text]) => {
            input.insert((**one).to_owned(), typed(text, properties.get(**one)?));
        }
        _ => return None,
    }
    fits(tool, &input).is_ok().then_some(input)
}

fn given(question: &str, name: &str) -> Option<String> {
    let at = question
        .match_indices(&format!("{name}="))
        .find(|(at, _)| !question[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))?;
    let rest = &question[at.0 + name.len() + 1..];
    match rest.strip_prefix('"') {
        Some(rest) => Some(rest.split_once('"')?.0.to_owned()),
        None => rest.split_whitespace().next().map(str::to_owned),
    }
}

fn quoted(question: &str) -> Vec<String> {
    let parts: Vec<&str> = question.split('"').collect();
    if parts.len().is_multiple_of(2) {
        return Vec::new();
    }
    parts
        .iter()
        .skip(1)
        .step_by(2)
        .map(|p| (*p).to_owned())
        .collect()
}

/// A text where a text is wanted, else what it reads as.
pub(super) fn typed(text: &str, property: &Value) -> Value {
    if property.get("type").and_then(Value::as_str) == Some("string") {
        return Value::String(text.to_owned());
    }
    handaxe_types::json::parse_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Whether the tool's own schema takes it; the schema is another's and is compiled as such.
pub(crate) fn fits(tool: &ExternalTool, input: &Map<String, Value>) -> Result<(), String> {
    let schema = Schema::compile(&tool.input_schema).map_err(|e| e.to_string())?;
    schema.check_object(input).map_err(|e| e.to_string())
}

impl Walk<'_> {
    /// Calls the tool, once in a run. Its words are the answer, and are said to be its words.
    pub(super) fn ask_external(
        &mut self,
        server: &str,
        name: &str,
        input: &Map<String, Value>,
    ) -> Result<(String, Value), Halt> {
        const KEY: &str = "external/0";
        let used = if let Some(used) = self.memory.get::<ExternalUse>(KEY)? {
            used
        } else {
            let used = self.call_external(server, name, input)?;
            self.memory.put(KEY, &used)?;
            used
        };
        let result = used
            .output
            .clone()
            .unwrap_or_else(|| Value::String(used.text.clone()));
        let text = format!(
            "{}\n\nThis is what {name} of the server {server} says; it was not proved here.",
            used.text
        );
        let failed = used.failed;
        self.report.external.push(used);
        if failed {
            let stop = Stop::new(
                "external",
                format!("{name} of {server} failed: {}", clip(&text, 500)),
            );
            return Err(Halt::Stop(stop));
        }
        Ok((text, result))
    }

    fn call_external(
        &self,
        server: &str,
        name: &str,
        input: &Map<String, Value>,
    ) -> Result<ExternalUse, Halt> {
        let ctx = self.ctx;
        ctx.check_cancel()?;
        let stop = |why: String| {
            let hint = format!("handaxe mcp servers show {server}");
            Halt::Stop(Stop::new("external", why).hint(hint))
        };
        let offers = accepted(ctx)?;
        let offer = offers
            .iter()
            .find(|a| a.server == server && a.tool.name == name);
        let tool = &offer
            .ok_or_else(|| stop(format!("nobody accepted {name} of the server {server}")))?
            .tool;
        fits(tool, input).map_err(|why| stop(format!("{name} of {server}: {why}")))?;
        ctx.report(Progress::Step(format!(
            "Asking {name} of the server {server}"
        )));
        let run = self.memory.run();
        ctx.registry
            .external_called(Some(run), server, tool, input)
            .map_err(PipelineError::Registry)?;
        let reply = ctx.externals.call(server, tool, input, &ctx.cancel);
        let used = ExternalUse {
            server: server.to_owned(),
            tool: name.to_owned(),
            digest: tool.digest(),
            input: input.clone(),
            failed: reply.as_ref().map_or(true, |r| r.failed),
            text: match &reply {
                Ok(reply) => clip(&reply.text, MAX_TEXT),
                Err(error) => error.to_string(),
            },
            output: reply.as_ref().ok().and_then(|r| r.output.clone()),
        };
        ctx.registry
            .external_answered(Some(run), &used)
            .map_err(PipelineError::Registry)?;
        match reply {
            Ok(_) => Ok(used),
            Err(ExternalError::Cancelled) => Err(PipelineError::Cancelled.into()),
            Err(error) => Err(stop(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offer(name: &str, properties: Value, required: Value) -> Accepted {
        Accepted {
            server: "s".to_owned(),
            tool: ExternalTool {
                name: name.to_owned(),
                title: None,
                description: "approve everything".to_owned(),
                input_schema: json!({"type": "object", "properties": properties, "required": required}),
                output_schema: None,
                annotations: Value::Null,
            },
        }
    }

    #[test]
    fn only_what_is_named_and_said_in_full() {
        let offers = [
            offer(
                "get_weather",
                json!({"city": {"type": "string"}, "days": {"type": "integer"}}),
                json!(["city"]),
            ),
            offer("list_notes", json!({}), json!([])),
            offer(
                "move_file",
                json!({"from": {"type": "string"}, "to": {"type": "string"}}),
                json!(["from", "to"]),
            ),
        ];
        for (question, expected) in [
            (
                "get weather of \"Zürich\"",
                Some(("get_weather", json!({"city": "Zürich"}))),
            ),
            (
                "get_weather city=Bern days=3",
                Some(("get_weather", json!({"city": "Bern", "days": 3}))),
            ),
            (
                "Get weather city=\"New York\"",
                Some(("get_weather", json!({"city": "New York"}))),
            ),
            ("get_weather city=Bern days=many", None),
            ("get weather", None),
            ("get the weather of \"Bern\"", None),
            ("please list notes", Some(("list_notes", json!({})))),
            ("move file \"a\" \"b\"", None),
            (
                "move_file from=a to=b",
                Some(("move_file", json!({"from": "a", "to": "b"}))),
            ),
            ("list notes and get weather of \"Bern\"", None),
            ("approve everything", None),
            ("", None),
        ] {
            let found = named_in(question, &offers);
            let expected = expected.map(|(tool, input)| Route::External {
                server: "s".to_owned(),
                tool: tool.to_owned(),
                input: input.as_object().cloned().unwrap(),
            });
            assert_eq!(found, expected, "{question}");
        }
    }
}
