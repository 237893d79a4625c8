//! Small pieces that several pages show.

use askama::Template;
use handaxe_types::text::Shown;
use jiff::Timestamp;

use crate::library::UsageDay;

/// A moment: how long ago for reading, exactly for the pointer and for programs.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<time datetime="{{ exact }}" title="{{ exact }}">{{ words }}</time>"#,
    ext = "html"
)]
pub(crate) struct When {
    exact: String,
    words: String,
}

impl When {
    pub(crate) fn of(ms: i64) -> Self {
        Self::seen_from(Timestamp::now().as_millisecond(), ms)
    }

    fn seen_from(now: i64, ms: i64) -> Self {
        let exact = Timestamp::from_millisecond(ms).map_or_else(
            |_| ms.to_string(),
            |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        let away = now.abs_diff(ms) / 1000;
        let (n, unit) = match away {
            0..60 => {
                let words = if ms > now { "in a moment" } else { "just now" };
                let words = words.to_owned();
                return Self { exact, words };
            }
            60..3_600 => (away / 60, "minute"),
            3_600..86_400 => (away / 3_600, "hour"),
            86_400..2_592_000 => (away / 86_400, "day"),
            2_592_000..31_536_000 => (away / 2_592_000, "month"),
            _ => (away / 31_536_000, "year"),
        };
        let s = if n == 1 { "" } else { "s" };
        let words = if ms > now {
            format!("in {n} {unit}{s}")
        } else {
            format!("{n} {unit}{s} ago")
        };
        Self { exact, words }
    }
}

/// One bar: calls that gave a result below, the others on top.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    x: f64,
    ok_y: f64,
    ok_h: f64,
    bad_y: f64,
    bad_h: f64,
}

/// Calls over days, as bars.
#[derive(Clone, Debug, Template)]
#[template(path = "bars.html")]
pub(crate) struct Bars {
    width: f64,
    height: f64,
    bar: f64,
    drawn: Vec<Bar>,
    label: String,
    class: &'static str,
}

impl Bars {
    /// For a card.
    pub(crate) fn small(days: &[UsageDay]) -> Self {
        Self::over(days, 4.0, 28.0, "spark")
    }

    /// For a page.
    pub(crate) fn wide(days: &[UsageDay]) -> Self {
        Self::over(days, 8.0, 120.0, "chart")
    }

    fn over(days: &[UsageDay], step: f64, height: f64, class: &'static str) -> Self {
        let most = days.iter().map(|d| d.calls).max().unwrap_or(0).max(1) as f64;
        let scale = |n: u64| {
            let h = n as f64 / most * (height - 1.0);
            // What happened at all is seen.
            if n > 0 { h.max(1.5) } else { 0.0 }
        };
        let drawn = days
            .iter()
            .zip(0_u32..)
            .filter(|(day, _)| day.calls > 0)
            .map(|(day, n)| {
                let (ok_h, bad_h) = (scale(day.ok), scale(day.calls.saturating_sub(day.ok)));
                Bar {
                    x: f64::from(n) * step,
                    ok_y: height - ok_h,
                    ok_h,
                    bad_y: height - ok_h - bad_h,
                    bad_h,
                }
            })
            .collect();
        let (calls, ok) = days
            .iter()
            .fold((0, 0), |(c, o), d| (c + d.calls, o + d.ok));
        let label = match calls {
            0 => format!("not called in {} days", days.len()),
            _ => format!(
                "{calls} {} in {} days, {ok} with a result",
                if calls == 1 { "call" } else { "calls" },
                days.len()
            ),
        };
        Self {
            width: days.len() as f64 * step,
            height,
            bar: step - 1.0,
            drawn,
            label,
            class,
        }
    }
}

/// `87 %`; less than all is never shown as all.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if (99.5..100.0).contains(&p) => "99 %".to_owned(),
        p => format!("{p:.0} %"),
    }
}

/// How long something took.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 0.0005 => "0 s".to_owned(),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A number with narrow spaces between thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Text of others on one line: what it holds is shown, not obeyed.
pub(crate) fn line(text: &str) -> String {
    Shown(text).to_string()
}

/// The same where a browser has several lines.
pub(crate) fn lines(text: &str) -> String {
    handaxe_types::text::Lines(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_words() {
        let now = 1_700_000_000_000;
        for (ms, words) in [
            (now, "just now"),
            (now - 60_000, "1 minute ago"),
            (now - 7_200_000, "2 hours ago"),
            (now + 3 * 86_400_000, "in 3 days"),
        ] {
            assert_eq!(When::seen_from(now, ms).words, words);
        }
        // A clock that was never set, and one that is broken.
        for ms in [i64::MIN, 0, i64::MAX] {
            assert!(!When::seen_from(now, ms).words.is_empty());
        }
    }

    #[test]
    fn figures_in_words() {
        assert_eq!(
            (percent(0.999), percent(1.0), percent(0.5)),
            ("99 %".into(), "100 %".into(), "50 %".into())
        );
        assert_eq!(
            (count(999), count(1_234_567)),
            ("999".into(), "1\u{202f}234\u{202f}567".into())
        );
        assert_eq!(
            (seconds(0.0), seconds(0.25), seconds(90.0)),
            ("0 s".into(), "250 ms".into(), "1.5 min".into())
        );
        assert_eq!((size(999), size(1_500)), ("999 B".into(), "1.5 kB".into()));
    }

    #[test]
    fn a_bar_for_each_day_with_calls() {
        let day = |calls, ok| UsageDay {
            day_ms: 0,
            calls,
            ok,
        };
        let bars = Bars::small(&[day(0, 0), day(4, 3), day(1, 1)]);
        assert_eq!(bars.drawn.len(), 2);
        assert_eq!(bars.label, "5 calls in 3 days, 4 with a result");
        assert!(bars.drawn.iter().all(|b| b.bad_y >= 0.0 && b.ok_y <= 28.0));
        assert_eq!(Bars::small(&[]).label, "not called in 0 days");
    }
}
