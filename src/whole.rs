//! Files that are there whole or not at all: written beside their place, made durable, then given their name.
//!
//! A crash leaves the old file or the new one, and perhaps `.backstay-…` beside it.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Writes `bytes` to `path` with these permission bits, in the place of the file that may be there; where a link leads to
/// one, in that one's.
///
/// # Errors
/// The system's; or what is there is no file (a device must not be replaced). Then it stays as it was.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "what is there is no file"));
    }
    beside(&path, bytes, mode)?.persist(&path).map_err(|error| error.error)?;
    sync(&folder_of(&path))
}

/// Writes `bytes` to `path`, if nothing is there; gives whether it did.
///
/// # Errors
/// The system's; then there is none.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    match beside(path, bytes, mode)?.persist_noclobber(path) {
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
        Ok(_) => sync(&folder_of(path)).map(|()| true),
    }
}

/// Makes it durable that a name in `folder` came, went or changed.
///
/// # Errors
/// The system's.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(".backstay-").tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    // Of a file that is made, the umask would take bits away.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_replaced_or_left_alone_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(create(&path, b"one", 0o600).unwrap());
        assert!(!create(&path, b"two", 0o644).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"three", 0o644).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        replace(&folder.path().join("link"), b"four", 0o644).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"four");
        assert!(replace(folder.path(), b"x", 0o644).is_err(), "a folder");
        assert!(replace(Path::new("/dev/null"), b"x", 0o644).is_err(), "a device");
        assert!(replace(&folder.path().join("none/a"), b"x", 0o644).is_err());
    }
}
