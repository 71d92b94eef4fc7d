//! From what is written to what is meant.

mod layers;
mod pipelines;
mod rules;
mod upstream;

use std::time::Duration;

use gateway::Settings;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Config, Files,
    document::Document,
    problems::{Place, Problems},
    source::Source,
    values::At,
};

const MAX_UPSTREAMS: usize = 256;
const MIN_STATE_KEY: usize = 32;

/// What a document means. What is wrong with it goes to `problems`, and something else into its place.
pub(super) fn config(document: &Document, source: &Source, problems: &mut Problems) -> Config {
    let mut settings = Settings::default();
    let mut reader = Reader { source, problems };
    let listen = document.listen.as_ref().and_then(|listen| {
        let text = reader.expanded(listen)?;
        let parsed = text.replace("localhost:", "127.0.0.1:").parse();
        reader.or_problem(
            listen.place(),
            parsed.map_err(|_| "allowed is an address and a port, such as 127.0.0.1:8080"),
        )
    });
    if let Some(separator) = &document.separator {
        let fits = (1..=4).contains(&separator.len())
            && separator.chars().all(|char| char.is_ascii_alphanumeric() || "_-./".contains(char));
        if fits {
            settings.separator = separator.to_string();
        } else {
            reader.problem(separator.place(), "allowed are 1 to 4 letters, digits and _ - . /");
        }
    }
    settings.state_key = document.state_key.as_ref().and_then(|key| {
        let secret = reader.secret(key)?;
        let long = secret.expose_secret().len() >= MIN_STATE_KEY;
        reader.or_problem(key.place(), long.then_some(secret).ok_or("the key needs at least 32 characters"))
    });
    for (index, (name, upstream)) in document.upstream.iter().enumerate() {
        if index == MAX_UPSTREAMS {
            reader.problem(upstream.place(), "there are more than 256 upstreams");
            break;
        }
        if !is_name(name) {
            reader.problem(upstream.place(), "an upstream's name has 1 to 40 letters, digits and _ -");
        }
        settings.upstreams.insert(name.clone(), reader.upstream(upstream));
    }
    if document.upstream.is_empty() {
        reader.problem(Place::default(), "there is no upstream: add a section such as [upstream.files]");
    }
    let mut files = Files::default();
    reader.layers(document, &mut settings, &mut files);
    settings.pipelines = reader.pipelines(&document.pipeline);
    reader.ledger(document, &mut files);
    let pins = document.pins.as_ref().and_then(|pins| reader.file(pins));
    reader.told_apart(document, pins.as_ref(), &files);
    Config { listen, gateway: settings, pins, files }
}

/// Whether an upstream may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    (1..=40).contains(&name.len()) && name.chars().all(fits)
}

struct Reader<'r> {
    source: &'r Source,
    problems: &'r mut Problems,
}

impl Reader<'_> {
    fn problem(&mut self, place: Place, reason: impl Into<String>) {
        self.problems.add(place, reason);
    }

    fn or_problem<T>(&mut self, place: Place, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|reason| self.problem(place, reason)).ok()
    }

    fn expanded(&mut self, text: &At<String>) -> Option<String> {
        let expanded = self.source.expand(text);
        self.or_problem(text.place(), expanded)
    }

    fn secret(&mut self, text: &At<String>) -> Option<SecretString> {
        let secret = self.source.secret(text);
        self.or_problem(text.place(), secret)
    }

    fn time(&mut self, text: Option<&At<String>>, place: &mut Duration) {
        if let Some(text) = text
            && let Some(time) = self.or_problem(text.place(), settings::time(text))
        {
            *place = time;
        }
    }

    fn number(&mut self, number: Option<&At<u32>>, least: u32, most: u32) -> Option<u32> {
        let number = number?;
        let fits = (least..=most).contains(number);
        self.or_problem(
            number.place(),
            fits.then_some(**number).ok_or(format!("allowed is {least} to {most}")),
        )
    }
}
