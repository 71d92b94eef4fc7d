//! What was asked and answered, with personal data masked, and not more of it than a line of a log should hold.

use json_rpc::Raw;
use serde_json::{Map, Number, Value};

use super::{
    digits,
    masks::Masks,
    names::{HIDDEN, Kind, are_counts, kind},
};
use crate::trail::cut;

/// Longest body in the log, in bytes.
const MOST: usize = 16 << 10;

/// Bodies that are longer are not even read.
const MOST_READ: usize = 1 << 20;

/// What is looked at beyond the end of a text that is cut: nothing of this length is to be cut in two before it is masked.
pub(super) const BEYOND: usize = 256;

/// Texts that are JSON again are read so deep.
const MOST_DEEP: usize = 4;

/// Pictures, sounds and files are longer than this.
const LONGEST_DATA: usize = 256;

/// The body as the log shows it, and whether something was left out.
pub(super) fn shown(body: &Raw, masks: &Masks) -> (Value, bool) {
    let value = if body.as_bytes().len() <= MOST_READ { body.parse::<Value>().ok() } else { None };
    let mut page = Page { masks, room: MOST, is_cut: value.is_none() };
    let value = value.map_or(Value::Null, |value| page.value(value, 0));
    (value, page.is_cut)
}

/// A page of the log, which is being filled.
struct Page<'m> {
    masks: &'m Masks,
    room: usize,
    is_cut: bool,
}

impl Page<'_> {
    fn value(&mut self, value: Value, depth: usize) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text, depth)),
            Value::Array(values) => {
                self.all(values, |page, value| Some(page.value(value, depth))).into_iter().collect()
            }
            Value::Object(members) => Value::Object(self.members(members, depth)),
            Value::Number(number) => self.number(number),
            other => other,
        }
    }

    fn members(&mut self, members: Map<String, Value>, depth: usize) -> Map<String, Value> {
        self.all(members, |page, (name, value)| {
            let shown = page.text(&name, MOST_DEEP);
            let value = match kind(&name) {
                Kind::Counts if are_counts(&value) => page.value(value, depth),
                Kind::Hidden | Kind::Counts => page.hidden(value),
                Kind::Data => page.data(value, depth),
                Kind::Plain => page.value(value, depth),
            };
            Some((shown, value))
        })
        .into_iter()
        .collect()
    }

    /// As many as there is room for.
    fn all<T, U>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut one: impl FnMut(&mut Self, T) -> Option<U>,
    ) -> Vec<U> {
        let mut shown = Vec::new();
        for item in items {
            if self.room == 0 {
                self.is_cut = true;
                break;
            }
            self.take(2);
            shown.extend(one(self, item));
        }
        shown
    }

    /// A picture, sound or file is of no use in a log.
    fn data(&mut self, value: Value, depth: usize) -> Value {
        match value.as_str() {
            Some(data) if data.len() > LONGEST_DATA => {
                self.take(HIDDEN.len());
                format!("[{} characters]", data.len()).into()
            }
            _ => self.value(value, depth),
        }
    }

    /// Texts and numbers within are not shown, but what there is.
    fn hidden(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) if text.is_empty() => text.into(),
            Value::String(_) | Value::Number(_) => {
                self.take(HIDDEN.len());
                HIDDEN.into()
            }
            Value::Array(values) => self.all(values, |page, value| Some(page.hidden(value))).into(),
            Value::Object(members) => {
                let hidden = self.all(members, |page, (name, value)| {
                    Some((page.text(&name, MOST_DEEP), page.hidden(value)))
                });
                Value::Object(hidden.into_iter().collect())
            }
            other => other,
        }
    }

    /// Ids and counts stay; a number of a card does not, nor does what somebody wants masked in texts too.
    fn number(&mut self, number: Number) -> Value {
        let text = number.to_string();
        let known = if is_card(&text) { "[card]" } else { &text };
        let masked = self.masks.fitted(known);
        self.take(masked.len());
        if masked == text { Value::Number(number) } else { masked.into() }
    }

    fn text(&mut self, text: &str, depth: usize) -> String {
        // Servers repeat as a text what they give as JSON.
        if depth < MOST_DEEP
            && text.trim_start().starts_with(['{', '['])
            && let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
        {
            return self.value(value, depth + 1).to_string();
        }
        let seen = cut(text, self.room + BEYOND);
        let masked = self.masks.text(seen);
        let is_cut = seen.len() < text.len();
        let beyond = if is_cut { BEYOND } else { 0 };
        let shown = cut(&masked, self.room.min(masked.len().saturating_sub(beyond)));
        self.is_cut |= is_cut || shown.len() < masked.len();
        self.take(shown.len());
        shown.to_owned()
    }

    fn take(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }
}

