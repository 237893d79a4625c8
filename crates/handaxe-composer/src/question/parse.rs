//! Spans into parts of a chain: limits, conditions, groups, measures. What is read is marked used;
//! what is left at the end is refused.

use super::lexicon::Key;
use super::pivot::Layout;
use super::refusal::Refusal;
use super::spans::{Item, Span, spans};
use super::tokens::stems;
use crate::profile::{Field, Kind, Profile};
use crate::{Bucket, Filter, Func, Order, Shape};

/// Fields shown in a refusal.
const SHOWN_FIELDS: usize = 30;

pub(super) struct Parse<'a> {
    pub(super) profile: &'a Profile,
    pub(super) question: String,
    pub(super) spans: Vec<Span>,
    pub(super) filters: Vec<Filter>,
    pub(super) groups: Vec<usize>,
    pub(super) bucket: Option<Bucket>,
    pub(super) aggs: Vec<(Func, usize)>,
    pub(super) sort: Option<(usize, Order)>,
    /// Further keys of the order.
    pub(super) then: Vec<(usize, Order)>,
    /// "top 5 … by X".
    pub(super) rank: Option<usize>,
    pub(super) limit: Option<u32>,
    pub(super) top: Option<Order>,
    pub(super) shape: Shape,
    pub(super) layout: Layout,
    /// What was taken for granted, for the plan.
    pub(super) notes: Vec<String>,
}

