//! One migration file: its header, its two sections, its checksum.
//!
//! ```sql
//! -- revision: c08085465bad
//! -- revises: 989ceebf408f           (absent for the first; several, comma separated, for a merge)
//! -- branch: main                    (optional label)
//! -- depends-on: 5f2a9c41d07e        (optional: ids or labels of other branches)
//! -- created: 2025-11-18T12:00:00Z   (optional: when it was written, for the reader)
//! -- transaction: off                (optional: statements run one by one, outside a transaction)
//! -- Add priority to questions
//!
//! -- upgrade
//! ALTER TABLE …;
//! -- batch: 10000 pause 100ms        (optional, with `transaction: off`: the next UPDATE or DELETE in batches)
//! UPDATE …;
//! -- idempotent                      (optional: after a death the next statement may run again)
//! CALL …;
//! -- downgrade
//! ALTER TABLE …;
//! ```

mod header;
mod mark;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::graph::Revision;
use super::lexer::{self, LexError, Split};
use super::statement::batch::{Batch, BatchFault, Batched};
use super::statement::{self, Nature};
use header::Header;
use mark::Marks;

/// The keys of a header, in the order they are usually written.
const KEYS: [&str; 6] = ["revision", "revises", "branch", "depends-on", "created", "transaction"];

/// One migration, read and found well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What it is in the graph; its file is the file's name without the folder.
    pub revision: Revision,
    /// The first line of its description.
    pub description: String,
    /// The description's other lines.
    pub notes: String,
    /// Whether each section runs in one transaction, together with the version row.
    pub transactional: bool,
    /// `-- upgrade`
    pub upgrade: Vec<Statement>,
    /// `-- downgrade`; without any statement the migration is irreversible, unless it does nothing.
    pub downgrade: Vec<Statement>,
    /// SHA-256 of the normalised text, in hex.
    pub checksum: String,
    /// When it was written, as its header says.
    pub created: Option<String>,
    /// Where it was read.
    pub path: PathBuf,
}

/// One statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From its first token to its semicolon.
    pub text: String,
    /// The line of its first token, from 1.
    pub line: u32,
    /// `-- idempotent` stands above it: it may run again when nobody knows whether it took effect.
    pub idempotent: bool,
    /// `-- batch: …` stands above it.
    pub batch: Option<Batch>,
}

impl Script {
    /// Whether a downgrade is known. A merge does nothing, and so does its downgrade.
    pub fn reversible(&self) -> bool {
        !self.downgrade.is_empty() || self.upgrade.is_empty()
    }
}

/// Why a folder or a file could not be read as migrations; says where.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The system refused.
    #[error("read {}", .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no migration, or a broken one.
    #[error("{}:{line}: {fault}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// What is wrong there.
        fault: Fault,
    },
    /// The files are no graph.
    #[error("{}: {source}", .folder.display())]
    Graph {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: super::graph::GraphError,
    },
}

