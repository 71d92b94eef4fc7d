//! Upstreams: where they are, and how they are used.

use std::time::Duration;

use gateway::{
    Balance, Breaker, CacheScope, CacheSettings, Reach, Replica, Retries, Sessions, UpstreamSettings,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_transport::{Address, ConnectOptions, Era, NetworkTransport, ServerCommand};
use resilience::Backoff;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Reader, is_name, rules::Kind};
use crate::config::{
    document::{
        BalanceDocument, BreakerDocument, CacheDocument, EraDocument, RetryDocument, ScopeDocument,
        SessionsDocument, TransportDocument, UpstreamDocument,
    },
    values::At,
};

const MAX_REPLICAS: usize = 64;
const MAX_CONCURRENCY: u32 = 100_000;

impl Reader<'_> {
    pub(super) fn upstream(&mut self, upstream: &At<UpstreamDocument>) -> UpstreamSettings {
        let mut settings = UpstreamSettings::new(self.replicas(upstream));
        self.time(upstream.connect_timeout.as_ref(), &mut settings.connect_timeout);
        self.time(upstream.call_timeout.as_ref(), &mut settings.call_timeout);
        self.time(upstream.health_interval.as_ref(), &mut settings.health_interval);
        if let Some(prefix) = &upstream.prefix {
            if prefix.is_empty() || is_name(prefix) {
                settings.prefix = Some(prefix.to_string());
            } else {
                self.problem(prefix.place(), "a prefix is empty, or has up to 40 letters, digits and _ -");
            }
        }
        if let Some(number) = self.number(upstream.concurrency.as_ref(), 1, MAX_CONCURRENCY) {
            settings.concurrency = number as usize;
        }
        if let Some(number) = self.number(upstream.queue.as_ref(), 0, MAX_CONCURRENCY) {
            settings.queue = number as usize;
        }
        if let Some(stop) = &upstream.idle_stop {
            if upstream.command.is_none() {
                self.problem(stop.place(), "only an upstream with a command can be stopped");
            }
            let mut time = Duration::MAX;
            self.time(Some(stop), &mut time);
            settings.idle_stop = Some(time);
        }
        settings.balance = match upstream.balance {
            Some(BalanceDocument::LeastBusy) => Balance::LeastBusy,
            Some(BalanceDocument::RoundRobin) | None => Balance::RoundRobin,
        };
        settings.sessions = match upstream.sessions {
            Some(SessionsDocument::PerClient) => Sessions::PerClient,
            Some(SessionsDocument::Shared) | None => Sessions::Shared,
        };
        settings.era = match upstream.era {
            Some(EraDocument::Modern) => Era::Modern,
            Some(EraDocument::Legacy) => Era::Legacy,
            Some(EraDocument::Auto) | None => Era::Auto,
        };
        if let Some(breaker) = &upstream.breaker {
            self.breaker(breaker, &mut settings.breaker);
        }
        if let Some(retry) = &upstream.retry {
            self.retries(retry, &mut settings.retries);
        }
        settings.rules = self.rules(upstream).into();
        settings.cache = upstream.cache.as_ref().map(|cache| self.cache(cache));
        settings
    }

    fn breaker(&mut self, document: &BreakerDocument, breaker: &mut Breaker) {
        if let Some(failures) = self.number(document.failures.as_ref(), 1, 1_000) {
            breaker.failures = failures;
        }
        self.time(document.open.as_ref(), &mut breaker.open);
    }

    fn retries(&mut self, document: &RetryDocument, retries: &mut Retries) {
        let mut backoff: Backoff = retries.backoff;
        if let Some(attempts) = self.number(document.attempts.as_ref(), 1, 10) {
            backoff.attempts = attempts;
        }
        self.time(document.base.as_ref(), &mut backoff.base);
        self.time(document.max.as_ref(), &mut backoff.max);
        retries.backoff = backoff;
        retries.repeat = self.patterns(Kind::Tools, &document.repeat);
        retries.never_repeat = self.patterns(Kind::Tools, &document.never_repeat);
    }

    fn cache(&mut self, document: &CacheDocument) -> CacheSettings {
        let mut time_to_live = Duration::MAX;
        self.time(Some(&document.ttl), &mut time_to_live);
        let scope = match document.scope {
            Some(ScopeDocument::Public) => CacheScope::Public,
            Some(ScopeDocument::Private) | None => CacheScope::Private,
        };
        CacheSettings { time_to_live, scope }
    }

    fn replicas(&mut self, upstream: &At<UpstreamDocument>) -> Vec<Replica> {
        match (&upstream.command, &upstream.url, &upstream.replicas) {
            (Some(command), None, None) => self.command(upstream, command).into_iter().collect(),
            (None, Some(url), None) => self.network(upstream, std::slice::from_ref(url)),
            (None, None, Some(urls)) if urls.is_empty() || urls.len() > MAX_REPLICAS => {
                self.problem(urls.place(), "allowed are 1 to 64 replicas");
                Vec::new()
            }
            (None, None, Some(urls)) => self.network(upstream, urls),
            (None, None, None) => {
                self.problem(upstream.place(), "an upstream needs a url, replicas or a command");
                Vec::new()
            }
            _ => {
                self.problem(upstream.place(), "an upstream has one of url, replicas and command");
                Vec::new()
            }
        }
    }

    fn command(&mut self, upstream: &UpstreamDocument, command: &At<Vec<At<String>>>) -> Option<Replica> {
        let network = [(upstream.bearer.as_ref(), "bearer"), (upstream.headers.values().next(), "headers")];
        for (value, name) in network {
            if let Some(value) = value {
                self.problem(
                    value.place(),
                    format!("{name} is for upstreams with a url: a command gets its keys in environment"),
                );
            }
        }
        if upstream.transport.is_some() {
            self.problem(command.place(), "an upstream with a command has no transport");
        }
        let mut words = command.iter();
        let Some(program) =
            words.next().and_then(|program| self.expanded(program)).filter(|word| !word.is_empty())
        else {
            self.problem(command.place(), "the command needs a program");
            return None;
        };
        let mut server = ServerCommand::new(self.program(&program));
        // What is wrong is told, so that it does not matter what stands in its place.
        for word in words {
            server = server.argument(self.expanded(word).unwrap_or_default());
        }
        for (name, value) in &upstream.environment {
            if name.is_empty() || name.contains(['=', '\0']) {
                self.problem(value.place(), "this is no name of a variable");
            }
            let value = self.secret(value).unwrap_or_default();
            server = server.variable(name, value.expose_secret());
        }
        if let Some(directory) = &upstream.directory
            && let Some(path) = self.expanded(directory)
        {
            server = server.directory(self.source.path(&path));
        }
        Some(Replica {
            reach: Reach::Address(server.into()),
            options: self.options(upstream, HeaderMap::new(), None),
        })
    }

    /// A path begins at the file's folder; a name alone is looked for in `PATH`.
    fn program(&self, program: &str) -> String {
        if program.contains(['/', std::path::MAIN_SEPARATOR]) {
            self.source.path(program).to_string_lossy().into_owned()
        } else {
            program.to_owned()
        }
    }

    fn network(&mut self, upstream: &UpstreamDocument, urls: &[At<String>]) -> Vec<Replica> {
        for (value, name) in [
            (upstream.environment.values().next(), "environment"),
            (upstream.directory.as_ref(), "directory"),
        ] {
            if let Some(value) = value {
                self.problem(value.place(), format!("{name} is for upstreams with a command"));
            }
        }
        let bearer = upstream.bearer.as_ref().and_then(|bearer| {
            let secret = self.secret(bearer)?;
            let fits = settings::header_secret(secret.expose_secret());
            self.or_problem(bearer.place(), fits)
        });
        let headers = self.headers(upstream);
        let mut replicas = Vec::new();
        for url in urls {
            let Some(text) = self.expanded(url) else { continue };
            let Some(address) = self.or_problem(url.place(), network_address(&text)) else { continue };
            let address = match upstream.transport {
                None => address,
                Some(TransportDocument::Http) => address.with_transport(NetworkTransport::Http),
                Some(TransportDocument::Sse) => address.with_transport(NetworkTransport::Sse),
                Some(TransportDocument::Websocket) => address.with_transport(NetworkTransport::WebSocket),
            };
            replicas.push(Replica {
                reach: Reach::Address(address),
                options: self.options(upstream, headers.clone(), bearer.clone()),
            });
        }
        replicas
    }

    fn headers(&mut self, upstream: &UpstreamDocument) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &upstream.headers {
            let Some(secret) = self.secret(value) else { continue };
            match (HeaderName::try_from(name), HeaderValue::try_from(secret.expose_secret())) {
                (Ok(name), Ok(mut header)) => {
                    header.set_sensitive(true);
                    headers.append(name, header);
                }
                (Err(_), _) => self.problem(value.place(), "this is no name of a header"),
                (_, Err(_)) => {
                    self.problem(value.place(), "a header's value has visible ASCII characters only")
                }
            }
        }
        headers
    }

    fn options(
        &mut self,
        upstream: &UpstreamDocument,
        headers: HeaderMap,
        bearer: Option<SecretString>,
    ) -> ConnectOptions {
        let mut options = ConnectOptions { headers, bearer, ..ConnectOptions::default() };
        if let Some(bytes) = self.number(upstream.max_message_bytes.as_ref(), 1_024, 1 << 30) {
            options.message_bytes = bytes as usize;
        }
        options
    }
}

fn network_address(text: &str) -> Result<Address, String> {
    let has_scheme = ["http://", "https://", "ws://", "wss://"].iter().any(|scheme| text.starts_with(scheme));
    if !has_scheme {
        return Err("a url begins with http://, https://, ws:// or wss://".to_owned());
    }
    text.parse().map_err(|error: mcp_transport::AddressError| error.to_string())
}
