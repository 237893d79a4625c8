//! What a person who watches can see: logs on standard error, traces for an OpenTelemetry
//! collector, figures for Prometheus. All of it is off until it is asked for, and no secret passes:
//! text goes through the process's one [`Redactor`] on its way out.

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use handaxe_types::{Redactor, measures};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::cli::Global;
use crate::failure::{Failure, chain};

/// One delivery to the collector, and the last one at the end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds: from a warm call to a whole run.
const SECONDS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// Provider keys that are secret wherever they turn up.
const KEY_VARIABLES: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// The secrets of this process. One list: logs, traces, prompts and the database all ask it.
pub(crate) fn redactor() -> &'static Arc<Redactor> {
    static SECRETS: OnceLock<Arc<Redactor>> = OnceLock::new();
    SECRETS.get_or_init(|| {
        let redactor = Redactor::default();
        for name in KEY_VARIABLES {
            if let Ok(key) = std::env::var(name) {
                redactor.add(&key);
            }
        }
        Arc::new(redactor)
    })
}

/// Adds what the policy names: `env:NAME` is a variable's value, anything else is the value itself.
/// Gives back the entries that cannot be kept secret, because they are too short; a variable that
/// is not set has nothing to hide.
pub(crate) fn add_secrets(entries: &[String]) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| match entry.strip_prefix("env:") {
            Some(name) => match std::env::var(name) {
                Ok(value) if !value.trim().is_empty() => !redactor().add(&value),
                _ => false,
            },
            None => !redactor().add(entry),
        })
        // The entry may be the secret itself: its name alone is told.
        .map(|entry| match entry.strip_prefix("env:") {
            Some(name) => format!("env:{name}"),
            None => format!("a value of {} characters", entry.chars().count()),
        })
        .collect()
}

