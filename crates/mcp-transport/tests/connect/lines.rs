//! Lines over one stream each way: what belongs to whom, and what becomes of requests.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::join_all};
use json_rpc::{Notification, Raw};
use mcp_transport::{ConnectError, ConnectOptions, Era, RequestError};
use serde_json::json;

use crate::{
    peer::{Voice, line, outgoing, over, pair, raw, tool, value},
    support::{era, soon},
};

#[tokio::test]
async fn answers_find_their_requests_in_any_order_and_errors_are_kept_as_they_are() {
    let (line, mut peer, _) = line(Era::Modern).await;
    let requests = join_all((0..8).map(|number| line.request(tool(&number.to_string()), None)));
    let answers = async {
        let mut asked = Vec::new();
        for _ in 0..8 {
            asked.push(peer.expect("tools/call").await);
        }
        for request in asked.iter().rev() {
            peer.refuse(request, -1, request["params"]["name"].clone()).await;
        }
    };
    let (outcomes, ()) = tokio::join!(requests, answers);
    for (number, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(value(&outcome.unwrap().unwrap_err())["data"], number.to_string());
    }
}

#[tokio::test]
async fn progress_goes_to_its_party_under_its_own_token_and_before_the_answer() {
    let (line, mut peer, _) = line(Era::Legacy).await;
    let ((one, mut ears), (two, mut other)) = (Voice::party(), Voice::party());
    let params = |token: &str| json!({"name": "x", "_meta": {"progressToken": token}});
    let first = line.request(outgoing("tools/call", params("mine")), one);
    let second = line.request(outgoing("tools/call", params("mine")), two);
    let serving = async {
        let (first, second) = (peer.expect("tools/call").await, peer.expect("tools/call").await);
        assert_ne!(first["params"]["_meta"], second["params"]["_meta"]);
        peer.progress(&first, 1).await;
        peer.progress(&second, 2).await;
        peer.progress(&first, 3).await;
        peer.answer(&second, json!({})).await;
        peer.answer(&first, json!({})).await;
        peer.progress(&first, 4).await; // too late
    };
    let (one, two, ()) = tokio::join!(first, second, serving);
    assert!(one.unwrap().is_ok() && two.unwrap().is_ok());
    for progress in [1, 3] {
        let (method, params) = ears.told().await;
        assert_eq!(method, "notifications/progress");
        assert_eq!(params, json!({"progressToken": "mine", "progress": progress}));
    }
    assert_eq!(other.told().await.1["progress"], 2);
    assert!(ears.is_silent() && other.is_silent());
}

#[tokio::test]
async fn a_party_that_takes_nothing_delays_nobody_and_gets_its_answer_and_the_latest_progress() {
    let (line, mut peer, _) = line(Era::Modern).await;
    let (party, mut ears) = Voice::party();
    let params = json!({"name": "x", "_meta": {"progressToken": 1}});
    let mut parked = Box::pin(line.request(outgoing("tools/call", params), party));
    assert!(parked.as_mut().now_or_never().is_none()); // it is sent, and not polled any more
    let request = peer.expect("tools/call").await;
    for progress in 0..2_000 {
        peer.progress(&request, progress).await;
    }
    peer.answer(&request, json!({})).await;
    let (other, ()) = tokio::join!(line.request(tool("y"), None), async {
        let request = peer.expect("tools/call").await;
        peer.answer(&request, json!({})).await;
    });
    assert!(other.unwrap().is_ok());
    assert!(soon(parked).await.unwrap().is_ok());
    for progress in 976..2_000 {
        assert_eq!(ears.told().await.1["progress"], progress);
    }
    assert!(ears.is_silent());
}

