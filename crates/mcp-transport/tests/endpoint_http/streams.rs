//! Streams that break off and go on, and streams that nobody reads.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

use crate::{
    client::{LEGACY, MODERN, Session, Stream, add_metadata, ids, request, send, tool},
    support::{Server, log, reaches, within},
};

#[tokio::test]
async fn a_call_is_answered_on_another_connection_with_nothing_twice() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut stream = Stream::new(session.call(5, "tell and wait").await);
    let had = stream.until("first").await.to_owned();
    drop(stream);
    let resumed = session.resume(ids(&had).last().unwrap()).await;
    server.fixture.release.add_permits(1);
    let rest = resumed.all().await;
    assert!(!rest.contains("first") && rest.contains("second") && rest.contains("done"), "{rest}");
    assert_eq!(*server.fixture.finished.borrow(), 2, "it was made once");

    // From the beginning, again and again, and from the end.
    for _ in 0..2 {
        let all = session.resume(ids(&had)[0]).await.all().await;
        assert!(all.contains("first") && all.contains("second") && all.contains("done"), "{all}");
    }
    assert_eq!(session.resume(ids(&rest).last().unwrap()).await.all().await, "");
    for never in ["7/7", "", "x", "1/99"] {
        assert_eq!(session.resume(never).await.all().await, "", "{never}");
    }
}

#[tokio::test]
async fn a_reader_who_comes_back_takes_the_place_of_the_one_before() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut first = Stream::new(session.call(5, "tell and wait").await);
    let had = first.until("first").await.to_owned();
    let second = session.resume(ids(&had).last().unwrap()).await;
    first.all().await; // it has ended, and the call goes on
    server.fixture.release.add_permits(1);
    assert!(second.all().await.contains("done"));
}

#[tokio::test]
async fn what_a_listening_client_missed_it_gets_and_what_it_had_it_does_not() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let link = server.fixture.links.lock().unwrap()[0].clone();
    link.tell(log("one")).await.unwrap();
    let mut first = session.listen().await;
    let had = first.until("one").await.to_owned();
    link.tell(log("two")).await.unwrap();
    first.until("two").await;
    drop(first);
    let mut resumed = session.resume(ids(&had).last().unwrap()).await;
    link.tell(log("three")).await.unwrap();
    let text = resumed.until("three").await;
    assert!(!text.contains("one") && text.contains("two"), "{text}");
    // One more reads on where nobody has read, and need not wait until the one before it is known to be dead.
    let mut another = session.listen().await;
    link.tell(log("four")).await.unwrap();
    let text = another.until("four").await;
    assert!(!text.contains("two") && !text.contains("three"), "{text}");
}

#[tokio::test]
async fn only_clients_that_know_them_get_events_without_a_message() {
    let server = Server::start().await;
    for (version, primes) in
        [("2024-11-05", false), ("2025-03-26", false), ("2025-06-18", false), (LEGACY, true)]
    {
        let session = Session::of(&server, version).await;
        let answered = Stream::new(session.call(5, "tell").await).all().await;
        assert_eq!(answered.contains("data: \n"), primes, "{version}: {answered}");
        let mut listening = session.listen().await;
        let link = server.fixture.links.lock().unwrap().last().unwrap().clone();
        link.tell(log("one")).await.unwrap();
        let text = listening.until("one").await;
        assert_eq!(text.contains("retry: 3000"), primes, "{version}: {text}");
    }
}

/// Sends a message on a connection with small buffers, and reads nothing.
async fn unread(server: &Server, headers: &str, message: &Value) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut connection = socket.connect(server.address).await.unwrap();
    let body = message.to_string();
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n";
    let text = format!("{head}{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

async fn stalling() -> Server {
    Server::with(|options| options.timing.stall = Duration::from_millis(300)).await
}

#[tokio::test]
async fn a_response_of_the_newer_era_that_nobody_reads_is_cut() {
    let server = stalling().await;
    let mut params = tool("flood");
    add_metadata(&mut params);
    let headers = format!("Mcp-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: flood\r\n");
    let _connection = unread(&server, &headers, &request(5, "tools/call", params)).await;
    within(server.fixture.flooded.subscribe().wait_for(|count| *count > 0)).await.unwrap();
    reaches(&server.fixture.sessions, 0).await;
    assert!(*server.fixture.flooded.borrow() < 650, "32 MB would be more than all buffers hold");
    assert_eq!(*server.fixture.finished.borrow(), 0, "it was dropped");
}

#[tokio::test]
async fn a_response_in_a_session_that_nobody_reads_is_cut_and_its_call_goes_on() {
    let server = stalling().await;
    let session = Session::open(&server).await;
    let headers = format!("Mcp-Session-Id: {}\r\n", session.id);
    let _connection = unread(&server, &headers, &request(5, "tools/call", tool("flood"))).await;
    reaches(&server.fixture.finished, 2).await;
    assert_eq!(*server.fixture.flooded.borrow(), 1_000);
    assert_eq!(session.call(6, "echo").await.status(), 200);
}

#[tokio::test]
async fn two_streams_of_one_session_do_not_mix() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut first = Stream::new(session.call(1, "tell and wait").await);
    let second = Stream::new(session.call(2, "tell").await).all().await;
    first.until("first").await;
    assert!(!second.contains("first") && second.contains("\"id\":2"), "{second}");
    server.fixture.release.add_permits(1);
    let first = first.all().await;
    assert!(first.contains("\"id\":1") && !first.contains("\"id\":2"), "{first}");
    let places = [ids(&first)[0], ids(&second)[0]];
    assert_ne!(places[0], places[1]);
    let wrong = send(session.request(Method::GET).header("last-event-id", json!(1).to_string())).await;
    assert_eq!(Stream::new(wrong).all().await, "", "nothing was said there yet");
}
