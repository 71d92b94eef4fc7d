//! Server-Sent Events, decoded in time that grows with their size and no faster, and bounded.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use reqwest::Response;

use super::link::LinkError;

pub(crate) const EVENT_STREAM: &str = "text/event-stream";
/// An id of an event that is longer is not kept: it would have to fit into a header.
const LONGEST_ID: usize = 1 << 10;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name; `message` when it has none.
    pub(crate) name: Cow<'static, str>,
    pub(crate) data: Bytes,
}

/// An event was larger than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Puts events together from chunks of bytes, wherever these are cut.
pub(crate) struct Decoder {
    limit: usize,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    name: Bytes,
    data: Data,
    id: Option<Bytes>,
    last_id: Option<Bytes>,
    retry: Option<Duration>,
    after_return: bool,
    at_start: bool,
}

/// The data of an event so far. That of one line, as nearly all are, is not copied.
#[derive(Default)]
enum Data {
    #[default]
    None,
    Line(Bytes),
    Lines(Vec<u8>),
}

impl Decoder {
    /// `limit` bounds one event, and one line of it.
    pub(crate) fn new(limit: usize) -> Self {
        let (line, name, data) = Default::default();
        let (id, last_id, retry) = Default::default();
        Self { limit, line, name, data, id, last_id, retry, after_return: false, at_start: true }
    }

    /// The id of the last event, or of one before it, from which a server can go on.
    pub(crate) fn last_id(&self) -> Option<&Bytes> {
        self.last_id.as_ref()
    }

    /// How long the server wants to be left alone before the stream is opened again.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes from `chunk` until an event is complete; `None` means that all was taken.
    pub(crate) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, TooLarge> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.after_return) && chunk.starts_with(b"\n") {
                let _ = chunk.split_to(1);
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', chunk);
            self.check(end.unwrap_or(chunk.len()))?;
            let Some(end) = end else {
                self.line.extend_from_slice(&chunk.split_off(0));
                return Ok(None);
            };
            let mut line = chunk.split_to(end);
            self.after_return = chunk.split_to(1).as_ref() == b"\r";
            if !self.line.is_empty() {
                self.line.extend_from_slice(&line);
                line = std::mem::take(&mut self.line).into();
            }
            if let Some(event) = self.end_line(line) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn check(&self, more: usize) -> Result<(), TooLarge> {
        let size = self.line.len() + self.data.len() + self.name.len() + more;
        if size > self.limit { Err(TooLarge) } else { Ok(()) }
    }

    fn end_line(&mut self, mut line: Bytes) -> Option<Event> {
        if std::mem::take(&mut self.at_start) && line.starts_with(b"\xEF\xBB\xBF") {
            let _ = line.split_to(3);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let colon = memchr::memchr(b':', &line).unwrap_or(line.len());
        let field = line.split_to(colon);
        let skipped = if line.starts_with(b": ") { 2 } else { line.len().min(1) };
        let value = line.split_off(skipped);
        match &*field {
            b"event" => self.name = value,
            b"data" => self.data.add(value),
            b"id" if value.len() <= LONGEST_ID && !value.contains(&0) => self.id = Some(value),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let milliseconds = std::str::from_utf8(&value).ok().and_then(|value| value.parse().ok());
                self.retry = milliseconds.map(Duration::from_millis).or(self.retry);
            }
            _ => {} // comments and what only browsers need
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        if let Some(id) = self.id.take() {
            // An empty one means that nothing can go on from here.
            self.last_id = (!id.is_empty()).then_some(id);
        }
        let data = std::mem::take(&mut self.data).bytes()?;
        let name = match &*name {
            b"" | b"message" => Cow::Borrowed("message"),
            name => String::from_utf8_lossy(name).into_owned().into(),
        };
        Some(Event { name, data })
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Line(data) => data.len(),
            Self::Lines(data) => data.len(),
        }
    }

    fn add(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Self::None => Self::Line(line),
            Self::Line(first) => Self::Lines([&first[..], &line].join(&b'\n')),
            Self::Lines(mut lines) => {
                lines.push(b'\n');
                lines.extend_from_slice(&line);
                Self::Lines(lines)
            }
        };
    }

    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Line(data) => Some(data),
            Self::Lines(data) => Some(data.into()),
        }
    }
}

