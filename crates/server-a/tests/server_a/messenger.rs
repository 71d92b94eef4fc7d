//! The messenger against a stand-in for server-b: attempts, conversations, and what the ledger hears.

use cost_calculator::{Provenance, Usd};
use ledger::{Exchange, HistoryQuery, Ledger, Location, Options, Outcome, Owner};
use models::ProcessRequest;
use server_a::{Delivery, Message, Mode};

use telemetry::TraceParent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{After, Script, StandIn, memory, messenger};

pub fn message(text: &str) -> Message {
    let request = ProcessRequest { message: text.to_owned(), ..ProcessRequest::default() };
    Message { request, conversation: None }
}

pub fn delivery(mode: Mode) -> Delivery {
    Delivery { cancelled: CancellationToken::new(), trace: TraceParent::start(), mode, stages: None }
}

pub fn whole() -> Delivery {
    delivery(Mode::Whole)
}

pub async fn recorded(ledger: &Ledger) -> Vec<Exchange> {
    let query = HistoryQuery { conversation: None, before: None, limit: 100 };
    let page = ledger.history(query).await.unwrap();
    page.exchanges.into_iter().rev().map(|recorded| recorded.exchange).collect()
}

#[tokio::test]
async fn an_answer_is_recorded_with_its_exact_cost() {
    let stand_in = StandIn::new([]).await;
    let ledger = memory();

    let sent =
        messenger(&stand_in.url, ledger.clone()).send(message("What is Python?"), whole()).await.unwrap();

    assert_eq!(sent.response.ai_response, "a language");
    assert_eq!(sent.warning, None);
    let exchanges = recorded(&ledger).await;
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].answer, "a language");
    assert_eq!(exchanges[0].conversation.as_deref(), Some(sent.conversation.as_str()));
    assert_eq!(exchanges[0].cost.amount, Usd::from_picodollars(19_800_000));
}

#[tokio::test]
async fn what_passes_is_tried_again_under_the_same_key_and_in_the_same_trace() {
    let mut stand_in = StandIn::new([Script::Problem(429, Some(0)), Script::Problem(502, None)]).await;
    let trace = TraceParent::start();
    let delivery = Delivery { trace, ..whole() };

    messenger(&stand_in.url, memory()).send(message("a"), delivery).await.unwrap();

    let (first, second, third) = (stand_in.next().await, stand_in.next().await, stand_in.next().await);
    for again in [&second, &third] {
        assert_eq!(again.headers["idempotency-key"], first.headers["idempotency-key"]);
    }
    let sent: TraceParent = first.headers["traceparent"].to_str().unwrap().parse().unwrap();
    assert_eq!(sent.trace_id(), trace.trace_id());
    assert_ne!(sent, trace);
}

#[tokio::test]
async fn two_messages_never_share_a_key() {
    let mut stand_in = StandIn::new([]).await;
    let messenger = messenger(&stand_in.url, memory());
    messenger.send(message("a"), whole()).await.unwrap();
    messenger.send(message("a"), whole()).await.unwrap();
    let (first, second) = (stand_in.next().await, stand_in.next().await);
    assert_ne!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
}

#[tokio::test]
async fn after_the_last_attempt_the_failure_is_told_and_recorded() {
    let mut stand_in = StandIn::new(vec![Script::Problem(504, None); 3]).await;
    let ledger = memory();

    let failure = messenger(&stand_in.url, ledger.clone()).send(message("a"), whole()).await.unwrap_err();

    assert_eq!(&*failure.code, "scripted_504");
    assert_eq!(failure.detail, "as it was told");
    for _ in 0..3 {
        stand_in.next().await;
    }
    assert!(stand_in.seen.try_recv().is_err());
    let exchanges = recorded(&ledger).await;
    assert_eq!(exchanges[0].outcome, Outcome::Failed { code: "scripted_504".to_owned() });
    assert_eq!(exchanges[0].cost.provenance, Provenance::Unpriced);
}

