use json_rpc::Raw;
use tokio::sync::oneshot;

use super::*;
use crate::errors::Fault;

#[derive(Default)]
struct Exchange {
    questions: Questions,
    switched: Mutex<u32>,
    paused: Mutex<u32>,
}

impl Asked for Exchange {
    fn questions(&self) -> &Questions {
        &self.questions
    }

    fn pause(&self) {
        *self.paused.lock().unwrap() += 1;
    }
}

fn owner() -> Caller {
    auth::Keys::new(&[]).caller(&http::HeaderMap::new()).unwrap()
}

fn purpose() -> Purpose<'static> {
    Purpose { owner: owner(), method: "tools/call", target: "a__b" }
}

fn parked() -> (Arc<Seal>, Parked<Exchange>) {
    let seal = Arc::new(Seal::new(None));
    (seal.clone(), Parked::new(seal))
}

/// A call that asks twice, and the second time two things.
fn call(exchange: &Arc<Exchange>) -> BoxFuture<'static, Answer> {
    let exchange = exchange.clone();
    Box::pin(async move {
        let first = exchange.questions.ask("roots/list", None).await.map_err(Fault::Theirs)?;
        let (second, third) = futures_util::join!(
            exchange.questions.ask("roots/list", None),
            exchange.questions.ask("sampling/createMessage", Some(Raw::empty_object())),
        );
        let answers = [
            ("first", first),
            ("second", second.map_err(Fault::Theirs)?),
            ("third", third.map_err(Fault::Theirs)?),
        ];
        Ok(answers.into_iter().collect::<Members>().to_raw())
    })
}

fn number(seal: &Seal, outcome: Answer) -> (u128, Members) {
    let needed = InputRequired::of(&outcome.unwrap()).unwrap();
    let state: String = needed.state().unwrap().parse().unwrap();
    let State::Parked(number) = seal.open_state(&state, purpose()).unwrap() else { panic!() };
    (number, Members::of(needed.result.get("inputRequests").unwrap()).unwrap())
}