fn is_card(number: &str) -> bool {
    let digits = number.bytes().map(|byte| byte.checked_sub(b'0').filter(|digit| *digit < 10));
    digits.collect::<Option<Vec<_>>>().is_some_and(|digits| digits::is_card(&digits))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(body: &Value) -> (Value, bool) {
        shown(&Raw::of(body).unwrap(), &Masks::default())
    }

    #[test]
    fn members_named_like_secrets_or_personal_data_are_hidden_and_others_stay() {
        let body = json!({
            "name": "files__read", "id": 4_111_111_111_111_112_u64, "count": 42, "ok": true, "progressToken": "t-1",
            "arguments": {
                "first_name": "Ada", "e-mail": "x", "clientSecret": "s", "API-Key": 12, "pin": 1234, "note": null,
                "address": {"street": "Main St 1", "floors": [1, 2], "is_new": false},
                "ada@example.com": "see +49 30 901820", "card": 4_111_111_111_111_111_u64,
            },
        });
        let expected = json!({
            "name": "files__read", "id": 4_111_111_111_111_112_u64, "count": 42, "ok": true, "progressToken": "t-1",
            "arguments": {
                "first_name": "[hidden]", "e-mail": "[hidden]", "clientSecret": "[hidden]", "API-Key": "[hidden]",
                "pin": "[hidden]", "note": null,
                "address": {"street": "[hidden]", "floors": ["[hidden]", "[hidden]"], "is_new": false},
                "[email]": "see [phone]", "card": "[card]",
            },
        });
        assert_eq!(masked(&body), (expected, false));
    }

    #[test]
    fn a_number_that_fits_a_pattern_of_somebodys_own_is_masked_as_in_a_text() {
        let masks = Masks::new(&["^77[0-9]{3}$".to_owned(), "5".to_owned()]).unwrap();
        let body = json!({"a": 77_123, "b": [77_1234, "77123"], "c": -151, "d": 4_111_111_111_111_111_u64});
        let (shown, is_cut) = shown(&Raw::of(&body).unwrap(), &masks);
        let expected =
            json!({"a": "[masked]", "b": [77_1234, "[masked]"], "c": "-1[masked]1", "d": "[card]"});
        assert_eq!((shown, is_cut), (expected, false));
    }

    #[test]
    fn several_secrets_are_hidden_and_counts_of_tokens_stay() {
        let body = json!({
            "passwords": ["hunter2", 1234], "user_secrets": {"a": "x"}, "cookies": "a=b", "apiKeys": ["x"],
            "API_TOKENS": ["x", 1], "tokens": {"a": "x", "n": 1}, "refresh-tokens": "x", "pageTokens": ["x"],
        });
        let expected = json!({
            "passwords": ["[hidden]", "[hidden]"], "user_secrets": {"a": "[hidden]"}, "cookies": "[hidden]",
            "apiKeys": ["[hidden]"], "API_TOKENS": ["[hidden]", "[hidden]"],
            "tokens": {"a": "[hidden]", "n": "[hidden]"}, "refresh-tokens": "[hidden]", "pageTokens": ["x"],
        });
        assert_eq!(masked(&body), (expected, false));
        let counts = json!({
            "max_tokens": "100", "usage": {"input_tokens": 12, "outputTokens": 3, "total_tokens": 15},
            "prompt_tokens_details": {"cached_tokens": 7}, "tokens": 12, "thinkingTokens": null,
            "each": [{"tokens": {"input": 12, "output": 3}}, {"tokens": [15_339, 1_917]}],
        });
        assert_eq!(masked(&counts), (counts, false));
    }

    #[test]
    fn json_within_a_text_is_masked_as_json() {
        let inner = json!({"password": "hunter2", "n": 1, "people": [{"surname": "Lovelace"}]}).to_string();
        for (before, after) in [("", ""), ("\n ", "\n"), ("Result: ", "."), ("```json\n", "\n```")] {
            let text = format!("{before}{inner}{after}");
            let (shown, _) = masked(&json!({"content": [{"type": "text", "text": text}]}));
            let text = shown["content"][0]["text"].as_str().unwrap();
            let text = text.strip_prefix(before).unwrap_or(text);
            let text: Value = serde_json::from_str(text.strip_suffix(after).unwrap_or(text)).unwrap();
            assert_eq!(text, json!({"password": "[hidden]", "n": 1, "people": [{"surname": "[hidden]"}]}));
        }
    }

    #[test]
    fn a_body_is_bounded_and_nothing_is_cut_in_two_before_it_is_masked() {
        for offset in 0..80 {
            let text =
                format!("{}ada.lovelace@example.com {}", "x ".repeat((MOST - offset) / 2), "y".repeat(300));
            let (shown, is_cut) = masked(&json!({ "text": text }));
            let shown = shown["text"].as_str().unwrap();
            assert!(is_cut && shown.len() <= MOST && shown.len() > MOST - 600);
            assert!(!shown.contains("ada"), "{offset}: {}", &shown[MOST - 700..]);
        }
        let many: Vec<_> = (0..100_000).collect();
        let (shown, is_cut) = masked(&json!(many));
        assert!(is_cut && shown.to_string().len() <= MOST && shown.as_array().unwrap().len() > 1_000);
        let (shown, is_cut) = masked(&json!("x".repeat(MOST_READ)));
        assert!(is_cut && shown.is_null());
    }

    #[test]
    fn pictures_are_left_out() {
        let (shown, _) =
            masked(&json!({"type": "image", "data": "A".repeat(5_000), "mimeType": "image/png"}));
        assert_eq!(shown, json!({"type": "image", "data": "[5000 characters]", "mimeType": "image/png"}));
    }
}
