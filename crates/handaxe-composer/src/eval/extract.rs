//! Everything of a kind found in a field, with how often; twin of `emit/parts/extract.py`.

use std::collections::HashMap;
use std::io::Read;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::count::{add, most_common};
use super::number::text;
use super::{EvalError, PatternError, Source, translate};
use crate::Extractable;
use crate::patterns::EXTRACTS;

impl Extractable {
    /// The word for the kind, as an argument; a person's pattern is `pattern`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Emails => "emails",
            Self::Urls => "urls",
            Self::Ips => "ips",
            Self::Dates => "dates",
            Self::Numbers => "numbers",
            Self::Pattern(_) => "pattern",
        }
    }
}

pub(super) fn extract<R: Read>(
    source: &mut Source<R>,
    field: Option<&str>,
    what: &Extractable,
    limit: Option<u32>,
) -> Result<Value, EvalError> {
    let pattern = match what {
        Extractable::Pattern(pattern) => translate(pattern)?,
        kind => {
            let found = EXTRACTS.iter().find(|(name, _)| *name == kind.as_str());
            let pattern = found.map(|(_, pattern)| *pattern).unwrap_or_default();
            Regex::new(pattern).map_err(|_| PatternError::Syntax)?
        }
    };
    let group = usize::from(pattern.captures_len() > 1);
    let mut counts = HashMap::new();
    let (mut found, mut records) = (0_u64, 0_u64);
    let used: Vec<&str> = field.into_iter().collect();
    while let Some(record) = source.next(&used)? {
        let before = found;
        let values = record
            .fields
            .iter()
            .filter(|(name, _)| field.is_none_or(|f| f == &**name));
        for (_, value) in values {
            let text = text(value);
            let pick = |c: Captures<'_>| c.get(group).map(|m| m.as_str().to_owned());
            for item in pattern.captures_iter(&text).filter_map(pick) {
                let item = match what {
                    Extractable::Ips => address(&item).map(str::to_owned),
                    _ => (!item.is_empty()).then_some(item),
                };
                if let Some(item) = item {
                    found += 1;
                    add(&mut counts, item)?;
                }
            }
        }
        records += u64::from(found > before);
    }
    let distinct = counts.len();
    let rows: Vec<Value> = most_common(counts, limit)
        .into_iter()
        .map(|(value, count)| json!({ "value": value, "count": count }))
        .collect();
    Ok(json!({ "items": rows, "found": found, "distinct": distinct, "records_with_any": records }))
}

/// The IPv4 address (a port after it is dropped) or IPv6 address that a token is.
fn address(token: &str) -> Option<&str> {
    let token = token.trim_end_matches('.');
    if token.matches(':').count() <= 1 {
        let host = token.split(':').next().unwrap_or_default();
        return is_v4(host).then_some(host);
    }
    is_v6(token).then_some(token)
}

fn is_v4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4
        && parts.iter().all(|part| {
            (1..=3).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_digit())
                && part.parse::<u16>().is_ok_and(|n| n <= 255)
        })
}

fn is_v6(text: &str) -> bool {
    let groups: Vec<&str> = text.split(':').filter(|g| !g.is_empty()).collect();
    let hex = |g: &&str| g.len() <= 4 && g.bytes().all(|b| b.is_ascii_hexdigit());
    let doubled = text.matches("::").count();
    let edges = text.starts_with("::") || !text.starts_with(':');
    let ends = text.ends_with("::") || !text.ends_with(':');
    groups.iter().all(hex)
        && !text.contains(":::")
        && edges
        && ends
        && match doubled {
            0 => groups.len() == 8,
            1 => (1..8).contains(&groups.len()),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (token, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("10.0.0.1:8080", Some("10.0.0.1")),
            ("10.0.0.1.", Some("10.0.0.1")),
            ("256.0.0.1", None),
            ("1.2.3", None),
            ("1.2.3.4.5", None),
            ("fe80::1", Some("fe80::1")),
            ("::1", Some("::1")),
            ("::", None),
            ("12:30:45", None),
            ("2001:db8:0:0:0:0:0:1", Some("2001:db8:0:0:0:0:0:1")),
            ("std::vector", None),
            ("a::b::c", None),
        ] {
            assert_eq!(address(token), expected, "{token}");
        }
    }
}
