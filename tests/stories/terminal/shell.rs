//! The interactive shell of mcp-client, and servers for it.

use std::{collections::HashMap, net::SocketAddr, ops::Deref, path::Path};

use anyhow::Context as _;
use e2e::{mcp_client::McpClient, programs::Program};

use crate::screen::{ENTER, Place, Terminal};

/// What the shell shows when it waits for a command.
pub const PROMPT: &str = "mcp>";

/// A shell that waits for commands.
pub struct Shell(Terminal);

impl Deref for Shell {
    type Target = Terminal;

    fn deref(&self) -> &Terminal {
        &self.0
    }
}

impl Shell {
    /// Starts one and waits for its prompt.
    pub fn start<S: AsRef<str>>(client: &McpClient, arguments: &[S]) -> anyhow::Result<Self> {
        let terminal = Terminal::run(client.command(arguments)?)?;
        let shell = Self(terminal);
        shell.wait_for_prompt(Place::TOP)?;
        Ok(shell)
    }

    /// Waits until the prompt is there, at `place` or below it, with nothing typed.
    pub fn wait_for_prompt(&self, place: Place) -> anyhow::Result<()> {
        self.wait_for_line(place, PROMPT)
    }

    /// Enters a command and waits for the next prompt; gives what was written in between.
    pub fn enter(&self, command: &str) -> anyhow::Result<String> {
        self.type_in(command)?;
        self.finish()
    }

    /// Enters what was typed and waits for the next prompt; gives what was written in between.
    pub fn finish(&self) -> anyhow::Result<String> {
        let place = self.place();
        self.type_in(ENTER)?;
        self.wait_for_prompt(place.below())?;
        let shown = self.text_from(place.below());
        Ok(shown.rsplit_once('\n').map_or("", |(answer, _prompt)| answer).trim_end().to_owned())
    }

    /// Leaves the shell with a command, and checks that it ends well.
    pub fn quit(self) -> anyhow::Result<()> {
        self.leave_with("quit\r")
    }

    /// Leaves the shell with these keys, and checks that it ends well.
    pub fn leave_with(mut self, keys: &str) -> anyhow::Result<()> {
        self.type_in(keys)?;
        let status = self.0.wait_for_the_end()?;
        anyhow::ensure!(status.success(), "it ended with {status}:\n{}", self.screen());
        Ok(())
    }
}

/// A tool-server that listens.
pub struct ToolServer {
    _program: Program,
    address: SocketAddr,
}

impl ToolServer {
    /// Starts one that shows the files of `root`.
    pub fn start(root: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let arguments = [&["--port", "0"], arguments].concat();
        let program = Program::start("tool-server", root, &arguments, &HashMap::new())?;
        let line = program.wait_for_log("listening")?;
        let (_, address) = line.split_once("address=").context("the log names no address")?;
        let address = address.split(' ').next().unwrap_or_default().parse()?;
        Ok(Self { _program: program, address })
    }

    /// `NAME=localhost:PORT`, as people write it.
    pub fn named(&self, name: &str) -> String {
        format!("{name}={}", self.place())
    }

    /// `localhost:PORT`.
    pub fn place(&self) -> String {
        format!("localhost:{}", self.address.port())
    }
}
