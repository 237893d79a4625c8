//! A chain in words: numbered steps that a person can judge before the code is run.

use crate::profile::format_name;
use crate::{
    Axis, Bucket, Chain, Change, Extractable, Filter, Func, How, Measure, Op, Order, Scalar,
    Terminal, Tidy,
};

/// What the proof of a composed tool shows, and what it cannot.
pub const PROOF: &str = "The cases show that the code does what these steps say, against a second \
    implementation of them on samples of the data. They cannot show that the steps are what was \
    meant: judge that by reading them.";

/// The steps, without their numbers.
pub(crate) fn steps(chain: &Chain, file: &str, other: Option<&str>) -> Vec<String> {
    let mut steps = vec![format!("Read {file} as {}.", format_name(chain.format))];
    if let Some(join) = &chain.join {
        let keeps = match join.how {
            How::Inner => "records without one are left out and counted",
            How::Left => "records without one are kept, with blanks",
            How::Right => "records without one are left out, and those that no record has are kept",
        };
        steps.push(format!(
            "Look each record up in {} by {} (there {}); {keeps}. Names of fields from there begin \
             with `{}.`.",
            other.unwrap_or("the other file"),
            and(&join.on),
            and(&join.other_on),
            join.prefix,
        ));
    }
    let things = if chain.format == crate::Format::Text {
        "lines"
    } else {
        "records"
    };
    if !chain.filters.is_empty() {
        let conditions: Vec<String> = chain.filters.iter().map(condition).collect();
        steps.push(format!(
            "Keep the {things} where {}.",
            conditions.join(" and ")
        ));
    }
    steps.extend(terminal(&chain.terminal, things));
    steps.extend(chain.shape.window.map(|window| {
        match window {
            crate::Window::Share => "Give each value as a percentage of the sum of them all.",
            crate::Window::Running => "Give the total up to each, in order.",
            crate::Window::Change => "Give the change from each to the next, in order.",
        }
        .to_owned()
    }));
    if let Some(per) = &chain.shape.per {
        steps.push(format!("Do so for each value of {per}."));
    }
    if chain.shape.offset > 0 {
        let (n, s) = (
            chain.shape.offset,
            if chain.shape.offset == 1 { "" } else { "s" },
        );
        steps.push(format!("Pass over the first {n} row{s} of these."));
    }
    steps
}

/// `region is Europe`, `price is over 100`.
pub(crate) fn condition(filter: &Filter) -> String {
    let value = filter.value.as_ref().map_or(String::new(), shown);
    let says = match filter.op {
        Op::Eq => "is",
        Op::Ne => "is not",
        Op::Lt => "is below",
        Op::Le => "is at most",
        Op::Gt => "is above",
        Op::Ge => "is at least",
        Op::Contains => "contains",
        Op::NotContains => "does not contain",
        Op::StartsWith => "starts with",
        Op::EndsWith => "ends with",
        Op::AnyOf => "is",
        Op::NoneOf => "is neither of",
        Op::Empty => return format!("{} is missing or blank", filter.field),
        Op::NotEmpty => return format!("{} is filled in", filter.field),
    };
    format!("{} {says} {value}", filter.field)
}

fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Bool(b) => b.to_string(),
        Scalar::Int(i) => i.to_string(),
        Scalar::Float(f) => f.to_string(),
        Scalar::Text(t) if t.is_empty() => "blank".to_owned(),
        Scalar::Text(t) => format!("\"{t}\""),
        Scalar::Many(many) => {
            let all: Vec<String> = many.iter().map(shown).collect();
            match all.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => all.concat(),
            }
        }
    }
}

/// `the average of price`.
pub(crate) fn measured(measure: &Measure) -> String {
    let field = measure.field.as_deref().unwrap_or("records");
    match measure.func {
        Func::Count if measure.field.is_none() => "the number of records".to_owned(),
        Func::Count => format!("the number of values of {field}"),
        Func::Sum => format!("the total of {field}"),
        Func::Mean => format!("the average of {field}"),
        Func::Median => format!("the median of {field}"),
        Func::Min => format!("the smallest {field}"),
        Func::Max => format!("the largest {field}"),
        Func::Distinct => format!("the number of different values of {field}"),
        Func::Stdev => format!("the standard deviation of {field}"),
        Func::Percentile(p) => format!("the {p}th percentile of {field}"),
    }
}

fn and(parts: &[String]) -> String {
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

pub(crate) fn bucket_name(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Minute => "minute",
        Bucket::Hour => "hour",
        Bucket::Day => "day",
        Bucket::Week => "week",
        Bucket::Month => "month",
        Bucket::Quarter => "quarter",
        Bucket::Year => "year",
        Bucket::HourOfDay => "hour of the day",
        Bucket::DayOfWeek => "day of the week",
    }
}

/// `value of region`, `month in date`.
pub(crate) fn axis(axis: &Axis) -> String {
    match axis.bucket {
        Some(bucket) => format!("{} in {}", bucket_name(bucket), axis.field),
        None => format!("value of {}", axis.field),
    }
}

fn tidied(change: &Change) -> String {
    let how = match change.how {
        Tidy::Trim => "Cut blanks off the ends of",
        Tidy::Spaces => "Make runs of blanks one blank in",
        Tidy::Lower => "Write in small letters",
        Tidy::Upper => "Write in capitals",
        Tidy::Title => "Begin each word with a capital in",
        Tidy::Phone => "Keep the digits, and a plus before them, of the telephone numbers in",
        Tidy::Number => "Write as plain numbers",
        Tidy::Date => "Write as ISO dates",
    };
    format!("{how} {}.", change.field)
}

