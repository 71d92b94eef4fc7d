//! The one folder that the server shows, and nothing outside it.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

/// Names that one listing shows.
const MAX_NAMES: usize = 1_000;
/// Longest path, in bytes: as on Linux.
const MAX_PATH_BYTES: usize = 4_096;

/// Why a folder cannot be listed. The texts are for whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// Also when there is nothing at that place: what exists outside is nobody's business.
    #[error("`{0}` is outside the folder that this server shows")]
    Outside(String),
    #[error("`{0}` does not exist")]
    Missing(String),
    #[error("`{0}` is not a folder")]
    NotAFolder(String),
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(String, io::Error),
    #[error("the call was cancelled")]
    Cancelled,
}

/// A folder with all that is below it. Its path has no symbolic links in it.
#[derive(Debug, Clone)]
pub(crate) struct RootFolder(PathBuf);

impl RootFolder {
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if path.is_dir() { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What is in a folder, by a path that is absolute or relative to the root. Reads the disk: not for async threads.
    pub(crate) fn list(&self, path: &str, cancelled: &CancellationToken) -> Result<Listing, ListError> {
        let folder = self.resolve(path)?;
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotADirectory => ListError::NotAFolder(path.to_owned()),
            _ => ListError::Unreadable(path.to_owned(), error),
        };
        let mut listing = Listing::default();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            if cancelled.is_cancelled() {
                return Err(ListError::Cancelled);
            }
            listing.add(&entry.map_err(unreadable)?);
        }
        Ok(listing)
    }

    /// Follows `..` and symbolic links, and refuses where they lead out.
    fn resolve(&self, path: &str) -> Result<PathBuf, ListError> {
        if path.len() > MAX_PATH_BYTES {
            return Err(ListError::TooLong);
        }
        let asked = self.0.join(path); // an absolute path takes the root's place
        let resolved = asked.canonicalize();
        let nearest = match &resolved {
            Ok(found) => Some(found.clone()),
            Err(_) => asked.ancestors().skip(1).find_map(|above| above.canonicalize().ok()),
        };
        if !nearest.is_some_and(|nearest| nearest.starts_with(&self.0)) {
            return Err(ListError::Outside(path.to_owned()));
        }
        resolved.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ListError::Missing(path.to_owned()),
            io::ErrorKind::NotADirectory => ListError::NotAFolder(path.to_owned()),
            _ => ListError::Unreadable(path.to_owned(), error),
        })
    }
}

/// The first names of a folder in alphabetical order, and how many there are. As text: one a line.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// With a number: two names that cannot be shown may look alike.
    names: BTreeSet<(String, usize)>,
    total: usize,
}

impl Listing {
    fn add(&mut self, entry: &fs::DirEntry) {
        let mut name = visible(&entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            name.push('/');
        }
        self.total += 1;
        self.names.insert((name, self.total));
        if self.names.len() > MAX_NAMES {
            self.names.pop_last();
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, _) in &self.names {
            write!(f, "\n{name}")?;
        }
        if self.total > self.names.len() {
            write!(f, "\n(cut: the first {} of {} names)", self.names.len(), self.total)?;
        }
        Ok(())
    }
}

/// A name with a line break in it would look like two.
fn visible(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, RootFolder) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("root/inner")).unwrap();
        fs::create_dir(folder.path().join("secret")).unwrap();
        for file in ["root/b.txt", "root/a.txt", "root/inner/c.txt", "secret/key"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let root = RootFolder::open(&folder.path().join("root")).unwrap();
        (folder, root)
    }

    fn list(root: &RootFolder, path: &str) -> Result<String, String> {
        let listing = root.list(path, &CancellationToken::new());
        listing.map(|listing| listing.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_sorted_and_folders_end_with_a_slash() {
        let (_folder, root) = root();
        assert_eq!(list(&root, ".").unwrap(), "\na.txt\nb.txt\ninner/");
        assert_eq!(list(&root, "inner/../inner").unwrap(), "\nc.txt");
        assert_eq!(list(&root, root.path().to_str().unwrap()).unwrap(), "\na.txt\nb.txt\ninner/");
    }

    #[test]
    fn nothing_outside_the_root_is_shown_or_told_to_exist() {
        let (folder, root) = root();
        let absolute = folder.path().join("secret");
        for path in ["..", "../secret", "../nothing", "inner/../../secret", "/", absolute.to_str().unwrap()] {
            let refusal = format!("`{path}` is outside the folder that this server shows");
            assert_eq!(list(&root, path), Err(refusal));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_does_not_lead_out() {
        let (folder, root) = root();
        std::os::unix::fs::symlink(folder.path().join("secret"), root.path().join("out")).unwrap();
        std::os::unix::fs::symlink("inner", root.path().join("in")).unwrap();
        for path in ["out", "out/nothing", "in/../out"] {
            assert_eq!(
                list(&root, path),
                Err(format!("`{path}` is outside the folder that this server shows"))
            );
        }
        assert_eq!(list(&root, "in").unwrap(), "\nc.txt", "a link that stays inside is followed");
        assert!(list(&root, ".").unwrap().contains("\nout"), "a link is shown as a name");
    }

    #[test]
    fn what_cannot_be_listed_is_told_apart() {
        let (_folder, root) = root();
        assert_eq!(list(&root, "nothing").unwrap_err(), "`nothing` does not exist");
        assert_eq!(list(&root, "nothing/../..").unwrap_err(), "`nothing/../..` does not exist");
        assert_eq!(list(&root, "a.txt").unwrap_err(), "`a.txt` is not a folder");
        assert_eq!(list(&root, "a.txt/x").unwrap_err(), "`a.txt/x` is not a folder");
        assert!(list(&root, "a\0b").unwrap_err().contains("cannot be read"));
        assert_eq!(list(&root, &"a/".repeat(3_000)).unwrap_err(), "the path is longer than 4096 bytes");
    }

    #[test]
    fn a_long_listing_is_cut_and_says_so() {
        let (_folder, root) = root();
        for number in 0..MAX_NAMES + 5 {
            fs::write(root.path().join(format!("inner/{number:05}")), "").unwrap();
        }
        let text = list(&root, "inner").unwrap();
        assert!(text.starts_with("\n00000\n00001\n"), "{text}");
        assert!(text.ends_with("\n00999\n(cut: the first 1000 of 1006 names)"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_cannot_pretend_to_be_two() {
        let (_folder, root) = root();
        fs::write(root.path().join("inner/one\ntwo"), "").unwrap();
        assert_eq!(list(&root, "inner").unwrap(), "\nc.txt\none\u{fffd}two");
    }

    #[test]
    fn a_cancelled_listing_ends() {
        let (_folder, root) = root();
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert!(matches!(root.list(".", &cancelled), Err(ListError::Cancelled)));
    }

    #[test]
    fn the_root_must_be_a_folder() {
        let (_folder, root) = root();
        assert!(RootFolder::open(&root.path().join("a.txt")).is_err());
        assert!(RootFolder::open(&root.path().join("nothing")).is_err());
    }
}
