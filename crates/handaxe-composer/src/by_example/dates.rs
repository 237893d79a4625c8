//! Dates and times inside texts, by their parts; twin of `emit/parts/example_dates.py`.

use std::sync::LazyLock;

use regex::Regex;

use crate::patterns::MONTHS;

/// Forms of a date, with an optional time of day behind it. Tried in order; the whole text must fit.
/// Groups: Y year, y two digits of it, M month, N month's name, D day, h m s, p am or pm.
pub(crate) const FORMS: &[(&str, &str)] = &[
    (
        "year_first",
        r"(?P<Y>[12][0-9]{3})[-/.](?P<M>[0-9]{1,2})[-/.](?P<D>[0-9]{1,2})",
    ),
    (
        "compact",
        r"(?P<Y>[12][0-9]{3})(?P<M>[01][0-9])(?P<D>[0-3][0-9])",
    ),
    (
        "day_name_year",
        r"(?:[A-Za-z]{3,9},? )?(?P<D>[0-9]{1,2})(?:st|nd|rd|th)?[-/ ](?P<N>[A-Za-z]{3,9}),?[-/ ](?P<Y>[12][0-9]{3})",
    ),
    (
        "name_day_year",
        r"(?:[A-Za-z]{3,9},? )?(?P<N>[A-Za-z]{3,9}) (?P<D>[0-9]{1,2})(?:st|nd|rd|th)?,? (?P<Y>[12][0-9]{3})",
    ),
    (
        "month_first",
        r"(?P<M>[0-9]{1,2})[-/.](?P<D>[0-9]{1,2})[-/.](?P<Y>[12][0-9]{3})",
    ),
    (
        "day_first",
        r"(?P<D>[0-9]{1,2})[-/.](?P<M>[0-9]{1,2})[-/.](?P<Y>[12][0-9]{3})",
    ),
];

/// The time of day that may follow a date, or stand alone.
pub(crate) const CLOCK: &str = r"(?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2}))?(?:[.,][0-9]{1,9})? ?(?P<p>[AaPp][Mm])?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?";

/// One moment, as far as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    date: Option<(i64, i64, i64)>,
    clock: Option<(i64, i64, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DatePart {
    Year,
    ShortYear,
    Month,
    PlainMonth,
    MonthName,
    ShortMonthName,
    Day,
    PlainDay,
    DayWithEnding,
    Weekday,
    ShortWeekday,
    Quarter,
    DayOfYear,
    Hour,
    PlainHour,
    HalfHour,
    Minute,
    Second,
    Half,
    Iso,
}

impl DatePart {
    pub(crate) const ALL: [Self; 20] = [
        Self::Iso,
        Self::Year,
        Self::Month,
        Self::Day,
        Self::PlainMonth,
        Self::PlainDay,
        Self::MonthName,
        Self::ShortMonthName,
        Self::ShortYear,
        Self::Weekday,
        Self::ShortWeekday,
        Self::DayWithEnding,
        Self::Quarter,
        Self::DayOfYear,
        Self::Hour,
        Self::PlainHour,
        Self::HalfHour,
        Self::Minute,
        Self::Second,
        Self::Half,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::ShortYear => "short_year",
            Self::Month => "month",
            Self::PlainMonth => "plain_month",
            Self::MonthName => "month_name",
            Self::ShortMonthName => "short_month_name",
            Self::Day => "day",
            Self::PlainDay => "plain_day",
            Self::DayWithEnding => "day_with_ending",
            Self::Weekday => "weekday",
            Self::ShortWeekday => "short_weekday",
            Self::Quarter => "quarter",
            Self::DayOfYear => "day_of_year",
            Self::Hour => "hour",
            Self::PlainHour => "plain_hour",
            Self::HalfHour => "half_hour",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Half => "half",
            Self::Iso => "iso",
        }
    }

    /// The part of a moment; a date of which only the clock is known has year 1.
    pub(crate) fn of(self, moment: &Moment) -> String {
        let (year, month, day) = moment.date.unwrap_or((1, 1, 1));
        let (hour, minute, second) = moment.clock.unwrap_or((0, 0, 0));
        let date = || {
            jiff::civil::Date::new(
                i16::try_from(year).unwrap_or(1),
                i8::try_from(month).unwrap_or(1),
                i8::try_from(day).unwrap_or(1),
            )
            .unwrap_or(jiff::civil::Date::MIN)
        };
        let title = |name: &str| super::text::Case::Capital.of(name);
        let month_name = || title(MONTHS[(month - 1).clamp(0, 11) as usize]);
        let weekday = || {
            let at = date().weekday().to_monday_zero_offset();
            crate::eval::WEEKDAYS[at as usize % 7].to_owned()
        };
        let short = |name: String| name.chars().take(3).collect();
        match self {
            Self::Year => format!("{year:04}"),
            Self::ShortYear => format!("{:02}", year % 100),
            Self::Month => format!("{month:02}"),
            Self::PlainMonth => month.to_string(),
            Self::MonthName => month_name(),
            Self::ShortMonthName => short(month_name()),
            Self::Day => format!("{day:02}"),
            Self::PlainDay => day.to_string(),
            Self::DayWithEnding => format!("{day}{}", ending(day)),
            Self::Weekday => weekday(),
            Self::ShortWeekday => short(weekday()),
            Self::Quarter => ((month + 2) / 3).to_string(),
            Self::DayOfYear => date().day_of_year().to_string(),
            Self::Hour => format!("{hour:02}"),
            Self::PlainHour => hour.to_string(),
            Self::HalfHour => ((hour + 11) % 12 + 1).to_string(),
            Self::Minute => format!("{minute:02}"),
            Self::Second => format!("{second:02}"),
            Self::Half => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Self::Iso => format!("{year:04}-{month:02}-{day:02}"),
        }
    }
}

