//! Spans into parts of a chain: limits, conditions, groups, measures. What is read is marked used;
//! what is left at the end is refused.

use super::dates::{When, of_month, of_year};
use super::lexicon::Key;
use super::refusal::Refusal;
use super::spans::{Item, Span, spans};
use super::tokens::stems;
use crate::profile::{Field, Kind, Profile};
use crate::{Bucket, Filter, Format, Func, Op, Order, Scalar};

/// Fields shown in a refusal.
const SHOWN_FIELDS: usize = 30;

pub(super) struct Parse<'a> {
    pub(super) profile: &'a Profile,
    pub(super) spans: Vec<Span>,
    pub(super) filters: Vec<Filter>,
    pub(super) groups: Vec<usize>,
    pub(super) bucket: Option<Bucket>,
    pub(super) aggs: Vec<(Func, usize)>,
    pub(super) sort: Option<(usize, Order)>,
    /// "top 5 … by X".
    pub(super) rank: Option<usize>,
    pub(super) limit: Option<u32>,
    pub(super) top: Option<Order>,
}

impl<'a> Parse<'a> {
    pub(super) fn new(question: &str, profile: &'a Profile) -> Result<Self, Refusal> {
        let mut parse = Self {
            profile,
            spans: spans(question, profile),
            filters: Vec::new(),
            groups: Vec::new(),
            bucket: None,
            aggs: Vec::new(),
            sort: None,
            rank: None,
            limit: None,
            top: None,
        };
        parse.beyond()?;
        parse.units();
        parse.limits();
        parse.texts()?;
        parse.blanks()?;
        parse.ranges()?;
        parse.comparisons()?;
        parse.times()?;
        parse.numbers()?;
        parse.values()?;
        parse.flags();
        parse.contradictions()?;
        parse.sorts()?;
        parse.group_by()?;
        parse.measures()?;
        Ok(parse)
    }

    // Looking around.

    pub(super) fn key(&self, i: usize) -> Option<&Key> {
        match &self.spans.get(i)?.item {
            Item::Key(key) => Some(key),
            _ => None,
        }
    }

    fn filler(&self, i: usize) -> bool {
        matches!(self.key(i), Some(Key::Filler))
    }

    /// The next span that is not filler.
    pub(super) fn next(&self, i: usize) -> Option<usize> {
        (i + 1..self.spans.len()).find(|j| !self.filler(*j))
    }

    pub(super) fn prev(&self, i: usize) -> Option<usize> {
        (0..i).rev().find(|j| !self.filler(*j))
    }

    /// The fields that a span may be, where nothing has used it.
    pub(super) fn fits(&self, i: usize) -> Option<Vec<usize>> {
        match self.spans.get(i) {
            Some(Span { item: Item::Field { fits, .. }, used: false, .. }) => Some(fits.clone()),
            _ => None,
        }
    }

    pub(super) fn field(&self, i: usize) -> &Field {
        &self.profile.fields[i]
    }

    pub(super) fn name(&self, i: usize) -> String {
        self.profile.fields[i].name.clone()
    }

    pub(super) fn use_(&mut self, i: usize) {
        self.spans[i].used = true;
    }

    /// First unused span with such a key.
    pub(super) fn find(&self, wanted: impl Fn(&Key) -> bool) -> Option<usize> {
        (0..self.spans.len()).find(|i| !self.spans[*i].used && self.key(*i).is_some_and(&wanted))
    }

    pub(super) fn has(&self, wanted: impl Fn(&Key) -> bool) -> bool {
        self.find(wanted).is_some()
    }

    // Refusing.

    pub(super) fn field_names(&self) -> Vec<String> {
        self.profile.fields.iter().take(SHOWN_FIELDS).map(|f| f.name.clone()).collect()
    }

    pub(super) fn too_far<T>(&self, what: &str) -> Result<T, Refusal> {
        Err(Refusal::Beyond {
            what: what.to_owned(),
            fields: self.field_names(),
        })
    }

    /// The one of `fits` that is wanted.
    pub(super) fn pick(&self, fits: &[usize], said: &str, wanted: impl Fn(&Field) -> bool, need: &str) -> Result<usize, Refusal> {
        let good: Vec<usize> = fits.iter().copied().filter(|f| wanted(self.field(*f))).collect();
        match good.as_slice() {
            [one] => Ok(*one),
            [] => {
                let names: Vec<String> = fits.iter().map(|f| format!("`{}` ({})", self.name(*f), self.field(*f).kind.as_str())).collect();
                Err(Refusal::Unfit {
                    what: format!("{} is not {need}", names.join(", ")),
                    fields: self.field_names(),
                })
            }
            several => Err(Refusal::Ambiguous {
                what: format!("`{said}` may be {}", several.iter().map(|f| format!("`{}`", self.name(*f))).collect::<Vec<_>>().join(" or ")),
                options: several.iter().map(|f| self.name(*f)).collect(),
            }),
        }
    }

