//! Sessions of the older era: how they are listened to, forgotten and left.

use super::support::{Doorkeeper, EVENTS, call, initialize, line, next, soon};
use crate::RequestError;

#[tokio::test]
async fn a_session_that_the_server_forgot_ends_the_line_and_the_request_was_not_delivered() {
    let no_session = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request"},"id":null}"#;
    for (status, body) in [("404 Not Found", ""), ("400 Bad Request", no_session)] {
        let door = Doorkeeper::new().await;
        let (line, _) = line(door.address);
        soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
        let (failed, ()) = soon(async {
            tokio::join!(line.request(call("t"), None), async {
                let mut visit = door.visit().await;
                assert!(visit.text.contains("mcp-protocol-version: 2025-11-25"), "{}", visit.text);
                visit.write(&visit.json(status, "", body)).await;
            })
        })
        .await;
        assert!(matches!(failed, Err(RequestError::NotDelivered { .. })), "{failed:?}");
        soon(line.ended()).await;
        assert!(line.why_ended().unwrap().contains("forgotten"));
        soon(line.close()).await; // a session that is gone is not left
    }
}

#[tokio::test]
async fn an_unknown_method_is_no_forgotten_session() {
    let door = Doorkeeper::new().await;
    let (line, _) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    let (outcome, ()) = soon(async {
        tokio::join!(line.request(call("t"), None), async {
            let mut visit = door.visit().await;
            let error = r#"{"code":-32601,"message":"Method not found"}"#;
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, visit.id());
            visit.write(&visit.json("404 Not Found", "", &body)).await;
        })
    })
    .await;
    assert!(outcome.unwrap().is_err());
    assert!(!line.is_ended());
}

#[tokio::test]
async fn a_bad_request_without_a_reason_may_be_about_the_session() {
    let door = Doorkeeper::new().await;
    let (line, _) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    let (failed, ()) = soon(async {
        tokio::join!(line.request(call("t"), None), async {
            let mut visit = door.visit().await;
            visit.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        })
    })
    .await;
    assert!(matches!(failed, Err(RequestError::NotDelivered { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_session_is_left_when_the_line_is_closed_or_dropped() {
    for is_dropped in [false, true] {
        let door = Doorkeeper::new().await;
        let (line, _) = line(door.address);
        soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
        let served = async {
            let mut visit = door.visit().await;
            let text = &visit.text;
            assert!(text.starts_with("DELETE /mcp ") && text.contains("mcp-session-id: s"), "{text}");
            visit.write("HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n").await;
        };
        let closed = async {
            if is_dropped {
                drop(line);
            } else {
                line.close().await;
                drop(line);
            }
        };
        soon(async { tokio::join!(served, closed) }).await;
        assert_eq!(door.visits.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_stream_of_a_session_is_opened_again_until_the_session_is_gone() {
    let door = Doorkeeper::new().await;
    let (line, mut host) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    soon(async {
        tokio::join!(line.listen(), async {
            let mut visit = door.visit().await;
            assert!(visit.text.starts_with("GET /mcp ") && visit.text.contains("mcp-session-id: s"));
            visit.write(&format!("{EVENTS}: ready\n\nretry: 1\nid: 4\ndata: {changed}\n\n")).await;
        })
    })
    .await;
    assert!(next(&mut host).await.contains("list_changed"));

    let mut visit = door.visit().await; // the first ended
    assert!(visit.text.contains("last-event-id: 4"), "{}", visit.text);
    let question = r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"}"#;
    visit.write(&format!("{EVENTS}data: {question}\n\n")).await;
    assert_eq!(next(&mut host).await, "asked sampling/createMessage");
    let mut answer = door.visit().await;
    assert!(answer.text.ends_with(r#""id":5,"result":{"answers": "sampling/createMessage", "roots": []}}"#));
    answer.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    drop(visit);

    for status in ["503 Busy", "409 Conflict", "404 Not Found"] {
        let mut visit = door.visit().await;
        visit.write(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).await;
    }
    soon(line.ended()).await;
    assert!(line.why_ended().unwrap().contains("forgotten"));
}

#[tokio::test]
async fn a_server_without_such_a_stream_is_not_asked_again() {
    let door = Doorkeeper::new().await;
    let (line, _) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    soon(async {
        tokio::join!(line.listen(), async {
            let mut visit = door.visit().await;
            visit.write("HTTP/1.1 405 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        })
    })
    .await;
    assert!(!line.is_ended());
    let (outcome, ()) = soon(async {
        tokio::join!(line.request(call("t"), None), async { door.visit().await.answer("1").await })
    })
    .await;
    assert_eq!(outcome.unwrap().unwrap().as_str(), "1");
}

#[tokio::test]
async fn a_request_that_is_dropped_is_cancelled_by_its_id() {
    let door = Doorkeeper::new().await;
    let (line, _) = line(door.address);
    soon(async { tokio::join!(initialize(&line), door.welcome()) }).await;
    let visit = tokio::select! {
        outcome = line.request(call("t"), None) => panic!("{outcome:?}"),
        visit = soon(door.visit()) => visit,
    };
    let mut cancelled = door.visit().await;
    let said = format!(r#""method":"notifications/cancelled","params":{{"requestId":{}}}}}"#, visit.id());
    assert!(cancelled.text.ends_with(&said), "{}", cancelled.text);
    cancelled.write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
}
