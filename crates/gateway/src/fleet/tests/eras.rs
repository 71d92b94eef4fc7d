//! Which era a client's calls are made in.

use mcp_transport::Era;
use tokio::time::Instant;

use super::{
    peer::{Peer, Speaks},
    *,
};

impl World {
    /// Calls `echo`: whether that was in the newer era, and what it answered.
    async fn era(&self, behalf: &Behalf) -> (bool, String) {
        let was_modern = AtomicBool::new(false);
        let build = |line: &Line| {
            was_modern.store(line.is_modern(), Ordering::SeqCst);
            calling("echo")(line)
        };
        let answered = self.upstream.call(behalf, Repeat::Never, None, &build).await.unwrap();
        (was_modern.load(Ordering::SeqCst), text(&answered))
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_of_both_eras_is_called_in_that_of_the_client() {
    let peer = Peer::new(Speaks::Both);
    let world = World::settled(settings(&peer)).await;
    assert_eq!(world.era(&modern()).await, (true, "peer 0".to_owned()));
    assert_eq!(world.era(&legacy(1)).await, (false, "peer 1".to_owned()));
    assert_eq!(world.era(&legacy(2)).await, (false, "peer 1".to_owned()));
    assert_eq!(world.era(&modern()).await, (true, "peer 0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_server_of_the_older_era_is_called_in_it() {
    let peer = Peer::new(Speaks::Legacy);
    let world = World::settled(settings(&peer)).await;
    for behalf in [modern(), legacy(1)] {
        assert!(!world.era(&behalf).await.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_of_the_newer_era_is_asked_for_the_older_one_once() {
    let peer = Peer::new(Speaks::Modern);
    let world = World::settled(settings(&peer)).await;
    for session in 0..3 {
        assert!(world.era(&legacy(session)).await.0);
    }
    assert_eq!(peer.connections(), 2, "the main one, and the one that was refused");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_in_the_older_era_is_asked_again_later() {
    let peer = Peer::new(Speaks::Both);
    let world = World::settled(settings(&peer)).await;
    peer.answer_legacy(false);
    let started = Instant::now();
    assert_eq!(world.era(&legacy(1)).await, (true, "peer 0".to_owned()));
    assert!(started.elapsed() <= world.upstream.desk.settings.connect_timeout);
    let started = Instant::now();
    assert_eq!(world.era(&legacy(2)).await, (true, "peer 0".to_owned()));
    assert_eq!(started.elapsed(), Duration::ZERO, "nobody waits for it twice");

    peer.answer_legacy(true);
    tokio::time::sleep(world.upstream.desk.settings.health_interval).await;
    assert!(!world.era(&legacy(1)).await.0);
}

#[tokio::test(start_paused = true)]
async fn the_era_can_be_fixed() {
    for (era, is_modern) in [(Era::Legacy, false), (Era::Modern, true)] {
        let peer = Peer::new(Speaks::Both);
        let world = World::settled(UpstreamSettings { era, ..settings(&peer) }).await;
        for behalf in [modern(), legacy(1)] {
            assert_eq!(world.era(&behalf).await.0, is_modern);
        }
    }
}