/// The events of an answer.
pub(crate) struct Events {
    response: Option<Response>,
    chunk: Bytes,
    decoder: Decoder,
}

impl Events {
    pub(crate) fn new(response: Response, limit: usize) -> Result<Self, LinkError> {
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
        if !kind.starts_with(EVENT_STREAM) {
            return Err(LinkError::NotMcp(format!("it answers with {kind} instead of a stream of events")));
        }
        Ok(Self { response: Some(response), chunk: Bytes::new(), decoder: Decoder::new(limit) })
    }

    /// The next event; `None` at the end. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, LinkError> {
        loop {
            let event = self.decoder.next(&mut self.chunk);
            let limit = self.decoder.limit;
            let event = event.map_err(|TooLarge| {
                LinkError::TooLarge(format!("it sent a message of more than {limit} bytes"))
            })?;
            if event.is_some() {
                return Ok(event);
            }
            let Some(response) = &mut self.response else { return Ok(None) };
            match response.chunk().await.map_err(|error| LinkError::Http(error.without_url()))? {
                Some(chunk) => self.chunk = chunk,
                None => self.close(),
            }
        }
    }

    /// What is known of where the stream can go on.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// What the events are read from.
    pub(crate) fn into_response(self) -> Option<Response> {
        self.response
    }

    pub(crate) fn close(&mut self) {
        self.response = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<(String, String)>, Decoder);

    fn decode(chunks: &[&[u8]], limit: usize) -> Result<Read, TooLarge> {
        let mut decoder = Decoder::new(limit);
        let mut events = Vec::new();
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(event) = decoder.next(&mut chunk)? {
                events.push((event.name.into_owned(), String::from_utf8(event.data.to_vec()).unwrap()));
            }
        }
        Ok((events, decoder))
    }

    const STREAM: &str = "\u{feff}event: endpoint\r\ndata: /message?id=1\r\n\r\n: ping\n\nid: 3\ndata:{\"a\":\n\
        data: 1}\ndata: \nretry: 5\n\ndata\n\rdata: last\r\revent: empty\n\nid: 4\nretry: soon\n\nid: 5\ndata: cut off";

    #[test]
    fn events_are_read_as_the_standard_says_however_the_bytes_are_cut() {
        let expected = [
            ("endpoint", "/message?id=1"),
            ("message", "{\"a\":\n1}\n"),
            ("message", ""),
            ("message", "last"),
        ]
        .map(|(name, data)| (name.to_owned(), data.to_owned()));
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let chunks: Vec<_> = bytes.chunks(size).collect();
            let (events, decoder) = decode(&chunks, 100).unwrap();
            assert_eq!(events, expected, "{size}");
            assert_eq!(decoder.retry(), Some(Duration::from_millis(5)), "{size}");
            assert_eq!(decoder.last_id().unwrap(), "4", "{size}"); // the last one is not complete
        }
    }

    #[test]
    fn an_id_that_nothing_can_go_on_from_is_not_kept() {
        for id in ["", "a\0b", &"x".repeat(LONGEST_ID + 1)] {
            let (_, decoder) = decode(&[b"id: ", id.as_bytes(), b"\ndata: 1\n\n"], 2000).unwrap();
            assert_eq!(decoder.last_id(), None, "{id}");
        }
        let (_, decoder) = decode(&[b"id: 1\ndata: 1\n\nid\ndata: 2\n\n"], 100).unwrap();
        assert_eq!(decoder.last_id(), None);
        let (_, decoder) = decode(&[b"id: 1\ndata: 1\n\ndata: 2\n\n"], 100).unwrap();
        assert_eq!(decoder.last_id().unwrap(), "1");
    }

    #[test]
    fn an_event_over_the_limit_is_refused_and_many_small_ones_are_not() {
        let line = format!("data: {}\n", "x".repeat(60));
        let two = decode(&[line.as_bytes(), b"\n", line.as_bytes(), b"\n"], 100).unwrap();
        assert_eq!(two.0.len(), 2);
        assert_eq!(decode(&[line.as_bytes(), line.as_bytes()], 100).err(), Some(TooLarge));
        assert_eq!(decode(&[&[b'x'; 101]], 100).err(), Some(TooLarge));
        assert_eq!(decode(&[&[b'x'; 60], &[b'x'; 60]], 100).err(), Some(TooLarge));
    }
}
