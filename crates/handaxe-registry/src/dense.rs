//! Finding a tool by meaning: every tool is a vector, a question is one, and the nearest by cosine
//! are held beside those that share its words. The two rankings are joined by reciprocal rank fusion
//! (Cormack, Clarke and Büttcher 2009).
//!
//! Vectors are derived: kept in a table of their own, made again where they are missing, in no
//! digest and no evidence. What makes them is behind [`Embedder`]; ours is `MiniLm`, in builds that
//! have it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use handaxe_types::Spec;
use rusqlite::Transaction;

use crate::error::{RegistryError, Step as _};
use crate::registry::{Registry, get_json};
use crate::search::property_words;

/// Of each arm, the hits that are joined.
pub(crate) const DEPTH: usize = 64;
/// The constant of reciprocal rank fusion, as its authors chose it.
const K: f64 = 60.0;
/// Vectors that one search makes for tools that have none; the rest are found by words until
/// [`Registry::reindex`] makes theirs.
const MADE_IN_A_SEARCH: usize = 16;
/// Of a tool's text, in characters; models read less.
const MAX_TEXT: usize = 2_000;

/// What went wrong in a model of texts, in its own words.
pub type EmbedError = Box<dyn std::error::Error + Send + Sync>;

/// Makes a vector of a text, such that texts of one meaning are near each other.
pub trait Embedder: Send + Sync {
    /// Names the weights: vectors of one model say nothing about another's.
    fn id(&self) -> Result<&str, EmbedError>;
    /// Of length 1, and always of one dimension.
    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError>;
}

/// An embedder, and the vectors that it made, held in memory.
pub(crate) struct Dense {
    embedder: Box<dyn Embedder>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The journal's end when they were read: nothing becomes active without an event.
    seen: i64,
    rows: Vec<i64>,
    /// One after the other, each `dimension` long.
    vectors: Vec<f32>,
}

impl Registry {
    /// The same registry, which finds tools by meaning too. Vectors that are missing are made by
    /// [`Self::reindex`], and a few at each search.
    #[must_use]
    pub fn finding_by_meaning(&self, embedder: Box<dyn Embedder>) -> Self {
        self.with_dense(Arc::new(Dense {
            embedder,
            held: Mutex::default(),
        }))
    }

    /// Not a migration: homes that never find by meaning have no such table.
    fn room_for_vectors(&self) -> Result<(), RegistryError> {
        const DOING: &str = "make room for vectors";
        self.write(DOING, |tx| {
            tx.execute_batch(
                "CREATE TABLE IF NOT EXISTS tool_vector (
                     tool INTEGER NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL,
                     PRIMARY KEY (tool, model)) WITHOUT ROWID",
            )
            .step(DOING)
        })
    }

    /// Makes at most `most` of the vectors that are missing; gives how many were.
    pub(crate) fn embed_missing(&self, dense: &Dense, most: usize) -> Result<usize, RegistryError> {
        const DOING: &str = "keep a tool's vector";
        let model = dense.id()?;
        self.room_for_vectors()?;
        let missing: Vec<(i64, String)> = self.read(|tx| {
            tx.prepare_cached(
                "SELECT t.id, t.spec FROM tool_version t
                 LEFT JOIN tool_vector v ON v.tool = t.id AND v.model = ?1
                 WHERE t.state = 'active' AND v.tool IS NULL ORDER BY t.id DESC LIMIT ?2",
            )
            .and_then(|mut s| {
                s.query_map((model, most as i64), |r| Ok((r.get(0)?, r.get(1)?)))?
                    .collect()
            })
            .step("find tools without a vector")
        })?;
        for chunk in missing.chunks(256) {
            // Not in the transaction: a model takes its time.
            let mut made = Vec::with_capacity(chunk.len());
            for (tool, spec) in chunk {
                let text = self.read(|tx| text_of(tx, spec))?;
                let vector = dense.embed(&text)?;
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                made.push((*tool, bytes));
            }
            self.write(DOING, |tx| {
                for (tool, bytes) in &made {
                    tx.execute(
                        "INSERT OR REPLACE INTO tool_vector (tool, model, vector) VALUES (?1, ?2, ?3)",
                        (tool, model, bytes),
                    )
                    .step(DOING)?;
                }
                Ok::<_, RegistryError>(())
            })?;
        }
        Ok(missing.len())
    }

    /// The rows of the nearest tools, best first.
    pub(crate) fn nearest(&self, dense: &Dense, query: &str) -> Result<Vec<i64>, RegistryError> {
        let model = dense.id()?;
        let query = dense.embed(&clipped(query))?;
        let mut held = dense.held.lock().unwrap_or_else(PoisonError::into_inner);
        let end: i64 = self.read(|tx| {
            tx.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |r| r.get(0))
                .step("see where the journal ends")
        })?;
        if held.seen != end || held.rows.is_empty() {
            self.embed_missing(dense, MADE_IN_A_SEARCH)?;
            let (rows, vectors) = self.read(|tx| vectors(tx, model, query.len()))?;
            *held = Held {
                seen: end,
                rows,
                vectors,
            };
        }
        let mut near: Vec<(f32, i64)> = held
            .vectors
            .chunks_exact(query.len().max(1))
            .zip(&held.rows)
            .map(|(vector, row)| (dot(vector, &query), *row))
            .collect();
        let most = DEPTH.min(near.len());
        let better = |a: &(f32, i64), b: &(f32, i64)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1));
        if most > 0 && most < near.len() {
            near.select_nth_unstable_by(most - 1, better);
        }
        near.truncate(most);
        near.sort_unstable_by(better);
        Ok(near.into_iter().map(|n| n.1).collect())
    }
}

