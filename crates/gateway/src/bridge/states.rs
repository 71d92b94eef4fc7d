//! States that upstreams give clients to give back: they pass through sealed.

use std::sync::Arc;

use json_rpc::Raw;

use super::{
    input::{Input, InputRequired},
    sealed::{Purpose, Seal, State, Theirs},
};
use crate::{
    errors::{self, Refusal},
    fleet::Place,
};

/// What the state stands for that a client came back with; it is taken out of `input`.
///
/// # Errors
/// When it was not given to this client for this request, or has expired.
pub(crate) fn returned(
    seal: &Seal,
    purpose: Purpose<'_>,
    input: &mut Input,
) -> Result<Option<State>, Refusal> {
    let Some(state) = input.state.take() else { return Ok(None) };
    let state = state.parse::<String>().ok().and_then(|state| seal.open_state(&state, purpose).ok());
    state.map(Some).ok_or_else(foreign)
}

/// The client came back with a state that is of no use.
pub(crate) fn foreign() -> Refusal {
    errors::invalid_params(
        "requestState was not given to this client for this request, was used before, or has expired: if the call had begun, \
         it may have done something: look before you make it anew",
    )
}

/// A result as the client is to get it: the upstream's `requestState`, if there is one, inside of one of the gateway's, which
/// says where it came from.
pub(crate) fn onward(
    seal: &Seal,
    purpose: Purpose<'_>,
    upstream: &Arc<str>,
    place: Place,
    result: Raw,
) -> Raw {
    let Some(mut needed) = InputRequired::of(&result) else { return result };
    let Some(value) = needed.state().cloned() else { return result };
    let state = State::Theirs(Theirs { upstream: upstream.clone(), place: Some(place.0.into()), value });
    needed.result.set("requestState", Raw::text(&seal.state(&state, purpose)));
    needed.result.to_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_out_as_it_went_in_and_nothing_else_changes() {
        let owner = auth::Keys::new(&[]).caller(&http::HeaderMap::new()).unwrap();
        let (seal, purpose) = (Seal::new(None), Purpose { owner, method: "tools/call", target: "t" });
        let told = |result: &str| {
            let result = Raw::read(result.to_owned()).unwrap();
            onward(&seal, purpose, &"u".into(), Place(3), result).as_str().to_owned()
        };
        let result =
            r#"{"resultType":"input_required","x":1.50,"requestState":"th\u0065irs","inputRequests":{}}"#;

        let sealed = told(result);

        let state = InputRequired::of(&Raw::read(sealed.clone()).unwrap()).unwrap().state().unwrap().clone();
        assert_eq!(sealed.replace(state.as_str(), r#""th\u0065irs""#), result);
        let State::Theirs(theirs) = seal.open_state(&state.parse::<String>().unwrap(), purpose).unwrap()
        else {
            panic!()
        };
        assert_eq!((theirs.value.as_str(), theirs.place), (r#""th\u0065irs""#, Some(3)));
        for other in [r#"{ "resultType":"input_required", "inputRequests":{} }"#, r#"{ "requestState":"x" }"#]
        {
            assert_eq!(told(other), other);
        }
    }
}
