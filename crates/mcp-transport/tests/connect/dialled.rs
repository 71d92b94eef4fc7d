//! Lines over real transports: sockets, and child processes.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    http::StatusCode,
    response::{Html, IntoResponse as _, Sse, sse::Event},
    routing::{any, post},
};
use futures_util::stream;
use mcp_transport::{Address, ConnectError, ConnectOptions, Era, Line, RequestError, dial};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};

use crate::{
    children::{Lifeline, options, shell},
    faults::Scripted,
    peer::{Ears, Voice, card, outgoing, tool, value},
    support::{Seen, Server, address, addresses, era, free_port, legacy_answer, serve, soon},
};

async fn dialled(place: &Address, options: &ConnectOptions) -> Result<(Line, Ears), ConnectError> {
    let (host, ears) = Voice::new();
    Ok((soon(dial(place, &card(), Arc::new(host), options)).await?, ears))
}

/// Calls a tool, and gives the text of its answer.
async fn call(line: &Line, name: &str) -> Result<String, RequestError> {
    let mut request = tool(name);
    request.params = line.stamp(request.params);
    let answer = value(&soon(line.request(request, None)).await?.unwrap());
    Ok(answer["content"][0]["text"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_server_is_called_over_each_transport_in_each_era() {
    let server = Server::start(&Seen::default());
    let mut calls = 0;
    for place in addresses(server.port) {
        for asked in [Era::Auto, Era::Modern, Era::Legacy] {
            let (line, _ears) = dialled(&place, &era(asked)).await.unwrap();
            assert_eq!(line.is_modern(), asked != Era::Legacy, "{place}");
            assert_eq!(line.keeps_requests_apart(), place.to_string().ends_with("/mcp"));
            calls += 1;
            assert_eq!(call(&line, "count").await.unwrap(), calls.to_string(), "{place}");
            let unknown = line.request(outgoing("no/such", json!({})), None).await.unwrap();
            assert!(unknown.is_err() && !line.is_ended(), "{place}");
            soon(line.close()).await;
            assert!(line.is_ended());
            let refused = call(&line, "count").await.unwrap_err();
            assert!(matches!(refused, RequestError::NotDelivered { .. }), "{place}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_is_cancelled_at_the_server() {
    let seen = Seen::default();
    let server = Server::start(&seen);
    for place in addresses(server.port) {
        for asked in [Era::Modern, Era::Legacy] {
            let (line, _ears) = dialled(&place, &era(asked)).await.unwrap();
            let waiting = async {
                tokio::select! {
                    answer = call(&line, "wait") => panic!("{place}: {answer:?}"),
                    () = seen.waiting() => {}
                }
            };
            waiting.await;
            seen.cancelled().await;
            assert!(call(&line, "count").await.is_ok(), "{place}");
        }
    }
}

#[tokio::test]
async fn a_call_under_way_is_lost_with_its_server_and_the_line_ends() {
    for place in 1..3 {
        let seen = Seen::default();
        let server = Server::start(&seen);
        let place = &addresses(server.port)[place];
        let (line, _ears) = dialled(place, &era(Era::Auto)).await.unwrap();
        let (lost, ()) = tokio::join!(call(&line, "wait"), async {
            seen.waiting().await;
            drop(server);
        });
        assert!(matches!(lost.unwrap_err(), RequestError::Lost { .. }), "{place}");
        soon(line.ended()).await;
        let error = call(&line, "count").await.unwrap_err();
        assert!(matches!(error, RequestError::NotDelivered { .. }), "{place}: {error}");
        assert!(line.why_ended().is_transient());
    }
}

#[tokio::test]
async fn a_place_without_a_server_is_told_apart() {
    for place in addresses(free_port().await) {
        let error = dialled(&place, &era(Era::Auto)).await.err().unwrap();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{place}: {error:?}");
    }
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED] {
        let page = any(move || async move { (status, Html("<p>words of the page</p>")) });
        let site = serve(Router::new().fallback(page)).await;
        for place in addresses(site.port()) {
            for asked in [Era::Auto, Era::Modern, Era::Legacy] {
                let error = dialled(&place, &era(asked)).await.err().unwrap();
                if status == StatusCode::UNAUTHORIZED {
                    assert!(matches!(error, ConnectError::NeedsCredentials { .. }), "{place}: {error:?}");
                } else {
                    assert!(matches!(error, ConnectError::NotMcp { .. }), "{place} {status}: {error:?}");
                }
            }
        }
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
        let error = dialled(&place, &options).await.err().unwrap();
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{place}: {error:?}");
    }
}

#[tokio::test]
async fn what_a_status_says_of_a_message_that_is_posted_is_told() {
    for (status, fate) in
        [(400, "not accepted"), (405, "not delivered"), (403, "refuses"), (500, "lost"), (503, "lost")]
    {
        let place = Scripted::new("/message", StatusCode::from_u16(status).unwrap()).serve().await;
        let (line, _ears) = dialled(&address(place), &era(Era::Auto)).await.unwrap();
        for _ in 0..2 {
            let error = call(&line, "count").await.unwrap_err();
            assert!(error.to_string().contains(fate), "{status}: {error}");
        }
        assert!(!line.is_ended() && !line.is_modern());
    }
}

#[tokio::test]
async fn progress_is_heard_wherever_a_server_reports_it() {
    let (reports, stream) = mpsc::channel::<Event>(8);
    let (stream, heard) = (Arc::new(Mutex::new(Some(stream))), Arc::new(Notify::new()));
    let listen = move || {
        let stream = stream.lock().unwrap().take().unwrap();
        let events = stream::unfold(stream, |mut stream| async {
            Some((Ok::<_, Infallible>(stream.recv().await?), stream))
        });
        async { Sse::new(events) }
    };
    let answered = heard.clone();
    let take = move |Json(message): Json<Value>| async move {
        let Some(answer) = legacy_answer(&message) else { return StatusCode::ACCEPTED.into_response() };
        if message["method"] == "tools/call" {
            let token = &message["params"]["_meta"]["progressToken"];
            let params = json!({"progressToken": token, "progress": 1});
            let told = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
            reports.send(Event::default().data(told.to_string())).await.unwrap();
            answered.notified().await;
        }
        ([("mcp-session-id", "one")], Json(answer)).into_response()
    };
    let site = serve(Router::new().route("/mcp", post(take).get(listen))).await;
    let (line, mut host) = dialled(&address(site.to_string()), &era(Era::Legacy)).await.unwrap();
    let (party, mut ears) = Voice::party();
    let params = json!({"name": "x", "_meta": {"progressToken": "mine"}});
    let (outcome, ()) = tokio::join!(line.request(outgoing("tools/call", params), party), async {
        assert_eq!(ears.told().await.1, json!({"progressToken": "mine", "progress": 1}));
        heard.notify_one();
    });
    outcome.unwrap().unwrap();
    assert!(host.is_silent());
}

#[tokio::test]
async fn a_web_socket_that_falls_silent_is_given_up_and_its_calls_are_lost() {
    let silent = any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(async |mut socket: WebSocket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["method"] == "tools/call" {
                    std::future::pending::<()>().await; // the socket stays open, but nobody reads it
                }
                if let Some(answer) = legacy_answer(&message) {
                    socket.send(Message::text(answer.to_string())).await.unwrap();
                }
            }
        })
    });
    let site = serve(Router::new().route("/ws", silent)).await;
    let options = ConnectOptions { keep_alive: Duration::from_millis(200), ..era(Era::Auto) };
    let (line, _ears) = dialled(&address(format!("ws://{site}/ws")), &options).await.unwrap();
    assert!(matches!(call(&line, "count").await.unwrap_err(), RequestError::Lost { .. }));
    soon(line.ended()).await;
}

#[tokio::test]
async fn a_child_is_started_called_and_ended_by_closing_its_input() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let command = lifeline.hold("echo started >&2; serve; echo goodbye >&9; echo ending >&2");
    let (line, _ears) = dialled(&command.into(), &era(Era::Auto)).await.unwrap();
    assert_eq!(line.version(), "2025-11-25");
    assert_eq!(call(&line, "count").await.unwrap(), "called");
    soon(line.close()).await;
    assert_eq!(soon(gone).await.unwrap(), b"goodbye\n");
    assert_eq!(line.last_lines(), ["started", "ending"]);
}

