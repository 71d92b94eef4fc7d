//! A configuration that changes while the gateway is used.

use std::time::Instant;

use anyhow::{bail, ensure};
use e2e::{fault::Strings, moody::Moody, programs::PATIENCE};

use crate::{
    Story,
    load::Load,
    running::{Running, SHORT, failing},
};

/// Two upstreams that stay as they are.
struct Stable {
    http: Moody,
    pipe: Strings,
}

impl Stable {
    async fn start() -> anyhow::Result<Self> {
        Ok(Self { http: Moody::start().await?, pipe: Strings::new()? })
    }

    /// A configuration with both, and whatever else there is.
    fn and(&self, more: &str) -> anyhow::Result<String> {
        let (url, command) = (self.http.url(), failing("healthy", &self.pipe)?);
        Ok(format!("[upstream.http]\nurl = {url:?}\n{SHORT}[upstream.pipe]\n{command}{SHORT}{more}"))
    }

    /// Starts a gateway in front of both, and calls them once.
    async fn gateway(&self, more: &str) -> anyhow::Result<Running> {
        let gateway = Running::start(&self.and(more)?)?;
        gateway.until_answers("http__echo").await?;
        gateway.until_answers("pipe__echo").await?;
        Ok(gateway)
    }

    /// Nobody has had to connect to them again.
    fn are_as_they_were(&self, sessions: u64) -> Story {
        ensure!(self.pipe.lives() == 1, "the process was started again");
        ensure!(self.http.sessions() == sessions, "{sessions} sessions became {}", self.http.sessions());
        Ok(())
    }
}

impl Running {
    /// Asks again and again whether an upstream is there, until it is so.
    async fn until_known(&self, upstream: &str, is_known: bool) -> Story {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.client.health(upstream).await.is_ok() == is_known {
                return Ok(());
            }
        }
        bail!("{upstream}: not {is_known}\n{}", self.program.log())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_fail_no_call() -> Story {
    let (stable, other) = (Stable::start().await?, Moody::start().await?);
    let url = other.url();
    // One that is another at each reload, and one whose limits change.
    let more = |round: u32| {
        let limit = 60_000 + round;
        let changing = SHORT.replace("call_timeout = \"60s\"", &format!("call_timeout = \"{limit}ms\""));
        format!("[upstream.of{round}]\nurl = {url:?}\n{SHORT}[upstream.changing]\nurl = {url:?}\n{changing}")
    };
    let gateway = stable.gateway(&more(0)).await?;
    gateway.until_answers("changing__echo").await?;
    let sessions = stable.http.sessions();
    let mut load = Load::start(vec![gateway.client.clone(); 4], &["http__echo", "pipe__echo"]);
    let mut other_load = Load::start(vec![gateway.client.clone(); 2], &["changing__echo"]);
    for round in 1..=100 {
        gateway.replace(&stable.and(&more(round))?)?;
        gateway.until_known(&format!("of{round}"), true).await?;
        gateway.until_known(&format!("of{}", round - 1), false).await?;
        load.answers(10).await?;
        other_load.answers(1).await?;
    }
    gateway.until_answers("of100__echo").await?;
    let tools = gateway.client.tools().await?;
    ensure!(tools.iter().filter(|tool| tool.starts_with("of")).count() == 3, "{tools:?}");
    load.stop().await?;
    other_load.stop().await?;
    stable.are_as_they_were(sessions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_changes_nothing_and_the_log_says_where_it_is_broken() -> Story {
    let stable = Stable::start().await?;
    let gateway = stable.gateway("").await?;
    let sessions = stable.http.sessions();
    let load = Load::start(vec![gateway.client.clone(); 2], &["http__echo", "pipe__echo"]);
    for (count, broken) in
        (1..).zip(["[upstream.new]\nurl = 7\n", "[upstream.new\n", "[upstream.new]\ncolour = \"red\"\n"])
    {
        let text = stable.and(broken)?;
        let line = text[..text.find("[upstream.new").unwrap_or_default()].lines().count();
        gateway.replace(&text)?;
        gateway
            .program
            .wait_for_logs("the configuration is wrong, and the one before stays in use", count)?;
        let log = gateway.program.log();
        let told = (line..=line + 2).any(|line| log.contains(&format!("{line}:")));
        ensure!(told, "no word of line {line}: {log}");
        gateway.until_known("new", false).await?;
    }
    // The file is not there.
    gateway.remove()?;
    gateway.program.signal("HUP")?;
    gateway.program.wait_for_logs("the one before stays in use", 4)?;
    load.stop().await?;
    stable.are_as_they_were(sessions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_hear_of_upstreams_that_come_and_go() -> Story {
    let (stable, other) = (Stable::start().await?, Moody::start().await?);
    let gateway = stable.gateway("").await?;
    let mut news = gateway.client.listen().await?;
    let added = format!("[upstream.other]\nurl = {:?}\n{SHORT}", other.url());
    for _ in 0..3 {
        gateway.replace(&stable.and(&added)?)?;
        news.wait_for("notifications/tools/list_changed").await?;
        gateway.until_answers("other__echo").await?;
        gateway.replace(&stable.and("")?)?;
        news.wait_for("notifications/tools/list_changed").await?;
        gateway.until_known("other", false).await?;
        let answer = gateway.client.call("other__echo", "hello").await?;
        ensure!(answer.as_ref().is_err_and(|(code, _)| code == "TOOL_NOT_FOUND"), "{answer:?}");
    }
    stable.are_as_they_were(stable.http.sessions())
}

/// Nobody sends a signal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_saved_is_loaded() -> Story {
    let (stable, other) = (Stable::start().await?, Moody::start().await?);
    let gateway = stable.gateway("").await?;
    gateway.save(&stable.and(&format!("[upstream.other]\nurl = {:?}\n{SHORT}", other.url()))?)?;
    gateway.until_answers("other__echo").await
}

/// A call that began before its upstream was removed, or got other settings, is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_are_finished_by_upstreams_that_have_gone() -> Story {
    let (stable, leaving, changing) = (Stable::start().await?, Strings::new()?, Strings::new()?);
    let section = |name: &str, strings, more| {
        anyhow::Ok(format!("[upstream.{name}]\n{}{SHORT}{more}", failing("hangs", strings)?))
    };
    let before = section("leaving", &leaving, "")? + &section("changing", &changing, "")?;
    let gateway = stable.gateway(&before).await?;
    gateway.until_answers("leaving__safe").await?;
    gateway.until_answers("changing__safe").await?;
    let calls = ["leaving__echo", "changing__echo"].map(|tool| {
        let client = gateway.client.clone();
        tokio::spawn(async move { client.call(tool, "hello").await })
    });
    leaving.wait_for("called")?;
    changing.wait_for("called")?;

    gateway.replace(&stable.and(&section("changing", &changing, "queue = 7\n")?)?)?;
    gateway.until_known("leaving", false).await?;
    changing.wait_for_lives(2)?;
    leaving.release();
    changing.release();

    for call in calls {
        let answer = call.await??;
        ensure!(answer.is_ok(), "{answer:?}");
    }
    leaving.wait_for_the_end() // nobody needs it any more
}
