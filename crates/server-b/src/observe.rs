//! Around every request: its id, its trace, its line in the log, its place in the metrics, and problem documents.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use models::Problem;
use telemetry::TraceParent;
use uuid::Uuid;

use crate::{error::ApiError, metrics::Metrics};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Longest id that is taken over from a caller.
const MAX_ID: usize = 64;
const PATHS: [&str; 7] =
    ["/process", "/stream", "/health", "/models", "/config", "/metrics", "/openapi.json"];

/// What is known of the request that is being answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestContext {
    /// The trace it belongs to, if the caller sent one.
    pub(crate) trace: Option<TraceParent>,
    /// When it arrived.
    pub(crate) started: Instant,
}

/// The outermost layer.
pub(crate) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()?.parse().ok());
    let method = method_label(request.method());
    let route = route_label(&request);
    request.extensions_mut().insert(RequestContext { trace, started });

    let mut response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        // The panic's own message is on standard error already.
        ApiError::Internal.into_response()
    });

    if response.status() == StatusCode::NOT_FOUND && response.extensions().get::<Problem>().is_none() {
        // The documentation's own routes know no problem documents.
        response = ApiError::NotFound.into_response();
    }
    let code = write_problem(&mut response, &id);
    let took = started.elapsed();
    log(method, route, &response, took, &id, trace, code.as_deref());
    metrics.request(method, route, response.status().as_u16(), took);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn log(
    method: &str,
    route: &str,
    response: &Response,
    took: Duration,
    id: &HeaderValue,
    trace: Option<TraceParent>,
    code: Option<&str>,
) {
    tracing::info!(
        http.status = response.status().as_u16(),
        duration_ms = took.as_micros() as f64 / 1e3,
        request.id = id.to_str().unwrap_or_default(),
        trace.id = trace.map(|trace| trace.trace_id()),
        error.code = code,
        "{method} {route}"
    );
}

/// The caller's id if it is harmless in a log, otherwise a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let harmless = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=MAX_ID).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(byte))
    };
    headers.get(REQUEST_ID).filter(harmless).cloned().unwrap_or_else(new_id)
}

/// Unique without asking the system for randomness at every request: a random start for each process, then a count.
fn new_id() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| Uuid::new_v4().as_u64_pair().0);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:016x}-{:x}", *PROCESS, COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).expect("hexadecimal digits are a valid header")
}

/// Labels come from a fixed set: what callers invent must not make new time series.
fn route_label(request: &Request) -> &'static str {
    let matched = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match PATHS.into_iter().find(|path| *path == matched) {
        Some(path) => path,
        None if matched.starts_with("/docs") => "/docs",
        None => "unmatched",
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Writes the body of a failure, now that the request's id is known, and gives its code.
fn write_problem(response: &mut Response, id: &HeaderValue) -> Option<String> {
    let mut problem = response.extensions_mut().remove::<Problem>()?;
    problem.request_id = id.to_str().ok().map(str::to_owned);
    let body = serde_json::to_vec(&problem).expect("a problem is plain data");
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    Some(problem.code)
}