#[tokio::test]
async fn what_a_retry_cannot_mend_is_tried_once() {
    // 503 says `retryable: false`; the wait that 429 asks for is longer than the longest one.
    for script in [Script::Problem(422, None), Script::Problem(503, None), Script::Problem(429, Some(2))] {
        let mut stand_in = StandIn::new([script]).await;
        messenger(&stand_in.url, memory()).send(message("a"), whole()).await.unwrap_err();
        stand_in.next().await;
        assert!(stand_in.seen.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_server_that_does_not_run_is_named_with_what_to_do() {
    let ledger = memory();
    let failure =
        messenger("http://127.0.0.1:1", ledger.clone()).send(message("a"), whole()).await.unwrap_err();
    assert_eq!(failure.error, "Connection refused: is Server B running?");
    assert!(failure.hint.starts_with("Start Server B on http://127.0.0.1:1"), "{}", failure.hint);
    assert_eq!(recorded(&ledger).await[0].cost.provenance, Provenance::Exact); // it certainly cost nothing
}

#[tokio::test]
async fn a_conversation_takes_its_answered_messages_along() {
    let mut stand_in =
        StandIn::new([Script::Answer("one"), Script::Problem(422, None), Script::Answer("three")]).await;
    let messenger = messenger(&stand_in.url, memory());
    let first = messenger.send(message("1"), whole()).await.unwrap();
    let next = |text| Message { conversation: Some(first.conversation.clone()), ..message(text) };
    messenger.send(next("2"), whole()).await.unwrap_err();

    let third = messenger.send(next("3"), whole()).await.unwrap();

    assert_eq!(third.conversation, first.conversation);
    assert!(stand_in.next().await.body.get("history").is_none());
    let expected =
        serde_json::json!([{"role": "user", "content": "1"}, {"role": "assistant", "content": "one"}]);
    assert_eq!(stand_in.next().await.body["history"], expected);
    assert_eq!(stand_in.next().await.body["history"], expected);
}

#[tokio::test]
async fn a_stream_hands_its_pieces_over_and_gives_the_whole_answer() {
    let stand_in = StandIn::new([]).await;
    let (pieces, mut received) = mpsc::channel(16);

    let delivery = delivery(Mode::Streamed(Some(pieces)));
    let sent = messenger(&stand_in.url, memory()).send(message("a"), delivery).await.unwrap();

    assert_eq!(sent.response.ai_response, "a language");
    assert_eq!(sent.response.usage.total_tokens, 42);
    assert_eq!(received.recv().await.as_deref(), Some("a "));
    assert_eq!(received.recv().await.as_deref(), Some("language"));
    assert_eq!(received.recv().await, None);
}

#[tokio::test]
async fn a_stream_is_tried_again_only_while_nothing_has_come() {
    let scripts = [Script::Stream(&[], After::End), Script::Stream(&["a "], After::End)];
    let mut stand_in = StandIn::new(scripts).await;
    let ledger = memory();

    let delivery = delivery(Mode::Streamed(None));
    let failure = messenger(&stand_in.url, ledger.clone()).send(message("a"), delivery).await.unwrap_err();

    assert_eq!(&*failure.code, "broken_stream");
    let (first, second) = (stand_in.next().await, stand_in.next().await);
    assert_eq!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
    assert!(stand_in.seen.try_recv().is_err());
    assert_eq!(recorded(&ledger).await[0].answer, "a "); // what had come is not thrown away
}

#[tokio::test]
async fn calling_a_message_off_closes_its_request_and_is_recorded() {
    for mode in [Mode::Whole, Mode::Streamed(None)] {
        let mut stand_in = StandIn::new([Script::Silence]).await;
        let ledger = memory();
        let messenger = messenger(&stand_in.url, ledger.clone());
        let delivery = delivery(mode);
        let cancelled = delivery.cancelled.clone();
        let sending = tokio::spawn(async move { messenger.send(message("a"), delivery).await });
        let seen = stand_in.next().await;

        cancelled.cancel();

        assert_eq!(&*sending.await.unwrap().unwrap_err().code, "cancelled");
        seen.over.await.unwrap();
        assert_eq!(recorded(&ledger).await[0].outcome, Outcome::Cancelled);
    }
}

#[tokio::test]
async fn a_message_whose_caller_goes_away_is_recorded_too() {
    let mut stand_in = StandIn::new([Script::Stream(&["a "], After::Silence)]).await;
    let ledger = memory();
    let messenger = messenger(&stand_in.url, ledger.clone());
    let (pieces, mut received) = mpsc::channel(1);
    let delivery = delivery(Mode::Streamed(Some(pieces)));
    let sending = tokio::spawn(async move { messenger.send(message("a"), delivery).await });
    let seen = stand_in.next().await;
    received.recv().await.unwrap();

    sending.abort();
    seen.over.await.unwrap();

    assert!(sending.await.unwrap_err().is_cancelled());
    let exchanges = recorded(&ledger).await;
    assert_eq!((&exchanges[0].outcome, exchanges[0].answer.as_str()), (&Outcome::Cancelled, "a "));
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_given_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let options = Options { owner: Owner::ServerA, max_exchanges: 0 };
    let ledger = Ledger::open(&Location::File(path.clone()), options).unwrap();
    rusqlite::Connection::open(path).unwrap().execute_batch("DROP TABLE exchanges").unwrap();
    let stand_in = StandIn::new([]).await;
    let messenger = messenger(&stand_in.url, ledger);

    let sent = messenger.send(message("a"), whole()).await.unwrap();

    assert_eq!(sent.response.ai_response, "a language");
    assert!(sent.warning.unwrap().contains("missing in the history"));
    let continued = Message { conversation: Some("c".to_owned()), ..message("b") };
    assert_eq!(&*messenger.send(continued, whole()).await.unwrap_err().code, "ledger_failed");
}
