//! Where tokens are kept: a file for each server, for the user alone, or memory.

use std::{
    collections::HashMap,
    fmt, fs,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::grant::{Grant, Written};

/// Authorization servers that are remembered for a server. It has one; another appears when it moves.
const MAX_GRANTS: usize = 4;
/// A file of ours is far smaller.
const MAX_BYTES: u64 = 1 << 20;
/// Longest wait for another process that refreshes the same tokens. Its requests take no longer than 30 seconds.
const LONGEST_LOCK: Duration = Duration::from_secs(40);
/// How often the lock is tried. Waiting for it would block a thread that cannot be stopped.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Where tokens are kept. Clones are the same place.
#[derive(Clone)]
pub struct TokenStore(Place);

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Memory(Arc<Mutex<HashMap<String, Vec<Grant>>>>),
}

/// Why tokens cannot be kept, or not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The user has no folder for data.
    #[error("there is no folder to keep tokens in: set HOME, or name a folder")]
    NoFolder,
    /// Others could read the tokens.
    #[error("{} can be read or changed by others (mode {mode:o}): correct it with chmod {}, or delete it and log in again",
        path.display(), if path.is_dir() { "700" } else { "600" })]
    NotPrivate {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file was changed by somebody else, or is of a newer version.
    #[error("{} is damaged: delete it and log in again", .0.display())]
    Damaged(PathBuf),
    /// Another process holds the lock for too long.
    #[error("{} is locked by another process", .0.display())]
    Locked(PathBuf),
    /// The system refuses.
    #[error("{} cannot be used: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Content {
    server: String,
    /// The one in use first.
    grants: Vec<Written>,
}

impl TokenStore {
    /// The user's own folder: `oauth` in `mcp-client` in `$XDG_DATA_HOME` or `~/.local/share` on Linux,
    /// `~/Library/Application Support` on macOS, `%APPDATA%` on Windows.
    ///
    /// # Errors
    /// When the user has no such folder.
    pub fn user() -> Result<Self, StoreError> {
        let folders = etcetera::base_strategy::choose_native_strategy().map_err(|_| StoreError::NoFolder)?;
        Ok(Self::folder(folders.data_dir().join("mcp-client").join("oauth")))
    }

    /// This folder. It is made when it is needed.
    #[must_use]
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Place::Folder(path.into()))
    }

    /// Memory: tokens are gone when the process ends.
    #[must_use]
    pub fn memory() -> Self {
        Self(Place::Memory(Arc::default()))
    }

    /// What is kept for this server.
    pub(crate) fn of(&self, server: &Url) -> Slot {
        Slot { store: self.clone(), server: server.to_string() }
    }
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(path) => write!(f, "TokenStore({})", path.display()),
            Place::Memory(_) => f.write_str("TokenStore(memory)"),
        }
    }
}

/// What is kept for one server.
#[derive(Clone)]
pub(crate) struct Slot {
    store: TokenStore,
    server: String,
}

/// Held while tokens are exchanged for others: a refresh token is often good for one use.
pub(crate) struct Lock {
    _file: Option<File>,
}

impl Slot {
    /// The grant in use.
    pub(crate) fn load(&self) -> Result<Option<Grant>, StoreError> {
        Ok(self.grants()?.into_iter().next())
    }

    /// Puts a grant to use. One of the same authorization server is replaced.
    pub(crate) fn save(&self, grant: &Grant) -> Result<(), StoreError> {
        let mut grants = self.grants()?;
        grants.retain(|kept| kept.issuer != grant.issuer);
        grants.insert(0, grant.clone());
        grants.truncate(MAX_GRANTS);
        self.write(grants)
    }

    /// Forgets a grant, but not one that has taken its place.
    pub(crate) fn forget(&self, grant: &Grant) -> Result<(), StoreError> {
        let mut grants = self.grants()?;
        grants.retain(|kept| kept.issuer != grant.issuer || !kept.has_access(Some(&grant.access)));
        self.write(grants)
    }

    /// Forgets all, and gives it back.
    pub(crate) fn clear(&self) -> Result<Vec<Grant>, StoreError> {
        let grants = self.grants()?;
        self.write(Vec::new())?;
        Ok(grants)
    }

    /// Waits until no other process uses the tokens to get others.
    pub(crate) async fn lock(&self) -> Result<Lock, StoreError> {
        let Place::Folder(folder) = &self.store.0 else { return Ok(Lock { _file: None }) };
        prepare(folder)?;
        let path = folder.join(self.name("lock"));
        let file = private_file(&path).map_err(|source| failed(&path, source))?;
        let deadline = Instant::now() + LONGEST_LOCK;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_INTERVAL).await,
                Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(path)),
                Err(TryLockError::Error(source)) => return Err(failed(&path, source)),
            }
        }
    }

    fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        match &self.store.0 {
            Place::Folder(folder) => read(folder, &self.name("json"), &self.server),
            Place::Memory(servers) => {
                let servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(servers.get(&self.server).cloned().unwrap_or_default())
            }
        }
    }

    fn write(&self, grants: Vec<Grant>) -> Result<(), StoreError> {
        match &self.store.0 {
            Place::Folder(folder) => {
                let grants = grants.iter().map(Written::from).collect();
                write(folder, &self.name("json"), &Content { server: self.server.clone(), grants })
            }
            Place::Memory(servers) => {
                let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
                servers.insert(self.server.clone(), grants);
                Ok(())
            }
        }
    }

    /// The server's URL may hold what no file name can, or a key.
    fn name(&self, extension: &str) -> String {
        let hash: String =
            Sha256::digest(&self.server).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{hash}.{extension}")
    }
}

fn read(folder: &Path, name: &str, server: &str) -> Result<Vec<Grant>, StoreError> {
    let path = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&path, error)),
    };
    // Whoever can write to the folder can put another file there.
    private(folder, &fs::metadata(folder).map_err(|error| failed(folder, error))?, 0o022)?;
    private(&path, &file.metadata().map_err(|error| failed(&path, error))?, 0o077)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| failed(&path, error))?;
    let content: Content = serde_json::from_str(&text).map_err(|_| StoreError::Damaged(path.clone()))?;
    if content.server != server {
        return Err(StoreError::Damaged(path));
    }
    Ok(content.grants.into_iter().map(Grant::from).collect())
}

/// A reader sees the old content or the new one, also after a crash.
fn write(folder: &Path, name: &str, content: &Content) -> Result<(), StoreError> {
    let path = folder.join(name);
    if content.grants.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        };
    }
    prepare(folder)?;
    let new = folder.join(format!("{name}.new"));
    let written = || -> io::Result<()> {
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = private_file(&new)?;
        serde_json::to_writer_pretty(&mut file, content)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    written().map_err(|error| failed(&path, error))
}

fn prepare(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).map_err(|error| failed(folder, error))?;
    private(folder, &fs::metadata(folder).map_err(|error| failed(folder, error))?, 0o022)
}

/// Refuses what others may do one of `forbidden` with.
fn private(path: &Path, found: &fs::Metadata, forbidden: u32) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(found) & 0o777;
        if mode & forbidden != 0 {
            return Err(StoreError::NotPrivate { path: path.to_owned(), mode });
        }
    }
    #[cfg(not(unix))]
    let _ = (path, found, forbidden); // the user's folder is the user's own there
    Ok(())
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn failed(path: &Path, cause: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), cause }
}
