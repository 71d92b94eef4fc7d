use std::{
    future::{pending, ready},
    sync::atomic::AtomicUsize,
};

use futures_util::{FutureExt as _, future::join_all};
use json_rpc::Raw;
use tokio::{
    sync::oneshot,
    time::{advance, sleep},
};

use super::*;
use crate::errors;

const SETTINGS: CacheSettings =
    CacheSettings { time_to_live: Duration::from_secs(60), scope: CacheScope::Private };

/// How long a call waits for another.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cache with one upstream, and the calls that were made.
struct World {
    cache: Cache,
    epoch: Epoch,
    calls: AtomicUsize,
}

impl World {
    fn new() -> Self {
        let cache = Cache::new(1 << 20);
        let world = Self { epoch: cache.epoch(), cache, calls: AtomicUsize::new(0) };
        world.cache.upstreams_are(&[(upstream(), world.epoch)]);
        world
    }

    fn key(&self, number: u8) -> Key {
        Key { upstream: upstream(), epoch: self.epoch, digest: [number; 32] }
    }

    /// Asks, and makes this call if need be.
    async fn ask(&self, call: impl Future<Output = Answer>) -> Answer {
        let call = || {
            self.calls.fetch_add(1, Ordering::Relaxed);
            call
        };
        self.cache.through(self.key(1), SETTINGS, PATIENCE, &Trail::default(), call).await
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Whether the answer is kept.
    async fn knows(&self) -> bool {
        let before = self.calls();
        let _ = self.ask(ready(Err(errors::stopped().into()))).await;
        self.calls() == before
    }
}

fn upstream() -> Arc<str> {
    "far".into()
}

fn result(text: &str) -> Answer {
    Ok(Raw::read(format!(r#"{{"content":[],"text":"{text}"}}"#)).unwrap())
}

#[tokio::test]
async fn a_thousand_equal_calls_are_made_once_and_the_answer_is_kept() {
    let world = World::new();
    let (answer, answered) = oneshot::channel::<Answer>();
    let mut first = Box::pin(world.ask(async { answered.await.unwrap() }));
    assert!((&mut first).now_or_never().is_none());
    let mut others: Vec<_> = (1..1_000).map(|_| Box::pin(world.ask(pending()))).collect();
    assert!(others.iter_mut().all(|other| other.now_or_never().is_none()));

    answer.send(result("one")).unwrap();

    assert_eq!(first.await, result("one"));
    assert!(join_all(others).await.iter().all(|answer| *answer == result("one")));
    assert_eq!(world.calls(), 1);
    assert!(world.knows().await);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_made_by_one_of_those_who_wait() {
    let world = World::new();
    let mut first = Box::pin(world.ask(pending()));
    assert!((&mut first).now_or_never().is_none());
    let mut others: Vec<_> = (0..10).map(|_| Box::pin(world.ask(ready(result("two"))))).collect();
    assert!(others.iter_mut().all(|other| other.now_or_never().is_none()));

    drop(first);

    assert!(join_all(others).await.iter().all(|answer| *answer == result("two")));
    assert_eq!(world.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_not_waited_for() {
    let world = World::new();
    let mut first = Box::pin(world.ask(pending()));
    assert!((&mut first).now_or_never().is_none());

    let began = tokio::time::Instant::now();
    let second = world.ask(ready(result("own"))).await;

    assert_eq!((second, world.calls()), (result("own"), 2));
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test]
async fn a_failure_is_for_those_who_wait_and_for_nobody_later() {
    let is_error = || Raw::read(r#"{"content":[],"isError":true}"#);
    for failure in [Err(errors::stopped().into()), Ok(is_error().unwrap())] {
        let world = World::new();
        let (answer, answered) = oneshot::channel::<Answer>();
        let first = world.ask(async { answered.await.unwrap() });
        let second = world.ask(pending());
        let tell = async { answer.send(failure.clone()).unwrap() };
        let (first, second, ()) = tokio::join!(first, second, tell);

        assert_eq!((first, second), (failure.clone(), failure));
        assert!(!world.knows().await);
    }
}

#[tokio::test]
async fn what_is_for_its_caller_alone_is_given_to_nobody_else() {
    let world = World::new();
    let personal = Ok(Raw::read(r#"{"resultType":"input_required"}"#).unwrap());
    let (answer, answered) = oneshot::channel::<Answer>();
    let first = world.ask(async { answered.await.unwrap() });
    let others = join_all((0..10).map(|_| world.ask(ready(result("own")))));
    let tell = async { answer.send(personal.clone()).unwrap() };
    let (first, others, ()) = tokio::join!(first, others, tell);

    assert_eq!(first, personal);
    assert!(others.iter().all(|answer| *answer == result("own")));
    assert_eq!(world.calls(), 11);
    assert!(!world.knows().await);
}

#[tokio::test]
async fn nobody_waits_for_a_call_in_which_somebody_is_asked() {
    let world = World::new();
    let (answer, answered) = oneshot::channel::<Answer>();
    let mut first = Box::pin(world.ask(async { answered.await.unwrap() }));
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(world.ask(ready(result("own"))));
    assert!((&mut second).now_or_never().is_none());

    world.cache.asked("far");

    assert_eq!(second.await, result("own"));
    answer.send(result("for the first")).unwrap();
    assert_eq!(first.await, result("for the first"));
    assert!(!world.knows().await);
}

#[tokio::test]
async fn an_answer_from_before_a_change_is_neither_kept_nor_given_to_who_asks_after_it() {
    for change in [
        |world: &World| world.cache.forget("far"),
        |world: &World| world.cache.forget_all(),
        |world: &World| world.cache.changing(&upstream()).over(),
        |world: &World| {
            world.cache.upstreams_are(&[]);
            world.cache.upstreams_are(&[(upstream(), world.epoch)]);
        },
    ] {
        let world = World::new();
        let (answer, answered) = oneshot::channel::<Answer>();
        let mut before = Box::pin(world.ask(async { answered.await.unwrap() }));
        assert!((&mut before).now_or_never().is_none());
        let mut waits = Box::pin(world.ask(pending()));
        assert!((&mut waits).now_or_never().is_none());

        change(&world);

        let (other_answer, other_answered) = oneshot::channel::<Answer>();
        let mut after = Box::pin(world.ask(async { other_answered.await.unwrap() }));
        assert!((&mut after).now_or_never().is_none());
        answer.send(result("old")).unwrap();
        assert_eq!((before.await, waits.await), (result("old"), result("old")));
        assert!(
            (&mut after).now_or_never().is_none(),
            "the old answer was given to who asked after the change"
        );
        other_answer.send(result("new")).unwrap();
        assert_eq!(after.await, result("new"));
        assert_eq!(world.ask(pending()).await, result("new"), "the new one is kept");
    }
}

#[tokio::test]
async fn nothing_is_kept_while_a_call_that_changes_something_is_under_way() {
    let world = World::new();
    world.ask(ready(result("kept"))).await.unwrap();
    let (one, other) = (world.cache.changing(&upstream()), world.cache.changing(&upstream()));
    assert!(!world.knows().await);

    world.ask(ready(result("meanwhile"))).await.unwrap();
    one.over();
    world.ask(ready(result("meanwhile"))).await.unwrap();
    let (answer, answered) = oneshot::channel::<Answer>();
    let mut overlapping = Box::pin(world.ask(async { answered.await.unwrap() }));
    assert!((&mut overlapping).now_or_never().is_none());
    other.over();
    answer.send(result("meanwhile")).unwrap();
    overlapping.await.unwrap();

    assert!(!world.knows().await);
    world.ask(ready(result("after"))).await.unwrap();
    assert!(world.knows().await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_a_while_after_a_change_that_may_still_come() {
    let lost = errors::not_kept("it was lost").into();
    let task = Ok(Raw::read(r#"{"resultType":"task","taskId":"1"}"#).unwrap());
    for cut_short in [None, Some(Err(lost)), Some(task)] {
        let world = World::new();
        let change = world.cache.changing(&upstream());
        match cut_short {
            Some(answer) => change.answered(&answer),
            None => drop(change),
        }

        world.ask(ready(result("before it came"))).await.unwrap();
        assert!(!world.knows().await);
        sleep(UNSURE).await; // on the paused clock
        world.ask(ready(result("after"))).await.unwrap();
        assert!(world.knows().await);
    }
}

#[tokio::test]
async fn a_call_that_came_before_its_upstream_was_replaced_is_made_and_not_kept() {
    let world = World::new();
    let key = world.key(1);
    let next = world.cache.epoch();
    world.cache.upstreams_are(&[(upstream(), next)]);

    let through = |key: Key, text: &'static str| async {
        world.cache.through(key, SETTINGS, PATIENCE, &Trail::default(), || ready(result(text))).await
    };
    assert_eq!(through(key.clone(), "old").await, result("old"));
    let now = Key { epoch: next, ..key };
    assert_eq!(through(now.clone(), "new").await, result("new"));
    assert_eq!(through(now, "never made").await, result("new"));
}

#[tokio::test]
async fn an_upstream_that_is_gone_leaves_nothing_behind_once_its_changes_are_over() {
    let world = World::new();
    let change = world.cache.changing(&upstream());
    world.cache.upstreams_are(&[]);
    let again = world.cache.epoch();
    world.cache.upstreams_are(&[(upstream(), again)]);
    let key = Key { epoch: again, ..world.key(1) };
    let trail = Trail::default();
    let ask = |text: &'static str| {
        world.cache.through(key.clone(), SETTINGS, PATIENCE, &trail, move || ready(result(text)))
    };
    ask("meanwhile").await.unwrap();
    assert_eq!(ask("not kept").await, result("not kept"));
    change.over();
    assert_eq!(ask("kept").await, result("kept"));
    assert_eq!(ask("never made").await, result("kept"));
    world.cache.upstreams_are(&[]);
    assert_eq!(ask("gone").await, result("gone"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_lives_from_when_it_came() {
    let world = World::new();
    let slow = async {
        sleep(Duration::from_secs(50)).await;
        result("slow")
    };
    world.ask(slow).await.unwrap();

    advance(Duration::from_secs(59)).await;
    assert!(world.knows().await);
    advance(Duration::from_secs(1)).await;

    assert!(!world.knows().await);
}
