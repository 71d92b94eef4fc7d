//! Completions and man pages, from the same definitions as `--help`.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{Exit, command_line::CommandLine};

/// Completions for this shell, on standard output.
pub(crate) fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "mcp-client", &mut script);
    print(&script)
}

/// The man page on standard output, or one page per command in a folder.
pub(crate) fn man(folder: Option<&Path>) -> Exit {
    let command = CommandLine::command();
    let written = match folder {
        None => page(&command).map(|page| print(&page)),
        Some(folder) => pages(command, folder).map(|()| Exit::Success),
    };
    written.unwrap_or_else(|error| {
        eprintln!("error: the man page cannot be written: {error}");
        Exit::Usage
    })
}

fn pages(command: clap::Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

/// Nobody may be left to read it, which is no failure.
fn print(bytes: &[u8]) -> Exit {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
    Exit::Success
}
