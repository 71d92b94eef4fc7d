//! Carries out commands, one after the other; Ctrl-C ends the command and not the shell.

use std::{io, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use tokio::{
    sync::Mutex,
    time::{Instant, interval, timeout},
};
use upstream::{CallError, Status, Upstream};

use super::{
    Shell,
    catalogue::Catalogue,
    commands::{self, Verb},
    line, progress, secrecy,
};
use crate::{
    Exit,
    arguments::split_first,
    render::{Failure, Renderer, plain::visible_line},
    servers::Servers,
    terminal::{Keyboard, Screen},
};

/// How long the first prompt waits for servers that are being connected to. The rest is told above it.
const GREETING: Duration = Duration::from_millis(1_500);
/// After how long a command that shows nothing says that it is still at work.
const SILENCE: Duration = Duration::from_secs(1);
/// Longest command that is kept in the history, in bytes.
const MAX_KEPT: usize = 10_000;

/// Carries out commands.
pub(super) struct Operator {
    pub(super) servers: Arc<Servers>,
    pub(super) renderer: Renderer,
    pub(super) screen: Arc<Screen>,
    pub(super) keyboard: Arc<Keyboard>,
    pub(super) interactive: bool,
    catalogue: Arc<Catalogue>,
    interrupts: Mutex<Interrupts>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Well,
    Badly(Exit),
    Quit,
}

/// Why a command ends before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// A server did not do what it was asked.
    Server(String, Box<Failure>),
    /// The command is wrong.
    Usage(String),
    /// What went wrong was shown already.
    Shown(Exit),
    /// Somebody did not want to go on.
    Interrupted,
}

impl Stop {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(super) fn call(server: &Upstream, error: &CallError) -> Self {
        Self::Server(server.name().to_owned(), Box::new(Failure::of_call(error)))
    }
}

