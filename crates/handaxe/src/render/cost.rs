//! What a run cost, in a line and as a table.

use std::fmt::Write as _;

use handaxe_agent::Cost;

use super::table::table;
use super::text::Shown;

/// "3 model calls, 4200 tokens, 0.0120 USD, 14.2 s"; `None` where no model was asked.
pub(crate) fn cost_line(cost: &Cost) -> Option<String> {
    let calls: u32 = cost
        .steps
        .iter()
        .filter(|s| s.model.is_some())
        .map(|s| s.calls)
        .sum();
    if calls == 0 {
        return None;
    }
    let plural = if calls == 1 { "" } else { "s" };
    let mut line = format!(
        "{calls} model call{plural}, {} tokens",
        cost.tokens_in + cost.tokens_out
    );
    for (currency, amount) in &cost.money {
        let _ = write!(line, ", {amount:.4} {}", Shown(currency));
    }
    if !cost.money.is_empty() && cost.unpriced_calls > 0 {
        let _ = write!(line, " ({} calls without a price)", cost.unpriced_calls);
    }
    let _ = write!(line, ", {:.1} s", cost.seconds);
    Some(line)
}

pub(crate) fn cost_table(cost: &Cost) -> String {
    let rows = cost
        .steps
        .iter()
        .map(|s| {
            let count = |n: u64| match &s.model {
                Some(_) => n.to_string(),
                None => String::new(),
            };
            vec![
                s.step.clone(),
                s.model.clone().unwrap_or_default(),
                s.calls.to_string(),
                count(s.tokens_in),
                count(s.tokens_out),
                match &s.money {
                    Some((amount, currency)) => format!("{amount:.4} {currency}"),
                    None => String::new(),
                },
                format!("{:.2}", s.seconds),
            ]
        })
        .collect();
    table(
        &[
            "step",
            "model",
            "times",
            "tokens in",
            "out",
            "money",
            "seconds",
        ],
        rows,
    )
}
