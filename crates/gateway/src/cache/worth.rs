//! What an answer is good for beside the call that it answers.

use json_rpc::{Members, Raw};

use crate::errors::{Answer, Fault};

/// What an answer is good for beside the call that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth<'a> {
    /// This result may be kept.
    Kept(&'a Raw),
    /// Those who wait for the same may have it, and nobody later: why.
    Shared(&'static str),
    /// It is for its caller alone: why.
    Personal(&'static str),
}

/// Only a result that is whole and no failure is kept.
pub(super) fn of(answer: &Answer) -> Worth<'_> {
    let Ok(result) = answer else { return Worth::Shared("it is an error") };
    let Ok(members) = Members::of(result) else { return Worth::Personal("its result cannot be read") };
    if members.get("resultType").is_some_and(|kind| kind.as_bytes() != br#""complete""#) {
        return Worth::Personal("its result is not complete");
    }
    if members.get("content").is_none() || result.contains("io.modelcontextprotocol/related-task") {
        return Worth::Personal("its result belongs to a task, or is of an unknown kind");
    }
    match members.get("isError").map(Raw::as_bytes) {
        None | Some(b"false" | b"null") => Worth::Kept(result),
        Some(_) => Worth::Shared("the tool says that it failed"),
    }
}

/// Whether a call with this answer changes nothing any more: it was not told to stop in the middle, and goes on as no task.
pub(super) fn is_over(answer: &Answer) -> bool {
    match answer {
        Ok(result) => Members::of(result).is_ok_and(|result| {
            result.get("task").is_none()
                && result.get("resultType").is_none_or(|kind| kind.as_bytes() != br#""task""#)
        }),
        Err(Fault::Theirs(_)) => true,
        Err(Fault::Ours(refusal)) => {
            !["DELIVERY_UNKNOWN", "TIMEOUT", "GATEWAY_STOPPED"].contains(&refusal.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors;

    #[test]
    fn only_whole_results_of_success_are_kept_and_nobody_gets_what_is_anothers() {
        let answer = |text: &'static str| Ok(Raw::read(text).unwrap());
        for kept in [
            r#"{"content":[]}"#,
            r#"{"content":[],"isError":false,"resultType":"complete","structuredContent":{"isError":true}}"#,
        ] {
            assert!(matches!(of(&answer(kept)), Worth::Kept(_)), "{kept}");
        }
        assert!(matches!(of(&answer(r#"{"content":[],"isError":true}"#)), Worth::Shared(_)));
        assert!(matches!(of(&Err(errors::stopped().into())), Worth::Shared(_)));
        for personal in [
            r#"{"resultType":"input_required","inputRequests":{}}"#,
            r#"{"resultType":"input_required","content":[]}"#,
            r#"{"resultType":"task","taskId":"1","content":[]}"#,
            r#"{"task":{"taskId":"1"}}"#,
            r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"1"}}}"#,
            "{}",
            "[]",
        ] {
            assert!(matches!(of(&answer(personal)), Worth::Personal(_)), "{personal}");
        }
    }
}
