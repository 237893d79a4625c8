//! What each step of a run cost: tokens, money where a price is known, seconds.

use std::collections::BTreeMap;

use handaxe_registry::{Attempt, ExchangeSummary};
use serde::{Deserialize, Serialize};

use super::report::Invocation;

/// What a model's tokens cost, in `currency` for a million of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    #[serde(default = "dollars")]
    pub currency: String,
}

fn dollars() -> String {
    "USD".to_owned()
}

/// Of a run, step by step and in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub steps: Vec<StepCost>,
    pub tokens_in: u64,
    pub tokens_out: u64,
    /// Of the calls whose model has a price, by currency.
    pub money: BTreeMap<String, f64>,
    /// Model calls whose model has no price: the money above leaves them out.
    pub unpriced_calls: u32,
    pub seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCost {
    /// A role's name; `proof` for trials, `run` for calls of tools.
    pub step: String,
    /// Of a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of the model; or attempts, or calls of tools.
    pub calls: u32,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub seconds: f64,
    /// Amount and currency, where the model has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<(f64, String)>,
}

impl Cost {
    pub fn of(
        exchanges: &[ExchangeSummary],
        attempts: &[Attempt],
        invocations: &[Invocation],
        prices: &BTreeMap<String, Price>,
    ) -> Self {
        let mut cost = Self::default();
        for exchange in exchanges {
            cost.model_call(exchange, prices);
        }
        let proved = attempts.iter().filter_map(|a| a.trial.as_ref());
        cost.work("proof", proved.map(|t| t.wall_ms));
        cost.work("run", invocations.iter().map(|i| i.result.runtime_ms));
        cost
    }

    fn model_call(&mut self, exchange: &ExchangeSummary, prices: &BTreeMap<String, Price>) {
        let (tokens_in, tokens_out) = (exchange.tokens_in, exchange.tokens_out);
        let money = prices.get(&exchange.model).map(|price| {
            let amount = tokens_in as f64 * price.input + tokens_out as f64 * price.output;
            (amount / 1e6, price.currency.clone())
        });
        match &money {
            Some((amount, currency)) => {
                *self.money.entry(currency.clone()).or_default() += amount;
            }
            None => self.unpriced_calls += 1,
        }
        self.tokens_in += tokens_in;
        self.tokens_out += tokens_out;
        self.seconds += exchange.seconds;
        let known = self.steps.iter_mut().find(|s| {
            s.step == exchange.role && s.model.as_deref() == Some(exchange.model.as_str())
        });
        if let Some(step) = known {
            step.calls += 1;
            step.tokens_in += tokens_in;
            step.tokens_out += tokens_out;
            step.seconds += exchange.seconds;
            if let (Some((sum, _)), Some((amount, _))) = (&mut step.money, &money) {
                *sum += amount;
            }
            return;
        }
        self.steps.push(StepCost {
            step: exchange.role.clone(),
            model: Some(exchange.model.clone()),
            calls: 1,
            tokens_in,
            tokens_out,
            seconds: exchange.seconds,
            money,
        });
    }

    /// A step without a model.
    fn work(&mut self, step: &str, times_ms: impl Iterator<Item = f64>) {
        let times: Vec<f64> = times_ms.collect();
        if times.is_empty() {
            return;
        }
        let seconds = times.iter().sum::<f64>() / 1e3;
        self.seconds += seconds;
        self.steps.push(StepCost {
            step: step.to_owned(),
            model: None,
            calls: times.len() as u32,
            tokens_in: 0,
            tokens_out: 0,
            seconds,
            money: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::Digest;

    #[test]
    fn sums() {
        let call = |role: &str, model: &str, tokens_in, tokens_out| ExchangeSummary {
            key: String::new(),
            role: role.to_owned(),
            model: model.to_owned(),
            prompt: Digest::of(b""),
            reply: Digest::of(b""),
            tokens_in,
            tokens_out,
            seconds: 1.5,
            at_ms: 0,
        };
        let price = Price {
            input: 2.0,
            output: 10.0,
            currency: dollars(),
        };
        let prices = BTreeMap::from([("a:strong".to_owned(), price)]);
        let calls = [
            call("author", "a:strong", 1000, 100),
            call("tester", "b:cheap", 500, 50),
            call("author", "a:strong", 2000, 200),
        ];
        let cost = Cost::of(&calls, &[], &[], &prices);
        assert_eq!(
            (cost.tokens_in, cost.tokens_out, cost.seconds),
            (3500, 350, 4.5)
        );
        assert_eq!(cost.unpriced_calls, 1);
        assert!((cost.money["USD"] - 0.009).abs() < 1e-12, "{cost:?}");
        assert_eq!(cost.steps.len(), 2);
        assert_eq!((cost.steps[0].calls, cost.steps[0].tokens_in), (2, 3000));
        assert_eq!(cost.steps[1].money, None);
    }
}
