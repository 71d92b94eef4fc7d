//! HTTP as all network transports use it: one client, its headers, and what its answers mean.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use reqwest::{Client, RequestBuilder, Response, redirect};
use secrecy::ExposeSecret as _;
use url::{Host, Url};

use super::{ConnectError, ConnectOptions, authorizer::Authorization, link::LinkError};

/// Calls that may be under way at the same time; more wait for their turn. rmcp's own limit of 16 is little for a gateway.
pub(crate) const MAX_REQUESTS: usize = 128;
/// A connection that nothing used for so long is not used again: the other side may be about to close it, as servers on Node do
/// after 5 seconds.
const IDLE: Duration = Duration::from_secs(4);
/// After so long without traffic, and this often then, the system asks whether the other machine is still there. Streams
/// of events need that: nothing is ever written to them.
const TCP_KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
const MAX_REDIRECTS: usize = 5;

/// The HTTP requests to one server, for shared use by concurrent ones.
pub(crate) struct Http {
    client: Client,
    headers: HeaderMap,
    authorization: Authorization,
}

impl Http {
    pub(crate) fn new(url: &Url, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let (client, headers) = (client(url, options)?, headers(url, options)?);
        Ok(Self { client, headers, authorization: Authorization::new(url, options)? })
    }

    /// Sends a request, and again with another token when it is refused. Everything but 2xx is an error.
    pub(crate) async fn send(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, LinkError> {
        let mut attempts = self.authorization.attempts().await?;
        loop {
            let headers = authorized(self.headers.clone(), attempts.credential());
            let sent = request(&self.client).headers(headers).send().await;
            let answer = sent.map_err(|error| LinkError::Http(error.without_url())); // the query may hold a key
            if let Some(outcome) = attempts.settle(answer.and_then(accepted)).await {
                return outcome;
            }
        }
    }
}

/// The headers with this credential in the place of any other.
pub(crate) fn authorized(mut headers: HeaderMap, credential: Option<HeaderValue>) -> HeaderMap {
    if let Some(credential) = credential {
        headers.insert(AUTHORIZATION, credential);
    }
    headers
}

/// A client for this URL and no other origin.
pub(crate) fn client(url: &Url, options: &ConnectOptions) -> Result<Client, ConnectError> {
    let (idle, interval, retries) = TCP_KEEP_ALIVE;
    let mut client = Client::builder()
        // While we connect the whole handshake is bounded, which tells more; this is for the calls that come later.
        .connect_timeout(options.timeout * 2)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .tcp_keepalive(idle)
        .tcp_keepalive_interval(interval)
        .tcp_keepalive_retries(retries)
        .redirect(same_origin());
    if is_loopback(url) {
        client = client.no_proxy(); // a proxy elsewhere cannot reach this machine's own servers
    }
    if url.scheme() == "http" {
        // Redirects never leave the origin, so no TLS is ever spoken, and reading the system's certificates takes time.
        client = client.tls_certs_only([]);
    }
    client.build().map_err(|_| ConnectError::Setup("the HTTP client cannot be set up"))
}

/// What is sent with every request: the headers of the options and one credential.
pub(crate) fn headers(url: &Url, options: &ConnectOptions) -> Result<HeaderMap, ConnectError> {
    let mut headers = options.headers.clone();
    let credential = match &options.bearer {
        Some(key) => Some(format!("Bearer {}", key.expose_secret())),
        None => basic(url),
    };
    if let Some(credential) = credential {
        let unfit = |_| ConnectError::Setup("the key must be visible ASCII characters");
        let mut value = HeaderValue::try_from(credential).map_err(unfit)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The user name and password of a URL as a credential.
fn basic(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    // reqwest knows how to encode them.
    let request = Client::new().get(url.clone()).build().ok()?;
    let value = request.headers().get(AUTHORIZATION)?;
    value.to_str().ok().map(str::to_owned)
}

/// The answer, if it is one: everything but 2xx is an error.
fn accepted(response: Response) -> Result<Response, LinkError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let challenge = challenge(response.headers()).map(str::to_owned);
    let retry_after = retry_after(response.headers());
    Err(LinkError::Status { status, challenge, retry_after })
}

/// What a server that refuses asks for.
pub(crate) fn challenge(headers: &HeaderMap) -> Option<&str> {
    let challenges = || headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    challenges().find(|challenge| starts_with_bearer(challenge)).or_else(|| challenges().next())
}

fn starts_with_bearer(challenge: &str) -> bool {
    challenge.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
}

/// How long the server wants to be left alone. Nobody sends dates here.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whether the path is wrong, or no MCP server is behind it.
pub(crate) fn is_wrong_place(status: StatusCode) -> bool {
    status.is_client_error() || status.is_redirection()
}

/// Whether the status is about this one request: what it says, or how large it is. Others may be accepted.
pub(crate) fn is_about_request(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::LENGTH_REQUIRED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::EXPECTATION_FAILED
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS
    )
}

/// Only to the same origin, as the credentials go along; and only so that a POST stays one.
fn same_origin() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let keeps_body =
            matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        let first = attempt.previous().first();
        let stays = first.is_some_and(|first| first.origin() == attempt.url().origin());
        if keeps_body && stays && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
