//! Server-Sent Events, decoded in time that grows with their size and no faster, and bounded.

use bytes::Bytes;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; `message` when it has none.
    pub(super) name: String,
    pub(super) data: Vec<u8>,
}

/// An event was larger than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Puts events together from chunks of bytes, wherever these are cut.
pub(super) struct Decoder {
    limit: usize,
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_return: bool,
    at_start: bool,
}

impl Decoder {
    /// `limit` bounds one event, and one line of it.
    pub(super) fn new(limit: usize) -> Self {
        let (line, name, data) = Default::default();
        Self { limit, line, name, data, has_data: false, after_return: false, at_start: true }
    }

    /// Takes from `chunk` until an event is complete; `None` means that all was taken.
    pub(super) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, TooLarge> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.after_return) && chunk.starts_with(b"\n") {
                let _ = chunk.split_to(1);
                continue;
            }
            let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.extend(&chunk.split_off(0))?;
                return Ok(None);
            };
            let line = chunk.split_to(end);
            self.extend(&line)?;
            self.after_return = chunk.split_to(1).as_ref() == b"\r";
            if let Some(event) = self.end_line() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if self.line.len() + self.data.len() + self.name.len() + bytes.len() > self.limit {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let mark: &[u8] = if std::mem::take(&mut self.at_start) { b"\xEF\xBB\xBF" } else { b"" };
        let line = line.strip_prefix(mark).unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            _ => {} // comments and what only browsers need
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let name =
            if name.is_empty() { "message".into() } else { String::from_utf8_lossy(&name).into_owned() };
        std::mem::take(&mut self.has_data).then_some(Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]], limit: usize) -> Result<Vec<(String, String)>, TooLarge> {
        let mut decoder = Decoder::new(limit);
        let mut events = Vec::new();
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(event) = decoder.next(&mut chunk)? {
                events.push((event.name, String::from_utf8(event.data).unwrap()));
            }
        }
        Ok(events)
    }

    const STREAM: &str = "\u{feff}event: endpoint\r\ndata: /message?id=1\r\n\r\n: ping\n\nid: 3\ndata:{\"a\":\n\
        data: 1}\nretry: 5\n\ndata\n\rdata: last\r\revent: empty\n\ndata: cut off";

    #[test]
    fn events_are_read_as_the_standard_says_however_the_bytes_are_cut() {
        let expected =
            [("endpoint", "/message?id=1"), ("message", "{\"a\":\n1}"), ("message", ""), ("message", "last")]
                .map(|(name, data)| (name.to_owned(), data.to_owned()));
        let bytes = STREAM.as_bytes();
        assert_eq!(decode(&[bytes], 100).unwrap(), expected);
        for size in 1..bytes.len() {
            let chunks: Vec<_> = bytes.chunks(size).collect();
            assert_eq!(decode(&chunks, 100).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_refused_and_many_small_ones_are_not() {
        let line = format!("data: {}\n", "x".repeat(60));
        assert_eq!(decode(&[line.as_bytes(), b"\n", line.as_bytes(), b"\n"], 100).unwrap().len(), 2);
        assert_eq!(decode(&[line.as_bytes(), line.as_bytes()], 100), Err(TooLarge));
        assert_eq!(decode(&[&[b'x'; 101]], 100), Err(TooLarge));
    }
}
