//! By which names the server may be asked, and whose pages may ask: one table for every door.
//! A rebound name is told apart by `Host`, another's page by `Origin` and `Sec-Fetch-Site`.

use axum::http::{HeaderMap, HeaderName, header};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Names of this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

#[derive(Clone, Debug)]
pub(crate) struct Access {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Access {
    /// Loopback's names and `hosts`; our own pages by any name of this machine, and `origins`.
    pub(crate) fn new(port: u16, hosts: Vec<String>, mut origins: Vec<String>) -> Self {
        // Pages of other ports are others'.
        origins.extend(LOOPBACK.map(|h| format!("http://{h}:{port}")));
        Self { hosts, origins }
    }

    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    pub(crate) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Whether the request names us, and only us.
    pub(crate) fn host(&self, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return false;
        };
        let Ok(host) = host.to_str() else {
            return false;
        };
        let name = without_port(host);
        let ours = |h: &str| h.eq_ignore_ascii_case(name) || h.eq_ignore_ascii_case(host);
        LOOPBACK.iter().any(|h| ours(h)) || self.hosts.iter().any(|h| ours(h))
    }

    /// Whether a request that changes something comes from a page of ours. What is no browser
    /// sends neither header, and has the session's token to show instead.
    pub(crate) fn own_page(&self, headers: &HeaderMap) -> bool {
        let text = |name: &HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or_default());
        let same_site = text(&FETCH_SITE).is_none_or(|s| s == "same-origin" || s == "none");
        let origin = text(&header::ORIGIN)
            .is_none_or(|o| self.origins.iter().any(|own| own.eq_ignore_ascii_case(o)));
        same_site && origin
    }

    /// Whether people reach the server over TLS under the name that they asked for.
    pub(crate) fn over_tls(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
        host.is_some_and(|host| self.origins.iter().any(|o| *o == format!("https://{host}")))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_pages_of_others_are_told_apart() {
        let access = Access::new(
            7333,
            vec!["tools.example".into()],
            vec!["https://tools.example".into()],
        );
        for (host, ok) in [
            ("localhost", true),
            ("LOCALHOST:7333", true),
            ("[::1]:7333", true),
            ("[::1]", true),
            ("127.0.0.1:1", true),
            ("tools.example", true),
            ("tools.example:443", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost@evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert_eq!(access.host(&headers), ok, "{host}");
        }
        let mut two = HeaderMap::new();
        two.append(header::HOST, "localhost".parse().unwrap());
        two.append(header::HOST, "localhost".parse().unwrap());
        assert!(!access.host(&two) && !access.host(&HeaderMap::new()));
        for (origin, site, ok) in [
            (None, None, true),
            (Some("http://localhost:7333"), Some("same-origin"), true),
            (Some("https://tools.example"), None, true),
            (Some("http://localhost:7334"), None, false),
            (Some("http://localhost:7334"), Some("same-site"), false),
            (Some("null"), None, false),
            (None, Some("cross-site"), false),
            (None, Some("same-site"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            if let Some(site) = site {
                headers.insert(FETCH_SITE, site.parse().unwrap());
            }
            assert_eq!(access.own_page(&headers), ok, "{origin:?} {site:?}");
        }
    }
}
