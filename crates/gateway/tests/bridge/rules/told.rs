//! What clients hear of what is kept from them, and under which names.

use super::*;

/// Has the client follow these, and says which it will hear of.
pub(super) async fn follow(client: &mut RawClient, newer: bool, uris: &[&str]) -> Value {
    if !newer {
        for uri in uris {
            client.call("resources/subscribe", &json!({"uri": uri})).await.unwrap();
        }
        return json!(uris);
    }
    client.begin("subscriptions/listen", &json!({"notifications": {"resourceSubscriptions": uris}})).await;
    loop {
        if let Message::Notification(told) = client.next().await
            && told.method == "notifications/subscriptions/acknowledged"
        {
            let params: Value = told.params.unwrap().parse().unwrap();
            return params["notifications"]["resourceSubscriptions"].clone();
        }
    }
}

/// The URI of the next update that the client hears of.
async fn updated(client: &mut RawClient) -> Value {
    loop {
        if let Message::Notification(told) = client.next().await
            && told.method == "notifications/resources/updated"
        {
            return told.params.unwrap().parse::<Value>().unwrap()["uri"].clone();
        }
    }
}

/// Has the server tell of changes of these.
async fn touch(gateway: &Arc<Gateway>, uris: &[&str]) {
    let call = json!({"name": "far__touch", "arguments": {"uris": uris}});
    client(gateway, true).await.call("tools/call", &call).await.unwrap();
}

#[tokio::test]
async fn whoever_follows_a_folder_hears_nothing_of_what_is_refused_in_it() {
    for newer_server in [false, true] {
        let (script, _heard) = script(newer_server);
        let gateway = over(ruled(script.start(), newer_server, refusing(true))).await;
        let mut older = client(&gateway, false).await;
        follow(&mut older, false, &["doc://all/"]).await;

        touch(&gateway, &["doc://all/secret", "doc://all/open"]).await;

        assert_eq!(updated(&mut older).await, "doc://all/open");
    }
}

#[tokio::test]
async fn a_stream_is_never_about_what_is_refused() {
    let (script, _heard) = script(true);
    let gateway = over(ruled(script.start(), true, refusing(true))).await;
    let mut newer = client(&gateway, true).await;

    let agreed = follow(&mut newer, true, &["doc://all/secret", "doc://all/open"]).await;

    assert_eq!(agreed, json!(["doc://all/open"]));
}

#[tokio::test]
async fn rules_that_come_later_hold_for_what_is_followed_already() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = script(newer_server);
        let server = script.start();
        let gateway = over(ruled(server.clone(), newer_server, Rules::default())).await;
        let mut follower = client(&gateway, newer_client).await;
        follow(&mut follower, newer_client, &["doc://all/secret", "doc://all/open"]).await;
        touch(&gateway, &["doc://all/secret"]).await;
        assert_eq!(updated(&mut follower).await, "doc://all/secret");

        gateway.apply(settings([("far", ruled(server, newer_server, refusing(true)))]));
        touch(&gateway, &["doc://all/secret", "doc://all/open"]).await;

        assert_eq!(updated(&mut follower).await, "doc://all/open");
    }
}

#[tokio::test]
async fn other_names_lead_to_the_same_and_are_what_clients_hear() {
    for (newer_client, newer_server) in PAIRS {
        let (script, _heard) = script(newer_server);
        let rules = Rules {
            tools: filter(&["read", "touch"], &[], &[("read", "show")]),
            prompts: filter(&[], &[], &[("greet", "hello")]),
            resources: filter(&[], &[], &[("doc://all/open", "wiki:open")]),
            templates: filter(&[], &[], &[("admin://{id}", "boss:{id}/x")]),
            methods: None,
        };
        let gateway = over(ruled(script.start(), newer_server, rules)).await;
        let mut client = client(&gateway, newer_client).await;

        assert_eq!(listed(&mut client, "tools/list").await, ["far__show", "far__touch"]);
        assert_eq!(listed(&mut client, "prompts/list").await, ["far__hello", "far__secret"]);
        assert!(listed(&mut client, "resources/list").await.contains(&"wiki:open".to_owned()));
        assert!(listed(&mut client, "resources/templates/list").await.contains(&"boss:{id}/x".to_owned()));
        let called = client.call("tools/call", &json!({"name": "far__show"})).await.unwrap();
        assert_eq!((&called["got"], &called["content"][0]["uri"]), (&json!("read"), &json!("wiki:open")));
        let got = client.call("prompts/get", &json!({"name": "far__hello"})).await.unwrap();
        assert_eq!(got["got"], "greet");
        for uri in ["wiki:open", "boss:7/x", "doc://all/secret"] {
            let read = client.call("resources/read", &json!({"uri": uri})).await.unwrap();
            assert_eq!(read["contents"][0]["uri"], uri);
        }
        for (reference, there) in [
            (
                json!({"type": "ref/prompt", "name": "far__hello"}),
                json!({"type": "ref/prompt", "name": "greet"}),
            ),
            (
                json!({"type": "ref/resource", "uri": "boss:{id}/x"}),
                json!({"type": "ref/resource", "uri": "admin://{id}"}),
            ),
        ] {
            let completed = client.call("completion/complete", &completing(&reference)).await.unwrap();
            assert_eq!(completed["ref"], there);
        }
        let old = client.call("tools/call", &json!({"name": "far__read"})).await.unwrap_err();
        assert_eq!(old["data"]["code"], "TOOL_NOT_FOUND");

        follow(&mut client, newer_client, &["wiki:open"]).await;
        touch(&gateway, &["doc://all/open"]).await;
        assert_eq!(updated(&mut client).await, "wiki:open");
    }
}
