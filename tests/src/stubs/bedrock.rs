//! A stand-in for Bedrock's runtime: `POST /model/{id}/converse` and `POST /model/{id}/converse-stream`, the latter in the
//! binary framing of `application/vnd.amazon.eventstream`.

use std::{io, ops::Deref, sync::Arc};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::{Value, json};

use super::server::{Request, Script, Server, Step, chunk, chunked_head, half_a_chunk, last_chunk, response};

/// What the stub does with one request.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers, in one piece or streamed, as asked.
    Answer(Answer),
    /// Answers `200` with this JSON, whatever was asked.
    Json(Value),
    /// Refuses with this status and exception.
    Exception {
        /// Anything but 200.
        status: u16,
        /// For instance `ThrottlingException`; sent as `x-amzn-errortype`.
        kind: String,
        /// The service's words.
        message: String,
        /// Besides the exception's own.
        headers: Vec<(String, String)>,
    },
    /// Refuses as an [`Behaviour::Exception`] that repeats the credentials of the request in its message, and with
    /// them this one, which a request does not carry.
    EchoSecrets(String),
    /// Takes the request and never answers.
    Hang,
    /// Waits for [`Server::release`], and goes on with this.
    Held(Box<Behaviour>),
    /// Streams these pieces and closes the connection in the middle of the next.
    StreamCut(Vec<String>),
    /// Streams these pieces and ends as if that were all: no `messageStop`.
    StreamEndsEarly(Vec<String>),
    /// Streams these pieces and then an exception, for instance `throttlingException`, with this message.
    StreamException(Vec<String>, String, String),
    /// Streams these pieces and then nothing more.
    StreamStall(Vec<String>),
}

impl Behaviour {
    /// An answer that is this text.
    #[must_use]
    pub fn answer(text: &str) -> Self {
        Self::Answer(Answer::new(text))
    }

    /// A refusal with this status and exception, without further headers.
    #[must_use]
    pub fn exception(status: u16, kind: &str, message: &str) -> Self {
        Self::Exception { status, kind: kind.into(), message: message.into(), headers: Vec::new() }
    }
}

/// An answer. Streamed, it comes piece by piece.
#[derive(Debug, Clone)]
pub struct Answer {
    pieces: Vec<String>,
    reasoning: Option<String>,
    stop_reason: String,
    usage: Option<Value>,
}

impl Answer {
    /// This text, streamed word by word, with a usage of 12 and 30 tokens.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            pieces: text.split_inclusive(' ').map(str::to_owned).collect(),
            reasoning: None,
            stop_reason: "end_turn".to_owned(),
            usage: Some(json!({"inputTokens": 12, "outputTokens": 30, "totalTokens": 42})),
        }
    }

    /// The same with this usage object.
    #[must_use]
    pub fn usage(mut self, usage: Value) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The same without usage; streamed, without the `metadata` event.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// The same with this `stopReason`.
    #[must_use]
    pub fn stop_reason(mut self, reason: &str) -> Self {
        self.stop_reason = reason.to_owned();
        self
    }

    /// The same after a block of reasoning.
    #[must_use]
    pub fn reasoning(mut self, reasoning: &str) -> Self {
        self.reasoning = Some(reasoning.to_owned());
        self
    }
}

/// The running stub; dropping it closes every connection.
pub struct BedrockStub {
    server: Server,
    script: Arc<Script<Behaviour>>,
}

impl Deref for BedrockStub {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl BedrockStub {
    /// Starts a stub on a free port. Unless told otherwise it answers `a language`.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let script = Arc::new(Script::new(Behaviour::answer("a language")));
        let server = Server::start({
            let script = Arc::clone(&script);
            move |request| match request.target.rsplit('/').next() {
                Some("converse") => converse(&script.next(), request, Form::Whole),
                Some("converse-stream") => converse(&script.next(), request, Form::Streamed),
                _ => vec![refusal(404, "UnknownOperationException", "no such operation", &[])],
            }
        })
        .await?;
        Ok(Self { server, script })
    }

    /// What to set `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` to.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Adds behaviours for the next requests, one each. The default serves those after them.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.script.extend(behaviours);
    }

    /// The behaviour for requests that have none in the script.
    pub fn set_default(&self, behaviour: Behaviour) {
        self.script.set_default(behaviour);
    }
}

#[derive(Clone, Copy)]
enum Form {
    Whole,
    Streamed,
}

