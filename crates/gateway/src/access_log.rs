//! Every request in a line of JSON, with personal data masked. Whoever answers requests only hands over what it has; a thread of its
//! own makes lines of it.

mod bodies;
mod candidates;
mod coded;
mod digits;
mod file;
mod line;
mod masks;
mod members;
mod names;
mod queue;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use json_rpc::Raw;

use crate::{session::Origin, trail::Trail};
use file::LogFile;
use masks::Masks;
use queue::Queue;

/// Where requests are written down, a line of JSON for each. What cannot be written in time is counted, and the log says so.
#[derive(Clone)]
pub struct AccessLog(Arc<Log>);

struct Log {
    settings: AccessLogSettings,
    masks: Arc<Masks>,
    writer: Arc<Writer>,
}

/// The one that writes to a file, for as long as there is a log of it: requests that are under way keep theirs.
struct Writer {
    queue: Arc<Queue>,
    max_bytes: Arc<AtomicU64>,
    /// What the thread needs, until there is something to write.
    beginning: Mutex<Option<LogFile>>,
}

/// What is written down, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// The file. It is made readable by its owner alone.
    pub path: PathBuf,
    /// Size at which another file is begun, in bytes: 10 MiB. One older file is kept, with `.1` after its name.
    pub max_bytes: u64,
    /// Whether what is asked and answered is written too, with personal data masked.
    pub bodies: bool,
    /// More patterns of what is masked: regular expressions.
    pub mask: Vec<String>,
}

/// One request, as it is handed over.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) trail: Arc<Trail>,
    pub(crate) origin: Origin,
    pub(crate) input_bytes: usize,
    pub(crate) output_bytes: usize,
    /// Only with bodies.
    pub(crate) params: Option<Raw>,
    pub(crate) result: Option<Raw>,
}

impl AccessLogSettings {
    /// Whether this can be a pattern of what is masked.
    ///
    /// # Errors
    /// When it is no regular expression, one that is too large, or fits the empty text. The text says what to do.
    pub fn check_mask(pattern: &str) -> Result<(), String> {
        masks::pattern(pattern).map(|_| ())
    }
}

impl AccessLog {
    /// Opens the file.
    ///
    /// # Errors
    /// When the file cannot be opened, or a pattern is wrong.
    pub fn open(settings: &AccessLogSettings) -> Result<Self, String> {
        let masks = Arc::new(Masks::new(&settings.mask)?);
        let max_bytes = Arc::new(AtomicU64::new(settings.max_bytes));
        let file = LogFile::open(&settings.path, max_bytes.clone()).map_err(|error| {
            format!("the access log {} cannot be opened: {error}", settings.path.display())
        })?;
        let writer = Writer { queue: Arc::default(), max_bytes, beginning: Mutex::new(Some(file)) };
        Ok(Self(Arc::new(Log { settings: settings.clone(), masks, writer: Arc::new(writer) })))
    }

    /// The log with other settings. The same file is not opened once more: one writer writes what both logs are given.
    ///
    /// # Errors
    /// When the file cannot be opened, or a pattern is wrong.
    pub fn reopen(&self, settings: &AccessLogSettings) -> Result<Self, String> {
        let Log { settings: present, writer, .. } = &*self.0;
        if present == settings {
            return Ok(self.clone());
        }
        if !is_same_file(&present.path, &settings.path) {
            return Self::open(settings);
        }
        let (settings, masks) = (settings.clone(), Arc::new(Masks::new(&settings.mask)?));
        Ok(Self(Arc::new(Log { settings, masks, writer: writer.clone() })))
    }

    /// From now on it is this one that is written, and its settings hold for the file.
    pub(crate) fn take_over(&self) {
        self.0.writer.max_bytes.store(self.0.settings.max_bytes, Ordering::Relaxed);
    }

    /// Whether what is asked and answered is written too.
    pub(crate) fn wants_bodies(&self) -> bool {
        self.0.settings.bodies
    }

    /// Whether it writes the same to the same file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }

    /// Writes a request down, soon.
    pub(crate) fn write(&self, entry: Entry) {
        let Log { masks, writer, .. } = &*self.0;
        if writer.queue.push(entry, masks) {
            writer.begin();
        }
    }

    /// Waits until all is written that was handed over, but not for ever.
    pub(crate) async fn flush(&self) {
        let queue = self.0.writer.queue.clone();
        // A thread that cannot be waited for has nothing to tell.
        let _ = tokio::task::spawn_blocking(move || queue.flush()).await;
    }
}

impl Writer {
    /// Starts the thread that writes. Only the first entry does.
    fn begin(&self) {
        let mut beginning = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = beginning.take() else { return };
        let queue = self.queue.clone();
        let thread = thread::Builder::new().name("access-log".to_owned());
        if let Err(error) = thread.spawn(move || queue::run(&queue, file)) {
            tracing::error!(%error, "the access log is not written: there is no thread for it");
        }
    }
}

/// What was handed over is still written.
impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Whether both paths lead to one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| path.canonicalize().ok();
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessLog").field(&self.0.settings).finish()
    }
}
