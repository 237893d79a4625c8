//! Conditions on dates and years, and which field they are about.

use super::dates::{When, of_month, of_year};
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use super::tokens::stems;
use crate::profile::Kind;
use crate::{Bucket, Op, Scalar};

impl Parse<'_> {
    /// The range of time that a span names; a four-digit number is a year.
    pub(super) fn when(&self, i: usize) -> Option<When> {
        match &self.spans.get(i)?.item {
            Item::When(When::Month(m)) => {
                // A month alone is clear where the data knows one year only.
                let years: Vec<&str> = self
                    .profile
                    .fields
                    .iter()
                    .filter_map(|f| f.days.as_ref())
                    .flat_map(|(a, b)| [a.get(..4), b.get(..4)])
                    .flatten()
                    .collect();
                let first = years.first()?;
                let only = self.profile.exact && years.iter().all(|y| y == first);
                only.then(|| first.parse().ok().map(|y| of_month(y, *m)))
                    .flatten()
            }
            Item::When(when) => Some(when.clone()),
            Item::Number(_) => {
                let text = &self.spans[i].text;
                let year: u32 = (text.len() == 4).then(|| text.parse().ok()).flatten()?;
                (1000..=2200).contains(&year).then(|| of_year(year))
            }
            _ => None,
        }
    }

    /// An integer field of years.
    pub(super) fn is_year(&self, f: usize) -> bool {
        let field = self.field(f);
        field.kind == Kind::Integer
            && stems(&field.name).iter().any(|w| w == "year" || w == "yr")
            && field.range.is_some_and(|(a, b)| a >= 1000.0 && b <= 2200.0)
    }

    pub(super) fn is_id(&self, f: usize) -> bool {
        let words = stems(&self.field(f).name);
        words
            .iter()
            .any(|w| matches!(w.as_str(), "id" | "lat" | "lon" | "zip" | "code" | "index"))
    }

    /// The field of time: the one named just before, else the only one there is.
    pub(super) fn time_field_near(&mut self, i: usize) -> Result<Option<usize>, Refusal> {
        let timely = |p: &Self, f: usize| p.field(f).kind.is_time() || p.is_year(f);
        if let Some(p) = self.prev(i).filter(|p| {
            self.fits(*p)
                .is_some_and(|f| f.iter().any(|f| timely(self, *f)))
                && !self.preceded_by_group(*p)
        }) {
            let fits: Vec<usize> = self
                .fits(p)
                .unwrap_or_default()
                .into_iter()
                .filter(|f| timely(self, *f))
                .collect();
            // "on which date was … in 2012": the field asked for is not the field compared.
            let asked = self.prev(p).is_some_and(|q| {
                matches!(
                    self.key(q),
                    Some(Key::Which | Key::List | Key::HowMany | Key::Unique)
                )
            });
            if !asked {
                let field = self.pick(&fits, "time", |_| true, "a date")?;
                self.use_(p);
                return Ok(Some(field));
            }
        }
        self.time_field()
    }

    /// The only field of dates, else the only field of years.
    pub(super) fn time_field(&self) -> Result<Option<usize>, Refusal> {
        let all = 0..self.profile.fields.len();
        let times: Vec<usize> = all
            .clone()
            .filter(|f| self.field(*f).kind.is_time())
            .collect();
        let years: Vec<usize> = all.filter(|f| self.is_year(*f)).collect();
        let fits = if times.is_empty() { years } else { times };
        if fits.is_empty() {
            return Ok(None);
        }
        self.pick(&fits, "time", |_| true, "a date").map(Some)
    }

    pub(super) fn add_time(&mut self, field: usize, limit: Limit<'_>) -> Result<(), Refusal> {
        let years_only = self.is_year(field);
        let value = |text: &str| -> Result<Scalar, Refusal> {
            if !years_only {
                return Ok(Scalar::Text(text.to_owned()));
            }
            text.parse().map(Scalar::Int).map_err(|_| Refusal::Unfit {
                what: format!("`{}` holds years only, no months or days", self.name(field)),
                fields: self.field_names(),
            })
        };
        let added = match limit {
            Limit::From(op, text) => vec![(op, value(text)?)],
            Limit::Within(first, last) if first == last => vec![(Op::Eq, value(first)?)],
            Limit::Within(first, last) => vec![(Op::Ge, value(first)?), (Op::Le, value(last)?)],
        };
        for (op, value) in added {
            self.add(field, op, Some(value));
        }
        Ok(())
    }

    /// "in 2021", "before March 2020", "since 2021-05-01".
    pub(super) fn times(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            if self.spans[i].used || !matches!(self.spans[i].item, Item::When(_) | Item::Number(_))
            {
                continue;
            }
            // "in the year 1970", "date is 2021-05-01".
            let mut at = self.prev(i);
            if let Some(p) = at.filter(|p| {
                matches!(
                    self.key(*p),
                    Some(Key::Bucket(Bucket::Year | Bucket::Month | Bucket::Day))
                )
            }) {
                at = self.prev(p);
            }
            if let Item::When(When::Month(_)) = self.spans[i].item
                && self.when(i).is_none()
            {
                return Err(Refusal::Ambiguous {
                    what: format!("`{}` of which year", self.spans[i].text),
                    options: vec![format!("{} 2021", self.spans[i].text)],
                });
            }
            let Some(When::Range { first, last }) = self.when(i) else {
                continue;
            };
            let key = at.and_then(|p| self.key(p)).cloned();
            let named = at.is_some_and(|p| {
                self.fits(p).is_some_and(|f| {
                    f.iter()
                        .any(|f| self.field(*f).kind.is_time() || self.is_year(*f))
                })
            });
            let whole_when = matches!(self.spans[i].item, Item::When(_));
            let follows_unit = self.next(i).is_some_and(|n| {
                self.fits(n).is_some_and(|f| {
                    f.iter()
                        .any(|f| self.field(*f).kind.is_number() && !self.is_year(*f))
                })
            }) && !whole_when
                && key != Some(Key::Before)
                && self.next(i) == Some(i + 1);
            let limit = match key {
                Some(Key::Before) => Limit::From(Op::Lt, &first),
                Some(Key::After) => Limit::From(Op::Gt, &last),
                Some(Key::Since) => Limit::From(Op::Ge, &first),
                Some(Key::Until) => Limit::From(Op::Le, &last),
                Some(Key::In) if !follows_unit => {
                    let word = at.map(|p| self.spans[p].text.to_lowercase());
                    match word.as_deref() {
                        Some("from" | "to") if !whole_when && word.as_deref() == Some("to") => {
                            continue;
                        }
                        Some("to") => {
                            return Err(
                                self.not_understood(vec![format!("to {}", self.spans[i].text)])
                            );
                        }
                        _ => Limit::Within(&first, &last),
                    }
                }
                _ if whole_when || named => Limit::Within(&first, &last),
                _ => continue,
            };
            let anchor = if named { i } else { at.unwrap_or(i) };
            let Some(field) = self.time_field_near(anchor)? else {
                return Err(Refusal::Unfit {
                    what: format!(
                        "no field holds dates to compare with `{}`",
                        self.spans[i].text
                    ),
                    fields: self.field_names(),
                });
            };
            self.add_time(field, limit)?;
            for s in at.into_iter().chain(self.prev(i)).chain([i]) {
                if !matches!(self.spans[s].item, Item::Field { .. })
                    && !matches!(
                        self.key(s),
                        Some(Key::Which | Key::HowMany | Key::Agg(_) | Key::Entity)
                    )
                {
                    self.use_(s);
                }
            }
        }
        Ok(())
    }
}

/// What a date says of a field.
pub(super) enum Limit<'a> {
    From(Op, &'a str),
    /// Both ends in it.
    Within(&'a str, &'a str),
}
