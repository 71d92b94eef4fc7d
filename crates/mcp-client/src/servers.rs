//! The servers of one session, by name and in the order in which they were added.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::join_all;
use mcp_transport::{Address, ConnectOptions, NetworkTransport};
use upstream::{Host, Options, Upstream};
use url::Url;

use crate::authorization::Logins;

/// Most servers of a session.
const MAX_SERVERS: usize = 1_000;
/// Programs whose first argument says more than their own name.
const RUNNERS: [&str; 9] = ["npx", "uvx", "bunx", "node", "deno", "python", "python3", "uv", "docker"];

/// The servers of one session.
pub(crate) struct Servers {
    host: Arc<dyn Host>,
    options: Options,
    logins: Option<Arc<Logins>>,
    all: Mutex<Vec<Upstream>>,
}

/// Why a server cannot be added or found.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ServersError {
    #[error("there is no server {name:?}; there are: {known}")]
    Unknown { name: String, known: String },
    #[error("there is no server {0:?}, and no other")]
    NoServers(String),
    #[error("there is a server {0:?} already")]
    Taken(String),
    #[error("a server's name has 1 to 100 visible characters")]
    Name,
    #[error("there are {MAX_SERVERS} servers already")]
    TooMany,
    #[error("{0}")]
    Address(#[from] mcp_transport::AddressError),
}

impl Servers {
    /// No servers yet. `options` are for those that have none of their own.
    pub(crate) fn new(host: Arc<dyn Host>, options: Options) -> Self {
        Self { host, options, logins: None, all: Mutex::default() }
    }

    /// The same, with logins for servers that are given no other credentials.
    pub(crate) fn with_logins(mut self, logins: Arc<Logins>) -> Self {
        self.logins = Some(logins);
        self
    }

    /// Adds a server; nothing is connected yet. Without a name it gets one from its address.
    pub(crate) fn add(
        &self,
        name: Option<&str>,
        address: &str,
        transport: Option<NetworkTransport>,
    ) -> Result<Upstream, ServersError> {
        let parsed: Address = address.parse()?;
        let parsed = transport.map_or(parsed.clone(), |transport| parsed.with_transport(transport));
        let name = name.map_or_else(|| self.name_for(address), str::to_owned);
        self.insert(&name, parsed, self.options.connect.clone())
    }

    /// Adds a server that is connected to in its own way.
    pub(crate) fn insert(
        &self,
        name: &str,
        address: Address,
        connect: ConnectOptions,
    ) -> Result<Upstream, ServersError> {
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(ServersError::Name);
        }
        let mut all = self.lock();
        if all.iter().any(|known| known.name() == name) {
            return Err(ServersError::Taken(name.to_owned()));
        }
        if all.len() == MAX_SERVERS {
            return Err(ServersError::TooMany);
        }
        let connect = match &self.logins {
            Some(logins) => logins.add(name, &address, connect),
            None => connect,
        };
        let options = Options { connect, ..self.options.clone() };
        let upstream = Upstream::new(name, address, options, self.host.clone());
        all.push(upstream.clone());
        Ok(upstream)
    }

    /// Closes a server and forgets it.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), ServersError> {
        let upstream = self.get(name)?;
        self.lock().retain(|known| known.name() != name);
        upstream.close().await;
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Result<Upstream, ServersError> {
        let all = self.lock();
        if let Some(found) = all.iter().find(|known| known.name() == name) {
            return Ok(found.clone());
        }
        let known: Vec<_> = all.iter().map(Upstream::name).collect();
        let name = name.to_owned();
        Err(if known.is_empty() {
            ServersError::NoServers(name)
        } else {
            ServersError::Unknown { name, known: known.join(", ") }
        })
    }

    /// All of them, in the order in which they were added.
    pub(crate) fn all(&self) -> Vec<Upstream> {
        self.lock().clone()
    }

    /// Closes all, at once.
    pub(crate) async fn close(&self) {
        let all = self.all();
        join_all(all.iter().map(Upstream::close)).await;
    }

    /// A name that is free yet for the server at this address.
    pub(crate) fn name_for(&self, address: &str) -> String {
        let wanted = name_of(address);
        let all = self.lock();
        let taken = |name: &str| all.iter().any(|known| known.name() == name);
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Upstream>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name for the server at this address: host and port, or the program.
fn name_of(address: &str) -> String {
    let name = match address.trim().strip_prefix("stdio:") {
        Some(line) => program(line),
        None => Url::parse(address).ok().filter(Url::has_host).and_then(|url| {
            let host = url.host_str()?;
            Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
        }),
    };
    let name: String = name.unwrap_or_else(|| address.trim().to_owned()).chars().take(60).collect();
    if name.is_empty() { "server".to_owned() } else { name }
}

fn program(line: &str) -> Option<String> {
    let words = shlex::split(line)?;
    let stem = |word: &String| Path::new(word).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let first = words.first().and_then(stem)?;
    if !RUNNERS.contains(&first.as_str()) {
        return Some(first);
    }
    let rest =
        words[1..].iter().filter(|word| !word.starts_with('-') && !["run", "exec"].contains(&word.as_str()));
    Some(rest.filter_map(stem).next().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_name_is_called_after_its_address() {
        for (address, name) in [
            ("localhost:8080", "localhost:8080"),
            ("http://user:secret@host:1/mcp?key=secret", "host:1"),
            ("https://example.com/mcp", "example.com"),
            ("stdio:/opt/bin/tool-server stdio", "tool-server"),
            ("stdio:npx -y @modelcontextprotocol/server-memory", "server-memory"),
            ("stdio:python3 /srv/weather.py --key secret", "weather"),
            ("stdio:node", "node"),
        ] {
            assert_eq!(name_of(address), name, "{address}");
        }
    }
}
