//! Which tools help, and what that is worth.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::strict::{Answer, Params, ok, within};
use crate::library::Insight;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InsightParams {
    /// Days of `by_day`, the last of which is today (UTC).
    #[param(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

/// Figures of every tool that was ever registered: use, success, time, and what it saved.
#[utoipa::path(get, path = "/insight", tag = "insight", params(InsightParams),
    responses((status = 200, description = "The figures", body = Insight)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    _: Caller,
    Params(params): Params<InsightParams>,
) -> Answer<Insight> {
    let days = within("days", params.days, 30, 1..=366)?;
    ok(api.ask(move |s| s.insight(days)).await?)
}
