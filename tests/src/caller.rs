//! A program that calls server-b's REST API.

use anyhow::Context as _;
use reqwest::{Client, RequestBuilder, Response, header::HeaderMap};
use serde_json::Value;

use crate::world::ServerB;

/// Calls one server-b.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    base: String,
}

/// An answer with everything in it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came; of a stream that broke, as much as came.
    pub body: String,
}

/// What a reader of a stream got.
#[derive(Debug, Clone, PartialEq)]
pub struct Streamed {
    /// The pieces of the answer.
    pub pieces: Vec<String>,
    /// The event after them: what the answer used, or why it broke off.
    pub last: Value,
    /// Whether `[DONE]` was the last word.
    pub done: bool,
}

impl Caller {
    /// A caller of `server`, without a proxy of this machine in between.
    ///
    /// # Errors
    /// When the system cannot be asked for its certificates.
    pub fn new(server: &ServerB) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().build().context("no client for the test")?;
        Ok(Self { client, base: server.url("") })
    }

    /// `POST /process`, to be completed or sent.
    pub fn process(&self, request: &Value) -> RequestBuilder {
        self.client.post(format!("{}/process", self.base)).json(request)
    }

    /// `POST /stream`, to be completed or sent.
    pub fn stream(&self, request: &Value) -> RequestBuilder {
        self.client.post(format!("{}/stream", self.base)).json(request)
    }

    /// `GET` of any path, to be completed or sent.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    /// What a `GET` without a key answers.
    ///
    /// # Errors
    /// When server-b does not answer.
    pub async fn about(&self, path: &str) -> anyhow::Result<Reply> {
        Reply::of(self.get(path)).await
    }

    /// The value of the sample of `/metrics` that begins with `name`, labels included; 0 before it is first counted.
    ///
    /// # Errors
    /// When server-b does not answer.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.about("/metrics").await?.body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }
}

impl Reply {
    /// Sends `request` and reads its answer to the end.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn of(request: RequestBuilder) -> anyhow::Result<Self> {
        Self::read(request.send().await?).await
    }

    /// Reads an answer to the end.
    ///
    /// # Errors
    /// When it is no text.
    pub async fn read(mut response: Response) -> anyhow::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        // A stream that breaks is what some tests look at.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, headers, body: String::from_utf8(body)? })
    }

    /// The header of this name, if there is one that can be read.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }

    /// The body as Server-Sent Events.
    ///
    /// # Errors
    /// When they are not those that server-b documents.
    pub fn streamed(&self) -> anyhow::Result<Streamed> {
        let mut data: Vec<_> = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let done = data.pop_if(|last| *last == "[DONE]").is_some();
        let events: Result<Vec<Value>, _> = data.into_iter().map(serde_json::from_str).collect();
        let mut events = events.with_context(|| format!("not events: {}", self.body))?;
        let last = events.pop().context("the stream has no events")?;
        let pieces: Option<_> =
            events.iter().map(|event| Some(event["content"].as_str()?.to_owned())).collect();
        Ok(Streamed { pieces: pieces.context("an event in the middle is no piece")?, last, done })
    }
}
