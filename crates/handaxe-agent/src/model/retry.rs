//! When to try again: exponential backoff with jitter, the provider's `Retry-After` first.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::fmt::rfc2822::DateTimeParser;

/// Attempts after the first, and the waits between them.
#[derive(Clone, Debug)]
pub struct Retries {
    pub max: u32,
    /// The wait before the second attempt; doubled for each one after.
    pub base: Duration,
    pub cap: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: 4,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
        }
    }
}

impl Retries {
    /// The wait after attempt `n` (1-based): what the provider asked for, else the backoff with
    /// "equal jitter" (half fixed, half random), so that clients that failed together come back
    /// apart. `dice` is uniform over `u64`.
    pub(super) fn wait(&self, n: u32, asked: Option<Duration>, dice: u64) -> Duration {
        if let Some(asked) = asked {
            return asked;
        }
        let full = self
            .base
            .saturating_mul(2_u32.saturating_pow(n.saturating_sub(1)))
            .min(self.cap);
        full / 2 + (full / 2).mul_f64(dice as f64 / u64::MAX as f64)
    }
}

/// A random number, good enough to spread retries: the standard library seeds its hash states
/// from the operating system.
pub(super) fn dice() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// `Retry-After`: seconds, or an HTTP date. A date in the past is no wait.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?
        .as_second();
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(
        u64::try_from(at).ok()?.saturating_sub(now),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let cases = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(
                retry_after(text, now),
                want.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter() {
        let r = Retries {
            max: 9,
            base: Duration::from_millis(100),
            cap: Duration::from_millis(500),
        };
        let ms = |n, dice| r.wait(n, None, dice).as_millis();
        assert_eq!(
            [1, 2, 3, 4, 40].map(|n| ms(n, u64::MAX)),
            [100, 200, 400, 500, 500]
        );
        assert_eq!([1, 2, 3, 4].map(|n| ms(n, 0)), [50, 100, 200, 250]);
        let asked = Some(Duration::from_secs(9));
        assert_eq!(r.wait(1, asked, 5), Duration::from_secs(9));
    }
}
