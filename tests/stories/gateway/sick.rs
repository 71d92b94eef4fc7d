//! Upstreams that are sick, each in its way, beside two that are well.

use anyhow::ensure;
use e2e::{
    fault::Strings,
    moody::{Mood, Moody},
};
use serde_json::Value;

use crate::{
    Story,
    load::Load,
    running::{Running, SHORT, failing},
};

const WELL: &[&str] = &["http__echo", "pipe__echo"];
/// Answers of the upstreams that are well for which a sick one is watched.
const A_WHILE: usize = 50;

/// A gateway in front of two upstreams that are well and one that is not, under load of the former.
struct Ward {
    gateway: Running,
    load: Load,
    http: Moody,
    pipe: Strings,
}

impl Ward {
    /// `sick` is the section of the upstream that is sick.
    async fn with(sick: &str) -> anyhow::Result<Self> {
        let (http, pipe) = (Moody::start().await?, Strings::new()?);
        let (url, command) = (http.url(), failing("healthy", &pipe)?);
        let gateway = Running::start(&format!(
            "[upstream.http]\nurl = {url:?}\n{SHORT}[upstream.pipe]\n{command}{SHORT}[upstream.sick]\n{sick}"
        ))?;
        gateway.until_is("http", "ready").await?;
        gateway.until_is("pipe", "ready").await?;
        gateway.until_answers("http__echo").await?;
        gateway.until_answers("pipe__echo").await?;
        let load = Load::start(vec![gateway.client.clone(); 4], WELL);
        Ok(Self { gateway, load, http, pipe })
    }

    /// Calls the sick upstream, which must not answer. Gives the error's code and message.
    async fn fails(&self, tool: &str) -> anyhow::Result<(String, String)> {
        let answer = self.gateway.client.call(tool, "hello").await?;
        answer.err().ok_or_else(|| anyhow::anyhow!("{tool} answered"))
    }

