//! Whether a chain's tool has to know times: that of a value in use, or of one in the question.

use crate::eval::{parse_number, parse_time};
use crate::profile::{Kind, Profile};
use crate::{Chain, Filter, Func, Measure, Scalar, Terminal};

pub(super) fn reads_times(chain: &Chain, profile: &Profile) -> bool {
    let holds_times = |name: &str| {
        let kind = profile.field(name).map(|f| f.kind);
        matches!(kind, Some(Kind::Date | Kind::DateTime))
    };
    // A number that is a year too is a time beside times alone.
    let is_time = |field: &str, value: &Scalar| match value {
        Scalar::Text(text) => {
            let text = text.trim();
            parse_time(text).is_some() && (holds_times(field) || parse_number(text).is_none())
        }
        Scalar::Int(_) | Scalar::Float(_) => holds_times(field),
        _ => false,
    };
    let filtered = |filters: &[Filter]| {
        filters.iter().any(|f| match &f.value {
            Some(Scalar::Many(values)) => values.iter().any(|v| is_time(&f.field, v)),
            Some(value) => is_time(&f.field, value),
            None => false,
        })
    };
    let measured = |m: &Measure| {
        matches!(m.func, Func::Min | Func::Max) && m.field.as_deref().is_some_and(holds_times)
    };
    filtered(&chain.filters)
        || match &chain.terminal {
            Terminal::Histogram { .. } => true,
            Terminal::Aggregate { measures, .. } => measures.iter().any(measured),
            Terminal::Rows { order_by, .. } => order_by.as_deref().is_some_and(holds_times),
            Terminal::Share { wanted } => filtered(wanted),
            Terminal::Pivot {
                rows,
                columns,
                measure,
            } => rows.bucket.is_some() || columns.bucket.is_some() || measured(measure),
            Terminal::Clean {
                changes, order_by, ..
            } => {
                changes.iter().any(|c| c.how == crate::Tidy::Date)
                    || order_by.iter().any(|s| holds_times(&s.field))
            }
            Terminal::Compare {
                measure,
                field,
                left,
                right,
                ..
            } => measured(measure) || is_time(field, left) || is_time(field, right),
            Terminal::Describe => profile.fields.iter().any(|f| holds_times(&f.name)),
            _ => false,
        }
}