impl Operator {
    pub(super) fn new(shell: &Shell, interactive: bool, catalogue: Arc<Catalogue>) -> io::Result<Self> {
        Ok(Self {
            servers: Arc::clone(&shell.servers),
            renderer: shell.renderer.clone(),
            screen: Arc::clone(shell.host.screen()),
            keyboard: Arc::clone(shell.host.keyboard()),
            interactive,
            catalogue,
            interrupts: Mutex::new(Interrupts::new()?),
        })
    }

    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue)
    }

    /// Connects to all servers at once, and says how that went. It does not wait for the slow ones.
    pub(super) async fn greet(&self) {
        let all = self.servers.all();
        if !self.interactive {
            all.into_iter().for_each(|server| drop(tokio::spawn(async move { server.connect().await })));
            return;
        }
        self.screen.remark(&self.renderer.note("`help` lists the commands, Tab completes, Ctrl-D leaves"));
        let connecting: FuturesUnordered<_> = all
            .into_iter()
            .map(|server| {
                let (screen, renderer) = (Arc::clone(&self.screen), self.renderer.clone());
                // It ends with the connection, or with the time limit of connecting.
                tokio::spawn(async move {
                    let result = server.connect().await;
                    let text = match result {
                        Ok(introduction) => renderer.note(&introduced(&server, &introduction)),
                        Err(error) => renderer.failure(server.name(), &Failure::of_connect(&error)),
                    };
                    screen.remark(&text);
                })
            })
            .collect();
        let _ = timeout(GREETING, connecting.collect::<Vec<_>>()).await;
    }

    /// Does what a line says.
    pub(super) async fn carry_out(&self, line: &str) -> Done {
        let text = line::command(line);
        let Some((name, rest)) = split_first(text) else { return Done::Well };
        let Some(entry) = commands::find(&name) else {
            self.keep(text, true);
            self.fail(&Stop::Usage(commands::unknown(&name)));
            return Done::Badly(Exit::Usage);
        };
        // Whether a call is kept is known when its tool is.
        if !matches!(entry.verb, Verb::Call | Verb::Broadcast) {
            self.keep(text, true);
        }
        if entry.verb == Verb::Quit {
            return Done::Quit;
        }
        match self.watched(self.dispatch(entry.verb, text, rest)).await {
            Ok(()) => Done::Well,
            Err(stop) => {
                self.fail(&stop);
                Done::Badly(stop.exit())
            }
        }
    }

    async fn dispatch(&self, verb: Verb, line: &str, rest: &str) -> Result<(), Stop> {
        match verb {
            Verb::Servers => self.list_servers().await,
            Verb::Add => self.add(rest).await,
            Verb::Remove => self.remove(rest).await,
            Verb::Info => self.info(rest).await,
            Verb::Ping => self.ping(rest).await,
            Verb::Tools => self.tools(rest).await,
            Verb::Tool => self.tool(rest).await,
            Verb::Call => self.call(line, rest).await,
            Verb::Broadcast => self.broadcast(line, rest).await,
            Verb::Resources => self.resources(rest).await,
            Verb::Read => self.read(rest).await,
            Verb::Subscribe => self.subscribe(rest, true).await,
            Verb::Unsubscribe => self.subscribe(rest, false).await,
            Verb::Prompts => self.prompts(rest).await,
            Verb::Prompt => self.prompt(rest).await,
            Verb::Complete => self.complete(rest).await,
            Verb::Log => self.log(rest).await,
            Verb::History => {
                let lines = self.keyboard.history(100).await;
                self.screen.print(&lines.join("\n"));
                Ok(())
            }
            Verb::Clear => {
                self.keyboard.clear();
                Ok(())
            }
            Verb::Help => {
                let name = split_first(rest).map(|(name, _)| name);
                let text = commands::help(name.as_deref()).map_err(Stop::Usage)?;
                self.screen.print(&text);
                Ok(())
            }
            Verb::Quit => Ok(()),
        }
    }

    /// Waits for a command until Ctrl-C. Dropping it cancels what is under way at the servers.
    async fn watched(&self, work: impl Future<Output = Result<(), Stop>>) -> Result<(), Stop> {
        let mut interrupts = self.interrupts.lock().await;
        interrupts.forget();
        let result = tokio::select! {
            result = work => result,
            () = interrupts.next() => Err(Stop::Interrupted),
        };
        self.screen.progress(None);
        result
    }

    /// Says after a while that something is still under way.
    pub(super) async fn patiently<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let mut ticks = interval(SILENCE);
        ticks.tick().await;
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => {
                    if self.interactive && !self.screen.shows_progress() {
                        self.screen.waiting(progress::waiting(name, started.elapsed(), Screen::columns()));
                    }
                }
            }
        }
    }

    /// Keeps a line in the history, unless it is to be kept nowhere.
    pub(super) fn keep(&self, line: &str, may_be_kept: bool) {
        let holds_known = self.renderer.hide(line) != line;
        let is_fit = line.len() <= MAX_KEPT && !holds_known && !secrecy::looks_secret(line);
        if self.interactive && may_be_kept && is_fit {
            self.keyboard.remember(line);
        }
    }

    fn fail(&self, stop: &Stop) {
        let text = match stop {
            Stop::Server(server, failure) => self.renderer.failure(server, failure),
            Stop::Usage(text) => self.renderer.problem(&self.renderer.hide(text)),
            Stop::Interrupted => self.renderer.note("cancelled"),
            Stop::Shown(_) => return,
        };
        self.screen.progress(None);
        self.screen.remark(&text);
    }

    async fn list_servers(&self) -> Result<(), Stop> {
        let all = self.servers.all();
        if all.is_empty() {
            self.screen.print(&self.renderer.note("no servers: `add NAME ADDRESS` adds one"));
            return Ok(());
        }
        // Those that are being connected to get a moment, so that a script sees how it ended.
        let settled = all.iter().map(|server| async move {
            let mut status = server.status();
            let _ = timeout(
                GREETING,
                status.wait_for(|status| !matches!(status, Status::Idle | Status::Connecting)),
            )
            .await;
        });
        join_all(settled).await;
        let status = |server: Upstream| {
            let status = server.status().borrow().clone();
            (server, status)
        };
        let all: Vec<_> = all.into_iter().map(status).collect();
        self.screen.print(&self.renderer.servers(&all));
        Ok(())
    }

    async fn add(&self, rest: &str) -> Result<(), Stop> {
        const USAGE: &str = "usage: add NAME ADDRESS [TRANSPORT]";
        let (name, rest) = split_first(rest).ok_or_else(|| Stop::usage(USAGE))?;
        let (address, transport) = match rest.starts_with("stdio:") {
            true => (rest.to_owned(), None), // the rest is the command
            false => {
                let (address, rest) = split_first(rest).ok_or_else(|| Stop::usage(USAGE))?;
                (address, split_first(rest).map(|(transport, _)| transport))
            }
        };
        let transport = transport.map(|transport| transport.parse()).transpose();
        let transport = transport.map_err(|error| Stop::usage(format!("a transport: {error}")))?;
        let server = self.servers.add(Some(&name), &address, transport);
        let server = server.map_err(|error| Stop::usage(error.to_string()))?;
        match self.patiently(&name, server.connect()).await {
            Ok(introduction) => {
                self.screen.print(&format!("Add server succeeded: {}", introduced(&server, &introduction)));
                Ok(())
            }
            Err(error) => {
                self.fail(&Stop::Server(name.clone(), Box::new(Failure::of_connect(&error))));
                let name = visible_line(&name);
                self.screen.remark(&self.renderer.note(&format!(
                    "{name} is kept as disconnected and tried again when it is used; `remove {name}` drops it"
                )));
                Err(Stop::Shown(Failure::of_connect(&error).exit))
            }
        }
    }

    async fn remove(&self, rest: &str) -> Result<(), Stop> {
        let (name, _) = split_first(rest).ok_or_else(|| Stop::usage("usage: remove NAME"))?;
        self.servers.get(&name).map_err(|_| self.no_server(&name))?;
        self.patiently(&name, self.servers.remove(&name))
            .await
            .map_err(|error| Stop::usage(error.to_string()))?;
        self.screen.print(&format!("removed {}", visible_line(&name)));
        Ok(())
    }
}

impl Stop {
    fn exit(&self) -> Exit {
        match self {
            Self::Server(_, failure) => failure.exit,
            Self::Usage(_) => Exit::Usage,
            Self::Shown(exit) => *exit,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// `calc is tool-server 0.1.0, MCP 2026-07-28`
fn introduced(server: &Upstream, introduction: &upstream::Introduction) -> String {
    let name = match &introduction.server {
        Some(server) => format!("{} {}", visible_line(&server.name), visible_line(&server.version)),
        None => "a server without a name".to_owned(),
    };
    format!("{} is {name}, MCP {}", visible_line(server.name()), introduction.protocol_version)
}

/// Ctrl-C, as the terminal sends it while no line is edited.
struct Interrupts {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Interrupts {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        self.signal.recv().await;
    }

    /// One that came before the command is not meant for it.
    #[cfg(unix)]
    fn forget(&mut self) {
        use futures_util::FutureExt as _;
        while self.signal.recv().now_or_never().flatten().is_some() {}
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    #[cfg(not(unix))]
    fn forget(&mut self) {}
}
