//! A request as a line of JSON.

use std::{borrow::Cow, time::SystemTime};

use mcp_transport::TransportKind;
use serde::Serialize;
use serde_json::Value;

use super::{Entry, bodies, masks::Masks};
use crate::{
    session::Era,
    trail::{End, LONGEST_TARGET, cut, timestamp},
};

#[derive(Serialize)]
struct Line<'e> {
    time: Option<String>,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier_request_id: Option<String>,
    /// A fingerprint of the key; none where no key is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    era: Option<&'static str>,
    transport: &'static str,
    operation: Cow<'e, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'e, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'e str>,
    #[serde(skip_serializing_if = "is_zero")]
    attempts: u32,
    outcome: &'static str,
    /// Parts that were left out by a rule, while the rest was answered.
    #[serde(skip_serializing_if = "is_zero")]
    withheld: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    /// Why access was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Cow<'e, str>>,
    duration_ms: f64,
    input_bytes: usize,
    output_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// Whether not all of these is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_cut: bool,
}

#[derive(Serialize)]
struct Failure {
    /// The gateway's own errors have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
}

/// A request as a line.
pub(super) fn of(entry: &Entry, masks: &Masks) -> Vec<u8> {
    let account = entry.trail.account();
    let mut is_cut = false;
    let mut shown = |body: &json_rpc::Raw| {
        let (shown, is_part) = bodies::shown(body, masks);
        is_cut |= is_part;
        shown
    };
    let (params, result) = (entry.params.as_ref().map(&mut shown), entry.result.as_ref().map(&mut shown));
    let (error, denied) = failure(account.end.as_ref());
    let fingerprint = entry.origin.caller.fingerprint();
    text(&Line {
        time: timestamp(account.at),
        request_id: account.id.to_string(),
        parent_request_id: account.parent.map(|id| id.to_string()),
        earlier_request_id: account.earlier.map(|id| id.to_string()),
        caller: (fingerprint != 0).then(|| format!("{fingerprint:016x}")),
        session: entry.origin.session,
        era: account.era.map(|era| match era {
            Era::Older => "legacy",
            Era::Newer => "modern",
        }),
        transport: match entry.origin.transport {
            TransportKind::Stdio => "stdio",
            TransportKind::Http => "http",
        },
        operation: masks.text(&account.operation),
        target: (!account.target.is_empty()).then(|| target(&account.target, masks)),
        upstream: account.upstream.as_deref(),
        attempts: account.attempts,
        outcome: account.end.as_ref().map_or("", End::word),
        withheld: account.withheld,
        error,
        rule: denied.map(|why| masks.text(why)),
        duration_ms: (account.duration.as_secs_f64() * 1e6).round() / 1e3,
        input_bytes: entry.input_bytes,
        output_bytes: entry.output_bytes,
        params,
        result,
        is_cut,
    })
}

/// What a request is about. Of one that was cut the end is not shown: it may be a part of what would be masked.
fn target<'t>(target: &'t str, masks: &Masks) -> Cow<'t, str> {
    let masked = masks.text(target);
    // A sign takes up to four bytes, and none is cut in two.
    if target.len() + 4 <= LONGEST_TARGET {
        return masked;
    }
    Cow::Owned(cut(&masked, masked.len().saturating_sub(bodies::BEYOND)).to_owned())
}

/// What the log says of requests that are missing in it.
pub(super) fn lost(requests: usize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Lost {
        time: Option<String>,
        lost_requests: usize,
    }
    let time = timestamp(SystemTime::now());
    text(&Lost { time, lost_requests: requests })
}

/// How a request failed, and which rule it was that denied it.
fn failure(end: Option<&End>) -> (Option<Failure>, Option<&str>) {
    match end {
        Some(End::Theirs(number)) => (Some(Failure { code: None, number: *number }), None),
        Some(End::Ours { number, code, message }) => {
            let failure = Failure { code: Some(code), number: Some(*number) };
            (Some(failure), message.strip_prefix("access denied: ").filter(|_| *code == "ACCESS_DENIED"))
        }
        _ => (None, None),
    }
}

fn text(line: &impl Serialize) -> Vec<u8> {
    // Texts and numbers can always be JSON; a line that cannot is not worth a panic.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_target_that_was_cut_in_two_is_shown() {
        let whole = "x://people/ada%40example.com";
        assert_eq!(target(whole, &Masks::default()), "x://people/[email]");
        for length in 900..1100 {
            let long = format!("x://{}/ada.lovelace%40example.com/{}", "y".repeat(length), "z".repeat(300));
            let shown = target(cut(&long, LONGEST_TARGET), &Masks::default()).into_owned();
            assert!(!shown.contains("ada") && shown.len() > 500, "{length}: {shown}");
        }
    }
}
