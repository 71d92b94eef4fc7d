//! Nothing secret is shown: not by `Debug`, not in errors, not in logs.

use std::{
    error::Error,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use mcp_transport::{ConnectError, Refusal};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Headless, World, call, connected, soon};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn shown(error: &dyn Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    shown
}

#[tokio::test]
async fn no_token_no_code_and_no_secret_is_ever_shown() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_writer(log.clone()).with_max_level(tracing::Level::DEBUG).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let world = World::start().await;
    let mut seen = String::new();
    for address in world.addresses() {
        let user = world.user(&address);
        let login = soon(user.login(&Headless)).await.unwrap();
        let client = connected(&address, &user).await.unwrap();
        call(&client, "read").await.unwrap();
        world.issuer.expire();
        let _ = call(&client, "read").await; // not checked over WebSocket
        if let Err(error) = call(&client, "write").await {
            seen.push_str(&shown(&error));
        }
        world.issuer.forget();
        if let Err(error) = call(&client, "read").await {
            seen.push_str(&shown(&error));
        }
        let error: ConnectError = connected(&address, &world.user(&address)).await.err().unwrap();
        seen.push_str(&shown(&error));
        seen.push_str(&format!("{login:?} {:?} {:?}", world.settings(&address), user.logged_in()));
        soon(user.login(&Headless)).await.unwrap();
        world.issuer.behave(|behaviour| behaviour.denies = Some("access_denied"));
        seen.push_str(&shown(&soon(user.login(&Headless)).await.unwrap_err()));
        world.issuer.behave(|behaviour| behaviour.denies = None);
        soon(user.logout()).await.unwrap();
    }
    let token = Some("canary-token".to_owned().into());
    seen.push_str(&format!("{:?}", Refusal { status: 401, challenge: None, token, renewals: 0 }));
    drop(logging);

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the token was refreshed"), "the log was heard");
    assert!(!world.issuer.counts().revoked.is_empty());
    for line in logged.lines().chain(seen.lines()) {
        assert!(!line.contains("canary"), "{line}");
    }
}
