//! The HTTP side: where requests go, with which credential, and what is let through of the answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_openai::{
    Client,
    config::{Config, OPENAI_API_BASE},
    error::OpenAIError,
    middleware::HttpRequestFactory,
};
use futures_util::{StreamExt as _, future};
use percent_encoding::percent_decode_str;
use reqwest::{
    Response,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::errors::{Failure, transport};
use crate::{ProviderError, redact::Redactor};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// An error's words are read for this long and no longer: its status is known already.
const ERROR_BODY_LIMIT: Duration = Duration::from_secs(5);
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Far above any answer: the largest models write about half a megabyte, framing makes that a few dozen.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Address and credential of a server. async-openai's own configuration would read the environment besides.
#[derive(Clone)]
pub(super) struct Server {
    base: String,
    key: SecretString,
    headers: HeaderMap,
}

impl Server {
    /// A server at `base_url`, or OpenAI itself. Only OpenAI insists on a key: without one, others are asked without
    /// an `Authorization` header.
    pub(super) fn new(base_url: Option<&str>, key: Option<&SecretString>) -> Result<Self, ProviderError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(|_| {
                    let hint = "OPENAI_API_KEY has a character that no key has".to_owned();
                    ProviderError::NotConfigured { hint }
                })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        } else if base_url.is_none() {
            return Err(ProviderError::NotConfigured { hint: "set OPENAI_API_KEY".to_owned() });
        }
        let base = base_url.unwrap_or(OPENAI_API_BASE).to_owned();
        Ok(Self { base, key: key.cloned().unwrap_or_default(), headers })
    }

    /// A client for this server that sends every request once: whether and when to try again is the caller's decision.
    pub(super) fn client(self, redactor: Arc<Redactor>) -> Result<Client<Self>, ProviderError> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            // A redirect would turn POST into GET, or carry a prompt to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ProviderError::Failed { message: redactor.clean(&error.to_string()) })?;
        for secret in secrets_in_address(&http, &self.base) {
            redactor.remember(&secret);
        }
        let exchange = Exchange { http: http.clone(), redactor };
        let service = tower::service_fn(move |request| exchange.clone().send(request));
        Ok(Client::build(http, self).with_http_service(service))
    }
}

/// What an address like `http://name:password@host` gives away: the password (or the name, where it stands alone), as it is
/// written and as it is meant, and the header that both become.
fn secrets_in_address(http: &reqwest::Client, address: &str) -> Vec<String> {
    let Ok(url) = address.parse::<reqwest::Url>() else { return Vec::new() };
    let written = url.password().unwrap_or(url.username());
    if written.is_empty() {
        return Vec::new();
    }
    let meant = percent_decode_str(written).decode_utf8_lossy().into_owned();
    let mut secrets = vec![written.to_owned(), meant];
    if let Ok(request) = http.get(url).build()
        && let Some(header) = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok())
    {
        secrets.extend(header.strip_prefix("Basic ").map(str::to_owned));
    }
    secrets
}

impl Config for Server {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

/// Sends one request. An error answer is understood here, because async-openai drops its headers and logs its body.
#[derive(Clone)]
struct Exchange {
    http: reqwest::Client,
    redactor: Arc<Redactor>,
}

impl Exchange {
    async fn send(self, request: HttpRequestFactory) -> Result<Response, OpenAIError> {
        self.exchange(request).await.map_err(|failure| OpenAIError::Boxed(Box::new(failure)))
    }

    async fn exchange(&self, request: HttpRequestFactory) -> Result<Response, Failure> {
        let request = request.build().await.map_err(|error| Failure::from_client(error, &self.redactor))?;
        let sent = Instant::now();
        let response = self.http.execute(request).await.map_err(|error| {
            if error.is_timeout() && !error.is_connect() {
                ProviderError::TimedOut { after: sent.elapsed() }
            } else {
                transport(error, &self.redactor)
            }
        })?;
        if response.status().is_success() {
            return Ok(bounded(response));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = start_of(response).await;
        Err(Failure::from_status(status, &headers, &body, sent.elapsed(), &self.redactor))
    }
}

/// The first bytes of an error's body. What cannot be read is done without.
async fn start_of(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    // An elapsed limit is no error: what has come until then is used.
    let _ = timeout(ERROR_BODY_LIMIT, async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_ERROR_BYTES {
                break;
            }
        }
    })
    .await;
    body.truncate(MAX_ERROR_BYTES);
    body
}

/// The same answer, at most [`MAX_ANSWER_BYTES`] of it: async-openai collects whole answers in memory, and hands pieces on
/// through a channel without a bound. An answer that is cut here fails as one without its end.
fn bounded(response: Response) -> Response {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes_stream().scan(0, |seen, chunk| {
        *seen += chunk.as_ref().map_or(0, |chunk| chunk.len());
        future::ready((*seen <= MAX_ANSWER_BYTES).then_some(chunk))
    });
    let mut bounded = http::Response::new(reqwest::Body::wrap_stream(body));
    *bounded.status_mut() = status;
    *bounded.headers_mut() = headers;
    bounded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_a_secret_in_every_form() {
        let secrets = |address| secrets_in_address(&reqwest::Client::new(), address);
        assert_eq!(secrets("http://me:p%40ss@host/v1"), ["p%40ss", "p@ss", "bWU6cEBzcw=="]);
        assert_eq!(secrets("https://token@host/v1"), ["token", "token", "dG9rZW46"]);
        assert!(secrets("http://host:8000/v1").is_empty());
    }
}
