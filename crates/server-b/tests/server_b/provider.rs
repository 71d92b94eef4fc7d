//! A stand-in for an OpenAI-compatible server on a real socket, which answers as it is told and shows what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, Uri},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
};

/// What the stand-in does with one completion. Without a script it answers «a language».
pub enum Script {
    /// Answers with this status, these headers and an error with this message.
    Error(u16, &'static [(&'static str, &'static str)], &'static str),
    /// Never answers.
    Silence,
    /// Answers as soon as it is told to.
    When(Arc<Notify>),
    /// Streams these pieces and then nothing more.
    Stall(&'static [&'static str]),
    /// Streams these pieces and ends in the middle.
    Break(&'static [&'static str]),
    /// Streams for as long as somebody reads.
    Endless,
}

/// One completion as the stand-in was asked for it.
pub struct Seen {
    pub body: Value,
    /// Resolves when the answer is complete, or the caller has gone.
    pub over: oneshot::Receiver<()>,
}

pub struct Provider {
    pub url: String,
    pub seen: mpsc::UnboundedReceiver<Seen>,
}

struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    seen: mpsc::UnboundedSender<Seen>,
}

struct Over(Option<oneshot::Sender<()>>);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

impl Provider {
    pub async fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let scripts = Mutex::new(scripts.into_iter().collect());
        let router = Router::new().fallback(answer).with_state(Arc::new(Shared { scripts, seen: sender }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// Settings of a server-b that asks this one.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        vec![
            ("AI_PROVIDER", "openai"),
            ("OPENAI_API_KEY", "sk-private"),
            ("OPENAI_DEFAULT_MODEL", "gpt-4o-mini"),
            ("OPENAI_BASE_URL", &self.url),
        ]
    }

    /// The next completion that is asked for.
    pub async fn next(&mut self) -> Seen {
        self.seen.recv().await.unwrap()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response<Body> {
    if uri.path().ends_with("/models") {
        let model = |id: &str| json!({"id": id, "object": "model", "created": 1, "owned_by": "test"});
        return whole(200, &json!({"object": "list", "data": [model("gpt-4o"), model("gpt-4o-mini")]}));
    }
    let (over, told) = oneshot::channel();
    let over = Over(Some(over));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let streamed = body["stream"] == true;
    let model = body["model"].clone();
    let _ = shared.seen.send(Seen { body, over: told });
    let script = shared.scripts.lock().unwrap().pop_front();
    match script {
        Some(Script::Error(status, headers, message)) => {
            let error = json!({"error": {"message": message, "type": "stub", "param": null, "code": null}});
            let mut response = whole(status, &error);
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
        Some(Script::Silence) => {
            let _over = over;
            std::future::pending().await
        }
        Some(Script::When(told)) => {
            told.notified().await;
            completion(&model)
        }
        Some(Script::Endless) => {
            let piece = event(&chunk(json!({"content": "x".repeat(1 << 14)}), &model).to_string());
            events(stream::repeat(piece), over)
        }
        Some(Script::Stall(pieces)) => {
            let chunks = stream::iter(chunks(pieces, &model)).chain(stream::pending());
            events(chunks, over)
        }
        Some(Script::Break(pieces)) => events(stream::iter(chunks(pieces, &model)), over),
        None if streamed => {
            let mut all = chunks(&["a ", "language"], &model);
            let mut end = chunk(json!({}), &model);
            end["choices"][0]["finish_reason"] = json!("stop");
            end["usage"] = usage();
            all.extend([event(&end.to_string()), event("[DONE]")]);
            events(stream::iter(all), over)
        }
        None => completion(&model),
    }
}

fn completion(model: &Value) -> Response<Body> {
    let message = json!({"role": "assistant", "content": "a language"});
    let choice = json!({"index": 0, "finish_reason": "stop", "message": message});
    let body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
        "usage": usage()
    });
    whole(200, &body)
}

fn usage() -> Value {
    json!({"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42})
}

fn whole(status: u16, body: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).unwrap()
}

fn chunks(pieces: &[&str], model: &Value) -> Vec<String> {
    pieces.iter().map(|piece| event(&chunk(json!({"content": piece}), model).to_string())).collect()
}

fn chunk(delta: Value, model: &Value) -> Value {
    json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]
    })
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

fn events(events: impl futures_util::Stream<Item = String> + Send + 'static, over: Over) -> Response<Body> {
    let events = events.map(move |event| (Ok::<_, std::io::Error>(event), &over).0);
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(events)).unwrap()
}
