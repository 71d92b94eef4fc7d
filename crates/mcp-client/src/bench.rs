//! `bench`: how fast a tool answers.

mod measure;
mod report;

use upstream::{CallOptions, Upstream};

use crate::{
    Exit,
    command_line::BenchArgs,
    commands::call::{Arguments, Call},
    output::Stop,
    render::Failure,
    session::Session,
};
use measure::{End, Load};

/// Calls without a count and without a duration.
const DEFAULT_COUNT: u64 = 1_000;

pub(crate) async fn run(session: &Session, args: &BenchArgs) -> Result<Exit, Stop> {
    let output = &session.output;
    let server = session.server(&args.server)?;
    let call = Call { tool: args.tool.clone(), arguments: Arguments::of(&args.arguments)? };
    let load = tokio::select! {
        load = ready(&server, call, args) => load,
        () = telemetry::shutdown_signal() => return Ok(Exit::Interrupted),
    };
    let load = load.map_err(|failure| Stop::Failed(Some(server.name().to_owned()), Box::new(failure)))?;
    output.say(&output.renderer.note(&format!(
        "measuring {} of {}; Ctrl-C ends it",
        args.tool,
        server.name()
    )));
    let measured = measure::run(load).await;
    if output.json {
        output.document(&report::document(server.name(), args, &measured))?;
    } else {
        output.text(&report::show(&output.renderer, server.name(), args, &measured))?;
    }
    if let Some(failure) = &measured.first_failure {
        output.say(&output.renderer.failure(server.name(), failure));
    }
    Ok(measured.exit)
}

/// Warms up with the same calls; that shows at once if they cannot be made.
async fn ready(server: &Upstream, call: Call, args: &BenchArgs) -> Result<Load, Failure> {
    let arguments = match &call.arguments {
        Arguments::Ready(object) => object.clone(),
        Arguments::Words(words) => call.typed(server, words).await?,
    };
    let call = Call { tool: call.tool, arguments: Arguments::Ready(arguments.clone()) };
    for _ in 0..args.warm_up {
        call.on(server, CallOptions::default()).await?;
    }
    let end = match (args.duration, args.count) {
        (Some(duration), _) => End::After(duration),
        (None, count) => End::Calls(count.unwrap_or(DEFAULT_COUNT)),
    };
    Ok(Load { server: server.clone(), tool: call.tool, arguments, end, concurrency: args.concurrency })
}
