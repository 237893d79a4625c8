//! Finding a tool by words: FTS5 over what people would call it.

use handaxe_types::{ToolName, ToolState, Version};
use rusqlite::Transaction;
use serde::Serialize;
use serde_json::Value;

use crate::error::{RegistryError, Step as _};
use crate::registry::{Registry, unknown};
use crate::stored::VersionRow;

/// Longer questions are cut: past this, words tell tools apart no better.
const MAX_TERMS: usize = 48;

/// Words that are in every question and every description.
const STOP_WORDS: &[&str] = &[
    "a", "all", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "each", "for",
    "from", "how", "i", "in", "is", "it", "its", "many", "me", "most", "much", "my", "of", "on",
    "or", "that", "the", "their", "there", "these", "this", "to", "was", "were", "what", "which",
    "with", "you",
];

/// A tool that the words fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    pub tool: ToolName,
    pub version: Version,
    /// BM25, weighted by field; higher is better. Comparable within one search only.
    pub score: f64,
    pub description: String,
    pub domain: String,
    /// The place that fits best, its words in `[brackets]`.
    pub snippet: String,
}

impl Registry {
    /// Active tools that share a word with `query`, best first, the newest active version of each.
    /// Any text is a query; none is a syntax error.
    pub fn search(&self, query: &str, limit: u32) -> Result<Vec<Hit>, RegistryError> {
        const DOING: &str = "search the tools";
        let Some(expression) = fts_expression(query) else {
            return Ok(Vec::new());
        };
        self.read(|tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT t.name, t.version, t.spec,
                            -bm25(tool_search, 8.0, 4.0, 1.0, 2.0, 1.0, 2.0) AS score,
                            snippet(tool_search, -1, '[', ']', '…', 16)
                     FROM tool_search JOIN tool_version t ON t.id = tool_search.rowid
                     WHERE tool_search MATCH ?1 AND t.state = 'active'
                       AND t.version = (SELECT max(version) FROM tool_version n
                                        WHERE n.name = t.name AND n.state = 'active')
                     ORDER BY score DESC, t.id DESC LIMIT ?2",
                )
                .step(DOING)?;
            let mut rows = statement.query((expression, limit)).step(DOING)?;
            let mut hits = Vec::new();
            while let Some(row) = rows.next().step(DOING)? {
                let name: String = row.get(0).step(DOING)?;
                let spec: String = row.get(2).step(DOING)?;
                let spec: handaxe_types::Spec = crate::registry::get_json(tx, "spec", &spec)?;
                hits.push(Hit {
                    tool: ToolName::new(&name).map_err(|_| unknown("tool name", &name))?,
                    version: Version(row.get(1).step(DOING)?),
                    score: row.get(3).step(DOING)?,
                    description: spec.description,
                    domain: spec.domain,
                    snippet: row.get(4).step(DOING)?,
                });
            }
            Ok(hits)
        })
    }
}

/// The query's words, each quoted, any of which may fit; `None` where it has none.
fn fts_expression(query: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for word in query.split(|c: char| !c.is_alphanumeric()) {
        let word: String = word.to_lowercase().chars().take(64).collect();
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
        if words.len() == MAX_TERMS {
            break;
        }
    }
    let telling: Vec<&String> = words
        .iter()
        .filter(|w| !STOP_WORDS.contains(&w.as_str()))
        .collect();
    let chosen = if telling.is_empty() {
        words.iter().collect()
    } else {
        telling
    };
    let quoted: Vec<String> = chosen.into_iter().map(|w| format!("\"{w}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

/// Makes the index agree with a version's row: there when active, absent otherwise.
pub(crate) fn index(tx: &Transaction<'_>, tool: i64) -> Result<(), RegistryError> {
    const DOING: &str = "index the tool";
    tx.execute("DELETE FROM tool_search WHERE rowid = ?1", [tool])
        .step(DOING)?;
    let row = VersionRow::by_id(tx, tool)?;
    if row.state != ToolState::Active {
        return Ok(());
    }
    let spec = row.spec(tx)?;
    let cases = row.cases(tx)?;
    let names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    let properties = [&spec.input_schema, &spec.output_schema]
        .map(property_words)
        .join(" ");
    tx.execute(
        "INSERT INTO tool_search (rowid, name, description, domain, properties, cases, why)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            tool,
            row.name.as_str(),
            &spec.description,
            &spec.domain,
            properties,
            names.join(" "),
            &row.why,
        ),
    )
    .step(DOING)?;
    Ok(())
}

/// The names and descriptions of a schema's top-level properties.
fn property_words(schema: &Value) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return String::new();
    };
    let mut words = Vec::new();
    for (name, property) in properties {
        words.push(name.as_str());
        words.extend(property.get("description").and_then(Value::as_str));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (query, expected) in [
            ("mean of price", Some(r#""mean" OR "price""#)),
            ("the of", Some(r#""the" OR "of""#)),
            (
                r#"" OR name:x NEAR( * ^"#,
                Some(r#""name" OR "x" OR "near""#),
            ),
            ("\0';--\u{202e}", None),
            ("", None),
            ("Größe größe", Some(r#""größe""#)),
        ] {
            assert_eq!(fts_expression(query).as_deref(), expected, "{query:?}");
        }
    }
}
