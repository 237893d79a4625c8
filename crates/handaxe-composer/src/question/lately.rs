//! "Last 30 days", "this month": times relative to the newest date in the data, or to the date that
//! the question counts back from. Never to the clock: the same question over the same data is the
//! same chain. What was taken is said in the plan.

use jiff::civil::Date;
use jiff::{Span as Period, ToSpan};

use super::dates::{When, of_month, of_year};
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use crate::{Bucket, Op};

/// What is asked: the last so many units up to a day, or one unit of the calendar, so many back.
#[derive(Clone, Copy)]
enum Ask {
    Rolling(i64, Bucket),
    Calendar(Bucket, i32),
}

impl Parse<'_> {
    /// Puts the dates that are meant in the place of the words.
    pub(super) fn lately(&mut self) -> Result<(), Refusal> {
        let said = self.as_of();
        for i in 0..self.spans.len() {
            let Some((ask, last)) = self.asked(i) else {
                if self.key(i) == Some(&Key::Lately) {
                    let word = self.spans[i].text.clone();
                    return self.too_far(&format!(
                        "`{word}` without a unit of time (say e.g. `last 30 days`)"
                    ));
                }
                continue;
            };
            let words: Vec<String> = self.spans[i..=last]
                .iter()
                .map(|s| s.text.clone())
                .collect();
            let words = words.join(" ");
            let (range, note) = self.meant(i, ask, said.as_deref(), &words)?;
            for s in &mut self.spans[i + 1..=last] {
                s.item = Item::Key(Key::Filler);
            }
            self.spans[i].item = Item::When(range);
            self.spans[i].text = words;
            self.notes.push(note);
            // "over the past year" compares nothing.
            if let Some(p) = self.prev(i)
                && self.key(p) == Some(&Key::Cmp(Op::Gt))
                && self.spans[p].text.eq_ignore_ascii_case("over")
            {
                self.spans[p].item = Item::Key(Key::In);
            }
        }
        Ok(())
    }

    /// "as of 2024-03-01": the day, and no condition.
    fn as_of(&mut self) -> Option<String> {
        let i = self.find(|k| *k == Key::AsOf)?;
        let n = self.next(i)?;
        let When::Range { last, .. } = self.when(n)? else {
            return None;
        };
        for s in [i, n] {
            self.spans[s].item = Item::Key(Key::Filler);
        }
        Some(last)
    }

    /// What the span at `i` begins to ask, and where that ends.
    fn asked(&self, i: usize) -> Option<(Ask, usize)> {
        if let Some(Key::Calendar(bucket, back)) = self.key(i) {
            return Some((Ask::Calendar(*bucket, *back), i));
        }
        if self.key(i) != Some(&Key::Lately) {
            return None;
        }
        let first = self.next(i)?;
        let unit = |at: usize| match self.key(at) {
            Some(Key::Bucket(bucket)) => Some(*bucket),
            _ => None,
        };
        if let Some(bucket) = unit(first) {
            return Some((Ask::Rolling(1, bucket), first));
        }
        let count = self.whole_number(first)?;
        let at = self.next(first)?;
        Some((Ask::Rolling(count.into(), unit(at)?), at))
    }

    fn meant(
        &self,
        i: usize,
        ask: Ask,
        said: Option<&str>,
        words: &str,
    ) -> Result<(When, String), Refusal> {
        let near = self.prev(i).map(|p| match self.key(p) {
            Some(Key::In | Key::Since | Key::Before | Key::After | Key::Until) => {
                self.prev(p).unwrap_or(p)
            }
            _ => p,
        });
        let timely = |f: &usize| self.field(*f).kind.is_time() || self.is_year(*f);
        let named: Vec<usize> = near
            .and_then(|p| self.fits(p))
            .map(|fits| fits.into_iter().filter(timely).collect())
            .unwrap_or_default();
        let field = match named.as_slice() {
            [one] => Some(*one),
            _ => self.time_field()?,
        };
        let Some(field) = field else {
            return Err(Refusal::Unfit {
                what: format!("no field holds dates for `{words}`"),
                fields: self.field_names(),
            });
        };
        let name = self.name(field);
        let known = self.field(field);
        if said.is_none() && !self.profile.exact {
            return Err(Refusal::Ambiguous {
                what: format!(
                    "`{words}` counts back from the newest `{name}`, and the file is too large to \
                     have been read to the end"
                ),
                options: vec![format!("{words}, as of 2024-03-01")],
            });
        }
        let newest = if self.is_year(field) {
            known.range.map(|(_, newest)| format!("{newest}"))
        } else {
            known.days.as_ref().map(|(_, newest)| newest.clone())
        };
        let Some(now) = said.map(str::to_owned).or(newest) else {
            return self.too_far(&format!("`{words}` where no date is known"));
        };
        let range = if self.is_year(field) {
            years(&now, ask)
        } else {
            days(&now, ask)
        };
        let Some(When::Range { first, last }) = range else {
            return self.too_far(&format!(
                "`{words}` counted back from {now} (days, weeks, months, quarters and years are)"
            ));
        };
        let from = match said {
            Some(_) => format!("Seen from {now}, as the question says"),
            None => format!("Seen from {now}, the newest {name} in the data"),
        };
        let note = if first == last {
            format!("{from}, `{words}` is {first}.")
        } else {
            format!("{from}, `{words}` is {first} to {last}.")
        };
        Ok((When::Range { first, last }, note))
    }
}

