//! Tables of two ways: "one row per store and one column per month", "by region and quarter as
//! columns".

use super::decide::{Decided, plain};
use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use super::spans::Item;
use crate::{Axis, Bucket, Measure, Terminal};

/// What the columns stand for, where the question says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Field(usize),
    Time,
}

/// What the question says of the table's shape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    /// A table was asked for; whether nothing else can be meant.
    pub(super) table: Option<bool>,
    pub(super) columns: Option<Side>,
    pub(super) rows: Option<Side>,
}

impl Parse<'_> {
    /// "one row per" groups as "per" does. Where these stand.
    pub(super) fn ways(&mut self) -> Vec<(usize, bool)> {
        let mut marks = Vec::new();
        for i in 0..self.spans.len() {
            match self.key(i) {
                Some(Key::Pivot(strong)) => {
                    let strong = *strong || self.layout.table == Some(true);
                    self.layout.table = Some(strong);
                    self.spans[i].item = Item::Key(Key::Filler);
                    // "make a pivot table": the verb says no more.
                    if let Some(p) = self.prev(i).filter(|p| self.key(*p) == Some(&Key::Convert)) {
                        self.spans[p].item = Item::Key(Key::Filler);
                    }
                }
                Some(Key::Across | Key::Down) => {
                    marks.push((i, self.key(i) == Some(&Key::Across)));
                    self.layout.table = Some(true);
                    self.spans[i].item = Item::Key(Key::By);
                }
                _ => {}
            }
        }
        marks
    }

    /// After the groups were read: which of them are the columns, which the rows.
    pub(super) fn sides(&mut self, marks: &[(usize, bool)]) -> Result<(), Refusal> {
        for (i, across) in marks {
            if let Some(side) = self.next(*i).and_then(|n| self.side(n)) {
                self.place_side(side, *across);
            }
        }
        for i in 0..self.spans.len() {
            let across = match self.key(i) {
                Some(Key::AsColumns) => true,
                Some(Key::AsRows) => false,
                _ => continue,
            };
            let Some(p) = self.prev(i) else { continue };
            if let Some(Key::Bucket(bucket)) = self.key(p).cloned()
                && !self.spans[p].used
                && self.bucket.is_none()
            {
                self.bucket = Some(bucket);
                self.use_(p);
            } else if self.fits(p).is_some() && !self.group_field(p)? {
                continue;
            }
            let Some(side) = self.side(p) else { continue };
            self.layout.table = Some(true);
            self.place_side(side, across);
            self.use_(i);
        }
        Ok(())
    }

    fn place_side(&mut self, side: Side, across: bool) {
        if across {
            self.layout.columns = Some(side);
        } else {
            self.layout.rows = Some(side);
        }
    }

    /// What the span at `i` was taken for.
    fn side(&self, i: usize) -> Option<Side> {
        match &self.spans.get(i)?.item {
            Item::Key(Key::Bucket(_)) if self.bucket.is_some() => Some(Side::Time),
            Item::Field { fits, .. } => {
                let group = fits.iter().copied().find(|f| self.groups.contains(f));
                let time = fits.iter().any(|f| self.field(*f).kind.is_time());
                group
                    .map(Side::Field)
                    .or((time && self.bucket.is_some()).then_some(Side::Time))
            }
            _ => None,
        }
    }
}

/// A measure over time and one field: the times are the columns unless the question says so.
pub(super) fn over_time(
    p: &mut Parse<'_>,
    (field, bucket): (usize, Option<Bucket>),
    measure: Measure,
) -> Result<Decided, Refusal> {
    let [group] = std::mem::take(&mut p.groups)[..] else {
        return p.too_far("grouping by several fields and by time at once");
    };
    if p.shape.window.is_some() || p.limit.is_some() || p.top.is_some() {
        return p.too_far("shares, changes or the first few of a table of two ways");
    }
    let time = Axis {
        field: p.name(field),
        bucket,
    };
    let group = Axis {
        field: p.name(group),
        bucket: None,
    };
    let turned =
        p.layout.rows == Some(Side::Time) || matches!(p.layout.columns, Some(Side::Field(_)));
    let (rows, columns) = if turned { (time, group) } else { (group, time) };
    p.layout.table = None;
    plain(Terminal::Pivot {
        rows,
        columns,
        measure,
    })
}

/// A grouping by two fields as the table that was asked for.
pub(super) fn as_table(p: &mut Parse<'_>, decided: Decided) -> Result<Decided, Refusal> {
    let Some(strong) = p.layout.table.take() else {
        return Ok(decided);
    };
    let named = |side: Option<Side>| match side {
        Some(Side::Field(f)) => Some(p.name(f)),
        _ => None,
    };
    let (in_columns, in_rows) = (named(p.layout.columns), named(p.layout.rows));
    match decided.terminal {
        Terminal::Aggregate {
            ref measures,
            ref group_by,
            order: None,
            limit: None,
        } => {
            if let ([measure], [a, b], None) =
                (measures.as_slice(), group_by.as_slice(), p.shape.window)
            {
                let turned = in_columns.as_ref() == Some(a) || in_rows.as_ref() == Some(b);
                let (rows, columns) = if turned { (b, a) } else { (a, b) };
                let axis = |field: &String| Axis {
                    field: field.clone(),
                    bucket: None,
                };
                return plain(Terminal::Pivot {
                    rows: axis(rows),
                    columns: axis(columns),
                    measure: measure.clone(),
                });
            }
        }
        Terminal::Pivot { .. } => return Ok(decided),
        _ => {}
    }
    if strong {
        return p.too_far("a table of two ways without one measure and two things to go by");
    }
    Ok(decided)
}
