//! Attempts that take too long, and what a message without an answer may have cost.

use std::{sync::Arc, time::Duration};

use cost_calculator::{Provenance, Usage};
use ledger::Outcome;
use server_a::{Failure, Messenger, Mode, Sent};
use tokio::{
    sync::{Notify, oneshot::error::TryRecvError},
    task::JoinHandle,
    time::{advance, pause, resume},
};
use tokio_util::sync::CancellationToken;

use crate::{
    messenger::{delivery, message, recorded, whole},
    support::{Script, Seen, StandIn, TIMEOUT, memory, messenger, messenger_that_waits},
};

const IN_USE: Script = Script::Refusal(409, "idempotency_key_in_use");

/// Lets this much time pass at once. The clock stands still only for a moment: a real socket takes real time.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

fn send(messenger: Messenger, cancelled: CancellationToken) -> JoinHandle<Result<Sent, Failure>> {
    let delivery = server_a::Delivery { cancelled, ..whole() };
    tokio::spawn(async move { messenger.send(message("What is Python?"), delivery).await })
}

fn is_open(request: &mut Seen) -> bool {
    matches!(request.over.try_recv(), Err(TryRecvError::Empty))
}

#[tokio::test]
async fn the_next_attempt_is_made_while_the_one_before_is_still_open_and_the_first_answer_counts() {
    let now = Arc::new(Notify::new());
    for older_answers in [true, false] {
        let slow = Script::AnswerWhen(now.clone(), "late");
        let scripts = if older_answers { [slow, Script::Silence] } else { [Script::Silence, slow] };
        let mut stand_in = StandIn::new(scripts).await;
        let ledger = memory();
        let sending = send(messenger(&stand_in.url, ledger.clone()), CancellationToken::new());

        let mut first = stand_in.next().await;
        pass(TIMEOUT).await;
        let mut second = stand_in.next().await;

        assert_eq!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
        assert!(is_open(&mut first) && is_open(&mut second));
        now.notify_one();
        assert_eq!(sending.await.unwrap().unwrap().response.ai_response, "late");
        let remaining = if older_answers { second } else { first };
        remaining.over.await.unwrap();
        assert!(stand_in.seen.try_recv().is_err());
        let exchanges = recorded(&ledger).await;
        assert_eq!((exchanges.len(), exchanges[0].answer.as_str()), (1, "late"));
    }
}

#[tokio::test]
async fn an_answer_that_comes_during_the_wait_makes_the_next_attempt_needless() {
    let now = Arc::new(Notify::new());
    let mut stand_in = StandIn::new([Script::AnswerWhen(now.clone(), "late")]).await;
    let sending = send(
        messenger_that_waits(&stand_in.url, memory(), Duration::from_secs(3_600)),
        CancellationToken::new(),
    );
    stand_in.next().await;
    pass(TIMEOUT).await;

    now.notify_one();

    assert_eq!(sending.await.unwrap().unwrap().response.ai_response, "late");
    assert!(stand_in.seen.try_recv().is_err());
}

#[tokio::test]
async fn an_open_attempt_may_still_be_answered_when_all_later_ones_are_refused() {
    let now = Arc::new(Notify::new());
    let busy = Script::Refusal(503, "server_busy");
    let mut stand_in = StandIn::new([Script::AnswerWhen(now.clone(), "late"), busy.clone(), busy]).await;
    let sending = send(messenger(&stand_in.url, memory()), CancellationToken::new());
    let mut first = stand_in.next().await;
    pass(TIMEOUT).await;
    stand_in.next().await;
    stand_in.next().await.over.await.unwrap();
    assert!(is_open(&mut first));

    now.notify_one();

    assert_eq!(sending.await.unwrap().unwrap().response.ai_response, "late");
}

