//! What a request came to.

use json_rpc::{Members, Raw};

use super::{LONGEST_MESSAGE, cut};
use crate::errors::{Answer, Fault};

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// A tool says that it failed.
    ToolError,
    /// The client was told what is needed, and is to come again.
    InputRequired,
    /// An upstream's own error, of this number.
    Theirs(Option<i64>),
    /// The gateway's, and what it said.
    Ours {
        number: i64,
        code: &'static str,
        message: String,
    },
    /// The client took it back, or has left.
    Cancelled,
}

impl End {
    pub(super) fn of(answer: &Answer) -> Self {
        match answer {
            Ok(result) if says(result, "\"isError\"", "true") => Self::ToolError,
            Ok(result) if says(result, "\"resultType\"", "\"input_required\"") => Self::InputRequired,
            Ok(_) => Self::Done,
            Err(Fault::Theirs(error)) => Self::Theirs(number(error)),
            Err(Fault::Ours(refusal)) => Self::Ours {
                number: refusal.number(),
                code: refusal.code(),
                message: cut(refusal.message(), LONGEST_MESSAGE).to_owned(),
            },
        }
    }

    /// One word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::ToolError => "tool_error",
            Self::InputRequired => "input_required",
            Self::Theirs(_) | Self::Ours { .. } => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Whether a result has this member with this value. Most have not: looking for the text is much quicker than taking it apart.
fn says(result: &Raw, name: &str, value: &str) -> bool {
    let is_said = memchr::memmem::find_iter(result.as_bytes(), name).any(|at| {
        let rest = result.as_bytes()[at + name.len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(value.as_bytes()))
    });
    is_said
        && Members::of(result).is_ok_and(|members| {
            members.get(name.trim_matches('"')).is_some_and(|member| member.as_str() == value)
        })
}

fn number(error: &Raw) -> Option<i64> {
    Members::of(error).ok()?.get("code")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors;

    fn end(result: &str) -> End {
        End::of(&Ok(Raw::read(result.to_owned()).unwrap()))
    }

    #[test]
    fn a_result_says_whether_the_tool_failed_or_needs_something() {
        for (result, expected) in [
            (r#"{"content":[]}"#, End::Done),
            (r#"{"content":[],"isError":false}"#, End::Done),
            (r#"{"content":[],"isError" : true}"#, End::ToolError),
            (r#"{"structuredContent":{"isError":true}}"#, End::Done),
            (r#"{"resultType": "input_required"}"#, End::InputRequired),
            (r#"{"text":"\"resultType\":\"input_required\""}"#, End::Done),
        ] {
            assert_eq!(end(result), expected, "{result}");
        }
    }

    #[test]
    fn a_message_is_remembered_up_to_a_length() {
        let long = errors::invalid_params("x".repeat(1 << 20));
        let End::Ours { message, .. } = End::of(&Err(long.into())) else { panic!("it is the gateway's own") };
        assert_eq!(message.len(), LONGEST_MESSAGE);
    }

    #[test]
    fn an_error_has_a_number_and_the_gateways_own_a_name_and_a_reason() {
        let theirs = Raw::read(r#"{"code":-32000,"message":"Ada's file"}"#).unwrap();
        assert_eq!(End::of(&Err(Fault::Theirs(theirs))), End::Theirs(Some(-32000)));
        let ours = End::of(&Err(errors::access_denied("by \"x\"").into()));
        let message = "access denied: by \"x\"".to_owned();
        assert_eq!(ours, End::Ours { number: -32004, code: "ACCESS_DENIED", message });
    }
}
