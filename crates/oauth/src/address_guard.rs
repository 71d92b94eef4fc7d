//! Where requests may go. The addresses of authorization servers come from servers, who could name anything: this machine, the
//! network behind it, or a cloud's own service.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Most names that are remembered as targets.
const MAX_TARGETS: usize = 64;

/// A request that is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Forbidden {
    /// Secrets would be readable on their way.
    #[error("{0} is not reached over https")]
    Plain(String),
    /// The server names an address that is not for others.
    #[error("{0} is an address of this machine or of a private network")]
    Private(String),
    /// No web address.
    #[error("a URL that is no web address")]
    NotWeb,
}

/// What an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    Loopback,
    Private,
    /// Link-local, where clouds keep their secrets, and all that is no address of one machine.
    Reserved,
}

/// Decides where requests may go, by the MCP server that they are made for.
#[derive(Debug)]
pub(crate) struct AddressGuard {
    /// Its host was given by the user.
    server: Option<Host<String>>,
    loopback: bool,
    private: bool,
    /// Names that requests were made to. Other names are those of proxies, which are the user's own.
    targets: Mutex<HashSet<String>>,
}

impl AddressGuard {
    pub(crate) fn new(server: &Url, private_addresses: bool) -> Self {
        let host = server.host().map(|host| host.to_owned());
        let class = host.as_ref().and_then(literal).map(class);
        let loopback = class == Some(Class::Loopback) || host.as_ref().is_some_and(is_localhost);
        let private = private_addresses || class == Some(Class::Private);
        Self { server: host, loopback, private, targets: Mutex::default() }
    }

    /// Whether a request, or a browser, may go there.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host().map(|host| host.to_owned()).ok_or(Forbidden::NotWeb)?;
        let loopback = is_localhost(&host) || literal(&host).map(class) == Some(Class::Loopback);
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(Forbidden::Plain(host.to_string())),
            _ => return Err(Forbidden::NotWeb),
        }
        let refused = || Err(Forbidden::Private(host.to_string()));
        if loopback {
            return if self.loopback { Ok(()) } else { refused() };
        }
        match literal(&host) {
            Some(address) if Some(&host) != self.server.as_ref() && !self.allows(address) => refused(),
            _ => Ok(()),
        }
    }

    /// As [`AddressGuard::check`], before a request is made. The addresses of a name are checked when they are known.
    pub(crate) fn admit(&self, url: &Url) -> Result<(), Forbidden> {
        self.check(url)?;
        if let Some(Host::Domain(name)) = url.host() {
            let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
            if targets.len() >= MAX_TARGETS && !targets.contains(name) {
                return Err(Forbidden::Private(name.to_owned()));
            }
            targets.insert(name.to_owned());
        }
        Ok(())
    }

    fn allows(&self, address: IpAddr) -> bool {
        match class(address) {
            Class::Public => true,
            Class::Loopback => self.loopback,
            Class::Private => self.private,
            Class::Reserved => false,
        }
    }

    fn is_watched(&self, name: &str) -> bool {
        let is_server = matches!(&self.server, Some(Host::Domain(server)) if server == name);
        !is_server && self.targets.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

/// Looks names up, and leaves out the addresses that requests may not go to.
pub(crate) struct GuardedResolver(pub(crate) Arc<AddressGuard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            if !guard.is_watched(name.as_str()) {
                return Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs);
            }
            let allowed: Vec<_> = found.filter(|address| guard.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Forbidden::Private(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn is_localhost(host: &Host<String>) -> bool {
    let Host::Domain(name) = host else { return false };
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn literal(host: &Host<String>) -> Option<IpAddr> {
    match host {
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
        Host::Domain(_) => None,
    }
}

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| class_v6(address), class_v4),
    }
}

fn class_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, _] = address.octets();
    match (a, b) {
        (127, _) => Class::Loopback,
        (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => Class::Private,
        (0 | 224.., _) | (169, 254) | (198, 18 | 19) => Class::Reserved,
        (192, 0) if c == 0 || c == 2 => Class::Reserved,
        (198, 51) if c == 100 => Class::Reserved,
        (203, 0) if c == 113 => Class::Reserved,
        _ => Class::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> Class {
    let [a, b, c, ..] = address.segments();
    match a {
        _ if address.is_loopback() => Class::Loopback,
        0xfc00..=0xfdff => Class::Private,
        0 | 0xfe80..=0xfeff | 0xff00.. => Class::Reserved,
        0x2001 if b == 0 || b == 0xdb8 => Class::Reserved, // Teredo, documentation
        0x64 if b == 0xff9b && c == 1 => Class::Reserved,  // local translation
        _ => Class::Public,
    }
}

/// The IPv4 address that a mapped, translated (NAT64) or tunnelled (6to4) one leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let ipv4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(ipv4(g, h)),
        [0x2002, ..] => Some(ipv4(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(server: &str) -> AddressGuard {
        AddressGuard::new(&server.parse().unwrap(), false)
    }

    fn check(guard: &AddressGuard, url: &str) -> Result<(), Forbidden> {
        guard.check(&url.parse().unwrap())
    }

    #[test]
    fn a_public_server_cannot_send_requests_into_this_machine_or_a_network() {
        let guard = guard("https://mcp.example.com/mcp");
        for url in [
            "https://127.0.0.1/",
            "http://localhost:80/",
            "https://a.localhost./",
            "https://[::1]/",
            "https://10.0.0.9/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://0.0.0.0/",
            "https://100.64.0.1/",
            "https://2130706433/",
            "https://[::]/",
        ] {
            assert!(matches!(check(&guard, url), Err(Forbidden::Private(_))), "{url}");
        }
        for url in ["https://auth.example.com/token", "https://93.184.216.34/", "https://[2606:2800::1]/"] {
            assert_eq!(check(&guard, url), Ok(()), "{url}");
        }
    }

    #[test]
    fn nothing_goes_over_plain_http_but_to_this_machine() {
        let (public, local) = (guard("https://mcp.example.com/mcp"), guard("http://127.0.0.1:8001/mcp"));
        assert!(matches!(check(&public, "http://auth.example.com/"), Err(Forbidden::Plain(_))));
        assert!(matches!(check(&local, "http://auth.example.com/"), Err(Forbidden::Plain(_))));
        assert!(matches!(check(&local, "http://10.0.0.1/"), Err(Forbidden::Plain(_))));
        assert_eq!(check(&local, "http://localhost:9/token"), Ok(()));
        for url in ["file:///etc/passwd", "javascript:alert(1)", "data:text/html,x"] {
            assert_eq!(check(&public, url), Err(Forbidden::NotWeb), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_for_private_servers_and_for_those_who_allow_them() {
        assert_eq!(check(&guard("https://10.0.0.5/mcp"), "https://10.0.0.9/"), Ok(()));
        let allowed = AddressGuard::new(&"https://mcp.corp/".parse().unwrap(), true);
        assert_eq!(check(&allowed, "https://192.168.0.1/"), Ok(()));
        assert!(check(&allowed, "https://127.0.0.1/").is_err());
        assert!(check(&allowed, "https://169.254.169.254/").is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_found_out_when_it_is_looked_up() {
        let guard = Arc::new(guard("https://mcp.example.com/mcp"));
        guard.targets.lock().unwrap().insert("localhost".to_owned());
        let resolved = GuardedResolver(guard.clone()).resolve("localhost".parse().unwrap()).await;
        assert!(resolved.err().unwrap().downcast::<Forbidden>().is_ok());

        guard.targets.lock().unwrap().clear(); // as if it were the name of a proxy
        assert!(GuardedResolver(guard).resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
