//! What callers see of an upstream that fails, and how it comes back.

use std::future::pending;

use futures_util::poll;
use tokio::time::Instant;

use super::{
    peer::{Peer, Speaks},
    *,
};
use crate::{Breaker, UpstreamState};

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_never_asked_for_again_unless_the_tool_may_be_repeated() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;

    let lost = world.call_as(&modern(), Repeat::Never, "die").await.unwrap_err();
    assert!(matches!(lost, CallError::DeliveryUnknown { .. }), "{lost}");
    assert_eq!(peer.calls(), 1);

    let lost = world.call_as(&modern(), Repeat::Allowed, "die").await.unwrap_err();
    assert!(matches!(lost, CallError::DeliveryUnknown { .. }), "{lost}");
    assert_eq!(peer.calls(), 3, "once more, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_while_nobody_used_it_costs_no_call() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    for number in 1..=20 {
        peer.cut();
        assert_eq!(world.call("echo").await.unwrap(), format!("peer {number}"));
    }
    assert_eq!(peer.calls(), 20);
    assert_eq!(world.upstream.health().restarts, 20);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_in_time_and_is_cancelled() {
    let peer = Peer::new(Speaks::Legacy);
    let mut hears = peer.hears();
    let world = World::settled(settings(&peer)).await;
    let started = Instant::now();
    let late = world.call("hang").await.unwrap_err();
    assert!(matches!(late, CallError::TimedOut { seconds: 60, .. }), "{late}");
    assert_eq!(started.elapsed(), SECOND * 60);
    while next(&mut hears).await != "notifications/cancelled" {}
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_when_the_queue_is_full_hears_so_at_once() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { concurrency: 2, queue: 1, ..settings(&peer) }).await;
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(world.call("hang"))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    let started = Instant::now();
    let refused = world.call("echo").await.unwrap_err();
    assert!(matches!(refused, CallError::Overloaded { .. }), "{refused}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    let health = world.upstream.health();
    assert_eq!((health.active, health.queued), (2, 1));
    // Dropped calls make room.
    drop(calls);
    assert!(world.call("echo").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_away_is_left_alone_and_found_again_within_one_interval() {
    let peer = Peer::new(Speaks::Legacy);
    let breaker = Breaker { failures: 5, open: SECOND * 3_600 };
    let world = World::settled(UpstreamSettings { breaker, ..settings(&peer) }).await;
    peer.go();
    while world.upstream.health().state != UpstreamState::Open {
        let failed = world.call("echo").await.unwrap_err();
        assert!(matches!(failed, CallError::Unreachable { .. } | CallError::BreakerOpen { .. }), "{failed}");
    }
    let started = Instant::now();
    let refused = world.call("echo").await.unwrap_err();
    assert!(matches!(refused, CallError::BreakerOpen { .. }), "{refused}");
    assert_eq!(started.elapsed(), Duration::ZERO, "it is not even tried");
    assert_eq!(peer.calls(), 0);
    assert_eq!(world.upstream.offer().tools.items.len(), 1, "what it offers is not forgotten");

    peer.come();
    let started = Instant::now();
    let mut connected = world.watcher.connected.subscribe();
    connected.mark_unchanged();
    connected.changed().await.unwrap();
    assert!(started.elapsed() <= world.upstream.desk.settings.health_interval);
    let calls = (0..10).map(|_| world.call("echo"));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(world.upstream.health().state, UpstreamState::Ready);
    assert_eq!(world.upstream.health().last_error, None, "that is over");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_there_but_too_slow_is_tried_with_one_call_at_a_time() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let calls = (0..5).map(|_| world.call("hang"));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_err));
    assert_eq!(world.upstream.health().state, UpstreamState::Open);
    tokio::time::sleep(world.upstream.desk.settings.breaker.open).await;
    let mut trial = Box::pin(world.call("hang"));
    assert!(poll!(&mut trial).is_pending());
    let refused = world.call("echo").await.unwrap_err();
    assert!(matches!(refused, CallError::BreakerOpen { .. }), "{refused}");
    drop(trial);
    assert!(world.call("echo").await.is_ok());
    assert_eq!(world.upstream.health().state, UpstreamState::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_a_ping_is_connected_to_anew() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    peer.answer_pings(false);
    let mut connected = world.watcher.connected.subscribe();
    connected.wait_for(|connected| *connected == 2).await.unwrap();
    peer.answer_pings(true);
    assert_eq!(world.call("echo").await.unwrap(), "peer 1");
}

#[tokio::test(start_paused = true)]
async fn a_server_with_calls_under_way_is_not_pinged() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { call_timeout: SECOND * 1_000, ..settings(&peer) }).await;
    peer.answer_pings(false);
    let late = world.call("hang").await.unwrap_err();
    assert!(matches!(late, CallError::TimedOut { .. }), "{late}");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_cannot_be_reached_from_the_start_settles_and_comes_later() {
    let peer = Peer::new(Speaks::Legacy);
    peer.go();
    let world = World::settled(settings(&peer)).await;
    assert!(!world.upstream.offer().is_known);
    assert!(world.upstream.health().last_error.is_some());
    peer.come();
    world.offers(&["echo"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_never_gets_so_far_as_to_tell_what_it_offers_settles() {
    let peer = Peer::new(Speaks::Legacy);
    peer.die_of_lists();
    let world = World::settled(settings(&peer)).await;
    assert!(!world.upstream.offer().is_known);

    let silent = Peer::new(Speaks::Modern);
    silent.answer_pings(false);
    let world = World::start(settings(&silent));
    world.upstream.stop();
    timeout(SECOND, world.upstream.settled()).await.expect("nobody waits for one that is not wanted");
}

#[tokio::test(start_paused = true)]
async fn a_close_can_be_cut_short() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let mut hanging = Box::pin(world.call("hang"));
    assert!(poll!(&mut hanging).is_pending());
    let started = Instant::now();
    let mut closing = Box::pin(world.upstream.close(SECOND * 3_600));
    assert!(poll!(&mut closing).is_pending());
    let refused = world.call("echo").await.unwrap_err();
    assert!(matches!(refused, CallError::Dismissed { .. }), "newcomers are sent away at once: {refused}");
    world.upstream.stop();
    let (cut, ()) = tokio::join!(hanging, closing);
    assert!(matches!(cut.unwrap_err(), CallError::DeliveryUnknown { .. }));
    assert!(started.elapsed() < SECOND * 10);
}

#[tokio::test(start_paused = true)]
async fn closing_lets_calls_finish_within_the_grace_period_and_cuts_the_rest() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let hanging = world.call("hang");
    let closing = async {
        let started = Instant::now();
        world.upstream.close(SECOND * 7).await;
        started.elapsed()
    };
    let (cut, took) = tokio::join!(hanging, closing);
    assert!(matches!(cut.unwrap_err(), CallError::DeliveryUnknown { .. }));
    assert_eq!(took, SECOND * 7);
    assert_eq!(peer.live(), 0);
    let refused = world.call("echo").await.unwrap_err();
    assert!(matches!(refused, CallError::Dismissed { .. }), "{refused}");
}

#[tokio::test]
async fn a_breaker_that_lets_one_call_try_says_so() {
    let open = |retry_after_seconds| CallError::BreakerOpen {
        upstream: "it".into(),
        reason: "why".to_owned(),
        retry_after_seconds,
    };
    assert!(open(7).to_string().ends_with("and is left alone for 7 s more: why"));
    assert!(open(0).to_string().ends_with("and one call tries now whether it works again: why"));
}

#[tokio::test(start_paused = true)]
async fn progress_gives_a_call_more_time() {
    struct Deaf;
    #[async_trait]
    impl mcp_transport::Party for Deaf {
        async fn told(&self, _: Notification) {}
        async fn asked(&self, _: &str, _: Option<Raw>) -> Outcome {
            pending().await
        }
    }
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let log = async {
        loop {
            tokio::time::sleep(SECOND * 50).await;
            // With one call under way, it is told of the log.
            peer.tell(true, Notification::new("notifications/message", None));
        }
    };
    let started = Instant::now();
    let behalf = legacy(1);
    let build = calling("hang");
    let call = world.upstream.call(&behalf, Repeat::Never, Some(Arc::new(Deaf)), &build);
    let late = tokio::select! {
        late = call => late.unwrap_err(),
        () = log => unreachable!(),
    };
    assert!(matches!(late, CallError::TimedOut { seconds: 600, .. }), "{late}");
    assert_eq!(started.elapsed(), SECOND * 600, "ten times its limit, and no longer");
}
