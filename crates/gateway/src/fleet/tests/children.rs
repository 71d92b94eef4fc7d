//! Upstreams that are child processes: real ones.

use std::{fs, path::Path};

use mcp_transport::{Address, Era, ServerCommand};
use tempfile::TempDir;

use super::*;
use crate::{Restarts, UpstreamState};

/// A server of the older era. It writes down its starts; its tool `die` ends it, all others answer its process number.
const SERVER: &str = r#"
echo $$ >> starts
[ -e broken ] && exit 3
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"t","version":"1"}}';;
    *'"tools/list"'*) result='{"tools":[{"name":"pid"},{"name":"die"}]}';;
    *'"tools/call"'*'"die"'*) exit 7;;
    *'"tools/call"'*) result='{"text":"'$$'"}';;
    *'"ping"'*) result='{}';;
    *) continue;;
  esac
  echo '{"jsonrpc":"2.0","id":'$id',"result":'$result'}'
done
"#;

fn settings(directory: &Path) -> UpstreamSettings {
    let command = ServerCommand::new("sh").arguments(["-c", SERVER]).directory(directory);
    let (first_wait, longest_wait) = (Duration::from_millis(1), Duration::from_millis(5));
    UpstreamSettings {
        era: Era::Legacy,
        restarts: Restarts { first_wait, longest_wait, quick_deaths: 3 },
        ..UpstreamSettings::new(vec![Replica::at(Address::from(command))])
    }
}

fn starts(directory: &TempDir) -> Vec<u32> {
    let text = fs::read_to_string(directory.path().join("starts")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SECOND * 30, waiting).await.expect("it becomes so");
}

#[tokio::test]
async fn a_child_that_crashes_is_started_again_each_time_and_nothing_is_left_of_the_last_one() {
    let directory = TempDir::new().unwrap();
    let world = World::settled(settings(directory.path())).await;
    world.offers(&["pid", "die"]).await;
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().count();
    world.call("pid").await.unwrap();
    let before = open_files();
    for _ in 0..50 {
        world.call("pid").await.unwrap();
        let lost = world.call("die").await.unwrap_err();
        assert!(matches!(lost, CallError::DeliveryUnknown { .. }), "{lost}");
    }
    let last: u32 = world.call("pid").await.unwrap().parse().unwrap();
    let starts = starts(&directory);
    assert_eq!(starts.len(), 51);
    assert_eq!(starts.iter().filter(|process| is_there(**process)).collect::<Vec<_>>(), [&last]);
    assert_eq!(world.upstream.health().restarts, 50);
    // Three streams of each of them would be more; other tests in this process have some too.
    until(|| open_files() < before + 100).await;

    world.upstream.close(SECOND).await;
    assert!(!is_there(last));
}

#[tokio::test]
async fn a_crash_loop_is_given_up_and_reported_until_it_is_wanted_anew() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("broken"), "").unwrap();
    let world = World::settled(settings(directory.path())).await;
    until(|| world.upstream.health().state == UpstreamState::GivenUp).await;
    assert_eq!(starts(&directory).len(), 3);
    let error = world.call("pid").await.unwrap_err().to_string();
    assert!(error.contains("3 times in a row") && error.contains("exit status: 3"), "{error}");
    assert!(world.upstream.health().last_error.unwrap().contains("3 times in a row"));

    fs::remove_file(directory.path().join("broken")).unwrap();
    world.upstream.revive();
    world.offers(&["pid", "die"]).await;
    // The breaker may have opened meanwhile; that it is there again closes it.
    assert!(world.call("pid").await.is_ok());
    world.upstream.close(SECOND).await;
}

#[tokio::test]
async fn a_child_that_nobody_uses_is_stopped_and_started_when_it_is_needed() {
    let directory = TempDir::new().unwrap();
    let idle_stop = Some(Duration::from_millis(50));
    let world = World::settled(UpstreamSettings { idle_stop, ..settings(directory.path()) }).await;
    for round in 1..=3 {
        until(|| world.upstream.health().state == UpstreamState::Idle).await;
        let all = starts(&directory);
        assert_eq!(all.len(), round);
        assert!(!all.into_iter().any(is_there));
        assert_eq!(world.upstream.offer().tools.items.len(), 2, "what it offers is not forgotten");
        world.call("pid").await.unwrap();
    }
    world.upstream.close(SECOND).await;
}

#[tokio::test]
async fn a_child_that_somebody_follows_is_not_stopped_though_nobody_calls() {
    let directory = TempDir::new().unwrap();
    let idle_stop = Some(Duration::from_millis(20));
    let world = World::start(UpstreamSettings { idle_stop, ..settings(directory.path()) });
    let watcher = &world.watcher;
    watcher.is_followed.store(true, Ordering::SeqCst);
    until(|| watcher.looks.load(Ordering::SeqCst) > 3).await;
    assert_eq!((starts(&directory).len(), world.upstream.health().state), (1, UpstreamState::Ready));

    watcher.is_followed.store(false, Ordering::SeqCst);
    until(|| world.upstream.health().state == UpstreamState::Idle).await;
    watcher.is_followed.store(true, Ordering::SeqCst);
    world.upstream.wake();
    until(|| world.upstream.health().state == UpstreamState::Ready).await;
    assert_eq!(starts(&directory).len(), 2);
    world.upstream.close(SECOND).await;
}

#[tokio::test]
async fn calls_lose_nothing_when_the_child_is_stopped_again_and_again() {
    let directory = TempDir::new().unwrap();
    let idle_stop = Some(Duration::from_millis(1));
    let world = World::settled(UpstreamSettings { idle_stop, ..settings(directory.path()) }).await;
    for pause in (0..40).map(|step| Duration::from_micros(step * 100)) {
        tokio::time::sleep(pause).await;
        world.call("pid").await.unwrap();
    }
    world.upstream.close(SECOND).await;
    assert!(!starts(&directory).into_iter().any(is_there));
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_given_up_and_says_so() {
    let directory = TempDir::new().unwrap();
    let command = ServerCommand::new("no-such-command-anywhere");
    let replicas = vec![Replica::at(Address::from(command))];
    let world = World::settled(UpstreamSettings { replicas, ..settings(directory.path()) }).await;
    until(|| world.upstream.health().state == UpstreamState::GivenUp).await;
    let error = world.call("pid").await.unwrap_err().to_string();
    assert!(error.contains("there is no such command"), "{error}");
}

#[tokio::test]
async fn dropping_an_upstream_ends_its_child() {
    let directory = TempDir::new().unwrap();
    let world = World::settled(settings(directory.path())).await;
    let process: u32 = world.call("pid").await.unwrap().parse().unwrap();
    drop(world);
    until(|| !is_there(process)).await;
}
