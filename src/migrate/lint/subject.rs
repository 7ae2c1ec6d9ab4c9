//! A migration as the lint sees it: the text of its file, its statements and the comments above them.

use std::path::{Path, PathBuf};

use super::sql::{Effect, Outcome, effects, parse};
use crate::migrate::lexer;
use crate::migrate::script::{self, Script, ScriptError};

/// One migration to be judged.
#[derive(Debug)]
pub struct Subject {
    pub(super) revision: String,
    pub(super) path: PathBuf,
    /// Its statements share one transaction.
    pub(super) transactional: bool,
    pub(super) reversible: bool,
    /// Why there is nothing to judge.
    pub(super) unwritten: Option<String>,
    /// The file up to the end of the upgrade, so that places in it are places of the file.
    pub(super) text: String,
    /// The statements of the upgrade.
    pub(super) statements: Vec<Statement>,
    /// Comments that are about the whole file: of its header, and of the downgrade.
    pub(super) remarks: Vec<Remark>,
}

/// A migration that another tool wrote as SQL.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The revision.
    pub revision: String,
    /// Its file, which is not SQL.
    pub path: PathBuf,
    /// The statements of the upgrade, each with the comments above it.
    pub statements: Vec<String>,
    /// They share one transaction.
    pub transactional: bool,
    /// There is a way down.
    pub reversible: bool,
    /// Why it can't be written as SQL, and so not be judged.
    pub unwritten: Option<String>,
    /// What comments of the file say, with their lines: `(7, "backstay: allow … because …")`.
    pub comments: Vec<(u32, String)>,
}

/// One statement of the upgrade.
#[derive(Debug)]
pub(super) struct Statement {
    pub text: String,
    pub line: u32,
    /// Where it is in the text, comments above it included.
    pub span: std::ops::Range<usize>,
    /// The comments above it.
    pub remarks: Vec<Remark>,
}

/// What a line comment says, without its dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub line: u32,
    pub text: String,
}

/// A statement, read.
pub(super) enum Reading {
    Effects(Vec<Effect>),
    /// It could not be read; why.
    Unread(String),
}

impl Subject {
    /// Reads the file of `script` again: comments are in it that the migration itself does without.
    ///
    /// # Errors
    /// [`ScriptError`], if the file is gone, or changed so that it is no migration any more.
    pub fn read(script: &Script) -> Result<Self, ScriptError> {
        let text = std::fs::read(&script.path)
            .map_err(|source| ScriptError::Unreadable { path: script.path.clone(), source })?;
        Self::of(&String::from_utf8_lossy(&text), &script.path)
            .map_err(|(line, fault)| ScriptError::Malformed { path: script.path.clone(), line, fault })
    }

    /// Reads the text of a migration; `path` is only noted.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn of(text: &str, path: &Path) -> Result<Self, (u32, script::Fault)> {
        let script = script::parse(text, path)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let split = lexer::split(&text).map_err(|error| (error.line(), script::Fault::Lex(error)))?;
        let ups = &split.statements[..script.upgrade.len().min(split.statements.len())];
        let upgrade_begins = split.comments.iter().find(|mark| said(&text[mark.span.clone()]) == "upgrade");
        let head = upgrade_begins.map_or(0, |mark| mark.span.end);
        let end = ups.last().map_or(head, |last| last.span.end);
        let remarks = |wanted: &dyn Fn(usize) -> bool| -> Vec<Remark> {
            let marks = split.comments.iter().filter(|mark| wanted(mark.span.start));
            marks.map(|mark| Remark { line: mark.line, text: words(&text[mark.span.clone()]) }).collect()
        };
        let statements = ups
            .iter()
            .map(|found| Statement {
                text: text[found.start..found.span.end].to_string(),
                line: found.line,
                span: found.span.clone(),
                remarks: remarks(&|at| at >= found.span.start.max(head) && at < found.start),
            })
            .collect();
        Ok(Self {
            revision: script.revision.id.clone(),
            path: path.to_path_buf(),
            transactional: script.transactional,
            reversible: script.reversible(),
            unwritten: None,
            remarks: remarks(&|at| at < head || at >= end),
            text: text[..end].to_string(),
            statements,
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its revision.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The statements of the upgrade, as the file has them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|statement| statement.text.as_str())
    }
}

