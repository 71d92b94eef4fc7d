//! One server of a file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_transport::{Address, NetworkTransport, ServerCommand};

use crate::{ConfigError, Secrets, error::Place, expand::Expander, json::Json};

/// Names of one thing in different programs' files.
const URL: [&str; 4] = ["url", "serverUrl", "httpUrl", "uri"];
const KIND: [&str; 2] = ["type", "transport"];
/// Largest `envFile` that is read, in bytes.
const MAX_ENV_FILE: u64 = 1 << 20;

/// A server, ready to be connected to.
pub struct ConfiguredServer {
    /// Its name in the file.
    pub name: String,
    /// Where it is. Its `Display` may show values of variables: hide the [`ConfiguredServer::secrets`] in it.
    pub address: Address,
    /// What is sent along with every request; marked as sensitive.
    pub headers: HeaderMap,
    /// What must not be shown.
    pub secrets: Secrets,
}

impl fmt::Debug for ConfiguredServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.secrets.hide(&self.address.to_string());
        f.debug_struct("ConfiguredServer")
            .field("name", &self.name)
            .field("address", &address)
            .finish_non_exhaustive()
    }
}

/// A server as the file has it: checked, but without its variables' values.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) disabled: bool,
    pub(crate) place: Place,
    /// A mistake in one server does not stop the others: it is told when this one is asked for.
    target: Result<Target, ConfigError>,
}

enum Target {
    Command(Command),
    Network { url: Text, transport: Option<NetworkTransport>, headers: Vec<(String, Text)> },
}

struct Command {
    program: Text,
    arguments: Vec<Text>,
    variables: Vec<(String, Text)>,
    env_file: Option<Text>,
    directory: Option<Text>,
}

/// A text of the file, and where it is.
struct Text {
    text: String,
    place: Place,
}

/// It may hold secrets.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command(_) => "Command",
            Self::Network { .. } => "Network",
        })
    }
}

/// The members of one server.
struct Members<'a> {
    members: &'a [(String, Json)],
    place: &'a Place,
}

impl Members<'_> {
    fn find(&self, names: &[&str]) -> Option<(Place, &Json)> {
        let found = self
            .members
            .iter()
            .find(|(name, value)| names.contains(&name.as_str()) && !matches!(value, Json::Null));
        found.map(|(name, value)| (self.place.at(name), value))
    }

    fn text(&self, names: &[&str]) -> Result<Option<Text>, ConfigError> {
        let Some((place, value)) = self.find(names) else { return Ok(None) };
        let text = value.string(&place)?.to_owned();
        Ok(Some(Text { text, place }))
    }

    fn texts(&self, name: &str) -> Result<Vec<Text>, ConfigError> {
        let Some((place, value)) = self.find(&[name]) else { return Ok(Vec::new()) };
        let one = |(index, value): (usize, &Json)| {
            let place = place.at(index);
            Ok(Text { text: value.string(&place)?.to_owned(), place })
        };
        value.array(&place)?.iter().enumerate().map(one).collect()
    }

    /// Names and texts, or numbers. VS Code writes null for a variable without a value.
    fn pairs(&self, name: &str) -> Result<Vec<(String, Text)>, ConfigError> {
        let Some((place, value)) = self.find(&[name]) else { return Ok(Vec::new()) };
        let members = value.object(&place)?.iter().filter(|(_, value)| !matches!(value, Json::Null));
        let one = |(name, value): &(String, Json)| {
            let place = place.at(name);
            Ok((name.clone(), Text { text: value.text(&place)?.to_owned(), place }))
        };
        members.map(one).collect()
    }
}

impl Definition {
    pub(crate) fn new(name: &str, value: &Json, place: Place) -> Result<Self, ConfigError> {
        let members = Members { members: value.object(&place)?, place: &place };
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(place.error("a server's name has 1 to 100 visible characters"));
        }
        let disabled = matches!(members.find(&["disabled"]), Some((_, Json::Bool(true))))
            || matches!(members.find(&["enabled"]), Some((_, Json::Bool(false))));
        let target = target(&members);
        Ok(Self { name: name.to_owned(), disabled, target, place })
    }

    pub(crate) fn resolve(&self, expander: &mut Expander<'_>) -> Result<ConfiguredServer, ConfigError> {
        let (address, headers) = match self.target.as_ref().map_err(Clone::clone)? {
            Target::Command(command) => (command.resolve(expander)?, HeaderMap::new()),
            Target::Network { url, transport, headers } => {
                let place = &url.place;
                let address = url.resolve(expander)?.parse::<Address>();
                let address = address.map_err(|error| place.error(error.to_string()))?;
                let address =
                    transport.map_or(address.clone(), |transport| address.with_transport(transport));
                (address, resolve_headers(headers, expander)?)
            }
        };
        let secrets = std::mem::take(&mut expander.secrets);
        Ok(ConfiguredServer { name: self.name.clone(), address, headers, secrets })
    }
}

