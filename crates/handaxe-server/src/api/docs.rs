//! The OpenAPI document, and the same as a page to read.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::problem::{CONTENT_TYPE, Document, KINDS, Problem};
use crate::web::{Page, html};

const ABOUT: &str = "\
Tools that were proved in a sandbox and approved by a person: found, called, made and judged. \
Programs show the server's bearer token; people's pages show their session. A bearer token reads, \
calls approved tools and begins runs. It never approves.";

/// The document with what holds for every route: who may ask, and how it is refused.
pub(super) fn complete(document: OpenApi) -> Value {
    let mut document = json!(document);
    document["info"] = json!({
        "title": "Handaxe",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
    });
    document["servers"] = json!([{ "url": "/" }]);
    document["security"] = json!([{ "bearer": [] }, { "session": [] }]);
    let components = &mut document["components"];
    components["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer",
            "description": "The token that `handaxe serve` prints. It decides nothing." },
        "session": { "type": "apiKey", "in": "cookie", "name": "handaxe-PORT",
            "description": "A signed-in person's; what changes something also shows `x-csrf-token`." },
    });
    let problem = <Document<'_> as utoipa::PartialSchema>::schema();
    components["schemas"]["Problem"] = json!(problem);
    let refused = json!({
        "description": "A problem (RFC 9457); `kind` says which",
        "content": { CONTENT_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    for operation in operations(&mut document) {
        if let Some(responses) = operation
            .get_mut("responses")
            .and_then(Value::as_object_mut)
        {
            responses.insert("default".to_owned(), refused.clone());
        }
        // One word for each, whatever the handlers' modules are called.
        operation["operationId"] = json!(operation_id(operation));
    }
    document
}

fn operation_id(operation: &Value) -> String {
    let tag = operation["tags"][0].as_str().unwrap_or_default();
    let name = operation["operationId"].as_str().unwrap_or_default();
    format!("{tag}_{name}")
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut();
    paths
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
        .filter(|o| o.get("responses").is_some())
}

pub(super) fn json(document: &Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], document.to_string()).into_response()
}

pub(super) fn page(document: &Value) -> Response {
    let page = DocsPage {
        page: Page::bare("HTTP API"),
        about: ABOUT,
        operations: read_operations(document),
        shapes: read_shapes(document),
        kinds: KINDS
            .iter()
            .map(|(kind, status, title)| (*kind, status.as_u16(), *title))
            .collect(),
    };
    html(StatusCode::OK, &page).unwrap_or_else(|e| {
        Problem::new("failed", format!("the page cannot be drawn: {e}")).into_response()
    })
}

#[derive(Template)]
#[template(path = "api_docs.html")]
struct DocsPage {
    page: Page,
    about: &'static str,
    operations: Vec<Operation>,
    shapes: Vec<Shape>,
    kinds: Vec<(&'static str, u16, &'static str)>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    fields: Vec<Field>,
    body: Option<String>,
    /// Status, media type, shape.
    answers: Vec<(String, String, String)>,
}

struct Shape {
    name: String,
    about: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    /// Where a parameter goes; empty for the fields of a shape.
    place: String,
    kind: String,
    required: bool,
    about: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Some(responses) = operation["responses"].as_object() else {
                continue;
            };
            let about = [&operation["summary"], &operation["description"]];
            let about: Vec<String> = about
                .into_iter()
                .map(text)
                .filter(|t| !t.is_empty())
                .collect();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                id: text(&operation["operationId"]),
                method: method.to_uppercase(),
                path: path.clone(),
                summary: about.join(" "),
                fields: (operation["parameters"].as_array().into_iter().flatten())
                    .map(|p| Field {
                        name: text(&p["name"]),
                        place: text(&p["in"]),
                        kind: kind(&p["schema"]),
                        required: p["required"] == true,
                        about: text(&p["description"]),
                    })
                    .collect(),
                body: (!body.is_null()).then(|| kind(body)),
                answers: responses
                    .iter()
                    .filter(|(status, _)| *status != "default")
                    .flat_map(|(status, response)| {
                        let content = response["content"].as_object().into_iter().flatten();
                        content.map(move |(media, c)| {
                            (status.clone(), media.clone(), kind(&c["schema"]))
                        })
                    })
                    .collect(),
            });
        }
    }
    all
}

fn read_shapes(document: &Value) -> Vec<Shape> {
    let schemas = document["components"]["schemas"].as_object();
    let shape = |(name, schema): (&String, &Value)| Shape {
        name: name.clone(),
        about: text(&schema["description"]),
        fields: fields_of(schema, document),
    };
    schemas.into_iter().flatten().map(shape).collect()
}

/// The fields of a schema and of those that it is put together from.
fn fields_of(schema: &Value, document: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let part = match part["$ref"].as_str() {
            Some(path) => document
                .pointer(path.trim_start_matches('#'))
                .unwrap_or(part),
            None => part,
        };
        fields.extend(fields_of(part, document));
    }
    let required: Vec<&str> = (schema["required"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    fields.extend(properties.map(|(name, property)| Field {
        name: name.clone(),
        place: String::new(),
        kind: kind(property),
        required: required.contains(&name.as_str()),
        about: text(&property["description"]),
    }));
    fields
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        return path.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(text).collect();
        return format!("one of {}", words.join(", "));
    }
    let either = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(parts) = either {
        let kinds: Vec<String> = parts.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    match &schema["type"] {
        Value::String(word) if word == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(word) => word.clone(),
        Value::Array(words) => {
            let words: Vec<String> = words.iter().map(text).collect();
            words.join(" or ")
        }
        _ => "anything".to_owned(),
    }
}
