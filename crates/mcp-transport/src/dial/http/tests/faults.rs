//! Whether a request that has no outcome may have been carried out.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse as _, Redirect},
    routing::any,
};
use secrecy::SecretString;
use tokio::net::TcpListener;
use url::Url;

use super::support::{Doorkeeper, EVENTS, call, line, line_with, modern, serve, soon};
use crate::{AuthorizeError, Authorizer, ConnectOptions, Refusal, RequestError};

async fn fails(answer: impl Into<String>) -> RequestError {
    let answer = answer.into();
    let door = Doorkeeper::new().await;
    let line = modern(door.address);
    let (failed, ()) = soon(async {
        tokio::join!(line.request(call("t"), None), async {
            let mut visit = door.visit().await;
            visit.write(&answer).await;
        })
    })
    .await;
    failed.unwrap_err()
}

fn status(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
}

fn json(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_that_nobody_accepts_is_not_delivered() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failed = soon(modern(address).request(call("t"), None)).await.unwrap_err();
    assert!(matches!(&failed, RequestError::NotDelivered { .. }), "{failed:?}");
    assert!(failed.to_string().contains("refused"), "{failed}");
}

#[tokio::test]
async fn a_refusal_by_status_is_told_from_an_answer_that_was_lost_behind_it() {
    for refused in ["404 Not Found", "405 Method Not Allowed", "410 Gone", "421 Misdirected Request"] {
        let failed = fails(status(refused)).await;
        assert!(matches!(&failed, RequestError::NotDelivered { retry_after: None, .. }), "{failed:?}");
        assert!(failed.to_string().contains(&refused[..3]), "{failed}");
    }
    for refused in ["401 Unauthorized", "403 Forbidden"] {
        let failed = fails(status(refused)).await;
        assert!(matches!(&failed, RequestError::Refused { .. }), "{failed:?}");
    }
    // A handler that takes too long is a 408, and a server that dies at work is a 503 of what stands in front of it.
    for lost in [
        "408 Request Timeout",
        "303 See Other",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "202 Accepted",
    ] {
        let failed = fails(status(lost)).await;
        assert!(matches!(&failed, RequestError::Lost { .. }), "{failed:?}");
    }
    // What stands in front of the server does not know what the server did.
    let passed_on = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"no answer"}}"#;
    for status in ["408 Request Timeout", "502 Bad Gateway", "503 Service Unavailable"] {
        let failed = fails(json(status, passed_on)).await;
        assert!(matches!(&failed, RequestError::Lost { .. }), "{failed:?}");
    }
}

