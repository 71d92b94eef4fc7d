//! Completions without values that lead to what is kept from clients.

use json_rpc::{Members, Raw};

use super::glance::at;
use crate::catalogue::expanded;

/// What a request wants completed: an argument of a template.
pub(super) struct Completing {
    /// The template at its upstream.
    template: String,
    argument: String,
    /// The arguments that are known already.
    others: Members,
}

impl Completing {
    /// `None` when it is about a prompt, or cannot be read.
    pub(super) fn of(params: &Members) -> Option<Self> {
        let template = at(params.get("ref")?, &["uri"])?.parse().ok()?;
        let argument = at(params.get("argument")?, &["name"])?.parse().ok()?;
        let others = params.get("context").and_then(|context| at(context, &["arguments"]));
        let others = others.and_then(|others| Members::of(&others).ok()).unwrap_or_default();
        Some(Self { template, argument, others })
    }

    /// The completions without values that, put in, make a URI that is refused. A template of which more is unknown makes none yet.
    pub(super) fn permitted(&self, result: Raw, is_refused: impl Fn(&str) -> bool) -> Raw {
        self.filtered(&result, is_refused).unwrap_or(result)
    }

    fn filtered(&self, result: &Raw, is_refused: impl Fn(&str) -> bool) -> Option<Raw> {
        let mut members = Members::of(result).ok()?;
        let mut completion = Members::of(members.get("completion")?).ok()?;
        let values: Vec<String> = completion.get("values")?.parse().ok()?;
        let count = values.len();
        let kept: Vec<String> =
            values.into_iter().filter(|value| !self.uri(value).is_some_and(|uri| is_refused(&uri))).collect();
        if kept.len() == count {
            return None;
        }
        completion.set("values", Raw::of(&kept).expect("texts are always JSON"));
        // It counts what is not told.
        completion.remove("total");
        members.set("completion", completion);
        Some(members.to_raw())
    }

    fn uri(&self, value: &str) -> Option<String> {
        expanded(&self.template, |name| match name == self.argument {
            true => Some(value.to_owned()),
            false => self.others.get(name)?.parse().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> Raw {
        Raw::read(text).unwrap()
    }

    fn completed(params: &'static str, result: &'static str) -> String {
        let completing = Completing::of(&Members::of(&raw(params)).unwrap()).unwrap();
        completing.permitted(raw(result), |uri| uri == "x://secret/1").as_str().to_owned()
    }

    #[test]
    fn values_that_lead_to_what_is_refused_are_left_out() {
        let whole = r#"{"completion":{"values":["public","secret"],"total":2,"hasMore":false},"z":1.0}"#;
        let less = r#"{"completion":{"values":["public"],"hasMore":false},"z":1.0}"#;
        let with =
            r#"{"ref":{"uri":"x://{a}/{b}"},"argument":{"name":"a"},"context":{"arguments":{"b":"1"}}}"#;
        let without = r#"{"ref":{"uri":"x://{a}/{b}"},"argument":{"name":"a"}}"#;

        assert_eq!(completed(with, whole), less);
        assert_eq!(completed(without, whole), whole, "what b will be is not known");
        assert_eq!(completed(with, less), less);
    }
}
