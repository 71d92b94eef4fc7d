//! Providers that give secrets and texts away wherever they can.

use std::net::SocketAddr;

use e2e::{
    stubs::{
        Request,
        bedrock::{self, BedrockStub},
        openai::{self, OpenAiStub},
    },
    world::ServerBSettings,
};
use serde_json::json;

use crate::{
    ANSWER, AWS_KEY, AWS_SECRET, AWS_TOKEN, BASIC_PASSWORD, BASIC_TOKEN, CONTEXT, HISTORY, MESSAGE,
    OPENAI_KEY, PASSWORD, TOKEN,
};

const KEY_SECRETS: [&str; 3] = [OPENAI_KEY, PASSWORD, BASIC_PASSWORD];
const TOKEN_SECRETS: [&str; 2] = [TOKEN, BASIC_TOKEN];

pub enum Provider {
    /// With a key, and an address with a password in it, which the key replaces.
    OpenAi(OpenAiStub),
    /// Without a key: a token in the address is the credential.
    Compatible(OpenAiStub),
    Bedrock(BedrockStub),
}

impl Provider {
    pub async fn all() -> anyhow::Result<[Self; 3]> {
        Ok([
            Self::OpenAi(OpenAiStub::start().await?),
            Self::Compatible(OpenAiStub::start().await?),
            Self::Bedrock(BedrockStub::start().await?),
        ])
    }

    pub fn settle(&self, settings: ServerBSettings, address: &str) -> ServerBSettings {
        match self {
            Self::OpenAi(_) => settings.with_openai(address).with("OPENAI_API_KEY", OPENAI_KEY),
            Self::Compatible(_) => settings.with_openai(address).without("OPENAI_API_KEY"),
            Self::Bedrock(_) => settings
                .with_bedrock(address)
                .with("AWS_ACCESS_KEY_ID", AWS_KEY)
                .with("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
                .with("AWS_SESSION_TOKEN", AWS_TOKEN),
        }
    }

    pub fn address(&self) -> String {
        match self {
            Self::OpenAi(stub) | Self::Compatible(stub) => self.with_credentials(&stub.base_url()),
            Self::Bedrock(stub) => stub.endpoint_url(),
        }
    }

    /// The same on another host and port.
    pub fn address_at(&self, other: SocketAddr) -> String {
        match self {
            Self::OpenAi(_) | Self::Compatible(_) => self.with_credentials(&format!("http://{other}/v1")),
            Self::Bedrock(_) => format!("http://{other}"),
        }
    }

    fn with_credentials(&self, address: &str) -> String {
        let credentials = match self {
            Self::OpenAi(_) => format!("someone:{PASSWORD}"),
            Self::Compatible(_) | Self::Bedrock(_) => TOKEN.to_owned(),
        };
        address.replace("http://", &format!("http://{credentials}@"))
    }

    /// How many ways to behave it has.
    pub fn turns(&self) -> usize {
        match self {
            Self::OpenAi(_) => openai_turns(&KEY_SECRETS).len(),
            Self::Compatible(_) => openai_turns(&TOKEN_SECRETS).len(),
            Self::Bedrock(_) => bedrock_turns().len(),
        }
    }

    /// Behaves in this way next.
    pub fn play(&self, turn: usize) {
        match self {
            Self::OpenAi(stub) => stub.script([openai_turns(&KEY_SECRETS).swap_remove(turn)]),
            Self::Compatible(stub) => stub.script([openai_turns(&TOKEN_SECRETS).swap_remove(turn)]),
            Self::Bedrock(stub) => stub.script([bedrock_turns().swap_remove(turn)]),
        }
    }

    /// Fails if the credential did not get to where it belongs.
    pub fn saw_its_secret(&self) {
        let (requests, header, secret) = match self {
            Self::OpenAi(stub) => (stub.chat_requests(), "authorization", OPENAI_KEY),
            Self::Compatible(stub) => (stub.chat_requests(), "authorization", BASIC_TOKEN),
            Self::Bedrock(stub) => (stub.requests(), "x-amz-security-token", AWS_TOKEN),
        };
        let shown = |request: &Request| request.header(header).is_some_and(|value| value.contains(secret));
        assert!(!requests.is_empty() && requests.iter().all(shown), "{secret} is not what was shown");
    }
}

/// What a careless provider repeats: everything that it was told or may know.
fn gossip(secrets: &[&str]) -> String {
    format!("{} asked about {MESSAGE}, {CONTEXT} and {HISTORY}", secrets.join(" and "))
}

fn pieces() -> Vec<String> {
    vec!["The ".to_owned(), ANSWER.to_owned()]
}

fn openai_turns(secrets: &[&str]) -> Vec<openai::Behaviour> {
    use openai::{Answer, Behaviour};
    let gossip = gossip(secrets);
    let status = |status: u16, header: &str, body: &str| Behaviour::Status {
        status,
        headers: vec![(header.to_owned(), gossip.clone())],
        body: body.to_owned(),
    };
    let error = json!({"error": {"message": gossip, "type": gossip, "code": gossip, "param": gossip}});
    let not_json = format!("{{{gossip} sings the {ANSWER}");
    let chunk = |rest: &str| format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{ANSWER}\"}}{rest}");
    let mut turns: Vec<_> = [400, 401, 403, 404, 429, 500, 503].map(Behaviour::EchoSecrets).into();
    turns.extend([400, 401, 429, 500].map(|number| status(number, "retry-after", &error.to_string())));
    turns.extend([
        Behaviour::Answer(Answer::new(&format!("The {ANSWER}"))),
        Behaviour::Answer(Answer::new(&format!("No {ANSWER}")).refusal().without_usage()),
        Behaviour::Answer(Answer::new("").finish_reason("content_filter")),
        status(500, "x-odd", &gossip),
        status(502, "server", &format!("<html>{gossip}</html>")),
        status(307, "location", ""),
        status(200, "x-odd", &not_json),
        Behaviour::Json(error.clone()),
        Behaviour::Json(json!({"choices": gossip})),
        Behaviour::Json(json!({"choices": [{"message": {"content": 7, "refusal": [ANSWER]}}]})),
        Behaviour::Lines(vec![not_json.clone()]),
        Behaviour::Lines(vec![chunk("}]}"), not_json.clone()]),
        Behaviour::Lines(vec![chunk("}]}"), chunk(", \"index\": }")]),
        Behaviour::Lines(vec![chunk("}]}"), json!({"choices": [ANSWER, gossip]}).to_string()]),
        Behaviour::StreamCut(pieces()),
        Behaviour::StreamEndsEarly(pieces()),
        Behaviour::StreamError(pieces(), error["error"].clone()),
        Behaviour::StreamError(pieces(), json!(gossip)),
        Behaviour::StreamError(Vec::new(), json!({"detail": [gossip]})),
        Behaviour::StreamStall(pieces()),
    ]);
    turns
}

