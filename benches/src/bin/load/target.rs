//! Where a load goes: an HTTP URL on this machine.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context, ensure};

/// An `http://` URL whose address is a loopback address.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    authority: String,
    path: String,
}

impl Target {
    /// The bytes of a keep-alive request: POST with `data`, otherwise GET.
    pub(crate) fn request(&self, accept: &str, data: Option<&str>) -> Vec<u8> {
        let accept = format!("Accept: {accept}\r\n");
        match data {
            Some(data) => self.post(&accept, data),
            None => self.get(&accept),
        }
    }

    /// A POST of JSON with more headers: whole lines.
    pub(crate) fn post(&self, headers: &str, data: &str) -> Vec<u8> {
        let Self { authority, path, .. } = self;
        let length = data.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\n{headers}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{data}"
        )
        .into_bytes()
    }

    /// A GET with more headers: whole lines.
    pub(crate) fn get(&self, headers: &str) -> Vec<u8> {
        let Self { authority, path, .. } = self;
        format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{headers}\r\n").into_bytes()
    }

    /// Another path of the same server.
    pub(crate) fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("must begin with http://")?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let numeric = authority.replacen("localhost:", "127.0.0.1:", 1);
        let address: SocketAddr = numeric.parse().context("must have a numeric address and a port")?;
        ensure!(
            address.ip().is_loopback(),
            "must be a loopback address: this load is for servers on this machine"
        );
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { address, authority: authority.to_owned(), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_targets() {
        for url in ["http://127.0.0.1:8000/process", "http://localhost:8000", "http://[::1]:8000/x"] {
            assert!(url.parse::<Target>().is_ok(), "{url}");
        }
        for url in
            ["http://10.0.0.1:80/", "http://example.org:80/", "https://127.0.0.1:1/", "http://0.0.0.0:80/"]
        {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_request_has_a_body_only_when_there_is_data() {
        let target: Target = "http://127.0.0.1:8000/process".parse().unwrap();
        assert_eq!(
            target.request("*/*", Some("{}")),
            b"POST /process HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: */*\r\n\
              Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        assert!(target.request("*/*", None).starts_with(b"GET /process HTTP/1.1\r\n"));
    }
}
