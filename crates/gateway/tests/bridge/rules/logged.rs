//! What the access log, and whoever explains a request, tell of what is kept from clients in part, and of what they follow.

use super::*;
use crate::trail::{Logged, of};

#[tokio::test]
async fn what_is_left_out_of_an_answer_is_counted_in_the_log_and_explained() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = script(newer_server);
        let upstream = ruled(script.start(), newer_server, refusing(true));
        let logged = Logged::start(settings([("far", upstream)]), false).await;
        let mut client = client(&logged.gateway, newer_client).await;

        client.call("resources/read", &json!({"uri": "doc://all/"})).await.unwrap();
        let reference = json!({"type": "ref/resource", "uri": "doc://all/{name}"});
        client.call("completion/complete", &completing(&reference)).await.unwrap();
        client.call("resources/read", &json!({"uri": "doc://all/open"})).await.unwrap();
        let kept = if newer_client {
            told::follow(&mut client, true, &["doc://all/secret", "doc://all/open"]).await;
            vec!["resources/read", "completion/complete", "subscriptions/listen"]
        } else {
            vec!["resources/read", "completion/complete"]
        };
        client.leave().await;

        let gateway = logged.gateway.clone();
        let lines = logged.end().await;
        for operation in kept {
            let line = of(&lines, operation)[0];
            assert_eq!((&line["withheld"], &line["upstream"]), (&json!(1), &json!("far")), "{line}");
            let reasons = gateway.explain(line["request_id"].as_str().unwrap()).reasons.join("\n");
            assert!(
                reasons.contains("left out \"doc://all/secret\"") && reasons.contains("deny"),
                "{reasons}"
            );
        }
        assert_eq!(of(&lines, "resources/read")[1].get("withheld"), None, "nothing was left out");
    }
}

#[tokio::test]
async fn errors_and_lines_of_subscriptions_say_which_upstream_it_is() {
    for newer_server in [false, true] {
        let (following, _heard) = script(newer_server);
        let (mute, _heard) = script(newer_server);
        let resources = json!([{"uri": "mute://x", "name": "n"}]);
        let mute = mute.capabilities(json!({"resources": {}})).resources(resources).templates(json!([]));
        let upstreams = settings([
            ("far", ruled(following.start(), newer_server, refusing(true))),
            ("mute", prefixed(mute.start(), era(newer_server))),
        ]);
        let logged = Logged::start(upstreams, false).await;
        let mut client = client(&logged.gateway, false).await;

        for (uri, code) in [("mute://x", "METHOD_NOT_FOUND"), ("doc://all/secret", "ACCESS_DENIED")] {
            let error = client.call("resources/subscribe", &json!({"uri": uri})).await.unwrap_err();
            assert_eq!(error["data"]["code"], code);
            assert!(error["data"]["upstream"].is_string(), "{error}");
        }
        for method in ["resources/subscribe", "resources/unsubscribe"] {
            client.call(method, &json!({"uri": "doc://all/open"})).await.unwrap();
        }

        let lines = logged.end().await;
        let subscribed = of(&lines, "resources/subscribe");
        let upstreams: Vec<_> = subscribed.iter().map(|line| &line["upstream"]).collect();
        assert_eq!(upstreams, ["mute", "far", "far"]);
        let unsubscribed = of(&lines, "resources/unsubscribe")[0];
        assert_eq!(
            (&unsubscribed["upstream"], &unsubscribed["target"]),
            (&json!("far"), &json!("doc://all/open"))
        );
    }
}
