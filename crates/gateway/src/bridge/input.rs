//! What a server needs from its client before it can go on, in the newer era.

use json_rpc::{Members, Raw};

use super::glance::mentions;

/// What a client gives when it tries again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Input {
    /// `inputResponses`.
    pub(crate) responses: Option<Raw>,
    /// `requestState`.
    pub(crate) state: Option<Raw>,
}

impl Input {
    /// Takes it out of the parameters of a request.
    pub(crate) fn take(params: &mut Members) -> Self {
        Self { responses: params.remove("inputResponses"), state: params.remove("requestState") }
    }

    /// Puts it into the parameters of a request.
    pub(crate) fn put(self, params: &mut Members) {
        for (name, value) in [("inputResponses", self.responses), ("requestState", self.state)] {
            if let Some(value) = value {
                params.set(name, value);
            }
        }
    }
}

/// A result that says that input is needed.
#[derive(Debug, Clone)]
pub(crate) struct InputRequired {
    /// The whole result.
    pub(crate) result: Members,
}

impl InputRequired {
    /// This result, if it is one.
    pub(crate) fn of(result: &Raw) -> Option<Self> {
        // Most results are none; looking for the text is much quicker than taking the result apart.
        if !mentions(result, "\"input_required\"") {
            return None;
        }
        let result = Members::of(result).ok()?;
        Self::is_one(&result).then_some(Self { result })
    }

    /// Whether these are the members of one.
    pub(crate) fn is_one(result: &Members) -> bool {
        result.get("resultType").is_some_and(|kind| kind.as_bytes() == b"\"input_required\"")
    }

    /// One that asks these questions.
    pub(crate) fn asking(requests: &Members, state: &str) -> Self {
        let members = [
            ("resultType", Raw::text("input_required")),
            ("inputRequests", requests.to_raw()),
            ("requestState", Raw::text(state)),
        ];
        Self { result: members.into_iter().collect() }
    }

    /// What the client must remember for its next try.
    pub(crate) fn state(&self) -> Option<&Raw> {
        self.result.get("requestState")
    }

    /// What the client is asked, each with its key.
    ///
    /// `None` when the questions cannot be read.
    pub(crate) fn questions(&self) -> Option<Vec<(String, Question)>> {
        let Some(requests) = self.result.get("inputRequests") else { return Some(Vec::new()) };
        let requests = Members::of(requests).ok()?;
        requests.iter().map(|(key, request)| Some((key.to_owned(), Question::of(request)?))).collect()
    }
}

/// One question to a client: a request without an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) method: String,
    pub(crate) params: Option<Raw>,
}

impl Question {
    fn of(request: &Raw) -> Option<Self> {
        let mut request = Members::of(request).ok()?;
        Some(Self { method: request.get("method")?.parse().ok()?, params: request.remove("params") })
    }

    /// The question as the newer era writes it.
    pub(crate) fn to_raw(&self) -> Raw {
        let method = Some(("method", Raw::text(&self.method)));
        let params = self.params.clone().map(|params| ("params", params));
        method.into_iter().chain(params).collect::<Members>().to_raw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_only_if_its_type_says_so() {
        let of = |text: &'static str| InputRequired::of(&Raw::read(text).unwrap());

        assert!(of(r#"{"content":[{"type":"text","text":"\"input_required\""}]}"#).is_none());
        assert!(of(r#"{"resultType":"complete","x":"input_required"}"#).is_none());
        assert!(of(r#"{ "resultType" : "input_required", "requestState":"s"}"#).is_some());
    }

    #[test]
    fn questions_keep_their_text() {
        let text = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"n":1.0}},"b":{"method":"roots/list"}}}"#;

        let questions = InputRequired::of(&Raw::read(text).unwrap()).unwrap().questions().unwrap();

        let requests: Members =
            questions.into_iter().map(|(key, question)| (key, question.to_raw())).collect();
        assert!(text.contains(requests.to_raw().as_str()));
    }
}
