//! The file that says which upstreams there are: TOML of our own, or the `mcpServers` JSON of assistants and editors.
//!
//! A file is checked whole, and all that is wrong in it is told at once, each mistake with its line and column.

mod build;
mod document;
mod problems;
mod servers;
mod source;
mod values;

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use problems::Problems;

use document::Document;
use problems::Place;
use source::Source;

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What a configuration file says.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on, if the file names one.
    pub listen: Option<SocketAddr>,
    /// All but what is kept in files: `runs`, `access_log` and `pins` are `None`.
    pub gateway: gateway::Settings,
    /// The lock file with approved tools. It is not read: what approves tools works without it.
    pub pins: Option<PathBuf>,
    /// The files that the gateway writes.
    pub files: Files,
}

/// Files that a gateway writes. Reading the configuration makes none of them.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Every request, a line of JSON for each.
    pub access_log: Option<gateway::AccessLogSettings>,
    /// Runs of pipelines.
    pub ledger: Option<ledger::Location>,
}

impl Config {
    /// Reads a file of at most 1 MiB: JSON when its name ends in `.json`, else TOML.
    ///
    /// # Errors
    /// All that is wrong with it. No secret is in them.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let text = read(path).map_err(|reason| Problems::of_file(path, reason))?;
        // A program is started in another folder than ours when it has one of its own.
        let whole = std::path::absolute(path).map_err(|error| Problems::of_file(path, error.to_string()))?;
        Self::parse(&text, path, &Source::new(whole))
    }

    fn parse(text: &str, path: &Path, source: &Source) -> Result<Self, Problems> {
        if path.extension().is_some_and(|extension| extension == "json") {
            return servers::parse(text, path, source);
        }
        let mut problems = Problems::new(path, text);
        match toml::from_str::<Document>(text) {
            Ok(document) => {
                let config = build::config(&document, source, &mut problems);
                problems.none_or(config)
            }
            Err(error) => {
                let place = error.span().map_or(Place::default(), Place::from);
                problems.add(place, without_values(error.message()));
                Err(problems)
            }
        }
    }
}

/// The JSON schema of the TOML file, for editors.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Document);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// What toml says is wrong, without the value that it quotes: that may be a secret in the wrong place.
fn without_values(message: &str) -> String {
    const QUOTING: [&str; 3] = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !QUOTING.iter().any(|start| message.starts_with(start)) {
        return message.to_owned();
    }
    let expected = message.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
    format!("this value does not fit: expected is {expected}")
}

fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("it has more than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
