//! Server-sent events, as much of them as a driver needs.

/// Finds the `data:` lines of a stream that comes in pieces. JSON has no line ends, so that each line is one event.
#[derive(Default)]
pub(crate) struct Events {
    /// A line whose end has not come yet.
    line: Vec<u8>,
}

impl Events {
    /// Hands the data of each event that ends in `piece` to `event`.
    pub(crate) fn read(&mut self, piece: &[u8], mut event: impl FnMut(&[u8])) {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            if !part.ends_with(b"\n") {
                self.line.extend_from_slice(part);
            } else if self.line.is_empty() {
                data(part, &mut event);
            } else {
                self.line.extend_from_slice(part);
                data(&self.line, &mut event);
                self.line.clear();
            }
        }
    }
}

fn data(line: &[u8], event: &mut impl FnMut(&[u8])) {
    if let Some(data) = line.strip_prefix(b"data:") {
        event(data.trim_ascii());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_over_the_borders_of_pieces() {
        let mut events = Events::default();
        let mut found = Vec::new();
        for piece in ["data: {\"a\"", ":1}\n", "\nda", "ta:2\r\n\n: comment\n\nevent: x\ndata: [DONE]\n\n"] {
            events.read(piece.as_bytes(), |data| found.push(String::from_utf8(data.to_vec()).unwrap()));
        }
        assert_eq!(found, ["{\"a\":1}", "2", "[DONE]"]);
    }
}