fn converse(behaviour: &Behaviour, request: &Request, form: Form) -> Vec<Step> {
    match behaviour {
        Behaviour::Answer(answer) => match form {
            Form::Whole => vec![whole(answer)],
            Form::Streamed => stream(answer),
        },
        Behaviour::Json(json) => vec![ok(json)],
        Behaviour::Exception { status, kind, message, headers } => {
            vec![refusal(*status, kind, message, headers)]
        }
        Behaviour::EchoSecrets(secret) => {
            let header = |name| request.header(name).unwrap_or_default();
            let message = format!(
                "Authorization '{}' with token '{}' is not signed by '{secret}'",
                header("authorization"),
                header("x-amz-security-token"),
            );
            vec![refusal(403, "InvalidSignatureException", &message, &[])]
        }
        Behaviour::Hang => vec![Step::Hang],
        Behaviour::Held(then) => {
            let mut steps = vec![Step::AwaitRelease];
            steps.extend(converse(then, request, form));
            steps
        }
        Behaviour::StreamCut(pieces) => {
            events(texts(pieces, 0), vec![half_a_chunk(&text(0, "never seen")), Step::Cut])
        }
        Behaviour::StreamEndsEarly(pieces) => events(texts(pieces, 0), vec![last_chunk()]),
        Behaviour::StreamException(pieces, kind, message) => {
            let exception = frame("exception", kind, &json!({"message": message}));
            events(texts(pieces, 0), vec![chunk(&exception), last_chunk()])
        }
        Behaviour::StreamStall(pieces) => events(texts(pieces, 0), vec![Step::Hang]),
    }
}

fn whole(answer: &Answer) -> Step {
    let reasoning = answer
        .reasoning
        .iter()
        .map(|text| json!({"reasoningContent": {"reasoningText": {"text": text, "signature": "c3R1Yg=="}}}));
    let text = answer.pieces.concat();
    let text = (!text.is_empty()).then(|| json!({"text": text}));
    let mut body = json!({
        "output": {"message": {"role": "assistant", "content": reasoning.chain(text).collect::<Vec<_>>()}},
        "stopReason": answer.stop_reason,
        "metrics": {"latencyMs": 551}
    });
    if let Some(usage) = &answer.usage {
        body["usage"] = usage.clone();
    }
    ok(&body)
}

fn stream(answer: &Answer) -> Vec<Step> {
    let mut frames = vec![];
    if let Some(reasoning) = &answer.reasoning {
        let delta = json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": reasoning}}});
        frames.push(frame("event", "contentBlockDelta", &delta));
        frames.push(frame("event", "contentBlockStop", &json!({"contentBlockIndex": 0})));
    }
    let index = usize::from(answer.reasoning.is_some());
    frames.extend(texts(&answer.pieces, index));
    frames.push(frame("event", "contentBlockStop", &json!({"contentBlockIndex": index})));
    frames.push(frame("event", "messageStop", &json!({"stopReason": answer.stop_reason})));
    if let Some(usage) = &answer.usage {
        let metadata = json!({"usage": usage, "metrics": {"latencyMs": 551}});
        frames.push(frame("event", "metadata", &metadata));
    }
    events(frames.into_iter(), vec![last_chunk()])
}

fn texts(pieces: &[String], index: usize) -> impl Iterator<Item = Vec<u8>> {
    pieces.iter().map(move |piece| text(index, piece))
}

fn text(index: usize, piece: &str) -> Vec<u8> {
    frame("event", "contentBlockDelta", &json!({"contentBlockIndex": index, "delta": {"text": piece}}))
}

/// A response of events that begins as every one of them does, and what comes after the last.
fn events(frames: impl Iterator<Item = Vec<u8>>, then: Vec<Step>) -> Vec<Step> {
    let start = frame("event", "messageStart", &json!({"role": "assistant"}));
    let mut steps = vec![chunked_head("application/vnd.amazon.eventstream"), chunk(&start)];
    steps.extend(frames.map(|frame| chunk(&frame)));
    steps.extend(then);
    steps
}

/// One event or exception in its binary frame.
fn frame(message_type: &'static str, name: &str, payload: &Value) -> Vec<u8> {
    let mut payload = payload.clone();
    if message_type == "event" {
        payload["p"] = json!("abcdefghij"); // Bedrock pads its events, so that their length tells less about their text
    }
    let header =
        |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let type_header = if message_type == "event" { ":event-type" } else { ":exception-type" };
    let message = Message::new(payload.to_string().into_bytes())
        .add_header(header(type_header, name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", message_type));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("headers this short always fit");
    bytes
}

fn ok(body: &Value) -> Step {
    response(200, &[("content-type", "application/json")], body.to_string().as_bytes())
}

fn refusal(status: u16, kind: &str, message: &str, headers: &[(String, String)]) -> Step {
    let own = [("content-type", "application/json"), ("x-amzn-errortype", kind)];
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = json!({"message": message}).to_string();
    response(status, &own.into_iter().chain(headers).collect::<Vec<_>>(), body.as_bytes())
}
