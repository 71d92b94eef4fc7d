//! Which parameters a model takes. Reasoning models refuse `max_tokens` and `temperature`; others may not know
//! `max_completion_tokens`. What the name does not tell is learned from the refusal.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Models come from requests, so that their number needs a bound.
const MAX_MODELS: usize = 256;

/// A parameter that a model may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    MaxTokens,
    MaxCompletionTokens,
    Temperature,
}

impl Parameter {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "max_tokens" => Some(Self::MaxTokens),
            "max_completion_tokens" => Some(Self::MaxCompletionTokens),
            "temperature" => Some(Self::Temperature),
            _ => None,
        }
    }
}

/// How to ask a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// `max_completion_tokens` instead of `max_tokens`.
    pub(super) completion_limit: bool,
    /// Whether to send `temperature`.
    pub(super) temperature: bool,
}

impl Parameters {
    /// What the family of `model` takes: o1, o3, o4-mini, gpt-5 and their like reason, `gpt-5-chat` does not.
    /// Prefixes of routers (`openai/o3`) and of tuned models (`ft:o4-mini:…`) are looked through.
    fn of_family(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok();
        let reasons = if let Some(rest) = name.strip_prefix("gpt-") {
            number(rest).is_some_and(|generation| generation >= 5) && !name.contains("-chat")
        } else {
            name.strip_prefix('o').and_then(number).is_some()
        };
        Self { completion_limit: reasons, temperature: !reasons }
    }

    fn without(self, refused: Parameter) -> Self {
        match refused {
            Parameter::MaxTokens => Self { completion_limit: true, ..self },
            Parameter::MaxCompletionTokens => Self { completion_limit: false, ..self },
            Parameter::Temperature => Self { temperature: false, ..self },
        }
    }
}

/// What models have refused so far.
#[derive(Default)]
pub(super) struct Learned {
    by_model: Mutex<HashMap<String, Parameters>>,
}

impl Learned {
    /// How to ask `model` first.
    pub(super) fn first_try(&self, model: &str) -> Try {
        let by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        let parameters = by_model.get(model).copied().unwrap_or_else(|| Parameters::of_family(model));
        Try { parameters, changes_left: 2 }
    }

    /// How to ask `model` after it refused a parameter; `None` when there is nothing left to change.
    pub(super) fn next_try(&self, model: &str, last: Try, refused: Parameter) -> Option<Try> {
        let parameters = last.parameters.without(refused);
        let changes_left = last.changes_left.checked_sub(1)?;
        if parameters == last.parameters {
            return None;
        }
        let mut by_model = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        if by_model.len() >= MAX_MODELS && !by_model.contains_key(model) {
            // Forgetting costs one refused request per model, and refused requests are free.
            by_model.clear();
        }
        by_model.insert(model.to_owned(), parameters);
        Some(Try { parameters, changes_left })
    }
}

/// One way to ask. There are two parameters to change, which bounds the tries.
#[derive(Clone, Copy)]
pub(super) struct Try {
    pub(super) parameters: Parameters,
    changes_left: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_families_are_known_by_name() {
        for model in
            ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.1-mini", "openai/gpt-5", "ft:o4-mini:x"]
        {
            assert!(Parameters::of_family(model).completion_limit, "{model}");
        }
        for model in
            ["gpt-4", "gpt-4o-mini", "gpt-3.5-turbo", "gpt-5-chat-latest", "gpt-oss:20b", "openchat", "olmo2"]
        {
            assert!(Parameters::of_family(model).temperature, "{model}");
        }
    }

    #[test]
    fn what_was_learned_is_remembered_for_that_model_and_bounded() {
        let learned = Learned::default();
        let first = learned.first_try("m");
        let second = learned.next_try("m", first, Parameter::MaxTokens).unwrap();
        assert!(learned.next_try("m", second, Parameter::MaxTokens).is_none());
        assert_eq!(learned.first_try("m").parameters, second.parameters);
        assert_eq!(learned.first_try("n").parameters, first.parameters);
        for number in 0..2 * MAX_MODELS {
            learned.next_try(&number.to_string(), first, Parameter::Temperature);
        }
        assert!(learned.by_model.lock().unwrap().len() <= MAX_MODELS);
    }

    #[test]
    fn a_model_that_refuses_one_thing_and_its_opposite_is_given_up() {
        let learned = Learned::default();
        let mut next = Some(learned.first_try("m"));
        let mut tries = 0;
        while let Some(last) = next {
            let refused = if last.parameters.completion_limit {
                Parameter::MaxCompletionTokens
            } else {
                Parameter::MaxTokens
            };
            next = learned.next_try("m", last, refused);
            tries += 1;
        }
        assert_eq!(tries, 3);
    }
}
