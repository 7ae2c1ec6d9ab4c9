//! A file that grows, read from its present end on, through rotation and truncation.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// How much is read at one look; the rest has its turn at the next.
const AT_ONCE: u64 = 64 << 20;

/// A longer line is cut into several.
const LONGEST_LINE: u64 = 8 * 1024;

/// A file that is followed by its name.
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Up to where it was read.
    offset: u64,
    /// A line whose end has not been written yet.
    rest: Vec<u8>,
}

impl Tail {
    /// Follows `path` from its present end; a file that appears later is read from its beginning.
    pub fn begin(path: PathBuf) -> Self {
        let open = File::open(&path).and_then(|mut file| {
            let offset = file.seek(SeekFrom::End(0))?;
            Ok(Open { file, offset, rest: Vec::new() })
        });
        Self { path, open: open.ok() }
    }

    /// Gives every line that was written since the last look. A file that was renamed is read to its end, then the one
    /// that has its name now; one that was cut off is read from its new beginning. What was written and cut off again
    /// between two looks is not seen.
    ///
    /// # Errors
    /// The file can't be read, or there is none of that name just now.
    pub fn read(&mut self, mut hear: impl FnMut(&str)) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            open.read(&mut hear)?;
        }
        let named = File::open(&self.path)?;
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let same = match &self.open {
            Some(open) => id(open.file.metadata()?) == id(named.metadata()?),
            None => false,
        };
        if !same {
            let mut open = Open { file: named, offset: 0, rest: Vec::new() };
            let read = open.read(&mut hear);
            self.open = Some(open);
            read?;
        }
        Ok(())
    }
}

impl Open {
    fn read(&mut self, hear: &mut impl FnMut(&str)) -> io::Result<()> {
        if self.file.metadata()?.len() < self.offset {
            self.offset = 0;
            self.rest.clear();
        }
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::new((&mut self.file).take(AT_ONCE));
        loop {
            let room = LONGEST_LINE.saturating_sub(self.rest.len() as u64).max(1);
            let read = (&mut reader).take(room).read_until(b'\n', &mut self.rest)?;
            self.offset += read as u64;
            if read == 0 {
                return Ok(());
            }
            if self.rest.ends_with(b"\n") || self.rest.len() as u64 >= LONGEST_LINE {
                hear(String::from_utf8_lossy(&self.rest).trim_end_matches(['\n', '\r']));
                self.rest.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(path: &std::path::Path, text: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        tail.read(|line| lines.push(line.to_string())).unwrap();
        lines
    }

    #[test]
    fn what_is_appended_is_read_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.log");
        write(&path, "old\n");
        let mut tail = Tail::begin(path.clone());
        assert!(lines(&mut tail).is_empty());
        write(&path, "one\ntw");
        assert_eq!(lines(&mut tail), ["one"]);
        write(&path, "o\r\n");
        assert_eq!(lines(&mut tail), ["two"]);
        write(&path, &format!("{}\n", "x".repeat(LONGEST_LINE as usize + 3)));
        let long = lines(&mut tail);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE as usize, 3]);
    }

    #[test]
    fn a_rotated_file_loses_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("api.log"), folder.path().join("api.log.1"));
        write(&path, "");
        let mut tail = Tail::begin(path.clone());
        write(&path, "before\n");
        std::fs::rename(&path, &old).unwrap();
        write(&old, "late\n");
        assert_eq!(tail.read(|_| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
        write(&old, "latest\n");
        write(&path, "after\n");
        assert_eq!(lines(&mut tail), ["latest", "after"]);
        write(&path, "more\n");
        assert_eq!(lines(&mut tail), ["more"]);
    }

    #[test]
    fn a_file_that_was_cut_off_or_comes_later_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.log");
        let mut tail = Tail::begin(path.clone());
        assert!(tail.read(|_| ()).is_err());
        write(&path, "a long first line\n");
        assert_eq!(lines(&mut tail), ["a long first line"]);
        File::create(&path).unwrap();
        write(&path, "new\n");
        assert_eq!(lines(&mut tail), ["new"]);
    }
}
