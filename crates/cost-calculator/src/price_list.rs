//! Which model costs what.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::{Usage, Usd};

const BUILT_IN: &str = include_str!("../prices.toml");
/// Region prefixes of Bedrock's cross-region inference profiles; the model behind them costs the same.
const REGION_PREFIXES: [&str; 4] = ["us.", "eu.", "apac.", "global."];
const TOKENS_PER_PRICE: i64 = 1_000_000;
const MAX_DECIMALS: u32 = 6;
/// Dearest price that is accepted, US dollars per million tokens: it keeps every cost inside a [`Usd`].
const MAX_PRICE: i64 = 1_000_000;

/// Prices by model.
#[derive(Debug, Clone)]
pub struct PriceList {
    models: HashMap<String, Price>,
    aliases: HashMap<String, String>,
}

/// What some usage cost, and how far to trust the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The amount, unrounded. Zero when unpriced.
    pub amount: Usd,
    /// How it was found.
    pub provenance: Provenance,
}

/// How a cost was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// Counted tokens, listed prices.
    Exact,
    /// Tokens, or the price of a part of them, were estimated.
    Estimated,
    /// The model has no listed price: the cost is unknown.
    Unpriced,
}

/// Why a price list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The file is not TOML of the documented shape.
    #[error("not a price list: {0}")]
    Malformed(String),
    /// A price is not a plain amount.
    #[error(
        "price `{field}` of `{model}` is `{value}`; allowed is 0 to {MAX_PRICE} with at most {MAX_DECIMALS} decimals"
    )]
    Price {
        /// The model's id.
        model: String,
        /// The field of the row.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A name stands for two models.
    #[error("`{0}` is listed twice")]
    Twice(String),
}

#[derive(Debug, Clone)]
struct Price {
    provider: String,
    short_name: Option<String>,
    prompt: Decimal,
    completion: Decimal,
    cached_prompt: Option<Decimal>,
    cache_write: Option<Decimal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    model: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    provider: String,
    #[serde(default)]
    aliases: Vec<String>,
    prompt: String,
    completion: String,
    cached_prompt: Option<String>,
    cache_write: Option<String>,
    #[expect(dead_code, reason = "every price must say where it comes from; nobody computes with it")]
    source: String,
    #[expect(dead_code, reason = "every price must say from when it is; nobody computes with it")]
    date: String,
}

impl PriceList {
    /// The list that comes with the program.
    #[must_use]
    pub fn built_in() -> Self {
        let mut list = Self { models: HashMap::new(), aliases: HashMap::new() };
        list.merge(BUILT_IN).expect("the built-in list is read by a test");
        list
    }

    /// Adds the models of `toml`, in the shape of `prices.toml`; a model that is already listed gets the new price.
    ///
    /// # Errors
    /// When the text is not a price list, a price is not a plain amount, or a name stands twice. The list is unchanged then.
    pub fn merge(&mut self, toml: &str) -> Result<(), PriceError> {
        let file: File = toml::from_str(toml).map_err(|error| PriceError::Malformed(error.to_string()))?;
        let mut models = HashMap::new();
        let mut aliases = HashMap::new();
        for row in file.model {
            for alias in &row.aliases {
                if aliases.insert(alias.clone(), row.id.clone()).is_some() {
                    return Err(PriceError::Twice(alias.clone()));
                }
            }
            let price = Price {
                prompt: amount(&row.id, "prompt", &row.prompt)?,
                completion: amount(&row.id, "completion", &row.completion)?,
                cached_prompt: optional(&row.id, "cached_prompt", row.cached_prompt.as_deref())?,
                cache_write: optional(&row.id, "cache_write", row.cache_write.as_deref())?,
                short_name: row.aliases.into_iter().next(),
                provider: row.provider,
            };
            if models.insert(row.id.clone(), price).is_some() {
                return Err(PriceError::Twice(row.id));
            }
        }
        for (id, mut price) in models {
            if let (None, Some(listed)) = (&price.short_name, self.models.get(&id)) {
                price.short_name.clone_from(&listed.short_name);
            }
            self.models.insert(id, price);
        }
        self.aliases.extend(aliases);
        Ok(())
    }

    /// The full id that `name` stands for: an alias becomes its model's id, any other name stays as it is.
    #[must_use]
    pub fn full_id<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// The models of `provider` by their short names (the full id where there is none), sorted.
    #[must_use]
    pub fn names(&self, provider: &str) -> Vec<String> {
        let mut names: Vec<_> = self
            .models
            .iter()
            .filter(|(_, price)| price.provider == provider)
            .map(|(id, price)| price.short_name.clone().unwrap_or_else(|| id.clone()))
            .collect();
        names.sort();
        names
    }