fn ending(day: i64) -> &'static str {
    match (day % 10, day / 10) {
        (_, 1) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// The moment that a text is; where day and month are both numbers before the year, `day_first`
/// says which is which.
pub(crate) fn parts_of(text: &str, day_first: bool) -> Option<Moment> {
    static READERS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        FORMS
            .iter()
            .map(|(_, form)| {
                crate::patterns::whole(&format!("(?:{form})(?:[T ,]+(?:at )?{CLOCK})?"))
            })
            .collect()
    });
    static ALONE: LazyLock<Regex> = LazyLock::new(|| crate::patterns::whole(CLOCK));
    if !text.bytes().any(|b| b.is_ascii_digit()) || text.chars().count() > 60 {
        return None;
    }
    let other = if day_first {
        "month_first"
    } else {
        "day_first"
    };
    for ((name, _), reader) in FORMS.iter().zip(READERS.iter()) {
        if *name != other
            && let Some(found) = reader.captures(text)
            && let Some(moment) = moment(&found, true)
        {
            return Some(moment);
        }
    }
    ALONE.captures(text).and_then(|found| moment(&found, false))
}

fn moment(found: &regex::Captures<'_>, dated: bool) -> Option<Moment> {
    let part = |name: &str| -> Option<i64> { found.name(name)?.as_str().parse().ok() };
    let date = if dated {
        let month = match found.name("N") {
            Some(name) => {
                let name = name.as_str().to_ascii_lowercase();
                MONTHS.iter().position(|m| m.starts_with(&name))? as i64 + 1
            }
            None => part("M")?,
        };
        let (year, day) = (part("Y")?, part("D")?);
        jiff::civil::Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        )
        .ok()?;
        Some((year, month, day))
    } else {
        None
    };
    let clock = match part("h") {
        Some(mut hour) => {
            if let Some(half) = found.name("p") {
                if !(1..=12).contains(&hour) {
                    return None;
                }
                hour = hour % 12
                    + if half.as_str().eq_ignore_ascii_case("pm") {
                        12
                    } else {
                        0
                    };
            }
            let (minute, second) = (part("m")?, part("s").unwrap_or(0));
            if hour > 23 || minute > 59 || second > 59 {
                return None;
            }
            Some((hour, minute, second))
        }
        None => None,
    };
    Some(Moment { date, clock })
}

impl Moment {
    /// Whether a part was written, and is not made up.
    pub(crate) fn has(&self, part: DatePart) -> bool {
        let of_clock = matches!(
            part,
            DatePart::Hour
                | DatePart::PlainHour
                | DatePart::HalfHour
                | DatePart::Minute
                | DatePart::Second
                | DatePart::Half
        );
        if of_clock {
            self.clock.is_some()
        } else {
            self.date.is_some()
        }
    }
}
