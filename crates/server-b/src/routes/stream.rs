//! `POST /stream`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue},
    response::{
        AppendHeaders, IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{StreamExt as _, stream};
use models::{DONE, Problem, ProcessRequest, StreamEnd, StreamError, StreamPiece};

use crate::{app::App, asked::Asked, error::ApiError, responder::StreamedItem};

/// Proxies and clients give up on a connection that is silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// nginx holds a streamed answer back without this.
const UNBUFFERED: AppendHeaders<[(HeaderName, HeaderValue); 1]> =
    AppendHeaders([(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))]);

/// Answers one message piece by piece, as Server-Sent Events.
///
/// Each piece is `data: {"content":"…"}`, then comes one `data: {"usage":{…},"model":"…","processingTime":…}`, then
/// `data: [DONE]`. An error after the first byte is `data: {"error":"…","code":"…"}` and the end. A caller that goes away
/// cancels the call to the provider.
#[utoipa::path(
    post, path = "/stream", tag = "messages", request_body = ProcessRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "As for /process; a repeated request gets the recorded answer as one piece")),
    responses(
        (status = 200, description = "The answer; before its end is sent it is recorded", body = models::StreamEvent, content_type = "text/event-stream"),
        (status = "4XX", description = "As for /process", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "As for /process", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Asked { question, slot }: Asked,
) -> Result<impl IntoResponse, ApiError> {
    let items = app.responder.clone().stream(question).await?;
    let items = app.streams.carry(items, slot);
    let events =
        items.flat_map(|item| stream::iter(events(item).into_iter().flatten().map(Ok::<_, Infallible>)));
    Ok((UNBUFFERED, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))))
}

fn events(item: StreamedItem) -> [Option<Event>; 2] {
    match item {
        StreamedItem::Piece(content) => [Some(json(&StreamPiece { content })), None],
        StreamedItem::End(answer) => {
            let end: StreamEnd = answer.stream_end();
            [Some(json(&end)), Some(Event::default().data(DONE))]
        }
        StreamedItem::Failed(error) => {
            tracing::warn!(error.code = error.code(), "a stream broke off");
            let error: StreamError = broken(&error);
            [Some(json(&error)), None]
        }
    }
}

fn broken(error: &ApiError) -> StreamError {
    StreamError { error: error.detail(), code: error.code().to_owned() }
}

fn json(data: &impl serde::Serialize) -> Event {
    Event::default().json_data(data).expect("events are plain data")
}
