//! The lock file on disk.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use gateway::Pins;

/// Reads a lock file; `None` when it is not there.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<Pins>> {
    let shown = path.display();
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("the lock file {shown} cannot be read"))?,
    };
    let mut bytes = Vec::new();
    file.take(Pins::MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("the lock file {shown} cannot be read"))?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned());
    match text.and_then(|text| Pins::read(&text)) {
        Ok(pins) => Ok(Some(pins)),
        Err(wrong) => bail!(
            "the lock file {shown} is wrong: {wrong}; put it right, or move it away and run `mcp-gateway pins approve`"
        ),
    }
}

/// Writes a lock file in one go, unless it says so already: whoever reads it meanwhile gets all of the old one or of the new one.
pub(super) fn write(path: &Path, pins: &Pins) -> anyhow::Result<()> {
    let text = pins.to_text();
    if text.len() as u64 > Pins::MAX_BYTES {
        bail!(
            "the lock file would have more than {} MiB: deny tools that nobody needs, with `tools` of their upstreams",
            Pins::MAX_BYTES >> 20
        );
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // a link stays a link
    if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    replace(&path, &text).with_context(|| format!("the lock file {} cannot be written", path.display()))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = fs::File::create_new(&new).and_then(|mut file| {
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new); // the first failure is the one to tell
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_read_as_it_was_written_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.pins.json");
        assert!(read(&path).unwrap().is_none());

        write(&path, &Pins::default()).unwrap();

        assert_eq!(read(&path).unwrap(), Some(Pins::default()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.pins.json");
        for (broken, wrong) in [(&b"{\n\n]"[..], "line 3"), (b"\xff", "UTF-8")] {
            fs::write(&path, broken).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("pins approve"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_permissions_stay_and_a_file_that_says_so_already_is_not_touched() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();

        write(&link, &Pins::default()).unwrap();

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let data = fs::metadata(&real).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o640);
        write(&link, &Pins::default()).unwrap();
        assert_eq!(fs::metadata(&real).unwrap().ino(), data.ino());
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/gateway.pins.json"), &Pins::default()).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be written"), "{error:#}");
    }
}
