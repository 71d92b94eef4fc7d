//! What stands around the calls: search, batches, pins, the journal, the cache's bound, the access log.

use std::path::PathBuf;

use gateway::{AccessLogSettings, BatchSettings, Expose, Settings};
use ledger::{Location, Owner};

use super::Reader;
use crate::config::{
    Files,
    document::{AccessLogDocument, BatchDocument, Document, ExposeDocument},
    problems::Place,
    values::At,
};

impl Reader<'_> {
    pub(super) fn layers(&mut self, document: &Document, settings: &mut Settings, files: &mut Files) {
        settings.expose = match document.expose {
            Some(ExposeDocument::Search) => Expose::Search,
            Some(ExposeDocument::All) | None => Expose::All,
        };
        settings.batch = document.batch.as_ref().map(|batch| self.batch(batch));
        if let Some(bytes) = self.number(document.cache_max_bytes.as_ref(), 1 << 16, u32::MAX) {
            settings.cache_bytes = bytes as usize;
        }
        files.access_log = document.access_log.as_ref().and_then(|log| self.access_log(log));
    }

    /// The path of a file that is made when there is none.
    pub(super) fn file(&mut self, text: &At<String>) -> Option<PathBuf> {
        let path = self.expanded(text)?;
        let is_file = !path.is_empty() && !path.ends_with(['/', std::path::MAIN_SEPARATOR]);
        let path = self.source.path(&path);
        let fits = is_file && !path.is_dir();
        self.or_problem(text.place(), fits.then_some(path).ok_or("this is no path of a file"))
    }

    fn batch(&mut self, document: &BatchDocument) -> BatchSettings {
        let mut settings = BatchSettings::default();
        if let Some(calls) = self.number(document.max_calls.as_ref(), 1, 1_000) {
            settings.max_calls = calls as usize;
        }
        if let Some(calls) = self.number(document.concurrency.as_ref(), 1, 1_000) {
            settings.concurrency = calls as usize;
        }
        self.time(document.timeout.as_ref(), &mut settings.timeout);
        settings
    }

    fn access_log(&mut self, document: &AccessLogDocument) -> Option<AccessLogSettings> {
        let bytes = self.number(document.max_bytes.as_ref(), 4_096, u32::MAX);
        let max_bytes = bytes.map_or(10 << 20, u64::from);
        for pattern in &document.mask {
            self.or_problem(pattern.place(), AccessLogSettings::check_mask(pattern));
        }
        let mask = document.mask.iter().map(|pattern| pattern.to_string()).collect();
        let path = self.file(&document.file)?;
        Some(AccessLogSettings { path, max_bytes, bodies: document.bodies, mask })
    }

    /// Where runs of pipelines are written down.
    pub(super) fn ledger(&mut self, document: &Document, files: &mut Files) {
        files.ledger = match &document.ledger {
            Some(text) if **text == "memory" => Some(Location::Memory),
            Some(text) => self.file(text).map(Location::File),
            None if document.pipeline.is_empty() => None,
            None => {
                let place = document.pipeline.values().next().map_or(Place::default(), At::place);
                let reason =
                    |error| format!("{error}: say with ledger = \"FILE\" where runs are written down");
                let location =
                    self.or_problem(place, Location::in_data_folder(Owner::Gateway).map_err(reason));
                location.map(|location| self.own(location))
            }
        };
    }

    /// The default place, for this configuration alone: runs of another must not be resumed with these upstreams.
    fn own(&self, location: Location) -> Location {
        match location {
            Location::File(path) => {
                Location::File(path.with_file_name(format!("mcp-gateway-{}.db", self.source.mark())))
            }
            Location::Memory => Location::Memory,
        }
    }

    /// Each file has one use.
    pub(super) fn told_apart(&mut self, document: &Document, pins: Option<&PathBuf>, files: &Files) {
        let ledger = match &files.ledger {
            Some(Location::File(path)) => Some(path),
            _ => None,
        };
        let log = files.access_log.as_ref().map(|log| &log.path);
        let log_place = document.access_log.as_ref().map(|log| log.file.place());
        for (one, other, place) in [
            (pins, ledger, document.ledger.as_ref().map(At::place)),
            (pins, log, log_place),
            (ledger, log, log_place),
        ] {
            if let (Some(place), Some(one), Some(other)) = (place, one, other)
                && one == other
            {
                self.problem(
                    place,
                    "this file has another use already: pins, ledger and access log are three files",
                );
            }
        }
    }
}