fn first(limit: Option<u32>, one: &str, many: &str) -> Option<String> {
    limit.map(|n| {
        if n == 1 {
            format!("Give the first {one}.")
        } else {
            format!("Give the first {n} {many}.")
        }
    })
}

fn terminal(terminal: &Terminal, things: &str) -> Vec<String> {
    match terminal {
        Terminal::Aggregate {
            measures,
            group_by,
            order,
            limit,
        } => {
            let what = and(&measures.iter().map(measured).collect::<Vec<_>>());
            if group_by.is_empty() {
                let count = measures.iter().all(|m| m.func == Func::Count && m.field.is_none());
                return vec![if count { "Count them.".to_owned() } else { format!("Work out {what}; blanks are left out.") }];
            }
            let mut steps = vec![format!("Group the {things} by {} and work out {what} of each group.", and(group_by))];
            if let Some(order) = order {
                let way = if *order == Order::Descending { "largest" } else { "smallest" };
                steps.push(format!("Order the groups by {}, {way} first.", measures.first().map_or(String::new(), measured)));
            }
            steps.extend(first(*limit, "group", "groups"));
            steps
        }
        Terminal::Rows {
            fields,
            order_by,
            order,
            limit,
        } => {
            let mut steps = Vec::new();
            if let Some(by) = order_by {
                let way = if *order == Order::Descending { "largest" } else { "smallest" };
                steps.push(format!("Order the {things} by {by}, {way} first."));
            }
            steps.extend(first(*limit, "of them", "of them"));
            steps.push(if fields.is_empty() { "Show all their fields.".to_owned() } else { format!("Show {}.", and(fields)) });
            steps
        }
        Terminal::Distinct { field } => vec![format!("List the different values of {field}.")],
        Terminal::Frequencies { field, limit } => {
            let mut steps = vec![format!("Count how often each value of {field} occurs, most frequent first.")];
            steps.extend(first(*limit, "value", "values"));
            steps
        }
        Terminal::Words {
            field,
            limit,
            skip_stop_words,
            ..
        } => vec![
            format!("Cut {field} into words{}.", if *skip_stop_words { ", leaving out the commonest English ones (the, and, …)" } else { "" }),
            format!("Count each word, most frequent first, and give the first {limit}."),
        ],
        Terminal::Histogram {
            field,
            bucket,
            measure,
        } => vec![format!("Group the {things} by the {} in {field} and work out {} of each.", bucket_name(*bucket), measured(measure))],
        Terminal::Extract { field, what, limit } => {
            let mut steps = vec![format!(
                "Find every {} in {} and count how often each occurs.",
                match what {
                    Extractable::Emails => "e-mail address".to_owned(),
                    Extractable::Urls => "URL".to_owned(),
                    Extractable::Ips => "IP address".to_owned(),
                    Extractable::Dates => "date".to_owned(),
                    Extractable::Numbers => "number".to_owned(),
                    Extractable::Pattern(p) => format!("match of `{p}`"),
                },
                field.as_deref().unwrap_or("all text fields")
            )];
            steps.extend(first(*limit, "of them", "of them"));
            steps
        }
        Terminal::Sentiment { field, group_by } => {
            let mut steps = vec![
                format!("Score each {field} by a list of positive and negative words, with negation and emphasis."),
                "Call it positive from +1, negative from -1, neutral between; count each class and show the most extreme.".to_owned(),
            ];
            if let Some(group) = group_by {
                steps.push(format!("Do the same for each {group}."));
            }
            steps
        }
        Terminal::Convert { to } => vec![format!("Write them as {} to a new file.", format_name(*to))],
        Terminal::Describe => vec!["For each field, tell its type, how many values are filled in and different, and its smallest, largest and average.".to_owned()],
        Terminal::Share { wanted } => {
            let tests: Vec<String> = wanted.iter().map(condition).collect();
            vec![format!("Work out the percentage of these {things} where {}.", tests.join(" and "))]
        }
        Terminal::Compare { measure, field, left, right, how } => {
            let what = measured(measure);
            let (left, right) = (shown(left), shown(right));
            vec![match how {
                crate::Comparison::Difference => format!("Work out {what} where {field} is {left} and where it is {right}, and take the second from the first."),
                crate::Comparison::Ratio => format!("Work out {what} where {field} is {left} and where it is {right}, and divide the first by the second."),
            }]
        }
        Terminal::Pivot { rows, columns, measure } => vec![format!(
            "Make a table of {}, with a row for each {} and a column for each {}.",
            measured(measure), axis(rows), axis(columns),
        )],
        Terminal::Clean { changes, unique, order_by, fields, limit, to } => {
            let mut steps: Vec<String> = changes.iter().map(tidied).collect();
            steps.extend(unique.as_ref().map(|by| match by.as_slice() {
                [] => format!("Of {things} that are the same, field for field, keep the first."),
                some => format!("Of {things} with the same {} keep the first.", and(some)),
            }));
            if !order_by.is_empty() {
                let keys: Vec<String> = order_by.iter().map(|s| {
                    let way = if s.order == Order::Descending { "largest" } else { "smallest" };
                    format!("{} ({way} first)", s.field)
                }).collect();
                steps.push(format!("Order them by {}.", keys.join(", then ")));
            }
            steps.extend(first(*limit, "of them", "of them"));
            let kept = if fields.is_empty() { "them".to_owned() } else { format!("their {}", and(fields)) };
            steps.push(format!("Write {kept} to a file, as {}.", format_name(*to)));
            steps
        }
        Terminal::Duplicates { fields } if fields.is_empty() => vec![format!("Count the {things} that are the same, field for field, as one before them.")],
        Terminal::Duplicates { fields } => vec![format!(
            "Count the {things} that have the same {} as one before them, and the different {}.",
            and(fields),
            if fields.len() > 1 { "combinations" } else { "values" }
        )],
    }
}
