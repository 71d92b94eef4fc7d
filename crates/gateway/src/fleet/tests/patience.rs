//! Whose time it is that a call takes.

use futures_util::poll;
use mcp_transport::Party;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    peer::{Peer, Speaks},
    *,
};
use crate::{Breaker, UpstreamState};

/// Takes its time to hear things, and does not answer before it is told to.
#[derive(Default)]
struct Slow {
    is_asked: Notify,
    answers: Notify,
}

#[async_trait]
impl Party for Slow {
    async fn told(&self, _: Notification) {
        sleep(SECOND * 500).await;
    }

    async fn asked(&self, _: &str, _: Option<Raw>) -> Outcome {
        self.is_asked.notify_one();
        self.answers.notified().await;
        Ok(Raw::empty_object())
    }
}

impl World {
    /// Begins a call that never ends by itself.
    fn hang(&self, party: &Arc<Slow>) -> tokio::task::JoinHandle<Result<Answered, CallError>> {
        let (upstream, party) = (self.upstream.clone(), party.clone());
        tokio::spawn(
            async move { upstream.call(&legacy(1), Repeat::Never, Some(party), &calling("hang")).await },
        )
    }
}

#[tokio::test(start_paused = true)]
async fn while_its_client_is_asked_a_call_takes_neither_place_nor_time() {
    let peer = Peer::new(Speaks::Legacy);
    let breaker = Breaker { failures: 1, open: SECOND * 10 };
    let world = World::settled(UpstreamSettings { concurrency: 1, breaker, ..settings(&peer) }).await;
    assert!(world.call("hang").await.is_err());
    assert_eq!(world.upstream.health().state, UpstreamState::Open);
    sleep(SECOND * 10).await;
    let mut hears = peer.hears();
    while let Ok(_before) = hears.try_recv() {}

    // This one is the trial, and the only one that there is a place for.
    let party = Arc::<Slow>::default();
    let asking = world.hang(&party);
    while next(&mut hears).await != "tools/call" {}
    assert_eq!(world.upstream.health().active, 1);
    peer.ask("elicitation/create");
    party.is_asked.notified().await;
    for _ in 0..3 {
        sleep(SECOND * 150).await;
        assert!(world.call("echo").await.is_ok());
    }
    assert_eq!(world.upstream.health().active, 0);

    party.answers.notify_one();
    while next(&mut hears).await != "answer" {}
    assert_eq!(world.upstream.health().active, 1);
    let answered = Instant::now();
    let late = asking.await.unwrap().unwrap_err();
    assert!(matches!(late, CallError::TimedOut { .. }), "{late}");
    assert_eq!(answered.elapsed(), SECOND * 60);
    assert_eq!(world.upstream.health().state, UpstreamState::Open, "from then on it is the server's time");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_is_answered_for_them() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let mut hears = peer.hears();
    let party = Arc::<Slow>::default();
    let asking = world.hang(&party);
    while next(&mut hears).await != "tools/call" {}
    peer.ask("elicitation/create");
    party.is_asked.notified().await;
    let asked = Instant::now();
    let refused = async { while hears.recv().await.unwrap() != "refusal" {} };
    timeout(SECOND * 601, refused).await.expect("the server hears that there is no answer");
    assert_eq!(asked.elapsed(), SECOND * 600);
    assert!(asking.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn time_in_the_queue_is_not_the_time_of_the_upstream() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { concurrency: 1, ..settings(&peer) }).await;
    let mut first = Box::pin(world.call("hang"));
    assert!(poll!(&mut first).is_pending());
    let started = Instant::now();
    let mut second = Box::pin(world.call("hang"));
    assert!(poll!(&mut second).is_pending());
    sleep(SECOND * 40).await;
    let mut third = Box::pin(world.call("hang"));
    assert!(poll!(&mut third).is_pending());
    sleep(SECOND * 10).await;
    drop(first);

    let (second, third) = tokio::join!(second, third);

    assert!(matches!(second.unwrap_err(), CallError::TimedOut { seconds: 60, .. }));
    assert_eq!(started.elapsed(), SECOND * 110);
    assert!(
        matches!(third.unwrap_err(), CallError::Overloaded { .. }),
        "it waited as long as a call may take"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_makes_no_upstream_late() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let mut hears = peer.hears();
    let call = world.hang(&Arc::default());
    while next(&mut hears).await != "tools/call" {}
    let started = Instant::now();
    peer.tell(true, Notification::new("notifications/message", None));
    let late = call.await.unwrap().unwrap_err();
    assert!(matches!(late, CallError::TimedOut { .. }), "{late}");
    assert!(started.elapsed() >= SECOND * 560, "{:?}", started.elapsed());
}
