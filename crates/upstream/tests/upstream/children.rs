use std::{fs, path::Path, time::Duration};

use mcp_transport::{Era, ServerCommand};
use serde_json::json;
use tempfile::{TempDir, tempdir};
use upstream::{CallError, CallOptions, Options, Upstream};

use crate::{
    host::{ALL, Heard, person},
    support::{call, object, options, soon, within},
};

/// A server of the older era in shell, up to the end of its input. It notes each start and each call in its folder.
const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"; }
say() { answer "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}"; }
serve() {
    while read -r line; do
        id=${line#*\"id\":}; id=${id%%[,\}]*}
        case $line in
            *'"server/discover"'*) answer '"error":{"code":-32601,"message":"Method not found"}';;
            *'"initialize"'*) initialize;;
            *'"notifications/initialized"'*) initialized;;
            *'"tools/call"'*) echo >> calls; called;;
            *'"tools/list"'*) listed;;
        esac
    done
}
initialize() {
    answer '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"shell","version":"1"}}'
}
initialized() { :; }
listed() { answer '"result":{"tools":[{"name":"one","inputSchema":{"type":"object"}}]}'; }
called() { say called; }
echo >> starts
echo $$ > pid
"#;

/// A child, and the folder that it runs in.
struct Shell {
    upstream: Upstream,
    heard: Heard,
    folder: TempDir,
}

fn shell(script: &str) -> Shell {
    with(script, |_| {})
}

fn with(script: &str, change: impl FnOnce(&mut Options)) -> Shell {
    let folder = tempdir().unwrap();
    let command = ServerCommand::new("sh").argument("-c").argument(format!("{SERVER}\n{script}"));
    let (host, heard) = person(ALL);
    let mut options = options(Era::Auto);
    options.connect.grace = Duration::from_millis(20);
    change(&mut options);
    let upstream = Upstream::new("shell", command.directory(folder.path()).into(), options, host);
    Shell { upstream, heard, folder }
}

impl Shell {
    fn count(&self, file: &str) -> usize {
        fs::read_to_string(self.folder.path().join(file)).map_or(0, |text| text.lines().count())
    }

    /// Closes it. The process is gone then.
    async fn close(self) {
        soon(self.upstream.close()).await;
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists());
    }
}

#[tokio::test]
async fn a_child_that_dies_in_a_call_is_shown_with_its_last_words_and_started_again_but_not_called_again() {
    let mut shell = shell("called() { echo 'no more memory' >&2; exit 7; }; serve");
    let lost = call(&shell.upstream, "one", json!({})).await;
    let Err(CallError::Lost { stderr, .. }) = lost else { panic!("{lost:?}") };
    assert_eq!(stderr, ["no more memory"]);
    let reason = shell.heard.disconnected().await;
    assert!(reason.ends_with("ended (exit status: 7); it said:\nno more memory"), "{reason}");
    shell.heard.connected().await;
    shell.heard.tools_changed().await;
    assert_eq!((shell.count("calls"), shell.count("starts")), (1, 2));
    assert_eq!(soon(shell.upstream.tools()).await.unwrap().len(), 1);
    shell.close().await;
}

#[tokio::test]
async fn a_child_that_ends_at_once_is_started_as_often_as_told() {
    let shell = shell("exit 3");
    let failed = soon(shell.upstream.tools()).await;
    assert!(matches!(failed, Err(CallError::Connect(_))), "{failed:?}");
    assert_eq!(shell.count("starts"), 4);
    shell.close().await;
}

#[tokio::test]
async fn a_child_that_ends_soon_after_each_start_is_not_started_for_ever() {
    let mut shell = shell("initialized() { exit 5; }; serve");
    let _ = soon(shell.upstream.connect()).await; // it may have ended already
    for _ in 0..4 {
        shell.heard.disconnected().await;
    }
    assert_eq!(shell.count("starts"), 4);
    // Nobody tries any more, until somebody wants it.
    let _ = soon(shell.upstream.connect()).await;
    shell.heard.disconnected().await;
    assert_eq!(shell.count("starts"), 5);
    shell.close().await;
}

#[tokio::test]
async fn a_child_that_closes_after_each_call_can_be_called_again_and_again() {
    let shell = shell("called() { say called; exit 0; }; serve");
    for calls in 1..=6 {
        // It may be ending when it is called: then the call is lost, and not made twice.
        while let Err(error) = call(&shell.upstream, "one", json!({})).await {
            assert!(matches!(error, CallError::Lost { .. }), "{error:?}");
        }
        assert!(shell.count("calls") >= calls);
    }
    shell.close().await;
}

