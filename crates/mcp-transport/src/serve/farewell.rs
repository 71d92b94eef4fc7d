//! The last word on a subscription, which has no end of its own.

use json_rpc::{Id, Members, Outcome, Raw};

/// The method whose requests go on until somebody ends them.
pub(super) const LISTEN: &str = "subscriptions/listen";

/// What a request that listens is answered with when the server stops.
pub(super) fn farewell(id: &Id) -> Outcome {
    let meta = Members::from_iter([("io.modelcontextprotocol/subscriptionId", id.as_raw().clone())]);
    Ok(Members::from_iter([("resultType", Raw::text("complete")), ("_meta", meta.to_raw())]).to_raw())
}