    pub(super) fn pick_at(&self, i: usize, wanted: impl Fn(&Field) -> bool, need: &str) -> Result<usize, Refusal> {
        let fits = self.fits(i).unwrap_or_default();
        self.pick(&fits, &self.spans[i].text, wanted, need)
    }

    // Reading.

    fn beyond(&self) -> Result<(), Refusal> {
        for (i, span) in self.spans.iter().enumerate() {
            if let Item::Key(Key::Beyond(what)) = span.item {
                // "per second" and its like are not about time or order of places here.
                let _ = i;
                return self.too_far(&format!("`{}` asks for {what}", span.text));
            }
        }
        Ok(())
    }

    /// "rainy days": where there is one record a day, days are records.
    fn units(&mut self) {
        let Ok(Some(time)) = self.time_field() else {
            return;
        };
        let field = self.field(time);
        let days = field.days.as_ref().and_then(|(a, b)| {
            let day = |t: &str| t.parse::<jiff::civil::Date>().ok();
            Some(f64::from((day(b)? - day(a)?).get_days()))
        });
        let Some(gap) = days.filter(|_| field.is_unique()).map(|d| d / (field.filled - 1) as f64) else {
            return;
        };
        let unit = match gap {
            0.9..1.5 => Bucket::Day,
            27.0..32.0 => Bucket::Month,
            364.0..367.0 => Bucket::Year,
            _ => return,
        };
        for i in 0..self.spans.len() {
            let by = self.prev(i).is_some_and(|p| matches!(self.key(p), Some(Key::By | Key::Which)));
            let plural = self.spans[i].text.to_lowercase().ends_with('s');
            if self.key(i) == Some(&Key::Bucket(unit)) && plural && !by {
                self.spans[i].item = Item::Key(Key::Entity);
            }
        }
    }

    /// "top 5", "5 most common", "list 10 …".
    fn limits(&mut self) {
        for i in 0..self.spans.len() {
            if let Some(Key::Top(order)) = self.key(i) {
                let order = *order;
                self.top = Some(order);
                self.use_(i);
                if let Some(n) = self.next(i)
                    && let Some(limit) = self.whole_number(n)
                {
                    self.limit = Some(limit);
                    self.use_(n);
                } else {
                    let plural = self.next(i).is_some_and(|n| {
                        let text = &self.spans[n].text;
                        stems(text).concat() != text.to_lowercase()
                    });
                    self.limit = Some(if plural { 10 } else { 1 });
                }
                continue;
            }
            let Some(limit) = self.whole_number(i) else {
                continue;
            };
            let superlative = matches!(
                self.next(i).and_then(|n| self.key(n)),
                Some(Key::Ext(_) | Key::Most(_) | Key::Common(_) | Key::Adjective(_))
            );
            let counted = self.next(i).is_some_and(|n| self.fits(n).is_some_and(|f| f.iter().all(|f| self.field(*f).kind == Kind::Text)))
                && (i..self.spans.len()).any(|j| matches!(self.key(j), Some(Key::Ext(_) | Key::Most(_))));
            let listed = counted || self.prev(i).is_some_and(|p| matches!(self.key(p), Some(Key::List)))
                && self.next(i).is_some_and(|n| {
                    matches!(self.key(n), Some(Key::Entity)) || self.fits(n).is_some_and(|f| f.iter().all(|f| self.field(*f).kind == Kind::Text))
                });
            if (superlative || listed) && !self.spans[i].used {
                self.limit = Some(limit);
                self.use_(i);
            }
        }
    }

    fn whole_number(&self, i: usize) -> Option<u32> {
        match self.spans.get(i)?.item {
            Item::Number(n) if n >= 1.0 && n <= 100_000.0 && n.fract() == 0.0 => Some(n as u32),
            _ => None,
        }
    }

