//! Who may call: by which name of this server, from which web pages, and with which key.

use std::sync::Arc;

use auth::Keys;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use url::{Host, Origin, Url};

use super::reply::refuse;

/// Headers that web pages may send, and those that they may read.
const REQUEST_HEADERS: &str = "authorization, content-type, accept, last-event-id, mcp-protocol-version, mcp-session-id, \
    mcp-method, mcp-name";
const RESPONSE_HEADERS: &str = "mcp-session-id, www-authenticate";

/// The rules of one server.
pub(crate) struct Access {
    keys: Keys,
    hosts: Hosts,
    origins: Vec<Origin>,
}

enum Hosts {
    Any,
    /// Lower-case names, each with a port or for any port.
    These(Vec<(String, Option<u16>)>),
}

impl Access {
    /// # Errors
    /// When an origin is none, or a host name cannot be one.
    pub(crate) fn new(keys: Keys, hosts: &[String], origins: &[String]) -> Result<Self, String> {
        Ok(Self { keys, hosts: Hosts::parse(hosts)?, origins: parse_origins(origins)? })
    }

    pub(crate) fn needs_key(&self) -> bool {
        self.keys.needed()
    }

    /// What this server is not called by, and who may not call it.
    fn refuse(&self, request: &Request) -> Option<Response> {
        if !self.allows_host(request.uri(), request.headers()) {
            tracing::warn!("a request that calls this server by another name was refused");
            let why = "this server is not called by that Host: MCP_ALLOWED_HOSTS lists its names";
            return Some(refuse(StatusCode::FORBIDDEN, why));
        }
        let origin = request.headers().get(header::ORIGIN);
        if origin.is_some_and(|origin| !self.allows_origin(origin)) {
            tracing::warn!("a request of a web page that may not call was refused");
            let why =
                "pages of this Origin may not call this server: MCP_ALLOWED_ORIGINS lists those that may";
            return Some(refuse(StatusCode::FORBIDDEN, why));
        }
        None
    }

    fn allows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Hosts::These(allowed) = &self.hosts else { return true };
        let named = match uri.authority() {
            Some(authority) => Some(authority.clone()), // HTTP/2
            None => headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok()),
        };
        named.is_some_and(|named| {
            let host = named.host().to_ascii_lowercase();
            is_loopback(&host)
                || allowed.iter().any(|(name, port)| {
                    *name == host && port.is_none_or(|port| named.port_u16() == Some(port))
                })
        })
    }

    fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let Some(url) = origin.to_str().ok().and_then(|text| Url::parse(text).ok()) else { return false };
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        (loopback && matches!(url.scheme(), "http" | "https")) || self.origins.contains(&url.origin())
    }
}

impl Hosts {
    fn parse(texts: &[String]) -> Result<Self, String> {
        let texts = || texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        if texts().any(|text| text == "*") {
            return Ok(Self::Any);
        }
        let parse = |text: &str| {
            let authority =
                text.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'));
            let authority = authority.ok_or_else(|| {
                format!("MCP_ALLOWED_HOSTS has `{text}`: allowed is a host name such as mcp.example.com, with or without a port, or *")
            })?;
            Ok((authority.host().to_ascii_lowercase(), authority.port_u16()))
        };
        texts().map(parse).collect::<Result<_, _>>().map(Self::These)
    }
}

fn parse_origins(texts: &[String]) -> Result<Vec<Origin>, String> {
    let parse = |text: &str| {
        let origin = Url::parse(text).ok().map(|url| url.origin()).filter(Origin::is_tuple);
        origin.ok_or_else(|| format!("MCP_ALLOWED_ORIGINS has `{text}`: allowed is scheme://host, for instance https://app.example.com"))
    };
    texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).map(parse).collect()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Lets a request through, with the [caller](auth::Caller) that its key names, or says why not. The checks come before a byte
/// of the body is read.
pub(crate) async fn check(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match access.refuse(&request) {
        Some(refused) => refused,
        None if is_preflight(&request) => preflight(request.headers()),
        None => match access.keys.caller(request.headers()) {
            Some(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            None => unauthorized(),
        },
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin.filter(|origin| access.allows_origin(origin)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
    }
    response
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(headers: &HeaderMap) -> Response {
    // `Mcp-Param-*` are as many as tools have arguments: pages get those that they ask for.
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let asked = asked.unwrap_or(HeaderValue::from_static(REQUEST_HEADERS));
    let methods = [(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE")];
    let lasting = [(header::ACCESS_CONTROL_MAX_AGE, "600")];
    (StatusCode::NO_CONTENT, methods, [(header::ACCESS_CONTROL_ALLOW_HEADERS, asked)], lasting)
        .into_response()
}

fn unauthorized() -> Response {
    let why = "a key is needed: send it as Authorization: Bearer KEY";
    ([(header::WWW_AUTHENTICATE, "Bearer")], refuse(StatusCode::UNAUTHORIZED, why)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(hosts: &[&str], origins: &[&str]) -> Access {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        Access::new(Keys::new(&[]), &owned(hosts), &owned(origins)).unwrap()
    }

    fn allows_host(access: &Access, host: &'static str) -> bool {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        access.allows_host(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn only_names_of_this_machine_and_listed_ones_reach_the_server() {
        let access = access(&["mcp.example.com", "other.example.com:8443"], &[]);
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:8001",
            "[::1]:8001",
            "mcp.example.com:1",
            "other.example.com:8443",
        ] {
            assert!(allows_host(&access, host), "{host}");
        }
        for host in [
            "evil.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "other.example.com",
            "mcp.example.com@evil.com",
            "",
        ] {
            assert!(!allows_host(&access, host), "{host}");
        }
        assert!(!access.allows_host(&Uri::from_static("/mcp"), &HeaderMap::new()), "no host at all");
    }

    #[test]
    fn only_pages_of_this_machine_and_listed_ones_may_call() {
        let access = access(&[], &["https://app.example.com"]);
        for origin in [
            "http://localhost:5173",
            "https://127.0.0.1",
            "http://[::1]:3",
            "https://app.example.com",
            "https://app.example.com:443",
        ] {
            assert!(access.allows_origin(&HeaderValue::from_static(origin)), "{origin}");
        }
        for origin in [
            "http://evil.com",
            "null",
            "http://app.example.com",
            "https://app.example.com:8443",
            "http://localhost.evil.com",
            "file://localhost",
            "",
        ] {
            assert!(!access.allows_origin(&HeaderValue::from_static(origin)), "{origin}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        assert!(
            Access::new(Keys::new(&[]), &["a b".to_owned()], &[])
                .is_err_and(|text| text.contains("MCP_ALLOWED_HOSTS"))
        );
        assert!(
            Access::new(Keys::new(&[]), &[], &["example.com".to_owned()])
                .is_err_and(|text| text.contains("MCP_ALLOWED_ORIGINS"))
        );
    }
}