/// What is wrong at a line of a migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no text.
    #[error("the file is not UTF-8 from here on")]
    NotUtf8,
    /// A byte that no statement can carry.
    #[error("there is a NUL byte here")]
    Nul,
    /// The header has no id.
    #[error("the header has no `-- revision: …`")]
    NoRevision,
    /// A key that is not known.
    #[error("{key:?} is no key of a header; {}", hint_key(.nearest))]
    UnknownKey {
        /// What stands there.
        key: String,
        /// What may be meant.
        nearest: Option<&'static str>,
    },
    /// A key twice.
    #[error("{0:?} stands in the header twice")]
    RepeatedKey(
        /// The key.
        &'static str,
    ),
    /// A value that the key can't have.
    #[error("{key} can't be {value:?}; {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// SQL above the sections.
    #[error("a statement stands above `-- upgrade`")]
    AboveUpgrade,
    /// No upgrade.
    #[error("there is no line `-- upgrade`")]
    NoUpgrade,
    /// A section twice, or the two in the wrong order.
    #[error("`-- {0}` stands here, but {1}")]
    BadSection(
        /// Which.
        &'static str,
        /// What is wrong with it.
        &'static str,
    ),
    /// A statement that goes on into the next section.
    #[error(
        "`-- {section}` stands inside the statement that begins on line {line}; is its semicolon missing?"
    )]
    OpenStatement {
        /// Which section begins here.
        section: &'static str,
        /// Where the statement begins.
        line: u32,
    },
    /// No SQL.
    #[error("{0}")]
    Lex(
        /// Why.
        LexError,
    ),
    /// `BEGIN`, `COMMIT` and the like.
    #[error(
        "{0} can't stand in a migration: backstay begins and ends the transactions, so that script and version commit together"
    )]
    TransactionControl(
        /// The statement's first words.
        String,
    ),
    /// A statement for outside a transaction, in one.
    #[error("{0} can't run inside a transaction; add `-- transaction: off` to the header")]
    OutsideOnly(
        /// The statement's first words.
        String,
    ),
    /// `COPY … FROM STDIN`.
    #[error(
        "COPY to or from the client can't stand in a migration; use INSERT, or load the data in a step of its own"
    )]
    Stream,
    /// `DISCARD ALL`.
    #[error("{0} can't stand in a migration: it would give up the lock that keeps a second migration out")]
    EndsSession(
        /// The statement's first words.
        String,
    ),
    /// A comment that asks for something, at a place where nothing can be asked for.
    #[error("`-- {0}` must stand on a line of its own, right above the statement that it is for")]
    StrayMark(
        /// Which.
        &'static str,
    ),
    /// A comment that probably asks for something.
    #[error("`-- {said}` says nothing to backstay; `-- {nearest}` may be meant")]
    UnknownMark {
        /// What it says.
        said: String,
        /// What may be meant.
        nearest: &'static str,
    },
    /// `-- batch:` with something else than a number of rows.
    #[error(
        "batch can't be {0:?}; write the rows of a batch, as `-- batch: 10000` or `-- batch: 10000 pause 100ms`"
    )]
    BadBatch(
        /// What stands there.
        String,
    ),
    /// Batches in one transaction.
    #[error("batches commit one by one; add `-- transaction: off` to the header")]
    BatchInTransaction,
    /// A statement that has no batches.
    #[error("{0}")]
    Batch(
        /// Why.
        BatchFault,
    ),
}

fn hint_key(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(key) => format!("{key:?} may be meant"),
        None => format!("known are {}", KEYS.join(", ")),
    }
}

/// Reads one file.
///
/// # Errors
/// [`ScriptError`] with file and line.
pub fn read(path: &Path) -> Result<Script, ScriptError> {
    let bytes =
        std::fs::read(path).map_err(|source| ScriptError::Unreadable { path: path.to_path_buf(), source })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let lines = error.as_bytes()[..good].iter().filter(|&&b| b == b'\n').count();
        malformed(path, 1 + u32::try_from(lines).unwrap_or(u32::MAX), Fault::NotUtf8)
    })?;
    parse(&text, path).map_err(|(line, fault)| malformed(path, line, fault))
}

fn malformed(path: &Path, line: u32, fault: Fault) -> ScriptError {
    ScriptError::Malformed { path: path.to_path_buf(), line, fault }
}

/// Reads the text of a file; `path` is only noted.
///
/// # Errors
/// The line, and what is wrong there.
pub fn parse(text: &str, path: &Path) -> Result<Script, (u32, Fault)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    if let Some(at) = text.find('\0') {
        return Err((line_of(&text, at), Fault::Nul));
    }
    let header = Header::read(&text)?;
    let split = lexer::split(&text).map_err(|error| (error.line(), Fault::Lex(error)))?;
    let sections = Sections::find(&text, &split)?;
    let transactional = header.transactional;
    let mut marks = Marks::find(&text, &split, &sections)?;
    let mut read = |section| -> Result<Vec<Statement>, (u32, Fault)> {
        let of_section = split.statements.iter().filter(|s| sections.of(s.start) == section);
        let read = of_section.map(|s| {
            let (idempotent, batch) = marks.take(s.start);
            let text = text[s.start..s.span.end].to_string();
            check(Statement { text, line: s.line, idempotent, batch }, transactional)
        });
        read.collect()
    };
    if let Some(stray) = split.statements.iter().find(|s| sections.of(s.start) == Section::Header) {
        return Err((stray.line, Fault::AboveUpgrade));
    }
    let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Ok(Script {
        upgrade: read(Section::Upgrade)?,
        downgrade: read(Section::Downgrade)?,
        revision: Revision { file, ..header.revision },
        description: header.description,
        notes: header.notes,
        transactional,
        checksum: checksum(&text),
        created: header.created,
        path: path.to_path_buf(),
    })
}

