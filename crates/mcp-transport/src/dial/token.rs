//! Progress tokens: a server is given ours, and the party hears of its own.

use json_rpc::{Id, Members, Notification, Raw};

use crate::our_id::number;

const TOKEN: &str = "progressToken";
const META: &str = "_meta";
pub(super) const PROGRESS: &str = "notifications/progress";

/// The token of a party, in the place of which a server knows a number.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) ours: u64,
    theirs: Raw,
}

impl Token {
    /// Puts our token in the place of the one in these parameters, if there is one.
    pub(super) fn replace(params: &mut Option<Raw>, ours: u64) -> Option<Self> {
        // Most have none, and reading them all to learn that takes long.
        let object = params.as_ref().filter(|params| mentions(params, TOKEN))?;
        let mut members = Members::of(object).ok()?;
        let mut meta = Members::of(members.get(META)?).ok()?;
        let theirs = meta.get(TOKEN)?.clone();
        meta.set(TOKEN, ours);
        members.set(META, meta);
        *params = Some(members.to_raw());
        Some(Self { ours, theirs })
    }

    /// The same notification with the party's token.
    pub(super) fn give_back(&self, told: Notification) -> Notification {
        let params = told.params.map(|params| match Members::of(&params) {
            Ok(mut members) => {
                members.set(TOKEN, self.theirs.clone());
                members.to_raw()
            }
            Err(_) => params,
        });
        Notification { params, ..told }
    }
}

/// Whether a text occurs in it, wherever.
pub(super) fn mentions(value: &Raw, text: &str) -> bool {
    memchr::memmem::find(value.as_bytes(), text.as_bytes()).is_some()
}

/// Our token that this notification is about, if it is about progress.
pub(super) fn reported(told: &Notification) -> Option<u64> {
    if told.method != PROGRESS {
        return None;
    }
    let members = Members::of(told.params.as_ref()?).ok()?;
    number(&Id::new(members.get(TOKEN)?.clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::read(text.to_owned()).unwrap()
    }

    #[test]
    fn a_token_is_replaced_and_given_back_and_nothing_else_is_touched() {
        let mut params =
            Some(raw(r#"{"b":1.50,"_meta":{"x":{},"progressToken":"mine","y":1},"a":"progressToken"}"#));
        let token = Token::replace(&mut params, 7).unwrap();
        assert_eq!(
            params.unwrap().as_str(),
            r#"{"b":1.50,"_meta":{"x":{},"progressToken":7,"y":1},"a":"progressToken"}"#
        );
        for text in [r#"{"progressToken":7,"progress":0.10}"#, r#"{"progressToken":"7","progress":0.10}"#] {
            let told = Notification::new(PROGRESS, Some(raw(text)));
            assert_eq!(reported(&told), Some(7));
            let told = token.give_back(told);
            assert_eq!(told.params.unwrap().as_str(), r#"{"progressToken":"mine","progress":0.10}"#);
        }
    }

    #[test]
    fn parameters_without_a_token_stay_as_they_are() {
        for text in [r#"{"_meta":{}}"#, r#"{"progressToken":1}"#, r#"{"_meta":["progressToken"]}"#, "{ }"] {
            let mut params = Some(raw(text));
            assert!(Token::replace(&mut params, 7).is_none());
            assert_eq!(params.unwrap().as_str(), text);
        }
        assert!(Token::replace(&mut None, 7).is_none());
    }
}
