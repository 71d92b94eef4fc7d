//! How the program ends, for scripts.

/// What a script can tell apart. Of several the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Exit {
    /// All went well.
    #[default]
    Success = 0,
    /// A tool answered that it failed (`isError`), or a test of `--mode test` failed.
    ToolError = 1,
    /// The command line or a configuration file is wrong. (clap's own code too.)
    Usage = 2,
    /// A server cannot be reached, went away, or did not answer in time.
    Unreachable = 3,
    /// A server needs credentials, or other ones.
    NeedsCredentials = 4,
    /// A server refused the request, or does not speak MCP.
    Protocol = 5,
    /// Interrupted (Ctrl-C), as shells count it.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
