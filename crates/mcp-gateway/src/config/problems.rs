//! All that is wrong with a file.

use std::{error, fmt, ops::Range, path::Path};

/// A part of the file's text: where it begins, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place(usize);

impl From<Range<usize>> for Place {
    fn from(span: Range<usize>) -> Self {
        Self(span.start)
    }
}

/// All that is wrong with a file, a line for each. Values of the file, which may be secrets, are not in it.
#[derive(Debug)]
pub struct Problems {
    file: String,
    /// Where each line begins.
    lines: Vec<usize>,
    text: String,
    found: Vec<(Option<Place>, String)>,
}

impl Problems {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self { file: path.display().to_string(), lines, text: text.to_owned(), found: Vec::new() }
    }

    /// A mistake that has no place in the text.
    pub(super) fn of_file(path: &Path, reason: impl Into<String>) -> Self {
        let mut problems = Self::new(path, "");
        problems.found.push((None, reason.into()));
        problems
    }

    pub(super) fn add(&mut self, place: Place, reason: impl Into<String>) {
        self.found.push((Some(place), reason.into()));
    }

    pub(super) fn add_without_place(&mut self, reason: impl Into<String>) {
        self.found.push((None, reason.into()));
    }

    /// The value, if nothing is wrong with it.
    pub(super) fn none_or<T>(mut self, value: T) -> Result<T, Self> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|(place, _)| place.map(|place| place.0));
        Err(self)
    }

    fn line_and_column(&self, place: Place) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= place.0);
        let start = self.lines[line - 1];
        let column = self.text.get(start..place.0).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (place, reason)) in self.found.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match place {
                Some(place) => {
                    let (line, column) = self.line_and_column(*place);
                    write!(f, "{}:{line}:{column}: {reason}", self.file)?;
                }
                None => write!(f, "{}: {reason}", self.file)?,
            }
        }
        Ok(())
    }
}

impl error::Error for Problems {}
