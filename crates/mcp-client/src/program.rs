//! From the command line to the exit status.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use clap::{CommandFactory as _, FromArgMatches as _};
use telemetry::{LogFormat, LogGuard, LogSettings};
use tokio::{runtime, time::timeout};
use upstream::Host;

use crate::{
    Exit, bench, check,
    command_line::{Command, CommandLine, Mode, Options},
    commands, environment, generate,
    host::OneShotHost,
    output::Output,
    session::Session,
    shell::{self, Shell},
    terminal::TerminalHost,
};

/// How long connections and child processes may take to close when the program ends.
const FAREWELL: Duration = Duration::from_secs(10);

/// Longest silence of a server in a test run, where nobody chose one: it is not worth a minute.
const TEST_IDLE: Duration = Duration::from_secs(10);

/// Does what the command line says.
#[must_use]
pub fn run() -> Exit {
    let line = command_line();
    let _log = log(&line.options);
    match &line.command {
        Some(Command::Completions { shell }) => return generate::completions(*shell),
        Some(Command::Man { folder }) => return generate::man(folder.as_deref()),
        _ => {}
    }
    // One thread starts faster than several, and is enough for what one person does.
    let mut builder = match &line.command {
        Some(Command::Bench(_)) => runtime::Builder::new_multi_thread(),
        _ => runtime::Builder::new_current_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime could not start: {error}");
            return Exit::Usage;
        }
    };
    let exit = runtime.block_on(carry_out(&line));
    runtime.shutdown_background(); // a read from a terminal blocks until somebody presses Enter
    exit
}

/// Reads the command line and the environment, or ends the program. No `.env` is read: this program runs in any folder, and one
/// that somebody else filled must not choose proxies, certificates or keys.
fn command_line() -> CommandLine {
    // A variable that is set to nothing is not set.
    let command = CommandLine::command().mut_args(|arg| {
        let name = arg.get_env().and_then(|name| name.to_str()).map(str::to_owned);
        let empty =
            name.is_some_and(|name| environment::variable(&name).is_some_and(|value| value.is_empty()));
        if empty { arg.env(None::<&'static str>) } else { arg }
    });
    let matches = command.get_matches();
    CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// A log only if it is asked for: people read standard error here.
fn log(options: &Options) -> Option<LogGuard> {
    let ours = ["mcp_client", "mcp_transport", "oauth", "responder_client", "upstream"];
    let level = match options.verbose {
        0 => return None,
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let ours = ours.map(|name| format!("{name}={level}"));
    let filter = format!("warn,{}", ours.join(","));
    telemetry::init(&LogSettings { filter, log_format: LogFormat::Text }).ok()
}

async fn carry_out(line: &CommandLine) -> Exit {
    let interactive = line.command.is_none() && line.mode == Mode::Interactive;
    let mut options = line.options.clone();
    if line.command.is_none() && !interactive {
        options.idle_timeout.get_or_insert(TEST_IDLE);
    }
    let options = &options;
    let person = person(options, interactive);
    let (host, ear): (Arc<dyn Host>, _) = match &line.command {
        None if interactive => (person.clone(), None),
        Some(Command::Listen(_)) => {
            let (host, ear) = OneShotHost::listening(person.clone());
            (Arc::new(host), Some(ear))
        }
        _ => (Arc::new(OneShotHost::deaf(person.clone())), None),
    };
    // A shell has time; a script wants to know.
    let attempts = if interactive { 4 } else { 1 };
    let session = match Session::new(options, host, attempts) {
        Ok(session) => session,
        Err(stop) => return fallback(options).stopped(stop),
    };
    if interactive {
        return shell(line, &session, person).await;
    }
    let work = async {
        match (&line.command, ear) {
            (None, _) => check::run(&session, &line.servers).await,
            (Some(Command::Listen(args)), Some(ear)) => commands::listen::run(&session, args, ear).await,
            (Some(Command::Bench(args)), _) => bench::run(&session, args).await,
            (Some(command), _) => commands::run(&session, command).await,
        }
    };
    let interrupted = async {
        match &line.command {
            // It shows what it has measured so far.
            Some(Command::Bench(_)) => std::future::pending().await,
            _ => telemetry::shutdown_signal().await,
        }
    };
    let ended = tokio::select! {
        done = work => Some(done),
        // Dropping the work cancels what is under way at the servers.
        () = interrupted => None,
    };
    person.keyboard().leave(); // a question may be unanswered
    let exit = match ended {
        Some(done) => done.unwrap_or_else(|stop| session.output.stopped(stop)),
        None => Exit::Interrupted,
    };
    tokio::select! {
        _ = timeout(FAREWELL, session.servers.close()) => exit,
        () = telemetry::shutdown_signal() => Exit::Interrupted, // impatient
    }
}

/// Who answers servers: somebody at a terminal, if there is one.
fn person(options: &Options, interactive: bool) -> Arc<TerminalHost> {
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let asked = interactive || (terminal && !options.json);
    Arc::new(TerminalHost::new(asked, options.sampling.clone(), options.root.clone()))
}

async fn shell(line: &CommandLine, session: &Session, host: Arc<TerminalHost>) -> Exit {
    let ready = || {
        if !line.servers.is_empty() {
            session.servers(&line.servers)?;
        }
        if line.options.config.is_some() {
            session.servers(&[])?;
        }
        Ok(())
    };
    if let Err(stop) = ready() {
        return session.output.stopped(stop);
    }
    let history = match &line.options.history {
        Some(path) if path.as_os_str() == "none" => None,
        Some(path) => Some(path.clone()),
        None => environment::history_file(),
    };
    let servers = session.servers.clone();
    let shell = Shell { servers, renderer: session.output.renderer.clone(), host, history };
    let exit = shell::run(shell).await.unwrap_or_else(|error| {
        session.output.say(&session.output.renderer.problem(&format!("{error:#}")));
        Exit::Usage
    });
    let _ = timeout(FAREWELL, session.servers.close()).await; // whatever is left is killed with the runtime
    exit
}

/// For errors before there is a session.
fn fallback(options: &Options) -> Output {
    let renderer = crate::render::Renderer::new(false, 80, environment::media_folder());
    Output { json: options.json, renderer }
}
