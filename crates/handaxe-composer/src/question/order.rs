//! What records or groups are ordered by: "sorted by date, then amount descending".

use super::lexicon::Key;
use super::parse::Parse;
use super::refusal::Refusal;
use crate::Order;
use crate::profile::Kind;

impl Parse<'_> {
    pub(super) fn sorts(&mut self) -> Result<(), Refusal> {
        while let Some(i) = self.find(|k| *k == Key::Sort) {
            // "sort the records by date".
            let mut next = self.next(i);
            while let Some(n) = next.filter(|n| self.key(*n) == Some(&Key::Entity)) {
                next = self.next(n);
            }
            let by = next.filter(|n| self.key(*n) == Some(&Key::By));
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
            if at.is_none_or(|a| matches!(self.key(a), Some(Key::Direction(_))))
                && !self.aggs_said().is_empty()
            {
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
                _ if self.top == Some(Order::Descending) && self.field(field).kind.is_number() => {
                    Order::Descending
                }
                _ => Order::Ascending,
            };
            for s in [Some(i), by, Some(at)].into_iter().flatten() {
                self.use_(s);
            }
            self.sort = Some((field, order));
            let further = self.further_keys(at)?;
            if further.is_empty() {
                if let Some(d) = direction {
                    self.use_(d);
                }
                continue;
            }
            // Of several keys each has its own direction, said right behind it.
            let places: Vec<usize> = std::iter::once(at)
                .chain(further.iter().map(|(p, _)| *p))
                .collect();
            let mut keys: Vec<(usize, Order)> = std::iter::once(field)
                .chain(further.into_iter().map(|(_, f)| f))
                .map(|f| (f, Order::Ascending))
                .collect();
            while let Some(d) = self.find(|k| matches!(k, Key::Direction(_))) {
                let key = places.iter().rposition(|p| *p < d);
                if let (Some(Key::Direction(order)), Some(key)) = (self.key(d), key) {
                    keys[key].1 = *order;
                }
                self.use_(d);
            }
            self.sort = keys.first().copied();
            self.then = keys.split_off(1);
        }
        Ok(())
    }

    /// "…, then amount", "and name": where further keys stand, and what they are.
    fn further_keys(&mut self, first: usize) -> Result<Vec<(usize, usize)>, Refusal> {
        let mut out = Vec::new();
        let mut at = first;
        loop {
            let mut linked = false;
            let mut next = at + 1;
            while next < self.spans.len() {
                match self.key(next) {
                    Some(Key::Then | Key::And) => linked = true,
                    Some(Key::Filler | Key::By | Key::Sort | Key::Direction(_)) => {}
                    _ => break,
                }
                next += 1;
            }
            if !linked || self.fits(next).is_none() {
                return Ok(out);
            }
            let field = self.pick_at(next, |_| true, "a field")?;
            for s in at + 1..=next {
                if !matches!(self.key(s), Some(Key::Direction(_))) {
                    self.use_(s);
                }
            }
            out.push((next, field));
            at = next;
        }
    }
}
