//! What a server says and asks outside of requests.

use futures_util::poll;

use super::{
    peer::{Peer, Speaks},
    *,
};
use crate::Sessions;

async fn heard_refusal(hears: &mut mpsc::UnboundedReceiver<String>) -> bool {
    loop {
        match next(hears).await.as_str() {
            "answer" => return false,
            "refusal" => return true,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_for_those_whom_it_can_be_about() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let (one, other) = (legacy(1), legacy(2));
    let say = || async {
        let before = lock(&world.watcher.told).len();
        peer.tell(true, Notification::new("notifications/message", None));
        while lock(&world.watcher.told).len() == before {
            tokio::task::yield_now().await;
        }
    };
    let mut hears = peer.hears();

    say().await;
    peer.ask("sampling/createMessage");
    assert!(heard_refusal(&mut hears).await, "nobody can be asked");

    let mut first = Box::pin(world.call_as(&one, Repeat::Never, "hang"));
    assert!(poll!(&mut first).is_pending());
    say().await;
    peer.ask("sampling/createMessage");
    assert!(!heard_refusal(&mut hears).await, "its only user is asked");
    peer.ask("roots/list");
    assert!(heard_refusal(&mut hears).await, "roots of its only user would stay when others come");

    let mut second = Box::pin(world.call_as(&other, Repeat::Never, "hang"));
    assert!(poll!(&mut second).is_pending());
    say().await;
    peer.ask("sampling/createMessage");
    assert!(heard_refusal(&mut hears).await, "it cannot be told who is asked");

    let audiences: Vec<_> = lock(&world.watcher.told).iter().map(|(audience, _)| *audience).collect();
    assert_eq!(audiences, [Audience::Everybody, Audience::Session(1), Audience::Several]);
    assert_eq!(*lock(&world.watcher.asked), [(1, "sampling/createMessage".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_about_a_call_that_was_given_up_is_for_nobody_else() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let mut hears = peer.hears();
    let (one, other) = (legacy(1), legacy(2));
    let mut first = Box::pin(world.call_as(&one, Repeat::Never, "hang"));
    assert!(poll!(&mut first).is_pending());
    while next(&mut hears).await != "tools/call" {}
    drop(first);
    let mut second = Box::pin(world.call_as(&other, Repeat::Never, "hang"));
    assert!(poll!(&mut second).is_pending());

    peer.ask("elicitation/create");
    assert!(heard_refusal(&mut hears).await, "it may be the first who is asked");
    peer.tell(true, Notification::new("notifications/message", None));
    while lock(&world.watcher.told).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(lock(&world.watcher.told)[0].0, Audience::Several);

    tokio::time::sleep(SECOND * 3).await;
    peer.ask("elicitation/create");
    assert!(!heard_refusal(&mut hears).await, "the server has noticed by now");
    assert_eq!(*lock(&world.watcher.asked), [(2, "elicitation/create".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_just_after_an_answer_may_be_about_that_call() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let mut hears = peer.hears();
    let told = async |method: &'static str| {
        let before = lock(&world.watcher.told).len();
        peer.tell(true, Notification::new(method, None));
        while lock(&world.watcher.told).len() == before {
            tokio::task::yield_now().await;
        }
        lock(&world.watcher.told)[before].0
    };
    let (one, other) = (legacy(1), legacy(2));

    for _ in 0..3 {
        world.call_as(&one, Repeat::Never, "echo").await.unwrap();
    }
    assert_eq!(told("notifications/message").await, Audience::Session(1));
    assert_eq!(
        told("notifications/elicitation/complete").await,
        Audience::Everybody,
        "its call is long over"
    );

    world.call_as(&other, Repeat::Never, "echo").await.unwrap();
    assert_eq!(told("notifications/message").await, Audience::Session(2));
    let mut second = Box::pin(world.call_as(&other, Repeat::Never, "hang"));
    assert!(poll!(&mut second).is_pending());
    assert_eq!(told("notifications/message").await, Audience::Session(2), "it works on that");
    peer.ask("elicitation/create");
    assert!(!heard_refusal(&mut hears).await, "a call that was answered asks no more");
    assert_eq!(*lock(&world.watcher.asked), [(2, "elicitation/create".to_owned())]);

    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(told("notifications/message").await, Audience::Session(2));
    drop(second);
    tokio::time::sleep(SECOND * 3).await;
    assert_eq!(told("notifications/message").await, Audience::Everybody);
    world.call("echo").await.unwrap();
    assert_eq!(told("notifications/message").await, Audience::Several, "whoever called has no session");
}

#[tokio::test(start_paused = true)]
async fn on_a_connection_of_its_own_everything_is_for_that_client() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(UpstreamSettings { sessions: Sessions::PerClient, ..settings(&peer) }).await;
    world.call_as(&legacy(5), Repeat::Never, "echo").await.unwrap();
    let mut hears = peer.hears();
    peer.ask("roots/list");
    assert!(heard_refusal(&mut hears).await != heard_refusal(&mut hears).await, "the main one has nobody");
    assert_eq!(*lock(&world.watcher.asked), [(5, "roots/list".to_owned())]);
}
