//! `floor [ADDRESS]`: the least axum server whose answers have the shape of server-b's.
//!
//! It parses a request and builds an answer, and does nothing else: no validation, provider, price, ledger, log or
//! metric. What server-b needs beyond it is the price of what server-b does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

const MODEL: &str = "mock-model";
const TIMESTAMP: &str = "2026-01-31T12:00:00.000Z";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let address: SocketAddr = address.parse().with_context(|| format!("{address}: not an address"))?;
    let router = Router::new()
        .route("/health", get(health))
        .route("/process", post(process))
        .route("/stream", post(stream_words))
        .with_state(Arc::new(AtomicU64::new(0)));
    let listener = TcpListener::bind(address).await.with_context(|| format!("{address} cannot be bound"))?;
    // Nagle's algorithm holds the small writes of a stream back until the peer's delayed acknowledgement (40 ms).
    let listener = listener.tap_io(|socket| {
        socket.set_nodelay(true).ok(); // fails on a connection that is already closed, and then nothing is lost
    });
    axum::serve(listener, router).await.context("floor stopped")
}

/// Messages answered so far.
type Answered = Arc<AtomicU64>;

#[derive(Deserialize)]
struct Question {
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: &'static str,
    ai_response: String,
    model: &'static str,
    usage: Usage,
    timestamp: &'static str,
    processing_time: f64,
    finish_reason: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    estimated_cost: f64,
    cost_provenance: &'static str,
}

#[derive(Serialize)]
struct Piece<'a> {
    content: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    usage: Usage,
    model: &'static str,
    processing_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: &'static str,
    server: &'static str,
    timestamp: &'static str,
    provider: &'static str,
    messages_processed: u64,
    ai: ProviderHealth,
}

#[derive(Serialize)]
struct ProviderHealth {
    configured: bool,
    status: &'static str,
}

async fn health(State(answered): State<Answered>) -> Json<Health> {
    Json(Health {
        status: "healthy",
        server: "Server B (AI Responder)",
        timestamp: TIMESTAMP,
        provider: "mock",
        messages_processed: answered.load(Ordering::Relaxed),
        ai: ProviderHealth { configured: true, status: "healthy" },
    })
}

async fn process(State(answered): State<Answered>, Json(question): Json<Question>) -> Json<Answer> {
    let number = answered.fetch_add(1, Ordering::Relaxed) + 1;
    let text = format!(
        "[MOCK RESPONSE #{number}] You said: '{}'. This is a test response without calling any external API.",
        question.message
    );
    Json(Answer {
        status: "success",
        model: MODEL,
        usage: usage(&question.message, &text),
        ai_response: text,
        timestamp: TIMESTAMP,
        processing_time: 0.0,
        finish_reason: "stop",
    })
}

async fn stream_words(
    State(answered): State<Answered>,
    Json(question): Json<Question>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let number = answered.fetch_add(1, Ordering::Relaxed) + 1;
    let text = format!(
        "[MOCK STREAM #{number}] You said: '{}'. This is a streaming test response.",
        question.message
    );
    let summary = Summary { usage: usage(&question.message, &text), model: MODEL, processing_time: 0.0 };
    let mut events: Vec<Event> =
        text.split_inclusive(' ').map(|word| data(&Piece { content: word })).collect();
    events.push(data(&summary));
    events.push(Event::default().data("[DONE]"));
    Sse::new(stream::iter(events.into_iter().map(Ok)))
}

fn data(value: &impl Serialize) -> Event {
    Event::default().json_data(value).expect("strings and numbers always serialize")
}

/// A quarter of the characters, as server-b's mock counts.
fn usage(question: &str, answer: &str) -> Usage {
    let (prompt_tokens, completion_tokens) = (question.len().div_ceil(4), answer.len() / 4);
    Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
        estimated_cost: 0.0,
        cost_provenance: "exact",
    }
}