#[tokio::test]
async fn a_request_that_will_never_be_accepted_is_told_from_a_place_that_takes_none() {
    for refused in [
        "400 Bad Request",
        "413 Payload Too Large",
        "414 URI Too Long",
        "415 Unsupported Media Type",
        "422 Unprocessable Entity",
        "431 Request Header Fields Too Large",
    ] {
        let plain = json(refused, "no").replace("application/json", "text/plain");
        for answer in [status(refused), plain, json(refused, r#"{"message":"no"}"#)] {
            let failed = fails(answer).await;
            assert!(matches!(&failed, RequestError::Unacceptable { .. }), "{failed:?}");
            assert!(failed.to_string().contains(&refused[..3]), "{failed}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_busy_says_for_how_long() {
    let busy = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32006,"message":"busy"}}"#;
    let with_body = json("503 Busy", busy).replace("\r\n\r\n", "\r\nretry-after: 7\r\n\r\n");
    for (answer, seconds) in [
        (status("429 Too Many Requests"), None),
        (status("503 Service Unavailable").replace("\r\n\r\n", "\r\nretry-after: 7\r\n\r\n"), Some(7)),
        (status("429 Too Many Requests").replace("\r\n\r\n", "\r\nretry-after: 7\r\n\r\n"), Some(7)),
        (with_body, Some(7)),
    ] {
        let failed = fails(answer).await;
        let RequestError::NotDelivered { retry_after, .. } = failed else { panic!("{failed:?}") };
        assert_eq!(retry_after, seconds.map(Duration::from_secs));
    }
}

#[tokio::test]
async fn an_error_of_the_server_is_an_outcome_whatever_the_status() {
    for (status, id) in [
        ("200 OK", r#""id":1,"#),
        ("404 Not Found", r#""id":1,"#),
        ("400 Bad Request", ""),
        ("500 Internal Server Error", r#""id":null,"#),
        ("502 Bad Gateway", r#""id":1,"#),
        ("503 Service Unavailable", r#""id":1,"#),
        ("408 Request Timeout", r#""id":"1","#),
    ] {
        let door = Doorkeeper::new().await;
        let line = modern(door.address);
        let body = format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code": -32601, "own":  1.0}}}}"#);
        let (outcome, ()) = soon(async {
            tokio::join!(line.request(call("t"), None), async {
                door.visit().await.write(&json(status, &body)).await;
            })
        })
        .await;
        let error = outcome.unwrap_or_else(|error| panic!("{status}: {error}")).unwrap_err();
        assert_eq!(error.as_str(), r#"{"code": -32601, "own":  1.0}"#, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_no_answer_is_lost() {
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for lost in [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-".to_owned(),
        json("200 OK", response).replace("}}", ""),
        json("200 OK", "not JSON"),
        json("200 OK", &response.replace('1', "2")),
        json("200 OK", r#"{"jsonrpc":"2.0","method":"m"}"#),
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        EVENTS.to_owned(),
        format!("{EVENTS}id: 1\ndata:\n\n"),
        format!("{EVENTS}data: {response}\n"), // the event is not complete
        format!("{EVENTS}data: {}\n\n", response.replace('1', "2")),
        format!("{EVENTS}data: {}\n\n", response.replace("{}", "1, \"error\": {}")),
    ] {
        let failed = fails(lost.clone()).await;
        assert!(matches!(failed, RequestError::Lost { .. }), "{lost}: {failed:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_read_is_never_sent_twice() {
    for connection_is_new in [true, false] {
        let door = Doorkeeper::new().await;
        let line = modern(door.address);
        let served = async {
            let mut visit = door.visit().await;
            if !connection_is_new {
                visit.answer("{}").await;
                visit.again().await;
            }
        };
        let calls = async {
            if !connection_is_new {
                line.request(call("t"), None).await.unwrap().unwrap();
            }
            line.request(call("t"), None).await.unwrap_err()
        };
        let (failed, ()) = soon(async { tokio::join!(calls, served) }).await;
        assert!(matches!(failed, RequestError::Lost { .. }), "{failed:?}");
        let second = tokio::time::timeout(Duration::ZERO, door.visit()).await;
        assert!(second.is_err(), "it came again");
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_replaced() {
    let door = Doorkeeper::new().await;
    let line = modern(door.address);
    for number in 0..20 {
        let served = async {
            let mut visit = door.visit().await;
            visit.answer(&number.to_string()).await;
            visit
        };
        let requested = async {
            let outcome = line.request(call("t"), None).await;
            assert_eq!(outcome.unwrap().unwrap().as_str(), number.to_string());
        };
        let ((), visit) = soon(async { tokio::join!(requested, served) }).await;
        drop(visit);
        // The runtime sees what has come by now, the end of the connection too.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_not_read() {
    let long = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "x".repeat(2000));
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    for (limit, answers) in [
        (1000, [json("200 OK", &long), chunked.clone(), format!("{EVENTS}data: {long}\n\n")]),
        (3000, [json("200 OK", &long), chunked, format!("{EVENTS}data: {long}\n\n")]),
    ] {
        for answer in answers {
            let door = Doorkeeper::new().await;
            let options = ConnectOptions { message_bytes: limit, ..ConnectOptions::default() };
            let (line, _) = line_with(door.address, &options);
            line.agree("2026-07-28", true);
            let (outcome, ()) = soon(async {
                tokio::join!(line.request(call("t"), None), async {
                    door.visit().await.write(&answer).await;
                })
            })
            .await;
            if limit == 3000 {
                assert_eq!(outcome.unwrap().unwrap().as_bytes().len(), 2002);
            } else {
                let failed = outcome.unwrap_err();
                assert!(
                    matches!(&failed, RequestError::TooLarge { reason } if reason.contains("1000")),
                    "{failed:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_within_the_origin_alone() {
    let within = Router::new().route("/mcp", any(|| async { Redirect::temporary("/real") })).route(
        "/real",
        any(|| async {
            let json = [("content-type", "application/json")];
            (json, r#"{"jsonrpc":"2.0","id":1,"result":7}"#).into_response()
        }),
    );
    let outcome = soon(modern(serve(within).await).request(call("t"), None)).await;
    assert_eq!(outcome.unwrap().unwrap().as_str(), "7");

    let other = Doorkeeper::new().await;
    let away = format!("http://{}/mcp", other.address);
    for status in [StatusCode::TEMPORARY_REDIRECT, StatusCode::FOUND] {
        let away = away.clone();
        let router = Router::new()
            .fallback(any(move || async move { (status, [("location", away)]).into_response() }));
        let failed = soon(modern(serve(router).await).request(call("t"), None)).await.unwrap_err();
        assert!(matches!(failed, RequestError::NotDelivered { .. }), "{failed:?}");
    }
    assert!(other.visits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_closed_line_sends_nothing_and_ends_what_is_under_way() {
    let door = Doorkeeper::new().await;
    let line = modern(door.address);
    let (failed, ()) = soon(async {
        tokio::join!(line.request(call("t"), None), async {
            let mut visit = door.visit().await;
            line.close().await;
            visit.closed().await;
        })
    })
    .await;
    assert!(matches!(failed, Err(RequestError::Lost { .. })), "{failed:?}");
    let failed = line.request(call("t"), None).await.unwrap_err();
    assert!(matches!(failed, RequestError::NotDelivered { .. }), "{failed:?}");
    assert!(line.is_ended() && line.why_ended().is_none());
}

#[tokio::test]
async fn a_message_of_the_transport_cannot_be_set_as_a_header() {
    for name in ["accept", "mcp-session-id", "last-event-id"] {
        let mut options = ConnectOptions::default();
        options.headers.insert(name, "x".parse().unwrap());
        let url = "http://127.0.0.1:1/mcp".parse().unwrap();
        assert!(super::super::HttpLine::new(&url, super::support::ears().0, &options).is_err(), "{name}");
    }
}

#[tokio::test]
async fn the_question_for_the_era_tells_an_older_server_from_one_with_trouble() {
    for (answer, is_older) in [
        (status("404 Not Found"), true),
        (status("400 Bad Request"), true),
        (status("401 Unauthorized"), false),
        (status("503 Service Unavailable"), false),
        (status("200 OK"), false),
    ] {
        let door = Doorkeeper::new().await;
        let (line, _) = line(door.address);
        let (failed, ()) = soon(async {
            let discover = super::support::request("server/discover", "{}");
            tokio::join!(line.introduce(discover, Some("2026-07-28")), async {
                let mut visit = door.visit().await;
                assert!(visit.text.contains("mcp-method: server/discover"), "{}", visit.text);
                visit.write(&answer).await;
            })
        })
        .await;
        assert_eq!(failed.unwrap_err().is_older_era(), is_older, "{answer}");
    }
}

/// Has another token after each refusal, as long as there are some.
struct Tokens(Url, usize);

#[async_trait]
impl Authorizer for Tokens {
    fn server(&self) -> &Url {
        &self.0
    }

    async fn token(&self) -> Result<Option<SecretString>, AuthorizeError> {
        Ok(Some("first".into()))
    }

    async fn renew(&self, refusal: &Refusal) -> Result<SecretString, AuthorizeError> {
        if refusal.renewals < self.1 {
            Ok(format!("renewed-{}", refusal.renewals).into())
        } else {
            Err(AuthorizeError::Denied("log in again".into()))
        }
    }
}

#[tokio::test]
async fn a_refused_request_is_sent_again_with_another_token_or_was_refused() {
    for renewals in [1, 0] {
        let door = Doorkeeper::new().await;
        let url = format!("http://{}/mcp", door.address).parse().unwrap();
        let authorizer: Option<Arc<dyn Authorizer>> = Some(Arc::new(Tokens(url, renewals)));
        let options = ConnectOptions { authorizer, ..ConnectOptions::default() };
        let (line, _) = line_with(door.address, &options);
        line.agree("2026-07-28", true);
        let (outcome, ()) = soon(async {
            tokio::join!(line.request(call("t"), None), async {
                let mut visit = door.visit().await;
                assert!(visit.text.contains("authorization: Bearer first"), "{}", visit.text);
                let challenge = "www-authenticate: Bearer\r\nconnection: close\r\n";
                visit.write(&visit.json("401 Unauthorized", challenge, "")).await;
                if renewals > 0 {
                    let mut visit = door.visit().await;
                    assert!(visit.text.contains("authorization: Bearer renewed-0"), "{}", visit.text);
                    visit.answer("1").await;
                }
            })
        })
        .await;
        if renewals > 0 {
            assert_eq!(outcome.unwrap().unwrap().as_str(), "1");
        } else {
            let failed = outcome.unwrap_err();
            assert!(
                matches!(&failed, RequestError::Refused { reason } if reason.contains("log in")),
                "{failed:?}"
            );
        }
    }
}
