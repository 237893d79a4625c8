//! Finding a tool by words: FTS5 over what people would call it, ranked by BM25 (Robertson and
//! Zaragoza 2009). Words that people use for one another are one term, in the index as in the
//! question, so that a tool gains nothing by having several of them. Where the registry finds by
//! meaning too (`dense.rs`), both rankings are joined.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use handaxe_types::{Spec, ToolName, ToolState, Version};
use rusqlite::{OptionalExtension as _, Transaction};
use serde::Serialize;
use serde_json::Value;

use crate::dense::{DEPTH, fuse};
use crate::error::{RegistryError, Step as _};
use crate::registry::{Registry, unknown};
use crate::stored::VersionRow;

/// Longer questions are cut: past this, words tell tools apart no better.
const MAX_TERMS: usize = 48;
/// Rows that are ranked before states and versions are looked at; more where these leave too few.
const FIRST_LOOK: u32 = 64;
/// BM25's weights: name, description, domain, properties, cases, why.
const WEIGHTS: &str = "6.0, 4.0, 1.0, 4.0, 1.0, 2.0";

/// Words that are in every question and every description.
const STOP_WORDS: &[&str] = &[
    "a", "all", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "each", "for",
    "from", "how", "i", "in", "is", "it", "its", "many", "me", "most", "much", "my", "of", "on",
    "or", "that", "the", "their", "there", "these", "this", "to", "was", "were", "what", "which",
    "with", "you",
];

/// Word → the first words of its groups.
static GROUPS: LazyLock<BTreeMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let lines = include_str!("synonyms.txt").lines();
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines.filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace().peekable();
        if let Some(head) = words.peek().copied() {
            words.for_each(|word| groups.entry(word).or_default().push(head));
        }
    }
    groups
});

/// Before a group's word in the index, so that it is no word of anyone's text.
const MARK: &str = "zz";

/// What a word's groups are called in the index; the word as it stands, or without a common ending.
fn concepts_of(word: &str) -> impl Iterator<Item = String> {
    let heads = ["", "s", "es", "ing", "ed", "d", "r"]
        .iter()
        .find_map(|ending| {
            let stem = word.strip_suffix(ending)?;
            GROUPS.get(stem)
        });
    heads
        .into_iter()
        .flatten()
        .map(|head| format!("{MARK}{}", head.replace('-', "")))
}

/// The groups that a text's words belong to, each once.
fn concepts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        for concept in concepts_of(&word.to_lowercase()) {
            if !found.contains(&concept) {
                found.push(concept);
            }
        }
    }
    found
}

/// A tool that the words fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    pub tool: ToolName,
    pub version: Version,
    /// BM25, weighted by field, or the fused rank where tools are found by meaning too; higher is
    /// better. Comparable within one search only.
    pub score: f64,
    pub description: String,
    pub domain: String,
    /// Of the description, the words that fit in `[brackets]`.
    pub snippet: String,
}

/// A ranked row of the index that stands for a tool's newest active version.
struct Ranked {
    row: i64,
    score: f64,
    name: String,
    version: u32,
    spec: String,
}

impl Registry {
    /// Active tools that share a word, or its group, with `query`, best first, the
    /// newest active version of each. Any text is a query; none is a syntax error.
    pub fn search(&self, query: &str, limit: u32) -> Result<Vec<Hit>, RegistryError> {
        let Some(expression) = fts_expression(query) else {
            return Ok(Vec::new());
        };
        let near = match &self.dense {
            Some(dense) => Some(self.nearest(dense, query)?),
            None => None,
        };
        self.read(|tx| {
            let ranked = match near {
                None => ranked(tx, &expression, limit)?,
                Some(near) => {
                    let words = ranked(tx, &expression, DEPTH as u32)?;
                    joined(tx, words, &near, limit)?
                }
            };
            ranked.iter().map(|r| hit(tx, &expression, r)).collect()
        })
    }
}

/// What words found and what is near in meaning, as one ranking.
fn joined(
    tx: &Transaction<'_>,
    words: Vec<Ranked>,
    near: &[i64],
    limit: u32,
) -> Result<Vec<Ranked>, RegistryError> {
    const DOING: &str = "join two rankings of tools";
    let by_words: Vec<i64> = words.iter().map(|r| r.row).collect();
    let mut known: BTreeMap<i64, Ranked> = words.into_iter().map(|r| (r.row, r)).collect();
    let mut statement = tx
        .prepare_cached(&format!(
            "SELECT t.id, 0.0, t.name, t.version, t.spec FROM tool_version t
             WHERE t.id = ?1 AND {NEWEST_ACTIVE}"
        ))
        .step(DOING)?;
    let mut found = Vec::new();
    for (row, score) in fuse(&[&by_words, near]) {
        if found.len() == limit as usize {
            break;
        }
        let ranked = match known.remove(&row) {
            Some(ranked) => Some(ranked),
            None => statement
                .query_row([row], ranked_row)
                .optional()
                .step(DOING)?,
        };
        found.extend(ranked.map(|r| Ranked { score, ..r }));
    }
    Ok(found)
}

