//! `mcp-gateway run PIPELINE`: one run without a client.

use std::{
    fs,
    future::pending,
    io::{Read as _, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use gateway::Gateway;
use json_rpc::{Error, Members, Notification, Outcome, Raw};
use ledger::Location;
use mcp_transport::{
    ClientCard, ConnectOptions, Era, LineHost, Outgoing, Party, dial_streams, serve_endpoint_streams,
};
use pipeline::Pipeline;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{duplex, split};
use tokio_util::task::AbortOnDropHandle;

use crate::{Config, RunLine, files::OpenFiles, print};

/// Largest input, in bytes.
const MAX_INPUT: u64 = 4 << 20;

/// Largest result, in bytes: more than any pipeline may have.
const MAX_RESULT: usize = 256 << 20;

/// Bytes that may be under way to and from the gateway.
const BUFFER: usize = 64 << 10;

/// Tells what a pipeline would do; also with which input, when one is given.
pub(crate) fn plan(config: &Config, name: &str, input: Option<&str>) -> anyhow::Result<ExitCode> {
    let pipeline = find(config, name)?;
    print(&format!("{}\n", pipeline.plan()))?;
    if let Some(input) = input {
        let input = pipeline.check_input(read(input)?).map_err(anyhow::Error::msg)?;
        print(&format!("it would be run with {}\n", Value::Object(input)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a pipeline, or goes on with a run.
pub(crate) async fn run(
    config: Config,
    what: &RunLine,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<ExitCode> {
    let (name, arguments) = asked_for(&config, what)?;
    let resumable = match (&config.files.ledger, &what.resume) {
        (Some(Location::Memory), _) => {
            "stopped: the run is lost, as `ledger` is \"memory\" in the configuration".to_owned()
        }
        (_, Some(run_id)) => format!("stopped: `mcp-gateway run --resume {run_id}` goes on with it"),
        (_, None) => {
            "stopped: `mcp-gateway runs` tells its RUN_ID, and `mcp-gateway run --resume RUN_ID` goes on with it"
                .to_owned()
        }
    };
    let gateway = Gateway::new(OpenFiles::default().open(config)?);
    let ended = tokio::select! {
        ended = call(&gateway, name, arguments) => ended,
        () = stop => Err(anyhow::Error::msg(resumable)),
    };
    gateway.close(Duration::ZERO).await;
    let ended = ended?;
    let report = ended.structured.or(ended.content).unwrap_or_default();
    print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    Ok(if ended.is_error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The tool that does it, and its arguments.
fn asked_for<'w>(config: &Config, what: &'w RunLine) -> anyhow::Result<(&'w str, Map<String, Value>)> {
    if let Some(run_id) = &what.resume {
        ensure!(!config.gateway.pipelines.is_empty(), "there is no pipeline in the configuration");
        ensure!(
            config.files.ledger != Some(Location::Memory),
            "there is nothing to go on with: runs are not kept, as `ledger` is \"memory\""
        );
        let arguments =
            [("run_id".to_owned(), run_id.as_str().into()), ("repeat".to_owned(), what.repeat.into())];
        return Ok(("resume_pipeline", Map::from_iter(arguments)));
    }
    let name = what.pipeline.as_deref().context("name a pipeline")?;
    find(config, name)?;
    Ok((name, read(what.input.as_deref().unwrap_or("{}"))?))
}

fn find<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c Arc<Pipeline>> {
    let pipelines = &config.gateway.pipelines;
    if let Some(pipeline) = pipelines.iter().find(|pipeline| pipeline.name() == name) {
        return Ok(pipeline);
    }
    let names: Vec<_> = pipelines.iter().map(|pipeline| pipeline.name()).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    bail!("there is no pipeline {name:?} in the configuration; those that there are: {there}")
}

/// The input: JSON, or `@` and the file that has it.
fn read(text: &str) -> anyhow::Result<Map<String, Value>> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => bounded(std::io::stdin().lock()).context("standard input cannot be read")?,
        Some(path) => {
            let file = fs::File::open(Path::new(path)).with_context(|| format!("{path} cannot be read"))?;
            bounded(file).with_context(|| format!("{path} cannot be read"))?
        }
    };
    serde_json::from_str(&text).context("the input is no JSON object, such as {\"topic\": \"tides\"}")
}

fn bounded(from: impl std::io::Read) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(MAX_INPUT + 1).read_to_string(&mut text)?;
    anyhow::ensure!(text.len() as u64 <= MAX_INPUT, "it has more than 4 MiB");
    Ok(text)
}

/// What a call came to.
#[derive(Deserialize)]
struct Ended {
    #[serde(default, rename = "isError")]
    is_error: bool,
    #[serde(rename = "structuredContent")]
    structured: Option<Value>,
    content: Option<Value>,
}

/// Calls the pipeline as a client of the newer era would, within this process.
async fn call(gateway: &Arc<Gateway>, name: &str, input: Map<String, Value>) -> anyhow::Result<Ended> {
    gateway.settled().await;
    let (near, far) = duplex(BUFFER);
    let served = serve_endpoint_streams(gateway.clone(), split(far), Duration::ZERO, pending());
    let _served = AbortOnDropHandle::new(tokio::spawn(served));
    let info = json!({ "name": "mcp-gateway run", "version": env!("CARGO_PKG_VERSION") });
    let card = ClientCard { info: Raw::of(&info)?, capabilities: Raw::empty_object() };
    let options = ConnectOptions { era: Era::Modern, message_bytes: MAX_RESULT, ..ConnectOptions::default() };
    let (reader, writer) = split(near);
    let line = dial_streams(reader, writer, &card, Arc::new(Terminal), &options).await?;
    let mut params = Members::default();
    params.set("name", Raw::text(name));
    params.set("arguments", Raw::of(&input)?);
    params.set("_meta", Raw::of(&json!({ "progressToken": 1 }))?);
    let request = Outgoing {
        method: "tools/call".into(),
        params: line.stamp(Some(params.to_raw())),
        mirrored: Vec::new(),
    };
    match line.request(request, Some(Arc::new(Terminal))).await? {
        Ok(result) => Ok(result.parse()?),
        Err(error) => {
            let told = error.parse::<Told>().map_or_else(|_| error.as_str().to_owned(), |told| told.message);
            bail!("{name} could not be run: {told}")
        }
    }
}

/// An error that a request came to.
#[derive(Deserialize)]
struct Told {
    message: String,
}

/// Tells on standard error how far the run is, and answers no questions.
struct Terminal;

#[derive(Deserialize)]
struct Progress {
    progress: f64,
    total: Option<f64>,
    #[serde(default)]
    message: String,
}

#[async_trait]
impl Party for Terminal {
    async fn told(&self, notification: Notification) {
        let params = notification.params.filter(|_| notification.method == "notifications/progress");
        let Some(Ok(progress)) = params.map(|params| params.parse::<Progress>()) else { return };
        let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
        // Who closed standard error does not want to know.
        let _ = writeln!(std::io::stderr().lock(), "[{}{total}] {}", progress.progress, progress.message);
    }

    async fn asked(&self, _: &str, _: Option<Raw>) -> Outcome {
        Err(nobody())
    }
}

#[async_trait]
impl LineHost for Terminal {
    fn told(&self, _: Notification) {}

    async fn asked(&self, _: &str, _: Option<Raw>) -> Outcome {
        Err(nobody())
    }
}

fn nobody() -> Raw {
    Error::new(-32601, "nobody is there to answer questions").to_raw()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use ledger::{NewRun, Resumption, Runs};

    use super::*;
    use crate::{Command, CommandLine, check::tests::adder};

    fn line(words: &[&str]) -> Result<RunLine, String> {
        let words = ["mcp-gateway", "run"].iter().chain(words);
        match CommandLine::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Some(Command::Run(line)) => Ok(line),
            _ => Err("another command".to_owned()),
        }
    }

    /// A configuration with the pipeline `p`, which needs an input.
    async fn config(folder: &Path, ledger: &str) -> Config {
        let text = format!(
            "ledger = \"{ledger}\"\n[upstream.w]\nurl = \"{}\"\n[pipeline.p]\ndescription = \"x\"\n\
             input = {{ n = {{ type = \"integer\" }} }}\n\
             stage = [{{ name = \"s\", tool = \"w__add\", arguments = {{ n = \"{{{{ input.n }}}}\" }} }}]\n",
            adder().await
        );
        let file = folder.join("gateway.toml");
        fs::write(&file, text).unwrap();
        Config::read(&file).unwrap()
    }

    #[test]
    fn a_run_is_begun_by_a_pipeline_or_gone_on_with_by_its_id() {
        let new = line(&["p", "--input", "{}"]).unwrap();
        assert_eq!((new.pipeline.as_deref(), new.resume), (Some("p"), None));
        let resumed = line(&["--resume", "r1", "--repeat"]).unwrap();
        assert_eq!((resumed.pipeline, resumed.resume.as_deref(), resumed.repeat), (None, Some("r1"), true));
        for wrong in [
            &[][..],
            &["p", "--resume", "r1"],
            &["p", "--repeat"],
            &["--resume", "r1", "--dry-run"],
            &["--resume", "r1", "--input", "{}"],
        ] {
            assert!(line(wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_plan_needs_no_input_but_checks_the_one_that_it_gets() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "runs.db").await;

        assert!(plan(&config, "p", None).is_ok());
        assert!(plan(&config, "p", Some("{\"n\": 1}")).is_ok());
        let error = plan(&config, "p", Some("{}")).unwrap_err();
        assert_eq!(format!("{error:#}").matches("wrong").count(), 1, "{error:#}");
    }

    #[tokio::test]
    async fn a_run_that_was_cut_off_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "runs.db").await;
        let place = config.files.ledger.clone().unwrap();
        let runs = Runs::open(&place).unwrap();
        let cut_off = NewRun {
            id: "r1".to_owned(),
            pipeline: "p".to_owned(),
            digest: config.gateway.pipelines[0].digest(),
            owner: 0,
            input: "{\"n\": 1}".to_owned(),
        };
        drop(runs.begin(cut_off).await.unwrap());

        let code = run(config, &line(&["--resume", "r1"]).unwrap(), pending()).await.unwrap();

        assert_eq!(code, ExitCode::SUCCESS);
        let Resumption::Over(known) = runs.resume("r1", 0).await.unwrap() else { panic!("it is not over") };
        assert_eq!(known.error, None);
    }

    #[tokio::test]
    async fn what_is_kept_nowhere_cannot_be_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "memory").await;

        let error = run(config, &line(&["--resume", "r1"]).unwrap(), pending()).await.unwrap_err();

        assert!(error.to_string().contains("not kept"), "{error:#}");
    }
}
