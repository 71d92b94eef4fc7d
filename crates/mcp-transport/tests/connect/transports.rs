use std::sync::Arc;

use mcp_transport::{ConnectError, ConnectOptions, Era, connect};
use rmcp::model::ProtocolVersion;
use secrecy::SecretString;

use crate::support::{Seen, Server, address, addresses, call, era, soon};

#[tokio::test]
async fn every_transport_reaches_a_server_in_both_eras() {
    let seen = Seen::default();
    let server = Server::start(&seen);
    for place in addresses(server.port) {
        for (asked, expected) in [
            (Era::Auto, ProtocolVersion::V_2026_07_28),
            (Era::Modern, ProtocolVersion::V_2026_07_28),
            (Era::Legacy, ProtocolVersion::V_2025_11_25),
        ] {
            let before = seen.calls();
            let client = connect(&place, (), &era(asked)).await.unwrap();
            assert_eq!(client.protocol_version(), expected, "{place} {asked:?}");
            assert_eq!(call(&client, "count").await.unwrap(), (before + 1).to_string(), "{place}");
            assert!(!client.is_ended(), "{place}");
            soon(client.close()).await;
            assert!(client.is_ended(), "{place}");
            assert!(call(&client, "count").await.is_err(), "{place}");
        }
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let seen = Seen::default();
    let server = Server::start(&seen);
    for place in addresses(server.port) {
        for asked in [Era::Modern, Era::Legacy] {
            let client = Arc::new(connect(&place, (), &era(asked)).await.unwrap());
            let calling = tokio::spawn({
                let client = client.clone();
                async move { call(&client, "wait").await }
            });
            seen.waiting().await;
            calling.abort();
            seen.cancelled().await;
            assert!(call(&client, "count").await.is_ok(), "{place}");
        }
    }
}

#[tokio::test]
async fn a_key_is_sent_over_every_transport_and_its_absence_is_told_apart() {
    let server = Server::with_key(&Seen::default(), "secret-key");
    for place in addresses(server.port) {
        for asked in [Era::Auto, Era::Legacy] {
            let bearer = |key: &str| ConnectOptions { bearer: Some(SecretString::from(key)), ..era(asked) };
            let client = connect(&place, (), &bearer("secret-key")).await.unwrap();
            assert!(call(&client, "count").await.is_ok(), "{place}");

            for options in [era(asked), bearer("wrong-key")] {
                let error = connect(&place, (), &options).await.err().unwrap();
                let ConnectError::NeedsCredentials { status: 401, challenge, .. } = &error else {
                    panic!("{place}: {error:?}")
                };
                assert!(
                    challenge.as_ref().is_some_and(|challenge| challenge.starts_with("Bearer")),
                    "{place}"
                );
                assert!(!format!("{error} {error:?}").contains("wrong-key"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_a_header_is_refused_without_being_shown() {
    let options = ConnectOptions { bearer: Some(SecretString::from("sec\nret")), ..era(Era::Auto) };
    let error = connect(&address("127.0.0.1:1"), (), &options).await.err().unwrap();
    assert_eq!(error.to_string(), "the key must be visible ASCII characters");
}
