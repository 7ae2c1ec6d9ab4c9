//! What Alembic would do, as SQL: its own `--sql`, and where that has no words for it, migration by migration.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::AlembicMigrator;
use super::error::Left;
use super::offline::{Body, body_of, heading};
use crate::migrate::error::{MigrateError, Reason};
use crate::migrate::graph::{Direction, Step};
use crate::migrate::history;
use crate::migrate::lint::Rendered;
use crate::migrate::options::Tables;

impl AlembicMigrator {
    pub(super) fn plan(
        &self,
        direction: Direction,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<Vec<Step>, MigrateError> {
        let graph = self.project.chain().graph();
        Ok(match direction {
            Direction::Up => graph.plan_upgrade(from, target)?,
            Direction::Down => graph.plan_downgrade(from, target)?,
        })
    }

    /// The script from the rows `from` to `target`.
    pub(super) async fn script(
        &self,
        direction: Direction,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<String, MigrateError> {
        let steps = self.plan(direction, from, target)?;
        if steps.is_empty() {
            return Ok(String::new());
        }
        let mut rows = from.iter();
        match (rows.next(), rows.next()) {
            (None, _) => self.offline(direction, "base", target).await,
            (Some(one), None) => self.offline(direction, one, target).await,
            // Offline, Alembic knows of no database with several rows.
            _ => self.step_by_step(&steps, from.is_empty(), false).await,
        }
    }

    /// As [`Self::script`]; a migration that can't be written stands there as a comment.
    pub(super) async fn readable(
        &self,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<String, MigrateError> {
        match self.script(Direction::Up, from, target).await {
            Err(error) if matches!(&*error.reason, Reason::Alembic(_)) => {
                let steps = self.plan(Direction::Up, from, target)?;
                self.step_by_step(&steps, from.is_empty(), true).await
            }
            other => other,
        }
    }

    /// The migrations that are pending, each with what its file holds: the SQL of a migration may differ from one
    /// moment to the next (a time, a random key), and it is the file that is approved.
    pub(super) fn files_of(&self, from: &BTreeSet<String>, target: &str) -> Result<String, MigrateError> {
        let mut text = String::new();
        for step in self.plan(Direction::Up, from, target)? {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{} {}", step.revision, self.file_of(&step.revision));
        }
        Ok(text)
    }

    /// The SHA-256 of a revision's file and of `env.py`, which is a part of what it does.
    pub(super) fn file_of(&self, revision: &str) -> String {
        let Some(source) = self.project.migrations.get(revision) else { return String::new() };
        let env_py = std::fs::read(self.project.env_py()).unwrap_or_default();
        let both = Sha256::new_with_prefix(&source.hash).chain_update(env_py);
        hex::encode(both.finalize())
    }

    async fn step_by_step(
        &self,
        steps: &[Step],
        make_table: bool,
        lenient: bool,
    ) -> Result<String, MigrateError> {
        let tables = Tables::offline(&self.options)?;
        let mut sql = String::new();
        for (index, step) in steps.iter().enumerate() {
            let mut paragraph = |text: &str| {
                let _ = write!(sql, "{text}\n\n");
            };
            let title = heading(step);
            let body = match self.body(step).await {
                Ok(body) => body,
                Err(error) if lenient => {
                    paragraph(&format!("{title}\n{}", self.apology(step, &error)));
                    continue;
                }
                Err(error) => return Err(error),
            };
            paragraph("BEGIN;");
            if make_table && index == 0 {
                paragraph(&tables.create_version());
            }
            paragraph(&title);
            body.statements.iter().for_each(|statement| paragraph(statement));
            step.changes.iter().for_each(|change| paragraph(&history::change_row(&tables, change)));
            paragraph("COMMIT;");
        }
        Ok(sql)
    }

    /// Every migration that leads from the rows `from` up to `target`, for the lint: what `--sql` writes of it, and
    /// what comments of its file allow.
    pub(super) async fn to_be_judged(
        &self,
        from: &BTreeSet<String>,
        target: &str,
    ) -> Result<Vec<Rendered>, MigrateError> {
        let steps = self.plan(Direction::Up, from, target)?;
        let tables = Tables::offline(&self.options)?;
        // One call for all, as long as all can be written.
        let whole = self.script(Direction::Up, from, target).await.unwrap_or_default();
        let mut found = Vec::new();
        for step in &steps {
            let title = format!("-- Running upgrade {} -> {}", step.from.join(", "), step.to.join(", "));
            let body = match body_of(&whole, &title, &tables) {
                Some(body) => Ok(body),
                None => self.body(step).await,
            };
            let text = self.project.chain().text(&step.revision);
            let path = text.map(|text| self.settings.directory.join(&text.path)).unwrap_or_default();
            let mut rendered = Rendered {
                revision: step.revision.clone(),
                reversible: text.is_none_or(|text| text.reversible),
                transactional: true,
                comments: comments(&path),
                path,
                ..Rendered::default()
            };
            match body {
                Ok(body) => {
                    rendered.transactional = !body.outside;
                    let control = |statement: &String| matches!(statement.as_str(), "BEGIN;" | "COMMIT;");
                    rendered.statements = body.statements.into_iter().filter(|s| !control(s)).collect();
                }
                Err(error) => rendered.unwritten = Some(error.to_string()),
            }
            found.push(rendered);
        }
        Ok(found)
    }

    /// Why a migration can't be shown, as a comment.
    fn apology(&self, step: &Step, error: &MigrateError) -> String {
        let file = self.project.chain().text(&step.revision).map(|text| text.path.display().to_string());
        let said = error.to_string().replace('\n', " ");
        format!(
            "-- {} can't be written as SQL: {said}\n-- Alembic runs it all the same; read the file.",
            file.unwrap_or_default()
        )
    }

    /// The statements of exactly this step's migration.
    pub(super) async fn body(&self, step: &Step) -> Result<Body, MigrateError> {
        let (from, to) = match step.direction {
            Direction::Up => (step.from.first().map_or("base", String::as_str), step.revision.as_str()),
            Direction::Down => (step.revision.as_str(), step.to.first().map_or("base", String::as_str)),
        };
        let text = self.offline(step.direction, from, to).await?;
        Ok(body_of(&text, &heading(step), &Tables::offline(&self.options)?).unwrap_or_default())
    }

    pub(super) async fn offline(
        &self,
        direction: Direction,
        from: &str,
        to: &str,
    ) -> Result<String, MigrateError> {
        let verb = direction.verb();
        let (heard, ended) = self.caller().offline(&[verb, &format!("{from}:{to}"), "--sql"]).await;
        ended.map_err(|error| {
            self.failed(&format!("{verb} {from}:{to} --sql"), &heard, error, Left::Untouched)
        })
    }
}

/// The lines of a Python file that are comments of ours: `# backstay: allow …`.
fn comments(path: &Path) -> Vec<(u32, String)> {
    // Who can't be read here could not be read before, and was told so.
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = (1..).zip(text.lines().map(str::trim));
    let said = lines.filter_map(|(line, text)| Some((line, text.strip_prefix('#')?.trim().to_string())));
    said.filter(|(_, said)| said.starts_with("backstay:")).collect()
}