fn bedrock_turns() -> Vec<bedrock::Behaviour> {
    use bedrock::{Answer, Behaviour};
    let gossip = gossip(&[AWS_KEY, AWS_SECRET, AWS_TOKEN]);
    let exception = |status, kind: &str| Behaviour::Exception {
        status,
        kind: kind.to_owned(),
        message: gossip.clone(),
        headers: vec![("retry-after".to_owned(), gossip.clone())],
    };
    let event = |kind: &str| Behaviour::StreamException(pieces(), kind.to_owned(), gossip.clone());
    vec![
        Behaviour::EchoSecrets(AWS_SECRET.to_owned()),
        Behaviour::Answer(Answer::new(&format!("The {ANSWER}"))),
        Behaviour::Answer(Answer::new(&format!("The {ANSWER}")).reasoning(&gossip).without_usage()),
        Behaviour::Answer(Answer::new("").stop_reason("guardrail_intervened")),
        exception(400, "ValidationException"),
        exception(401, &gossip),
        exception(403, "AccessDeniedException"),
        exception(404, "ResourceNotFoundException"),
        exception(429, "ThrottlingException"),
        exception(500, "InternalServerException"),
        exception(503, "ServiceUnavailableException"),
        Behaviour::Json(json!({"output": gossip, "stopReason": [ANSWER]})),
        Behaviour::Json(json!({"message": gossip})),
        event("throttlingException"),
        event("internalServerException"),
        event("modelStreamErrorException"),
        event("somethingNewException"),
        Behaviour::StreamCut(pieces()),
        Behaviour::StreamEndsEarly(pieces()),
        Behaviour::StreamStall(pieces()),
    ]
}
