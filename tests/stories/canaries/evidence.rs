//! Everything that left the programs.

use std::path::Path;

use anyhow::Context as _;
use e2e::caller::Reply;

use crate::{ANSWER, MESSAGE, SECRETS, Story, TEXTS};

#[derive(Default)]
pub struct Evidence {
    logs: Vec<(String, String)>,
    outputs: Vec<(String, Vec<u8>)>,
}

impl Evidence {
    pub fn log(&mut self, program: &str, text: String) {
        self.logs.push((format!("the log of {program}"), text));
    }

    pub fn output(&mut self, place: &str, bytes: Vec<u8>) {
        self.outputs.push((place.to_owned(), bytes));
    }

    /// A whole HTTP response.
    pub fn reply(&mut self, reply: &Reply) {
        let mut bytes = reply.body.clone().into_bytes();
        for (name, value) in &reply.headers {
            bytes.extend([b"\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
        self.output(&format!("an answer with status {}", reply.status), bytes);
    }

    /// Every file beside `ledger`, byte by byte.
    pub fn files(&mut self, ledger: &Path) -> Story {
        for entry in std::fs::read_dir(ledger.parent().context("a folder")?)? {
            let path = entry?.path();
            if path.is_file() {
                self.output(&path.display().to_string(), std::fs::read(path)?);
            }
        }
        Ok(())
    }

    /// Fails if the search would have found nothing anyway.
    pub fn has_what_it_should(&self) {
        let somewhere = |place: &str, text: &str| {
            let found =
                self.outputs.iter().any(|(name, bytes)| name.contains(place) && contains(bytes, text));
            assert!(found, "`{text}` should be in {place}");
        };
        somewhere("status 200", ANSWER);
        somewhere("status 502", "[redacted]");
        somewhere("tool", ANSWER);
        somewhere("server-b.db", ANSWER);
        somewhere("server-b.db", MESSAGE);
        somewhere("server-a.db", ANSWER);
        for word in ["POST /process", "POST /stream", "provider_unauthorized", "unauthorized", "unmatched"] {
            assert!(self.logs.iter().any(|(_, log)| log.contains(word)), "`{word}` should be in a log");
        }
    }

    pub fn has_no_canary(&self) {
        for (place, bytes) in &self.outputs {
            search(place, bytes, &SECRETS);
        }
        for (place, log) in &self.logs {
            assert!(log.lines().count() > 2, "{place} is empty");
            search(place, log.as_bytes(), &SECRETS);
            search(place, log.as_bytes(), &TEXTS);
        }
    }
}

fn search(place: &str, bytes: &[u8], words: &[&str]) {
    let text = String::from_utf8_lossy(bytes);
    for word in words {
        if text.contains(word) {
            let line = text.lines().find(|line| line.contains(word)).unwrap_or_default();
            panic!("`{word}` is in {place}: {line}");
        }
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(word)
}
