#![doc = include_str!("../README.md")]

mod error;
mod expand;
mod json;
mod secrets;
mod server;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

pub use error::ConfigError;
pub use secrets::{Secrets, is_key};
pub use server::ConfiguredServer;

use error::Place;
use expand::{Expander, Input};
use json::Json;
use server::Definition;

/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Most servers in a file.
const MAX_SERVERS: usize = 256;
/// Where the servers are: Claude Desktop, Claude Code and Cursor; VS Code's `mcp.json`.
const SECTIONS: [&str; 2] = ["mcpServers", "servers"];

/// A file that says which servers there are.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    servers: Vec<Definition>,
    inputs: Vec<Input>,
}

impl ConfigFile {
    /// Reads a file, at most 1 MiB.
    ///
    /// # Errors
    /// When it cannot be read, is not JSON (with comments and trailing commas), or says something that makes no sense.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable =
            |reason: String| ConfigError::Unreadable { file: path.display().to_string(), reason };
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(unreadable("it has more than 1 MiB".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
        Self::parse(&text, path)
    }

    /// Reads what is in a file; paths in it start at the folder of `path`.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let root = json::parse(text).map_err(|error| error.in_file(&file))?;
        let top = Place::top(&file);
        let mut this = Self { path: path.to_owned(), servers: Vec::new(), inputs: Vec::new() };
        let object = root.object(&top)?;
        // VS Code's settings.json has the same one level deeper.
        let nested = object.iter().find(|(name, value)| name == "mcp" && matches!(value, Json::Object(_)));
        let sections = match nested {
            Some((_, Json::Object(mcp))) => [object, mcp].concat(),
            _ => object.to_vec(),
        };
        let mut found = false;
        for (name, value) in &sections {
            let place = top.at(name);
            match name.as_str() {
                name if SECTIONS.contains(&name) => {
                    found = true;
                    this.take_servers(value, &place)?;
                }
                "inputs" => this.inputs = Input::all(value, &place)?,
                _ => {} // what else the program that wrote the file keeps in it
            }
        }
        if found {
            Ok(this)
        } else {
            Err(top.error("it has no servers: there is no \"mcpServers\" and no \"servers\""))
        }
    }

    fn take_servers(&mut self, value: &Json, place: &Place) -> Result<(), ConfigError> {
        for (name, value) in value.object(place)? {
            let place = place.at(name);
            if self.contains(name) {
                return Err(place.error("there is another server of this name"));
            }
            if self.servers.len() == MAX_SERVERS {
                return Err(place.error("there are more than 256 servers"));
            }
            self.servers.push(Definition::new(name, value, place)?);
        }
        Ok(())
    }

    /// The names of the servers that are not disabled, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().filter(|server| !server.disabled).map(|server| server.name.as_str())
    }

    /// Whether there is a server of this name, disabled or not.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.servers.iter().any(|server| server.name == name)
    }

    /// A server, with the variables put in. `environment` knows the values of environment variables.
    ///
    /// # Errors
    /// When there is none of this name, it is disabled or makes no sense, a variable has no value, or with its value the
    /// server makes no sense.
    pub fn server(
        &self,
        name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ConfiguredServer, ConfigError> {
        let Some(definition) = self.servers.iter().find(|server| server.name == name) else {
            return Err(self.unknown(name));
        };
        if definition.disabled {
            return Err(definition.place.error("this server is disabled"));
        }
        definition.resolve(&mut Expander::new(&self.path, environment, &self.inputs))
    }

    fn unknown(&self, name: &str) -> ConfigError {
        let known: Vec<_> = self.names().collect();
        ConfigError::Unknown {
            file: self.path.display().to_string(),
            name: name.to_owned(),
            known: known.join(", "),
        }
    }
}

#[cfg(test)]
mod tests;
