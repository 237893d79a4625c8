//! Figures over many calls: what a library's use and worth are judged by.

use handaxe_types::{ToolName, ToolRef, ToolState, Trial, Verdict, Version};
use rusqlite::Transaction;
use serde::Serialize;

use crate::error::{RegistryError, Step as _};
use crate::invocations::{ToolUsage, usage_of};
use crate::registry::{Registry, get_json};
use crate::stored::VersionRow;

/// The newest calls that a version's times are taken over.
const NEWEST: u32 = 500;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
const DOING: &str = "read how the tools were used";

/// Calls of one version within one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsagePeriod {
    pub tool: ToolName,
    pub version: Version,
    /// When the period began, milliseconds since the Unix epoch.
    pub from_ms: i64,
    pub calls: u64,
    pub ok: u64,
}

/// What making a version took. Of a version that no run made, the proof alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BuildCost {
    pub model_calls: u64,
    pub tokens: u64,
    pub attempts: u64,
    /// Seconds of waiting for models.
    pub model_seconds: f64,
    /// Seconds of trials.
    pub proof_seconds: f64,
}

impl BuildCost {
    pub fn seconds(&self) -> f64 {
        self.model_seconds + self.proof_seconds
    }
}

/// What became of a version that was registered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VersionFigures {
    pub tool: ToolName,
    pub version: Version,
    pub state: ToolState,
    pub author: String,
    pub created_ms: i64,
    pub usage: ToolUsage,
    /// Occasions on which it gave a result and would else have had to be made: each run but the one
    /// that made it, and each day (UTC) on which it was called outside of runs.
    pub occasions: u64,
    /// Seconds of its calls on those occasions.
    pub seconds: f64,
    /// Of the newest 500 calls that gave a result; `None` where there is none.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub build: BuildCost,
}

/// How much there is of what is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub approvals_waiting: u64,
    /// Every state and the versions in it.
    pub tools: Vec<(&'static str, u64)>,
}

impl Registry {
    /// Counts, for whoever watches; cheap enough to be asked every few seconds.
    pub fn standing(&self) -> Result<Standing, RegistryError> {
        const DOING: &str = "count what there is";
        self.read(|tx| {
            let count = |sql: &str, word: &str| -> Result<u64, RegistryError> {
                tx.prepare_cached(sql)
                    .and_then(|mut s| s.query_row([word], |r| r.get::<_, i64>(0)))
                    .map(i64::cast_unsigned)
                    .step(DOING)
            };
            let tools = ToolState::ALL.iter().map(|state| {
                let sql = "SELECT count(*) FROM tool_version WHERE state = ?1";
                Ok((state.as_str(), count(sql, state.as_str())?))
            });
            Ok(Standing {
                approvals_waiting: count(
                    "SELECT count(*) FROM approval WHERE state = ?1",
                    handaxe_types::ApprovalState::Waiting.as_str(),
                )?,
                tools: tools.collect::<Result<_, RegistryError>>()?,
            })
        })
    }

    /// Calls by version and period of `period_ms`, from `since_ms` on, of one tool (of one version
    /// where it is named) or of all; periods without calls are left out.
    pub fn usage_over_time(
        &self,
        tool: Option<&ToolRef>,
        since_ms: i64,
        period_ms: i64,
    ) -> Result<Vec<UsagePeriod>, RegistryError> {
        let period = period_ms.max(1);
        self.read(|tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT t.name, t.version, (i.at_ms - ?1) / ?2 AS period, count(*),
                            sum(i.outcome = 'ok')
                     FROM tool_version t JOIN invocation i ON i.tool = t.id
                     WHERE i.at_ms >= ?1 AND (?3 IS NULL OR t.name = ?3)
                       AND (?4 IS NULL OR t.version = ?4)
                     GROUP BY t.name, t.version, period ORDER BY t.name, t.version, period",
                )
                .step(DOING)?;
            let name = tool.map(|t| t.name.as_str());
            let version = tool.and_then(|t| t.version).map(|v| v.0);
            let mut rows = statement
                .query((since_ms, period, name, version))
                .step(DOING)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().step(DOING)? {
                let number = |i: usize| row.get::<_, i64>(i).step(DOING);
                found.push(UsagePeriod {
                    tool: tool_name(&row.get::<_, String>(0).step(DOING)?)?,
                    version: Version(row.get(1).step(DOING)?),
                    from_ms: since_ms.saturating_add(number(2)?.saturating_mul(period)),
                    calls: number(3)?.cast_unsigned(),
                    ok: number(4)?.cast_unsigned(),
                });
            }
            Ok(found)
        })
    }

    /// What became of every version that was ever registered, by name and version.
    pub fn figures(&self) -> Result<Vec<VersionFigures>, RegistryError> {
        self.read(|tx| {
            VersionRow::select(
                tx,
                "?1 AND evidence IS NOT NULL ORDER BY name, version",
                true,
            )?
            .iter()
            .map(|row| figures_of(tx, row))
            .collect()
        })
    }

    /// The trial and the verdict of one version, and nothing else of it.
    pub fn proof_of(
        &self,
        name: &ToolName,
        version: Version,
    ) -> Result<Option<(Trial, Verdict)>, RegistryError> {
        self.read(|tx| {
            let versions = VersionRow::of_name(tx, name)?;
            let row = versions.iter().find(|row| row.version == version);
            row.map(|row| {
                let trial = get_json(tx, "trial", &row.trial)?;
                Ok((trial, get_json(tx, "verdict", &row.verdict)?))
            })
            .transpose()
        })
    }
}