/// Of a row `t` of the versions: that it is its tool's newest that is active.
const NEWEST_ACTIVE: &str = "t.state = 'active'
           AND t.version = (SELECT max(version) FROM tool_version n
                            WHERE n.name = t.name AND n.state = 'active')";

fn ranked_row(r: &rusqlite::Row<'_>) -> rusqlite::Result<Ranked> {
    Ok(Ranked {
        row: r.get(0)?,
        score: r.get(1)?,
        name: r.get(2)?,
        version: r.get(3)?,
        spec: r.get(4)?,
    })
}

/// The index is ranked first and alone; only the best of it is joined with what the tools are.
fn ranked(
    tx: &Transaction<'_>,
    expression: &str,
    limit: u32,
) -> Result<Vec<Ranked>, RegistryError> {
    const DOING: &str = "search the tools";
    let sql = format!(
        "SELECT r.rowid, r.score, t.name, t.version, t.spec
         FROM (SELECT rowid, -bm25(tool_search, {WEIGHTS}) AS score FROM tool_search
               WHERE tool_search MATCH ?1 ORDER BY score DESC, rowid DESC LIMIT ?2) r
         JOIN tool_version t ON t.id = r.rowid
         WHERE {NEWEST_ACTIVE}
         ORDER BY r.score DESC, r.rowid DESC LIMIT ?3"
    );
    let mut statement = tx.prepare_cached(&sql).step(DOING)?;
    let indexed: u32 = tx
        .query_row(
            "SELECT count(*) FROM tool_version WHERE state = 'active'",
            [],
            |r| r.get(0),
        )
        .step(DOING)?;
    let mut look = FIRST_LOOK.max(limit.saturating_mul(4));
    loop {
        let found: Vec<Ranked> = statement
            .query_map((expression, look, limit), ranked_row)
            .and_then(Iterator::collect)
            .step(DOING)?;
        // Older versions of the same tools may have filled the first look.
        if found.len() as u32 >= limit || look >= indexed {
            return Ok(found);
        }
        look = look.saturating_mul(8);
    }
}

fn hit(tx: &Transaction<'_>, expression: &str, ranked: &Ranked) -> Result<Hit, RegistryError> {
    const DOING: &str = "show where a tool fits";
    let snippet = tx
        .prepare_cached(
            "SELECT snippet(tool_search, 1, '[', ']', '…', 16) FROM tool_search
             WHERE tool_search MATCH ?1 AND rowid = ?2",
        )
        .and_then(|mut s| {
            s.query_row((expression, ranked.row), |r| r.get(0))
                .optional()
        })
        .step(DOING)?;
    let spec: Spec = crate::registry::get_json(tx, "spec", &ranked.spec)?;
    // Near in meaning, and with none of the words.
    let snippet: String = snippet.unwrap_or_else(|| spec.description.chars().take(100).collect());
    Ok(Hit {
        tool: ToolName::new(&ranked.name).map_err(|_| unknown("tool name", &ranked.name))?,
        version: Version(ranked.version),
        score: ranked.score,
        description: spec.description,
        domain: spec.domain,
        snippet,
    })
}

/// The query's words and those that stand for them, each quoted, any of which may fit; `None` where
/// it has none.
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
    let chosen: Vec<&String> = if telling.is_empty() {
        words.iter().collect()
    } else {
        telling
    };
    let mut terms: Vec<String> = chosen.iter().map(|w| (*w).clone()).collect();
    // Words that are in every question may still say what is wanted: "how many".
    for word in &words {
        let more = concepts_of(word).filter(|c| !terms.contains(c));
        let more: Vec<String> = more.collect();
        terms.extend(more);
    }
    let quoted: Vec<String> = terms.into_iter().map(|w| format!("\"{w}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

impl Registry {
    /// Makes the whole index again from the tools themselves; gives how many are in it.
    pub fn reindex(&self) -> Result<u64, RegistryError> {
        const DOING: &str = "index the tools again";
        if let Some(dense) = &self.dense {
            self.embed_missing(dense, usize::MAX >> 1)?;
        }
        self.write(DOING, |tx| {
            let active: Vec<i64> = tx
                .prepare_cached("SELECT id FROM tool_version WHERE state = 'active' ORDER BY id")
                .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
                .step(DOING)?;
            tx.execute("DELETE FROM tool_search", []).step(DOING)?;
            for tool in &active {
                index(tx, *tool)?;
            }
            Ok(active.len() as u64)
        })
    }
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
    let said = format!("{} {} {properties}", row.name.as_str(), spec.description);
    let properties = format!("{properties} {}", concepts(&said).join(" "));
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
pub(crate) fn property_words(schema: &Value) -> String {
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
            ("widths of doors", Some(r#""widths" OR "doors""#)),
            (
                "how many records",
                Some(r#""records" OR "zzcount" OR "zzrow""#),
            ),
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
