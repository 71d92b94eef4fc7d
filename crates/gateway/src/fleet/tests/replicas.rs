//! Several replicas of one upstream.

use super::{
    peer::{Peer, Speaks},
    *,
};
use crate::{Balance, Sessions, UpstreamState};

fn pair(speaks: Speaks) -> (Peer, Peer, UpstreamSettings) {
    let (one, two) = (Peer::named("one", speaks), Peer::named("two", speaks));
    let replicas = vec![Replica::new(one.reach()), Replica::new(two.reach())];
    (one, two, UpstreamSettings::new(replicas))
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_one_after_the_other() {
    let (one, two, settings) = pair(Speaks::Modern);
    let world = World::settled(settings).await;
    for _ in 0..10 {
        world.call("echo").await.unwrap();
    }
    assert_eq!((one.calls(), two.calls()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn calls_go_where_the_fewest_are_under_way() {
    let (one, two, settings) = pair(Speaks::Modern);
    let world = World::settled(UpstreamSettings { balance: Balance::LeastBusy, ..settings }).await;
    let mut hanging = Box::pin(world.call("hang"));
    assert!(futures_util::poll!(&mut hanging).is_pending());
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.push(world.call("echo").await.unwrap());
    }
    assert!(texts.iter().all(|text| text == &texts[0]), "{texts:?}");
    let _ = (one, two);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_away_costs_no_call_and_is_used_again_when_it_is_back() {
    let (one, two, settings) = pair(Speaks::Legacy);
    let world = World::settled(settings).await;
    assert!(world.call("echo").await.is_ok() && world.call("echo").await.is_ok());
    one.go();
    for _ in 0..20 {
        assert!(world.call("echo").await.unwrap().starts_with("two"));
    }
    assert_eq!(world.upstream.health().state, UpstreamState::Degraded);
    one.come();
    let mut connected = world.watcher.connected.subscribe();
    connected.mark_unchanged();
    connected.changed().await.unwrap();
    let (before, _) = (one.calls(), two.calls());
    for _ in 0..4 {
        world.call("echo").await.unwrap();
    }
    assert_eq!(one.calls(), before + 2);
    assert_eq!(world.upstream.health().state, UpstreamState::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_together_stays_together() {
    let (one, two, settings) = pair(Speaks::Modern);
    let world = World::settled(settings).await;
    for _ in 0..6 {
        let stay = Some(Place(1));
        let answered = world.call_as(&Behalf { stay, ..modern() }, Repeat::Never, "echo").await.unwrap();
        assert_eq!(answered.place, Place(1));
    }
    assert_eq!((one.calls(), two.calls()), (0, 6));
    two.go();
    let gone = world.call_as(&Behalf { stay: Some(Place(1)), ..modern() }, Repeat::Never, "echo").await;
    assert!(matches!(gone.unwrap_err(), CallError::Unreachable { .. }));
    let unknown = world.call_as(&Behalf { stay: Some(Place(7)), ..modern() }, Repeat::Never, "echo").await;
    assert!(matches!(unknown.unwrap_err(), CallError::Unreachable { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_where_it_lives_and_moves_when_its_home_is_gone() {
    let (one, two, settings) = pair(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { sessions: Sessions::PerClient, ..settings }).await;
    let mut homes = Vec::new();
    for session in 0..2 {
        let first = text(&world.call_as(&legacy(session), Repeat::Never, "echo").await.unwrap());
        for _ in 0..4 {
            let again = text(&world.call_as(&legacy(session), Repeat::Never, "echo").await.unwrap());
            assert_eq!(again, first);
        }
        homes.push(first);
    }
    assert_ne!(homes[0], homes[1], "new sessions go to one after the other");
    if homes[0].starts_with("one") {
        one.go()
    } else {
        two.go()
    }
    let moved = text(&world.call_as(&legacy(0), Repeat::Never, "echo").await.unwrap());
    assert_ne!(moved.get(..3), homes[0].get(..3));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_too_slow_gets_a_trial_although_the_other_one_is_well() {
    let (one, two, settings) = pair(Speaks::Modern);
    let world = World::settled(settings).await;
    let stay = Some(Place(0));
    for _ in 0..5 {
        let slow = Behalf { stay, ..modern() };
        assert!(world.call_as(&slow, Repeat::Never, "hang").await.is_err());
    }
    let before = one.calls();
    for _ in 0..4 {
        assert!(world.call("echo").await.unwrap().starts_with("two"));
    }
    assert_eq!(one.calls(), before);
    tokio::time::sleep(world.upstream.desk.settings.health_interval + SECOND).await;
    for _ in 0..4 {
        world.call("echo").await.unwrap();
    }
    assert_eq!((one.calls(), two.calls()), (before + 2, 6));
}
