//! Where a server is, and how it is spoken to.

use std::{fmt, str::FromStr};

use url::Url;

use super::ServerCommand;

/// Where an MCP server is. It is written in one of these forms:
///
/// | form | transport |
/// |---|---|
/// | `http://…`, `https://…` | Streamable HTTP; legacy HTTP+SSE when the path ends with `/sse` |
/// | `ws://…`, `wss://…` | WebSocket |
/// | `stdio:COMMAND ARGUMENTS` | a child process; words are split and quoted as in a shell, but no shell is run |
/// | `HOST:PORT` | Streamable HTTP at `/mcp`, unless [`Address::with_transport`] says otherwise |
///
/// It is shown without the user name, the password and the query of a URL, which may hold a key. The arguments of a
/// command are shown, as every list of processes does: a secret belongs into its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// `HOST:PORT`; the transport is still the caller's choice.
    Bare(Url),
    Network(NetworkTransport, Url),
    Stdio(ServerCommand),
}

/// How an address is reached.
pub(crate) enum Target<'a> {
    Http(&'a Url),
    Sse(&'a Url),
    WebSocket(&'a Url),
    Stdio(&'a ServerCommand),
}

/// A transport over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkTransport {
    /// Streamable HTTP, `http`: at `/mcp` of a `HOST:PORT`.
    Http,
    /// Legacy HTTP+SSE, `sse`: at `/sse` of a `HOST:PORT`.
    Sse,
    /// WebSocket, `websocket`: at `/ws` of a `HOST:PORT`.
    WebSocket,
}

/// Why a text is not an address. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// None of the forms.
    #[error(
        "allowed are http://, https://, ws:// and wss:// URLs, HOST:PORT, and stdio:COMMAND with its arguments"
    )]
    Form,
    /// A URL that cannot be read, or names no host.
    #[error("the URL cannot be read: write it like http://HOST:PORT/mcp")]
    Url,
    /// `HOST:PORT` with something else in it.
    #[error("write HOST:PORT with nothing before or after it, or a whole URL")]
    HostPort,
    /// `stdio:` with nothing after it.
    #[error("stdio: needs a command after it")]
    NoCommand,
    /// A quote without its partner.
    #[error("the command has a quote that is not closed, or ends with a backslash")]
    Quotes,
    /// A transport that does not exist.
    #[error("allowed are http, sse and websocket")]
    Transport,
}

impl Address {
    /// The same address over this transport. A URL keeps its path; a child process stays what it is.
    #[must_use]
    pub fn with_transport(self, transport: NetworkTransport) -> Self {
        let (mut url, bare) = match self.0 {
            Form::Bare(url) => (url, true),
            Form::Network(_, url) => (url, false),
            stdio @ Form::Stdio(_) => return Self(stdio),
        };
        let secure = matches!(url.scheme(), "https" | "wss");
        let scheme = match (transport, secure) {
            (NetworkTransport::WebSocket, false) => "ws",
            (NetworkTransport::WebSocket, true) => "wss",
            (_, false) => "http",
            (_, true) => "https",
        };
        // These four schemes can stand for each other; see `Url::set_scheme`.
        let _ = url.set_scheme(scheme);
        if bare {
            url.set_path(transport.usual_path());
        }
        Self(Form::Network(transport, url))
    }

    /// Where the server is, as `http` or `https` and without user name and password; `None` for a child process.
    #[must_use]
    pub fn server_url(&self) -> Option<Url> {
        match &self.0 {
            Form::Bare(url) | Form::Network(_, url) => Some(as_http(url)),
            Form::Stdio(_) => None,
        }
    }

    /// How the server is reached over the network; `None` for a child process.
    #[must_use]
    pub fn transport(&self) -> Option<NetworkTransport> {
        match &self.0 {
            Form::Bare(_) => Some(NetworkTransport::Http),
            Form::Network(transport, _) => Some(*transport),
            Form::Stdio(_) => None,
        }
    }

    pub(crate) fn target(&self) -> Target<'_> {
        match &self.0 {
            Form::Bare(url) | Form::Network(NetworkTransport::Http, url) => Target::Http(url),
            Form::Network(NetworkTransport::Sse, url) => Target::Sse(url),
            Form::Network(NetworkTransport::WebSocket, url) => Target::WebSocket(url),
            Form::Stdio(command) => Target::Stdio(command),
        }
    }
}

impl NetworkTransport {
    const fn usual_path(self) -> &'static str {
        match self {
            Self::Http => "/mcp",
            Self::Sse => "/sse",
            Self::WebSocket => "/ws",
        }
    }
}

impl FromStr for NetworkTransport {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text {
            "http" => Ok(Self::Http),
            "sse" => Ok(Self::Sse),
            "websocket" => Ok(Self::WebSocket),
            _ => Err(AddressError::Transport),
        }
    }
}

impl From<ServerCommand> for Address {
    fn from(command: ServerCommand) -> Self {
        Self(Form::Stdio(command))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if let Some(line) = text.strip_prefix("stdio:") {
            return Ok(Self(Form::Stdio(line.parse()?)));
        }
        if !text.contains("://") {
            return host_port(text).map(|url| Self(Form::Bare(url)));
        }
        let mut url = Url::parse(text).map_err(|_| AddressError::Url)?;
        let transport = match url.scheme() {
            "http" | "https" if url.path().trim_end_matches('/').ends_with("/sse") => NetworkTransport::Sse,
            "http" | "https" => NetworkTransport::Http,
            "ws" | "wss" => NetworkTransport::WebSocket,
            _ => return Err(AddressError::Form),
        };
        url.set_fragment(None);
        Ok(Self(Form::Network(transport, url)))
    }
}

