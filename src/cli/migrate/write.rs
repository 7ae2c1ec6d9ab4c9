//! The verbs that write a new migration file: `revision` and `merge`. No database is asked.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::files::Files;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::draft::{self, Draft, Style, Template};
use crate::migrate::graph::{Graph, GrowError, Revision, Wanted};
use crate::time::now;

/// Write a new migration file, with empty sections for its SQL
#[derive(Debug, Args)]
pub(super) struct NewRevision {
    /// What it is for, in one line
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
    /// What it stands on: a revision, BRANCH@head, or base for a new tree; the only head if not given
    #[arg(long, value_name = "REVISION")]
    pub head: Option<String>,
    /// Let it stand on a revision that is no head, and so begin a branch there
    #[arg(long)]
    pub splice: bool,
    /// A name for the branch that begins with it
    #[arg(long, value_name = "LABEL")]
    pub branch_label: Vec<String>,
    /// A revision or branch that must be applied before it
    #[arg(long, value_name = "REVISION")]
    pub depends_on: Vec<String>,
    /// Its id, instead of a fresh one
    #[arg(long, value_name = "ID")]
    pub rev_id: Option<String>,
    /// Write it from the difference between models and database: for Alembic projects only
    #[arg(long)]
    pub autogenerate: bool,
}

/// Write a migration file that joins several heads
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The revisions to join; all heads if none is named
    pub revisions: Vec<String>,
    /// What it is for, in one line
    #[arg(short, long, value_name = "TEXT", default_value = "merge heads")]
    pub message: String,
    /// A name for the branch that begins with it
    #[arg(long, value_name = "LABEL")]
    pub branch_label: Vec<String>,
    /// Its id, instead of a fresh one
    #[arg(long, value_name = "ID")]
    pub rev_id: Option<String>,
}

/// `revision`.
pub(super) fn revision(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    command: &NewRevision,
) -> Result<Verdict, Trouble> {
    if command.autogenerate {
        return Err(Failure::usage("write a migration from models")
            .because_of(format!(
                "the migrations of {} are plain SQL: there are no models to compare",
                root.name
            ))
            .then("leave --autogenerate away and write the SQL: the lint and `migrate test` look at it")
            .into());
    }
    let desk = Desk::at(root, command.rev_id.as_deref())?;
    let on: Vec<&str> = command.head.iter().map(String::as_str).collect();
    let (labels, needed) = (texts(&command.branch_label), texts(&command.depends_on));
    let wanted =
        Wanted { id: &desk.id, on: &on, splice: command.splice, labels: &labels, depends_on: &needed };
    let revision = desk.graph().grow(wanted).map_err(cannot_grow)?;
    desk.write(shell, config, revision, &command.message)
}

/// `merge`.
pub(super) fn merge(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    command: &Merge,
) -> Result<Verdict, Trouble> {
    let desk = Desk::at(root, command.rev_id.as_deref())?;
    let (on, labels) = (texts(&command.revisions), texts(&command.branch_label));
    let wanted = Wanted { id: &desk.id, on: &on, labels: &labels, ..Wanted::default() };
    let revision = desk.graph().merge(wanted).map_err(cannot_grow)?;
    desk.write(shell, config, revision, &command.message)
}

/// What the verb does once it knows how files look and which id is free.
struct Desk<'a> {
    files: Files<'a>,
    style: Style,
    id: String,
    created: Timestamp,
}

impl<'a> Desk<'a> {
    fn at(root: &'a MigrationRoot, given: Option<&str>) -> Result<Self, Failure> {
        let files = Files::of(root)?;
        let style =
            Style { file_name: root.file_name.clone(), template: template(root)?, ids: root.revision_ids };
        let fresh = style.fresh_id(files.chain().graph(), now());
        let (id, created) = fresh.map_err(|e| Failure::failed("make an id").caused_by(&e))?;
        let id = given.map_or(id, String::from);
        Ok(Self { files, style, id, created })
    }

    fn graph(&self) -> &Graph {
        self.files.chain().graph()
    }

    /// Writes the file, and tells it.
    fn write(
        &self,
        shell: &Shell,
        config: &Config,
        revision: Revision,
        message: &str,
    ) -> Result<Verdict, Trouble> {
        let draft = Draft { revision, description: message.trim().to_string(), created: self.created };
        let path = draft::write(self.files.chain(), &draft, &self.style).map_err(Failure::from)?;
        let shown = path.strip_prefix(&config.root).unwrap_or(&path).display().to_string();
        let Revision { id, down, labels, depends_on, .. } = draft.revision;
        let on = if down.is_empty() { "<base>".to_string() } else { down.join(", ") };
        shell.tell(
            &format!("{shown}\n  {on} -> {id}, {}", draft.description),
            json!({
                "environment": config.environment, "name": self.files.root.name, "path": shown, "revision": id,
                "revises": down, "branches": labels, "depends_on": depends_on, "description": draft.description,
            }),
        );
        Ok(Verdict::Done)
    }
}

fn template(root: &MigrationRoot) -> Result<Template, Failure> {
    let Some(path) = &root.template else { return Ok(Template::default()) };
    let refused =
        || Failure::usage(format!("use the template {}", path.display())).leaving("no file was written");
    let text = std::fs::read_to_string(path).map_err(|e| refused().caused_by(&e))?;
    Template::parse(&text).map_err(|e| refused().caused_by(&e))
}

fn cannot_grow(error: GrowError) -> Failure {
    let failure = Failure::usage("place the new revision").caused_by(&error).leaving("no file was written");
    error.remedy().into_iter().fold(failure, Failure::then)
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}
