//! Times as ISO text, cut where the value's own precision ends; twin of `emit/parts/times.py`.
//!
//! `2024`, `2024-05`, `2024-05-01` and `2024-05-01T10:00:00[.ffffff]` sort as text, and one that
//! is less precise stands for all that begin with it. No locale, no clock; a time with an offset is
//! turned into UTC, one without is taken as it is written. `1/2/2024` is month first, `1.2.2024`
//! day first.

use std::sync::LazyLock;

use regex::Regex;

use crate::Bucket;
use crate::patterns::{MONTHS, TIME_INSIDE, TIMES, whole};

/// The time that a trimmed text is, or else the first full time inside it.
pub(crate) fn parse_time(text: &str) -> Option<String> {
    static INSIDE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(TIME_INSIDE).ok());
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    static FORMATS: LazyLock<Vec<Regex>> =
        LazyLock::new(|| TIMES.iter().map(|t| whole(t)).collect());
    let read = |text: &str| {
        FORMATS
            .iter()
            .find_map(|format| format.captures(text))
            .and_then(|found| iso(&found))
    };
    read(text).or_else(|| read(INSIDE.as_ref()?.find(text)?.as_str()))
}

fn iso(found: &regex::Captures<'_>) -> Option<String> {
    let part = |name| found.name(name).map(|m| m.as_str());
    let whole = |name| part(name).map(str::parse::<i64>).transpose().ok();
    let micros: i64 = match part("f") {
        Some(f) => format!("{f:0<6}").get(..6)?.parse().ok()?,
        None => 0,
    };
    if let Some(epoch) = whole("E")? {
        return Some(format_instant(epoch, micros));
    }
    let year = whole("Y")?.unwrap_or(0);
    let month = match part("N") {
        Some(name) => {
            let name = name.to_ascii_lowercase();
            MONTHS.iter().position(|m| m.starts_with(&name))? as i64 + 1
        }
        None => match whole("M")? {
            Some(month) => month,
            None => return Some(format!("{year:04}")),
        },
    };
    if !(1..=12).contains(&month) {
        return None;
    }
    let Some(day) = whole("D")? else {
        return Some(format!("{year:04}-{month:02}"));
    };
    if day < 1 || day > days_in(year, month) {
        return None;
    }
    let Some(mut hour) = whole("h")? else {
        return Some(format!("{year:04}-{month:02}-{day:02}"));
    };
    let (minute, second) = (whole("m")?.unwrap_or(0), whole("s")?.unwrap_or(0));
    if let Some(half) = part("p") {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12
            + if half.eq_ignore_ascii_case("pm") {
                12
            } else {
                0
            };
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = part("z").map_or(0, |zone| {
        let digits = zone.trim_start_matches(['+', '-']).replace(':', "");
        let minutes = digits.parse::<i64>().map_or(0, |d| d / 100 * 60 + d % 100);
        if zone.starts_with('-') {
            -minutes
        } else {
            minutes
        }
    });
    let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(format_instant(seconds - offset * 60, micros))
}

fn format_instant(seconds: i64, micros: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let whole = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if micros > 0 {
        return format!("{whole}.{micros:06}");
    }
    whole
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (Hinnant, `days_from_civil`).
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_before`] (Hinnant, `civil_from_days`).
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The bucket that a time falls into; `None` where it is less precise than the bucket.
pub(crate) fn bucket_of(time: &str, bucket: Bucket) -> Option<String> {
    let cut = |length| time.get(..length).map(str::to_owned);
    let number = |from, to| time.get(from..to).and_then(|t: &str| t.parse::<i64>().ok());
    match bucket {
        Bucket::Year => cut(4),
        Bucket::Month => cut(7),
        Bucket::Day => cut(10),
        Bucket::Hour => cut(13),
        Bucket::Minute => cut(16),
        Bucket::HourOfDay => time.get(11..13).map(str::to_owned),
        Bucket::Quarter => {
            let month = number(5, 7)?;
            Some(format!("{}-Q{}", cut(4)?, (month + 2) / 3))
        }
        Bucket::DayOfWeek | Bucket::Week => {
            let days = days_before(number(0, 4)?, number(5, 7)?, number(8, 10)?);
            // 1970-01-01 was a Thursday; Monday is 0.
            let weekday = (days + 3).rem_euclid(7);
            if bucket == Bucket::DayOfWeek {
                return Some(WEEKDAYS.get(weekday as usize)?.to_string());
            }
            // An ISO week belongs to the year of its Thursday.
            let (year, _, _) = date_of(days - weekday + 3);
            let first = days_before(year, 1, 1);
            Some(format!(
                "{year}-W{:02}",
                (days - weekday + 3 - first) / 7 + 1
            ))
        }
    }
}

pub(crate) const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("2024-01-31", Some("2024-01-31")),
            ("2024-01-31 12:00:00", Some("2024-01-31T12:00:00")),
            ("2024-01-31T12:00:00Z", Some("2024-01-31T12:00:00")),
            (
                "2024-01-31T12:00:00.250+02:00",
                Some("2024-01-31T10:00:00.250000"),
            ),
            (
                "2024-01-31 12:00:00,123",
                Some("2024-01-31T12:00:00.123000"),
            ),
            ("31/Jan/2024:12:00:00 +0000", Some("2024-01-31T12:00:00")),
            ("Jan 31 2024", Some("2024-01-31")),
            ("January 31, 2024 1:05 PM", Some("2024-01-31T13:05:00")),
            ("Wed Jan 31 12:00:00 2024", Some("2024-01-31T12:00:00")),
            ("Wed, 31 Jan 2024 12:00:00 GMT", Some("2024-01-31T12:00:00")),
            ("1/31/2024", Some("2024-01-31")),
            ("31/1/2024", None),
            ("20240131", Some("2024-01-31")),
            ("2024-05", Some("2024-05")),
            ("1955", Some("1955")),
            ("1706702400", Some("2024-01-31T12:00:00")),
            ("1706702400123", Some("2024-01-31T12:00:00.123000")),
            ("2023-02-29", None),
            ("2024-02-29T24:00:00", None),
            ("12", None),
            ("0.5", None),
            ("Marble 5, 2000", None),
            (
                "a line at 2024-01-31 12:00:00 and more",
                Some("2024-01-31T12:00:00"),
            ),
        ] {
            assert_eq!(parse_time(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn buckets() {
        for (time, bucket, expected) in [
            ("2024-12-30T05:06:07", Bucket::Week, Some("2025-W01")),
            ("2021-01-03", Bucket::Week, Some("2020-W53")),
            ("2024-01-31", Bucket::DayOfWeek, Some("Wednesday")),
            ("2024-05-01T10:59:00", Bucket::HourOfDay, Some("10")),
            ("2024-05", Bucket::Quarter, Some("2024-Q2")),
            ("2024", Bucket::Month, None),
            ("2024-05-01", Bucket::Hour, None),
        ] {
            assert_eq!(bucket_of(time, bucket).as_deref(), expected, "{time}");
        }
    }
}
