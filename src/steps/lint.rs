//! `step = "lint"`: what is dangerous about the pending migrations, before anything is changed.

use serde_json::json;

use super::{Report, Site, migrator, roots};
use crate::config::{Config, MigrationRoot};
use crate::failure::Failure;
use crate::migrate::MigrateError;
use crate::migrate::lint::{self, Finding, Level, Subject, show, tally};
use crate::pg::{self, Session};

/// Which migrations are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that the database has not; all, without a database.
    Pending,
    /// All, as if they ran on the database as it is.
    All,
}

/// What the lint said.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The findings, in the order of the migrations; files from the project's root.
    pub findings: Vec<Finding>,
    /// The revisions that were judged, in order.
    pub revisions: Vec<String>,
    subjects: Vec<Subject>,
}

pub(super) async fn perform(site: &mut Site<'_>) -> Result<Report, Failure> {
    let session = pg::connect(&site.live().await?, &site.session("lint")).await?;
    let judgement =
        Judgement::of_plan(site.config, &site.outline.migrations, Scope::Pending, Some(&session)).await?;
    let facts = json!({ "findings": judgement.findings.iter().map(Finding::document).collect::<Vec<_>>() });
    if judgement.has_errors() {
        return Err(judgement.refusal());
    }
    Report::with(judgement.summary(), &facts)
}

impl Judgement {
    /// Judges what steps that lead to these targets (root, or all of them, and target) would run. Reads only.
    ///
    /// # Errors
    /// If the files are no chain, the target leads nowhere, or the catalogs can't be read.
    pub async fn of_plan(
        config: &Config,
        targets: &[(Option<String>, String)],
        scope: Scope,
        session: Option<&Session>,
    ) -> Result<Self, Failure> {
        let mut judgement = Self::default();
        for (name, target) in targets {
            for root in roots(config, name.as_deref())? {
                judgement.read(root, target, scope, session).await?;
            }
        }
        let facts = match session {
            // Nothing to look for: a database that is at its head is not asked for the size of every table.
            Some(session) if !judgement.subjects.is_empty() => Some(lint::look(session).await?),
            _ => None,
        };
        judgement.findings = lint::lint(&judgement.subjects, facts.as_ref(), &config.lint)?;
        for finding in &mut judgement.findings {
            if let Ok(path) = finding.file.strip_prefix(&config.root) {
                finding.file = path.to_path_buf();
            }
        }
        Ok(judgement)
    }

    async fn read(
        &mut self,
        root: &MigrationRoot,
        target: &str,
        scope: Scope,
        session: Option<&Session>,
    ) -> Result<(), Failure> {
        let migrator = migrator(root, None)?;
        let current = match (session, scope) {
            (Some(session), Scope::Pending) => Some(migrator.current(session).await?),
            _ => None,
        };
        let from = current.as_ref().map(|current| current.revisions.clone()).unwrap_or_default();
        let subjects = match migrator.scripts() {
            None => migrator.rendered(&from, target).await?.into_iter().map(Subject::from).collect(),
            Some(files) => {
                let steps = match &current {
                    Some(current) => migrator.plan(current, target)?,
                    None => {
                        migrator.chain().graph().plan_upgrade(&from, target).map_err(MigrateError::from)?
                    }
                };
                let scripts = steps.iter().filter_map(|step| files.script(&step.revision));
                scripts.map(Subject::read).collect::<Result<Vec<_>, _>>()?
            }
        };
        for subject in subjects {
            // A second step leads on from where the first one led to.
            if !self.subjects.iter().any(|earlier| earlier.path() == subject.path()) {
                self.revisions.push(subject.revision().to_string());
                self.subjects.push(subject);
            }
        }
        Ok(())
    }

    /// Whether a release is refused.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    /// `2 errors, 1 warning in 3 migrations`
    pub fn summary(&self) -> String {
        let migrations = crate::words::count(self.revisions.len() as u64, "migration", "migrations");
        match (self.revisions.len(), self.findings.len()) {
            (0, _) => "nothing is pending".to_string(),
            (_, 0) => format!("nothing to say of {migrations}"),
            _ => format!("{} in {migrations}", tally(&self.findings)),
        }
    }

    /// For people: by file, then the summary.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = show(&self.findings);
        lines.push(self.summary());
        lines
    }

    fn refusal(&self) -> Failure {
        let errors = self.findings.iter().filter(|finding| finding.level == Level::Error);
        let failure = errors.fold(Failure::refused("pass the lint"), |failure, finding| {
            let place = format!("{}:{}", finding.file.display(), finding.line);
            failure.because_of(format!("{place}: {}: {}", finding.rule, finding.what))
        });
        failure
            .leaving("nothing was changed")
            .then("backstay migrate lint shows the evidence, and what to do instead")
            .then("or say above the statement why it is right: -- backstay: allow RULE because …")
    }

    /// `sql`, as the preview has it, with the findings as comments above their statements. For eyes only: what is
    /// approved, and compared later, is the SQL without them.
    pub fn annotate(&self, sql: &str) -> String {
        let mut out = String::with_capacity(sql.len());
        let mut rest = sql;
        let mut findings = self.findings.iter().peekable();
        for subject in &self.subjects {
            for (number, text) in subject.texts().enumerate() {
                let Some(at) = place_of(rest, text) else { continue };
                out.push_str(&rest[..at]);
                let is_here = |finding: &&Finding| {
                    finding.revision == subject.revision()
                        && finding.statement.is_none_or(|own| own <= number + 1)
                };
                while let Some(finding) = findings.next_if(is_here) {
                    out.push_str(&format!("-- lint: {}\n", finding.line()));
                    finding.evidence.iter().for_each(|line| out.push_str(&format!("-- lint:   {line}\n")));
                }
                out.push_str(text);
                rest = &rest[at + text.len()..];
            }
            // Of a file without statements, or about comments below the last.
            while findings.next_if(|finding| finding.revision == subject.revision()).is_some() {}
        }
        out.push_str(rest);
        out
    }
}

/// Where the statement stands in a preview: a paragraph of its own.
fn place_of(sql: &str, statement: &str) -> Option<usize> {
    let ends = |at: usize| sql[at + statement.len()..].starts_with('\n');
    let begins = |at: usize| at == 0 || sql[..at].ends_with('\n');
    sql.match_indices(statement).map(|(at, _)| at).find(|&at| begins(at) && ends(at))
}
