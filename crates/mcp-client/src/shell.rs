//! The interactive shell.

mod catalogue;
mod commands;
mod complete;
mod history;
mod line;
mod listing;
mod methods;
mod operator;
mod progress;
mod resolve;
mod secrecy;
#[cfg(test)]
mod tests;
mod tool_calls;

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use crate::{
    Exit, environment,
    render::Renderer,
    servers::Servers,
    terminal::{Read, TerminalHost},
};
use catalogue::Catalogue;
use complete::CommandAid;
use operator::{Done, Operator};

const PROMPT: &str = "mcp> ";
/// How often is looked for another size of the terminal.
const LOOK_AT_SIZE: Duration = Duration::from_millis(300);

/// What the shell works with.
pub(crate) struct Shell {
    pub(crate) servers: Arc<Servers>,
    pub(crate) renderer: Renderer,
    pub(crate) host: Arc<TerminalHost>,
    /// Where the history of commands is kept; `None` keeps none.
    pub(crate) history: Option<std::path::PathBuf>,
}

/// Reads commands until `quit` or the end of input. Without a terminal it does so line by line, without prompts, and its exit
/// is that of the worst command.
///
/// # Errors
/// When the terminal cannot be used.
pub(crate) async fn run(shell: Shell) -> anyhow::Result<Exit> {
    let interactive = shell.host.keyboard().is_interactive() && io::stdout().is_terminal();
    let catalogue = Catalogue::new(Arc::clone(&shell.servers));
    prepare(&shell, interactive, &catalogue);
    let operator = Operator::new(&shell, interactive, Arc::clone(&catalogue))?;
    let mut ended = Ended::new(interactive)?;
    let exit = tokio::select! {
        exit = work(&operator) => exit,
        () = watch_size(&operator) => Exit::Success, // it never ends
        () = ended.wait() => Exit::Interrupted,
    };
    shell.host.keyboard().leave();
    Ok(exit)
}

fn prepare(shell: &Shell, interactive: bool, catalogue: &Arc<Catalogue>) {
    let (screen, keyboard) = (shell.host.screen(), shell.host.keyboard());
    let renderer = shell.renderer.clone();
    screen.hide_with(move |text| renderer.hide(text));
    let listening = Arc::clone(catalogue);
    shell.host.listen(Box::new(move |server, notice| listening.heard(server, notice)));
    keyboard.set_interactive(interactive);
    keyboard.set_color(shell.renderer.color);
    if !interactive {
        return;
    }
    screen.set_interactive();
    if environment::variable("TERM").is_some_and(|terminal| terminal == "dumb") {
        screen.set_plain();
    }
    if let Some(path) = &shell.history {
        match history::prepare(path) {
            Ok(()) => keyboard.keep_history_in(path.clone()),
            Err(error) => screen.remark(&shell.renderer.note(&format!("the history is not kept: {error}"))),
        }
    }
}

async fn work(operator: &Operator) -> Exit {
    operator.greet().await;
    let aid = Arc::new(CommandAid::new(operator.catalogue(), operator.renderer.color));
    let mut worst = Exit::Success;
    loop {
        let text = match operator.keyboard.command(PROMPT, aid.clone()).await {
            Read::Line(text) => text,
            Read::Interrupted => continue,
            Read::End => break,
        };
        for line in line::split(&text) {
            match operator.carry_out(&line).await {
                Done::Well => {}
                Done::Badly(exit) => worst = worst.max(exit),
                Done::Quit => return if operator.interactive { Exit::Success } else { worst },
            }
        }
        if operator.screen.is_closed() {
            break;
        }
    }
    if operator.interactive { Exit::Success } else { worst }
}

/// A line that is being edited is drawn anew when the terminal gets another size.
async fn watch_size(operator: &Operator) {
    if !operator.interactive {
        return std::future::pending().await;
    }
    let mut looks = tokio::time::interval(LOOK_AT_SIZE);
    let mut known = terminal_size::terminal_size();
    loop {
        looks.tick().await;
        let size = terminal_size::terminal_size();
        if size != known {
            known = size;
            operator.keyboard.resized();
        }
    }
}

/// The program is asked to end: SIGTERM, or the terminal was closed. Ctrl-C is for the command that runs, if somebody sees what
/// runs; else it ends the program as it ends any other.
struct Ended {
    #[cfg(unix)]
    interrupt: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Ended {
    #[cfg(unix)]
    fn new(interactive: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = (!interactive).then(|| signal(SignalKind::interrupt())).transpose()?;
        Ok(Self {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    #[cfg(unix)]
    async fn wait(&mut self) {
        let interrupted = async {
            match &mut self.interrupt {
                Some(interrupt) => interrupt.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupted => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn new(_interactive: bool) -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn wait(&mut self) {
        std::future::pending().await
    }
}
