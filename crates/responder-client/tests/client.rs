//! The client against a small server on a real socket.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, Uri},
};
use futures_util::{StreamExt as _, stream};
use models::{ProcessRequest, StreamEvent};
use responder_client::{Call, Limits, ResponderClient, ResponderError};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};

type Answer = Box<dyn Fn() -> Response<Body> + Send + Sync>;
type Seen = (String, HeaderMap, Bytes);

const GOOD: &str = r#"{"status":"success","aiResponse":"a language","model":"mock-model","usage":{"promptTokens":1,
    "completionTokens":2,"totalTokens":3,"estimatedCost":0.5,"costProvenance":"exact"},
    "timestamp":"2026-01-31T12:00:00.000Z","processingTime":0.1,"finishReason":"stop"}"#;

/// A server that gives the same answer to everything; what it was asked comes out of the receiver.
async fn server(answer: Answer) -> (String, mpsc::UnboundedReceiver<Seen>) {
    async fn handle(
        State((answer, seen)): State<(Arc<Answer>, mpsc::UnboundedSender<Seen>)>,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let _ = seen.send((uri.path().to_owned(), headers, body)); // some tests do not look
        answer()
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let router = Router::new().fallback(handle).with_state((Arc::new(answer), sender));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, receiver)
}

async fn answering(status: u16, headers: &'static [(&str, &str)], body: &'static str) -> String {
    let answer = move || {
        let builder = headers
            .iter()
            .fold(Response::builder().status(status), |builder, (name, value)| builder.header(*name, *value));
        builder.body(Body::from(body)).unwrap()
    };
    server(Box::new(answer)).await.0
}

fn client(url: &str, limits: Limits) -> ResponderClient {
    ResponderClient::new(url.parse().unwrap(), Some("key-1,key-2".into()), limits).unwrap()
}

fn request() -> ProcessRequest {
    ProcessRequest { message: "What is Python?".to_owned(), ..ProcessRequest::default() }
}

async fn error_of(url: &str, limits: Limits) -> ResponderError {
    client(url, limits).process(&request(), &Call::new("k")).await.unwrap_err()
}