    /// What `usage` of `model` costs. The model may be an alias, a dated snapshot or carry a region prefix.
    ///
    /// A cached part without a listed price is charged as ordinary prompt tokens and makes the cost an estimate.
    #[must_use]
    pub fn cost(&self, model: &str, usage: &Usage) -> Cost {
        let Some(price) = self.find(model) else {
            return Cost { amount: Usd::ZERO, provenance: Provenance::Unpriced };
        };
        let cached = usage.cached_prompt_tokens.unwrap_or(0).min(usage.prompt_tokens);
        let written = usage.cache_write_tokens.unwrap_or(0).min(usage.prompt_tokens - cached);
        let parts = [
            (usage.prompt_tokens - cached - written, Some(price.prompt)),
            (cached, price.cached_prompt),
            (written, price.cache_write),
            (usage.completion_tokens, Some(price.completion)),
        ];
        let guessed = parts.iter().any(|(tokens, listed)| *tokens > 0 && listed.is_none());
        let sum = parts.iter().try_fold(Decimal::ZERO, |sum, (tokens, listed)| {
            sum.checked_add(listed.unwrap_or(price.prompt).checked_mul(Decimal::from(*tokens))?)
        });
        match sum.and_then(|sum| Usd::from_decimal(sum / Decimal::from(TOKENS_PER_PRICE))) {
            Some(amount) if guessed => Cost { amount, provenance: Provenance::Estimated },
            Some(amount) => Cost { amount, provenance: Provenance::Exact },
            // More tokens than any model can take: a broken report, not a bill.
            None => Cost { amount: Usd::ZERO, provenance: Provenance::Unpriced },
        }
    }

    fn find(&self, model: &str) -> Option<&Price> {
        let listed = |name: &str| self.models.get(self.full_id(name));
        let without_arn = inference_target(model);
        let without_region =
            REGION_PREFIXES.iter().find_map(|prefix| without_arn.strip_prefix(prefix)).unwrap_or(without_arn);
        listed(model)
            .or_else(|| listed(without_arn))
            .or_else(|| listed(without_region))
            .or_else(|| listed(without_snapshot(without_region)?))
    }
}

/// The model at the end of `arn:aws:bedrock:REGION:ACCOUNT:inference-profile/MODEL`, or the name itself.
fn inference_target(model: &str) -> &str {
    if !model.starts_with("arn:") {
        return model;
    }
    ["inference-profile/", "foundation-model/"]
        .iter()
        .find_map(|kind| model.split_once(kind))
        .map_or(model, |(_, target)| target)
}

/// `gpt-4o-mini-2024-07-18` and `gpt-4-0613` without their date.
fn without_snapshot(model: &str) -> Option<&str> {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, last) = model.rsplit_once('-')?;
    if digits(last, 4) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    (digits(year, 4) && digits(month, 2) && digits(last, 2)).then_some(rest)
}

fn optional(model: &str, field: &'static str, value: Option<&str>) -> Result<Option<Decimal>, PriceError> {
    value.map(|value| amount(model, field, value)).transpose()
}

