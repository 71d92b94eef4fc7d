//! The client and its calls.

use std::time::Duration;

use futures_util::Stream;
use models::{ConfigResponse, HealthResponse, ModelsResponse, ProcessRequest, ProcessResponse, StreamEvent};
use reqwest::{
    Client, RequestBuilder, Response,
    header::{AUTHORIZATION, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use crate::{ResponderError, answer, events};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for what server-b says about itself: it may ask its provider first, but no model has to think.
const ABOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one server-b. Cheap to build and to share; connections are kept and used again.
#[derive(Debug)]
pub struct ResponderClient {
    http: Client,
    base: Url,
    routes: Routes,
    authorization: Option<HeaderValue>,
    limits: Limits,
}

#[derive(Debug)]
struct Routes {
    process: Url,
    stream: Url,
    health: Url,
    models: Url,
    config: Url,
}

impl Routes {
    fn new(base: &Url) -> Result<Self, SetupError> {
        Ok(Self {
            process: join(base, "process")?,
            stream: join(base, "stream")?,
            health: join(base, "health")?,
            models: join(base, "models")?,
            config: join(base, "config")?,
        })
    }
}

/// What a client waits for and accepts at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest wait for the start of a stream, for its next event, and for what server-b says about itself.
    /// [`ResponderClient::process`] leaves the limit to its caller.
    pub timeout: Duration,
    /// Largest answer in bytes, streamed or not.
    pub answer_bytes: usize,
    /// Longest line of a stream in bytes; one event is one line.
    pub line_bytes: usize,
}

impl Default for Limits {
    /// 120 seconds, 16 MiB and 1 MiB.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), answer_bytes: 16 << 20, line_bytes: 1 << 20 }
    }
}

/// What one message needs besides its content.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The same for every attempt of one message: server-b answers it once.
    pub idempotency_key: &'a str,
    /// W3C trace context to pass on. A value that cannot stand in a header is left out.
    pub traceparent: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// A call under this key, outside of any trace.
    #[must_use]
    pub fn new(idempotency_key: &'a str) -> Self {
        Self { idempotency_key, traceparent: None }
    }

    /// The same call as part of a trace.
    #[must_use]
    pub fn with_traceparent(self, traceparent: &'a str) -> Self {
        Self { traceparent: Some(traceparent), ..self }
    }
}

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL has no place for a path, as in `mailto:`.
    #[error("the URL of server-b must start with http:// or https:// and name a host")]
    Url,
    /// The key has a character that cannot stand in a header. The key is not shown.
    #[error("the key of server-b must be visible ASCII characters")]
    ApiKey,
    /// TLS cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

