//! `proxy-floor ADDRESS UPSTREAM`: the least gateway. It passes bodies on to one upstream and streams the answers back, and reads
//! neither: the floor of mcp-gateway.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    serve::ListenerExt as _,
};
use clap::Parser;
use tokio::net::TcpListener;

/// The least gateway, the floor of mcp-gateway.
#[derive(Parser)]
struct Options {
    /// Where to listen.
    address: SocketAddr,
    /// Where everything goes, such as `http://127.0.0.1:9100`.
    upstream: String,
}

#[derive(Clone)]
struct Upstream {
    http: reqwest::Client,
    base: String,
}

/// Headers of requests that go on to the upstream.
const REQUEST: [HeaderName; 6] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];
/// Headers of answers that go back.
const ANSWER: [HeaderName; 3] =
    [header::CONTENT_TYPE, header::CONTENT_LENGTH, HeaderName::from_static("mcp-session-id")];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { address, upstream } = Options::parse();
    let http = reqwest::Client::builder().no_proxy().build().context("no HTTP client")?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("{address} cannot be bound"))?;
    // Nagle's algorithm holds the small writes of a stream back until the peer's delayed acknowledgement (40 ms).
    let listener = listener.tap_io(|socket| {
        socket.set_nodelay(true).ok(); // fails on a connection that is already closed, and then nothing is lost
    });
    let router = Router::new().fallback(pass_on).with_state(Upstream { http, base: upstream });
    axum::serve(listener, router).await.context("proxy-floor stopped")
}

async fn pass_on(
    State(upstream): State<Upstream>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = upstream.http.request(method, format!("{}{}", upstream.base, uri.path())).body(body);
    match request.headers(only(&headers, &REQUEST)).send().await {
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        Ok(answer) => {
            let (status, headers) = (answer.status(), only(answer.headers(), &ANSWER));
            (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
        }
    }
}

fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    names.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}
