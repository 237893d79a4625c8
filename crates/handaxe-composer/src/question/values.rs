//! Conditions on values: said as they stand in the data, one or another of them, and yes-or-no
//! fields; and how a condition is added.

use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use crate::profile::Kind;
use crate::{Filter, Format, Op, Scalar};

impl Parse<'_> {
    /// The fields that hold exactly this value, each as it writes it.
    fn holding(&self, text: &str) -> Vec<(usize, String)> {
        let fields = self.profile.fields.iter().enumerate();
        fields
            .filter_map(|(i, field)| {
                let mut values = field.values.iter();
                let (value, _) = values.find(|(v, _)| v.eq_ignore_ascii_case(text))?;
                Some((i, value.clone()))
            })
            .collect()
    }

    /// "in Europe", "errors", "not Japan".
    pub(super) fn values(&mut self) -> Result<(), Refusal> {
        for i in 0..self.spans.len() {
            if self.spans[i].used {
                continue;
            }
            // "international in the name".
            let inside = self.next(i).filter(|n| {
                self.key(*n) == Some(&Key::In) && self.spans[*n].text.eq_ignore_ascii_case("in")
            });
            let named = inside.and_then(|n| self.next(n)).filter(|f| {
                self.fits(*f).is_some_and(|f| {
                    f.iter()
                        .all(|f| self.field(*f).kind == Kind::Text && !self.field(*f).is_category())
                })
            });
            let sought = matches!(
                self.spans[i].item,
                Item::Value(_) | Item::Part(..) | Item::Unknown | Item::Quoted(_)
            );
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
                Item::Part(fields, word) => (
                    fields.into_iter().map(|f| (f, word.clone())).collect(),
                    Some(word),
                ),
                // Quoted as it stands in the data.
                Item::Quoted(text) if !self.has(|k| *k == Key::Pattern) => {
                    let fits = self.holding(&text);
                    if fits.is_empty() {
                        continue;
                    }
                    (fits, None)
                }
                // Plain text has no level field, only the word.
                _ => continue,
            };
            let named = |p: &Self, j: Option<usize>| {
                j.filter(|j| {
                    p.fits(*j)
                        .is_some_and(|f| f.iter().any(|f| fits.iter().any(|(v, _)| v == f)))
                        && !p.preceded_by_group(*j)
                        && !p.prev(*j).is_some_and(|q| {
                            !p.spans[q].text.eq_ignore_ascii_case("whose")
                                && matches!(
                                    p.key(q),
                                    Some(Key::HowMany | Key::Which | Key::Unique | Key::Agg(_))
                                )
                        })
                })
            };
            // "weather is not fog": the field stands before the negation.
            let before_not = self
                .prev(i)
                .filter(|p| match self.key(*p) {
                    Some(Key::Not) => true,
                    // "is either A or B".
                    Some(Key::Or) => self.spans[*p].text.eq_ignore_ascii_case("either"),
                    _ => false,
                })
                .and_then(|p| self.prev(p));
            let field_at = named(self, self.prev(i))
                .or_else(|| named(self, before_not))
                .or_else(|| named(self, self.next(i)));
            // "red or blue": of the field that the first is of.
            let other = self
                .prev(i)
                .filter(|p| self.key(*p) == Some(&Key::Or))
                .and_then(|p| self.prev(p));
            let fits: Vec<(usize, String)> = match (other, self.filters.last()) {
                (Some(o), Some(last)) if self.spans[o].used => {
                    let same: Vec<_> = fits
                        .iter()
                        .filter(|(f, _)| self.name(*f) == last.field)
                        .cloned()
                        .collect();
                    if same.is_empty() { fits } else { same }
                }
                _ => fits,
            };
            let chosen: Vec<(usize, String)> = match field_at {
                Some(at) => {
                    let fields = self.fits(at).unwrap_or_default();
                    fits.iter()
                        .filter(|(f, _)| fields.contains(f))
                        .cloned()
                        .collect()
                }
                None => fits.clone(),
            };
            let mut before = self.prev(i);
            if field_at.is_some() && field_at == before {
                before = before.and_then(|b| self.prev(b));
            }
            let preposition = before.filter(|p| self.key(*p) == Some(&Key::In));
            let negation = before
                .into_iter()
                .chain(preposition.and_then(|p| self.prev(p)))
                .find(|p| self.key(*p) == Some(&Key::Not))
                .or_else(|| self.prev(i).filter(|p| self.key(*p) == Some(&Key::Not)));
            let (field, value) = match chosen.as_slice() {
                [one] => one.clone(),
                several => {
                    return Err(Refusal::Ambiguous {
                        what: format!("`{}` is found in more than one place", self.spans[i].text),
                        options: several
                            .iter()
                            .take(5)
                            .map(|(f, v)| {
                                if part.is_some() {
                                    format!("{} containing \"{v}\"", self.name(*f))
                                } else {
                                    format!("{} is \"{v}\"", self.name(*f))
                                }
                            })
                            .collect(),
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
            self.add_value(
                field,
                if negation.is_some() { Op::Ne } else { Op::Eq },
                &value,
            );
        }
        Ok(())
    }

    /// Yes-or-no fields said as such: "returned orders", "not returned".
    pub(super) fn flags(&mut self) {
        for i in 0..self.spans.len() {
            let Some([field]) = self
                .fits(i)
                .as_deref()
                .map(<[usize]>::to_vec)
                .and_then(|f| <[usize; 1]>::try_from(f).ok())
            else {
                continue;
            };
            if self.field(field).kind != Kind::Boolean {
                continue;
            }
            let prev = self.prev(i);
            let asked = prev.is_some_and(|p| {
                !self.spans[p].text.eq_ignore_ascii_case("whose")
                    && matches!(
                        self.key(p),
                        Some(
                            Key::By
                                | Key::Which
                                | Key::Frequency
                                | Key::Unique
                                | Key::List
                                | Key::Sort
                                | Key::Agg(_)
                                | Key::Common(_)
                        )
                    )
            });
            if asked {
                continue;
            }
            let negation = prev.filter(|p| self.key(*p) == Some(&Key::Not));
            let sign = self
                .next(i)
                .filter(|n| self.key(*n) == Some(&Key::Cmp(Op::Eq)));
            let said = sign
                .map_or_else(|| self.next(i), |s| self.next(s))
                .filter(|n| {
                    ["yes", "true", "no", "false"]
                        .contains(&self.spans[*n].text.to_lowercase().as_str())
                });
            let said_no = said.is_some_and(|n| {
                ["no", "false"].contains(&self.spans[n].text.to_lowercase().as_str())
            });
            let yes = negation.is_some() == said_no;
            let wanted: &[&str] = if yes {
                &["yes", "true"]
            } else {
                &["no", "false"]
            };
            let Some(value) = self
                .field(field)
                .values
                .iter()
                .map(|(v, _)| v.clone())
                .find(|v| wanted.contains(&v.to_lowercase().as_str()))
            else {
                continue;
            };
            let sign = sign.filter(|_| said.is_some());
            for s in [Some(i), negation, sign, said].into_iter().flatten() {
                self.use_(s);
            }
            self.add_value(field, Op::Eq, &value);
        }
    }

    /// "Europe or Asia": equal values of one field become one condition.
    pub(super) fn alternatives(&mut self) -> Result<(), Refusal> {
        while let Some(or) = self.find(|k| *k == Key::Or) {
            self.use_(or);
            if self.spans[or].text.to_lowercase().starts_with("either") {
                continue;
            }
            let before = self.prev(or).filter(|p| self.spans[*p].used);
            let after = self.next(or).filter(|n| self.spans[*n].used);
            let valued = |p: &Self, i: usize| {
                matches!(
                    p.spans[i].item,
                    Item::Value(_) | Item::Part(..) | Item::Number(_) | Item::Quoted(_)
                )
            };
            let (Some(before), Some(after)) = (before, after) else {
                return self.too_far("`or` between other things than two values of one field");
            };
            if !valued(self, before) || !valued(self, after) {
                return self.too_far("`or` between other things than two values of one field");
            }
            let last = self.filters.iter().rposition(|f| f.op == Op::Eq);
            let Some(last) = last else {
                return self.too_far("`or` with other conditions than `is`");
            };
            let field = self.filters[last].field.clone();
            let same: Vec<usize> = (0..self.filters.len())
                .filter(|i| {
                    self.filters[*i].field == field
                        && matches!(self.filters[*i].op, Op::Eq | Op::AnyOf)
                })
                .collect();
            if same.len() < 2 {
                return self.too_far("`or` between conditions on different fields");
            }
            let mut values = Vec::new();
            for i in &same {
                match self.filters[*i].value.clone() {
                    Some(Scalar::Many(many)) => values.extend(many),
                    Some(one) => values.push(one),
                    None => {}
                }
            }
            for i in same.into_iter().rev() {
                self.filters.remove(i);
            }
            self.filters.push(Filter {
                field,
                op: Op::AnyOf,
                value: Some(Scalar::Many(values)),
            });
        }
        Ok(())
    }

    pub(super) fn contradictions(&self) -> Result<(), Refusal> {
        if self.has(|k| matches!(k, Key::Compare(_))) {
            // "between A and B": the two sides.
            return Ok(());
        }
        let equal = |f: &&Filter| f.op == Op::Eq;
        for filter in self.filters.iter().filter(equal) {
            let same = self
                .filters
                .iter()
                .filter(equal)
                .filter(|f| f.field == filter.field)
                .count();
            if same > 1 {
                return self.too_far(&format!(
                    "`{}` cannot be two things at once; say `or` between them, or ask `by {}`",
                    filter.field, filter.field
                ));
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, field: usize, op: Op, value: Option<Scalar>) {
        let filter = Filter {
            field: self.name(field),
            op,
            value,
        };
        if !self.filters.contains(&filter) {
            self.filters.push(filter);
        }
    }

    /// `NA` among the values of a field is an absence, not one of them: the plan says that such
    /// records are left out. Where it may be a code of its own (of a country, a region), it stays.
    pub(super) fn without_absent(&mut self, field: usize) {
        const CODES: [&str; 6] = ["country", "region", "continent", "code", "state", "iso"];
        let named = super::tokens::stems(&self.field(field).name);
        if named.iter().any(|w| CODES.contains(&w.as_str())) {
            return;
        }
        let found = self.field(field).values.iter().map(|(v, _)| v.clone());
        let absent: Vec<String> = found
            .filter(|v| {
                matches!(
                    v.as_str(),
                    "NA" | "N/A" | "n/a" | "NaN" | "nan" | "null" | "NULL"
                )
            })
            .collect();
        for value in absent {
            self.add(field, Op::Ne, Some(Scalar::Text(value)));
        }
    }

    pub(super) fn add_value(&mut self, field: usize, op: Op, value: &str) {
        let json = matches!(self.profile.format, Format::Json | Format::Jsonl);
        let scalar = match value {
            "true" if json => Scalar::Bool(true),
            "false" if json => Scalar::Bool(false),
            text => Scalar::Text(text.to_owned()),
        };
        self.add(field, op, Some(scalar));
    }
}