impl<'a> Parse<'a> {
    pub(super) fn new(question: &str, profile: &'a Profile) -> Result<Self, Refusal> {
        let mut parse = Self {
            profile,
            question: question.to_owned(),
            spans: spans(question, profile),
            filters: Vec::new(),
            groups: Vec::new(),
            bucket: None,
            aggs: Vec::new(),
            sort: None,
            then: Vec::new(),
            rank: None,
            limit: None,
            top: None,
            shape: Shape::default(),
            layout: Layout::default(),
            notes: Vec::new(),
        };
        parse.asides();
        parse.others();
        let marks = parse.ways();
        parse.lately()?;
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
        parse.alternatives()?;
        parse.contradictions()?;
        parse.sorts()?;
        parse.group_by()?;
        parse.sides(&marks)?;
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

    pub(super) fn filler(&self, i: usize) -> bool {
        matches!(self.key(i), Some(Key::Filler | Key::Then))
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
            Some(Span {
                item: Item::Field { fits, .. },
                used: false,
                ..
            }) => Some(fits.clone()),
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
        self.profile
            .fields
            .iter()
            .take(SHOWN_FIELDS)
            .map(|f| f.name.clone())
            .collect()
    }

    pub(super) fn too_far<T>(&self, what: &str) -> Result<T, Refusal> {
        Err(Refusal::Beyond {
            what: what.to_owned(),
            fields: self.field_names(),
        })
    }

    /// The one of `fits` that is wanted.
    pub(super) fn pick(
        &self,
        fits: &[usize],
        said: &str,
        wanted: impl Fn(&Field) -> bool,
        need: &str,
    ) -> Result<usize, Refusal> {
        let good: Vec<usize> = fits
            .iter()
            .copied()
            .filter(|f| wanted(self.field(*f)))
            .collect();
        match good.as_slice() {
            [one] => Ok(*one),
            [] => {
                let names: Vec<String> = fits
                    .iter()
                    .map(|f| format!("`{}` ({})", self.name(*f), self.field(*f).kind.as_str()))
                    .collect();
                let names = if names.is_empty() {
                    "no field".to_owned()
                } else {
                    names.join(", ")
                };
                Err(Refusal::Unfit {
                    what: format!("{names} is not {need}")
                        .replace("no field is not", "no field is"),
                    fields: self.field_names(),
                })
            }
            several => Err(Refusal::Ambiguous {
                what: format!(
                    "`{said}` may be {}",
                    several
                        .iter()
                        .map(|f| format!("`{}`", self.name(*f)))
                        .collect::<Vec<_>>()
                        .join(" or ")
                ),
                options: several.iter().map(|f| self.name(*f)).collect(),
            }),
        }
    }

    pub(super) fn pick_at(
        &self,
        i: usize,
        wanted: impl Fn(&Field) -> bool,
        need: &str,
    ) -> Result<usize, Refusal> {
        let fits = self.fits(i).unwrap_or_default();
        self.pick(&fits, &self.spans[i].text, wanted, need)
    }

    // Reading.

    /// "when the weather is rain" asks for no time, and a second is no place in "per second".
    fn asides(&mut self) {
        for i in 0..self.spans.len() {
            // "is either A or B": the `or` says it.
            if self.key(i) == Some(&Key::Or)
                && self.spans[i].text.to_lowercase().starts_with("either")
            {
                self.spans[i].item = Item::Key(Key::Filler);
            }
            let field_next = self.next(i).is_some_and(|n| self.fits(n).is_some());
            let asked = self.prev(i).is_some_and(|p| {
                matches!(
                    self.spans[p].item,
                    Item::Field { .. } | Item::Key(Key::Entity)
                )
            });
            if self.key(i) == Some(&Key::When) && field_next && asked {
                self.spans[i].item = Item::Key(Key::Filler);
            }
        }
    }

    /// The word for a record of the file that is looked up stands for the key where one of them is
    /// asked for, and says nothing beside something that the file has.
    fn others(&mut self) {
        let Some(met) = &self.profile.met else {
            return;
        };
        let (on, own) = (met.on.as_slice(), met.own);
        let joins = self.has(|k| *k == Key::Join);
        for i in 0..self.spans.len() {
            if self.key(i) != Some(&Key::Other) {
                continue;
            }
            let before = self.prev(i);
            // "placed by customers in Germany": nothing is grouped.
            let agent = before.filter(|p| {
                const DONE: [&str; 8] = [
                    "placed",
                    "made",
                    "bought",
                    "ordered",
                    "sent",
                    "written",
                    "submitted",
                    "owned",
                ];
                let done = |j: usize| DONE.contains(&self.spans[j].text.to_lowercase().as_str());
                self.spans[*p].text.eq_ignore_ascii_case("by") && *p > 0 && done(*p - 1)
            });
            if let Some(by) = agent {
                self.spans[by].item = Item::Key(Key::Filler);
                self.spans[i].item = Item::Key(Key::Filler);
                continue;
            }
            let chosen = before.is_some_and(|p| {
                matches!(
                    self.key(p),
                    Some(Key::By | Key::Which | Key::Unique | Key::Top(_))
                ) || matches!(self.spans[p].item, Item::Number(_))
            });
            let mut next = self.next(i);
            while let Some(n) = next.filter(|n| {
                matches!(
                    self.key(*n),
                    Some(Key::In | Key::Which | Key::Not | Key::Cmp(_))
                )
            }) {
                next = self.next(n);
            }
            let theirs = next.is_some_and(|n| match &self.spans[n].item {
                Item::Field { fits, .. } | Item::Part(fits, _) => fits.iter().any(|f| *f >= own),
                Item::Value(fits) => fits.iter().any(|(f, _)| *f >= own),
                _ => false,
            });
            self.spans[i].item = if let ([on], true) = (on, chosen) {
                Item::Field {
                    fits: vec![*on],
                    exact: true,
                }
            } else if joins || theirs {
                Item::Key(Key::Filler)
            } else {
                continue;
            };
        }
    }

    fn beyond(&self) -> Result<(), Refusal> {
        if self.profile.met.is_none() && self.has(|k| *k == Key::Join) {
            return self.too_far("joining files, of which there is one (attach both with --data)");
        }
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
        let Some(gap) = days
            .filter(|_| field.is_unique())
            .map(|d| d / (field.filled - 1) as f64)
        else {
            return;
        };
        let unit = match gap {
            0.9..1.5 => Bucket::Day,
            27.0..32.0 => Bucket::Month,
            364.0..367.0 => Bucket::Year,
            _ => return,
        };
        for i in 0..self.spans.len() {
            let by = self
                .prev(i)
                .is_some_and(|p| matches!(self.key(p), Some(Key::By | Key::Which)));
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
            let counted = self.next(i).is_some_and(|n| {
                self.key(n) == Some(&Key::Entity)
                    || self
                        .fits(n)
                        .is_some_and(|f| f.iter().all(|f| self.field(*f).kind == Kind::Text))
            }) && (i..self.spans.len()).any(|j| {
                matches!(
                    self.key(j),
                    Some(Key::Ext(_) | Key::Most(_) | Key::Adjective(_))
                )
            });
            let listed = counted
                || self
                    .prev(i)
                    .is_some_and(|p| matches!(self.key(p), Some(Key::List)))
                    && self.next(i).is_some_and(|n| {
                        matches!(self.key(n), Some(Key::Entity))
                            || self.fits(n).is_some_and(|f| {
                                f.iter().all(|f| self.field(*f).kind == Kind::Text)
                            })
                    });
            if (superlative || listed) && !self.spans[i].used {
                self.limit = Some(limit);
                self.use_(i);
            }
        }
    }

    pub(super) fn whole_number(&self, i: usize) -> Option<u32> {
        match self.spans.get(i)?.item {
            Item::Number(n) if (1.0..=100_000.0).contains(&n) && n.fract() == 0.0 => Some(n as u32),
            _ => None,
        }
    }

    pub(super) fn aggs_said(&self) -> Vec<usize> {
        (0..self.spans.len())
            .filter(|i| matches!(self.key(*i), Some(Key::Agg(_))))
            .collect()
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
                at = after.filter(|n| {
                    let unit = matches!(self.key(*n), Some(Key::Bucket(_)))
                        && self.bucket.is_none()
                        && !self.spans[*n].text.to_lowercase().ends_with("ly");
                    (self.fits(*n).is_some() || unit)
                        && (and.is_some() || *n == a + 1)
                        && !self.followed_by_measure(*n)
                });
            }
            if !took
                && let Some(n) = self.next(i).filter(|n| self.key(*n) == Some(&Key::HowMany))
                && let Some(f) = self.next(n).filter(|f| self.fits(*f).is_some())
                && self.top.is_none()
            {
                // "per number of cylinders".
                if let Ok(field) =
                    self.pick_at(f, |f| f.is_category() && f.kind.is_number(), "a category")
                {
                    self.groups.push(field);
                    for s in [i, n, f] {
                        self.use_(s);
                    }
                    continue;
                }
            }
            if !took && let Some(n) = self.next(i) {
                // "top 5 cities by number of orders", "by total quantity", "each one".
                let counted = self.top.is_some()
                    && self.spans[n].used
                    && matches!(self.spans[n].item, Item::Value(_));
                let measured = matches!(
                    self.key(n),
                    Some(Key::HowMany | Key::Agg(_) | Key::Ext(_) | Key::Unique)
                );
                if counted || measured || (self.top.is_some() && self.key(n) == Some(&Key::Entity))
                {
                    self.use_(i);
                }
            }
        }
        if self.bucket.is_none() {
            // "monthly average price".
            let adverb = self.find(|k| matches!(k, Key::Bucket(_))).filter(|b| {
                let text = self.spans[*b].text.to_lowercase();
                text.ends_with("ly")
                    || text == "annual"
                    || [" over ", " on ", " to ", "yoy", "mom"]
                        .iter()
                        .any(|w| text.contains(w))
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
        self.next(i)
            .is_some_and(|n| matches!(self.key(n), Some(Key::Agg(_))))
    }

    /// Takes the field at `a` as a group, a time bucket, or what a top list is ranked by.
    pub(super) fn group_field(&mut self, a: usize) -> Result<bool, Refusal> {
        let fits = self.fits(a).unwrap_or_default();
        let text = self.spans[a].text.to_lowercase();
        let ranking = self.top.is_some()
            || (self.limit.is_some()
                && self
                    .find(|k| matches!(k, Key::Common(_) | Key::Most(_)))
                    .is_some());
        let field = self.pick(&fits, &text, |_| true, "a field").or_else(|e| {
            // Among several, only categories can be grouped by.
            if ranking {
                Err(e)
            } else {
                self.pick(&fits, &text, Field::is_category, "a category")
            }
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
                what: format!(
                    "`{}` holds numbers with fractions, so that groups by it would be of one record each",
                    self.name(field)
                ),
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
                    && and
                        .and_then(|a| self.next(a))
                        .is_some_and(|n| matches!(self.key(n), Some(Key::Ext(_) | Key::Agg(_))))
            });
            let Some(i) = both.or_else(|| self.find(|k| matches!(k, Key::Agg(_) | Key::OnAverage)))
            else {
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
                    let passed = self.key(*b) == Some(&Key::Entity)
                        || (self.spans[*b].used && matches!(self.key(*b), Some(Key::Bucket(_))));
                    passed
                        && self.next(*b).is_some_and(|n| {
                            self.fits(n)
                                .is_some_and(|f| f.iter().any(|f| numeric(self.field(*f))))
                        })
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
            let counted = at
                .filter(|_| counts)
                .and_then(|a| self.next(a))
                .filter(|n| self.fits(*n).is_some());
            let behind = at.filter(|a| self.fits(*a).is_some()).or(counted);
            let before = self.prev(i).filter(|p| {
                self.fits(*p)
                    .is_some_and(|f| f.iter().any(|f| numeric(self.field(*f))))
            });
            let on_average = self.key(i) == Some(&Key::OnAverage);
            let target = if on_average {
                before.or(behind)
            } else {
                behind.or(before)
            };
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
                let alone = self
                    .next(i)
                    .is_none_or(|n| matches!(self.key(n), Some(Key::By | Key::In)));
                if let Some(field) = self.called_as(i).filter(|_| sum_only && alone) {
                    // "total per city", where `total` is a field.
                    self.use_(i);
                    self.aggs.push((Func::Sum, field));
                    continue;
                }
                return Err(self.not_understood(vec![self.spans[i].text.clone()]));
            };
            let field = self.pick_at(target, numeric, "a number")?;
            for s in used
                .into_iter()
                .chain([target])
                .chain(at.filter(|_| counts))
            {
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
                let Some(more) = self.next(and).filter(|m| {
                    self.fits(*m)
                        .is_some_and(|f| f.iter().any(|f| numeric(self.field(*f))))
                }) else {
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

    /// The field of numbers whose name is this span's text.
    fn called_as(&self, i: usize) -> Option<usize> {
        let said = stems(&self.spans.get(i)?.text);
        self.profile
            .fields
            .iter()
            .position(|f| f.kind.is_number() && stems(&f.name) == said)
    }

    /// A refusal that names these words, and what else was understood.
    pub(super) fn not_understood(&self, words: Vec<String>) -> Refusal {
        let understood: Vec<String> = self
            .spans
            .iter()
            .filter(|s| {
                !words.contains(&s.text)
                    && !matches!(
                        s.item,
                        Item::Unknown | Item::Key(Key::Filler | Key::In | Key::And | Key::Not)
                    )
            })
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

pub(super) fn extreme(order: Order) -> Func {
    match order {
        Order::Descending => Func::Max,
        Order::Ascending => Func::Min,
    }
}