fn tool_name(text: &str) -> Result<ToolName, RegistryError> {
    ToolName::new(text).map_err(|_| crate::registry::unknown("tool name", text))
}

fn figures_of(tx: &Transaction<'_>, row: &VersionRow) -> Result<VersionFigures, RegistryError> {
    let (occasions, micros): (i64, i64) = tx
        .prepare_cached(
            "SELECT count(DISTINCT coalesce(run, at_ms / ?3)), coalesce(sum(runtime_us), 0)
             FROM invocation
             WHERE tool = ?1 AND outcome = 'ok' AND (?2 IS NULL OR run IS NOT ?2)",
        )
        .and_then(|mut s| {
            let run = row.run.as_ref().map(handaxe_types::RunId::as_str);
            s.query_row((row.id, run, DAY_MS), |r| Ok((r.get(0)?, r.get(1)?)))
        })
        .step(DOING)?;
    let mut times: Vec<i64> = tx
        .prepare_cached(
            "SELECT runtime_us FROM invocation WHERE tool = ?1 AND outcome = 'ok'
             ORDER BY id DESC LIMIT ?2",
        )
        .and_then(|mut s| s.query_map((row.id, NEWEST), |r| r.get(0))?.collect())
        .step(DOING)?;
    times.sort_unstable();
    Ok(VersionFigures {
        tool: row.name.clone(),
        version: row.version,
        state: row.state,
        author: row.author.clone(),
        created_ms: row.created_ms,
        usage: usage_of(tx, row.id)?,
        occasions: occasions.cast_unsigned(),
        seconds: micros as f64 / 1e6,
        p50_ms: percentile(&times, 50),
        p95_ms: percentile(&times, 95),
        build: build_cost(tx, row)?,
    })
}

/// The nearest rank, in milliseconds, of times in microseconds that are sorted.
fn percentile(sorted: &[i64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|us| *us as f64 / 1e3)
}

fn build_cost(tx: &Transaction<'_>, row: &VersionRow) -> Result<BuildCost, RegistryError> {
    const WALL: &str = "json_extract(CAST(b.bytes AS TEXT), '$.wall_ms')";
    let Some(run) = &row.run else {
        let ms: f64 = tx
            .prepare_cached(&format!("SELECT {WALL} FROM blob b WHERE b.digest = ?1"))
            .and_then(|mut s| s.query_row([&row.trial], |r| r.get(0)))
            .step(DOING)?;
        return Ok(BuildCost {
            attempts: 1,
            proof_seconds: ms / 1e3,
            ..BuildCost::default()
        });
    };
    let (model_calls, tokens, ms): (i64, i64, i64) = tx
        .prepare_cached(
            "SELECT count(*), coalesce(sum(tokens_in + tokens_out), 0), coalesce(sum(ms), 0)
             FROM exchange WHERE run = ?1",
        )
        .and_then(|mut s| s.query_row([run.as_str()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))))
        .step(DOING)?;
    let (attempts, proof_ms): (i64, f64) = tx
        .prepare_cached(&format!(
            "SELECT count(*), coalesce(sum({WALL}), 0.0)
             FROM attempt a LEFT JOIN blob b ON b.digest = a.trial WHERE a.run = ?1"
        ))
        .and_then(|mut s| s.query_row([run.as_str()], |r| Ok((r.get(0)?, r.get(1)?))))
        .step(DOING)?;
    Ok(BuildCost {
        model_calls: model_calls.cast_unsigned(),
        tokens: tokens.cast_unsigned(),
        attempts: attempts.cast_unsigned(),
        model_seconds: ms as f64 / 1e3,
        proof_seconds: proof_ms / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        assert_eq!(percentile(&[], 95), None);
        assert_eq!(percentile(&[4000], 95), Some(4.0));
        let hundred: Vec<i64> = (1..=100).map(|n| n * 1000).collect();
        assert_eq!(
            (percentile(&hundred, 50), percentile(&hundred, 95)),
            (Some(50.0), Some(95.0))
        );
    }
}