#[tokio::test]
async fn a_dropped_line_leaves_no_child() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let stubborn = lifeline.hold("trap '' TERM; sleep 1000 & serve; while :; do sleep 1000; done");
    let brief = options(Duration::from_millis(20));
    drop(dialled(&stubborn.into(), &brief).await.unwrap());
    soon(gone).await.unwrap();
}

#[tokio::test]
async fn a_child_that_ends_takes_its_calls_with_it_and_its_last_words_are_kept() {
    let command = shell("called() { echo 'no database' >&2; exit 7; }; serve");
    let (line, _ears) = dialled(&command.into(), &era(Era::Auto)).await.unwrap();
    assert!(matches!(call(&line, "count").await.unwrap_err(), RequestError::Lost { .. }));
    soon(line.ended()).await;
    let why = line.why_ended().to_string();
    assert!(why.contains("exit status: 7") && why.ends_with("it said:\nno database"), "{why}");
    assert!(matches!(call(&line, "count").await.unwrap_err(), RequestError::NotDelivered { .. }));
}

#[tokio::test]
async fn a_call_that_was_half_written_when_the_child_ended_was_not_delivered() {
    // What it leaves behind keeps its input open, so that only its end tells that nobody will read the rest.
    let script = "called() { sleep 1000 <&0 & answer '\"result\":{\"content\":[]}'; head -c 1 >/dev/null; exit 0; }; serve";
    let (line, _ears) = dialled(&shell(script).into(), &era(Era::Auto)).await.unwrap();
    line.request(outgoing("tools/call", json!({"name": "x"})), None).await.unwrap().unwrap();
    let large = outgoing("tools/call", json!({"name": "x".repeat(1 << 20)}));
    let error = soon(line.request(large, None)).await.unwrap_err();
    assert!(matches!(error, RequestError::NotDelivered { .. }), "{error:?}");
}

