//! The command line. `--help`, the completions and the man page are made from it.

mod options;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rmcp::model::LoggingLevel;

pub(crate) use options::{Color, Options};

const EXAMPLES: &str = "\
Examples:
  An interactive shell with one server, or with several:
    mcp-client localhost:8080
    mcp-client calc=localhost:8080 files='stdio:npx -y SERVER-PACKAGE .'
  What it offers, and calls with pairs, plain text or JSON:
    mcp-client tools localhost:8080
    mcp-client call localhost:8080 echo message='hello there'
    mcp-client call localhost:8080 echo hello there
    mcp-client call localhost:8080 echo '{\"message\": \"hi\"}' --json | jq .result
  The same tool of several servers at once:
    mcp-client broadcast get_time -s a=localhost:8080 -s b=localhost:8081
  A server of a configuration file:
    mcp-client --config ~/.cursor/mcp.json call github get_me
  Try out what servers offer, and measure a tool:
    mcp-client --mode test localhost:8080 localhost:8081
    mcp-client bench localhost:8080 echo hi --duration 10s

A SERVER is written as
  HOST:PORT           Streamable HTTP at /mcp; with --transport websocket
                      WebSocket at /ws, with --transport sse HTTP+SSE at /sse
  http://… https://…  Streamable HTTP; HTTP+SSE when the path ends with /sse
  ws://… wss://…      WebSocket
  'stdio:COMMAND …'   a program, started as a child process; words are split
                      as in a shell
  NAME=…              one of these, with a name
  NAME                a server of --config or --server

Exit status (of several servers the greatest counts):
  0    success
  1    a tool failed, or a test of --mode test
  2    the command line or the configuration is wrong
  3    a server cannot be reached, or does not answer in time
  4    a server needs credentials
  5    a server refuses the request, or does not speak MCP
  130  interrupted

Results go to standard output, everything else to standard error. Nothing is read without being asked for: no mcp.json and no .env of the working directory. A server of a configuration file runs only when it is used.";

/// Many MCP servers from one terminal: an interactive shell, and commands for scripts.
#[derive(Parser)]
#[command(
    name = "mcp-client",
    version,
    override_usage = "mcp-client [OPTIONS] [[NAME=]SERVER]...\n       mcp-client [OPTIONS] COMMAND ...",
    after_help = "Run `mcp-client --help` for examples, the forms of addresses and the exit status.",
    after_long_help = EXAMPLES,
    max_term_width = 110
)]
pub(crate) struct CommandLine {
    /// Servers for the shell, or for the test run.
    #[arg(value_name = "[NAME=]SERVER")]
    pub(crate) servers: Vec<String>,
    /// What to do with them.
    #[arg(long, value_enum, default_value = "interactive")]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do with the servers when there is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A shell: type `help` in it.
    Interactive,
    /// Try out what the servers offer, and print a table of it.
    Test,
}

/// One-shot commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the servers, and whether they can be reached.
    Servers(ServersArgs),
    /// List the tools of servers.
    Tools(ToolsArgs),
    /// Call a tool.
    Call(CallArgs),
    /// Call the same tool of all servers at once.
    Broadcast(BroadcastArgs),
    /// List the resources of servers.
    Resources(SomeServers),
    /// Read a resource.
    Read(ReadArgs),
    /// List the prompts of servers.
    Prompts(SomeServers),
    /// Get a prompt.
    Prompt(PromptArgs),
    /// Ask for values of a prompt's or template's argument.
    Complete(CompleteArgs),
    /// Ask servers for a sign of life.
    Ping(PingArgs),
    /// Show what servers say of themselves.
    Info(SomeServers),
    /// Show changes, log lines and resource updates as they come, until Ctrl-C.
    Listen(ListenArgs),
    /// Measure a tool: throughput and how long answers take.
    Bench(BenchArgs),
    /// Log in to a server through the browser (OAuth).
    Login(LoginArgs),
    /// Forget what a login gave.
    Logout(LogoutArgs),
    /// Print completions for a shell.
    #[command(
        after_help = "Install, for instance:\n  mcp-client completions bash > ~/.local/share/bash-completion/completions/mcp-client\n  mcp-client completions zsh > ~/.zfunc/_mcp-client\n  mcp-client completions fish > ~/.config/fish/completions/mcp-client.fish"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the man page, or write one page per command into a folder.
    Man {
        /// Folder for the pages.
        folder: Option<PathBuf>,
    },
}

