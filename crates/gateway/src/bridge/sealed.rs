//! What clients are given to give back. It is sealed: nobody can make it up, change it, or use what is another's.

use std::{sync::Arc, time::Duration};

use auth::Caller;
use json_rpc::Raw;
use rmcp::model::{RequestStateCodec, SealOptions};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::fleet::Place;

/// How long a client may take to try again with what it was asked for.
pub(crate) const STATE_LIFE: Duration = Duration::from_secs(600);

/// How long a place in a list can be asked for.
const CURSOR_LIFE: Duration = Duration::from_secs(3600);

/// Seals and opens what clients give back.
pub(crate) struct Seal(RequestStateCodec);

/// It was not sealed here, or not for this, or too long ago. Clients are told no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was not given to this client for this, or has expired")]
pub(crate) struct NotSealed;

/// What a state is good for: this request of this caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose<'a> {
    pub(crate) owner: Caller,
    pub(crate) method: &'a str,
    /// The tool, prompt or resource, as the client calls it.
    pub(crate) target: &'a str,
}

/// What a `requestState` stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// A call that waits here for answers.
    #[serde(rename = "p")]
    Parked(u128),
    /// The state that an upstream gave.
    #[serde(rename = "u")]
    Theirs(Theirs),
}

/// Something of an upstream: a state, a task's id, a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Theirs {
    #[serde(rename = "u")]
    pub(crate) upstream: Arc<str>,
    /// Which of its replicas knows it.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<u64>,
    /// The text that it gave, as JSON.
    #[serde(rename = "v")]
    pub(crate) value: Raw,
}

impl Theirs {
    /// Which of the upstream's replicas knows it.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place.and_then(|place| u16::try_from(place).ok()).map(Place)
    }
}

impl Seal {
    /// A seal with this key. Without one it has a key of its own, and nothing that it sealed can be opened after a restart.
    pub(crate) fn new(key: Option<&SecretString>) -> Self {
        let secret = match key {
            Some(key) => Sha256::digest(key.expose_secret()),
            None => Sha256::digest([*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()),
        };
        Self(RequestStateCodec::try_new(secret.to_vec()).expect("a digest is as long as a key must be"))
    }

    /// Seals a state for the next try of the same request.
    pub(crate) fn state(&self, state: &State, purpose: Purpose<'_>) -> String {
        self.close(state, &purpose.bound(), Some(STATE_LIFE))
    }

    /// Opens a state.
    pub(crate) fn open_state(&self, sealed: &str, purpose: Purpose<'_>) -> Result<State, NotSealed> {
        self.open(sealed, &purpose.bound())
    }

    /// Seals a task's id. It is always the same for the same task and owner, and lives as long as the task.
    pub(crate) fn task(&self, task: &Theirs, owner: Caller) -> String {
        self.close(task, &bound("task", owner), None)
    }

    /// Opens a task's id.
    pub(crate) fn open_task(&self, sealed: &str, owner: Caller) -> Result<Theirs, NotSealed> {
        self.open(sealed, &bound("task", owner))
    }

    /// Seals a place in a list that is read from one upstream after the other.
    pub(crate) fn cursor(&self, cursor: &Theirs, owner: Caller) -> String {
        self.close(cursor, &bound("cursor", owner), Some(CURSOR_LIFE))
    }

    /// Opens a place in a list.
    pub(crate) fn open_cursor(&self, sealed: &str, owner: Caller) -> Result<Theirs, NotSealed> {
        self.open(sealed, &bound("cursor", owner))
    }

    fn close(&self, what: &impl Serialize, bound: &[u8], life: Option<Duration>) -> String {
        let options = SealOptions::new().associated_data(bound);
        let options = match life {
            Some(life) => options.ttl(life),
            None => options,
        };
        self.0.seal_json_with(what, &options).expect("names, numbers and JSON are always JSON")
    }

    fn open<T: DeserializeOwned>(&self, sealed: &str, bound: &[u8]) -> Result<T, NotSealed> {
        self.0.open_json_with(sealed, bound).map_err(|_| NotSealed)
    }
}

impl Purpose<'_> {
    fn bound(&self) -> Vec<u8> {
        // No method holds a zero byte in JSON's text, so no two purposes read the same.
        [&bound("state", self.owner), self.method.as_bytes(), b"\0", self.target.as_bytes()].concat()
    }
}

fn bound(what: &str, owner: Caller) -> Vec<u8> {
    [what.as_bytes(), b"\0", &owner.fingerprint().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers() -> [Caller; 2] {
        let keys = auth::Keys::new(&["one".to_owned().into(), "two".to_owned().into()]);
        ["Bearer one", "Bearer two"].map(|shown| {
            let headers = [(http::header::AUTHORIZATION, shown.parse().unwrap())].into_iter().collect();
            keys.caller(&headers).unwrap()
        })
    }

    fn purpose(owner: Caller) -> Purpose<'static> {
        Purpose { owner, method: "tools/call", target: "a__b" }
    }

    #[test]
    fn a_state_opens_for_its_owner_and_its_request_only() {
        let ([owner, stranger], seal) = (callers(), Seal::new(None));
        let state = State::Theirs(Theirs {
            upstream: "weather".into(),
            place: Some(u64::MAX),
            value: Raw::text("their \"state\""),
        });

        let sealed = seal.state(&state, purpose(owner));

        assert_eq!(seal.open_state(&sealed, purpose(owner)), Ok(state));
        assert_eq!(seal.open_state(&sealed, purpose(stranger)), Err(NotSealed));
        let elsewhere = Purpose { target: "a__c", ..purpose(owner) };
        assert_eq!(seal.open_state(&sealed, elsewhere), Err(NotSealed));
        assert_eq!(seal.open_task(&sealed, owner), Err(NotSealed));
        assert_eq!(seal.open_state(&sealed.to_uppercase(), purpose(owner)), Err(NotSealed));
    }

    #[test]
    fn gateways_with_the_same_key_open_each_others_and_no_one_elses() {
        let [owner, _] = callers();
        let key = SecretString::from("shared");
        let state = State::Parked(7);
        let sealed = Seal::new(Some(&key)).state(&state, purpose(owner));

        assert_eq!(Seal::new(Some(&key)).open_state(&sealed, purpose(owner)), Ok(state));
        assert_eq!(Seal::new(None).open_state(&sealed, purpose(owner)), Err(NotSealed));
    }

    #[test]
    fn a_task_keeps_its_id() {
        let ([owner, stranger], seal) = (callers(), Seal::new(None));
        let task = Theirs { upstream: "jobs".into(), place: None, value: Raw::text("7") };

        let sealed = seal.task(&task, owner);

        assert_eq!(seal.task(&task, owner), sealed);
        assert_eq!(seal.open_task(&sealed, owner), Ok(task));
        assert_eq!(seal.open_task(&sealed, stranger), Err(NotSealed));
    }
}
