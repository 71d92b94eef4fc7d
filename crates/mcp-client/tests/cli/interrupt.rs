//! Ctrl-C.

use std::process::Command;

use tokio::process::Child;

use crate::support::{Program, Server, ended};

fn interrupt(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[tokio::test]
async fn ctrl_c_cancels_the_call_at_the_server_over_every_transport_and_in_both_eras() {
    let server = Server::start();
    for transport in ["http", "websocket", "sse"] {
        for era in ["modern", "legacy"] {
            let address = server.address();
            let child =
                Program::new().start(&["call", &address, "wait", "--transport", transport, "--era", era]);
            server.seen.waiting().await;
            interrupt(&child);
            let done = ended(child).await;
            assert_eq!((done.code, &*done.out), (Some(130), ""), "{transport} {era}: {done:?}");
            server.seen.cancelled().await;
        }
    }
}

#[tokio::test]
async fn ctrl_c_ends_a_measurement_with_what_was_measured() {
    let server = Server::start();
    let child =
        Program::new().start(&["bench", &server.address(), "echo", "hi", "--duration", "1h", "--json"]);
    while server.seen.calls() < 30 {
        tokio::task::yield_now().await;
    }
    interrupt(&child);
    let done = ended(child).await;
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(done.json()["calls"].as_u64().unwrap() > 0);
}