    /// The others have noticed nothing.
    async fn discharge(self) -> Story {
        self.load.stop().await?;
        for upstream in ["http", "pipe"] {
            let health = self.gateway.client.health(upstream).await?;
            ensure!(health["state"] == "ready" && health["restarts"] == 0, "{health}");
            ensure!(health["last_error"].is_null(), "{health}");
        }
        ensure!(
            self.pipe.lives() == 1 && self.http.sessions() <= 2,
            "a connection of an upstream that is well was made again"
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_and_goes_is_told_to_be_away_and_used_again_when_it_is_back() -> Story {
    let mut flip = Moody::start().await?;
    let mut ward = Ward::with(&format!("url = {:?}\n{SHORT}", flip.url())).await?;
    for round in 0..5 {
        ward.gateway.until_answers("sick__echo").await?;
        flip.leaves().await;
        // Unknown when it was written to a connection whose end had not been noticed: who closed it may have read it.
        let (code, message) = ward.fails("sick__echo").await?;
        ensure!(
            matches!(&*code, "UPSTREAM_UNAVAILABLE" | "DELIVERY_UNKNOWN"),
            "round {round}: {code}: {message}"
        );
        let refused = |error: &Value| error.as_str().is_some_and(|error| error.contains("refused"));
        ward.gateway
            .until("sick", |health| health["state"] != "ready" && refused(&health["last_error"]))
            .await?;
        let (code, message) = ward.fails("sick__echo").await?;
        ensure!(code == "UPSTREAM_UNAVAILABLE", "round {round}: {code}: {message}");
        let why = ward.gateway.client.explain("sick__echo").await?;
        ensure!(why.contains("refused"), "{why}");
        ward.load.answers(A_WHILE).await?;
        ensure!(ward.gateway.client.tools().await?.contains(&"sick__echo".to_owned()), "its tools have gone");
        flip.comes_back().await?;
        // Nobody calls it: the gateway looks by itself.
        ward.gateway.until_is("sick", "ready").await?;
        let answer = ward.gateway.client.call("sick__echo", "hello").await?;
        ensure!(answer.is_ok(), "round {round}: it is ready, but {answer:?}");
    }
    ward.discharge().await
}

/// Time limits for what never answers.
fn impatient() -> String {
    SHORT.replace("\"60s\"", "\"1s\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_costs_its_callers_a_time_out_and_then_nothing() -> Story {
    let hanging = Moody::start().await?;
    let mut ward = Ward::with(&format!("url = {:?}\n{}", hanging.url(), impatient())).await?;
    ward.gateway.until_answers("sick__echo").await?;
    hanging.is(Mood::Hanging);
    let (code, message) = ward.fails("sick__echo").await?;
    ensure!(code == "TIMEOUT" && message.contains("within "), "{code}: {message}");
    ward.load.answers(A_WHILE).await?;
    let health = ward.gateway.until("sick", |health| health["state"] != "ready").await?;
    ensure!(health["last_error"].is_string(), "{health}");
    for _ in 0..5 {
        let (code, message) = ward.fails("sick__echo").await?;
        ensure!(code == "UPSTREAM_UNAVAILABLE" || code == "TIMEOUT", "{code}: {message}");
    }
    let why = ward.gateway.client.explain("sick__echo").await?;
    ensure!(why.contains("upstream \\\"sick\\\""), "{why}");
    hanging.is(Mood::Well);
    ward.gateway.until_is("sick", "ready").await?;
    ward.gateway.until_answers("sick__echo").await?;
    ward.discharge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_find_no_place_before_one_that_hangs_fail_at_once() -> Story {
    let hanging = Moody::start().await?;
    let ward = Ward::with(&format!("url = {:?}\nconcurrency = 2\nqueue = 3\n{SHORT}", hanging.url())).await?;
    ward.gateway.until_answers("sick__echo").await?;
    hanging.is(Mood::Hanging);
    let client = ward.gateway.client.clone();
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call("sick__echo", "hello").await })
        })
        .collect();
    ward.gateway.until("sick", |health| health["active"] == 2 && health["queued"] == 3).await?;

    let (code, message) = ward.fails("sick__echo").await?;

    ensure!(code == "SERVER_OVERLOADED", "{code}: {message}");
    waiting.iter().for_each(|call| call.abort());
    // Whoever hangs up gives the place back.
    ward.gateway.until("sick", |health| health["active"] == 0 && health["queued"] == 0).await?;
    ward.discharge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_process_keeps_ending_is_given_up_until_the_configuration_is_loaded_again() -> Story {
    let strings = Strings::new()?;
    let sick = format!("{}{SHORT}", failing("stillborn", &strings)?);
    let mut ward = Ward::with(&sick).await?;
    let health = ward.gateway.until_is("sick", "given_up").await?;
    ensure!(
        health["last_error"].as_str().is_some_and(|error| error.contains("5 times in a row")),
        "{health}"
    );
    let why = ward.gateway.client.explain("sick__echo").await?;
    ensure!(why.contains("sick") && why.contains("left alone"), "{why}");
    ward.load.answers(A_WHILE).await?;
    ensure!(strings.lives() == 5, "it was started {} times", strings.lives());

    strings.release();
    ward.gateway.program.signal("HUP")?;
    ward.gateway.until_is("sick", "ready").await?;
    ward.gateway.until_answers("sick__echo").await?;
    ward.discharge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_forgets_its_sessions_is_introduced_to_again_and_no_call_is_lost() -> Story {
    let forgetful = Moody::start().await?;
    let ward = Ward::with(&format!("url = {:?}\n{SHORT}", forgetful.url())).await?;
    ward.gateway.until_answers("sick__echo").await?;
    let mut load = Load::start(vec![ward.gateway.client.clone(); 4], &["sick__echo"]);
    for _ in 0..20 {
        forgetful.forgets();
        load.answers(A_WHILE).await?;
    }
    load.stop().await?;
    ensure!(forgetful.sessions() > 20, "only {} sessions", forgetful.sessions());
    ward.discharge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_no_tools_after_a_restart_is_asked_again_until_it_has() -> Story {
    let strings = Strings::new()?;
    let mut ward = Ward::with(&format!("{}{SHORT}", failing("empties", &strings)?)).await?;
    ward.gateway.until_answers("sick__safe").await?;
    let mut news = ward.gateway.client.listen().await?;
    let (code, message) = ward.fails("sick__echo").await?;
    ensure!(code == "DELIVERY_UNKNOWN", "{code}: {message}");

    ward.gateway.until("sick", |health| health["state"] == "ready" && health["tools"] == 0).await?;
    news.wait_for("notifications/tools/list_changed").await?;
    let tools = ward.gateway.client.tools().await?;
    ensure!(tools.iter().all(|tool| !tool.starts_with("sick__")), "{tools:?}");
    ensure!(
        tools.contains(&"http__echo".to_owned()) && tools.contains(&"pipe__echo".to_owned()),
        "{tools:?}"
    );
    let answer = ward.gateway.client.call("sick__safe", "hello").await?;
    ensure!(answer.as_ref().is_err_and(|(code, _)| code == "TOOL_NOT_FOUND"), "{answer:?}");
    let why = ward.gateway.client.explain("sick__safe").await?;
    ensure!(why.contains("sick"), "{why}");
    ward.load.answers(A_WHILE).await?;

    strings.release();
    news.wait_for("notifications/tools/list_changed").await?;
    ward.gateway.until_answers("sick__safe").await?;
    ward.discharge().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_talked_to_delays_nobody_and_is_told_to_be_so() -> Story {
    for (fault, complaint) in [("silent", "was not ready within 1s"), ("garbage", "")] {
        let strings = Strings::new()?;
        let mut ward = Ward::with(&format!("{}{}", failing(fault, &strings)?, impatient())).await?;
        let tools = ward.gateway.client.tools().await?;
        ensure!(
            tools.contains(&"http__echo".to_owned()) && tools.contains(&"pipe__echo".to_owned()),
            "{tools:?}"
        );
        let has_error = |error: &str| !error.is_empty() && error.contains(complaint);
        let health =
            ward.gateway.until("sick", |health| health["last_error"].as_str().is_some_and(has_error)).await?;
        ensure!(health["state"] != "ready", "{fault}: {health}");
        ward.load.answers(A_WHILE).await?;
        ward.discharge().await?;
        strings.wait_for_the_end()?;
    }
    Ok(())
}

/// A call that was lost on its way to one is made again at the other: the tool is read-only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_and_goes_is_replaced_by_the_other() -> Story {
    let (mut flip, steady) = (Moody::start().await?, Moody::start().await?);
    let ward = Ward::with(&format!("replicas = [{:?}, {:?}]\n{SHORT}", flip.url(), steady.url())).await?;
    ward.gateway.until_answers("sick__look").await?;
    let mut load = Load::start(vec![ward.gateway.client.clone(); 4], &["sick__look"]);
    for round in 0..5 {
        flip.leaves().await;
        load.answers(A_WHILE).await?;
        ward.gateway.until_is("sick", "degraded").await?;
        flip.comes_back().await?;
        ward.gateway.until_is("sick", "ready").await?;
        let before = flip.calls("look");
        load.answers(A_WHILE).await?;
        ensure!(flip.calls("look") > before, "round {round}: nobody calls it any more");
    }
    load.stop().await?;
    ward.discharge().await
}
