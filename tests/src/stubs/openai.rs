//! A stand-in for the OpenAI API: `POST …/chat/completions` and `GET …/models`.

mod format;

use std::{
    io, iter,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use self::format::{error, error_object, event, events, ok, refused, stream, text_chunk, text_chunks, whole};
use super::server::{Request, Script, Server, Step, endless_chunks, half_a_chunk, last_chunk, response};

/// What the stub does with one request for a chat completion.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers, in one piece or streamed, as asked.
    Answer(Answer),
    /// Answers `200` with this JSON, whatever was asked.
    Json(Value),
    /// Streams these `data:` lines and ends.
    Lines(Vec<String>),
    /// Answers with this status.
    Status {
        /// Anything but 200.
        status: u16,
        /// Besides `content-type: application/json`.
        headers: Vec<(String, String)>,
        /// JSON, or whatever.
        body: String,
    },
    /// Refuses a request that has this parameter, as OpenAI does, and answers one that has not.
    Refuse(&'static str),
    /// Answers with this status and repeats the `Authorization` header in its message.
    EchoSecrets(u16),
    /// Takes the request and never answers.
    Hang,
    /// Waits for [`Server::release`], and goes on with this.
    Held(Box<Behaviour>),
    /// Streams these pieces and closes the connection in the middle of the next.
    StreamCut(Vec<String>),
    /// Streams these pieces and ends as if that were all: no reason, no `[DONE]`.
    StreamEndsEarly(Vec<String>),
    /// Streams these pieces, then an error object with `[DONE]`.
    StreamError(Vec<String>, Value),
    /// Streams these pieces and then nothing more.
    StreamStall(Vec<String>),
    /// Streams this piece again and again, for as long as somebody reads.
    Endless(String),
}

impl Behaviour {
    /// An answer that is this text.
    #[must_use]
    pub fn answer(text: &str) -> Self {
        Self::Answer(Answer::new(text))
    }

    /// This status with an error object as OpenAI sends it.
    #[must_use]
    pub fn error(status: u16, message: &str) -> Self {
        Self::Status { status, headers: Vec::new(), body: error_object(message).to_string() }
    }

    /// A refusal with status 429 that asks to wait this many seconds.
    #[must_use]
    pub fn rate_limited(seconds: u64) -> Self {
        let headers = vec![("retry-after".to_owned(), seconds.to_string())];
        Self::Status { status: 429, headers, body: error_object("Rate limit reached").to_string() }
    }
}

/// An answer. Streamed, it comes piece by piece.
#[derive(Debug, Clone)]
pub struct Answer {
    pieces: Vec<String>,
    finish_reason: String,
    model: Option<String>,
    refusal: bool,
    usage: Option<Value>,
    usage_with_finish: bool,
}

impl Answer {
    /// This text, streamed word by word, with a usage of 12 and 30 tokens.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            pieces: text.split_inclusive(' ').map(str::to_owned).collect(),
            finish_reason: "stop".to_owned(),
            model: None,
            refusal: false,
            usage: Some(json!({
                "prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0, "audio_tokens": 0,
                    "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
                }
            })),
            usage_with_finish: false,
        }
    }

    /// The same with this usage object.
    #[must_use]
    pub fn usage(mut self, usage: Value) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The same without usage, as older servers answer.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// The same with its usage in the chunk that has the reason, instead of one of its own.
    #[must_use]
    pub fn usage_with_finish(mut self) -> Self {
        self.usage_with_finish = true;
        self
    }

    /// The same with this `finish_reason`.
    #[must_use]
    pub fn finish_reason(mut self, reason: &str) -> Self {
        self.finish_reason = reason.to_owned();
        self
    }

    /// The same from a model of this name instead of the one that was asked.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// The same text as a refusal instead of content.
    #[must_use]
    pub fn refusal(mut self) -> Self {
        self.refusal = true;
        self
    }
}

/// The running stub; dropping it closes every connection.
pub struct OpenAiStub {
    server: Server,
    script: Arc<Script<Behaviour>>,
    models: Arc<Mutex<Models>>,
}

#[derive(Clone)]
enum Models {
    List(Vec<String>),
    Refused(u16, String),
    Hang,
}

