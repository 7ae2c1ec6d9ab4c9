//! Writes files that are not there, and adds lines to the end of those that are. What is there stays as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;
use crate::whole;

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

/// Writes `file` below `root`, durably; gives whether it was not there before. A crash leaves all of it, or nothing of
/// that name and a temporary file (`.backstay-…`) beside it.
///
/// # Errors
/// The folder or the file can't be made; then there is none.
pub fn create(root: &Path, file: &NewFile) -> Result<bool, Failure> {
    let path = root.join(&file.path);
    let mode = if file.private { 0o600 } else { 0o644 };
    fs::create_dir_all(whole::folder_of(&path))
        .and_then(|()| whole::create(&path, file.text.as_bytes(), mode))
        .map_err(|error| Failure::usage(format!("write {}", path.display())).caused_by(&error))
}

/// Adds `text` to the end of the file at `path`, on a line of its own; the file is made, readable by its owner alone if
/// `private`, if it is not there. A crash may leave the beginning of the text.
///
/// # Errors
/// It can't be written; then it is as it was.
pub fn append(path: &Path, text: &str, private: bool) -> Result<(), Failure> {
    let mode = if private { 0o600 } else { 0o644 };
    let opened = OpenOptions::new().read(true).append(true).create(true).mode(mode).open(path);
    opened
        .and_then(|file| append_to(file, text))
        .map_err(|error| Failure::usage(format!("write {}", path.display())).caused_by(&error))
}

fn append_to(mut file: File, text: &str) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let text = format!("{}{text}", if last == [b'\n'] { "" } else { "\n" });
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).inspect_err(|_| {
        // A half of it would be taken for something else.
        let _ = file.set_len(length);
    })
}

/// Adds `lines` to the end of `.gitignore` below `root`, which is made if it is not there.
///
/// # Errors
/// It can't be written; then it is as it was.
pub fn ignore(root: &Path, lines: &[String]) -> Result<(), Failure> {
    let path = root.join(".gitignore");
    let apart = if fs::metadata(&path).is_ok_and(|file| file.len() > 0) { "\n" } else { "" };
    let mut text = format!("{apart}# Of backstay: secrets, and what runs leave on this machine\n");
    lines.iter().for_each(|line| text.extend([line, "\n"]));
    append(&path, &text, false)
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
    fn what_leads_nowhere_is_there_too() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("x")).unwrap();
        assert!(
            !create(root.path(), &NewFile { path: "x".into(), text: "A".into(), private: true }).unwrap()
        );
        assert!(fs::read_link(root.path().join("x")).is_ok());
    }

    #[test]
    fn a_line_is_added_on_a_line_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(".env");
        for text in ["A=1", "B=2\n", "C=3\n"] {
            append(&path, text, true).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\nB=2\nC=3\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
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
