use std::time::Duration;

use oauth::{Authorization, Client, Kind, OAuthError};

use crate::support::{ADVICE, Closed, Headless, World, call, connected, denied, redirect, soon, visit};

#[tokio::test]
async fn answers_to_other_logins_are_turned_away_and_the_right_one_still_counts() {
    let world = World::start().await;
    let address = world.address();
    let (user, browser) = (world.user(&address), Closed::default());
    let login = tokio::spawn({
        let (user, browser) = (user.clone(), browser.clone());
        async move { user.login(&browser).await }
    });
    let page = soon(async {
        loop {
            if let Some(page) = browser.0.lock().unwrap().pop() {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let right = redirect(&page).await;
    let mut wrong = right.clone();
    wrong.set_query(Some("code=stolen&state=forged"));
    let (status, text) = visit(wrong).await;
    assert_eq!(status, 400);
    assert!(text.contains("not for a login that is under way"), "{text}");

    let (status, text) = visit(right.clone()).await;
    assert_eq!(status, 200);
    assert!(text.contains("You can close this window"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(soon(login).await.unwrap().is_ok());
    assert!(reqwest::get(right).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_login_with_nothing_but_forged_answers_is_given_up() {
    let world = World::start().await;
    let (user, browser) = (world.user(&world.address()), Closed::default());
    let forging = async {
        let page = loop {
            if let Some(page) = browser.0.lock().unwrap().pop() {
                break page;
            }
            tokio::task::yield_now().await;
        };
        let mut forged = redirect(&page).await;
        forged.set_query(Some("code=stolen&state=forged"));
        while reqwest::get(forged.clone()).await.is_ok() {}
    };
    let (outcome, ()) = soon(async { tokio::join!(user.login(&browser), forging) }).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, OAuthError::Untrusted(_)), "{error:?}");
    assert_eq!(world.issuer.counts().resources.len(), 1, "no token was asked for");
}

#[tokio::test]
async fn a_code_that_another_authorization_server_claims_is_not_exchanged() {
    let world = World::start().await;
    world.issuer.behave(|behaviour| behaviour.iss = Some("https://evil.example.com"));
    let error = soon(world.user(&world.address()).login(&Headless)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "this cannot be trusted: the authorization server should be {}, and says that it is https://evil.example.com",
            world.issuer.url()
        )
    );
    assert_eq!(error.kind(), Kind::Protocol);
    assert_eq!(world.issuer.counts().resources.len(), 1, "no token was asked for");
}

#[tokio::test]
async fn a_user_who_says_no_ends_the_login() {
    let world = World::start().await;
    world.issuer.behave(|behaviour| behaviour.denies = Some("access_denied"));
    let error = soon(world.user(&world.address()).login(&Headless)).await.unwrap_err();
    assert_eq!(error.to_string(), "the authorization server refuses (access_denied)");
    assert_eq!(error.kind(), Kind::Denied);
}

#[tokio::test]
async fn a_login_that_nobody_makes_ends_in_time() {
    let world = World::start().await;
    let mut settings = world.settings(&world.address());
    settings.login_timeout = Duration::from_millis(1);
    let user = Authorization::new(settings).unwrap();
    let error = soon(user.login(&Closed::default())).await.unwrap_err();
    assert_eq!(error.to_string(), "nobody logged in within 1ms");
}

#[tokio::test]
async fn an_authorization_server_that_registers_nobody_asks_for_a_client_id() {
    let world = World::start().await;
    let address = world.address();
    world.issuer.behave(|behaviour| behaviour.refuses_registration = true);
    let error = soon(world.user(&address).login(&Headless)).await.unwrap_err();
    assert!(error.to_string().ends_with("give a client id"), "{error}");

    let mut settings = world.settings(&address);
    settings.client =
        Client::Registered { id: "known".to_owned(), secret: Some("canary-secret".to_owned().into()) };
    let user = Authorization::new(settings).unwrap();
    soon(user.login(&Headless)).await.unwrap();
    let client = connected(&address, &user).await.unwrap();
    assert_eq!(call(&client, "read").await.unwrap(), "read");
    assert_eq!(world.issuer.counts().registrations, 0);
}

#[tokio::test]
async fn the_rights_of_the_settings_are_asked_for_instead_of_the_servers() {
    let world = World::start().await;
    let mut settings = world.settings(&world.address());
    settings.scopes = vec!["notes:write".to_owned()];
    let login = soon(Authorization::new(settings).unwrap().login(&Headless)).await.unwrap();
    assert_eq!(login.scopes, ["notes:write"]);
    assert_eq!(world.issuer.counts().scope, "notes:write");
}

#[tokio::test]
async fn a_logout_forgets_the_tokens_here_and_there() {
    let world = World::start().await;
    let address = world.address();
    let user = world.user(&address);
    assert!(!user.logout().await.unwrap().was_logged_in);

    soon(user.login(&Headless)).await.unwrap();
    let client = connected(&address, &user).await.unwrap();
    let logout = soon(user.logout()).await.unwrap();
    assert!(logout.was_logged_in && logout.revoked);
    let revoked = world.issuer.counts().revoked;
    assert_eq!(revoked.len(), 2, "{revoked:?}");
    assert!(revoked[0].starts_with("canary-refresh") && revoked[1].starts_with("canary-access"));

    let error = call(&client, "read").await.unwrap_err();
    assert_eq!(denied(&address, error), format!("nobody is logged in: {ADVICE}"));
    assert_eq!(std::fs::read_dir(world.tokens()).unwrap().count(), 1, "only the lock is left");
}