    /// "containing timeout", "message starts with Pay".
    fn texts(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| matches!(k, Key::Contains(_))) {
            let Some(Key::Contains(op)) = self.key(i).cloned() else {
                break;
            };
            let mut end = i + 1;
            while end < self.spans.len() && (self.filler(end) || ["word", "words", "text", "phrase", "term", "string", "substring"].contains(&self.spans[end].text.to_lowercase().as_str())) {
                end += 1;
            }
            let start = end;
            if matches!(self.spans.get(end).map(|s| &s.item), Some(Item::Quoted(_))) {
                end += 1;
            } else {
                while end < self.spans.len()
                    && !matches!(self.key(end), Some(Key::By | Key::In | Key::Bucket(_) | Key::And | Key::Format(_) | Key::Sort | Key::Trend | Key::Contains(_) | Key::Cmp(_) | Key::Before | Key::After | Key::Since | Key::Until))
                    && !(end > start && matches!(self.spans[end].item, Item::Field { exact: true, .. }))
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
            let text = self.spans[start..end].iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ");
            let prev = self.prev(i).filter(|p| self.fits(*p).is_some_and(|f| f.iter().any(|f| self.field(*f).kind == Kind::Text)));
            let after = (end < self.spans.len() && matches!(self.key(end), Some(Key::In)))
                .then(|| self.next(end))
                .flatten()
                .filter(|n| self.fits(*n).is_some_and(|f| f.iter().any(|f| self.field(*f).is_prose())));
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

    fn preceded_by_group(&self, i: usize) -> bool {
        self.prev(i).is_some_and(|p| matches!(self.key(p), Some(Key::By)))
    }

    /// The one field of running text, or the one of text at all.
    pub(super) fn text_field(&self) -> Result<usize, Refusal> {
        let all: Vec<usize> = (0..self.profile.fields.len()).collect();
        let prose: Vec<usize> = all.iter().copied().filter(|f| self.field(*f).is_prose()).collect();
        let known = ["message", "text", "review", "comment", "body", "content", "line", "msg", "tweet", "description"];
        let named: Vec<usize> = all.iter().copied().filter(|f| self.field(*f).kind == Kind::Text && known.contains(&self.name(*f).to_lowercase().as_str())).collect();
        let fits = match (named.as_slice(), prose.as_slice()) {
            ([_], _) => named,
            (_, []) => all.into_iter().filter(|f| self.field(*f).kind == Kind::Text).collect(),
            _ => prose,
        };
        self.pick(&fits, "text", |_| true, "text")
    }

    /// "missing price", "where age is missing".
    fn blanks(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| matches!(k, Key::Missing | Key::Present)) {
            let negated = self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not));
            let missing = (self.key(i) == Some(&Key::Missing)) != negated.is_some();
            let without = ["without", "with no", "no"].iter().any(|w| self.spans[i].text.to_lowercase().starts_with(w));
            if without && self.next(i).is_some_and(|n| matches!(self.spans[n].item, Item::Value(_))) {
                // "without rain": not that value.
                self.spans[i].item = Item::Key(Key::Not);
                continue;
            }
            let next = self.next(i).filter(|n| self.fits(*n).is_some());
            let before = negated.unwrap_or(i);
            let prev = self.prev(before).filter(|p| self.fits(*p).is_some() && !self.preceded_by_group(*p));
            let Some(at) = next.or(prev) else {
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let field = self.pick_at(at, |_| true, "a field")?;
            for s in [Some(i), Some(at), negated].into_iter().flatten() {
                self.use_(s);
            }
            self.add(field, if missing { Op::Empty } else { Op::NotEmpty }, None);
        }
        Ok(())
    }

    /// "between 10 and 20", "from 2000 to 2005".
    fn ranges(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            let between = self.key(i) == Some(&Key::Between);
            let from = self.key(i) == Some(&Key::In) && self.spans[i].text.eq_ignore_ascii_case("from");
            if self.spans[i].used || !(between || from) {
                continue;
            }
            let (Some(a), Some(link)) = (self.next(i), self.next(i).and_then(|a| self.next(a))) else {
                continue;
            };
            let linked = matches!(self.key(link), Some(Key::And | Key::Until))
                || (self.key(link) == Some(&Key::In) && self.spans[link].text.eq_ignore_ascii_case("to"));
            let Some(b) = self.next(link).filter(|_| linked) else {
                continue;
            };
            let years = (self.when(a), self.when(b));
            let prev = self.prev(i).filter(|p| self.fits(*p).is_some() && !self.preceded_by_group(*p));
            let numeric = prev.filter(|p| self.fits(*p).is_some_and(|f| f.iter().any(|f| self.field(*f).kind.is_number() && !self.is_year(*f))));
            if let ((Some(When::Range { first, .. }), Some(When::Range { last, .. })), None) = (&years, numeric)
                && let Some(field) = self.time_field_near(i)?
            {
                self.add_time(field, Limit::Within(first, last))?;
                for s in [i, a, link, b] {
                    self.use_(s);
                }
                continue;
            }
            let (Item::Number(low), Item::Number(high)) = (self.spans[a].item.clone(), self.spans[b].item.clone()) else {
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
        let any = |p: &Self, i: usize| p.fits(i).is_some_and(|f| f.iter().any(|f| numeric(p.field(*f))));
        let mut prev = self.prev(sign);
        if let Some(p) = prev.filter(|p| self.key(*p) == Some(&Key::Entity)) {
            // "price records below 20".
            prev = self.prev(p);
        }
        let prev = prev.filter(|p| any(self, *p));
        let next = self.next(number).filter(|n| any(self, *n));
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
        let measures: Vec<usize> = (0..self.profile.fields.len()).filter(|f| numeric(self.field(*f)) && !self.is_year(*f) && !self.is_id(*f)).collect();
        match measures.as_slice() {
            [one] => Ok(*one),
            [] => Err(Refusal::Unfit {
                what: format!("no field holds numbers to compare with {said}"),
                fields: self.field_names(),
            }),
            several => Err(Refusal::Ambiguous {
                what: format!("which field should be compared with {said}"),
                options: several.iter().take(6).map(|f| format!("{} {} {said}", self.name(*f), self.spans[sign].text)).collect(),
            }),
        }
    }

    fn comparisons(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| matches!(k, Key::Cmp(_))) {
            let Some(Key::Cmp(op)) = self.key(i).cloned() else {
                break;
            };
            let Some(n) = self.next(i) else {
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let prev = self.prev(i).filter(|p| self.fits(*p).is_some());
            let about_time = prev.filter(|p| self.fits(*p).is_some_and(|f| f.iter().any(|f| self.field(*f).kind.is_time())));
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
                        return self.too_far("`not` with a comparison (turn it round: `at most`, `at least`)");
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
                _ => return Err(self.not_understood(vec![self.spans[i].text.clone(), self.spans[n].text.clone()])),
            }
            self.use_(i);
            self.use_(n);
        }
        Ok(())
    }

