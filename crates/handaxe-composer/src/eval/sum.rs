//! Sums that do not depend on the order of their terms.
//!
//! Whole numbers are added exactly; floats as Shewchuk's non-overlapping partials with one correct
//! rounding at the end, which is what Python's `math.fsum` gives (J. R. Shewchuk, "Adaptive
//! Precision Floating-Point Arithmetic", 1997). The Python adds them as whole numbers of the smallest
//! part that a float can have, which is exact as well.

use super::number::Number;

#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    whole: i128,
    partials: Vec<f64>,
    floats: bool,
    pub(crate) count: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: Number) {
        self.count += 1;
        match value {
            Number::Int(i) => self.whole += i128::from(i),
            Number::Float(f) => {
                self.floats = true;
                grow(&mut self.partials, f);
            }
        }
    }

    /// The sum: whole where every term was whole (and it fits 64 bits).
    pub(crate) fn total(&self) -> Number {
        if !self.floats {
            return i64::try_from(self.whole).map_or(Number::Float(self.whole as f64), Number::Int);
        }
        let mut partials = self.partials.clone();
        // In pieces that are floats exactly, so that it is rounded once and with the rest.
        let mut whole = self.whole;
        while whole != 0 {
            let near = whole as f64;
            grow(&mut partials, near);
            whole -= near as i128;
        }
        Number::Float(round(&partials) + 0.0)
    }

    /// The arithmetic mean; `None` of nothing.
    pub(crate) fn mean(&self) -> Option<f64> {
        let total = if self.floats {
            self.total().float()
        } else {
            self.whole as f64
        };
        (self.count > 0).then(|| total / self.count as f64)
    }
}

/// Correctly rounded sum of floats.
pub(crate) fn fsum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut partials = Vec::new();
    for term in terms {
        grow(&mut partials, term);
    }
    round(&partials)
}

/// Adds a term to the partials: increasing magnitude, no two overlap, their sum exact.
fn grow(partials: &mut Vec<f64>, term: f64) {
    let mut x = term;
    let mut kept = 0;
    for i in 0..partials.len() {
        let mut y = partials[i];
        if x.abs() < y.abs() {
            std::mem::swap(&mut x, &mut y);
        }
        let high = x + y;
        let low = y - (high - x);
        if low != 0.0 {
            partials[kept] = low;
            kept += 1;
        }
        x = high;
    }
    partials.truncate(kept);
    partials.push(x);
}

/// Adds the partials from the largest down, and mends a half-way case by the sign of what is left.
fn round(partials: &[f64]) -> f64 {
    let mut rest = partials.iter().rev().copied();
    let Some(mut high) = rest.next() else {
        return 0.0;
    };
    let mut low = 0.0;
    for y in rest.by_ref() {
        let x = high;
        high = x + y;
        low = y - (high - x);
        if low != 0.0 {
            break;
        }
    }
    if let Some(next) = rest.next()
        && ((low < 0.0 && next < 0.0) || (low > 0.0 && next > 0.0))
    {
        let y = low * 2.0;
        let x = high + y;
        if y == x - high {
            high = x;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact() {
        assert_eq!(fsum([0.1; 10]), 1.0);
        assert_eq!(fsum([1e100, 1.0, -1e100, 1e-300]), 1.0);
        assert_eq!(fsum([1e16, 1.0, 1e-16]), 10_000_000_000_000_002.0);
        let mut sum = Sum::default();
        for i in [Number::Int(1), Number::Int(2)] {
            sum.add(i);
        }
        assert_eq!(sum.total(), Number::Int(3));
        assert_eq!(sum.mean(), Some(1.5));
        sum.add(Number::Float(0.5));
        assert_eq!(sum.total(), Number::Float(3.5));
    }
}