/// SHA-256 over the text without what editors change by themselves: line ends, trailing blanks, empty
/// lines at the end.
fn checksum(text: &str) -> String {
    let mut hash = Sha256::new();
    let trimmed = text.trim_end();
    for line in trimmed.lines() {
        hash.update(line.trim_end());
        hash.update("\n");
    }
    hex::encode(hash.finalize())
}

fn check(statement: Statement, transactional: bool) -> Result<Statement, (u32, Fault)> {
    let title = || statement::title(&statement.text);
    let fault = match statement::nature(&statement.text) {
        Nature::TransactionControl => Fault::TransactionControl(title()),
        Nature::OutsideOnly if transactional => Fault::OutsideOnly(title()),
        Nature::Stream => Fault::Stream,
        Nature::EndsSession => Fault::EndsSession(title()),
        _ if statement.batch.is_none() => return Ok(statement),
        _ if transactional => Fault::BatchInTransaction,
        _ => match Batched::read(&statement.text) {
            Ok(_) => return Ok(statement),
            Err(fault) => Fault::Batch(fault),
        },
    };
    Err((statement.line, fault))
}

fn line_of(text: &str, at: usize) -> u32 {
    1 + u32::try_from(text[..at].matches('\n').count()).unwrap_or(u32::MAX)
}

/// What a line comment says, without its dashes.
fn comment(line: &str) -> Option<&str> {
    line.trim().strip_prefix("--").map(str::trim)
}

/// Whether what stands behind `before` is the first of its line.
fn begins_line(before: &str) -> bool {
    before.trim_end_matches([' ', '\t']).ends_with(['\n', '\r']) || before.trim().is_empty()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Header,
    Upgrade,
    Downgrade,
}

impl Section {
    fn begun_by(comment: &str) -> Option<Self> {
        if comment.eq_ignore_ascii_case("upgrade") {
            Some(Section::Upgrade)
        } else if comment.eq_ignore_ascii_case("downgrade") {
            Some(Section::Downgrade)
        } else {
            None
        }
    }
}

/// Where the sections begin, in bytes.
struct Sections {
    upgrade: usize,
    downgrade: usize,
}

impl Sections {
    /// Only comments that the lexer saw count: a `-- upgrade` in a string or a function's body is none.
    fn find(text: &str, split: &Split) -> Result<Self, (u32, Fault)> {
        let (mut upgrade, mut downgrade) = (None, None);
        for mark in &split.comments {
            let before = &text[..mark.span.start];
            let at_line_start = begins_line(before);
            let Some(section) = comment(&text[mark.span.clone()]).and_then(Section::begun_by) else {
                continue;
            };
            if !at_line_start {
                continue;
            }
            let (name, seen) = match section {
                Section::Downgrade => ("downgrade", &mut downgrade),
                _ => ("upgrade", &mut upgrade),
            };
            if let Some(line) = mark.inside {
                return Err((mark.line, Fault::OpenStatement { section: name, line }));
            }
            if seen.replace(mark.span.start).is_some() {
                return Err((mark.line, Fault::BadSection(name, "it stood above already")));
            }
            if downgrade.is_some() && upgrade.is_none() {
                return Err((mark.line, Fault::BadSection(name, "`-- upgrade` must come before it")));
            }
        }
        let upgrade = upgrade.ok_or((line_of(text, text.trim_end().len()), Fault::NoUpgrade))?;
        Ok(Self { upgrade, downgrade: downgrade.unwrap_or(usize::MAX) })
    }