/// Where the data knows years alone.
fn years(now: &str, ask: Ask) -> Option<When> {
    let now: u32 = now.get(..4)?.parse().ok()?;
    match ask {
        Ask::Calendar(Bucket::Year, back) => Some(of_year(now.checked_sub(back as u32)?)),
        Ask::Rolling(n, Bucket::Year) => {
            let first = now.checked_sub(u32::try_from(n - 1).ok()?)?;
            Some(When::Range {
                first: format!("{first:04}"),
                last: format!("{now:04}"),
            })
        }
        _ => None,
    }
}

fn days(now: &str, ask: Ask) -> Option<When> {
    // Of a month or a year the last day is meant.
    let now: Date = match now.len() {
        4 => format!("{now}-12-31").parse().ok()?,
        7 => format!("{now}-01").parse::<Date>().ok()?.last_of_month(),
        _ => now.parse().ok()?,
    };
    let range = |first: Date, last: Date| {
        Some(When::Range {
            first: first.to_string(),
            last: last.to_string(),
        })
    };
    let period = |n: i64, unit: Bucket| {
        let none = Period::new();
        match unit {
            Bucket::Day => none.try_days(n),
            Bucket::Week => none.try_weeks(n),
            Bucket::Month => none.try_months(n),
            Bucket::Quarter => none.try_months(n.checked_mul(3)?),
            Bucket::Year => none.try_years(n),
            _ => return None,
        }
        .ok()
    };
    match ask {
        Ask::Rolling(n, unit) => {
            let before = now.checked_sub(period(n, unit)?).ok()?;
            range(before.checked_add(1.day()).ok()?, now)
        }
        Ask::Calendar(unit, back) => {
            let day = now.checked_sub(period(back.into(), unit)?).ok()?;
            match unit {
                Bucket::Day => range(day, day),
                Bucket::Week => {
                    let into = i64::from(day.weekday().to_monday_zero_offset());
                    let monday = day.checked_sub(into.days()).ok()?;
                    range(monday, monday.checked_add(6.days()).ok()?)
                }
                Bucket::Month => Some(of_month(day.year() as u32, day.month() as u32)),
                Bucket::Quarter => {
                    let month = (day.month() as u32 - 1) / 3 * 3 + 1;
                    let at = |month: u32| format!("{:04}-{month:02}", day.year());
                    Some(When::Range {
                        first: at(month),
                        last: at(month + 2),
                    })
                }
                Bucket::Year => Some(of_year(day.year() as u32)),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_back() {
        for (now, ask, first, last) in [
            (
                "2024-03-01",
                Ask::Rolling(30, Bucket::Day),
                "2024-02-01",
                "2024-03-01",
            ),
            (
                "2024-03-01",
                Ask::Rolling(1, Bucket::Day),
                "2024-03-01",
                "2024-03-01",
            ),
            (
                "2024-03-31",
                Ask::Rolling(1, Bucket::Month),
                "2024-03-01",
                "2024-03-31",
            ),
            (
                "2024-03-28",
                Ask::Rolling(2, Bucket::Week),
                "2024-03-15",
                "2024-03-28",
            ),
            (
                "2024-02-29",
                Ask::Rolling(1, Bucket::Year),
                "2023-03-01",
                "2024-02-29",
            ),
            (
                "2024-03-28",
                Ask::Calendar(Bucket::Month, 0),
                "2024-03",
                "2024-03",
            ),
            (
                "2024-03-31",
                Ask::Calendar(Bucket::Month, 1),
                "2024-02",
                "2024-02",
            ),
            (
                "2024-01-31",
                Ask::Calendar(Bucket::Quarter, 1),
                "2023-10",
                "2023-12",
            ),
            (
                "2024-03-28",
                Ask::Calendar(Bucket::Week, 1),
                "2024-03-18",
                "2024-03-24",
            ),
            ("2024-03-28", Ask::Calendar(Bucket::Year, 1), "2023", "2023"),
            (
                "2024-02",
                Ask::Rolling(1, Bucket::Month),
                "2024-01-30",
                "2024-02-29",
            ),
        ] {
            let expected = When::Range {
                first: first.to_owned(),
                last: last.to_owned(),
            };
            assert_eq!(days(now, ask), Some(expected), "{now}");
        }
        assert_eq!(days("2024-03-28", Ask::Rolling(2, Bucket::Hour)), None);
        let three = years("2012", Ask::Rolling(3, Bucket::Year));
        let expected = When::Range {
            first: "2010".to_owned(),
            last: "2012".to_owned(),
        };
        assert_eq!(three, Some(expected));
    }
}
