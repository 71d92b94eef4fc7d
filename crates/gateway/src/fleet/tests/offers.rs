//! What an upstream offers, and when it is read again.

use super::{
    peer::{Peer, Speaks, tagged},
    *,
};

#[tokio::test(start_paused = true)]
async fn what_a_server_of_the_older_era_says_has_changed_is_read_again() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    peer.set_tools(&["echo", "more"]);
    peer.tell(true, Notification::new("notifications/tools/list_changed", None));
    world.offers(&["echo", "more"]).await;
    assert!(lock(&world.watcher.told).is_empty(), "that is the fleet's own business");
}

#[tokio::test(start_paused = true)]
async fn a_server_of_the_newer_era_is_listened_to() {
    let peer = Peer::new(Speaks::Modern);
    let mut hears = peer.hears();
    let world = World::settled(settings(&peer)).await;
    while next(&mut hears).await != "subscriptions/listen" {}
    peer.set_tools(&["more"]);
    // The third request of the connection: after discovery and the list.
    let changed = Notification::new("notifications/tools/list_changed", tagged(&3.into()));
    peer.tell(false, changed);
    world.offers(&["more"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_it_offers_is_read_again_after_a_restart() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    peer.set_tools(&["new"]);
    peer.cut();
    world.offers(&["new"]).await;
}

#[tokio::test(start_paused = true)]
async fn tools_that_are_missing_after_a_restart_are_found_within_one_interval() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    peer.set_tools(&[]);
    peer.cut();
    world.offers(&[]).await;
    peer.set_tools(&["echo"]);
    let interval = world.upstream.desk.settings.health_interval;
    timeout(interval + SECOND, world.offers(&["echo"])).await.expect("they are back");
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_are_read_together() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    let before = peer.lists();
    peer.set_tools(&["more"]);
    for _ in 0..100 {
        peer.tell(true, Notification::new("notifications/tools/list_changed", None));
    }
    world.offers(&["more"]).await;
    assert!(peer.lists() <= before + 2, "{} instead of {before}", peer.lists());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_its_lists_change_is_not_asked_all_the_time() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    tokio::time::sleep(SECOND * 3_600).await;
    assert_eq!(peer.lists(), 1);
    drop(world);
}
