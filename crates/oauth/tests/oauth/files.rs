//! Where tokens are kept.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use oauth::{Kind, OAuthError, StoreError};

use crate::support::{Headless, World, connected, soon, token_file};

#[tokio::test]
async fn tokens_are_for_the_user_alone() {
    let world = World::start().await;
    soon(world.user(&world.address()).login(&Headless)).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&world.tokens()), 0o700);
    for entry in fs::read_dir(world.tokens()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused() {
    let world = World::start().await;
    let address = world.address();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    let file = token_file(&world.tokens());
    let allow =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    allow(&file, 0o644);
    let error = connected(&address, &world.user(&address)).await.err().unwrap();
    let expected = format!(
        "{} can be read or changed by others (mode 644): correct it with chmod 600, or delete it and log in again",
        file.display()
    );
    assert!(error.to_string().ends_with(&expected), "{error}");
    let error = world.user(&address).logged_in().unwrap_err();
    assert!(matches!(error, OAuthError::Store(StoreError::NotPrivate { mode: 0o644, .. })), "{error:?}");
    assert_eq!(error.kind(), Kind::Usage);

    allow(&file, 0o600);
    allow(&world.tokens(), 0o777);
    assert!(world.user(&address).logged_in().unwrap_err().to_string().contains("chmod 700"));

    allow(&world.tokens(), 0o700);
    assert!(connected(&address, &world.user(&address)).await.is_ok());
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let world = World::start().await;
    let address = world.address();
    soon(world.user(&address).login(&Headless)).await.unwrap();
    let file = token_file(&world.tokens());
    fs::write(&file, "{\"server\": \"canary").unwrap();
    let error = world.user(&address).logged_in().unwrap_err();
    assert_eq!(error.to_string(), format!("{} is damaged: delete it and log in again", file.display()));
}

#[tokio::test]
async fn servers_do_not_share_tokens() {
    let world = World::start().await;
    let [http, sse, _] = world.addresses();
    soon(world.user(&http).login(&Headless)).await.unwrap();
    assert!(world.user(&http).logged_in().unwrap().is_some());
    assert!(world.user(&sse).logged_in().unwrap().is_none());
}
