//! From what is written to what is meant.

use std::time::Duration;

use gateway::{Balance, Breaker, Reach, Replica, Retries, Sessions, Settings, UpstreamSettings};
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_transport::{Address, ConnectOptions, Era, NetworkTransport, ServerCommand};
use resilience::Backoff;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Config,
    document::{
        BalanceDocument, BreakerDocument, Document, EraDocument, RetryDocument, SessionsDocument,
        TransportDocument, UpstreamDocument,
    },
    problems::{Place, Problems},
    source::Source,
    values::At,
};

/// Most upstreams, and most replicas of one.
const MAX_UPSTREAMS: usize = 256;
const MAX_REPLICAS: usize = 64;
const MAX_CONCURRENCY: u32 = 100_000;
const MIN_STATE_KEY: usize = 32;

/// What a document means. What is wrong with it goes to `problems`, and something else into its place.
pub(super) fn config(document: &Document, source: &Source, problems: &mut Problems) -> Config {
    let mut settings = Settings::default();
    let mut reader = Reader { source, problems };
    let listen = document.listen.as_ref().and_then(|listen| {
        let text = reader.expanded(listen)?;
        let parsed = text.replace("localhost:", "127.0.0.1:").parse();
        reader.or_problem(
            listen.place(),
            parsed.map_err(|_| "allowed is an address and a port, such as 127.0.0.1:8080"),
        )
    });
    if let Some(separator) = &document.separator {
        let fits = (1..=4).contains(&separator.len())
            && separator.chars().all(|char| char.is_ascii_alphanumeric() || "_-./".contains(char));
        if fits {
            settings.separator = separator.to_string();
        } else {
            reader.problem(separator.place(), "allowed are 1 to 4 letters, digits and _ - . /");
        }
    }
    settings.state_key = document.state_key.as_ref().and_then(|key| {
        let secret = reader.secret(key)?;
        let long = secret.expose_secret().len() >= MIN_STATE_KEY;
        reader.or_problem(key.place(), long.then_some(secret).ok_or("the key needs at least 32 characters"))
    });
    for (index, (name, upstream)) in document.upstream.iter().enumerate() {
        if index == MAX_UPSTREAMS {
            reader.problem(upstream.place(), "there are more than 256 upstreams");
            break;
        }
        if !is_name(name) {
            reader.problem(upstream.place(), "an upstream's name has 1 to 40 letters, digits and _ -");
        }
        settings.upstreams.insert(name.clone(), reader.upstream(upstream));
    }
    if document.upstream.is_empty() {
        reader.problem(Place::default(), "there is no upstream: add a section such as [upstream.files]");
    }
    Config { listen, gateway: settings }
}

/// Whether an upstream may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    (1..=40).contains(&name.len()) && name.chars().all(fits)
}

struct Reader<'r> {
    source: &'r Source,
    problems: &'r mut Problems,
}

impl Reader<'_> {
    fn problem(&mut self, place: Place, reason: impl Into<String>) {
        self.problems.add(place, reason);
    }

    fn or_problem<T>(&mut self, place: Place, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|reason| self.problem(place, reason)).ok()
    }

    fn expanded(&mut self, text: &At<String>) -> Option<String> {
        let expanded = self.source.expand(text);
        self.or_problem(text.place(), expanded)
    }

    fn secret(&mut self, text: &At<String>) -> Option<SecretString> {
        let secret = self.source.secret(text);
        self.or_problem(text.place(), secret)
    }

    fn time(&mut self, text: Option<&At<String>>, place: &mut Duration) {
        if let Some(text) = text
            && let Some(time) = self.or_problem(text.place(), settings::time(text))
        {
            *place = time;
        }
    }

    fn number(&mut self, number: Option<&At<u32>>, least: u32, most: u32) -> Option<u32> {
        let number = number?;
        let fits = (least..=most).contains(number);
        self.or_problem(
            number.place(),
            fits.then_some(**number).ok_or(format!("allowed is {least} to {most}")),
        )
    }

    fn upstream(&mut self, upstream: &At<UpstreamDocument>) -> UpstreamSettings {
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
        retries.repeat.clone_from(&document.repeat);
        retries.never_repeat.clone_from(&document.never_repeat);
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
