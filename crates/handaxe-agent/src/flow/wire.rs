//! The edges of a chain that nobody drew: what a step needs and was not given comes from the step
//! before it, where exactly one part of that step's output fits.

use std::collections::BTreeMap;

use handaxe_types::{Binding, Each, Reference};
use serde_json::Value;

use super::fit::{Typed, fits};

/// The step before: its id, and the schema of what it gives.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) id: &'a str,
    pub(crate) gives: &'a Value,
}

/// What a step is run on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Wired {
    pub(crate) input: BTreeMap<String, Binding>,
    pub(crate) each: Option<Each>,
}

/// Why a step's input could not be had from the step before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwired {
    #[error("nothing that comes before fits its input `{input}`")]
    NoneFits { input: String },
    #[error(
        "its input `{input}` could be {} of what comes before: say which",
        or(several)
    )]
    SeveralFit { input: String, several: Vec<String> },
}

fn or(several: &[String]) -> String {
    let shown: Vec<String> = several.iter().map(|s| format!("`{s}`")).collect();
    shown.join(" or ")
}

/// Binds `wanted`, the inputs of a tool that has the schema `takes`, to the step before: as they
/// are, or one of them once for each element of a list. `each` asks for the second.
pub(crate) fn wire(
    before: Before<'_>,
    takes: &Value,
    wanted: &[&str],
    each: bool,
) -> Result<Wired, Unwired> {
    let whole = Typed::of(before.gives);
    if !each {
        let direct = bind_all(whole, takes, wanted).map(|paths| {
            let from = |(input, path): (&str, String)| {
                let reference = Reference {
                    step: before.id.to_owned(),
                    path,
                };
                (input.to_owned(), Binding::From(reference))
            };
            Wired {
                input: paths.into_iter().map(from).collect(),
                each: None,
            }
        });
        match direct {
            Err(Unwired::NoneFits { .. }) => {}
            settled => return settled,
        }
    }
    // Once for each: of the lists in it, the one whose elements fit.
    let lists: Vec<(String, Wired)> = parts(whole)
        .into_iter()
        .filter_map(|(path, part)| {
            let item = part.items().ok()?;
            let bound = bind_all(item, takes, wanted).ok()?;
            let input = bound
                .into_iter()
                .map(|(input, path)| (input.to_owned(), Binding::Item(path)));
            let reference = Reference {
                step: before.id.to_owned(),
                path: path.clone(),
            };
            let wired = Wired {
                input: input.collect(),
                each: Some(Each::Of(reference)),
            };
            Some((path, wired))
        })
        .collect();
    let input = wanted.first().copied().unwrap_or_default().to_owned();
    match lists.len() {
        0 => Err(Unwired::NoneFits { input }),
        1 => Ok(lists.into_iter().next().map(|l| l.1).unwrap_or_default()),
        _ => Err(Unwired::SeveralFit {
            input,
            several: lists.into_iter().map(|l| l.0).collect(),
        }),
    }
}

/// A path for each of the inputs: the part of its own name, else the only one that fits.
fn bind_all<'w>(
    from: Typed<'_>,
    takes: &Value,
    wanted: &[&'w str],
) -> Result<Vec<(&'w str, String)>, Unwired> {
    let properties = takes.get("properties");
    let mut bound = Vec::with_capacity(wanted.len());
    for input in wanted {
        let none = || Unwired::NoneFits {
            input: (*input).to_owned(),
        };
        let schema = properties.and_then(|p| p.get(input)).ok_or_else(none)?;
        let to = Typed {
            schema,
            root: takes,
        };
        let fitting: Vec<String> = parts(from)
            .into_iter()
            .filter(|(_, part)| fits(*part, to).is_ok())
            .map(|(path, _)| path)
            .collect();
        let named = format!("/{input}");
        let path = match fitting.as_slice() {
            [] => return Err(none()),
            [one] => one.clone(),
            several if several.contains(&named) => named,
            _ => {
                return Err(Unwired::SeveralFit {
                    input: (*input).to_owned(),
                    several: fitting,
                });
            }
        };
        bound.push((*input, path));
    }
    Ok(bound)
}

/// The whole of a value, and those of its members that are always there, by pointer.
fn parts(whole: Typed<'_>) -> Vec<(String, Typed<'_>)> {
    let mut parts = vec![(String::new(), whole)];
    for key in whole.keys() {
        let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        if let Ok(part) = whole.at(&pointer) {
            parts.push((pointer, part));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: Value) -> Value {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        let required = json!(required);
        json!({"type": "object", "properties": properties, "required": required,
               "additionalProperties": false})
    }

    #[test]
    fn edges() {
        let text = || json!({"type": "string"});
        let list = |items: Value| json!({"type": "array", "items": items});
        let takes = object(json!({"text": text()}));
        let file = object(json!({"text": {"type": "string", "format": "file"}}));
        let rows = list(object(json!({"word": text(), "n": {"type": "integer"}})));
        let two = object(json!({"a": text(), "b": text()}));
        let named = object(json!({"a": text(), "text": text()}));
        let lines = object(json!({"lines": list(text())}));
        let s = |path: &str| json!({"$from": "s", "path": path});
        // What came before, what is wanted, whether of each; the input and the list it is over.
        let table = [
            (
                object(json!({"line": text()})),
                &takes,
                false,
                json!([{"text": s("/line")}, null]),
            ),
            (
                lines.clone(),
                &takes,
                false,
                json!([{"text": {"$item": ""}}, s("/lines")]),
            ),
            (
                lines,
                &takes,
                true,
                json!([{"text": {"$item": ""}}, s("/lines")]),
            ),
            (
                object(json!({"rows": rows.clone()})),
                &takes,
                false,
                json!([{"text": {"$item": "/word"}}, s("/rows")]),
            ),
            (
                rows,
                &takes,
                false,
                json!([{"text": {"$item": "/word"}}, {"$from": "s"}]),
            ),
            (named, &takes, false, json!([{"text": s("/text")}, null])),
            (two.clone(), &takes, false, json!("`/a` or `/b`")),
            (
                object(json!({"n": {"type": "number"}})),
                &takes,
                false,
                json!("nothing that"),
            ),
            (
                object(json!({"a": text()})),
                &file,
                false,
                json!("nothing that"),
            ),
            (
                object(json!({"a": text()})),
                &takes,
                true,
                json!("nothing that"),
            ),
            (list(two), &takes, false, json!("nothing that")),
        ];
        for (gives, takes, each, want) in table {
            let before = Before {
                id: "s",
                gives: &gives,
            };
            let found = wire(before, takes, &["text"], each);
            match (&found, &want) {
                (Ok(wired), Value::Array(_)) => {
                    assert_eq!(json!([wired.input, wired.each]), want, "{gives}");
                }
                (Err(why), Value::String(words)) if why.to_string().contains(words) => {}
                _ => panic!("{gives}: {found:?}, wanted {want}"),
            }
        }
    }
}
