//! Who shares a connection with whom.

use super::{
    peer::{Peer, Speaks},
    *,
};
use crate::Sessions;

fn able(session: u64, capabilities: &'static str) -> Behalf {
    Behalf { capabilities: Raw::read(capabilities).unwrap(), ..legacy(session) }
}

#[tokio::test(start_paused = true)]
async fn clients_that_can_do_the_same_share_a_connection_and_others_do_not() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let mut numbers = Vec::new();
    for behalf in [
        able(1, r#"{"elicitation":{}}"#),
        able(2, r#"{"elicitation":{},"roots":{}}"#),
        able(3, "{}"),
        able(4, r#"{"tasks":{}}"#),
    ] {
        numbers.push(text(&world.call_as(&behalf, Repeat::Never, "echo").await.unwrap()));
    }
    assert_eq!(numbers, ["peer 1", "peer 1", "peer 2", "peer 2"]);
}

#[tokio::test(start_paused = true)]
async fn each_client_can_have_its_own_connection_which_goes_with_it() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { sessions: Sessions::PerClient, ..settings(&peer) }).await;
    for _ in 0..2 {
        for session in 1..=3 {
            let answered = world.call_as(&legacy(session), Repeat::Never, "echo").await.unwrap();
            assert_eq!(text(&answered), format!("peer {session}"));
        }
    }
    assert_eq!(peer.live(), 4);

    world.upstream.forget(2);
    while peer.live() > 3 {
        tokio::task::yield_now().await;
    }
    let anew = world.call_as(&legacy(2), Repeat::Never, "echo").await.unwrap();
    assert_eq!(text(&anew), "peer 4");
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_session_have_a_connection_to_themselves_while_they_last() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { sessions: Sessions::PerClient, ..settings(&peer) }).await;
    assert_eq!(world.call("echo").await.unwrap(), "peer 1");
    assert_eq!(world.call("echo").await.unwrap(), "peer 1");
    let mut hanging = Box::pin(world.call("hang"));
    assert!(futures_util::poll!(&mut hanging).is_pending());
    assert_eq!(world.call("echo").await.unwrap(), "peer 2");
    drop(hanging);
    assert_eq!(world.call("echo").await.unwrap(), "peer 1");

    let able = Behalf { capabilities: Raw::read(r#"{"sampling":{}}"#).unwrap(), ..modern() };
    let answered = world.call_as(&able, Repeat::Never, "echo").await.unwrap();
    assert_eq!(text(&answered), "peer 3", "the other two were told that their client can do something else");
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_key_never_use_the_connection_of_another() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { sessions: Sessions::PerClient, ..settings(&peer) }).await;
    let mut numbers = Vec::new();
    for key in ["one", "other", "one", "other"] {
        let behalf = Behalf { owner: owner(&["one", "other"], Some(key)), ..modern() };
        numbers.push(text(&world.call_as(&behalf, Repeat::Never, "echo").await.unwrap()));
    }
    assert_eq!(numbers, ["peer 1", "peer 2", "peer 1", "peer 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_its_connection_however_long_it_thinks_and_newcomers_find_no_room() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { sessions: Sessions::PerClient, ..settings(&peer) }).await;
    for session in 1..=256 {
        world.call_as(&legacy(session), Repeat::Never, "echo").await.unwrap();
    }
    tokio::time::sleep(SECOND * 3_600).await;
    let refused = world.call_as(&legacy(257), Repeat::Never, "echo").await.unwrap_err();
    assert!(matches!(refused, CallError::Overloaded { .. }), "{refused}");
    let same = world.call_as(&legacy(1), Repeat::Never, "echo").await.unwrap();
    assert_eq!(text(&same), "peer 1");

    world.upstream.forget(7);
    assert!(world.call_as(&legacy(257), Repeat::Never, "echo").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn clients_that_make_things_up_do_not_push_out_the_others() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let usual = able(1, "{}");
    assert_eq!(text(&world.call_as(&usual, Repeat::Never, "echo").await.unwrap()), "peer 1");
    for number in 0..300 {
        let capabilities = Raw::read(format!(r#"{{"experimental":{{"{number}":{{}}}}}}"#)).unwrap();
        let odd = Behalf { capabilities, ..legacy(2) };
        world.call_as(&odd, Repeat::Never, "echo").await.unwrap();
    }
    assert_eq!(text(&world.call_as(&usual, Repeat::Never, "echo").await.unwrap()), "peer 1");
}

#[tokio::test(start_paused = true)]
async fn connections_that_belong_to_nobody_end_when_nobody_uses_them() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    world.call_as(&able(1, "{}"), Repeat::Never, "echo").await.unwrap();
    assert_eq!(peer.live(), 2);
    tokio::time::sleep(SECOND * 400).await;
    assert_eq!(peer.live(), 1);
    assert!(world.call_as(&able(1, "{}"), Repeat::Never, "echo").await.is_ok());
}
