//! What Alembic would do, as SQL: its own `--sql`, and where that has no words for it, migration by migration.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::AlembicMigrator;
use super::error::Left;
use crate::migrate::error::{MigrateError, Reason};
use crate::migrate::graph::{Direction, Step};
use crate::migrate::history;
use crate::migrate::lexer;
use crate::migrate::lint::Rendered;
use crate::migrate::options::Tables;

/// The statements of one migration, as `--sql` has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Body {
    /// The statements, each with its semicolon and the comments above it; without those of the version table, and
    /// without the transaction around them all.
    pub statements: Vec<String>,
    /// Some of them are outside of a transaction.
    pub outside: bool,
}

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
            let hash = self.project.migrations.get(&step.revision).map_or("", |source| &source.hash);
            // Writing to a String can't fail.
            let _ = writeln!(text, "{} {hash}", step.revision);
        }
        let env_py = std::fs::read(self.project.env_py()).unwrap_or_default();
        let _ = writeln!(text, "env.py {}", hex::encode(Sha256::digest(env_py)));
        Ok(text)
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

/// The comment that Alembic sets above a migration.
pub(super) fn heading(step: &Step) -> String {
    format!("-- Running {} {} -> {}", step.direction.verb(), step.from.join(", "), step.to.join(", "))
}

/// The statements below the line `title`, up to the next migration's; `None` if there is no such line.
pub(super) fn body_of(text: &str, title: &str, tables: &Tables) -> Option<Body> {
    let begin = text.match_indices(title).map(|(at, _)| at + title.len());
    let begin = begin.filter(|&at| text[at..].starts_with('\n') || text[at..].is_empty()).last()?;
    let rest = &text[begin..];
    let rest = &rest[..rest.find("\n-- Running ").unwrap_or(rest.len())];
    let mut body = Body::default();
    // What is no SQL to us is left whole.
    let Ok(split) = lexer::split(rest) else {
        return Some(Body { statements: vec![rest.trim().to_string()], outside: false });
    };
    let mut end = 0;
    for statement in &split.statements {
        let bare = &rest[statement.start..statement.span.end];
        let word = bare.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let whole = rest[end..statement.span.end].trim().to_string();
        end = statement.span.end;
        match word {
            "BEGIN" | "COMMIT" => body.statements.push(word.to_string()),
            _ if is_of(bare, tables) => {}
            _ => body.statements.push(whole),
        }
    }
    // The transaction around it all ends behind it, and the next migration's begins there; one inside is its own.
    while body.statements.last().is_some_and(|last| last == "BEGIN" || last == "COMMIT") {
        body.statements.pop();
    }
    body.outside = body.statements.iter().any(|statement| statement == "COMMIT");
    for statement in &mut body.statements {
        if statement == "BEGIN" || statement == "COMMIT" {
            statement.push(';');
        }
    }
    Some(body)
}

/// Whether a statement is about the version table.
fn is_of(statement: &str, tables: &Tables) -> bool {
    let names =
        [tables.version(), tables.show(), tables.root().to_string(), crate::pg::quote_ident(tables.root())];
    let verbs = [
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "DROP TABLE ",
        "CREATE TABLE IF NOT EXISTS ",
    ];
    verbs.iter().filter_map(|verb| statement.strip_prefix(verb)).any(|rest| {
        names.iter().any(|name| {
            rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with([' ', ';', '\n', '(']))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::options::Options;

    const SQL: &str = "BEGIN;\n\nCREATE TABLE alembic_version (\n    version_num VARCHAR(32) NOT NULL\n);\n\n\
        -- Running upgrade  -> a\n\nCREATE TABLE t (\n    id INTEGER\n);\n\n-- a note\nINSERT INTO t VALUES (1);\n\n\
        INSERT INTO alembic_version (version_num) VALUES ('a') RETURNING alembic_version.version_num;\n\n\
        -- Running upgrade a -> ab\n\nUPDATE t SET id = 2;\n\nCOMMIT;\n\nCREATE INDEX CONCURRENTLY i ON t (id);\n\nBEGIN;\n\n\
        UPDATE alembic_version SET version_num='ab' WHERE alembic_version.version_num = 'a';\n\nCOMMIT;\n\n";

    #[test]
    fn one_migration_of_a_script() {
        let tables = Tables::offline(&Options::default()).unwrap();
        let first = body_of(SQL, "-- Running upgrade  -> a", &tables).unwrap();
        assert_eq!(
            first.statements,
            ["CREATE TABLE t (\n    id INTEGER\n);", "-- a note\nINSERT INTO t VALUES (1);"]
        );
        assert!(!first.outside);
        let second = body_of(SQL, "-- Running upgrade a -> ab", &tables).unwrap();
        assert_eq!(
            second.statements,
            ["UPDATE t SET id = 2;", "COMMIT;", "CREATE INDEX CONCURRENTLY i ON t (id);"]
        );
        assert!(second.outside);
        assert_eq!(body_of(SQL, "-- Running upgrade a -> b", &tables), None);
    }

    #[test]
    fn statements_of_the_version_table() {
        let named = Tables::offline(&Options { schema: Some("s".into()), ..Options::default() }).unwrap();
        let plain = Tables::offline(&Options::default()).unwrap();
        assert!(is_of("UPDATE s.alembic_version SET x", &named));
        assert!(is_of("DELETE FROM alembic_version WHERE x", &plain));
        assert!(is_of("INSERT INTO \"s\".\"alembic_version\" (x)", &named));
        assert!(!is_of("INSERT INTO alembic_versions (x)", &plain));
        assert!(!is_of("UPDATE users SET x = 'alembic_version'", &plain));
    }
}
