//! What a command works with: its servers, named on the command line or in a configuration file, and where results go.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
};

use clap::CommandFactory as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_transport::{ConnectOptions, NetworkTransport};
use resilience::Backoff;
use rmcp::model::Implementation;
use secrecy::SecretString;
use server_files::{ConfigFile, ConfiguredServer, Secrets};
use upstream::{Host, Limits, Upstream};

use crate::{
    authorization::Logins,
    command_line::{Color, CommandLine, Options},
    environment,
    output::{Output, Stop, width},
    render::{Failure, Renderer},
    servers::Servers,
};

/// What a command works with.
pub(crate) struct Session {
    pub(crate) servers: Arc<Servers>,
    pub(crate) output: Output,
    pub(crate) logins: Arc<Logins>,
    config: Option<ConfigFile>,
    connect: ConnectOptions,
    transport: Option<NetworkTransport>,
    /// Those of `--server`.
    given: Vec<Upstream>,
}

impl Session {
    /// Nothing is connected yet. `attempts` is how often connecting is tried.
    pub(crate) fn new(options: &Options, host: Arc<dyn Host>, attempts: u32) -> Result<Self, Stop> {
        let connect = connect_options(options)?;
        let config = options.config.as_deref().map(ConfigFile::read).transpose();
        let config = config.map_err(|error| Stop::usage(error.to_string()))?;
        let upstreams = upstream::Options {
            client: Implementation::new("mcp-client", env!("CARGO_PKG_VERSION")),
            backoff: Backoff { attempts, ..upstream::Options::default().backoff },
            limits: limits(options),
            // Servers of the file get neither the key nor the headers of the command line.
            connect: ConnectOptions { bearer: None, headers: HeaderMap::new(), ..connect.clone() },
        };
        let logins = Arc::new(Logins::new(&options.oauth)?);
        let mut session = Self {
            servers: Arc::new(Servers::new(host, upstreams).with_logins(logins.clone())),
            logins,
            output: Output { json: options.json, renderer: renderer(options) },
            config,
            connect,
            transport: options.transport.map(Into::into),
            given: Vec::new(),
        };
        session.hide_configured(&options.servers);
        for word in &options.servers {
            let upstream = session.add(word)?;
            session.given.push(upstream);
        }
        Ok(session)
    }

    /// A server that a word of the command line names: a name of `--server` or of the file, or an address.
    pub(crate) fn server(&self, word: &str) -> Result<Upstream, Stop> {
        if let Ok(known) = self.servers.get(word) {
            return Ok(known);
        }
        if self.config.as_ref().is_some_and(|config| config.contains(word)) {
            return self.configured(word);
        }
        self.add(word)
    }

    /// These servers; without any all of `--server` and of the file.
    pub(crate) fn servers(&self, words: &[String]) -> Result<Vec<Upstream>, Stop> {
        if !words.is_empty() {
            return words.iter().map(|word| self.server(word)).collect();
        }
        let mut all = self.given.clone();
        let names: Vec<_> = self.config.iter().flat_map(ConfigFile::names).map(str::to_owned).collect();
        for name in names {
            all.push(self.configured(&name)?);
        }
        if all.is_empty() {
            return Err(Stop::usage(
                "no server is given: write HOST:PORT, a URL or 'stdio:COMMAND …', or name a file with --config",
            ));
        }
        Ok(all)
    }

    /// Adds `[NAME=]ADDRESS`.
    fn add(&self, word: &str) -> Result<Upstream, Stop> {
        let (name, address) = split_name(word);
        let bare = !address.contains("://") && !address.trim_start().starts_with("stdio:");
        let transport = self.transport.filter(|_| bare);
        let parsed = address.parse::<mcp_transport::Address>();
        let added = match parsed {
            Err(error) => return Err(self.not_a_server(word, &error.to_string())),
            Ok(parsed) => {
                let parsed = transport.map_or(parsed.clone(), |transport| parsed.with_transport(transport));
                let name = name.map_or_else(|| self.servers.name_for(address), str::to_owned);
                self.servers.insert(&name, parsed, self.connect.clone())
            }
        };
        added.map_err(|error| Stop::usage(error.to_string()))
    }

    /// It never repeats the word as an address: that may hold a password.
    fn not_a_server(&self, word: &str, reason: &str) -> Stop {
        // clap takes every word after a server for one more.
        if CommandLine::command().find_subcommand(word).is_some() {
            return Stop::usage(format!(
                "write servers after the command, as in `mcp-client {word} localhost:8080`, or give them with --server"
            ));
        }
        let looks_like_a_name = !word.contains([':', '/', '@', '=']);
        if !looks_like_a_name {
            return Stop::usage(format!("a server's address cannot be read: {reason}"));
        }
        let mut known: Vec<_> = self.given.iter().map(|server| server.name().to_owned()).collect();
        known.extend(self.config.iter().flat_map(ConfigFile::names).map(str::to_owned));
        let nearest = crate::arguments::nearest(word, known.iter().map(String::as_str));
        let hint = match (nearest, known.is_empty()) {
            (Some(name), _) => format!("did you mean {name:?}?"),
            (None, false) => format!("there are: {}", known.join(", ")),
            (None, true) => {
                "name a file that has it with --config, or write HOST:PORT, a URL or 'stdio:COMMAND …'"
                    .to_owned()
            }
        };
        Failure::usage(format!("there is no server {word:?}")).with_hint(Some(hint)).into()
    }

