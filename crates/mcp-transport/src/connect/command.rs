//! The command of a server that runs as a child process.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf, process::Stdio, str::FromStr};

use tokio::process::Command;

use super::AddressError;

/// Variables that a child gets from our own environment. All others, keys among them, it gets only when it is told to.
const INHERITED: [&str; 7] = ["PATH", "HOME", "LANG", "TERM", "USER", "SHELL", "TMPDIR"];

/// A program that speaks MCP on its standard input and output.
///
/// Of our environment it sees `PATH`, `HOME`, `LANG`, `TERM`, `USER`, `SHELL` and `TMPDIR`, and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerCommand {
    program: String,
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    directory: Option<PathBuf>,
}

impl ServerCommand {
    /// A program without arguments: a path, or a name that is looked for in `PATH`.
    #[must_use]
    pub fn new(program: impl Into<String>) -> Self {
        let program = program.into();
        Self { program, arguments: Vec::new(), variables: BTreeMap::new(), directory: None }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same with more arguments.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same with one more environment variable, or another value of it. Values are never shown.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The same in this working directory instead of ours.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The program's name, for messages to people.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Whether a working directory is asked for that does not exist.
    pub(crate) fn lacks_directory(&self) -> bool {
        self.directory.as_ref().is_some_and(|directory| !directory.is_dir())
    }

    /// Ready to be started, with all three streams piped.
    pub(crate) fn prepare(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.envs(INHERITED.into_iter().filter_map(|name| Some((name, inherited(name)?))));
        command.envs(&self.variables);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

#[expect(clippy::disallowed_methods, reason = "passed on to the child unread; no setting of ours")]
fn inherited(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl FromStr for ServerCommand {
    type Err = AddressError;

    fn from_str(line: &str) -> Result<Self, AddressError> {
        let mut words = shlex::split(line).ok_or(AddressError::Quotes)?.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or(AddressError::NoCommand)?;
        Ok(Self::new(program).arguments(words))
    }
}

impl fmt::Display for ServerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [&self.program].into_iter().chain(&self.arguments).map(String::as_str);
        // Only a zero byte cannot be quoted; such a program cannot be started either.
        f.write_str(&shlex::try_join(words).unwrap_or_else(|_| self.program.clone()))
    }
}

/// As [`fmt::Display`]: the derived one would show the values of variables.
impl fmt::Debug for ServerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCommand({self})")
    }
}