/// Servers, or all.
#[derive(Args)]
pub(crate) struct SomeServers {
    /// Servers. Default: all of --server and --config.
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ServersArgs {
    /// Servers. Default: all of --server and --config.
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    /// Only list them: connect to none, and start no program.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Args)]
pub(crate) struct ToolsArgs {
    /// Servers. Default: all of --server and --config.
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    /// Only this tool, with all that is known of it.
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
Arguments are JSON ('{\"a\": 1}'), pairs (a=1 name='two words', typed by the tool's schema), or plain text for a tool with one
text. `-` reads JSON from standard input, `@FILE` from a file. Put `--` before arguments that begin with a dash.

Examples:
  mcp-client call localhost:8080 math_calc expression='2 + 2 * 3'
  mcp-client call localhost:8080 echo hello there
  echo '{\"message\": \"hi\"}' | mcp-client call localhost:8080 echo -
  mcp-client --config mcp.json call time get_current_time timezone=UTC --json")]
pub(crate) struct CallArgs {
    /// The server.
    pub(crate) server: String,
    /// The tool.
    pub(crate) tool: String,
    /// Its arguments.
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// Show progress also where there is no terminal; with --json as lines of its own.
    #[arg(long)]
    pub(crate) progress: bool,
    /// Print texts as they are, control characters too. Not to a terminal.
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Args)]
#[command(after_help = "\
Answers are printed as they come; a server that hangs delays nobody. With --json each is a line.

Examples:
  mcp-client broadcast echo hello -s a=localhost:8080 -s b=localhost:8081 --transport websocket
  mcp-client --config mcp.json broadcast get_time --timeout 5s")]
pub(crate) struct BroadcastArgs {
    /// The tool.
    pub(crate) tool: String,
    /// Its arguments, as in `call`.
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ReadArgs {
    /// The server.
    pub(crate) server: String,
    /// The resource.
    pub(crate) uri: String,
    /// Print the content as it is, binary content too. Not to a terminal.
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Args)]
pub(crate) struct PromptArgs {
    /// The server.
    pub(crate) server: String,
    /// The prompt.
    pub(crate) name: String,
    /// Its arguments: NAME=VALUE …, or JSON.
    #[arg(value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  mcp-client complete localhost:8080 greet language en
  mcp-client complete localhost:8080 'file:///{path}' path src/")]
pub(crate) struct CompleteArgs {
    /// The server.
    pub(crate) server: String,
    /// The prompt's name, or the template's URI.
    #[arg(value_name = "PROMPT|TEMPLATE")]
    pub(crate) reference: String,
    /// The argument.
    pub(crate) argument: String,
    /// What has been typed of its value.
    #[arg(default_value = "")]
    pub(crate) value: String,
    /// Values of other arguments, NAME=VALUE.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) with: Vec<String>,
}

#[derive(Args)]
pub(crate) struct PingArgs {
    /// Servers. Default: all of --server and --config.
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    /// How often.
    #[arg(long, short = 'n', default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) count: u32,
}

#[derive(Args)]
pub(crate) struct ListenArgs {
    /// Servers. Default: all of --server and --config.
    #[arg(value_name = "SERVER")]
    pub(crate) servers: Vec<String>,
    /// Tell when this resource changes; can be given several times.
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Vec<String>,
    /// Log lines from this level on; `off` for none.
    #[arg(long, value_enum, default_value = "info")]
    pub(crate) level: Level,
    /// End after so many events.
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = settings::time)]
    pub(crate) duration: Option<Duration>,
}

/// Levels of servers' log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Off,
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl From<Level> for Option<LoggingLevel> {
    fn from(level: Level) -> Self {
        Some(match level {
            Level::Off => return None,
            Level::Debug => LoggingLevel::Debug,
            Level::Info => LoggingLevel::Info,
            Level::Notice => LoggingLevel::Notice,
            Level::Warning => LoggingLevel::Warning,
            Level::Error => LoggingLevel::Error,
            Level::Critical => LoggingLevel::Critical,
            Level::Alert => LoggingLevel::Alert,
            Level::Emergency => LoggingLevel::Emergency,
        })
    }
}

#[derive(Args)]
#[command(after_help = "\
The tool is really called, many times: choose one that may be.

Examples:
  mcp-client bench localhost:8080 echo hi --count 10000 --concurrency 16
  mcp-client bench localhost:8080 echo hi --duration 30s --json")]
pub(crate) struct BenchArgs {
    /// The server.
    pub(crate) server: String,
    /// The tool.
    pub(crate) tool: String,
    /// Its arguments, as in `call`.
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// How many calls. Default: 1000, unless there is a duration.
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) count: Option<u64>,
    /// For how long.
    #[arg(long, short = 'd', value_name = "TIME", value_parser = settings::time, conflicts_with = "count")]
    pub(crate) duration: Option<Duration>,
    /// How many at the same time.
    #[arg(long, short = 'c', default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) concurrency: u32,
    /// Calls before it is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub(crate) warm_up: u64,
}

#[derive(Args)]
pub(crate) struct LoginArgs {
    /// The server: a URL, HOST:PORT, or a name of the configuration file.
    pub(crate) server: String,
    /// Only print the address to open: there is no browser here.
    #[arg(long)]
    pub(crate) no_browser: bool,
}

#[derive(Args)]
pub(crate) struct LogoutArgs {
    /// The server.
    pub(crate) server: String,
}
