use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header::AUTHORIZATION},
    response::{
        Html, IntoResponse as _, Redirect, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{any, get, post},
};
use futures_util::stream;
use mcp_transport::{Address, ConnectError, ConnectOptions, Era, connect};
use rmcp::service::ServiceError;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{Seen, Server, address, addresses, call, era, free_port, legacy_answer, serve, soon};

#[tokio::test]
async fn a_port_where_nothing_listens_is_unreachable() {
    for place in addresses(free_port().await) {
        let error = connect(&place, (), &era(Era::Auto)).await.err().unwrap();
        assert!(matches!(error, ConnectError::Unreachable { .. }) && error.is_transient(), "{error:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("refused"), "{cause}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut accepted = Vec::new();
        while let Ok(connection) = silent.accept().await {
            accepted.push(connection);
        }
    });
    let options = ConnectOptions { timeout: Duration::from_millis(50), ..era(Era::Auto) };
    for place in addresses(port) {
        let error = soon(connect(&place, (), &options)).await.err().unwrap();
        assert!(matches!(error, ConnectError::TimedOut { .. }) && error.is_transient(), "{error:?}");
    }
}

#[tokio::test]
async fn a_website_is_told_from_an_mcp_server() {
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
        let page = any(move || async move { (status, Html("<p>secret words of the page</p>")) });
        let site = serve(Router::new().fallback(page)).await;
        for place in addresses(site.port()) {
            for asked in [Era::Auto, Era::Modern, Era::Legacy] {
                let error = connect(&place, (), &era(asked)).await.err().unwrap();
                assert!(matches!(error, ConnectError::NotMcp { .. }), "{place} {status}: {error:?}");
                assert!(!error.is_transient());
                assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_with_trouble_may_be_tried_again() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let site = serve(Router::new().fallback(any(move || async move { status }))).await;
        for place in addresses(site.port()) {
            let error = connect(&place, (), &era(Era::Auto)).await.err().unwrap();
            assert!(matches!(error, ConnectError::Unreachable { .. }), "{place} {status}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_without_a_challenge_asks_for_credentials_too() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let site = serve(Router::new().fallback(any(move || async move { status }))).await;
        for place in addresses(site.port()) {
            let error = connect(&place, (), &era(Era::Auto)).await.err().unwrap();
            let ConnectError::NeedsCredentials { status: told, challenge: None, .. } = error else {
                panic!("{place}: {error:?}")
            };
            assert_eq!(told, status);
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed_and_one_within_it_is() {
    let (stolen, mut thefts) = mpsc::channel(8);
    let thief = Router::new().fallback(any(move |headers: HeaderMap| async move {
        let _ = stolen.send(headers).await;
        StatusCode::OK
    }));
    let thief = serve(thief).await;
    let away = any(move |uri: Uri| async move { Redirect::temporary(&format!("http://{thief}{uri}")) });
    let site = serve(Router::new().fallback(away)).await;
    let options = ConnectOptions { bearer: Some(SecretString::from("key")), ..era(Era::Auto) };
    for place in addresses(site.port()) {
        let error = connect(&place, (), &options).await.err().unwrap();
        assert!(matches!(error, ConnectError::NotMcp { .. }), "{place}: {error:?}");
    }
    assert!(thefts.try_recv().is_err());

    let within = Router::new().route("/mcp", any(|| async { Redirect::temporary("/real") })).route(
        "/real",
        post(|Json(message): Json<Value>| async move {
            legacy_answer(&message)
                .map_or(StatusCode::ACCEPTED.into_response(), |answer| Json(answer).into_response())
        }),
    );
    let site = serve(within).await;
    let client = connect(&address(site.to_string()), (), &era(Era::Auto)).await.unwrap();
    assert_eq!(call(&client, "count").await.unwrap(), "called");
}

#[tokio::test]
async fn a_user_name_and_password_in_the_url_are_sent_as_the_credential_and_never_shown() {
    let (told, mut credentials) = mpsc::channel(8);
    let site = any(move |headers: HeaderMap| async move {
        let _ = told.send(headers.get(AUTHORIZATION).cloned()).await;
        StatusCode::NOT_FOUND
    });
    let site = serve(Router::new().fallback(site)).await;
    for path in ["http", "sse", "ws"] {
        let scheme = if path == "ws" { "ws" } else { "http" };
        let place = address(format!("{scheme}://me:secret@{site}/{path}?key=secret"));
        let error = connect(&place, (), &era(Era::Legacy)).await.err().unwrap();
        assert_eq!(soon(credentials.recv()).await.unwrap().unwrap(), "Basic bWU6c2VjcmV0", "{path}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

/// A scripted server of HTTP+SSE.
#[derive(Clone)]
pub struct Scripted {
    endpoint: String,
    answers: mpsc::Sender<Event>,
    stream: Arc<Mutex<Option<mpsc::Receiver<Event>>>>,
    /// The status that calls of tools are refused with.
    refusal: StatusCode,
}

impl Scripted {
    pub fn new(endpoint: &str, refusal: StatusCode) -> Self {
        let (answers, stream) = mpsc::channel(8);
        Self { endpoint: endpoint.to_owned(), answers, stream: Arc::new(Mutex::new(Some(stream))), refusal }
    }

    pub async fn serve(self) -> String {
        let router = Router::new().route("/sse", get(open)).route("/message", post(take)).with_state(self);
        format!("http://{}/sse", serve(router).await)
    }
}

async fn open(State(scripted): State<Scripted>) -> Response {
    let messages = scripted.stream.lock().unwrap().take().unwrap();
    let first = Event::default().event("endpoint").data(&scripted.endpoint);
    let events = stream::unfold((Some(first), messages), |(first, mut messages)| async {
        let event = match first {
            Some(first) => first,
            None => messages.recv().await?,
        };
        Some((Ok::<_, Infallible>(event), (None, messages)))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_millis(5))).into_response()
}

async fn take(State(scripted): State<Scripted>, Json(message): Json<Value>) -> StatusCode {
    if message["method"] == "tools/call" && scripted.refusal != StatusCode::ACCEPTED {
        return scripted.refusal;
    }
    if let Some(answer) = legacy_answer(&message) {
        scripted.answers.send(Event::default().data(answer.to_string())).await.unwrap();
    }
    StatusCode::ACCEPTED
}

#[tokio::test]
async fn messages_are_not_sent_to_another_origin_than_the_stream_comes_from() {
    for endpoint in ["http://127.0.0.1:1/message", "//other.example/message", "https:/message"] {
        let place = Scripted::new(endpoint, StatusCode::ACCEPTED).serve().await;
        let error = connect(&address(place), (), &era(Era::Auto)).await.err().unwrap();
        assert!(matches!(error, ConnectError::Protocol { .. }), "{endpoint}: {error:?}");
    }
    let relative = Scripted::new("message?id=1", StatusCode::ACCEPTED).serve().await;
    let client = connect(&address(relative), (), &era(Era::Auto)).await.unwrap();
    assert_eq!(call(&client, "count").await.unwrap(), "called");
}

#[tokio::test]
async fn a_call_that_the_server_refuses_to_take_fails_and_the_next_one_is_made() {
    for refusal in [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let place = Scripted::new("/message", refusal).serve().await;
        let client = connect(&address(place), (), &era(Era::Auto)).await.unwrap();
        for _ in 0..2 {
            let error = call(&client, "count").await.unwrap_err();
            let ServiceError::TransportSend(error) = error else { panic!("{error:?}") };
            assert!(error.to_string().contains(refusal.as_str()), "{error}");
        }
        assert!(!client.is_ended());
    }
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection_and_its_call() {
    let server = Server::start(&Seen::default());
    for place in addresses(server.port) {
        let options = ConnectOptions { message_bytes: 2 << 10, ..era(Era::Modern) };
        let client = connect(&place, (), &options).await.unwrap();
        assert!(call(&client, "count").await.is_ok(), "{place}");
        let failed = call(&client, "long").await;
        // Over Streamable HTTP an answer in one piece has rmcp's own limit.
        if place.to_string().ends_with("/mcp") {
            continue;
        }
        assert!(failed.is_err(), "{place}");
        soon(client.ended()).await;
    }
}

/// A server of the older era over Streamable HTTP, which forgets its session after the handshake.
async fn forgetful(status: StatusCode, answer: Value) -> (Address, mpsc::Receiver<()>) {
    let (called, calls) = mpsc::channel(8);
    let mcp = post(move |headers: HeaderMap, Json(message): Json<Value>| async move {
        if message["method"] != "initialize" && headers.contains_key("mcp-session-id") {
            if message["method"] == "notifications/initialized" {
                return StatusCode::ACCEPTED.into_response();
            }
            called.send(()).await.unwrap();
            return (status, Json(answer)).into_response();
        }
        let answer = legacy_answer(&message).unwrap();
        ([("mcp-session-id", "one")], Json(answer)).into_response()
    });
    let site = serve(Router::new().route("/mcp", mcp)).await;
    (address(site.to_string()), calls)
}

#[tokio::test]
async fn a_refusal_without_an_id_fails_the_request_that_it_answers() {
    let refusal = |code: i32| json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": "no"}});
    for (code, forgotten) in [(-32_000, true), (-32_602, false)] {
        let (place, mut calls) = forgetful(StatusCode::BAD_REQUEST, refusal(code)).await;
        let client = connect(&place, (), &era(Era::Auto)).await.unwrap();
        let error = call(&client, "count").await.unwrap_err();
        assert!(matches!(&error, ServiceError::McpError(error) if error.code.0 == code), "{error:?}");
        // This is how TypeScript servers say that they do not know the session.
        assert_eq!(client.is_ended(), forgotten);
        assert!(calls.try_recv().is_ok() && calls.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_forgotten_session_ends_the_connection() {
    let (place, mut calls) = forgetful(StatusCode::NOT_FOUND, json!({})).await;
    let client = connect(&place, (), &era(Era::Auto)).await.unwrap();
    assert!(call(&client, "count").await.is_err());
    soon(client.ended()).await;
    // Refused once in the old session, and once in the new one that rmcp started.
    assert!(calls.try_recv().is_ok() && calls.try_recv().is_ok() && calls.try_recv().is_err());
}
