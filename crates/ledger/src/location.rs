//! Where a ledger is kept.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use etcetera::BaseStrategy as _;

use crate::{LedgerError, Owner};

const FOLDER: &str = "mcp-communication";

/// Where a ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// Memory: it is gone when the program ends.
    Memory,
}

impl Location {
    /// The file of `owner` in the user's data folder: `$XDG_DATA_HOME` or `~/.local/share` on Linux,
    /// `~/Library/Application Support` on macOS, `%APPDATA%` on Windows.
    ///
    /// # Errors
    /// When the user has no such folder.
    pub fn in_data_folder(owner: Owner) -> Result<Self, LedgerError> {
        let folders =
            etcetera::base_strategy::choose_native_strategy().map_err(|_| LedgerError::NoDataFolder)?;
        let name = match owner {
            Owner::ServerA => "server-a.db",
            Owner::ServerB => "server-b.db",
            Owner::Gateway => "mcp-gateway.db",
        };
        Ok(Self::File(folders.data_dir().join(FOLDER).join(name)))
    }

    /// Makes the folder and the file, readable by the user alone: messages are private.
    pub(crate) fn prepare(&self) -> Result<(), LedgerError> {
        let Self::File(path) = self else { return Ok(()) };
        let open = || -> io::Result<()> {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            private_file(path).map(drop)
        };
        open().map_err(|error| failed(path, error))
    }

    /// Takes the lock that one server-b holds on its ledger. The system gives it back when the process ends, however.
    pub(crate) fn lock(&self) -> Result<Option<File>, LedgerError> {
        let Self::File(path) = self else { return Ok(None) };
        self.prepare()?;
        let mut name = path.clone().into_os_string();
        name.push(".lock");
        let file = private_file(Path::new(&name)).map_err(|error| failed(path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { path: path.clone() }),
            Err(TryLockError::Error(error)) => Err(failed(path, error)),
        }
    }
}

pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(crate) fn failed(path: &Path, error: io::Error) -> LedgerError {
    LedgerError::Open { path: path.to_owned(), source: Arc::new(error) }
}

/// Reads a `DATABASE_URL`: `sqlite://PATH` (relative, or absolute as in `sqlite:///var/lib/ledger.db`) or
/// `sqlite::memory:`.
impl FromStr for Location {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        const ALLOWED: &str = "allowed are sqlite://PATH and sqlite::memory:";
        if url == "sqlite::memory:" || url == "sqlite://:memory:" {
            return Ok(Self::Memory);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Err(format!("PostgreSQL is not supported by this version; {ALLOWED}"));
        }
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && !path.ends_with('/') && !path.contains(['?', '\0']) => {
                Ok(Self::File(PathBuf::from(path)))
            }
            _ => Err(ALLOWED.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls_are_read_as_documented() {
        assert_eq!("sqlite::memory:".parse(), Ok(Location::Memory));
        assert_eq!("sqlite://a.db".parse(), Ok(Location::File("a.db".into())));
        assert_eq!("sqlite:///var/a b.db".parse(), Ok(Location::File("/var/a b.db".into())));
        for wrong in
            ["", "a.db", "sqlite://", "sqlite:///var/", "sqlite://a.db?mode=ro", "mysql://x", "postgres://x"]
        {
            let error = wrong.parse::<Location>().unwrap_err();
            assert!(error.contains("sqlite://PATH"), "{wrong}: {error}");
        }
    }
}
