//! Runs of pipelines, of which the gateway is killed in the middle: it goes on where it was, and does nothing twice that must not be.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use e2e::programs::{self, PATIENCE, Program};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    Story,
    client::Answer,
    running::{Config, Running, SHORT},
    workbench::{Held, Workbench},
};

/// Everything that pipelines have: stages in order, a stage for each item, a group, another pipeline.
const PIPELINES: &str = r#"
[pipeline.inner]
description = "A part of another"
stage = [
    { name = "one", tool = "bench__add", arguments = { message = "inner one" } },
    { name = "two", tool = "bench__add", arguments = { message = "inner two" } },
]
[pipeline.chores]
description = "Many things, of which none may be done twice"
input = { items = { type = "array", items = { type = "string" } } }
stage = [
    { name = "first", tool = "bench__add", arguments = { message = "first" } },
    { name = "seen", tool = "bench__look", arguments = { message = "seen" } },
    { name = "each", for_each = "{{ input.items }}", concurrency = 1, tool = "bench__add", arguments = { message = "item {{ item }}" } },
    { parallel = [
        { name = "left", tool = "bench__add", arguments = { message = "left" } },
        { name = "right", tool = "bench__add", arguments = { message = "right" } },
    ] },
    { name = "part", tool = "inner", arguments = {} },
    { name = "kept", tool = "bench__put", arguments = { message = "kept" } },
    { name = "last", tool = "bench__add", arguments = { message = "last: {{ each[1].text }} {{ part.structured.result.text }}" } },
]
"#;

const LAST: &str = "last: item b! inner two!";

/// What is carried out, in this order; whether that may be done again; and how many calls have ended when it is the only one under way.
const CALLS: [(&str, bool, usize); 10] = [
    ("first", false, 0),
    ("seen", true, 1),
    ("item a", false, 2),
    ("item b", false, 3),
    ("left", false, 5),
    ("right", false, 5),
    ("inner one", false, 6),
    ("inner two", false, 7),
    ("kept", true, 9),
    (LAST, false, 10),
];

/// A gateway over a workbench, whose runs are in a file that outlives it.
struct Stage {
    bench: Workbench,
    gateway: Running,
    config: String,
    folder: TempDir,
}

/// A run that a killed gateway left.
struct Remains {
    run_id: String,
    stage: Stage,
}

impl Stage {
    async fn set() -> anyhow::Result<Self> {
        let bench = Workbench::start().await?;
        let folder = tempfile::tempdir()?;
        let ledger = folder.path().join("runs.db");
        let config = format!(
            "ledger = {:?}\n[upstream.bench]\nurl = {:?}\n{SHORT}{PIPELINES}",
            ledger.display().to_string(),
            bench.url()
        );
        let gateway = Running::start(&config)?;
        Ok(Self { bench, gateway, config, folder })
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("runs.db")
    }

    fn begin(&self) -> JoinHandle<anyhow::Result<Answer>> {
        let client = self.gateway.client.clone();
        tokio::spawn(async move { client.call_with("chores", json!({"items": ["a", "b"]})).await })
    }

    /// Begins a run, kills the gateway while this call alone is under way, and starts another.
    async fn killed(mut self, held: Held) -> anyhow::Result<Remains> {
        let (Held::Before(message) | Held::After(message)) = &held;
        let (.., ended) = CALLS.iter().find(|(known, ..)| known == message).context("no such call")?;
        self.bench.hold(Some(held.clone()));
        let run = self.begin();
        self.bench.holds().await?;
        self.until_ended(*ended).await?;
        self.gateway.program.kill();
        ensure!(run.await?.is_err(), "a gateway that was killed has answered");
        self.bench.is_left().await?;
        self.bench.hold(None);
        self.gateway = Running::start(&self.config)?;
        let listed = self.resume(json!({})).await?;
        let runs = listed["structuredContent"]["runs"].as_array().with_context(|| listed.to_string())?;
        ensure!(runs.len() == 1 && runs[0]["pipeline"] == "chores", "{listed}");
        let run_id = runs[0]["run_id"].as_str().context("no id")?.to_owned();
        Ok(Remains { run_id, stage: self })
    }

