//! What the server asks.

use serde_json::{Value, json};

use crate::{
    client::{Session, Stream, error, messages, modern, send, tool},
    support::{Server, within},
};

/// The question in a stream.
async fn question(stream: &mut Stream) -> Value {
    let text = stream.until("roots/list").await;
    messages(text).into_iter().find(|message| message["method"] == "roots/list").unwrap()
}

fn answer(question: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": ["as", "it", "came"]}})
}

#[tokio::test]
async fn a_question_comes_in_the_response_of_its_request_and_its_answer_goes_back() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut stream = Stream::new(session.call(5, "ask").await);
    let question = question(&mut stream).await;
    assert_eq!(send(session.post(&answer(&question))).await.status(), 202);
    let text = stream.all().await;
    assert_eq!(messages(&text).last().unwrap()["result"], json!({"roots": ["as", "it", "came"]}), "{text}");
    // An answer to no question is nobody's.
    assert_eq!(send(session.post(&answer(&question))).await.status(), 202);
}

#[tokio::test]
async fn an_answer_may_name_its_question_by_a_text() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut stream = Stream::new(session.call(5, "ask").await);
    let mut answer = answer(&question(&mut stream).await);
    answer["id"] = json!(answer["id"].to_string());
    send(session.post(&answer)).await;
    let text = stream.all().await;
    assert_eq!(messages(&text).last().unwrap()["result"], answer["result"], "{text}");
}

#[tokio::test]
async fn an_error_is_an_answer_too() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut stream = Stream::new(session.call(5, "ask").await);
    let question = question(&mut stream).await;
    let refused = json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "no"}});
    send(session.post(&refused)).await;
    let text = stream.all().await;
    assert_eq!(messages(&text).last().unwrap()["error"], json!({"code": -1, "message": "no"}), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_not_wanted_any_more_is_called_off() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut stream = Stream::new(session.call(5, "ask").await);
    let question = question(&mut stream).await;
    server.fixture.release.add_permits(1);
    let text = stream.all().await;
    let messages = messages(&text);
    assert_eq!(messages[1]["method"], "notifications/cancelled", "{text}");
    assert_eq!(messages[1]["params"]["requestId"], question["id"], "{text}");
    assert_eq!(messages[2]["result"], "never mind", "{text}");
}

#[tokio::test]
async fn outside_of_requests_a_question_comes_where_the_client_listens() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let link = server.fixture.links.lock().unwrap()[0].clone();
    let asking = tokio::spawn(async move { link.ask("roots/list", None).await });
    let mut stream = session.listen().await;
    let question = question(&mut stream).await;
    send(session.post(&answer(&question))).await;
    assert!(within(asking).await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn questions_end_with_their_session() {
    let server = Server::start().await;
    let session = Session::open(&server).await;
    let mut listening = session.listen().await;
    let mut stream = Stream::new(session.call(5, "ask").await);
    let first = question(&mut stream).await;
    send(session.request(reqwest::Method::DELETE)).await;
    assert!(stream.all().await.contains("retry"), "it ends with its session");
    assert!(listening.until("retry").await.contains("id: 0"));
    assert!(send(session.post(&answer(&first))).await.status() == 404);
    assert!(server.fixture.asked.lock().unwrap().is_none(), "its handler was dropped");
}

#[tokio::test]
async fn in_the_newer_era_nothing_is_asked() {
    let server = Server::start().await;
    assert_eq!(error(modern(&server, "tools/call", tool("ask"))).await, (200, 1, json!(5)));
}
