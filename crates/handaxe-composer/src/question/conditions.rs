//! Conditions: text, blanks, numbers, dates, values and flags, each turned into a filter.

use super::dates::When;
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use super::times::Limit;
use crate::profile::{Field, Kind};
use crate::{Op, Scalar};

impl Parse<'_> {
    /// "containing timeout", "message starts with Pay".
    pub(super) fn texts(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| matches!(k, Key::Contains(_))) {
            let Some(Key::Contains(op)) = self.key(i).cloned() else {
                break;
            };
            let mut end = i + 1;
            while end < self.spans.len()
                && (self.filler(end)
                    || [
                        "word",
                        "words",
                        "text",
                        "phrase",
                        "term",
                        "string",
                        "substring",
                    ]
                    .contains(&self.spans[end].text.to_lowercase().as_str()))
            {
                end += 1;
            }
            let start = end;
            if matches!(self.spans.get(end).map(|s| &s.item), Some(Item::Quoted(_))) {
                end += 1;
            } else {
                while end < self.spans.len()
                    && !matches!(
                        self.key(end),
                        Some(
                            Key::By
                                | Key::In
                                | Key::Bucket(_)
                                | Key::And
                                | Key::Format(_)
                                | Key::Sort
                                | Key::Trend
                                | Key::Contains(_)
                                | Key::Cmp(_)
                                | Key::Before
                                | Key::After
                                | Key::Since
                                | Key::Until
                        )
                    )
                    && !(end > start
                        && matches!(self.spans[end].item, Item::Field { exact: true, .. }))
                {
                    end += 1;
                }
            }
            if start == end && self.has(|k| *k == Key::Describe) {
                // "what does this file contain".
                self.use_(i);
                continue;
            }
            if start == end {
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            }
            let text = self.verbatim(start, end);
            let prev = self.prev(i).filter(|p| {
                self.fits(*p)
                    .is_some_and(|f| f.iter().any(|f| self.field(*f).kind == Kind::Text))
            });
            let after = (end < self.spans.len() && matches!(self.key(end), Some(Key::In)))
                .then(|| self.next(end))
                .flatten()
                .filter(|n| {
                    self.fits(*n)
                        .is_some_and(|f| f.iter().any(|f| self.field(*f).is_prose()))
                });
            let field = if let Some(at) = after.or(prev.filter(|p| !self.preceded_by_group(*p))) {
                let field = self.pick_at(at, |f| f.kind == Kind::Text, "text")?;
                self.use_(at);
                field
            } else {
                self.text_field()?
            };
            for s in i..end {
                self.use_(s);
            }
            self.add(field, op, Some(Scalar::Text(text)));
        }
        Ok(())
    }

    /// These spans as the question has them, with what stands between: `corp.example`.
    fn verbatim(&self, start: usize, end: usize) -> String {
        let words: Vec<&str> = self.spans[start..end]
            .iter()
            .map(|s| s.text.as_str())
            .collect();
        let pattern: Vec<String> = words
            .iter()
            .flat_map(|w| w.split(' '))
            .map(regex::escape)
            .collect();
        regex::Regex::new(&pattern.join(r"[^\p{Alphabetic}\p{Nd}]{1,3}"))
            .ok()
            .and_then(|p| p.find(&self.question))
            .map_or_else(|| words.join(" "), |found| found.as_str().to_owned())
    }

    pub(super) fn preceded_by_group(&self, i: usize) -> bool {
        self.prev(i)
            .is_some_and(|p| matches!(self.key(p), Some(Key::By)))
    }

    /// The one field of running text, or the one of text at all.
    pub(super) fn text_field(&self) -> Result<usize, Refusal> {
        let all: Vec<usize> = (0..self.profile.fields.len()).collect();
        let prose: Vec<usize> = all
            .iter()
            .copied()
            .filter(|f| self.field(*f).is_prose())
            .collect();
        let known = [
            "message",
            "text",
            "review",
            "comment",
            "body",
            "content",
            "line",
            "msg",
            "tweet",
            "description",
        ];
        let named: Vec<usize> = all
            .iter()
            .copied()
            .filter(|f| {
                self.field(*f).kind == Kind::Text
                    && known.contains(&self.name(*f).to_lowercase().as_str())
            })
            .collect();
        let fits = match (named.as_slice(), prose.as_slice()) {
            ([_], _) => named,
            (_, []) => all
                .into_iter()
                .filter(|f| self.field(*f).kind == Kind::Text)
                .collect(),
            _ => prose,
        };
        self.pick(&fits, "text", |_| true, "text")
    }

    /// "missing price", "where age is missing".
    pub(super) fn blanks(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| matches!(k, Key::Missing | Key::Present)) {
            let negated = self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not));
            let missing = (self.key(i) == Some(&Key::Missing)) != negated.is_some();
            let without = ["without", "with no", "no"]
                .iter()
                .any(|w| self.spans[i].text.to_lowercase().starts_with(w));
            if without
                && self
                    .next(i)
                    .is_some_and(|n| matches!(self.spans[n].item, Item::Value(_)))
            {
                // "without rain": not that value.
                self.spans[i].item = Item::Key(Key::Not);
                continue;
            }
            let next = self.next(i).filter(|n| self.fits(*n).is_some());
            let before = negated.unwrap_or(i);
            let prev = self
                .prev(before)
                .filter(|p| self.fits(*p).is_some() && !self.preceded_by_group(*p));
            let Some(at) = next.or(prev) else {
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let field = self.pick_at(at, |_| true, "a field")?;
            for s in [Some(i), Some(at), negated].into_iter().flatten() {
                self.use_(s);
            }
            let written: Vec<Scalar> = self
                .field(field)
                .values
                .iter()
                .filter(|(v, _)| {
                    matches!(
                        v.as_str(),
                        "NA" | "N/A" | "n/a" | "NaN" | "nan" | "null" | "NULL"
                    )
                })
                .map(|(v, _)| Scalar::Text(v.clone()))
                .collect();
            if !written.is_empty() && self.field(field).kind.is_number() {
                // `NA` among numbers is missing too.
                let all = std::iter::once(Scalar::Text(String::new()))
                    .chain(written)
                    .collect();
                let op = if missing { Op::AnyOf } else { Op::NoneOf };
                self.add(field, op, Some(Scalar::Many(all)));
                continue;
            }
            self.add(field, if missing { Op::Empty } else { Op::NotEmpty }, None);
        }
        Ok(())
    }

    /// "between 10 and 20", "from 2000 to 2005".
    pub(super) fn ranges(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            let between = self.key(i) == Some(&Key::Between);
            let from =
                self.key(i) == Some(&Key::In) && self.spans[i].text.eq_ignore_ascii_case("from");
            if self.spans[i].used || !(between || from) {
                continue;
            }
            let (Some(a), Some(link)) = (self.next(i), self.next(i).and_then(|a| self.next(a)))
            else {
                continue;
            };
            let linked = matches!(self.key(link), Some(Key::And | Key::Until))
                || (self.key(link) == Some(&Key::In)
                    && self.spans[link].text.eq_ignore_ascii_case("to"));
            let Some(b) = self.next(link).filter(|_| linked) else {
                continue;
            };
            let years = (self.when(a), self.when(b));
            if between && self.has(|k| matches!(k, Key::Compare(_))) {
                // "the difference between 1952 and 1962": two sides, no range.
                if let (Some(left), Some(right)) = years
                    && let Some(field) = self.time_field_near(i)?
                {
                    for side in [left, right] {
                        if let When::Range { first, last } = side {
                            self.add_time(field, Limit::Within(&first, &last))?;
                        }
                    }
                    for s in [i, a, link, b] {
                        self.use_(s);
                    }
                }
                continue;
            }
            let prev = self
                .prev(i)
                .filter(|p| self.fits(*p).is_some() && !self.preceded_by_group(*p));
            let numeric = prev.filter(|p| {
                self.fits(*p).is_some_and(|f| {
                    f.iter()
                        .any(|f| self.field(*f).kind.is_number() && !self.is_year(*f))
                })
            });
            if let ((Some(When::Range { first, .. }), Some(When::Range { last, .. })), None) =
                (&years, numeric)
                && let Some(field) = self.time_field_near(i)?
            {
                self.add_time(field, Limit::Within(first, last))?;
                for s in [i, a, link, b] {
                    self.use_(s);
                }
                continue;
            }
            let (Item::Number(low), Item::Number(high)) =
                (self.spans[a].item.clone(), self.spans[b].item.clone())
            else {
                continue;
            };
            let field = self.compared_field(i, b)?;
            for s in [i, a, link, b] {
                self.use_(s);
            }
            self.add(field, Op::Ge, Some(scalar(low)));
            self.add(field, Op::Le, Some(scalar(high)));
        }
        Ok(())
    }

    /// The number field that a comparison at `sign` with its number at `number` is about.
    fn compared_field(&mut self, sign: usize, number: usize) -> Result<usize, Refusal> {
        let numeric = |f: &Field| f.kind.is_number();
        let any = |p: &Self, i: usize| {
            p.fits(i)
                .is_some_and(|f| f.iter().any(|f| numeric(p.field(*f))))
        };
        let mut prev = self.prev(sign);
        let next = self.next(number).filter(|n| any(self, *n));
        if let Some(p) =
            prev.filter(|p| next.is_none() && *p > 0 && self.key(*p) == Some(&Key::Entity))
        {
            // "price records below 20".
            prev = Some(p - 1);
        }
        let prev = prev.filter(|p| any(self, *p));
        if let (Some(p), Some(n)) = (prev, next)
            && self.fits(p) == self.fits(n)
        {
            // "weigh more than 4000 lbs".
            self.use_(n);
        }
        if let Some(at) = prev.or(next) {
            let field = self.pick_at(at, numeric, "a number")?;
            self.use_(at);
            return Ok(field);
        }
        let said = self.spans[number].text.clone();
        let measures: Vec<usize> = (0..self.profile.fields.len())
            .filter(|f| numeric(self.field(*f)) && !self.is_year(*f) && !self.is_id(*f))
            .collect();
        match measures.as_slice() {
            [one] => Ok(*one),
            [] => Err(Refusal::Unfit {
                what: format!("no field holds numbers to compare with {said}"),
                fields: self.field_names(),
            }),
            several => Err(Refusal::Ambiguous {
                what: format!("which field should be compared with {said}"),
                options: several
                    .iter()
                    .take(6)
                    .map(|f| format!("{} {} {said}", self.name(*f), self.spans[sign].text))
                    .collect(),
            }),
        }
    }

    pub(super) fn comparisons(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| matches!(k, Key::Cmp(_))) {
            let Some(Key::Cmp(op)) = self.key(i).cloned() else {
                break;
            };
            let Some(n) = self.next(i) else {
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let prev = self.prev(i).filter(|p| self.fits(*p).is_some());
            let about_time = prev.filter(|p| {
                self.fits(*p)
                    .is_some_and(|f| f.iter().any(|f| self.field(*f).kind.is_time()))
            });
            if let (Some(p), Some(When::Range { first, last })) = (about_time, self.when(n)) {
                let field = self.pick_at(p, |f| f.kind.is_time(), "a date")?;
                let limit = match op {
                    Op::Gt => Limit::From(Op::Gt, &last),
                    Op::Ge => Limit::From(Op::Ge, &first),
                    Op::Lt => Limit::From(Op::Lt, &first),
                    Op::Le => Limit::From(Op::Le, &last),
                    Op::Eq => Limit::Within(&first, &last),
                    _ => return self.too_far("`not` with a date"),
                };
                self.add_time(field, limit)?;
                for s in [p, i, n] {
                    self.use_(s);
                }
                continue;
            }
            match self.spans[n].item.clone() {
                Item::Number(number) => {
                    let negated = self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not));
                    if negated.is_some() {
                        return self.too_far(
                            "`not` with a comparison (turn it round: `at most`, `at least`)",
                        );
                    }
                    let field = self.compared_field(i, n)?;
                    self.add(field, op, Some(scalar(number)));
                }
                Item::Quoted(text) if prev.is_some() && matches!(op, Op::Eq | Op::Ne) => {
                    let p = prev.unwrap_or(i);
                    let field = self.pick_at(p, |_| true, "a field")?;
                    self.use_(p);
                    self.add(field, op, Some(Scalar::Text(text)));
                }
                // `region = Europe`: the value's own rule reads it.
                Item::Value(_) if matches!(op, Op::Eq | Op::Ne) && prev.is_some() => {
                    let p = prev.unwrap_or(i);
                    let field = self.value_in(n, p)?;
                    self.use_(p);
                    self.add_value(field.0, op, &field.1);
                }
                // `smoker = Yes`
                _ if matches!(op, Op::Eq | Op::Ne)
                    && let Some((field, value)) = prev.and_then(|p| self.said_of(p, n)) =>
                {
                    if let Some(p) = prev {
                        self.use_(p);
                    }
                    self.add(field, op, Some(Scalar::Text(value)));
                }
                _ => {
                    return Err(self.not_understood(vec![
                        self.spans[i].text.clone(),
                        self.spans[n].text.clone(),
                    ]));
                }
            }
            self.use_(i);
            self.use_(n);
        }
        Ok(())
    }

    /// The text at `v` as a value of the one yes-or-no field that `f` is.
    fn said_of(&self, f: usize, v: usize) -> Option<(usize, String)> {
        let fits = self.fits(f)?;
        let [field] = fits.as_slice() else {
            return None;
        };
        let known = self.field(*field);
        let said = |(value, _): &&(String, u64)| value.eq_ignore_ascii_case(&self.spans[v].text);
        let value = known.values.iter().find(said)?.0.clone();
        (known.kind == Kind::Boolean).then_some((*field, value))
    }

    /// The value at `v` in the field at `f`.
    fn value_in(&self, v: usize, f: usize) -> Result<(usize, String), Refusal> {
        let fields = self.fits(f).unwrap_or_default();
        let found: Vec<(usize, String)> = match &self.spans[v].item {
            Item::Value(fits) => fits
                .iter()
                .filter(|(i, _)| fields.contains(i))
                .cloned()
                .collect(),
            _ => Vec::new(),
        };
        match found.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(self.not_understood(vec![format!(
                "{} {}",
                self.spans[f].text, self.spans[v].text
            )])),
        }
    }

    /// "year is 1982 or 1967": of the field that the first was of.
    fn or_number(&mut self, i: usize, n: f64) {
        let first = self
            .prev(i)
            .filter(|p| self.key(*p) == Some(&Key::Or))
            .and_then(|p| self.prev(p))
            .filter(|p| self.spans[*p].used && matches!(self.spans[*p].item, Item::Number(_)));
        let field = self.filters.last().filter(|f| {
            f.op == Op::Eq && matches!(f.value, Some(Scalar::Int(_) | Scalar::Float(_)))
        });
        let field = field.map(|f| f.field.clone());
        let known = field.and_then(|f| self.profile.fields.iter().position(|k| k.name == f));
        if let (Some(_), Some(field)) = (first, known) {
            self.use_(i);
            self.add(field, Op::Eq, Some(scalar(n)));
        }
    }

    /// "status 404", "8 cylinders".
    pub(super) fn numbers(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            let Item::Number(n) = self.spans[i].item else {
                continue;
            };
            if self.spans[i].used {
                continue;
            }
            let numeric = |p: &Self, j: usize| {
                p.fits(j)
                    .is_some_and(|f| f.iter().any(|f| p.field(*f).kind.is_number()))
            };
            let prev = self
                .prev(i)
                .filter(|p| numeric(self, *p) && !self.preceded_by_group(*p));
            let next = self.next(i).filter(|j| numeric(self, *j));
            let Some(at) = prev.or(next) else {
                self.or_number(i, n);
                continue;
            };
            let field = self.pick_at(at, |f| f.kind.is_number(), "a number")?;
            let negated = self
                .prev(at.min(i))
                .filter(|p| self.key(*p) == Some(&Key::Not));
            let inside = self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not));
            let negation = negated.or(inside);
            for s in [Some(at), Some(i), negation].into_iter().flatten() {
                self.use_(s);
            }
            self.add(
                field,
                if negation.is_some() { Op::Ne } else { Op::Eq },
                Some(scalar(n)),
            );
        }
        Ok(())
    }
}

pub(super) fn scalar(n: f64) -> Scalar {
    if n.fract() == 0.0 && n.abs() < 9e15 {
        Scalar::Int(n as i64)
    } else {
        Scalar::Float(n)
    }
}
