//! Where the values that a file refers to come from: the environment, and other files.

use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Largest file that a secret is read from, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// Where the values that a file refers to come from.
pub(super) struct Source {
    /// The configuration's own path.
    file: PathBuf,
    /// Relative paths begin here.
    folder: PathBuf,
    variable: fn(&str) -> Option<String>,
}

impl Source {
    /// This process's environment, and files beside the configuration in `file`, an absolute path.
    pub(super) fn new(file: PathBuf) -> Self {
        Self::with_variables(file, environment)
    }

    pub(super) fn with_variables(file: PathBuf, variable: fn(&str) -> Option<String>) -> Self {
        let folder = file.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        Self { file, folder, variable }
    }

    /// A few letters that only this file has, by its absolute path: for files that belong to it and lie elsewhere.
    pub(super) fn mark(&self) -> String {
        // The folder may be reached in many ways. The file itself may be a link that is set to another place whenever it changes.
        let folder = fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let path = folder.join(self.file.file_name().unwrap_or_default());
        let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
        digest.iter().take(6).fold(String::new(), |mut mark, byte| {
            let _ = write!(mark, "{byte:02x}"); // a text can always be written
            mark
        })
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// A path of the file: relative ones begin at its folder.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// A text with the variables in it put in: `${NAME}`, or `${NAME:-what else}`. `$$` is a dollar.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(more) = after.strip_prefix('$') {
                out.push('$');
                rest = more;
            } else if let Some(more) = after.strip_prefix('{') {
                let (reference, more) = more.split_once('}').ok_or("a ${ has no }")?;
                out.push_str(&self.reference(reference)?);
                rest = more;
            } else {
                out.push('$');
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn reference(&self, reference: &str) -> Result<String, String> {
        let (name, other) = match reference.split_once(":-") {
            Some((name, other)) => (name, Some(other)),
            None => (reference, None),
        };
        let value = self.variable(name).filter(|value| !value.is_empty() || other.is_none());
        value.or(other.map(str::to_owned)).ok_or_else(|| not_set(name))
    }

    /// A secret: `env:NAME` is a variable, `file:PATH` the first line of a file, and anything else the secret itself, with its
    /// variables put in.
    pub(super) fn secret(&self, text: &str) -> Result<SecretString, String> {
        if let Some(name) = text.strip_prefix("env:") {
            return self.variable(name).map(SecretString::from).ok_or_else(|| not_set(name));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return read_secret(&self.path(path));
        }
        self.expand(text).map(SecretString::from)
    }
}

fn not_set(name: &str) -> String {
    format!("the variable {name} is not set")
}

fn read_secret(path: &Path) -> Result<SecretString, String> {
    let unreadable = |reason: String| format!("{} cannot be read: {reason}", path.display());
    let file = fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_SECRET + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_SECRET {
        return Err(unreadable("it has more than 64 KiB".to_owned()));
    }
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.into()),
        None => Err(unreadable("its first line is empty".to_owned())),
    }
}

#[expect(clippy::disallowed_methods, reason = "the names come from the configuration file")]
fn environment(name: &str) -> Option<String> {
    // std panics on these.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var(name).ok()
}