#[tokio::test]
async fn a_message_carries_its_key_its_trace_and_the_credential() {
    let (url, mut seen) = server(Box::new(|| Response::new(Body::from(GOOD)))).await;
    let call =
        Call::new("message-1").with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

    let answer = client(&url, Limits::default()).process(&request(), &call).await.unwrap();

    assert_eq!(answer.ai_response, "a language");
    let (path, headers, body) = seen.recv().await.unwrap();
    assert_eq!(path, "/process");
    assert_eq!(headers["idempotency-key"], "message-1");
    assert_eq!(headers["authorization"], "Bearer key-1");
    assert_eq!(headers["traceparent"], call.traceparent.unwrap());
    assert_eq!(body, r#"{"message":"What is Python?"}"#);
}

#[tokio::test]
async fn what_server_b_says_about_itself_is_read() {
    let url =
        answering(200, &[], r#"{"provider":"mock","models":["mock-model"],"default":"mock-model"}"#).await;
    let client = client(&url, Limits::default());
    assert_eq!(client.models().await.unwrap().models, ["mock-model"]);
    assert!(matches!(client.health().await, Err(ResponderError::InvalidAnswer(_))));
}

#[tokio::test]
async fn a_server_that_does_not_run_refuses_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
    drop(listener);

    let error = error_of(&url, Limits::default()).await;

    assert!(matches!(error, ResponderError::ConnectionRefused), "{error:?}");
    assert!(error.retryable());
}

#[tokio::test]
async fn no_error_shows_the_password_of_the_url() {
    let error = error_of("http://user:secret@name.invalid:1", Limits::default()).await;
    assert!(matches!(error, ResponderError::Unreachable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_problem_says_whether_and_when_to_try_again() {
    let body = r#"{"title":"Too Many Requests","status":429,"detail":"wait","code":"rate_limited","retryable":true}"#;
    let url = answering(429, &[("retry-after", "7")], body).await;
    let error = error_of(&url, Limits::default()).await;
    assert!(error.retryable());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.code(), "rate_limited");
}

#[tokio::test]
async fn only_passing_statuses_are_retried_and_only_unless_the_problem_says_no() {
    let says = |retryable| match retryable {
        Some(true) => r#"{"detail":"d","code":"c","retryable":true}"#,
        Some(false) => r#"{"detail":"d","code":"c","retryable":false}"#,
        None => "<html>",
    };
    for (status, retryable, expected) in [
        (429, None, true),
        (502, None, true),
        (503, Some(true), true),
        (504, None, true),
        (503, Some(false), false),
        (500, Some(true), false),
        (422, Some(true), false),
        (401, None, false),
    ] {
        let url = answering(status, &[], says(retryable)).await;
        assert_eq!(error_of(&url, Limits::default()).await.retryable(), expected, "{status} {retryable:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_in_use_is_tried_again_after_a_while() {
    let says = r#"{"detail":"d","code":"idempotency_key_in_use","retryable":true}"#;
    let error = error_of(&answering(409, &[("retry-after", "1")], says).await, Limits::default()).await;
    assert!(error.retryable() && error.key_is_in_use());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));

    let other = r#"{"detail":"d","code":"conflict","retryable":true}"#;
    let error = error_of(&answering(409, &[], other).await, Limits::default()).await;
    assert!(!error.retryable() && !error.key_is_in_use());
}

#[tokio::test]
async fn only_what_no_model_can_have_seen_is_certainly_free() {
    for (status, body, free) in [
        (401, r#"{"code":"unauthorized"}"#, true),
        (422, r#"{"code":"invalid_request"}"#, true),
        (429, r#"{"code":"rate_limited"}"#, true),
        (408, r#"{"code":"body_timed_out"}"#, true),
        (503, r#"{"code":"server_busy"}"#, true),
        (502, r#"{"code":"provider_unreachable"}"#, true),
        (422, r#"{"code":"content_filtered"}"#, false), // refused answers are billed
        (409, r#"{"code":"idempotency_key_in_use"}"#, false), // a model is working
        (408, "<html>", false),
        (500, r#"{"code":"internal_error"}"#, false),
        (502, r#"{"code":"provider_failed"}"#, true), // an error instead of an answer is not billed
        (502, r#"{"code":"answer_lost"}"#, false),
        (503, r#"{"code":"answer_not_recorded"}"#, false),
        (504, r#"{"code":"provider_timed_out"}"#, false),
        (502, "<html>", false),
    ] {
        let url = answering(status, &[], body).await;
        assert_eq!(error_of(&url, Limits::default()).await.certainly_free(), free, "{status} {body}");
    }
}

#[tokio::test]
async fn a_request_has_one_credential_the_key_or_what_the_url_has() {
    let (url, mut seen) = server(Box::new(|| Response::new(Body::from(GOOD)))).await;
    let url = url.replace("http://", "http://me:p%40ss@");
    for (key, expected) in [(Some("key-1"), "Bearer key-1"), (None, "Basic bWU6cEBzcw==")] {
        let client =
            ResponderClient::new(url.parse().unwrap(), key.map(Into::into), Limits::default()).unwrap();
        client.process(&request(), &Call::new("k")).await.unwrap();
        let (_, headers, _) = seen.recv().await.unwrap();
        let sent: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(sent, [expected]);
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_becomes_a_problem_of_its_status() {
    let url = answering(502, &[], "<html>Bad Gateway</html>").await;
    let ResponderError::Problem { problem, .. } = error_of(&url, Limits::default()).await else { panic!() };
    assert_eq!(
        (problem.status, problem.title.as_str(), problem.code.as_str()),
        (502, "Bad Gateway", "http_502")
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let url = answering(307, &[("location", "http://elsewhere.test/")], "").await;
    let ResponderError::Problem { problem, .. } = error_of(&url, Limits::default()).await else { panic!() };
    assert!(problem.detail.contains("redirects"), "{}", problem.detail);
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_not_read() {
    let url = answering(200, &[], GOOD).await;
    let error = error_of(&url, Limits { answer_bytes: 100, ..Limits::default() }).await;
    assert!(matches!(error, ResponderError::InvalidAnswer(_)), "{error:?}");

    let endless =
        || Response::new(Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64]))));
    let (url, _seen) = server(Box::new(endless)).await;
    let error = error_of(&url, Limits { answer_bytes: 1_000, ..Limits::default() }).await;
    assert!(matches!(error, ResponderError::InvalidAnswer(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_times_out() {
    let never = || Response::new(Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>()));
    let (url, _seen) = server(Box::new(never)).await;
    let limits = Limits { timeout: Duration::from_millis(20), ..Limits::default() };
    let client = client(&url, limits);
    let about = client.health().await.unwrap_err();
    let mut events = client.stream(&request(), &Call::new("k")).await.unwrap();
    for error in [about, events.next().await.unwrap().unwrap_err()] {
        assert!(matches!(error, ResponderError::TimedOut { after } if after == limits.timeout), "{error:?}");
        assert!(error.retryable());
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost_and_may_be_tried_again() {
    let broken = || {
        let chunks = [Ok("{"), Err(std::io::Error::other("gone"))];
        Response::new(Body::from_stream(stream::iter(chunks)))
    };
    let (url, _seen) = server(Box::new(broken)).await;
    let error = error_of(&url, Limits::default()).await;
    assert!(matches!(error, ResponderError::ConnectionLost(_)), "{error:?}");
    assert!(error.retryable());
}

#[tokio::test]
async fn dropping_a_stream_closes_its_request() {
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let closed = Arc::new(Notify::new());
    let told = closed.clone();
    let endless = move || {
        let tell = Tell(told.clone());
        let first = stream::iter([Ok::<_, std::io::Error>("data: {\"content\":\"a\"}\n\n")]);
        Response::new(Body::from_stream(first.chain(stream::pending()).map(move |chunk| (chunk, &tell).0)))
    };
    let (url, mut seen) = server(Box::new(endless)).await;

    let mut events =
        client(&url, Limits::default()).stream(&request(), &Call::new("message-1")).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    drop(events);

    assert!(matches!(first, StreamEvent::Piece(piece) if piece.content == "a"));
    closed.notified().await;
    let (path, headers, _) = seen.recv().await.unwrap();
    assert_eq!((path.as_str(), headers["idempotency-key"].to_str().unwrap()), ("/stream", "message-1"));
}
