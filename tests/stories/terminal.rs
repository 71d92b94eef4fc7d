//! mcp-client in a terminal: a person types, reads, is asked, and changes their mind.
#![cfg(unix)]

#[path = "terminal/editing.rs"]
mod editing;
#[path = "terminal/endings.rs"]
mod endings;
#[path = "terminal/questions.rs"]
mod questions;
#[path = "terminal/scenarios.rs"]
mod scenarios;
#[path = "terminal/screen.rs"]
mod screen;
#[path = "terminal/secrets.rs"]
mod secrets;
#[path = "terminal/shell.rs"]
mod shell;

type Story = anyhow::Result<()>;