impl ResponderClient {
    /// A client of the server-b at `base`, which may have a path of its own. Nothing is connected yet.
    ///
    /// `api_keys` is a comma separated list, as server-b accepts it; the first key is sent. Without a key, a user name and
    /// password in the URL are sent (`Authorization: Basic`); with one they are ignored, as a request has one credential.
    ///
    /// # Errors
    /// When the URL is not an HTTP one, the key cannot stand in a header, or TLS cannot be set up.
    pub fn new(base: Url, api_keys: Option<SecretString>, limits: Limits) -> Result<Self, SetupError> {
        let mut http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry messages to a place that nobody configured.
            .redirect(redirect::Policy::none());
        if base.scheme() == "http" {
            // Without redirects no TLS is ever spoken, and reading the system's certificates takes time at start.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(SetupError::Http)?;
        let authorization = match api_keys.as_ref().and_then(first_key) {
            Some(key) => Some(bearer(key)?),
            None => basic(&http, &base),
        };
        let base = without_userinfo(base);
        Ok(Self { http, routes: Routes::new(&base)?, authorization, base, limits })
    }

    /// Where server-b is, without a password, for messages to people.
    #[must_use]
    pub fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Longest wait, as the limits say.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// Asks for the answer in one piece (`POST /process`), for as long as it takes: dropping the call closes its request.
    ///
    /// A caller that wants to try again because it takes too long sends the next request under the same key *before* it
    /// drops this one. Server-b lets it join the call that is under way, which it cancels when no request is left.
    ///
    /// # Errors
    /// When server-b cannot be reached, answers with a problem or with something else.
    pub async fn process(
        &self,
        request: &ProcessRequest,
        call: &Call<'_>,
    ) -> Result<ProcessResponse, ResponderError> {
        let request = message(self.http.post(self.routes.process.clone()).json(request), call);
        self.fetch(request).await
    }

    /// Asks for the answer piece by piece (`POST /stream`).
    ///
    /// The stream yields pieces, then one end, and is over; an error is its last item. Dropping it cancels the request.
    /// Server-b's own failure after the start is [`ResponderError::StreamFailed`], never a [`StreamEvent::Error`].
    ///
    /// # Errors
    /// When server-b cannot be reached, does not start to answer in time, or answers with a problem.
    pub async fn stream(
        &self,
        request: &ProcessRequest,
        call: &Call<'_>,
    ) -> Result<impl Stream<Item = Result<StreamEvent, ResponderError>> + Send + Unpin + use<>, ResponderError>
    {
        let request = message(self.http.post(self.routes.stream.clone()).json(request), call);
        let response = within(self.limits.timeout, self.send(request)).await?;
        Ok(events::decode(response.bytes_stream(), self.limits))
    }

    /// Asks how server-b and its provider are (`GET /health`).
    ///
    /// # Errors
    /// As [`ResponderClient::process`], and when server-b does not answer in time.
    pub async fn health(&self) -> Result<HealthResponse, ResponderError> {
        self.about(&self.routes.health).await
    }

    /// Asks for the models that a message may name (`GET /models`).
    ///
    /// # Errors
    /// As [`ResponderClient::health`].
    pub async fn models(&self) -> Result<ModelsResponse, ResponderError> {
        self.about(&self.routes.models).await
    }

    /// Asks for the defaults of a message that names none (`GET /config`).
    ///
    /// # Errors
    /// As [`ResponderClient::health`].
    pub async fn config(&self) -> Result<ConfigResponse, ResponderError> {
        self.about(&self.routes.config).await
    }

    async fn about<T: DeserializeOwned>(&self, route: &Url) -> Result<T, ResponderError> {
        within(self.limits.timeout.min(ABOUT_TIMEOUT), self.fetch(self.http.get(route.clone()))).await
    }

    async fn fetch<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ResponderError> {
        answer::read(self.send(request).await?, self.limits.answer_bytes).await
    }

    /// Sends the request and waits for the head of an answer that went well.
    async fn send(&self, mut request: RequestBuilder) -> Result<Response, ResponderError> {
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await?;
        if response.status().is_success() { Ok(response) } else { Err(answer::problem(response).await) }
    }
}

fn message(request: RequestBuilder, call: &Call<'_>) -> RequestBuilder {
    let request = request.header("idempotency-key", call.idempotency_key);
    match call.traceparent.and_then(|value| HeaderValue::from_str(value).ok()) {
        Some(traceparent) => request.header("traceparent", traceparent),
        None => request,
    }
}

async fn within<T>(
    after: Duration,
    work: impl Future<Output = Result<T, ResponderError>>,
) -> Result<T, ResponderError> {
    timeout(after, work).await.unwrap_or(Err(ResponderError::TimedOut { after }))
}

/// Appends a segment; `Url::join` would replace the last one of a base without a trailing slash.
fn join(base: &Url, segment: &str) -> Result<Url, SetupError> {
    let mut url = base.clone();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(SetupError::Url);
    }
    url.path_segments_mut().map_err(|()| SetupError::Url)?.pop_if_empty().push(segment);
    Ok(url)
}

fn first_key(keys: &SecretString) -> Option<&str> {
    keys.expose_secret().split(',').map(str::trim).find(|key| !key.is_empty())
}

fn bearer(key: &str) -> Result<HeaderValue, SetupError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| SetupError::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header that reqwest makes of the user name and the password in a URL.
fn basic(http: &Client, url: &Url) -> Option<HeaderValue> {
    let request = http.get(url.clone()).build().ok()?; // a URL that is not an HTTP one is refused with the routes
    let mut value = request.headers().get(AUTHORIZATION)?.clone();
    value.set_sensitive(true);
    Some(value)
}

/// With userinfo in it, a URL would be printed with its password, and add a second credential to every request.
fn without_userinfo(mut url: Url) -> Url {
    // Both only fail for URLs without a host, which are refused with the routes.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> ResponderClient {
        ResponderClient::new(base.parse().unwrap(), None, Limits::default()).unwrap()
    }

    #[test]
    fn the_path_of_the_base_is_kept() {
        for base in ["http://b.test/ai", "http://b.test/ai/"] {
            assert_eq!(client(base).routes.process.as_str(), "http://b.test/ai/process");
        }
        assert_eq!(client("http://b.test:8000").routes.stream.as_str(), "http://b.test:8000/stream");
    }

    #[test]
    fn the_shown_address_has_no_password() {
        let client = client("http://me:secret@b.test:8000/");
        assert_eq!(client.address(), "http://b.test:8000");
        assert!(!format!("{client:?}").contains("secret"), "{client:?}");
    }

    #[test]
    fn the_first_key_of_a_list_is_sent_and_never_printed() {
        let keys = SecretString::from(" ,first-key, second-key");
        let client =
            ResponderClient::new("http://b.test".parse().unwrap(), Some(keys), Limits::default()).unwrap();
        assert_eq!(client.authorization.as_ref().unwrap(), "Bearer first-key");
        assert!(!format!("{client:?}").contains("first-key"));
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_without_showing_it() {
        let keys = Some(SecretString::from("line\nbreak"));
        let error =
            ResponderClient::new("http://b.test".parse().unwrap(), keys, Limits::default()).unwrap_err();
        assert!(!error.to_string().contains("break"), "{error}");
    }

    #[test]
    fn a_url_that_is_not_an_http_one_is_refused() {
        for base in ["mailto:me@b.test", "localhost:8000", "file:///tmp"] {
            let refused = ResponderClient::new(base.parse().unwrap(), None, Limits::default());
            assert!(matches!(refused, Err(SetupError::Url)), "{base}");
        }
    }
}