    fn of(&self, at: usize) -> Section {
        if at < self.upgrade {
            Section::Header
        } else if at < self.downgrade {
            Section::Upgrade
        } else {
            Section::Downgrade
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-- revision: c08085465bad\n-- revises: 989ceebf408f, a1\n-- branch: main\n\
        -- depends-on: x1\n-- Add priority to questions\n-- and more\n\n-- upgrade\nALTER TABLE q ADD p int;\n\
        SELECT '\n-- downgrade\n';\n-- downgrade\nALTER TABLE q DROP p;\n";

    fn read(text: &str) -> Result<Script, String> {
        parse(text, Path::new("m/0002_x.sql")).map_err(|(line, fault)| format!("{line}: {fault}"))
    }

    fn with_body(body: &str) -> Result<Script, String> {
        read(&format!("-- revision: a\n-- upgrade\n{body}"))
    }

    #[test]
    fn a_good_file_is_read() {
        let script = read(GOOD).unwrap();
        assert_eq!(script.revision.id, "c08085465bad");
        assert_eq!(script.revision.down, ["989ceebf408f", "a1"]);
        assert_eq!(script.revision.labels, ["main"]);
        assert_eq!(script.revision.depends_on, ["x1"]);
        assert_eq!(script.revision.file, "0002_x.sql");
        assert_eq!(script.description, "Add priority to questions");
        assert_eq!(script.notes, "and more\n");
        assert!(script.transactional && script.reversible());
        assert_eq!(script.upgrade.iter().map(|s| s.line).collect::<Vec<_>>(), [9, 10]);
        assert_eq!(script.downgrade[0].text, "ALTER TABLE q DROP p;");
    }

    #[test]
    fn line_ends_and_trailing_blanks_are_no_edit() {
        let plain = read(GOOD).unwrap();
        let windows = read(&format!("\u{feff}{}", GOOD.replace('\n', "  \r\n"))).unwrap();
        assert_eq!(windows.checksum, plain.checksum);
        assert_eq!(read(&format!("{GOOD}\n\n")).unwrap().checksum, plain.checksum);
        assert_ne!(read(&GOOD.replace("p int", "p  int")).unwrap().checksum, plain.checksum);
    }

    #[test]
    fn headers_are_checked() {
        for (text, expected) in [
            ("select 1;", "1: the header has no `-- revision: …`"),
            ("", "1: the header has no `-- revision: …`"),
            ("-- revison: a\n", "1: \"revison\" is no key of a header; \"revision\" may be meant"),
            (
                "-- revision: a\n-- author: me\n-- upgrade\n",
                "2: \"author\" is no key of a header; known are revision, revises, branch, depends-on, created, transaction",
            ),
            (
                "-- revision: a\n-- text\n-- transacton: off\n-- upgrade\n",
                "3: \"transacton\" is no key of a header; \"transaction\" may be meant",
            ),
            ("-- revision: a\n-- revision: b\n", "2: \"revision\" stands in the header twice"),
            ("-- revision:\n", "1: revision can't be \"\"; write the revision's id"),
            ("-- revision: a\n-- transaction: no\n", "2: transaction can't be \"no\"; write `on` or `off`"),
            ("-- revision: a\nselect 1;\n-- upgrade\n", "2: a statement stands above `-- upgrade`"),
            ("-- revision: a\n", "1: there is no line `-- upgrade`"),
            (
                "-- revision: a\n-- downgrade\n",
                "2: `-- downgrade` stands here, but `-- upgrade` must come before it",
            ),
            (
                "-- revision: a\n-- upgrade\n-- upgrade\n",
                "3: `-- upgrade` stands here, but it stood above already",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
        let allowing =
            "-- squawk-ignore-file\n-- revision: a\n-- backstay: allow x because y\n-- Text\n-- upgrade\n";
        assert_eq!(read(allowing).unwrap().description, "Text");
        let script = read("-- revision: a\n-- Note: this is prose\n-- see: here\n-- upgrade\n").unwrap();
        assert_eq!(script.description, "Note: this is prose");
        assert!(
            read("-- revision: a\n-- text\n-- transaction: off\n-- upgrade\n")
                .is_ok_and(|s| !s.transactional)
        );
    }

    #[test]
    fn statements_are_checked() {
        for (body, expected) in [
            ("select 1;\nCOMMIT;", "4: COMMIT can't stand in a migration"),
            ("savepoint s;", "3: SAVEPOINT can't stand in a migration"),
            (
                "create index concurrently i on t (a);",
                "3: CREATE INDEX CONCURRENTLY can't run inside a transaction; add `-- transaction: off`",
            ),
            ("vacuum;", "3: VACUUM can't run inside a transaction"),
            ("\\d t", "3: \\d is a command of psql; the server does not know it"),
            ("copy t from stdin;", "3: COPY to or from the client"),
            ("select 'open", "3: a string that begins here has no end"),
            (
                "select 1\n-- downgrade\nselect 2;",
                "4: `-- downgrade` stands inside the statement that begins on line 3",
            ),
            ("select '\0';", "3: there is a NUL byte here"),
            ("discard all;", "3: DISCARD ALL can't stand in a migration: it would give up the lock"),
            ("-- batch: 10\nupdate t set a = 1;", "4: batches commit one by one; add `-- transaction: off`"),
        ] {
            let error = with_body(body).unwrap_err();
            assert!(error.starts_with(expected), "{body}: {error}");
        }
        assert!(read("-- revision: a\n-- transaction: off\n-- upgrade\nvacuum;").is_ok());
        assert!(read("-- revision: a\n-- transaction: off\n-- upgrade\nbegin;").is_err());
    }

    #[test]
    fn marks_are_for_the_next_statement() {
        let off = |body: &str| read(&format!("-- revision: a\n-- transaction: off\n-- upgrade\n{body}"));
        let script = off("-- Backfill: slow\n-- batch: 10_000 pause 100ms\n/* x */ update t set a = 1;\n\n\
                          -- idempotent: it deletes first\n\ncall p();\nselect 1;\n\
                          -- downgrade\n-- Batch: 5\ndelete from t;")
        .unwrap();
        let batch = |rows, millis| Some(Batch { rows, pause: std::time::Duration::from_millis(millis) });
        let marks: Vec<_> = script.upgrade.iter().map(|s| (s.idempotent, s.batch)).collect();
        assert_eq!(marks, [(false, batch(10_000, 100)), (true, None), (false, None)]);
        assert_eq!(script.downgrade[0].batch, batch(5, mark::PAUSE.as_millis() as u64));
        for (body, expected) in [
            ("select 1; -- batch: 5\ndelete from t;", "4: `-- batch` must stand on a line of its own"),
            ("delete from t\n-- batch: 5\n;", "5: `-- batch` must stand on a line of its own"),
            ("delete from t;\n-- idempotent\n", "5: `-- idempotent` must stand on a line of its own"),
            ("-- batch: 5\n-- downgrade\ndelete from t;", "4: `-- batch` must stand on a line of its own"),
            ("-- batch: 0\ndelete from t;", "4: batch can't be \"0\"; write the rows of a batch"),
            ("-- batch: 5 pause\ndelete from t;", "4: batch can't be \"5 pause\""),
            (
                "-- batches: 5\ndelete from t;",
                "4: `-- batches: 5` says nothing to backstay; `-- batch: 10000` may be",
            ),
            (
                "-- idempotant\ncall p();",
                "4: `-- idempotant` says nothing to backstay; `-- idempotent` may be",
            ),
            ("-- batch: 5\ninsert into t select 1;", "5: only UPDATE and DELETE run in batches"),
            ("-- batch: 5\nupdate t set a = 1 from u;", "5: a statement that joins other tables"),
        ] {
            let error = off(body).unwrap_err();
            assert!(error.starts_with(expected), "{body}: {error}");
        }
        for prose in
            ["-- a batch of 5", "-- batch processing: see below", "-- idempotent inserts", "-- both: 5"]
        {
            assert!(off(&format!("{prose}\nselect 1;")).is_ok(), "{prose}");
        }
    }

    #[test]
    fn a_section_mark_is_a_comment_of_its_own() {
        let script = with_body("select 1; -- downgrade\nselect $$\n-- downgrade\n$$;").unwrap();
        assert_eq!((script.upgrade.len(), script.downgrade.len()), (2, 0));
        assert!(!script.reversible());
        assert!(with_body("-- Downgrade\n").unwrap().reversible());
    }
}