impl Dense {
    fn id(&self) -> Result<&str, RegistryError> {
        let id = self.embedder.id();
        id.map_err(|source| RegistryError::Embed { source })
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, RegistryError> {
        self.embedder
            .embed(text)
            .map_err(|source| RegistryError::Embed { source })
    }
}

/// All vectors of active tools by this model; others of another length are none.
fn vectors(
    tx: &Transaction<'_>,
    model: &str,
    dimension: usize,
) -> Result<(Vec<i64>, Vec<f32>), RegistryError> {
    const DOING: &str = "read the tools' vectors";
    let (mut rows, mut vectors) = (Vec::new(), Vec::new());
    let mut statement = tx
        .prepare_cached(
            "SELECT v.tool, v.vector FROM tool_vector v JOIN tool_version t ON t.id = v.tool
             WHERE v.model = ?1 AND t.state = 'active'",
        )
        .step(DOING)?;
    let mut found = statement.query([model]).step(DOING)?;
    while let Some(row) = found.next().step(DOING)? {
        let bytes = row.get_ref(1).step(DOING)?.as_blob().unwrap_or_default();
        let (floats, rest) = bytes.as_chunks::<4>();
        if floats.len() == dimension && rest.is_empty() {
            rows.push(row.get(0).step(DOING)?);
            vectors.extend(floats.iter().map(|b| f32::from_le_bytes(*b)));
        }
    }
    Ok((rows, vectors))
}

/// What stands for a tool: its name's words, what it does, what goes in and out.
fn text_of(tx: &Transaction<'_>, spec: &str) -> Result<String, RegistryError> {
    let spec: Spec = get_json(tx, "spec", spec)?;
    let words = [&spec.input_schema, &spec.output_schema].map(property_words);
    let name = spec.name.as_str().replace('_', " ");
    Ok(clipped(&format!(
        "{name}. {} {}",
        spec.description,
        words.join(" ")
    )))
}

fn clipped(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Joins rankings: each row's score is the sum of `1 / (K + rank)` over those that have it.
pub(crate) fn fuse(rankings: &[&[i64]]) -> Vec<(i64, f64)> {
    let mut scores: BTreeMap<i64, f64> = BTreeMap::new();
    for ranking in rankings {
        for (rank, row) in ranking.iter().enumerate() {
            *scores.entry(*row).or_default() += 1.0 / (K + rank as f64 + 1.0);
        }
    }
    let mut fused: Vec<(i64, f64)> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_rank_high_comes_first() {
        let rows =
            |rankings: &[&[i64]]| fuse(rankings).into_iter().map(|f| f.0).collect::<Vec<_>>();
        assert_eq!(rows(&[&[1, 2, 3], &[3, 1]]), [1, 3, 2]);
        assert_eq!(rows(&[&[1, 2], &[]]), [1, 2]);
        assert_eq!(rows(&[&[7, 8], &[8, 7]]), [8, 7], "the newer of two alike");
        assert_eq!(rows(&[]), Vec::<i64>::new());
    }
}