impl From<Rendered> for Subject {
    fn from(rendered: Rendered) -> Self {
        let mut text = String::new();
        let mut statements = Vec::new();
        for written in &rendered.statements {
            let begins = text.len();
            text.push_str(written);
            text.push('\n');
            // What is no SQL to the lexer is none to the parser, which says so.
            let split = lexer::split(written).unwrap_or_default();
            let start = split.statements.first().map_or(0, |first| first.start);
            let above = split.comments.iter().filter(|mark| mark.span.start < start);
            let remarks = above.map(|mark| Remark { line: 0, text: words(&written[mark.span.clone()]) });
            statements.push(Statement {
                text: written[start..].trim_end().to_string(),
                line: 0,
                span: begins..text.len(),
                remarks: remarks.collect(),
            });
        }
        Self {
            revision: rendered.revision,
            path: rendered.path,
            transactional: rendered.transactional,
            reversible: rendered.reversible,
            unwritten: rendered.unwritten,
            text,
            statements,
            remarks: rendered.comments.into_iter().map(|(line, text)| Remark { line, text }).collect(),
        }
    }
}

impl Statement {
    /// What it does.
    pub fn read(&self) -> Reading {
        match parse(&self.text) {
            Outcome::Statement(stmt) => Reading::Effects(effects(&stmt)),
            Outcome::Unread(why) => Reading::Unread(why),
        }
    }

    /// Its first line, shortened.
    pub fn excerpt(&self) -> String {
        shorten(self.text.lines().next().unwrap_or_default(), 90)
    }

    /// Whether it is to run in batches.
    pub fn is_batched(&self) -> bool {
        self.remarks.iter().any(|remark| remark.text.starts_with("batch:"))
    }

    /// Whether its author says that running it again does no harm.
    pub fn is_idempotent(&self) -> bool {
        self.remarks.iter().any(|remark| remark.text.starts_with("idempotent"))
    }
}

/// At most `most` characters of one line.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most - 1).collect::<String>().trim_end().to_string() + "…"
}

fn words(comment: &str) -> String {
    comment.trim_start_matches('-').trim().to_string()
}

fn said(comment: &str) -> String {
    words(comment).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stand_with_what_they_are_about() {
        let text = "-- revision: a\n-- transaction: off\n-- Text\n-- backstay: allow x because y\n\n-- upgrade\n-- one\nSELECT 1; -- two\n\
            -- batch: 10\nUPDATE t SET a = 1;\n-- downgrade\n-- backstay: irreversible because z\n";
        let subject = Subject::of(text, Path::new("a.sql")).unwrap();
        let above =
            |n: usize| subject.statements[n].remarks.iter().map(|r| r.text.as_str()).collect::<Vec<_>>();
        assert_eq!(above(0), ["one"]);
        assert_eq!(above(1), ["two", "batch: 10"]);
        assert!(subject.statements[1].is_batched() && !subject.statements[0].is_batched());
        let whole: Vec<&str> = subject.remarks.iter().map(|r| r.text.as_str()).collect();
        assert!(whole.contains(&"backstay: allow x because y"), "{whole:?}");
        assert!(whole.contains(&"backstay: irreversible because z"), "{whole:?}");
        assert!(subject.text.ends_with("a = 1;"));
        assert_eq!(
            &subject.text[subject.statements[1].span.clone()],
            " -- two\n-- batch: 10\nUPDATE t SET a = 1;"
        );
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(shorten("select  1\n from t", 90), "select 1 from t");
        assert_eq!(shorten("ééééé", 3), "éé…");
    }
}
