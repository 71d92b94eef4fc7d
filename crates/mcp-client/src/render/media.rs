//! Images, audio and other files that servers send, saved where they can be opened.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Saves content, and says where it is. The folder is for its owner only; the name is ours, never the server's.
///
/// # Errors
/// Why it could not be saved.
pub(super) fn save(folder: &Path, mime: Option<&str>, base64: &str) -> Result<(PathBuf, usize), String> {
    let bytes = STANDARD.decode(base64.trim_ascii()).map_err(|_| "it is not base64".to_owned())?;
    let path = write(folder, extension(mime.unwrap_or_default()), &bytes);
    path.map(|path| (path, bytes.len())).map_err(|error| format!("{}: {error}", folder.display()))
}

fn write(folder: &Path, extension: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    create_folder(folder)?;
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    for number in 1..=10_000 {
        let path = folder.join(format!("{now}-{number}.{extension}"));
        match create(&path) {
            Ok(mut file) => return io::Write::write_all(&mut file, bytes).map(|()| path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many files already"))
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // It may have been there before, more open.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

fn extension(mime: &str) -> &'static str {
    let kind = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/svg+xml" => "svg",
        "image/avif" => "avif",
        "image/bmp" => "bmp",
        "image/tiff" => "tiff",
        "audio/wav" | "audio/x-wav" | "audio/wave" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/ogg" => "ogg",
        "audio/flac" => "flac",
        "audio/mp4" | "audio/aac" => "m4a",
        "audio/webm" | "video/webm" => "webm",
        "video/mp4" => "mp4",
        "application/pdf" => "pdf",
        "application/json" => "json",
        "application/zip" => "zip",
        "application/gzip" => "gz",
        "text/html" => "html",
        "text/csv" => "csv",
        kind if kind.starts_with("text/") => "txt",
        _ => "bin",
    }
}

/// A number of bytes, for people.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_saved_for_its_owner_alone_under_a_name_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/media");
        let (first, length) = save(&place, Some("image/png"), "aGVsbG8=").unwrap();
        let (second, _) = save(&place, Some("../../evil"), "aGVsbG8=").unwrap();
        assert_eq!((fs::read(&first).unwrap().as_slice(), length), (&b"hello"[..], 5));
        assert_eq!(first.extension().unwrap(), "png");
        assert_eq!((second.parent().unwrap(), second.extension().unwrap()), (&*place, "bin".as_ref()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&place), mode(&first)), (0o700, 0o600));
        }
    }

    #[test]
    fn what_is_not_base64_is_said_so() {
        assert_eq!(save(Path::new("/nowhere"), None, "%%%"), Err("it is not base64".to_owned()));
    }
}
