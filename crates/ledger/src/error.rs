//! What can go wrong with a ledger.

use std::{io, path::PathBuf, sync::Arc};

/// Why a ledger cannot be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The file or its folder cannot be made or opened.
    #[error("the ledger {} cannot be opened: set DATABASE_URL (of mcp-gateway: `ledger`) to a place that can be written", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another server-b has it open.
    #[error(
        "the ledger {} is in use by another server-b: stop it, or set DATABASE_URL to another file",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program has written it.
    #[error(
        "the ledger has schema version {found}, this program knows up to {known}: use the newer program, or another DATABASE_URL (of mcp-gateway: `ledger`)"
    )]
    Newer {
        /// Version of the file.
        found: i64,
        /// Newest version that is known here.
        known: i64,
    },
    /// There is no folder for user data.
    #[error(
        "no folder for user data was found: set DATABASE_URL, for instance to sqlite://ledger.db (of mcp-gateway: `ledger`)"
    )]
    NoDataFolder,
    /// SQLite cannot do it: the disk is full, the file is not a database, another process holds it for too long …
    #[error("the ledger's database failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// SQLite took a whole batch back, as it does when the disk is full.
    #[error("the ledger's database rolled back: is the disk full?")]
    RolledBack,
    /// Too many programs keep their runs there at the same time.
    #[error("the ledger {} is in use by too many gateways: give each few of them another file", path.display())]
    Crowded {
        /// The file.
        path: PathBuf,
    },
    /// A run is not there, or it is over: nothing can be added to it.
    #[error("the run {id} is not in the ledger, or it is over")]
    NoRun {
        /// The run's id.
        id: String,
    },
    /// The thread that owns the database has ended.
    #[error("the ledger has stopped: restart the program and look at its log")]
    Stopped,
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