#[tokio::test]
async fn after_the_last_attempt_took_too_long_nothing_stays_open() {
    let mut stand_in = StandIn::new(vec![Script::Silence; 3]).await;
    let ledger = memory();
    let sending = send(messenger(&stand_in.url, ledger.clone()), CancellationToken::new());
    let mut requests = Vec::new();
    for _ in 0..3 {
        requests.push(stand_in.next().await);
        assert!(requests.iter_mut().all(is_open));
        pass(TIMEOUT).await;
    }

    assert_eq!(&*sending.await.unwrap().unwrap_err().code, "timed_out");
    for request in requests {
        request.over.await.unwrap();
    }
    assert!(stand_in.seen.try_recv().is_err());
    let exchanges = recorded(&ledger).await;
    assert_eq!(exchanges[0].outcome, Outcome::Failed { code: "timed_out".to_owned() });
    assert_eq!(exchanges[0].cost.provenance, Provenance::Unpriced);
}

#[tokio::test]
async fn calling_a_message_off_closes_all_of_its_requests() {
    let mut stand_in = StandIn::new(vec![Script::Silence; 2]).await;
    let cancelled = CancellationToken::new();
    let sending = send(messenger(&stand_in.url, memory()), cancelled.clone());
    let first = stand_in.next().await;
    pass(TIMEOUT).await;
    let second = stand_in.next().await;

    cancelled.cancel();

    assert_eq!(&*sending.await.unwrap().unwrap_err().code, "cancelled");
    first.over.await.unwrap();
    second.over.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_takes_too_long_is_not_asked_for_again() {
    let mut stand_in = StandIn::new([Script::Silence]).await;
    let messenger = messenger(&stand_in.url, memory());
    let sending =
        tokio::spawn(async move { messenger.send(message("a"), delivery(Mode::Streamed(None))).await });
    let seen = stand_in.next().await;

    pass(TIMEOUT).await;

    assert_eq!(&*sending.await.unwrap().unwrap_err().code, "timed_out");
    seen.over.await.unwrap();
    assert!(stand_in.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_message_that_is_still_being_answered_is_asked_for_again_under_its_key() {
    let mut stand_in = StandIn::new([IN_USE]).await;
    let sent = messenger(&stand_in.url, memory()).send(message("a"), whole()).await.unwrap();
    assert_eq!(sent.response.ai_response, "a language");
    let (first, second) = (stand_in.next().await, stand_in.next().await);
    assert_eq!(first.headers["idempotency-key"], second.headers["idempotency-key"]);
}

#[tokio::test]
async fn nobody_is_told_to_pay_a_second_time_for_a_message_that_is_still_being_answered() {
    let stand_in = StandIn::new(vec![IN_USE; 3]).await;
    let failure = messenger(&stand_in.url, memory()).send(message("a"), whole()).await.unwrap_err();
    assert!(failure.hint.contains("Do not call again yet"), "{}", failure.hint);
    assert!(failure.hint.contains("history"), "{}", failure.hint);
}

#[tokio::test]
async fn a_message_without_an_answer_costs_nothing_only_if_each_attempt_was_certainly_free() {
    let (free, lost) = (Script::Refusal(401, "unauthorized"), Script::Refusal(504, "provider_timed_out"));
    let busy = Script::Refusal(503, "server_busy");
    let cases = [
        (vec![free.clone()], true),
        (vec![busy.clone(), busy.clone(), free.clone()], true),
        (vec![lost, free], false),
        (vec![Script::Refusal(422, "content_filtered")], false),
        (vec![busy, IN_USE, Script::Refusal(403, "forbidden")], false),
    ];
    for (scripts, is_free) in cases {
        let stand_in = StandIn::new(scripts).await;
        let ledger = memory();
        messenger(&stand_in.url, ledger.clone()).send(message("12345"), whole()).await.unwrap_err();

        let exchange = recorded(&ledger).await.remove(0);
        let (prompt_tokens, provenance) =
            if is_free { (0, Provenance::Exact) } else { (2, Provenance::Unpriced) };
        assert_eq!(exchange.usage, Usage { prompt_tokens, ..Usage::default() }, "{:?}", exchange.outcome);
        assert_eq!(exchange.cost.provenance, provenance, "{:?}", exchange.outcome);
    }
}