#[tokio::test]
async fn a_child_that_never_answers_the_handshake_is_given_up_and_gone() {
    let shell = with("trap '' TERM; echo 'still loading' >&2; while :; do sleep 1000; done", |options| {
        options.connect.timeout = Duration::from_secs(2);
        options.backoff.attempts = 1;
    });
    let failed = soon(shell.upstream.tools()).await.unwrap_err();
    assert!(failed.to_string().ends_with("was not ready within 2s; it said:\nstill loading"), "{failed}");
    shell.close().await;
}

#[tokio::test]
async fn garbage_is_skipped_and_an_answer_that_is_too_large_fails_its_call_alone() {
    let shell = with(
        "called() {
            [ -e large ] && { say called; return; }
            touch large
            printf '{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"x\":\"' \"$id\"
            head -c 3000000 /dev/zero | tr '\\0' x
            echo '\"}}'
        }
        echo Welcome; printf '\\377\\376{]\\n'; head -c 3000000 /dev/zero | tr '\\0' x; echo; serve",
        |options| options.connect.message_bytes = 1_000_000,
    );
    assert_eq!(soon(shell.upstream.tools()).await.unwrap().len(), 1);
    let failed = call(&shell.upstream, "one", json!({})).await.unwrap_err().to_string();
    assert!(failed.contains("the server's answer has more than 1000000 bytes"), "{failed}");
    assert_eq!(call(&shell.upstream, "one", json!({})).await.unwrap(), "called");
    assert_eq!(shell.count("starts"), 1, "it is the same process still");
    shell.close().await;
}

#[tokio::test]
async fn a_flood_of_notifications_is_heard_in_order_and_does_not_stop_calls() {
    const LINES: usize = 20_000;
    let mut shell = shell(
        "called() { awk 'BEGIN { for (n = 1; n <= 20000; n++) \
        print \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"method\\\":\\\"notifications/message\\\",\\\"params\\\":{\\\"level\\\":\\\"info\\\",\\\"data\\\":\" n \"}}\" }'; \
        say called; }; serve",
    );
    assert_eq!(call(&shell.upstream, "one", json!({})).await.unwrap(), "called");
    let lines: Vec<_> = shell
        .heard
        .so_far()
        .into_iter()
        .filter_map(|notice| match notice {
            upstream::Notice::Log(line) => line.data.as_u64(),
            _ => None,
        })
        .collect();
    assert!(lines.iter().copied().eq(1..=LINES as u64), "{}", lines.len());
    shell.close().await;
}

#[tokio::test]
async fn a_child_that_hangs_in_a_call_is_given_up_in_time_and_gone_after_the_close() {
    let shell = shell("called() { trap '' TERM; while :; do sleep 1000; done; }; serve");
    let limit = Duration::from_millis(50);
    let failed = soon(shell.upstream.call_tool("one", object(json!({})), within(limit, limit))).await;
    assert!(matches!(failed, Err(CallError::TimedOut(_))), "{failed:?}");
    shell.close().await;
}

#[tokio::test]
async fn a_dropped_upstream_leaves_no_child() {
    let Shell { upstream, heard: _heard, folder } =
        shell("trap '' TERM; serve; while :; do sleep 1000; done");
    upstream.connect().await.unwrap();
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    drop(upstream);
    let process = Path::new("/proc").join(pid.trim());
    soon(async {
        while process.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_told_at_once() {
    let command = ServerCommand::new("no-such-program-anywhere");
    let upstream = Upstream::new("none", command.into(), options(Era::Auto), person(ALL).0);
    let failed = soon(upstream.call_tool("one", object(json!({})), CallOptions::default())).await;
    assert!(failed.unwrap_err().to_string().contains("there is no such command"));
    soon(upstream.close()).await;
}

#[tokio::test]
async fn a_child_that_is_still_connected_to_is_gone_after_the_close() {
    let shell = shell("trap '' TERM; echo > ready; while :; do sleep 1000; done");
    let connecting = tokio::spawn({
        let upstream = shell.upstream.clone();
        async move { upstream.connect().await }
    });
    soon(async {
        while shell.count("ready") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    shell.close().await;
    assert!(soon(connecting).await.unwrap().is_err());
}
