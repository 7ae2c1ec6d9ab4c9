//! Writes files that are not there, and lines that `.gitignore` lacks. What is there stays as it is.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;

/// A file to write.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Where, from the root.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Readable by its owner alone.
    pub private: bool,
}

/// Writes `file` below `root`, durably; gives whether it was not there before. A crash leaves it, all of it, or an
/// empty file of that name.
///
/// # Errors
/// The folder or the file can't be made.
pub fn create(root: &Path, file: &NewFile) -> Result<bool, Failure> {
    let path = root.join(&file.path);
    let failed =
        |error: std::io::Error| Failure::usage(format!("write {}", path.display())).caused_by(&error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mode = if file.private { 0o600 } else { 0o644 };
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
        Ok(mut opened) => {
            opened.write_all(file.text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)?;
            Ok(true)
        }
    }
}

/// Adds `lines` to the end of `.gitignore` below `root`, which is made if it is not there.
///
/// # Errors
/// It can't be written.
pub fn ignore(root: &Path, lines: &[String]) -> Result<(), Failure> {
    let path = root.join(".gitignore");
    let failed =
        |error: std::io::Error| Failure::usage(format!("write {}", path.display())).caused_by(&error);
    let before = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    if !before.is_empty() {
        text.push_str(if before.ends_with(b"\n") { "\n" } else { "\n\n" });
    }
    text.push_str("# Of backstay: secrets, and what runs leave on this machine\n");
    lines.iter().for_each(|line| text.extend([line, "\n"]));
    let mut opened = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let file = NewFile { path: "a/b.toml".into(), text: "new".into(), private: false };
        assert!(create(root.path(), &file).unwrap());
        let again = NewFile { text: "other".into(), ..file };
        assert!(!create(root.path(), &again).unwrap());
        assert_eq!(fs::read_to_string(root.path().join("a/b.toml")).unwrap(), "new");
    }

    #[test]
    fn secrets_are_for_their_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        create(root.path(), &NewFile { path: ".env.x".into(), text: "A=b\n".into(), private: true }).unwrap();
        let mode = fs::metadata(root.path().join(".env.x")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn ignored_lines_are_added_behind_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".gitignore"), "/target").unwrap();
        ignore(root.path(), &["/.env.production".into(), "/store/".into()]).unwrap();
        let text = fs::read_to_string(root.path().join(".gitignore")).unwrap();
        assert!(
            text.starts_with("/target\n\n# Of backstay") && text.ends_with("\n/.env.production\n/store/\n"),
            "{text}"
        );
    }
}