    /// The value at `v` in the field at `f`.
    fn value_in(&self, v: usize, f: usize) -> Result<(usize, String), Refusal> {
        let fields = self.fits(f).unwrap_or_default();
        let found: Vec<(usize, String)> = match &self.spans[v].item {
            Item::Value(fits) => fits.iter().filter(|(i, _)| fields.contains(i)).cloned().collect(),
            _ => Vec::new(),
        };
        match found.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(self.not_understood(vec![format!("{} {}", self.spans[f].text, self.spans[v].text)])),
        }
    }

    /// The range of time that a span names; a four-digit number is a year.
    fn when(&self, i: usize) -> Option<When> {
        match &self.spans.get(i)?.item {
            Item::When(When::Month(m)) => {
                // A month alone is clear where the data knows one year only.
                let years: Vec<&str> = self.profile.fields.iter().filter_map(|f| f.days.as_ref()).flat_map(|(a, b)| [a.get(..4), b.get(..4)]).flatten().collect();
                let first = years.first()?;
                let only = self.profile.exact && years.iter().all(|y| y == first);
                only.then(|| first.parse().ok().map(|y| of_month(y, *m))).flatten()
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
        words.iter().any(|w| matches!(w.as_str(), "id" | "lat" | "lon" | "zip" | "code" | "index"))
    }

    /// The field of time: the one named just before, else the only one there is.
    fn time_field_near(&mut self, i: usize) -> Result<Option<usize>, Refusal> {
        let timely = |p: &Self, f: usize| p.field(f).kind.is_time() || p.is_year(f);
        if let Some(p) = self.prev(i).filter(|p| self.fits(*p).is_some_and(|f| f.iter().any(|f| timely(self, *f))) && !self.preceded_by_group(*p)) {
            let fits: Vec<usize> = self.fits(p).unwrap_or_default().into_iter().filter(|f| timely(self, *f)).collect();
            // "on which date was … in 2012": the field asked for is not the field compared.
            let asked = self.prev(p).is_some_and(|q| matches!(self.key(q), Some(Key::Which | Key::List | Key::HowMany | Key::Unique)));
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
        let times: Vec<usize> = all.clone().filter(|f| self.field(*f).kind.is_time()).collect();
        let years: Vec<usize> = all.filter(|f| self.is_year(*f)).collect();
        let fits = if times.is_empty() { years } else { times };
        if fits.is_empty() {
            return Ok(None);
        }
        self.pick(&fits, "time", |_| true, "a date").map(Some)
    }

    fn add_time(&mut self, field: usize, limit: Limit<'_>) -> Result<(), Refusal> {
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
    fn times(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            if self.spans[i].used || !matches!(self.spans[i].item, Item::When(_) | Item::Number(_)) {
                continue;
            }
            // "in the year 1970", "date is 2021-05-01".
            let mut at = self.prev(i);
            if let Some(p) = at.filter(|p| matches!(self.key(*p), Some(Key::Bucket(Bucket::Year | Bucket::Month | Bucket::Day)))) {
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
            let named = at.is_some_and(|p| self.fits(p).is_some_and(|f| f.iter().any(|f| self.field(*f).kind.is_time() || self.is_year(*f))));
            let whole_when = matches!(self.spans[i].item, Item::When(_));
            let follows_unit = self.next(i).is_some_and(|n| self.fits(n).is_some_and(|f| f.iter().any(|f| self.field(*f).kind.is_number() && !self.is_year(*f)))) && !whole_when && key != Some(Key::Before) && self.next(i) == Some(i + 1);
            let limit = match key {
                Some(Key::Before) => Limit::From(Op::Lt, &first),
                Some(Key::After) => Limit::From(Op::Gt, &last),
                Some(Key::Since) => Limit::From(Op::Ge, &first),
                Some(Key::Until) => Limit::From(Op::Le, &last),
                Some(Key::In) if !follows_unit => {
                    let word = at.map(|p| self.spans[p].text.to_lowercase());
                    match word.as_deref() {
                        Some("from" | "to") if !whole_when && word.as_deref() == Some("to") => continue,
                        Some("to") => return Err(self.not_understood(vec![format!("to {}", self.spans[i].text)])),
                        _ => Limit::Within(&first, &last),
                    }
                }
                _ if whole_when || named => Limit::Within(&first, &last),
                _ => continue,
            };
            let anchor = if named { i } else { at.unwrap_or(i) };
            let Some(field) = self.time_field_near(anchor)? else {
                return Err(Refusal::Unfit {
                    what: format!("no field holds dates to compare with `{}`", self.spans[i].text),
                    fields: self.field_names(),
                });
            };
            self.add_time(field, limit)?;
            for s in at.into_iter().chain(self.prev(i)).chain([i]) {
                if !matches!(self.spans[s].item, Item::Field { .. }) && !matches!(self.key(s), Some(Key::Which | Key::HowMany | Key::Agg(_) | Key::Entity)) {
                    self.use_(s);
                }
            }
        }
        Ok(())
    }

    /// "status 404", "8 cylinders".
    fn numbers(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            let Item::Number(n) = self.spans[i].item else {
                continue;
            };
            if self.spans[i].used {
                continue;
            }
            let numeric = |p: &Self, j: usize| p.fits(j).is_some_and(|f| f.iter().any(|f| p.field(*f).kind.is_number()));
            let prev = self.prev(i).filter(|p| numeric(self, *p) && !self.preceded_by_group(*p));
            let next = self.next(i).filter(|j| numeric(self, *j));
            let Some(at) = prev.or(next) else {
                continue;
            };
            let field = self.pick_at(at, |f| f.kind.is_number(), "a number")?;
            let negated = self.prev(at.min(i)).filter(|p| self.key(*p) == Some(&Key::Not));
            let inside = self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not));
            let negation = negated.or(inside);
            for s in [Some(at), Some(i), negation].into_iter().flatten() {
                self.use_(s);
            }
            self.add(field, if negation.is_some() { Op::Ne } else { Op::Eq }, Some(scalar(n)));
        }
        Ok(())
    }

    /// "in Europe", "errors", "not Japan".
    fn values(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            if self.spans[i].used {
                continue;
            }
            // "international in the name".
            let inside = self.next(i).filter(|n| self.key(*n) == Some(&Key::In) && self.spans[*n].text.eq_ignore_ascii_case("in"));
            let named = inside.and_then(|n| self.next(n)).filter(|f| {
                self.fits(*f).is_some_and(|f| f.iter().all(|f| self.field(*f).kind == Kind::Text && !self.field(*f).is_category()))
            });
            let sought = matches!(self.spans[i].item, Item::Value(_) | Item::Part(..) | Item::Unknown | Item::Quoted(_));
            if let (Some(at), Some(link), true) = (named, inside, sought) {
                let field = self.pick_at(at, |_| true, "text")?;
                let text = self.spans[i].text.clone();
                for s in [i, link, at] {
                    self.use_(s);
                }
                self.add(field, Op::Contains, Some(Scalar::Text(text)));
                continue;
            }
            let (fits, part) = match self.spans[i].item.clone() {
                Item::Value(fits) => (fits, None),
                Item::Part(fields, word) => (fields.into_iter().map(|f| (f, word.clone())).collect(), Some(word)),
                // Plain text has no level field, only the word.
                _ => continue,
            };
            let named = |p: &Self, j: Option<usize>| {
                j.filter(|j| p.fits(*j).is_some_and(|f| f.iter().any(|f| fits.iter().any(|(v, _)| v == f))) && !p.preceded_by_group(*j) && !p.prev(*j).is_some_and(|q| matches!(p.key(q), Some(Key::HowMany | Key::Which | Key::Unique | Key::Agg(_)))))
            };
            let field_at = named(self, self.prev(i)).or_else(|| named(self, self.next(i)));
            let chosen: Vec<(usize, String)> = match field_at {
                Some(at) => {
                    let fields = self.fits(at).unwrap_or_default();
                    fits.iter().filter(|(f, _)| fields.contains(f)).cloned().collect()
                }
                None => fits.clone(),
            };
            let mut before = self.prev(i);
            if field_at.is_some() && field_at == before {
                before = before.and_then(|b| self.prev(b));
            }
            let preposition = before.filter(|p| self.key(*p) == Some(&Key::In));
            let negation = before.into_iter().chain(preposition.and_then(|p| self.prev(p))).find(|p| self.key(*p) == Some(&Key::Not))
                .or_else(|| self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not)));
            let (field, value) = match chosen.as_slice() {
                [one] => one.clone(),
                several => {
                    return Err(Refusal::Ambiguous {
                        what: format!("`{}` is found in more than one place", self.spans[i].text),
                        options: several.iter().take(5).map(|(f, v)| if part.is_some() { format!("{} containing \"{v}\"", self.name(*f)) } else { format!("{} is \"{v}\"", self.name(*f)) }).collect(),
                    });
                }
            };
            if let Some(word) = part {
                if preposition.is_some() || negation.is_some() {
                    continue;
                }
                self.use_(i);
                self.add(field, Op::Contains, Some(Scalar::Text(word)));
                continue;
            }
            for s in [Some(i), field_at, negation].into_iter().flatten() {
                self.use_(s);
            }
            self.add_value(field, if negation.is_some() { Op::Ne } else { Op::Eq }, &value);
        }
        Ok(())
    }

    /// Yes-or-no fields said as such: "returned orders", "not returned".
    fn flags(&mut self) {
        for i in 0..self.spans.len() {
            let Some([field]) = self.fits(i).as_deref().map(<[usize]>::to_vec).and_then(|f| <[usize; 1]>::try_from(f).ok()) else {
                continue;
            };
            if self.field(field).kind != Kind::Boolean {
                continue;
            }
            let prev = self.prev(i);
            let asked = prev.is_some_and(|p| matches!(self.key(p), Some(Key::By | Key::Which | Key::Frequency | Key::Unique | Key::List | Key::Sort | Key::Agg(_) | Key::Common(_))));
            if asked {
                continue;
            }
            let negation = prev.filter(|p| self.key(*p) == Some(&Key::Not));
            let said = self.next(i).filter(|n| ["yes", "true", "no", "false"].contains(&self.spans[*n].text.to_lowercase().as_str()));
            let said_no = said.is_some_and(|n| ["no", "false"].contains(&self.spans[n].text.to_lowercase().as_str()));
            let yes = negation.is_some() == said_no;
            let wanted: &[&str] = if yes { &["yes", "true"] } else { &["no", "false"] };
            let Some(value) = self.field(field).values.iter().map(|(v, _)| v.clone()).find(|v| wanted.contains(&v.to_lowercase().as_str())) else {
                continue;
            };
            for s in [Some(i), negation, said].into_iter().flatten() {
                self.use_(s);
            }
            self.add_value(field, Op::Eq, &value);
        }
    }

    fn contradictions(&self) -> Result<(), Refusal> {
        let equal = |f: &&Filter| f.op == Op::Eq;
        for filter in self.filters.iter().filter(equal) {
            let same = self.filters.iter().filter(equal).filter(|f| f.field == filter.field).count();
            if same > 1 {
                return self.too_far(&format!("`{}` cannot be two things at once; either/or conditions are not among its steps (ask `by {}`)", filter.field, filter.field));
            }
        }
        Ok(())
    }

    fn add(&mut self, field: usize, op: Op, value: Option<Scalar>) {
        let filter = Filter {
            field: self.name(field),
            op,
            value,
        };
        if !self.filters.contains(&filter) {
            self.filters.push(filter);
        }
    }

    fn add_value(&mut self, field: usize, op: Op, value: &str) {
        let json = matches!(self.profile.format, Format::Json | Format::Jsonl);
        let scalar = match value {
            "true" if json => Scalar::Bool(true),
            "false" if json => Scalar::Bool(false),
            text => Scalar::Text(text.to_owned()),
        };
        self.add(field, op, Some(scalar));
    }

    fn aggs_said(&self) -> Vec<usize> {
        (0..self.spans.len()).filter(|i| matches!(self.key(*i), Some(Key::Agg(_)))).collect()
    }

    fn sorts(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| *k == Key::Sort) {
            let by = self.next(i).filter(|n| self.key(*n) == Some(&Key::By));
            let at = by.map_or_else(|| self.next(i), |b| self.next(b));
            if let Some(count) = at.filter(|a| self.key(*a) == Some(&Key::HowMany))
                && let Some(group) = self.prev(i).filter(|g| self.fits(*g).is_some())
            {
                // "states sorted by number of airports".
                let field = self.pick_at(group, |f| f.kind != Kind::Number, "a category")?;
                self.groups.push(field);
                for s in [Some(i), by, Some(group)].into_iter().flatten() {
                    self.use_(s);
                }
                let _ = count;
                continue;
            }
            if at.is_none_or(|a| matches!(self.key(a), Some(Key::Direction(_)))) && !self.aggs_said().is_empty() {
                // "sorted descending": by what is measured.
                self.use_(i);
                continue;
            }
            let Some(at) = at.filter(|a| self.fits(*a).is_some()) else {
                // "in order": nothing to sort by.
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let field = self.pick_at(at, |_| true, "a field")?;
            let direction = self.find(|k| matches!(k, Key::Direction(_)));
            let order = match direction.and_then(|d| self.key(d)) {
                Some(Key::Direction(order)) => *order,
                _ if self.top == Some(Order::Descending) && self.field(field).kind.is_number() => Order::Descending,
                _ => Order::Ascending,
            };
            self.sort = Some((field, order));
            for s in [Some(i), by, Some(at), direction].into_iter().flatten() {
                self.use_(s);
            }
        }
        Ok(())
    }

    fn group_by(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            if self.spans[i].used || self.key(i) != Some(&Key::By) {
                // "monthly average", "average price over the months".
                continue;
            }
            let mut at = self.next(i);
            let mut took = false;
            while let Some(a) = at {
                if let Some(Key::Bucket(bucket)) = self.key(a).cloned() {
                    self.bucket = Some(bucket);
                    self.use_(a);
                } else if self.fits(a).is_some() {
                    if !self.group_field(a)? {
                        break;
                    }
                } else {
                    break;
                }
                took = true;
                self.use_(i);
                let and = self.next(a).filter(|n| self.key(*n) == Some(&Key::And));
                let after = and.map_or_else(|| self.next(a), |n| self.next(n));
                // "by region and city", "by region, city": further groups.
                at = after.filter(|n| self.fits(*n).is_some() && (and.is_some() || *n == a + 1) && !self.followed_by_measure(*n));
            }
            if !took
                && let Some(n) = self.next(i).filter(|n| self.key(*n) == Some(&Key::HowMany))
                && let Some(f) = self.next(n).filter(|f| self.fits(*f).is_some())
                && self.top.is_none()
            {
                // "per number of cylinders".
                if let Ok(field) = self.pick_at(f, |f| f.is_category() && f.kind.is_number(), "a category") {
                    self.groups.push(field);
                    for s in [i, n, f] {
                        self.use_(s);
                    }
                    continue;
                }
            }
            if !took && let Some(n) = self.next(i) {
                // "top 5 cities by number of orders", "by total quantity", "each one".
                let counted = self.top.is_some() && self.spans[n].used && matches!(self.spans[n].item, Item::Value(_));
                let measured = matches!(self.key(n), Some(Key::HowMany | Key::Agg(_) | Key::Ext(_) | Key::Unique));
                if counted || measured || (self.top.is_some() && self.key(n) == Some(&Key::Entity)) {
                    self.use_(i);
                }
            }
        }
        if self.bucket.is_none() && self.find(|k| matches!(k, Key::Which | Key::HowMany)).is_none_or(|_| true) {
            // "monthly average price".
            let adverb = self.find(|k| matches!(k, Key::Bucket(_))).filter(|b| {
                let text = self.spans[*b].text.to_lowercase();
                text.ends_with("ly") || text == "annual"
            });
            if let Some(b) = adverb
                && let Some(Key::Bucket(bucket)) = self.key(b).cloned()
            {
                self.bucket = Some(bucket);
                self.use_(b);
            }
        }
        Ok(())
    }

    fn followed_by_measure(&self, i: usize) -> bool {
        self.next(i).is_some_and(|n| matches!(self.key(n), Some(Key::Agg(_))))
    }

    /// Takes the field at `a` as a group, a time bucket, or what a top list is ranked by.
    fn group_field(&mut self, a: usize) -> Result<bool, Refusal> {
        let fits = self.fits(a).unwrap_or_default();
        let text = self.spans[a].text.to_lowercase();
        let ranking = self.top.is_some() || (self.limit.is_some() && self.find(|k| matches!(k, Key::Common(_) | Key::Most(_))).is_some());
        let field = self.pick(&fits, &text, |_| true, "a field").or_else(|e| {
            // Among several, only categories can be grouped by.
            if ranking { Err(e) } else { self.pick(&fits, &text, Field::is_category, "a category") }
        })?;
        if ranking && self.field(field).kind.is_number() && !self.is_year(field) {
            self.rank = Some(field);
            self.use_(a);
            return Ok(true);
        }
        if self.field(field).kind.is_time() {
            let bucket = match text.trim_end_matches('s') {
                "year" => Some(Bucket::Year),
                "month" => Some(Bucket::Month),
                "hour" => Some(Bucket::Hour),
                "week" => Some(Bucket::Week),
                _ if self.field(field).kind == Kind::Date => Some(Bucket::Day),
                _ => Some(self.natural_bucket(field)),
            };
            self.bucket = bucket;
            self.use_(a);
            return Ok(true);
        }
        if self.field(field).kind == Kind::Number {
            return Err(Refusal::Unfit {
                what: format!("`{}` holds numbers with fractions, so that groups by it would be of one record each", self.name(field)),
                fields: self.field_names(),
            });
        }
        self.groups.push(field);
        self.use_(a);
        Ok(true)
    }

    /// About 5 to 60 buckets over the field's span.
    pub(super) fn natural_bucket(&self, field: usize) -> Bucket {
        let days = self.field(field).days.as_ref().and_then(|(a, b)| {
            let day = |t: &str| t.parse::<jiff::civil::Date>().ok();
            Some((day(b)? - day(a)?).get_days())
        });
        match days.unwrap_or(0) {
            0..=2 => Bucket::Hour,
            3..=92 => Bucket::Day,
            93..=1900 => Bucket::Month,
            _ => Bucket::Year,
        }
    }

    /// "average price", "min and max of price", "price on average".
    fn measures(&mut self) -> Result<(), Refusal> {
        let numeric = |f: &Field| f.kind.is_number();
        loop {
            // "minimum and maximum": two ends are measures, one is a superlative.
            let both = (0..self.spans.len()).find(|i| {
                let and = self.next(*i).filter(|n| self.key(*n) == Some(&Key::And));
                !self.spans[*i].used
                    && matches!(self.key(*i), Some(Key::Ext(_)))
                    && and.and_then(|a| self.next(a)).is_some_and(|n| matches!(self.key(n), Some(Key::Ext(_) | Key::Agg(_))))
            });
            let Some(i) = both.or_else(|| self.find(|k| matches!(k, Key::Agg(_) | Key::OnAverage))) else {
                break;
            };
            let mut functions = Vec::new();
            let mut used = Vec::new();
            let mut at = Some(i);
            while let Some(a) = at {
                match self.key(a) {
                    Some(Key::Agg(f)) => functions.push(*f),
                    Some(Key::OnAverage) => functions.push(Func::Mean),
                    Some(Key::Ext(order)) => functions.push(extreme(*order)),
                    Some(Key::And) if !functions.is_empty() => {}
                    _ => break,
                }
                used.push(a);
                at = self.next(a);
                // "average monthly price", "average order price".
                while let Some(between) = at.filter(|b| {
                    let passed = self.key(*b) == Some(&Key::Entity) || (self.spans[*b].used && matches!(self.key(*b), Some(Key::Bucket(_))));
                    passed && self.next(*b).is_some_and(|n| self.fits(n).is_some_and(|f| f.iter().any(|f| numeric(self.field(*f)))))
                }) {
                    at = self.next(between);
                }
            }
            // The verb of "how many … in total" says no more than "how many".
            let sum_only = functions == [Func::Sum];
            let counts = at.is_some_and(|a| matches!(self.key(a), Some(Key::HowMany)));
            if sum_only && counts {
                self.use_(i);
                continue;
            }
            let counted = at.filter(|_| counts).and_then(|a| self.next(a)).filter(|n| self.fits(*n).is_some());
            let behind = at.filter(|a| self.fits(*a).is_some()).or(counted);
            let before = self.prev(i).filter(|p| self.fits(*p).is_some_and(|f| f.iter().any(|f| numeric(self.field(*f)))));
            let on_average = self.key(i) == Some(&Key::OnAverage);
            let target = if on_average { before.or(behind) } else { behind.or(before) };
            let Some(target) = target else {
                if on_average {
                    // "which service is slowest on average": read with the superlative.
                    break;
                }
                if sum_only && at.is_some_and(|a| matches!(self.key(a), Some(Key::Entity))) {
                    // "total orders": how many.
                    self.spans[i].item = Item::Key(Key::HowMany);
                    continue;
                }
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let field = self.pick_at(target, numeric, "a number")?;
            for s in used.into_iter().chain([target]).chain(at.filter(|_| counts)) {
                self.use_(s);
            }
            for f in functions.clone() {
                if !self.aggs.contains(&(f, field)) {
                    self.aggs.push((f, field));
                }
            }
            // "average price and quantity".
            let mut last = target;
            while let Some(and) = self.next(last).filter(|n| self.key(*n) == Some(&Key::And)) {
                let Some(more) = self.next(and).filter(|m| self.fits(*m).is_some_and(|f| f.iter().any(|f| numeric(self.field(*f))))) else {
                    break;
                };
                let field = self.pick_at(more, numeric, "a number")?;
                self.use_(and);
                self.use_(more);
                self.aggs.extend(functions.iter().map(|f| (*f, field)));
                last = more;
            }
        }
        Ok(())
    }

    /// A refusal that names these words, and what else was understood.
    pub(super) fn not_understood(&self, words: Vec<String>) -> Refusal {
        let understood: Vec<String> = self
            .spans
            .iter()
            .filter(|s| !words.contains(&s.text) && !matches!(s.item, Item::Unknown | Item::Key(Key::Filler | Key::In | Key::And | Key::Not)))
            .map(|s| s.text.clone())
            .take(12)
            .collect();
        Refusal::NotUnderstood {
            understood,
            words,
            fields: self.field_names(),
        }
    }
}

/// What a date says of a field.
enum Limit<'a> {
    From(Op, &'a str),
    /// Both ends in it.
    Within(&'a str, &'a str),
}

pub(super) fn extreme(order: Order) -> Func {
    match order {
        Order::Descending => Func::Max,
        Order::Ascending => Func::Min,
    }
}

fn scalar(n: f64) -> Scalar {
    if n.fract() == 0.0 && n.abs() < 9e15 {
        Scalar::Int(n as i64)
    } else {
        Scalar::Float(n)
    }
}