    /// Waits until so many calls have been written down with what they came to.
    async fn until_ended(&self, calls: usize) -> anyhow::Result<()> {
        let journal = Connection::open_with_flags(self.ledger(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let count = "SELECT count(*) FROM run_calls JOIN runs ON runs.id = run_calls.run \
             WHERE result IS NOT NULL AND (ended_at_ms IS NULL OR run_id LIKE (SELECT run_id FROM runs WHERE ended_at_ms IS NULL AND run_id NOT LIKE '%/%') || '/%')";
        let deadline = Instant::now() + PATIENCE;
        let mut last = 0_i64;
        while Instant::now() < deadline {
            last = journal.query_row(count, [], |row| row.get(0))?;
            if usize::try_from(last) == Ok(calls) {
                return Ok(());
            }
            // The journal is another process's file: nobody tells of it.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("{last} calls have ended instead of {calls}")
    }

    async fn resume(&self, arguments: Value) -> anyhow::Result<Value> {
        let answer = self.gateway.client.call_with("resume_pipeline", arguments).await?;
        answer.map_err(|(code, message)| anyhow::anyhow!("{code}: {message}"))
    }

    /// Everything was done, and nothing twice but what may be.
    fn is_done(&self, twice: Option<&str>) -> anyhow::Result<()> {
        let done = self.bench.done();
        for (message, ..) in CALLS {
            let times = if twice == Some(message) { 2 } else { 1 };
            ensure!(done.get(message) == Some(&times), "{message:?}: {done:?}");
        }
        ensure!(done.len() == CALLS.len(), "{done:?}");
        Ok(())
    }
}

impl Remains {
    async fn resume(&self, repeat: bool) -> anyhow::Result<Value> {
        self.stage.resume(json!({"run_id": self.run_id, "repeat": repeat})).await
    }

    /// The run goes on, and comes to what it would have come to.
    async fn goes_on(self, repeat: bool) -> anyhow::Result<Stage> {
        let result = self.resume(repeat).await?;
        let report = &result["structuredContent"];
        ensure!(result.get("isError").is_none(), "{result}");
        ensure!(report["result"]["text"] == format!("{LAST}!"), "{result}");
        let log = report["execution_log"].as_array().context("no log")?;
        ensure!(log.len() == 9 && log.iter().all(|entry| entry["success"] == true), "{result}");
        let listed = self.stage.resume(json!({})).await?;
        ensure!(listed["structuredContent"]["runs"] == json!([]), "{listed}");
        Ok(self.stage)
    }

    /// The run does not go on, and nothing is done.
    async fn does_not_go_on(&self) -> anyhow::Result<()> {
        let result = self.resume(false).await?;
        ensure!(result["structuredContent"]["error_code"] == "DELIVERY_UNKNOWN", "{result}");
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        ensure!(text.contains("repeat"), "{text}");
        Ok(())
    }

    /// Takes back that a call had begun, as if the gateway had been killed a moment earlier.
    fn forget_what_began(&self) -> anyhow::Result<()> {
        let forgotten = Connection::open(self.stage.ledger())?
            .execute("DELETE FROM run_calls WHERE result IS NULL AND tool LIKE 'bench%'", [])?;
        ensure!(forgotten == 1, "{forgotten} calls were under way");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_any_two_stages_a_run_goes_on_and_does_each_once() -> Story {
    let mut stage = Stage::set().await?;
    for (message, ..) in CALLS {
        let remains = stage.killed(Held::Before(message.to_owned())).await?;
        remains.forget_what_began()?;
        stage = remains.goes_on(false).await.with_context(|| format!("before {message:?}"))?;
        stage.is_done(None).with_context(|| format!("killed before {message:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_a_call_is_on_its_way_a_run_goes_on_by_itself_only_if_that_does_no_harm() -> Story {
    let mut stage = Stage::set().await?;
    for (message, is_repeatable, _) in CALLS {
        let remains = stage.killed(Held::Before(message.to_owned())).await?;
        if !is_repeatable {
            remains.does_not_go_on().await?;
            // The caller looks, sees that it was not done, and says so.
            ensure!(remains.stage.bench.count(message) == 0, "{message:?} was done");
        }
        stage = remains.goes_on(!is_repeatable).await.with_context(|| format!("before {message:?}"))?;
        stage.is_done(None).with_context(|| format!("killed on the way to {message:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_when_a_call_was_carried_out_a_run_does_not_do_it_again_unless_that_does_no_harm() -> Story {
    let mut stage = Stage::set().await?;
    for (message, is_repeatable, ended) in CALLS {
        let remains = stage.killed(Held::After(message.to_owned())).await?;
        if is_repeatable {
            stage = remains.goes_on(false).await?;
            stage.is_done(Some(message)).with_context(|| format!("killed after {message:?}"))?;
            continue;
        }
        remains.does_not_go_on().await?;
        let done = remains.stage.bench.done();
        ensure!(done.values().all(|times| *times == 1) && done.contains_key(message), "{done:?}");
        ensure!(done.len() <= ended + 1, "{done:?}");
        // A new life for the next one: this run waits for somebody who decides.
        stage = Stage::set().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_listed_when_it_was_cut_off_and_not_while_it_runs() -> Story {
    let mut stage = Stage::set().await?;
    let config = Config::new(&stage.config)?;
    let runs = || -> anyhow::Result<String> {
        let mut command = programs::clean_at(programs::mcp_gateway()?, config.folder());
        let mut program = Program::run("mcp-gateway runs", {
            command.arg("runs");
            command
        })?;
        let status = program.wait()?;
        ensure!(status.success(), "{status}: {}", program.log());
        Ok(program.out())
    };
    stage.bench.hold(Some(Held::Before("first".to_owned())));
    let run = stage.begin();
    stage.bench.holds().await?;
    ensure!(runs()?.contains("no run was cut off"), "{}", runs()?);
    let run_id: String =
        Connection::open(stage.ledger())?.query_row("SELECT run_id FROM runs", [], |row| row.get(0))?;

    // Another gateway over the same file does not take it away from the first.
    let other = Running::start(&stage.config)?;
    let refused = other.client.call_with("resume_pipeline", json!({"run_id": run_id})).await?;
    let refused = refused.map_err(|(code, message)| anyhow::anyhow!("{code}: {message}"))?;
    ensure!(refused["structuredContent"]["error_code"] == "RUN_IS_RUNNING", "{refused}");

    stage.gateway.program.kill();
    ensure!(run.await?.is_err(), "a gateway that was killed has answered");
    stage.bench.is_left().await?;

    let listed = runs()?;
    ensure!(
        listed.contains(&run_id) && listed.contains("chores") && listed.contains("resume_pipeline"),
        "{listed}"
    );
    stage.bench.hold(None);
    stage.gateway = other;
    let result = stage.resume(json!({"run_id": run_id, "repeat": true})).await?;
    ensure!(result.get("isError").is_none(), "{result}");
    stage.is_done(None)?;
    ensure!(runs()?.contains("no run was cut off"), "{}", runs()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_cancels_the_stage_that_runs() -> Story {
    let stage = Stage::set().await?;
    stage.bench.hold(Some(Held::Before("item b".to_owned())));
    let run = stage.begin();
    stage.bench.holds().await?;

    run.abort();

    stage.bench.is_told_to_stop().await?;
    stage.bench.is_left().await?;
    let done = stage.bench.done();
    ensure!(done.len() == 3 && !done.contains_key("item b"), "{done:?}");
    Ok(())
}