fn host_port(text: &str) -> Result<Url, AddressError> {
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::Form)?;
    if port.parse::<u16>().is_err() || host.is_empty() {
        return Err(AddressError::Form);
    }
    if host.contains(['/', '@', '?', '#', '\\']) {
        return Err(AddressError::HostPort);
    }
    let mut url = Url::parse(&format!("http://{text}")).map_err(|_| AddressError::HostPort)?;
    url.set_path(NetworkTransport::Http.usual_path());
    Ok(url)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Bare(url) | Form::Network(_, url) => f.write_str(&shown(url)),
            Form::Stdio(command) => write!(f, "stdio:{command}"),
        }
    }
}

/// As [`fmt::Display`]: the derived one would show passwords.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The URL without what may be a secret.
fn shown(url: &Url) -> String {
    let mut url = without_userinfo(url);
    if url.query().is_some() {
        url.set_query(Some("…"));
        return url.as_str().replace("%E2%80%A6", "…");
    }
    url.into()
}

/// Both setters fail only for URLs without a host, which have no user name either.
pub(crate) fn without_userinfo(url: &Url) -> Url {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// The same without user name and password, and with the scheme of a WebSocket's handshake.
pub(crate) fn as_http(url: &Url) -> Url {
    let mut url = without_userinfo(url);
    // These schemes can stand for each other; see `Url::set_scheme`.
    let _ = match url.scheme() {
        "ws" => url.set_scheme("http"),
        "wss" => url.set_scheme("https"),
        _ => Ok(()),
    };
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn transport(address: &Address) -> (&'static str, String) {
        match address.target() {
            Target::Http(url) => ("http", url.to_string()),
            Target::Sse(url) => ("sse", url.to_string()),
            Target::WebSocket(url) => ("websocket", url.to_string()),
            Target::Stdio(command) => ("stdio", command.to_string()),
        }
    }

    #[test]
    fn the_form_of_an_address_chooses_the_transport() {
        for (text, kind, target) in [
            ("http://host:8001/mcp", "http", "http://host:8001/mcp"),
            ("https://host/any/path?key=1", "http", "https://host/any/path?key=1"),
            ("http://host/sse", "sse", "http://host/sse"),
            ("http://host/one/sse/", "sse", "http://host/one/sse/"),
            ("wss://host/ws#part", "websocket", "wss://host/ws"),
            ("localhost:8001", "http", "http://localhost:8001/mcp"),
            ("[::1]:80", "http", "http://[::1]/mcp"),
            (" stdio:a  'b c' ", "stdio", "a 'b c'"),
        ] {
            assert_eq!(transport(&address(text)), (kind, target.to_owned()), "{text}");
            assert_eq!(address(text).transport(), kind.parse().ok(), "{text}");
        }
    }

    #[test]
    fn a_host_and_port_can_be_reached_over_each_transport_at_its_usual_path() {
        for (name, url) in
            [("http", "http://host:1/mcp"), ("sse", "http://host:1/sse"), ("websocket", "ws://host:1/ws")]
        {
            let chosen = address("host:1").with_transport(name.parse().unwrap());
            assert_eq!(transport(&chosen), (name, url.to_owned()));
        }
    }

    #[test]
    fn a_url_keeps_its_path_over_another_transport_and_a_command_stays_a_command() {
        let socket = address("https://host/mine").with_transport(NetworkTransport::WebSocket);
        assert_eq!(transport(&socket), ("websocket", "wss://host/mine".to_owned()));
        let back = socket.with_transport(NetworkTransport::Sse);
        assert_eq!(transport(&back), ("sse", "https://host/mine".to_owned()));
        let command = address("stdio:cat").with_transport(NetworkTransport::Sse);
        assert_eq!(transport(&command), ("stdio", "cat".to_owned()));
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_what_is_allowed() {
        for (text, error) in [
            ("", AddressError::Form),
            ("host", AddressError::Form),
            (":8000", AddressError::Form),
            ("host:80000", AddressError::Form),
            ("ftp://host/x", AddressError::Form),
            ("http://", AddressError::Url),
            ("http://host:port/mcp", AddressError::Url),
            ("me:secret@host:80", AddressError::HostPort),
            ("host/path:80", AddressError::HostPort),
            ("stdio:", AddressError::NoCommand),
            ("stdio:echo 'open", AddressError::Quotes),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err(), error, "{text}");
        }
        assert_eq!("tcp".parse::<NetworkTransport>().unwrap_err(), AddressError::Transport);
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let shown = address("https://me:secret@host:1/mcp?key=secret");
        assert_eq!(shown.to_string(), "https://host:1/mcp?…");
        assert_eq!(format!("{shown:?}"), "Address(https://host:1/mcp?…)");
        let command = ServerCommand::new("npx").argument("-y a").variable("KEY", "secret");
        assert_eq!(format!("{:?}", Address::from(command)), "Address(stdio:npx '-y a')");
    }
}
