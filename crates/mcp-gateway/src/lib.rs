#![doc = include_str!("../README.md")]

mod check;
mod command_line;
mod config;
mod explain;
mod files;
mod inside;
mod listening;
mod pins;
mod reload;
mod run;
mod runs;

use std::{io::Write as _, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use gateway::Gateway;
use mcp_transport::serve_endpoint;

use files::OpenFiles;
use reload::{Fixed, Reloading, Seen};

pub use command_line::{Command, CommandLine, PinsCommand, RunLine};
pub use config::{Config, Files, Problems};

/// Time for calls in flight to finish when the gateway stops.
const GRACE: Duration = Duration::from_secs(10);

/// Does what the command line says. A gateway runs until `stop` resolves, or the one client of standard input and output has
/// gone.
///
/// # Errors
/// When the configuration is wrong, the address cannot be used, or the session over standard input and output fails.
pub async fn run(line: CommandLine, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    if let Some(Command::Schema) = line.command {
        print(&config::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    // What needs no lock file does not fail for want of one.
    match &line.command {
        Some(Command::Pins { what }) => return pins::pins(Config::read(&line.config)?, what).await,
        Some(Command::Runs) => return runs(Config::read(&line.config)?).await,
        Some(Command::Run(RunLine { pipeline: Some(pipeline), input, dry_run: true, .. })) => {
            return run::plan(&Config::read(&line.config)?, pipeline, input.as_deref());
        }
        _ => {}
    }
    let (config, seen) = reload::read(&line.config);
    let config = config?;
    if line.check {
        return check::check(&line, config).await;
    }
    match &line.command {
        Some(Command::Explain { name }) => explain::explain(&line, config, name).await,
        Some(Command::Run(what)) => run::run(config, what, stop).await,
        Some(Command::Stdio) => over_stdio(&line, config, seen, stop).await.map(|()| ExitCode::SUCCESS),
        _ => over_the_network(&line, config, seen, stop).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn over_the_network(
    line: &CommandLine,
    config: Config,
    seen: Seen,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let network = listening::bind(line, config.listen).await?.with_grace(GRACE);
    let upstreams = config.gateway.upstreams.len();
    let (gateway, reloading) = start(line, config, seen)?;
    tracing::info!(address = %network.local_addr(), upstreams, "listening");
    network.serve_endpoint(gateway.clone(), inside::routes(gateway.clone()), stop).await;
    reloading.stop().await;
    gateway.close(Duration::ZERO).await; // the calls have had their time
    Ok(())
}

async fn over_stdio(
    line: &CommandLine,
    config: Config,
    seen: Seen,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (gateway, reloading) = start(line, config, seen)?;
    let served = serve_endpoint(gateway.clone(), GRACE, stop).await;
    reloading.stop().await;
    gateway.close(Duration::ZERO).await;
    served.context("the session failed")
}

fn start(line: &CommandLine, config: Config, seen: Seen) -> anyhow::Result<(Arc<Gateway>, Reloading)> {
    let fixed = Fixed::of(&config);
    let mut files = OpenFiles::default();
    let gateway = Gateway::new(files.open(config)?);
    let reloading = Reloading::start(&line.config, seen, (fixed, files), &gateway);
    Ok((gateway, reloading))
}

async fn runs(config: Config) -> anyhow::Result<ExitCode> {
    let ledger = config.files.ledger;
    runs::run(&ledger.context("there are no pipelines in this configuration, so that there are no runs")?)
        .await
}

/// Writes to standard output, which belongs to MCP when a session runs over it.
fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("the output could not be written")
}
