//! A new migration file: its name, its text from a template, and its writing.
//!
//! Whatever template is used, what comes of it is read as every migration is, before it is written: a template that
//! forgets the revision makes no file.

mod name;
mod template;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use name::{NamePattern, PatternError};
pub use template::{SHIPPED, Template, TemplateError};

use super::chain::Chain;
use super::graph::{Graph, GraphError, Revision};
use super::script::{self, Fault};
use crate::failure::Failure;
use crate::whole;

/// How new revisions get their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdKind {
    /// Twelve hexadecimal digits, as Alembic's.
    #[default]
    Random,
    /// `YYYYMMDDHHMMSS`, UTC. Two people in one second get one id; that is refused when both files meet.
    Timestamp,
}

/// How new files look.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// The file's name.
    pub file_name: NamePattern,
    /// The file's text.
    pub template: Template,
    /// The revision's id, where none is given.
    pub ids: IdKind,
}

/// A migration that is to be written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its place in the graph; its file is not named yet.
    pub revision: Revision,
    /// What it is for, in one line.
    pub description: String,
    /// When it is made.
    pub created: Timestamp,
}

/// Why no file was written.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The description would not be one line of a comment.
    #[error("a description is one line of text, with something in it")]
    Description,
    /// There is a file of that name.
    #[error("{} is there already", .0.display())]
    Exists(
        /// The file.
        PathBuf,
    ),
    /// What the template gives is no migration.
    #[error("what the template makes is no migration: line {line}: {fault}")]
    Malformed {
        /// The line, from 1.
        line: u32,
        /// What is wrong there.
        fault: Fault,
    },
    /// The template says something else than was asked for.
    #[error("the template does not carry the header: {0} is lost")]
    Lost(
        /// What of it.
        &'static str,
    ),
    /// With the new file, the files were no graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The system refused.
    #[error("could not write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Style {
    /// An id that no revision of `graph` has, and the moment that it is of: `now`, or as many seconds later as
    /// revisions were made in this one.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn fresh_id(&self, graph: &Graph, now: Timestamp) -> std::io::Result<(String, Timestamp)> {
        if self.ids == IdKind::Random {
            let mut random = [0u8; 6];
            getrandom::fill(&mut random).map_err(std::io::Error::other)?;
            return Ok((hex::encode(random), now));
        }
        let mut at = now;
        while graph.revision(&name::timestamp(at)).is_some() {
            at += jiff::SignedDuration::from_secs(1);
        }
        Ok((name::timestamp(at), at))
    }
}

/// Writes the draft beside the files of `chain`, durably; gives the file. A crash leaves all of it or none, or an
/// empty file of that name.
///
/// # Errors
/// [`DraftError`]; then there is no new file.
pub fn write(chain: &Chain, draft: &Draft, style: &Style) -> Result<PathBuf, DraftError> {
    if draft.description.trim().is_empty() || draft.description.contains(char::is_control) {
        return Err(DraftError::Description);
    }
    let path = chain.folder().join(style.file_name.of(draft));
    let text = style.template.of(draft);
    expect_faithful(&text, &path, draft)?;
    let mut revisions: Vec<Revision> = chain.graph().revisions().cloned().collect();
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    revisions.push(Revision { file, ..draft.revision.clone() });
    Graph::new(revisions)?;
    create(&path, &text)?;
    Ok(path)
}

/// What is read back must be what was meant.
fn expect_faithful(text: &str, path: &Path, draft: &Draft) -> Result<(), DraftError> {
    let script = script::parse(text, path).map_err(|(line, fault)| DraftError::Malformed { line, fault })?;
    let (read, meant) = (&script.revision, &draft.revision);
    for (what, kept) in [
        ("the revision", read.id == meant.id),
        ("what it revises", read.down == meant.down),
        ("its branch", read.labels == meant.labels),
        ("what it depends on", read.depends_on == meant.depends_on),
        ("its description", script.description == draft.description.trim()),
    ] {
        if !kept {
            return Err(DraftError::Lost(what));
        }
    }
    Ok(())
}

