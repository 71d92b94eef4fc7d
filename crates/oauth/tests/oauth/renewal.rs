use std::sync::Arc;

use mcp_transport::{ConnectError, Era, connect};

use crate::support::{ADVICE, Headless, World, call, connected, denied, options, soon, token_file};

#[tokio::test]
async fn a_token_that_is_refused_in_the_middle_of_a_session_is_refreshed_without_connecting_anew() {
    let world = World::start().await;
    for era in [Era::Modern, Era::Legacy] {
        // A WebSocket shows its token once, when it is opened.
        for address in world.addresses().into_iter().take(2) {
            let user = world.user(&address);
            soon(user.login(&Headless)).await.unwrap();
            let client = soon(connect(&address, (), &options(&user, era))).await.unwrap();
            for _ in 0..3 {
                let before = world.issuer.counts();
                world.issuer.expire();
                assert_eq!(call(&client, "read").await.unwrap(), "read", "{address} {era:?}");
                assert_eq!(world.issuer.counts().refreshes, before.refreshes + 1, "{address} {era:?}");
                assert!(!client.is_ended());
            }
            soon(client.close()).await;
        }
    }
}

#[tokio::test]
async fn every_kind_of_request_is_sent_again_with_another_token() {
    let world = World::start().await;
    let address = world.address();
    let user = world.user(&address);
    soon(user.login(&Headless)).await.unwrap();
    let refuse = |method| world.issuer.behave(|behaviour| behaviour.refuses_next = Some(method));
    let refreshed = async |count| {
        let refreshed = async {
            while world.issuer.counts().refreshes < count {
                tokio::task::yield_now().await;
            }
        };
        soon(refreshed).await;
    };

    refuse("GET"); // the stream of the session
    let client = soon(connect(&address, (), &options(&user, Era::Legacy))).await.unwrap();
    refreshed(1).await;
    refuse("POST");
    assert_eq!(call(&client, "read").await.unwrap(), "read");
    refreshed(2).await;
    refuse("DELETE"); // the session
    soon(client.close()).await;
    refreshed(3).await;
    assert_eq!(world.issuer.counts().refused, 3);
}

#[tokio::test]
async fn a_web_socket_is_opened_with_a_fresh_token() {
    let world = World::start().await;
    let [_, _, address] = world.addresses();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    world.issuer.expire();
    let client = connected(&address, &world.user(&address)).await.unwrap();
    assert_eq!(call(&client, "read").await.unwrap(), "read");
    assert_eq!(world.issuer.counts().refreshes, 1);
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_refreshed_before_it_is_sent() {
    let world = World::start().await;
    let address = world.address();
    world.issuer.behave(|behaviour| behaviour.lifetime = Some(0));
    soon(world.user(&address).login(&Headless)).await.unwrap();
    world.issuer.behave(|behaviour| behaviour.lifetime = Some(3600));
    let refused = world.issuer.counts().refused;

    let client = connected(&address, &world.user(&address)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(call(&client, "read").await.unwrap(), "read");
    }
    let counts = world.issuer.counts();
    assert_eq!((counts.refreshes, counts.refused), (1, refused));
}

#[tokio::test]
async fn a_refresh_that_is_refused_ends_the_login_and_says_so() {
    let world = World::start().await;
    for address in world.addresses().into_iter().take(2) {
        let user = world.user(&address);
        soon(user.login(&Headless)).await.unwrap();
        let client = connected(&address, &user).await.unwrap();
        world.issuer.forget();

        let error = call(&client, "read").await.unwrap_err();
        assert_eq!(denied(&address, error), format!("the login has ended: {ADVICE}"), "{address}");
        assert!(user.logged_in().unwrap().is_none());
        assert_eq!(std::fs::read_dir(world.tokens()).unwrap().count(), 1, "only the lock is left");

        soon(user.login(&Headless)).await.unwrap();
        assert_eq!(call(&client, "read").await.unwrap(), "read", "{address}");
        user.logout().await.unwrap();
        std::fs::remove_dir_all(world.tokens()).unwrap();
    }
}

#[tokio::test]
async fn a_login_that_has_ended_begins_anew_where_there_is_a_browser() {
    let world = World::start().await;
    let address = world.address();
    let client = connected(&address, &world.user_with_browser(&address)).await.unwrap();
    world.issuer.forget();
    assert_eq!(call(&client, "read").await.unwrap(), "read");
    assert_eq!(world.issuer.counts().logins, 2);
}

#[tokio::test]
async fn an_authorization_server_that_fails_for_now_ends_no_login() {
    let world = World::start().await;
    let address = world.address();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    world.issuer.expire();
    for answer in [(503, "temporarily_unavailable"), (500, "server_error")] {
        world.issuer.behave(|behaviour| behaviour.refuses_refresh = Some(answer));
        let error = connected(&address, &world.user(&address)).await.err().unwrap();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    }
    world.issuer.behave(|behaviour| behaviour.refuses_refresh = None);
    assert!(connected(&address, &world.user(&address)).await.is_ok());
    assert_eq!(world.issuer.counts().logins, 1);
}

#[tokio::test]
async fn many_users_of_the_same_tokens_refresh_them_once() {
    let world = World::start().await;
    let address = world.address();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..4 {
        // Each with its own view of the file, as other processes have.
        clients.push(Arc::new(connected(&address, &world.user(&address)).await.unwrap()));
    }
    for round in 1..4 {
        world.issuer.expire();
        let calls = clients.iter().flat_map(|client| vec![client.clone(); 5]);
        let calls: Vec<_> =
            calls.map(|client| tokio::spawn(async move { call(&client, "read").await })).collect();
        for outcome in calls {
            assert_eq!(soon(outcome).await.unwrap().unwrap(), "read");
        }
        assert_eq!(world.issuer.counts().refreshes, round);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_while_its_token_is_refreshed_does_not_lose_the_new_one() {
    let world = World::start().await;
    let address = world.address();
    let user = world.user(&address);
    soon(user.login(&Headless)).await.unwrap();
    let client = Arc::new(connected(&address, &user).await.unwrap());
    world.issuer.asked().await; // that was the login
    world.issuer.expire();

    let held = world.issuer.hold().await;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "read").await }
    });
    world.issuer.asked().await;
    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    drop(held);

    assert_eq!(call(&client, "read").await.unwrap(), "read");
    assert_eq!(world.issuer.counts().refreshes, 1);
}

#[tokio::test]
async fn tokens_that_another_process_has_put_there_are_used() {
    let world = World::start().await;
    let address = world.address();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    let client = connected(&address, &world.user(&address)).await.unwrap();
    world.issuer.forget();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    let kept = std::fs::read_to_string(token_file(&world.tokens())).unwrap();

    assert_eq!(call(&client, "read").await.unwrap(), "read");
    assert_eq!(world.issuer.counts().refreshes, 0);
    assert_eq!(std::fs::read_to_string(token_file(&world.tokens())).unwrap(), kept);
}