/// Delivers what is left of the traces when it goes.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sets up logs and traces as the command line and the environment ask.
    pub(crate) fn start(global: &Global) -> Result<Self, Failure> {
        let logs = global
            .log
            .as_deref()
            .map(|text| {
                let wanted: Targets = text.parse().map_err(|e| {
                    Failure::usage(format!("--log {text}: {e}")).hint(
                        "off, error, warn, info, debug or trace; or TARGET=LEVEL, as handaxe_agent=debug",
                    )
                })?;
                // A span is told when it ends, with what it came to and how long it took.
                let layer = tracing_subscriber::fmt::layer()
                    .with_ansi(false)
                    .with_span_events(FmtSpan::CLOSE)
                    .with_writer(CleanStderr);
                Ok::<_, Failure>(layer.with_filter(wanted))
            })
            .transpose()?;
        let traces = global.otlp.as_deref().map(provider).transpose()?;
        let spans = traces.as_ref().map(|traces| {
            tracing_opentelemetry::layer()
                .with_location(false)
                .with_threads(false)
                .with_tracer(traces.tracer("handaxe"))
                // Our own rooms; what libraries say of their connections is for the log.
                .with_filter(Targets::new().with_target("handaxe", LevelFilter::INFO))
        });
        if logs.is_some() || spans.is_some() {
            let subscriber = Registry::default().with(spans).with(logs);
            // Set once in a process; a second time there is one already.
            let _ = tracing::subscriber::set_global_default(subscriber);
        }
        Ok(Self { traces })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown_with_timeout(EXPORT_TIMEOUT)
        {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, Failure> {
    let failed = |why: String| {
        Failure::usage(format!("--otlp: {why}"))
            .hint("name a collector that takes OTLP over HTTP, e.g. http://127.0.0.1:4318")
    };
    // The exporter's client asks for the process's own choice of cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = endpoint.trim_end_matches('/');
    if !(endpoint.starts_with("http://") || endpoint.starts_with("https://")) {
        return Err(failed(
            "the collector's address begins with http:// or https://".to_owned(),
        ));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|e| failed(chain(&e)))?;
    let resource = Resource::builder()
        .with_service_name("handaxe")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(Clean(exporter))
        .with_resource(resource)
        .build())
}

/// An exporter to which no secret is handed.
#[derive(Debug)]
struct Clean<E>(E);

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter
    for Clean<E>
{
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        for span in &mut batch {
            clean(span);
        }
        self.0.export(batch)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn clean(span: &mut SpanData) {
    let text = |t: &str| redactor().text(t).into_owned();
    span.name = text(&span.name).into();
    if let Status::Error { description } = &mut span.status {
        *description = text(description).into();
    }
    span.attributes.iter_mut().for_each(clean_value);
    for event in &mut span.events.events {
        event.name = text(&event.name).into();
        event.attributes.iter_mut().for_each(clean_value);
    }
}

fn clean_value(attribute: &mut KeyValue) {
    let text = |t: &str| redactor().text(t).into_owned();
    match &mut attribute.value {
        Value::String(value) => *value = text(value.as_str()).into(),
        Value::Array(Array::String(values)) => {
            for value in values {
                *value = text(value.as_str()).into();
            }
        }
        _ => {}
    }
}

/// Standard error without secrets, and without control characters: no text from elsewhere starts a
/// line of its own or speaks to the terminal.
#[derive(Clone, Copy)]
struct CleanStderr;

impl<'a> MakeWriter<'a> for CleanStderr {
    type Writer = Self;
    fn make_writer(&'a self) -> Self::Writer {
        *self
    }
}

impl Write for CleanStderr {
    /// One event at a time: the formatter writes each as a whole.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().write_all(line(bytes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\n');
    let mut out = String::with_capacity(text.len() + 1);
    for c in redactor().text(text).chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}

/// Collects figures from now on; what is given back renders them.
pub(crate) fn figures() -> Result<PrometheusHandle, Failure> {
    let failed = |e: &dyn std::error::Error| Failure::failed("metrics", chain(e));
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .map_err(|e| failed(&e))?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| failed(&e))?;
    for (name, kind, help) in measures::ALL {
        match kind {
            'c' => metrics::describe_counter!(*name, *help),
            'g' => metrics::describe_gauge!(*name, *help),
            _ => metrics::describe_histogram!(*name, *help),
        }
    }
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_line_and_holds_no_secret() {
        redactor().add("sk-planted-in-a-log");
        let said = line(b"WARN key sk-planted-in-a-log\nINFO forged\x1b[2J\n");
        assert_eq!(said, "WARN key [secret]\\nINFO forged\\u{1b}[2J\n");
    }

    /// Spans as a collector would get them.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<std::sync::Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
            self.0.lock().unwrap().extend(batch);
            std::future::ready(Ok(()))
        }
    }

    #[test]
    fn no_part_of_a_span_holds_a_secret() {
        const SECRET: &str = "sk-planted-in-a-span";
        redactor().add(SECRET);
        let kept = Kept::default();
        let traces = SdkTracerProvider::builder()
            .with_simple_exporter(Clean(kept.clone()))
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("test"));
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            let span = tracing::info_span!(
                "work",
                otel.name = format!("asked {SECRET}"),
                otel.status_description = SECRET,
                question = format!("what of {SECRET}?"),
            );
            span.in_scope(|| tracing::info!(said = SECRET, "the event {SECRET}"));
        });
        let spans = kept.0.lock().unwrap();
        let told = format!("{spans:?}");
        assert!(
            told.contains("asked [secret]") && told.contains("what of [secret]?"),
            "{told}"
        );
        assert!(told.contains("the event"), "{told}");
        assert!(!told.contains(SECRET), "{told}");
    }

    #[test]
    fn what_the_policy_names() {
        let entries = ["env:HANDAXE_NO_SUCH_VARIABLE", "abc", "a long enough one"];
        let short = add_secrets(&entries.map(str::to_owned));
        assert_eq!(short, ["a value of 3 characters"]);
        assert_eq!(redactor().text("a long enough one"), "[secret]");
    }
}