fn create(path: &Path, text: &str) -> Result<(), DraftError> {
    match whole::create(path, text.as_bytes(), 0o644) {
        Ok(true) => Ok(()),
        Ok(false) => Err(DraftError::Exists(path.to_path_buf())),
        Err(source) => Err(DraftError::Write { path: path.to_path_buf(), source }),
    }
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Failure {
        let failure = Failure::usage("write the migration").caused_by(&error).leaving("no file was written");
        match error {
            DraftError::Description => {
                failure.then("say what it is for: --message \"add priority to questions\"")
            }
            DraftError::Exists(_) => {
                failure.then("choose another message, or look whether it is the same migration")
            }
            DraftError::Malformed { .. } | DraftError::Lost(_) => {
                failure.then("mend [migrations] template, or take the key away for the shipped one")
            }
            DraftError::Graph(_) => failure.then("choose another id or branch label"),
            DraftError::Write { .. } => {
                failure.then("check [migrations] directory, and that this user may write it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: &str, down: &[&str], description: &str) -> Draft {
        let created = "2025-11-18T12:00:07Z".parse().unwrap();
        Draft { revision: Revision::new(id, down), description: description.to_string(), created }
    }

    fn chain(folder: &Path) -> Chain {
        let base = (Revision::new("a1", &[]), Default::default());
        Chain::new(folder, vec![base]).unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = draft("b2", &["a1"], "Add user preferences");
        draft.revision.labels = vec!["prefs".into()];
        draft.revision.depends_on = vec!["a1".into()];
        let path = write(&chain(folder.path()), &draft, &Style::default()).unwrap();
        assert_eq!(path.file_name().unwrap(), "20251118120007_add_user_preferences.sql");
        let script = script::read(&path).unwrap();
        assert_eq!(script.revision.down, ["a1"]);
        assert_eq!(script.description, "Add user preferences");
        assert!(script.upgrade.is_empty() && script.downgrade.is_empty());
        let again = write(&chain(folder.path()), &draft, &Style::default());
        assert!(matches!(again, Err(DraftError::Exists(_))), "{again:?}");
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let chain = chain(folder.path());
        let refused = |draft: &Draft, style: &Style| {
            let error = write(&chain, draft, style).unwrap_err().to_string();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
            error
        };
        let style = Style::default();
        assert!(refused(&draft("b", &["a1"], " "), &style).contains("one line"));
        assert!(refused(&draft("b", &["a1"], "a\nb"), &style).contains("one line"));
        assert!(refused(&draft("a1", &[], "again"), &style).contains("two files"));
        assert!(refused(&draft("b", &["zz"], "gap"), &style).contains("gap"));
        let bare =
            Style { template: Template::parse("-- {description}\n-- upgrade\n").unwrap(), ..style.clone() };
        assert!(refused(&draft("b", &["a1"], "x"), &bare).contains("revision"));
        let base = Template::parse("-- revision: {revision}\n-- {description}\n-- upgrade\n").unwrap();
        let lost = refused(&draft("b", &["a1"], "x"), &Style { template: base, ..style.clone() });
        assert!(lost.contains("what it revises"), "{lost}");
        // A description that would be read as a key.
        assert!(refused(&draft("b", &["a1"], "transacton: off"), &style).contains("transacton"));
    }

    #[test]
    fn ids_are_alembics_or_the_time() {
        let now: Timestamp = "2025-11-18T12:00:00Z".parse().unwrap();
        let graph = Graph::new(vec![Revision::new("20251118120000", &[])]).unwrap();
        let (id, _) = Style::default().fresh_id(&graph, now).unwrap();
        assert!(id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        let style = Style { ids: IdKind::Timestamp, ..Style::default() };
        let (id, at) = style.fresh_id(&graph, now).unwrap();
        assert_eq!((id.as_str(), at.to_string().as_str()), ("20251118120001", "2025-11-18T12:00:01Z"));
    }
}
