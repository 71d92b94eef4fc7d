use mcp_transport::{ConnectError, Era, connect};

use crate::support::{ADVICE, Headless, World, call, connected, denied, options, soon};

#[tokio::test]
async fn who_has_logged_in_once_calls_over_every_transport_and_in_both_eras() {
    let world = World::start().await;
    for (number, address) in world.addresses().into_iter().enumerate() {
        let login = soon(world.user(&address).login(&Headless)).await.unwrap();
        assert_eq!(login.issuer.as_deref(), Some(world.issuer.url()));
        assert_eq!(login.scopes, ["notes:read"]);
        for era in [Era::Modern, Era::Legacy, Era::Auto] {
            // Another one each time: it finds the tokens where the first has put them.
            let client = soon(connect(&address, (), &options(&world.user(&address), era))).await.unwrap();
            assert_eq!(call(&client, "read").await.unwrap(), "read", "{address} {era:?}");
            soon(client.close()).await;
        }
        let counts = world.issuer.counts();
        assert_eq!((counts.logins, counts.refreshes, counts.refused), (number + 1, 0, 0), "{address}");
        let server = address.server_url().unwrap();
        assert!(
            counts.resources.iter().all(|resource| number > 0 || *resource == server.as_str()),
            "{counts:?}"
        );
    }
}

#[tokio::test]
async fn without_a_login_the_error_says_what_to_do_and_nothing_opens_a_browser() {
    let world = World::start().await;
    for address in world.addresses() {
        for era in [Era::Auto, Era::Legacy] {
            let failed = soon(connect(&address, (), &options(&world.user(&address), era))).await;
            let error = failed.err().unwrap();
            let ConnectError::NeedsCredentials { status: 401, challenge: Some(challenge), .. } = &error
            else {
                panic!("{error:?}")
            };
            assert!(challenge.contains("resource_metadata"), "{challenge}");
            assert_eq!(
                error.to_string(),
                format!("{address} needs other credentials (HTTP 401): nobody is logged in: {ADVICE}")
            );
        }
    }
    assert_eq!(world.issuer.counts().logins, 0);
}

#[tokio::test]
async fn with_a_browser_the_user_is_asked_to_log_in_when_the_server_wants_it() {
    let world = World::start().await;
    for (number, address) in world.addresses().into_iter().enumerate() {
        let client = connected(&address, &world.user_with_browser(&address)).await.unwrap();
        assert_eq!(call(&client, "read").await.unwrap(), "read", "{address}");
        assert_eq!(world.issuer.counts().logins, number + 1);
    }
}

#[tokio::test]
async fn a_token_is_for_one_server_alone() {
    let (world, other) = (World::start().await, World::start().await);
    let user = world.user(&world.address());
    soon(user.login(&Headless)).await.unwrap();

    for address in other.addresses() {
        let error = connected(&address, &user).await.err().unwrap();
        assert_eq!(error.to_string(), "the authorizer is for another server");
    }
    assert_eq!(other.issuer.counts().refused, 0); // nothing was sent
}

#[tokio::test]
async fn more_rights_are_asked_for_when_a_tool_needs_them() {
    let world = World::start().await;
    let address = world.address();
    let user = world.user_with_browser(&address);
    let client = connected(&address, &user).await.unwrap();
    assert_eq!(world.issuer.counts().scope, "notes:read");

    assert_eq!(call(&client, "write").await.unwrap(), "write");
    let counts = world.issuer.counts();
    assert_eq!((counts.logins, counts.scope.as_str()), (2, "notes:read notes:write"));
    assert_eq!(counts.registrations, 1); // who is logged in is known already
    assert_eq!(call(&client, "write").await.unwrap(), "write");
    assert_eq!(world.issuer.counts().logins, 2);
}

#[tokio::test]
async fn without_a_browser_the_rights_that_are_missing_are_named_and_asked_for_at_the_next_login() {
    let world = World::start().await;
    for address in world.addresses().into_iter().take(2) {
        soon(world.user(&address).login(&Headless)).await.unwrap();
        let user = world.user(&address);
        let client = connected(&address, &user).await.unwrap();

        let error = call(&client, "write").await.unwrap_err();
        let told = denied(&address, error);
        assert_eq!(told, format!("more rights are needed (notes:write): {ADVICE}"), "{address}");
        assert_eq!(call(&client, "read").await.unwrap(), "read");

        soon(world.user(&address).login(&Headless)).await.unwrap();
        assert_eq!(world.issuer.counts().scope, "notes:read notes:write");
        assert_eq!(call(&client, "write").await.unwrap(), "write"); // the same connection finds the new token

        // The one who was refused knows more, which must not make it ask for less.
        soon(user.logout()).await.unwrap();
        soon(world.user(&address).login(&Headless)).await.unwrap();
        call(&client, "write").await.unwrap_err();
        soon(user.login(&Headless)).await.unwrap();
        assert_eq!(world.issuer.counts().scope, "notes:write notes:read");
        assert_eq!(call(&client, "write").await.unwrap(), "write");
    }
}