fn answers(text: &'static str) -> Input {
    Input { responses: Some(Raw::read(text).unwrap()), state: None }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_where_it_asked() {
    let ((seal, parked), exchange) = (parked(), Arc::<Exchange>::default());
    let switch = |exchange: &Exchange| *exchange.switched.lock().unwrap() += 1;

    let asked = parked.run(purpose(), exchange.clone(), call(&exchange)).await;
    let (first, requests) = number(&seal, asked);
    assert_eq!(requests.to_raw().as_str(), r#"{"question-1":{"method":"roots/list"}}"#);
    let asked = parked.resume(first, purpose(), &answers(r#"{"question-1":{"a":1}}"#), switch).await.unwrap();
    let (second, requests) = number(&seal, asked);
    assert_eq!(requests.iter().count(), 2);
    // What was forgotten is asked again.
    let asked =
        parked.resume(second, purpose(), &answers(r#"{"question-3":{"c":3}}"#), switch).await.unwrap();
    let (third, requests) = number(&seal, asked);
    assert_eq!(requests.to_raw().as_str(), r#"{"question-2":{"method":"roots/list"}}"#);
    let done = parked.resume(third, purpose(), &answers(r#"{"question-2":{"b":2}}"#), switch).await.unwrap();

    assert_eq!(done.unwrap().as_str(), r#"{"first":{"a":1},"second":{"b":2},"third":{"c":3}}"#);
    assert_eq!(*exchange.switched.lock().unwrap(), 3);
    assert_eq!(*exchange.paused.lock().unwrap(), 3);
    let again = parked.resume(third, purpose(), &Input::default(), switch).await;
    assert_eq!(again.unwrap_err(), NotParked);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_side_by_side_is_told_at_once() {
    let ((seal, parked), exchange) = (parked(), Arc::<Exchange>::default());
    let asking = exchange.clone();
    let running = Box::pin(async move {
        let questions = &asking.questions;
        let (first, second) = futures_util::join!(questions.ask("roots/list", None), async {
            // As another request that the server has sent, and that has not been read yet.
            tokio::task::yield_now().await;
            questions.ask("roots/list", None).await
        });
        first.and(second).map_err(Fault::Theirs)
    });

    let asked = parked.run(purpose(), exchange, running).await;

    let (_, requests) = number(&seal, asked);
    assert_eq!(requests.iter().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_from_elsewhere_wakes_the_call() {
    let ((seal, parked), exchange) = (parked(), Arc::<Exchange>::default());
    let (end, ended) = oneshot::channel::<Raw>();
    let running = Box::pin(async move { Ok(ended.await.unwrap()) });
    // As a line does that reads for many calls.
    let line = exchange.clone();
    let asking = tokio::spawn(async move { line.questions.ask("roots/list", None).await });

    let asked = parked.run(purpose(), exchange, running).await;

    // It is taken back before the client comes, so there is nothing to answer any more.
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    let (number, _) = number(&seal, asked);
    end.send(Raw::empty_object()).unwrap();
    let done = parked.resume(number, purpose(), &Input::default(), |_| ()).await.unwrap();
    assert_eq!(done.unwrap(), Raw::empty_object());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_client_does_not_come_back_is_dropped() {
    let ((seal, parked), exchange) = (parked(), Arc::<Exchange>::default());
    let (alive, dropped) = oneshot::channel::<()>();
    let running = {
        let inner = call(&exchange);
        Box::pin(async move {
            let _alive = alive;
            inner.await
        })
    };
    let asked = parked.run(purpose(), exchange.clone(), running).await;
    let (number, _) = number(&seal, asked);
    assert_eq!(parked.count(), 1);

    dropped.await.unwrap_err();

    assert_eq!(parked.count(), 0);
    let late = parked.resume(number, purpose(), &Input::default(), |_| ()).await;
    assert_eq!(late.unwrap_err(), NotParked);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_wait_than_may() {
    let (_, parked) = parked();
    let mut outcome = Ok(Raw::default());
    for _ in 0..=MOST_CALLS {
        let exchange = Arc::<Exchange>::default();
        outcome = parked.run(purpose(), exchange.clone(), call(&exchange)).await;
    }

    let Err(Fault::Ours(refusal)) = outcome else { panic!() };

    assert_eq!((parked.count(), refusal.code()), (MOST_CALLS, "DELIVERY_UNKNOWN"));
    let message = refusal.message();
    assert!(message.contains("may have done something"), "it had begun: {message}");
}

#[tokio::test(start_paused = true)]
async fn one_owner_cannot_take_all_the_places() {
    let (_, parked) = parked();
    let keys = auth::Keys::new(&["one".to_owned().into(), "two".to_owned().into()]);
    let [one, two] = ["Bearer one", "Bearer two"].map(|shown| {
        let headers = [(http::header::AUTHORIZATION, shown.parse().unwrap())].into_iter().collect();
        keys.caller(&headers).unwrap()
    });
    let park = async |owner| {
        let exchange = Arc::<Exchange>::default();
        parked.run(Purpose { owner, ..purpose() }, exchange.clone(), call(&exchange)).await
    };
    for _ in 0..MOST_OF_ONE {
        park(one).await.unwrap();
    }

    assert!(park(one).await.is_err());
    assert!(park(two).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_once_all_is_closed() {
    let ((seal, parked), exchange) = (parked(), Arc::<Exchange>::default());
    let asked = parked.run(purpose(), exchange.clone(), call(&exchange)).await;
    let (number, _) = number(&seal, asked);

    parked.close();

    assert_eq!((parked.count(), Arc::strong_count(&exchange)), (0, 1), "the call is dropped");
    assert_eq!(parked.resume(number, purpose(), &Input::default(), |_| ()).await.unwrap_err(), NotParked);
    assert!(parked.run(purpose(), exchange.clone(), call(&exchange)).await.is_err());
}
