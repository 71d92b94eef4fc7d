use oauth::{Authorization, Client, Proof};

use crate::support::{Headless, World, call, connected};

#[tokio::test]
async fn a_program_with_a_password_of_its_own_needs_nobody_to_log_in() {
    let world = World::start().await;
    for (number, address) in world.addresses().into_iter().enumerate() {
        let mut settings = world.settings(&address);
        let proof = Proof::Secret("canary-secret".to_owned().into());
        settings.client = Client::Machine { id: "robot".to_owned(), proof };
        let robot = Authorization::new(settings).unwrap();
        let client = connected(&address, &robot).await.unwrap();
        assert_eq!(call(&client, "read").await.unwrap(), "read");
        assert_eq!(world.issuer.counts().machines, number * 3 + 1, "{address}");

        if number < 2 {
            // Its tokens are never refreshed: it gets others.
            world.issuer.expire();
            assert_eq!(call(&client, "read").await.unwrap(), "read", "{address}");
            assert_eq!(call(&client, "write").await.unwrap(), "write", "{address}");
            assert_eq!(world.issuer.counts().machines, number * 3 + 3, "{address}");
        }
        assert!(robot.login(&Headless).await.is_err());
    }
    let counts = world.issuer.counts();
    assert_eq!((counts.logins, counts.refreshes), (0, 0));
}

#[tokio::test]
async fn a_program_with_the_wrong_password_is_told_so() {
    let world = World::start().await;
    let mut settings = world.settings(&world.address());
    let proof = Proof::Secret("wrong".to_owned().into());
    settings.client = Client::Machine { id: "robot".to_owned(), proof };
    let robot = Authorization::new(settings).unwrap();
    let error = connected(&world.address(), &robot).await.err().unwrap();
    assert!(error.to_string().ends_with("the authorization server refuses (invalid_client)"), "{error}");
}

#[test]
fn keys_and_passwords_are_not_shown() {
    let key = Proof::Key { pem: "canary-key".to_owned().into(), algorithm: "ES256".parse().unwrap() };
    let secret = Proof::Secret("canary-secret".to_owned().into());
    let shown = format!("{key:?} {secret:?}");
    assert_eq!(shown, "Key(…, Es256) Secret(…)");
}