#[tokio::test]
async fn a_question_goes_to_the_only_party_and_its_answer_back() {
    let (line, mut peer, mut host) = line(Era::Legacy).await;
    let (party, mut ears) = Voice::party();
    let request = line.request(tool("x"), party);
    let serving = async {
        let call = peer.expect("tools/call").await;
        peer.ask(json!("q"), "elicitation/create").await;
        peer.tell("notifications/message", json!({"data": 1})).await;
        let question = ears.asked().await;
        assert_eq!(question.method, "elicitation/create");
        question.answer.send(Ok(raw(&json!({"action": "accept"})))).unwrap();
        let answer = peer.hear().await.unwrap();
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}));
        peer.answer(&call, json!({})).await;
    };
    let (outcome, ()) = tokio::join!(request, serving);
    outcome.unwrap().unwrap();
    assert_eq!(ears.told().await.0, "notifications/message");
    assert!(host.is_silent());
}

#[tokio::test]
async fn what_may_belong_to_several_parties_or_to_one_that_has_just_left_goes_to_the_host() {
    let (line, mut peer, mut host) = line(Era::Legacy).await;
    let ((one, mut ears), (two, mut other)) = (Voice::party(), Voice::party());
    let mut first = Box::pin(line.request(tool("x"), one));
    let mut second = Box::pin(line.request(tool("y"), two));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    let (call, kept) = (peer.expect("tools/call").await, peer.expect("tools/call").await);
    for id in ["both", "left"] {
        peer.tell("notifications/message", json!({"data": id})).await;
        peer.ask(json!(id), "sampling/createMessage").await;
        assert_eq!(host.told().await.1["data"], id);
        host.asked().await.answer.send(Err(raw(&json!({"code": 1})))).unwrap();
        assert_eq!(peer.hear().await.unwrap(), json!({"jsonrpc": "2.0", "id": id, "error": {"code": 1}}));
        if id == "both" {
            drop(std::mem::replace(&mut first, Box::pin(line.request(tool("z"), None))));
            let cancelled = peer.expect("notifications/cancelled").await;
            assert_eq!(cancelled["params"]["requestId"], call["id"]);
        }
    }
    // Once the server has answered it, it is known not to work on it any more.
    let serving = async {
        peer.answer(&call, json!({})).await;
        peer.tell("notifications/message", json!({"data": "alone"})).await;
        assert_eq!(other.told().await.1["data"], "alone");
        peer.answer(&kept, json!({})).await;
    };
    let (outcome, ()) = tokio::join!(second, serving);
    outcome.unwrap().unwrap();
    assert!(ears.is_silent());
}

#[tokio::test]
async fn a_question_is_dropped_when_the_server_takes_it_back_and_refused_when_its_request_ends() {
    let (line, mut peer, mut host) = line(Era::Legacy).await;
    peer.ask(json!(1), "roots/list").await;
    let mut question = host.asked().await;
    peer.tell("notifications/cancelled", json!({"requestId": 1})).await;
    soon(question.answer.closed()).await;

    let (party, mut ears) = Voice::party();
    let request = line.request(tool("x"), party);
    let serving = async {
        let call = peer.expect("tools/call").await;
        peer.ask(json!(2), "roots/list").await;
        let mut question = ears.asked().await;
        peer.tell("notifications/cancelled", json!({"requestId": 2})).await;
        soon(question.answer.closed()).await;
        peer.ask(json!(3), "roots/list").await;
        let mut question = ears.asked().await;
        peer.answer(&call, json!({})).await;
        soon(question.answer.closed()).await;
        let refused = peer.hear().await.unwrap();
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(3), &json!(-32_603)));
    };
    let (outcome, ()) = tokio::join!(request, serving);
    outcome.unwrap().unwrap();
}

