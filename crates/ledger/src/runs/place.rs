//! Which of those who have the file open a run belongs to, and whether they are still there.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::PathBuf,
};

use crate::{LedgerError, Location, location};

/// Processes that may have one file open at the same time.
const PLACES: i64 = 64;

/// A place among those who have the file open. Its lock is held as long as it is taken: the system gives it back when the process
/// ends, however it ends.
pub(super) struct Place {
    pub(super) number: i64,
    /// The file, by its one name; `None` in memory.
    path: Option<PathBuf>,
    _lock: Option<File>,
}

impl Place {
    /// Takes the first place that is free. Whoever had it before is gone.
    pub(super) fn take(location: &Location) -> Result<Self, LedgerError> {
        let Location::File(path) = location else { return Ok(Self { number: 0, path: None, _lock: None }) };
        // Two who call the file by different names must come to the same locks.
        let path = fs::canonicalize(path).map_err(|error| location::failed(path, error))?;
        let mut closed = None;
        for number in 0..PLACES {
            let file = match lock_file(&path, number) {
                Ok(file) => file,
                // Somebody else's, as after a `sudo` in between: it is as good as taken.
                Err(error) => {
                    closed.get_or_insert(error);
                    continue;
                }
            };
            match file.try_lock() {
                Ok(()) => return Ok(Self { number, path: Some(path), _lock: Some(file) }),
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(location::failed(&path, error)),
            }
        }
        Err(closed.unwrap_or(LedgerError::Crowded { path }))
    }

    /// Whether somebody has this place of another. `known` is what was found out before.
    pub(super) fn is_taken(&self, number: i64, known: &mut HashMap<i64, bool>) -> bool {
        let Some(path) = &self.path else { return false };
        *known.entry(number).or_insert_with(|| {
            // Shared, so that two who ask do not take each other for the holder; what cannot be asked is left alone.
            !lock_file(path, number).is_ok_and(|file| file.try_lock_shared().is_ok())
        })
    }
}

fn lock_file(path: &std::path::Path, number: i64) -> Result<File, LedgerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".runs-{number}.lock"));
    let name = PathBuf::from(name);
    location::private_file(&name).map_err(|error| location::failed(&name, error))
}