#[tokio::test]
async fn a_child_that_stops_reading_ends_its_line() {
    let says_so = r#"printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}\n'"#;
    let deaf = shell(&format!("called() {{ exec 0<&-; {says_so}; sleep 1000; }}; serve"));
    let (line, mut ears) = dialled(&deaf.into(), &options(Duration::from_millis(20))).await.unwrap();
    // The first call is taken by a server that never answers it; the next one finds that nobody reads.
    let next = async {
        ears.told().await;
        call(&line, "count").await.unwrap_err()
    };
    let (first, next) = soon(async { tokio::join!(call(&line, "count"), next) }).await;
    assert!(matches!(first, Err(RequestError::Lost { .. })), "{first:?}");
    assert!(matches!(next, RequestError::NotDelivered { .. }), "{next:?}");
    soon(line.ended()).await;
    soon(line.close()).await;
}

#[tokio::test]
async fn a_child_that_does_not_shake_hands_is_killed_and_its_complaints_are_shown() {
    let lifeline = Lifeline::new();
    let gone = lifeline.watch();
    let mute = lifeline.hold("trap '' TERM; echo 'no database' >&2; echo >&9; while :; do sleep 1000; done");
    let options = ConnectOptions { timeout: Duration::from_secs(2), ..era(Era::Auto) };
    let error = dialled(&mute.into(), &options).await.err().unwrap();
    assert!(error.to_string().ends_with("was not ready within 2s; it said:\nno database"), "{error}");
    soon(gone).await.unwrap();

    let error = dialled(&shell("echo sorry >&2; exit 3").into(), &era(Era::Auto)).await.err().unwrap();
    let ConnectError::Ended { status: Some(status), stderr, .. } = error else { panic!("{error:?}") };
    assert_eq!((status.code(), stderr), (Some(3), vec!["sorry".to_owned()]));
}

#[tokio::test]
async fn an_attempt_that_is_stopped_leaves_nothing() {
    let (lifeline, start) = (Lifeline::new(), Lifeline::new());
    let (gone, started) = (lifeline.watch(), start.watch());
    let mute = lifeline.hold("trap '' TERM; : >\"$START\"; while :; do sleep 1000; done");
    let mute = mute.variable("START", start.pipe().to_str().unwrap()).into();
    let options = era(Era::Auto);
    let (stopped, ()) = tokio::join!(dialled(&mute, &options), async {
        soon(started).await.unwrap();
        options.stop.cancel();
    });
    assert!(matches!(stopped.err().unwrap(), ConnectError::Setup(_)));
    soon(gone).await.unwrap();
}
