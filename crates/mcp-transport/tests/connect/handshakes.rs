//! Handshakes in both eras, with servers that answer in all sorts of ways.

use std::{sync::Arc, time::Duration};

use json_rpc::Raw;
use mcp_transport::{ConnectError, ConnectOptions, Era};
use serde_json::{Value, json};

use crate::{
    peer::{Voice, line, over, pair, raw, tool, value},
    support::era,
};

#[tokio::test]
async fn a_server_of_the_newer_era_is_asked_for_its_versions_and_told_who_we_are_with_each_request() {
    let (line, mut peer, _) = line(Era::Auto).await;
    assert!(line.is_modern() && !line.keeps_requests_apart());
    assert_eq!(line.version(), "2026-07-28");
    assert!(line.introduction().as_str().contains("1.5"));

    let stamped = line.stamp(Some(raw(&json!({"name": "x", "_meta": {"traceparent": "t"}})))).unwrap();
    let meta = value(&stamped)["_meta"].clone();
    assert_eq!(meta["traceparent"], "t");
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "test");
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({"elicitation": {}}));
    let own = json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {"own": 1}}});
    let own = value(&line.stamp(Some(raw(&own))).unwrap());
    assert_eq!(own["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({"own": 1}));

    let request = line.request(tool("x"), None);
    let answer = async {
        let request = peer.expect("tools/call").await;
        peer.write(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"b":1.50,"a":[ ]}}}}"#, request["id"]))
            .await;
    };
    let (outcome, ()) = tokio::join!(request, answer);
    assert_eq!(outcome.unwrap().unwrap().as_str(), r#"{"b":1.50,"a":[ ]}"#);
}

#[tokio::test]
async fn a_server_of_the_older_era_is_initialized_however_it_answers_the_question_for_its_era() {
    for (code, data) in [
        (-32_601, Value::Null),
        (-32_602, Value::Null),
        (-32_022, json!({"supported": ["2025-11-25", "2024-11-05"]})),
    ] {
        let (near, mut peer) = pair();
        let options = era(Era::Auto);
        let dialling = over(near, Arc::new(Voice::new().0), &options);
        let shaking = async {
            let request = peer.expect("server/discover").await;
            peer.refuse(&request, code, data).await;
            peer.initialize().await;
        };
        let (line, ()) = tokio::join!(dialling, shaking);
        let line = line.unwrap();
        assert_eq!((line.is_modern(), line.version()), (false, "2025-06-18"));
        assert_eq!(line.stamp(Some(Raw::empty_object())).unwrap(), Raw::empty_object());
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_question_for_its_era_is_initialized_and_its_late_answer_ignored() {
    let (near, mut peer) = pair();
    let options = ConnectOptions { timeout: Duration::from_secs(2), ..era(Era::Auto) };
    let dialling = over(near, Arc::new(Voice::new().0), &options);
    let shaking = async {
        let discover = peer.expect("server/discover").await;
        let request = peer.expect("initialize").await;
        peer.refuse(&discover, -32_601, Value::Null).await;
        peer.answer(&request, json!({"protocolVersion": "2025-11-25", "capabilities": {}})).await;
        peer.expect("notifications/initialized").await;
    };
    let (line, ()) = tokio::join!(dialling, shaking);
    assert_eq!(line.unwrap().version(), "2025-11-25");
}

#[tokio::test]
async fn a_server_of_the_newer_era_that_is_slow_to_start_is_known_by_its_late_answer() {
    for answers_in_order in [true, false] {
        let (near, mut peer) = pair();
        let options = ConnectOptions { timeout: Duration::from_secs(2), ..era(Era::Auto) };
        let dialling = over(near, Arc::new(Voice::new().0), &options);
        let shaking = async {
            let discover = peer.expect("server/discover").await;
            let initialize = peer.expect("initialize").await;
            let introduction = json!({"supportedVersions": ["2026-07-28"], "capabilities": {}});
            if answers_in_order {
                peer.answer(&discover, introduction).await;
                peer.refuse(&initialize, -32_022, Value::Null).await;
            } else {
                peer.refuse(&initialize, -32_022, Value::Null).await;
                peer.answer(&discover, introduction).await;
            }
        };
        let (line, ()) = tokio::join!(dialling, shaking);
        assert!(line.unwrap().is_modern());
    }
}

#[tokio::test]
async fn a_server_of_the_newer_era_is_not_taken_for_an_older_one_because_it_refuses() {
    for (code, is_asked_again) in [(-32_022, true), (-32_020, false), (-32_021, false)] {
        let (near, mut peer) = pair();
        let options = era(Era::Auto);
        let dialling = over(near, Arc::new(Voice::new().0), &options);
        let shaking = async {
            let request = peer.expect("server/discover").await;
            peer.refuse(&request, code, json!({"supported": ["2026-07-28"]})).await;
            if is_asked_again {
                peer.discover().await;
            }
        };
        match tokio::join!(dialling, shaking).0 {
            Ok(line) => assert!(is_asked_again && line.is_modern()),
            Err(error) => {
                assert!(!is_asked_again && matches!(error, ConnectError::Protocol { .. }), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_none_of_our_versions_is_told_apart() {
    for asked in [Era::Auto, Era::Modern, Era::Legacy] {
        let (near, mut peer) = pair();
        let options = era(asked);
        let dialling = over(near, Arc::new(Voice::new().0), &options);
        let shaking = async {
            let request = peer.hear().await.unwrap();
            let result = json!({"supportedVersions": ["2031-01-01"], "protocolVersion": "2031-01-01"});
            peer.answer(&request, result).await;
        };
        let (failed, ()) = tokio::join!(dialling, shaking);
        let error = failed.unwrap_err();
        assert!(matches!(&error, ConnectError::Protocol { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("2031-01-01"), "{error}");
        assert_eq!(peer.hear().await, None); // it is hung up on
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_says_nothing_is_no_server() {
    let (near, peer) = pair();
    drop(peer);
    let error = over(near, Arc::new(Voice::new().0), &era(Era::Auto)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Ended { .. }), "{error:?}");

    let (near, mut peer) = pair();
    let options = ConnectOptions { timeout: Duration::from_millis(50), ..era(Era::Auto) };
    let error = over(near, Arc::new(Voice::new().0), &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    while peer.hear().await.is_some() {}
}