    fn configured(&self, name: &str) -> Result<Upstream, Stop> {
        if let Ok(known) = self.servers.get(name) {
            return Ok(known);
        }
        let server = self.resolve(name)?;
        let connect = ConnectOptions { bearer: None, headers: server.headers, ..self.connect.clone() };
        let added = self.servers.insert(name, server.address, connect);
        added.map_err(|error| Stop::usage(error.to_string()))
    }

    fn resolve(&self, name: &str) -> Result<ConfiguredServer, Stop> {
        let config = self.config.as_ref().ok_or_else(|| Stop::usage("there is no configuration file"))?;
        config.server(name, &environment::variable).map_err(|error| Stop::usage(error.to_string()))
    }

    /// What the file and the programs' arguments keep secret stays so, whichever server an error is about.
    fn hide_configured(&mut self, words: &[String]) {
        let mut secrets = Secrets::default();
        let programs = words.iter().filter_map(|word| split_name(word).1.trim().strip_prefix("stdio:"));
        programs.filter_map(shlex::split).for_each(|words| secrets.add_arguments(&words));
        if let Some(config) = &self.config {
            for name in config.names() {
                // One whose variables have no values has no secrets yet.
                if let Ok(server) = config.server(name, &environment::variable) {
                    secrets.extend(&server.secrets);
                }
            }
        }
        self.output.renderer = self.output.renderer.clone().hiding(&secrets);
    }
}

/// `NAME=ADDRESS`; what is left of the `=` of a URL or a command is no name.
fn split_name(word: &str) -> (Option<&str>, &str) {
    match word.split_once('=') {
        Some((name, address)) if !name.is_empty() && !name.contains([':', '/', '?', '@', '\'', '"']) => {
            (Some(name.trim()), address)
        }
        _ => (None, word),
    }
}

fn limits(options: &Options) -> Limits {
    let usual = Limits::default();
    let total = options.timeout.unwrap_or(usual.total);
    Limits { idle: options.idle_timeout.unwrap_or(usual.idle).min(total), total }
}

fn connect_options(options: &Options) -> Result<ConnectOptions, Stop> {
    let mut headers = HeaderMap::new();
    for header in &options.header {
        let (name, value) = header
            .split_once(':')
            .and_then(|(name, value)| {
                let name: HeaderName = name.trim().parse().ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            })
            // It may hold a secret.
            .ok_or_else(|| Stop::usage("--header is not `Name: value` (not shown, it may hold a secret)"))?;
        let mut value = value;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    let connect = options.timeout.map_or(options.connect_timeout, |total| options.connect_timeout.min(total));
    Ok(ConnectOptions {
        bearer: key(options)?,
        headers,
        timeout: connect,
        era: options.era.into(),
        ..ConnectOptions::default()
    })
}

fn key(options: &Options) -> Result<Option<SecretString>, Stop> {
    let Some(key) = options.key.as_deref().map(str::trim).filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let refused = |allowed| Stop::usage(format!("MCP_CLIENT_KEY (or --key) cannot be used: {allowed}"));
    settings::header_secret(key).map(Some).map_err(refused)
}

/// How results look on this standard output.
fn renderer(options: &Options) -> Renderer {
    let plain = environment::variable("NO_COLOR").is_some_and(|value| !value.is_empty())
        || environment::variable("TERM").is_some_and(|terminal| terminal == "dumb");
    let color = match options.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stdout().is_terminal() && !plain,
    };
    let mut secrets = Secrets::default();
    options.key.iter().for_each(|key| secrets.add(key));
    options.oauth.secret().into_iter().for_each(|secret| secrets.add(secret));
    options
        .header
        .iter()
        .filter_map(|header| header.split_once(':'))
        .for_each(|(_, value)| secrets.add(value));
    let media = options.media.clone().unwrap_or_else(environment::media_folder);
    Renderer::new(color, width(), media).hiding(&secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_the_first_equals_sign_unless_that_is_a_part_of_the_address() {
        for (word, name, address) in [
            ("a=localhost:1", Some("a"), "localhost:1"),
            ("my files=stdio:x --a=b", Some("my files"), "stdio:x --a=b"),
            ("http://host/mcp?key=1", None, "http://host/mcp?key=1"),
            ("stdio:env A=1 server", None, "stdio:env A=1 server"),
            ("localhost:1", None, "localhost:1"),
        ] {
            assert_eq!(split_name(word), (name, address), "{word}");
        }
    }
}