#[tokio::test]
async fn pings_are_answered_and_in_the_newer_era_nothing_else_is() {
    let (_line, mut peer, mut host) = line(Era::Modern).await;
    peer.ask(json!(1), "ping").await;
    assert_eq!(peer.hear().await.unwrap(), json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    peer.ask(json!(2), "roots/list").await;
    assert_eq!(peer.hear().await.unwrap()["error"]["code"], -32_601);
    assert!(host.is_silent());
}

#[tokio::test]
async fn what_belongs_to_a_subscription_goes_to_its_party_until_the_server_ends_it() {
    let (line, mut peer, mut host) = line(Era::Modern).await;
    let (party, mut ears) = Voice::party();
    let request = line.request(outgoing("subscriptions/listen", json!({"notifications": {}})), party);
    let serving = async {
        let listen = peer.expect("subscriptions/listen").await;
        let tagged = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": listen["id"]}});
        peer.tell("notifications/subscriptions/acknowledged", tagged.clone()).await;
        peer.tell("notifications/tools/list_changed", tagged).await;
        peer.tell("notifications/prompts/list_changed", json!({})).await;
        peer.tell("notifications/cancelled", json!({"requestId": listen["id"]})).await;
    };
    let (outcome, ()) = tokio::join!(request, serving);
    assert!(matches!(outcome.unwrap_err(), RequestError::Lost { .. }));
    assert_eq!(ears.told().await.0, "notifications/subscriptions/acknowledged");
    assert_eq!(ears.told().await.0, "notifications/tools/list_changed");
    assert_eq!(host.told().await.0, "notifications/prompts/list_changed");
}

#[tokio::test]
async fn a_request_that_was_written_is_lost_with_the_connection_and_later_ones_are_not_delivered() {
    let (line, mut peer, _) = line(Era::Modern).await;
    let (outcome, ()) = tokio::join!(line.request(tool("x"), None), async {
        peer.expect("tools/call").await;
        drop(peer);
    });
    assert!(matches!(outcome.unwrap_err(), RequestError::Lost { .. }));
    soon(line.ended()).await;
    assert!(line.is_ended());
    let error = line.request(tool("x"), None).await.unwrap_err();
    assert!(matches!(error, RequestError::NotDelivered { .. }), "{error}");
    let told = line.notify(Notification::new("notifications/x", None)).await;
    assert!(matches!(told.unwrap_err(), RequestError::NotDelivered { .. }));
    assert!(matches!(line.why_ended(), ConnectError::Lost { reason: None, .. }));
}

#[tokio::test]
async fn a_request_that_waits_for_room_is_not_delivered_and_one_that_is_dropped_meanwhile_never_sent() {
    let (line, mut peer, _) = line(Era::Modern).await;
    // More than the stream holds, which nobody reads: it is half written.
    let large = outgoing("tools/call", json!({"name": "x".repeat(1 << 20)}));
    let mut stuck = Box::pin(line.request(large, None));
    assert!(stuck.as_mut().now_or_never().is_none());
    tokio::task::yield_now().await;
    let mut dropped = Box::pin(line.request(tool("dropped"), None));
    assert!(dropped.as_mut().now_or_never().is_none());
    drop(dropped);
    let mut waiting = Box::pin(line.request(tool("waits"), None));
    assert!(waiting.as_mut().now_or_never().is_none());

    let (sent, ()) = tokio::join!(stuck, async {
        let large = peer.expect("tools/call").await;
        peer.answer(&large, json!({})).await;
        assert_eq!(peer.expect("tools/call").await["params"]["name"], "waits");
    });
    sent.unwrap().unwrap();

    let large = outgoing("tools/call", json!({"name": "x".repeat(1 << 20)}));
    let mut half = Box::pin(line.request(large, None));
    let mut queued = Box::pin(line.request(tool("queued"), None));
    assert!(half.as_mut().now_or_never().is_none() && queued.as_mut().now_or_never().is_none());
    tokio::task::yield_now().await;
    drop(peer);
    // What has no end is no message, and so was never delivered.
    assert!(matches!(soon(half).await.unwrap_err(), RequestError::NotDelivered { .. }));
    assert!(matches!(soon(queued).await.unwrap_err(), RequestError::NotDelivered { .. }));
    assert!(matches!(soon(waiting).await.unwrap_err(), RequestError::Lost { .. }));
}

#[tokio::test]
async fn closing_a_line_fails_what_is_under_way_and_a_dropped_line_is_closed() {
    let (line, mut peer, _) = line(Era::Modern).await;
    let (outcome, ()) = tokio::join!(line.request(tool("x"), None), async {
        peer.expect("tools/call").await;
        soon(line.close()).await;
    });
    assert!(matches!(outcome.unwrap_err(), RequestError::Lost { .. }));
    assert!(line.is_ended());
    assert_eq!(peer.hear().await, None);

    let (line, mut peer, _) = crate::peer::line(Era::Modern).await;
    drop(line);
    assert_eq!(peer.hear().await, None);
}

#[tokio::test]
async fn noise_is_ignored_and_an_answer_that_cannot_be_read_fails_its_request_at_once() {
    let (line, mut peer, _) = line(Era::Modern).await;
    let serving = async {
        let call = peer.expect("tools/call").await;
        for noise in
            ["", "\r", "Server started.", "[]", "{\"id\":", r#"{"jsonrpc":"2.0","id":4711,"error":1}"#]
        {
            peer.write(noise).await;
        }
        peer.write(&format!(r#"{{"jsonrpc":"2.0","id":{},"error":1}}"#, call["id"])).await;
        let call = peer.expect("tools/call").await;
        peer.write(&format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{}\",\"result\":1}}\r", call["id"])).await;
    };
    let calls = async {
        let unreadable = line.request(tool("x"), None).await.unwrap_err();
        assert!(matches!(&unreadable, RequestError::Lost { reason } if reason.contains("cannot be read")));
        assert_eq!(line.request(tool("x"), None).await.unwrap().unwrap(), raw(&json!(1)));
    };
    tokio::join!(calls, serving);
}

#[tokio::test]
async fn of_a_message_over_the_limit_only_the_request_that_it_answers_is_lost() {
    let (near, mut peer) = pair();
    let options = ConnectOptions { message_bytes: 1 << 10, ..era(Era::Modern) };
    let dialling = over(near, Arc::new(Voice::new().0), &options);
    let (line, ()) = tokio::join!(dialling, peer.discover());
    let line = line.unwrap();
    let long = json!("x".repeat(2 << 10));
    let (one, other, ()) =
        tokio::join!(line.request(tool("x"), None), line.request(tool("y"), None), async {
            let (call, other) = (peer.expect("tools/call").await, peer.expect("tools/call").await);
            peer.tell("notifications/message", json!({"data": long})).await;
            peer.write(&format!(r#"{{"result":{long},"jsonrpc":"2.0","id":{}}}"#, call["id"])).await;
            peer.answer(&other, json!({})).await;
        });
    let lost = one.unwrap_err();
    assert!(
        matches!(&lost, RequestError::TooLarge { reason } if reason.contains("more than 1024 bytes")),
        "{lost}"
    );
    other.unwrap().unwrap();
    assert!(!line.is_ended());
}

#[tokio::test]
async fn an_error_without_an_id_is_no_answer_to_the_only_request() {
    let (line, mut peer, _) = line(Era::Legacy).await;
    let (outcome, ()) = tokio::join!(line.request(tool("x"), None), async {
        let call = peer.expect("tools/call").await;
        // It may be about a notification.
        peer.write(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"what?"}}"#).await;
        peer.answer(&call, json!({})).await;
    });
    outcome.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_of_several_lines_is_sent_on_one() {
    let (line, mut peer, _) = line(Era::Modern).await;
    let params = Raw::read("{\r\n  \"name\": \"x\\n\"\n}").unwrap();
    let request = mcp_transport::Outgoing { params: Some(params), ..tool("x") };
    let (outcome, ()) = tokio::join!(line.request(request, None), async {
        let call = peer.expect("tools/call").await;
        assert_eq!(call["params"]["name"], "x\n");
        peer.answer(&call, json!({})).await;
    });
    outcome.unwrap().unwrap();
}
