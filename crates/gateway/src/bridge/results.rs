//! Results on their way to a client.

use json_rpc::{Error, Members, Outcome, Raw};

use crate::errors::RESOURCE_NOT_FOUND;

/// An upstream's answer to this request as a client of this era is to get it.
pub(crate) fn onward(method: &str, outcome: Outcome, is_modern: bool) -> Outcome {
    if !is_modern {
        return outcome;
    }
    match outcome {
        Ok(result) => Ok(complete(method, result)),
        Err(error) => Err(renumber(method, error)),
    }
}

/// The result with what the newer era wants every result to say.
fn complete(method: &str, result: Raw) -> Raw {
    let is_cacheable = method == "resources/read";
    if !is_cacheable && says_its_type(&result) {
        return result;
    }
    let Ok(mut members) = Members::of(&result) else { return result };
    let mut is_changed = false;
    let mut add = |name: &str, value: Raw| {
        if members.get(name).is_none() {
            members.set(name, value);
            is_changed = true;
        }
    };
    add("resultType", Raw::text("complete"));
    if is_cacheable {
        add("ttlMs", 0.into());
        add("cacheScope", Raw::text("private"));
    }
    if is_changed { members.to_raw() } else { result }
}

/// Whether the result surely says its type: where servers write it, first or last, it need not be taken apart.
fn says_its_type(result: &Raw) -> bool {
    let text = result.as_bytes();
    text.starts_with(br#"{"resultType":"#) || text.ends_with(br#","resultType":"complete"}"#)
}

/// The error with the number that the newer era gave it.
fn renumber(method: &str, error: Raw) -> Raw {
    let is_of_a_resource = method == "resources/read";
    match Members::of(&error) {
        Ok(mut members)
            if is_of_a_resource
                && members.get("code").and_then(|code| code.parse().ok()) == Some(RESOURCE_NOT_FOUND) =>
        {
            members.set("code", Raw::of(&Error::INVALID_PARAMS).expect("a number is always JSON"));
            members.to_raw()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> Raw {
        Raw::read(text).unwrap()
    }

    fn told(method: &str, result: &'static str) -> String {
        onward(method, Ok(raw(result)), true).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_client_of_the_older_era_gets_every_result_as_it_came() {
        let result = r#"{"resultType":"complete","ttlMs":1,"z":1,"content":[],"a":1.50}"#;
        assert_eq!(onward("resources/read", Ok(raw(result)), false).unwrap().as_str(), result);
    }

    #[test]
    fn a_client_of_the_newer_era_gets_what_its_results_must_say() {
        assert_eq!(
            told("tools/call", r#"{"content":[],"vendor":{"b":1, "a":2}}"#),
            r#"{"content":[],"vendor":{"b":1, "a":2},"resultType":"complete"}"#
        );
        assert_eq!(
            told("resources/read", r#"{"resultType":"complete","contents":[],"ttlMs":5}"#),
            r#"{"resultType":"complete","contents":[],"ttlMs":5,"cacheScope":"private"}"#
        );
        let whole = r#"{ "contents":[], "resultType":"complete", "ttlMs":0, "cacheScope":"public" }"#;
        assert_eq!(told("resources/read", whole), whole);
        for whole in [
            r#"{"resultType":"task","taskId":"1"}"#,
            r#"{"content":[],"resultType":"complete"}"#,
            r#"{ "content":[], "resultType":"vendor", "x":1 }"#,
        ] {
            assert_eq!(told("tools/call", whole), whole);
        }
    }

    #[test]
    fn a_word_in_what_a_tool_says_is_not_the_type_of_its_result() {
        for (result, whole) in [
            (
                r#"{"structuredContent":{"resultType":"win"}}"#,
                r#"{"structuredContent":{"resultType":"win"},"resultType":"complete"}"#,
            ),
            (
                r#"{"content":[],"_meta":{"a":1,"resultType":"complete"}}"#,
                r#"{"content":[],"_meta":{"a":1,"resultType":"complete"},"resultType":"complete"}"#,
            ),
        ] {
            assert_eq!(told("tools/call", result), whole);
        }
    }

    #[test]
    fn a_missing_resource_has_the_number_of_the_clients_era() {
        let error = r#"{"code":-32002,"message":"no","data":{"uri":"a:b"}}"#;
        let told =
            |method, is_modern| onward(method, Err(raw(error)), is_modern).unwrap_err().as_str().to_owned();
        assert_eq!(told("resources/read", true), error.replace("-32002", "-32602"));
        assert_eq!(told("resources/read", false), error);
        assert_eq!(told("tools/call", true), error);
    }
}