fn amount(model: &str, field: &'static str, value: &str) -> Result<Decimal, PriceError> {
    let plain = value.parse::<Decimal>().ok().map(|decimal| decimal.normalize());
    plain
        .filter(|price| {
            price.scale() <= MAX_DECIMALS && (Decimal::ZERO..=Decimal::from(MAX_PRICE)).contains(price)
        })
        .ok_or_else(|| PriceError::Price { model: model.to_owned(), field, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(prompt_tokens: u64, completion_tokens: u64) -> Usage {
        Usage { prompt_tokens, completion_tokens, ..Usage::default() }
    }

    fn exact(model: &str, usage: &Usage) -> String {
        let cost = PriceList::built_in().cost(model, usage);
        assert_eq!(cost.provenance, Provenance::Exact, "{model}");
        cost.amount.to_string()
    }

    /// The table of the REST API's documentation: US dollars per 1 000 tokens.
    const TABLE: [(&str, &str, &str); 17] = [
        ("gpt-4", "0.03", "0.06"),
        ("gpt-4-turbo", "0.01", "0.03"),
        ("gpt-4o", "0.005", "0.015"),
        ("gpt-4o-mini", "0.00015", "0.0006"),
        ("gpt-3.5-turbo", "0.0015", "0.002"),
        ("claude-3.5-sonnet-v2", "0.003", "0.015"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "0.003", "0.015"),
        ("claude-3.5-sonnet", "0.003", "0.015"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "0.003", "0.015"),
        ("claude-3.5-haiku", "0.0008", "0.004"),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", "0.0008", "0.004"),
        ("claude-3-sonnet", "0.003", "0.015"),
        ("anthropic.claude-3-sonnet-20240229-v1:0", "0.003", "0.015"),
        ("claude-3-haiku", "0.00025", "0.00125"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "0.00025", "0.00125"),
        ("claude-3-opus", "0.015", "0.075"),
        ("anthropic.claude-3-opus-20240229-v1:0", "0.015", "0.075"),
    ];

    #[test]
    fn every_listed_price_is_exact_for_both_kinds_of_tokens() {
        for (model, prompt, completion) in TABLE {
            assert_eq!(exact(model, &tokens(1_000, 0)), prompt, "prompt of {model}");
            assert_eq!(exact(model, &tokens(0, 1_000)), completion, "completion of {model}");
        }
    }

    #[test]
    fn one_token_costs_its_millionth_to_the_last_decimal() {
        assert_eq!(exact("gpt-4o-mini", &tokens(1, 0)), "0.00000015");
        assert_eq!(exact("claude-3-haiku", &tokens(1, 1)), "0.0000015");
        assert_eq!(exact("gpt-4o-mini", &tokens(12, 30)), "0.0000198");
        assert_eq!(exact("gpt-3.5-turbo", &tokens(999_999, 777_777)), "3.0555525");
    }

    #[test]
    fn snapshots_and_region_prefixes_find_their_base_price() {
        for (name, base) in [
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("gpt-4o-2024-05-13", "gpt-4o"),
            ("gpt-4-turbo-2024-04-09", "gpt-4-turbo"),
            ("gpt-4-0613", "gpt-4"),
            ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
            ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3.5-sonnet-v2"),
            ("eu.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
            ("apac.anthropic.claude-3-sonnet-20240229-v1:0", "claude-3-sonnet"),
            ("global.anthropic.claude-3-opus-20240229-v1:0", "claude-3-opus"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0",
                "claude-3-haiku",
            ),
        ] {
            let usage = tokens(1_001, 1_003);
            assert_eq!(exact(name, &usage), exact(base, &usage), "{name}");
        }
    }

    #[test]
    fn a_model_that_only_looks_like_a_listed_one_is_unpriced() {
        for model in [
            "gpt-4-32k",
            "gpt-4-1106-preview",
            "gpt-5",
            "openai/gpt-4o",
            "gpt-4o-mini-20240718",
            "",
            "us.",
            "-2024-07-18",
        ] {
            let cost = PriceList::built_in().cost(model, &tokens(1_000, 1_000));
            assert_eq!(cost, Cost { amount: Usd::ZERO, provenance: Provenance::Unpriced }, "{model}");
        }
    }

    #[test]
    fn cached_tokens_have_their_own_price() {
        let usage = Usage { cached_prompt_tokens: Some(400), ..tokens(1_000, 0) };
        assert_eq!(exact("gpt-4o-mini", &usage), "0.00012"); // 600 × 0.15/M + 400 × 0.075/M
        let usage =
            Usage { cached_prompt_tokens: Some(400), cache_write_tokens: Some(100), ..tokens(1_000, 0) };
        assert_eq!(exact("claude-3.5-sonnet-v2", &usage), "0.001995"); // 500 × 3/M + 400 × 0.3/M + 100 × 3.75/M
    }

    #[test]
    fn cached_tokens_without_a_listed_price_make_the_cost_an_estimate() {
        let usage = Usage { cached_prompt_tokens: Some(400), ..tokens(1_000, 0) };
        let cost = PriceList::built_in().cost("gpt-4", &usage);
        assert_eq!((cost.amount.to_string().as_str(), cost.provenance), ("0.03", Provenance::Estimated));
    }

    #[test]
    fn reports_that_cannot_be_true_are_not_billed() {
        let more_cached_than_sent = Usage { cached_prompt_tokens: Some(2_000), ..tokens(1_000, 0) };
        assert_eq!(exact("gpt-4o-mini", &more_cached_than_sent), "0.000075");
        let cost = PriceList::built_in().cost("gpt-4", &tokens(u64::MAX, u64::MAX));
        assert_eq!(cost.provenance, Provenance::Unpriced);
    }

    const ROW: &str = "[[model]]\nid = \"gpt-4\"\nprovider = \"openai\"\ncompletion = \"61.5\"\nsource = \"contract\"\ndate = \"2026-01-01\"\n";

    #[test]
    fn an_override_changes_and_adds_prices() {
        let mut list = PriceList::built_in();
        list.merge(&format!("{ROW}prompt = \"29.000001\"\naliases = [\"ours\"]")).unwrap();
        assert_eq!(list.cost("gpt-4", &tokens(1, 0)).amount.to_string(), "0.000029000001");
        assert_eq!(list.full_id("ours"), "gpt-4");
        assert_eq!(list.cost("gpt-4o", &tokens(1_000, 0)).amount.to_string(), "0.005");
        assert_eq!(list.names("openai"), ["gpt-3.5-turbo", "gpt-4-turbo", "gpt-4o", "gpt-4o-mini", "ours"]);
    }

    #[test]
    fn a_broken_override_says_what_is_wrong_and_changes_nothing() {
        for (broken, said) in [
            ("prompt = \"-1\"", "price `prompt` of `gpt-4` is `-1`"),
            ("prompt = \"0.0000001\"", "at most 6 decimals"),
            ("prompt = \"cheap\"", "`cheap`"),
            ("prompt = 3", "expected a string"),
            ("prompt = \"1\"\nprice = \"2\"", "unknown field `price`"),
        ] {
            let mut list = PriceList::built_in();
            let error = list.merge(&format!("{ROW}{broken}")).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(list.cost("gpt-4", &tokens(1_000, 0)).amount.to_string(), "0.03");
        }
        let twice = format!("{ROW}prompt = \"1\"\n{ROW}prompt = \"2\"");
        assert!(matches!(PriceList::built_in().merge(&twice), Err(PriceError::Twice(id)) if id == "gpt-4"));
    }
}
