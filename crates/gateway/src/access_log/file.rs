//! The file of the access log, which begins anew when it has become large.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// It may be changed while the file is open.
    max_bytes: Arc<AtomicU64>,
    /// The last line may be there in part only.
    is_torn: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path, max_bytes: Arc<AtomicU64>) -> io::Result<Self> {
        let file = private(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes, is_torn: false })
    }

    /// Writes whole lines: how many of them could not be written, and why.
    pub(super) fn write(&mut self, lines: &[Vec<u8>]) -> Result<(), (usize, io::Error)> {
        let mut rest = lines;
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        while let Some(first) = rest.first() {
            if self.bytes > 0 && self.bytes + first.len() as u64 > max_bytes {
                self.begin_anew().map_err(|error| (rest.len(), error))?;
            }
            // One that is longer than a file may be has one of its own.
            let (now, later) = rest.split_at(fitting(rest, max_bytes.saturating_sub(self.bytes)).max(1));
            self.append(&now.concat()).map_err(|error| (rest.len(), error))?;
            rest = later;
        }
        Ok(())
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.is_torn = true;
        self.file.write_all(text)?;
        self.is_torn = false;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// The file becomes the older one, unless somebody else has moved it already.
    fn begin_anew(&mut self) -> io::Result<()> {
        if self.is_at_its_path() {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            fs::rename(&self.path, older)?;
        }
        *self = Self::open(&self.path, self.max_bytes.clone())?;
        Ok(())
    }

    #[cfg(unix)]
    fn is_at_its_path(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        matches!(
            (fs::metadata(&self.path).map(id), self.file.metadata().map(id)),
            (Ok(there), Ok(here)) if there == here
        )
    }

    #[cfg(not(unix))]
    fn is_at_its_path(&self) -> bool {
        true
    }
}

/// How many of the lines have room.
fn fitting(lines: &[Vec<u8>], room: u64) -> usize {
    let ends = lines.iter().scan(0, |end, line| {
        *end += line.len() as u64;
        Some(*end)
    });
    ends.take_while(|end| *end <= room).count()
}

/// A file to append to, which only its owner can read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| format!("{text}\n").into_bytes()).collect()
    }

    #[test]
    fn a_file_that_would_become_too_large_is_moved_and_no_line_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.jsonl");
        let older = folder.path().join("access.jsonl.1");
        let mut file = LogFile::open(&path, Arc::new(10.into())).unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();

        file.write(&lines(&["1234", "123", "12345"])).unwrap();
        assert_eq!((read(&older), read(&path)), ("1234\n123\n".into(), "12345\n".into()));

        file.write(&lines(&["much longer than a file", "x"])).unwrap();
        assert_eq!((read(&older), read(&path)), ("much longer than a file\n".into(), "x\n".into()));

        drop(file);
        let mut again = LogFile::open(&path, Arc::new(10.into())).unwrap();
        again.write(&lines(&["123456789"])).unwrap();
        assert_eq!((read(&older), read(&path)), ("x\n".into(), "123456789\n".into()));
    }

    #[test]
    fn one_that_somebody_else_moved_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.jsonl");
        let mut file = LogFile::open(&path, Arc::new(6.into())).unwrap();
        file.write(&lines(&["12345"])).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();

        file.write(&lines(&["6"])).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "6\n");
        assert!(!folder.path().join("access.jsonl.1").exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.jsonl");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(LogFile::open(&path, Arc::new(10.into())).unwrap());
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        drop(LogFile::open(&path, Arc::new(10.into())).unwrap());
        assert_eq!(mode(), 0o600);
    }
}