impl Deref for OpenAiStub {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl OpenAiStub {
    /// Starts a stub on a free port. Unless told otherwise it answers `a language`, and lists three models.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let script = Arc::new(Script::new(Behaviour::answer("a language")));
        let names = ["gpt-4o-mini", "gpt-4", "text-embedding-3-small"].map(str::to_owned);
        let models = Arc::new(Mutex::new(Models::List(names.into())));
        let server = Server::start({
            let (script, models) = (Arc::clone(&script), Arc::clone(&models));
            move |request| match request.target.rsplit('/').next() {
                Some("completions") => chat(&script.next(), request),
                Some("models") => list(&models.lock().unwrap_or_else(PoisonError::into_inner)),
                _ => vec![error(404, "Invalid URL")],
            }
        })
        .await?;
        Ok(Self { server, script, models })
    }

    /// What to give a client as its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Adds behaviours for the next requests for a completion, one each. The default serves those after them.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.script.extend(behaviours);
    }

    /// The behaviour for requests that have none in the script.
    pub fn set_default(&self, behaviour: Behaviour) {
        self.script.set_default(behaviour);
    }

    /// The models to list.
    pub fn set_models(&self, names: &[&str]) {
        self.become_for_models(Models::List(names.iter().map(|name| (*name).to_owned()).collect()));
    }

    /// Answers requests for the list of models with this status and message.
    pub fn refuse_models(&self, status: u16, message: &str) {
        self.become_for_models(Models::Refused(status, message.to_owned()));
    }

    /// Never answers requests for the list of models.
    pub fn hang_on_models(&self) {
        self.become_for_models(Models::Hang);
    }

    /// Every request for a completion so far.
    #[must_use]
    pub fn chat_requests(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.target.ends_with("/chat/completions")).collect()
    }

    fn become_for_models(&self, models: Models) {
        *self.models.lock().unwrap_or_else(PoisonError::into_inner) = models;
    }
}

fn list(models: &Models) -> Vec<Step> {
    match models {
        Models::List(names) => {
            let models: Vec<_> = names
                .iter()
                .map(|name| json!({"id": name, "object": "model", "created": 1_686_935_002, "owned_by": "stub"}))
                .collect();
            vec![ok(&json!({"object": "list", "data": models}))]
        }
        Models::Refused(status, message) => vec![error(*status, message)],
        Models::Hang => vec![Step::Hang],
    }
}

fn chat(behaviour: &Behaviour, request: &Request) -> Vec<Step> {
    match behaviour {
        Behaviour::Answer(answer) if request.body["stream"] == true => stream(answer, request),
        Behaviour::Answer(answer) => vec![ok(&whole(answer, request))],
        Behaviour::Json(json) => vec![ok(json)],
        Behaviour::Lines(lines) => events(lines.iter().cloned(), vec![last_chunk()]),
        Behaviour::Status { status, headers, body } => {
            let json = [("content-type", "application/json")];
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            vec![response(*status, &json.into_iter().chain(headers).collect::<Vec<_>>(), body.as_bytes())]
        }
        Behaviour::Refuse(parameter) => match request.body.get(*parameter) {
            Some(value) => vec![refused(parameter, value)],
            None => chat(&Behaviour::answer("a language"), request),
        },
        Behaviour::EchoSecrets(status) => {
            let key = request.header("authorization").unwrap_or_default();
            vec![error(*status, &format!("Who are you? You said: Authorization: {key}"))]
        }
        Behaviour::Hang => vec![Step::Hang],
        Behaviour::Held(then) => {
            let mut steps = vec![Step::AwaitRelease];
            steps.extend(chat(then, request));
            steps
        }
        Behaviour::StreamCut(pieces) => {
            let next = event(&text_chunk(request, "never seen").to_string());
            events(text_chunks(pieces, request), vec![half_a_chunk(&next), Step::Cut])
        }
        Behaviour::StreamEndsEarly(pieces) => events(text_chunks(pieces, request), vec![last_chunk()]),
        Behaviour::StreamError(pieces, error) => {
            let error = json!({"error": error}).to_string();
            let lines = text_chunks(pieces, request).chain([error, "[DONE]".to_owned()]);
            events(lines, vec![last_chunk()])
        }
        Behaviour::StreamStall(pieces) => events(text_chunks(pieces, request), vec![Step::Hang]),
        Behaviour::Endless(piece) => {
            let piece = event(&text_chunk(request, piece).to_string());
            events(iter::empty(), vec![endless_chunks(&piece)])
        }
    }
}