fn target(members: &Members<'_>) -> Result<Target, ConfigError> {
    let kind = members.text(&KIND)?;
    let (program, url) = (members.text(&["command"])?, members.text(&URL)?);
    let transport = match kind.as_ref().map(|kind| kind.text.to_lowercase()).as_deref() {
        None | Some("stdio") => None,
        Some("http" | "streamable-http" | "streamablehttp" | "streamable_http") => {
            Some(NetworkTransport::Http)
        }
        Some("sse") => Some(NetworkTransport::Sse),
        Some("ws" | "websocket") => Some(NetworkTransport::WebSocket),
        Some(_) => {
            let place = kind.map_or(members.place.clone(), |kind| kind.place);
            return Err(place.error("allowed are stdio, http, sse and websocket"));
        }
    };
    let is_stdio = kind.as_ref().is_some_and(|kind| kind.text.eq_ignore_ascii_case("stdio"));
    match (program, url) {
        (Some(_), Some(_)) => Err(members.place.error("a server has a \"command\" or a \"url\", not both")),
        (None, None) => Err(members.place.error("a server needs a \"command\" or a \"url\"")),
        (Some(_), None) if transport.is_some() => {
            Err(members.place.error("a server with a \"command\" has the type stdio"))
        }
        (None, Some(_)) if is_stdio => Err(members.place.error("a server of type stdio needs a \"command\"")),
        (Some(program), None) => Ok(Target::Command(Command {
            program,
            arguments: members.texts("args")?,
            variables: members.pairs("env")?,
            env_file: members.text(&["envFile"])?,
            directory: members.text(&["cwd"])?,
        })),
        (None, Some(url)) => Ok(Target::Network { url, transport, headers: members.pairs("headers")? }),
    }
}

impl Text {
    fn resolve(&self, expander: &mut Expander<'_>) -> Result<String, ConfigError> {
        expander.expand(&self.text, &self.place)
    }
}

impl Command {
    fn resolve(&self, expander: &mut Expander<'_>) -> Result<Address, ConfigError> {
        let program = self.program.resolve(expander)?;
        if program.is_empty() {
            return Err(self.program.place.error("the command is empty"));
        }
        let is_path = program.contains(['/', std::path::MAIN_SEPARATOR]);
        let program = if is_path { without_dots(&expander.path(&program)) } else { program };
        let arguments = self.arguments.iter().map(|argument| argument.resolve(expander));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        expander.secrets.add_arguments(&arguments);
        let mut command = ServerCommand::new(program).arguments(arguments);
        if let Some(file) = &self.env_file {
            let path = file.resolve(expander)?;
            let path = expander.path(&path);
            for (name, value) in env_file(&path).map_err(|reason| file.place.error(reason))? {
                expander.secrets.add(&value);
                command = command.variable(name, value);
            }
        }
        for (name, value) in &self.variables {
            let value = value.resolve(expander)?;
            expander.secrets.add(&value);
            command = command.variable(name, value);
        }
        let directory = match &self.directory {
            Some(directory) => {
                let directory = directory.resolve(expander)?;
                expander.path(&directory)
            }
            None => expander.workspace().to_owned(),
        };
        Ok(command.directory(directory).into())
    }
}

/// `/a/./b` is `/a/b`, for people.
fn without_dots(path: &Path) -> String {
    path.components().collect::<PathBuf>().to_string_lossy().into_owned()
}

/// What a file with lines `NAME=value` says. A line is never repeated, it may hold a secret.
fn env_file(path: &Path) -> Result<Vec<(String, String)>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_ENV_FILE {
        return Err(format!("{} has more than 1 MiB", path.display()));
    }
    let lines = dotenvy::from_path_iter(path);
    let lines = lines.map_err(|_| format!("{} cannot be read", path.display()))?;
    lines
        .enumerate()
        .map(|(index, line)| {
            line.map_err(|_| format!("{}: its entry number {} is not NAME=value", path.display(), index + 1))
        })
        .collect()
}

fn resolve_headers(
    headers: &[(String, Text)],
    expander: &mut Expander<'_>,
) -> Result<HeaderMap, ConfigError> {
    let mut all = HeaderMap::new();
    for (name, text) in headers {
        let value = text.resolve(expander)?;
        expander.secrets.add(&value);
        let name: HeaderName = name.parse().map_err(|_| text.place.error("this is not a header's name"))?;
        let value = HeaderValue::from_str(&value);
        let mut value =
            value.map_err(|_| text.place.error("a header's value has visible ASCII characters only"))?;
        value.set_sensitive(true);
        all.append(name, value);
    }
    Ok(all)
}
