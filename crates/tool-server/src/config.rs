//! Settings of tool-server. `--help` lists them; every one is a flag and a variable.

use std::{ffi::OsString, net::IpAddr, path::PathBuf};

use clap::builder::BoolishValueParser;
use mcp_transport::{NetworkSettings, TransportKind};
use settings::ip_address;
use telemetry::LogSettings;

use crate::{CommandLimits, Options, tools::Toolbox};

/// What commands may see of the server's environment: enough to find programs and to write text. The rest may hold keys.
const PASSED_ON: [&str; 11] =
    ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// A small MCP server with five tools: echo, get_time, list_files, math_calc and run_command.
#[derive(Clone, clap::Parser)]
#[command(name = "tool-server", version)]
pub struct Config {
    /// How clients reach it: over the network, or through standard input and output. Write it before --tools.
    #[arg(value_enum, default_value = "http")]
    pub transport: TransportKind,
    /// Address to listen on. 0.0.0.0 means all interfaces: set MCP_API_KEY then.
    #[arg(long, env = "TOOL_SERVER_HOST", default_value = "127.0.0.1", value_parser = ip_address)]
    pub host: IpAddr,
    /// Port to listen on; 0 picks a free one, which the log tells.
    #[arg(long, env = "TOOL_SERVER_PORT", default_value_t = 8_080)]
    pub port: u16,
    /// Name that clients see.
    #[arg(long, env = "TOOL_SERVER_NAME", default_value = "tool-server", value_parser = server_name)]
    pub name: String,
    /// Tools to enable, separated by spaces or commas. Default: all.
    #[arg(long, env = "TOOL_SERVER_TOOLS", value_name = "TOOL", num_args = 1.., value_parser = tool_names)]
    pub tools: Option<Vec<ToolNames>>,
    /// Folder that list_files shows, and where run_command runs. Default: the working directory.
    #[arg(long, env = "TOOL_SERVER_ROOT", value_name = "DIR", default_value = ".")]
    pub root: PathBuf,
    /// Enable run_command, which gives clients the rights of the user that this server runs as. Unix only.
    #[arg(long, env = "TOOL_SERVER_ALLOW_RUN_COMMAND", value_parser = BoolishValueParser::new())]
    pub allow_run_command: bool,
    /// Who may connect, and the limits of connections.
    #[command(flatten)]
    pub network: NetworkSettings,
    /// How to log.
    #[command(flatten)]
    pub log: LogSettings,
}

/// One word of the command line, or one variable: it may hold several names of tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolNames(pub Vec<String>);

impl Config {
    pub(crate) fn options(&self) -> Options {
        let names = |tools: &Vec<ToolNames>| tools.iter().flat_map(|names| names.0.clone()).collect();
        Options {
            name: self.name.clone(),
            tools: self.tools.as_ref().map(names),
            root: self.root.clone(),
            commands: self.allow_run_command.then(CommandLimits::default),
            command_environment: passed_on(),
        }
    }
}

fn passed_on() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| PASSED_ON.iter().any(|passed| name == passed)).collect()
}

fn tool_names(text: &str) -> Result<ToolNames, String> {
    let known = Toolbox::names();
    let names = text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned);
    let names: Vec<_> = names.collect();
    if !names.is_empty() && names.iter().all(|name| known.contains(name)) {
        Ok(ToolNames(names))
    } else {
        Err(format!("known tools are {}", known.join(", ")))
    }
}

fn server_name(text: &str) -> Result<String, String> {
    let fits = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or_else(|| "allowed are 1 to 100 visible characters".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Config, String> {
        let all = std::iter::once("tool-server").chain(arguments.iter().copied());
        Config::try_parse_from(all).map_err(|error| error.to_string())
    }

    #[test]
    fn the_network_is_the_default_and_has_an_older_name() {
        for arguments in [&[][..], &["http"], &["sse"]] {
            assert_eq!(parsed(arguments).ok().map(|config| config.transport), Some(TransportKind::Http));
        }
        assert_eq!(parsed(&["stdio"]).ok().map(|config| config.transport), Some(TransportKind::Stdio));
    }

    #[test]
    fn tools_are_separated_by_spaces_or_commas() {
        for arguments in [
            &["--tools", "echo", "math_calc"][..],
            &["--tools", "echo,math_calc"],
            &["--tools", "echo, math_calc"],
            &["--tools", "echo math_calc"],
            &["--tools=echo", "--tools=math_calc"],
        ] {
            let tools = parsed(arguments).ok().and_then(|config| config.options().tools);
            assert_eq!(tools, Some(vec!["echo".to_owned(), "math_calc".to_owned()]), "{arguments:?}");
        }
        assert_eq!(parsed(&[]).ok().map(|config| config.options().tools), Some(None));
    }

    #[test]
    fn an_unknown_tool_is_refused_with_those_that_are_known() {
        let refusal = parsed(&["--tools", "echo", "fly"]).err().unwrap();
        let known = "known tools are echo, get_time, list_files, math_calc, run_command";
        assert!(refusal.contains("fly") && refusal.contains(known), "{refusal}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for wrong in [
            &["--host", "here"][..],
            &["--port", "65536"],
            &["--name", ""],
            &["--tools"],
            &["--tools", ","],
            &["telnet"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
