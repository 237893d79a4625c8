//! The names of what is counted and timed, in Prometheus's form. One list, so that a dashboard and
//! the code cannot differ.

/// Counter, by `tool` and `outcome`: calls of approved tools.
pub const CALLS: &str = "handaxe_calls_total";
/// Histogram, by `tool`: seconds of a call in the sandbox.
pub const CALL_SECONDS: &str = "handaxe_call_seconds";
/// Histogram: seconds that calls waited for a warmed process.
pub const QUEUE_SECONDS: &str = "handaxe_queue_wait_seconds";
/// Counter, by `ended` (measured, broke_off): trials of drafts.
pub const TRIALS: &str = "handaxe_trials_total";
/// Counter, by `provider`, `model` and `direction`: tokens as the provider counts them.
pub const MODEL_TOKENS: &str = "handaxe_model_tokens_total";
/// Counter, by `provider`, `model` and `outcome`.
pub const MODEL_CALLS: &str = "handaxe_model_calls_total";
/// Histogram, by `provider` and `model`: seconds of one call, retries included.
pub const MODEL_SECONDS: &str = "handaxe_model_call_seconds";
/// Counter, by `door` and `status`: HTTP requests.
pub const HTTP_REQUESTS: &str = "handaxe_http_requests_total";
/// Histogram, by `door`: seconds until a response begins.
pub const HTTP_SECONDS: &str = "handaxe_http_request_seconds";
/// Gauge: warmed processes that wait for a call.
pub const POOL_READY: &str = "handaxe_pool_ready";
/// Gauge: processes in the pool that have not ended.
pub const POOL_LIVE: &str = "handaxe_pool_live";
/// Gauge: calls that wait for a process.
pub const POOL_WAITING: &str = "handaxe_pool_waiting";
/// Gauge: approvals that wait for a person.
pub const APPROVALS_WAITING: &str = "handaxe_approvals_waiting";
/// Gauge, by `state`: tools' versions.
pub const TOOLS: &str = "handaxe_tools";

/// Name → help, for whoever describes them to a recorder; the first letter of the kind: counter,
/// gauge or histogram.
pub const ALL: &[(&str, char, &str)] = &[
    (CALLS, 'c', "Calls of approved tools"),
    (CALL_SECONDS, 'h', "Seconds of a call in the sandbox"),
    (
        QUEUE_SECONDS,
        'h',
        "Seconds that calls waited for a warmed process",
    ),
    (TRIALS, 'c', "Trials of drafts"),
    (MODEL_TOKENS, 'c', "Tokens as the provider counts them"),
    (MODEL_CALLS, 'c', "Calls of models"),
    (
        MODEL_SECONDS,
        'h',
        "Seconds of a model call, retries included",
    ),
    (HTTP_REQUESTS, 'c', "HTTP requests"),
    (HTTP_SECONDS, 'h', "Seconds until a response begins"),
    (POOL_READY, 'g', "Warmed processes that wait for a call"),
    (POOL_LIVE, 'g', "Processes in the pool that have not ended"),
    (POOL_WAITING, 'g', "Calls that wait for a process"),
    (APPROVALS_WAITING, 'g', "Approvals that wait for a person"),
    (TOOLS, 'g', "Versions of tools"),
];
