//! Which tools help, which are not used, which are slow or fail.

use handaxe_registry::VersionFigures;
use handaxe_types::{ToolName, ToolState, Version};
use serde::Serialize;
use utoipa::ToSchema;

use super::tools::{first_day, spread};
use super::{DAY_MS, UsageDay};
use crate::service::{Service, ServiceError};

/// A version with fewer calls is not said to fail: too few to tell.
pub(crate) const FEW_CALLS: u64 = 5;
/// Below this share of calls that give a result, a version is failing.
pub(crate) const FAILING_BELOW: f64 = 0.9;
/// Above this 95th percentile, in milliseconds, a version is slow.
pub(crate) const SLOW_ABOVE_MS: f64 = 1_000.0;

/// Figures of the whole library.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Insight {
    /// Days that `by_day` covers.
    pub(crate) days: i64,
    /// All calls, one entry a day (UTC), oldest first.
    pub(crate) by_day: Vec<UsageDay>,
    /// Every version that was ever registered, the most helpful first: by tokens saved, then by
    /// seconds saved, then by calls.
    pub(crate) tools: Vec<ToolWorth>,
    pub(crate) calls: u64,
    pub(crate) ok: u64,
    pub(crate) saved_seconds: f64,
    pub(crate) saved_tokens: u64,
    /// What making all of them took.
    pub(crate) build_seconds: f64,
    pub(crate) build_tokens: u64,
}

/// What one version is worth.
///
/// An *occasion* is a run that used it, other than the one that made it, or a day on which it was
/// called outside of runs. `saved_tokens` = occasions × `build_tokens`; `saved_seconds` =
/// occasions × `build_seconds` − the seconds of its calls, and not below zero.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ToolWorth {
    #[schema(value_type = String)]
    pub(crate) name: ToolName,
    #[schema(value_type = u32, minimum = 1)]
    pub(crate) version: Version,
    /// `active`, `deprecated`, `retired`, `quarantined`, `revoked`; `pending` where its approval
    /// was taken back.
    #[schema(value_type = String)]
    pub(crate) state: ToolState,
    pub(crate) author: String,
    pub(crate) created_ms: i64,
    pub(crate) calls: u64,
    pub(crate) ok: u64,
    /// Calls that gave a result, 0 to 1; absent without calls.
    pub(crate) success: Option<f64>,
    pub(crate) last_used_ms: Option<i64>,
    /// Of the newest 500 calls that gave a result.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) occasions: u64,
    pub(crate) saved_seconds: f64,
    pub(crate) saved_tokens: u64,
    pub(crate) build_seconds: f64,
    pub(crate) build_tokens: u64,
    /// Attempts until it was accepted.
    pub(crate) attempts: u64,
    /// Active and never called.
    pub(crate) unused: bool,
    /// The 95th percentile is above a second.
    pub(crate) slow: bool,
    /// At least five calls, and fewer than nine in ten gave a result.
    pub(crate) failing: bool,
}

impl ToolWorth {
    fn of(figures: VersionFigures) -> Self {
        let (usage, build) = (figures.usage, figures.build);
        let success = (usage.calls > 0).then(|| usage.ok as f64 / usage.calls as f64);
        let saved = figures.occasions as f64 * build.seconds() - figures.seconds;
        Self {
            calls: usage.calls,
            ok: usage.ok,
            success,
            last_used_ms: usage.last_used_ms,
            saved_seconds: saved.max(0.0),
            saved_tokens: figures.occasions.saturating_mul(build.tokens),
            build_seconds: build.seconds(),
            build_tokens: build.tokens,
            attempts: build.attempts,
            unused: figures.state == ToolState::Active && usage.calls == 0,
            slow: figures.p95_ms.is_some_and(|ms| ms > SLOW_ABOVE_MS),
            failing: usage.calls >= FEW_CALLS && success.is_some_and(|s| s < FAILING_BELOW),
            name: figures.tool,
            version: figures.version,
            state: figures.state,
            author: figures.author,
            created_ms: figures.created_ms,
            p50_ms: figures.p50_ms,
            p95_ms: figures.p95_ms,
            occasions: figures.occasions,
        }
    }
}

impl Service {
    /// The figures, with the calls of the last `days` days.
    pub(crate) fn insight(&self, days: i64) -> Result<Insight, ServiceError> {
        let registry = self.registry();
        let first = first_day(registry.now_ms(), days);
        let periods = registry.usage_over_time(None, first, DAY_MS)?;
        let mut tools: Vec<ToolWorth> =
            registry.figures()?.into_iter().map(ToolWorth::of).collect();
        tools.sort_by(|a, b| {
            (b.saved_tokens.cmp(&a.saved_tokens))
                .then(b.saved_seconds.total_cmp(&a.saved_seconds))
                .then(b.calls.cmp(&a.calls))
                .then_with(|| a.name.cmp(&b.name))
        });
        Ok(Insight {
            days,
            by_day: spread(first, days, periods.iter()),
            calls: tools.iter().map(|t| t.calls).sum(),
            ok: tools.iter().map(|t| t.ok).sum(),
            saved_seconds: tools.iter().map(|t| t.saved_seconds).sum(),
            saved_tokens: tools.iter().map(|t| t.saved_tokens).sum(),
            build_seconds: tools.iter().map(|t| t.build_seconds).sum(),
            build_tokens: tools.iter().map(|t| t.build_tokens).sum(),
            tools,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_registry::{BuildCost, ToolUsage};

    #[test]
    fn worth() {
        let figures = |calls, ok, p95_ms, seconds| VersionFigures {
            tool: ToolName::new("abc").unwrap(),
            version: Version(1),
            state: ToolState::Active,
            author: "composer".to_owned(),
            created_ms: 0,
            usage: ToolUsage {
                calls,
                ok,
                last_used_ms: None,
            },
            occasions: 3,
            seconds,
            p50_ms: p95_ms,
            p95_ms,
            build: BuildCost {
                tokens: 1000,
                model_seconds: 6.0,
                proof_seconds: 4.0,
                attempts: 2,
                model_calls: 3,
            },
        };
        let good = ToolWorth::of(figures(10, 9, Some(20.0), 0.5));
        assert_eq!((good.saved_tokens, good.saved_seconds), (3000, 29.5));
        assert!(!good.failing && !good.slow && !good.unused);
        let bad = ToolWorth::of(figures(10, 8, Some(1200.0), 50.0));
        assert!(bad.failing && bad.slow);
        assert_eq!(bad.saved_seconds, 0.0);
        assert!(!ToolWorth::of(figures(4, 0, None, 0.0)).failing);
        assert!(ToolWorth::of(figures(0, 0, None, 0.0)).unused);
    }
}
