//! Where a model is reached and how: options, addresses, the HTTP client. Nothing is sent in here.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Url};

use super::{Retries, Secret};

#[derive(Clone, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// Between two pieces of a reply that has begun. Before that a model may be thinking, and
    /// only the request's deadline counts.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    pub key: Option<Secret>,
    /// Instead of the provider's own address.
    pub base_url: Option<String>,
    /// No proxy is used that is not named here.
    pub proxy: Option<String>,
    pub timeouts: Timeouts,
    pub retries: Retries,
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("`{0}` is not a model that is reached over HTTP")]
    NotHttp(String),
    /// A key that crosses a network unencrypted is no secret any more.
    #[error("the API key would travel unencrypted to {host}; use https, or unset the key")]
    PlainKey { host: String },
    #[error("{provider} needs an API key")]
    NoKey { provider: &'static str },
    #[error("the API key holds characters that cannot be sent")]
    BadKey,
    #[error(
        "the base URL must be http:// or https:// with a host, and without user, query or fragment"
    )]
    BadUrl,
    #[error("the proxy's address cannot be used")]
    BadProxy(#[source] reqwest::Error),
    #[error("the HTTP client could not be built (are CA certificates installed?)")]
    Client(#[source] reqwest::Error),
}

pub(super) fn endpoint(base: &str, path: &str) -> Result<Url, SetupError> {
    let url = Url::parse(base.trim_end_matches('/')).map_err(|_| SetupError::BadUrl)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        return Err(SetupError::BadUrl);
    }
    let base = url.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}{path}")).map_err(|_| SetupError::BadUrl)
}

pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Redirects and unnamed proxies are off: the conversation goes where it was said to go. No
/// connection is kept, so a call never meets one that the server has dropped.
pub(super) fn client(url: &Url, options: &HttpOptions) -> Result<Client, SetupError> {
    // Ring, once for the process; an embedding program's own choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(options.timeouts.connect)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("handaxe/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(SetupError::BadProxy)?);
    }
    if url.scheme() == "http" {
        // Works where no CA certificates are installed.
        builder = builder.https_only(false).tls_certs_only([]);
    }
    builder.build().map_err(SetupError::Client)
}

/// A client for another program's server: the same manners, towards one address.
pub fn plain_client(url: &str) -> Result<Client, SetupError> {
    let options = HttpOptions::default();
    client(&endpoint(url, "")?, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let good = [
            ("http://h:1/v1", "http://h:1/v1/x"),
            ("https://h/", "https://h/x"),
        ];
        for (base, want) in good {
            assert_eq!(endpoint(base, "/x").unwrap().as_str(), want);
        }
        for bad in [
            "h",
            "ftp://h",
            "file:///etc/passwd",
            "http://u:p@h",
            "http://h?q",
            "",
        ] {
            assert!(endpoint(bad, "/x").is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_is_not_remote() {
        let table = [
            ("http://localhost:11434", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:8", true),
            ("https://api.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
        ];
        for (url, want) in table {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), want, "{url}");
        }
    }
}
