//! An Alembic project as SQL files: one a revision, with the same ids, parents, labels and dependencies.
//!
//! Each half of a migration is what Alembic's own `--sql` makes of it. What that can't say, because a migration asks
//! the database, is named; a file whose SQL is not known refuses to run until somebody wrote it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::AlembicMigrator;
use super::offline::{Body, body_of, heading};
use crate::backup::schema::{compare_schemas, schema_of};
use crate::event::{Progress, Unit};
use crate::failure::Failure;
use crate::migrate::chain::Text;
use crate::migrate::error::MigrateError;
use crate::migrate::folder::Migrations;
use crate::migrate::graph::{Direction, Revision, Step};
use crate::migrate::migrator::{Database, Migrator, SqlMigrator};
use crate::migrate::options::{HISTORY_TABLE, Options, Tables};
use crate::migrate::scratch::{Scratch, ScratchError};
use crate::migrate::script;
use crate::migrate::statement::{self, Nature};
use crate::pg::{self, ConnInfo, quote_literal};
use crate::redact::redact;

/// One migration, as SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// Its id.
    pub revision: String,
    /// The name of its file.
    pub file: String,
    /// The file's text.
    pub text: String,
    /// What a person should look at: nothing, if it is all there.
    pub doubts: Vec<String>,
    /// Its SQL is not known: the file refuses to run.
    pub missing: bool,
}

impl AlembicMigrator {
    /// Translates every migration; asks no database, writes nothing.
    ///
    /// # Errors
    /// If the project's revisions can't be put in order.
    pub async fn translate(&self, progress: &Progress) -> Result<Vec<Translated>, MigrateError> {
        let graph = self.chain().graph();
        let ups = graph.plan_upgrade(&BTreeSet::new(), "heads")?;
        let heads = self.chain().rows_at("heads")?;
        let downs = graph.plan_downgrade(&heads, "base")?;
        let (up, down) = (self.all(Direction::Up, &heads).await, self.all(Direction::Down, &heads).await);
        let mut translated = Vec::new();
        for (done, step) in (0u64..).zip(&ups) {
            progress.at(done, Some(ups.len() as u64), Unit::Items, step.revision.clone());
            let back = downs.iter().find(|back| back.revision == step.revision);
            translated.push(self.translate_one(step, back, up.as_deref(), down.as_deref()).await);
        }
        Ok(translated)
    }

    /// All of one direction in one call, which is much the faster; nothing where one migration spoils it.
    async fn all(&self, direction: Direction, heads: &BTreeSet<String>) -> Option<String> {
        match (direction, heads.len()) {
            (Direction::Up, _) => self.offline(direction, "base", "heads").await.ok(),
            (Direction::Down, 1) => self.offline(direction, heads.first()?, "base").await.ok(),
            _ => None,
        }
    }

    async fn half(&self, step: &Step, all: Option<&str>) -> Result<Body, MigrateError> {
        let tables = Tables::offline(&self.options)?;
        match all.and_then(|all| body_of(all, &heading(step), &tables)) {
            Some(body) => Ok(body),
            None => self.body(step).await,
        }
    }

    async fn translate_one(
        &self,
        step: &Step,
        back: Option<&Step>,
        up: Option<&str>,
        down: Option<&str>,
    ) -> Translated {
        let id = &step.revision;
        let (mut doubts, mut missing) = (Vec::new(), false);
        let default = Text::default();
        let text = self.chain().text(id).unwrap_or(&default);
        let place = Revision::default();
        let revision = self.chain().graph().revision(id).unwrap_or(&place);
        let mut known = |half: &str, body: Result<Body, MigrateError>| match body {
            Ok(body) => body,
            Err(error) => {
                let why = redact(&error.to_string()).replace('\n', " ");
                doubts.push(format!("its {half} can't be written as SQL: {why}"));
                missing = true;
                Body { statements: vec![refusal(id, half)], outside: false }
            }
        };
        let upgrade = known("upgrade", self.half(step, up).await);
        let downgrade = match back {
            Some(back) if text.reversible => known("downgrade", self.half(back, down).await),
            _ => Body::default(),
        };
        if let Some(source) = self.project.migrations.get(id) {
            let asked =
                source.asks.iter().map(|ask| format!("{}:{}: {}()", text.path.display(), ask.line, ask.name));
            doubts.extend(asked.map(|asked| format!("{asked} asks the database, and got no answer")));
            let doubled = |body: &Body| body.statements.iter().any(|statement| statement.contains("%%"));
            if doubled(&upgrade) || doubled(&downgrade) {
                doubts.push("there is a %% in its SQL; Python may mean a single %".to_string());
            }
        }
        let stem =
            text.path.file_stem().map_or_else(|| id.clone(), |stem| stem.to_string_lossy().into_owned());
        let text = file_text(revision, text, &upgrade, &downgrade);
        let file = format!("{stem}.sql");
        // It must be what it was, as our own reader sees it.
        match script::parse(&text, Path::new(&file)) {
            Ok(script) if same_place(&script.revision, revision) => {}
            Ok(_) => doubts.push("its header can't be written in our form".to_string()),
            Err((line, fault)) => {
                doubts.push(format!("line {line} of its SQL must be mended by hand: {fault}"));
                missing = true;
            }
        }
        Translated { revision: id.clone(), file, text, doubts, missing }
    }

    /// Runs both chains, each into a scratch database, and gives what differs between the two schemas: nothing, if
    /// the files do what the project does. The version tables are left out.
    ///
    /// # Errors
    /// If one of them can't be run.
    pub async fn compare(
        &self,
        folder: &Path,
        database: &Database,
        progress: &Progress,
    ) -> Result<Vec<String>, Failure> {
        let files = SqlMigrator { migrations: Migrations::load(folder)?, options: self.options.clone() };
        let ours = schema_after(&files, database, progress).await?;
        let theirs = schema_after(self, database, progress).await?;
        Ok(compare_schemas(&theirs, &ours).unwrap_or_default())
    }
}

/// The schema that a chain makes of an empty database.
async fn schema_after(
    migrator: &dyn Migrator,
    database: &Database,
    progress: &Progress,
) -> Result<String, Failure> {
    let Database { admin, info, session, .. } = database;
    Scratch::within(admin, info, session, async |scratch: &ConnInfo| {
        let there = Database { info: scratch.clone(), ..database.clone() };
        migrator.upgrade(&there, "heads", progress).await.map_err(Failed::Migrate)?;
        forget_versions(scratch, database, migrator.options()).await?;
        schema_of(scratch, session).await.map_err(|error| Failed::Other(error.into()))
    })
    .await
    .map_err(Failure::from)
}

async fn forget_versions(scratch: &ConnInfo, database: &Database, options: &Options) -> Result<(), Failed> {
    let inside =
        pg::connect(scratch, &database.session).await.map_err(|error| Failed::Other(error.into()))?;
    let tables = Tables::resolve(&inside, options).await.map_err(Failed::Migrate)?;
    let sql = format!("DROP TABLE IF EXISTS {}, {}", tables.version(), tables.history());
    let dropped = inside.batch_execute(&sql).await;
    dropped.map_err(|error| Failed::Other(pg::refused(&format!("drop {HISTORY_TABLE}"), &error)))?;
    inside.close().await;
    Ok(())
}

enum Failed {
    Migrate(MigrateError),
    Other(Failure),
}

impl From<ScratchError> for Failed {
    fn from(error: ScratchError) -> Self {
        Failed::Other(error.into())
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        match failed {
            Failed::Migrate(error) => error.into(),
            Failed::Other(failure) => failure,
        }
    }
}

/// Writes the files into `folder`, which must hold no migrations yet. A crash leaves the first of them.
///
/// # Errors
/// If there are SQL files in it, or the system refuses; nothing that was there is changed.
pub fn write(folder: &Path, translated: &[Translated]) -> Result<Vec<PathBuf>, Failure> {
    let what = || format!("write the migrations to {}", folder.display());
    let failed = |error: std::io::Error| Failure::failed(what()).caused_by(&error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let sql =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
    if let Some(there) = entries.flatten().map(|entry| entry.path()).find(sql) {
        return Err(Failure::refused(what())
            .because_of(format!("{} is there already", there.display()))
            .leaving("nothing was written")
            .then("name another folder with --to"));
    }
    let mut written = Vec::new();
    for one in translated {
        let path = folder.join(&one.file);
        let mut file = std::fs::File::create_new(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, one.text.as_bytes()).map_err(failed)?;
        written.push(path);
    }
    Ok(written)
}

/// A statement that fails, in the place of what is not known.
fn refusal(id: &str, half: &str) -> String {
    let said =
        quote_literal(&format!("the {half} of {id} is to be written by hand: Alembic can't write it as SQL"));
    format!("DO $do$ BEGIN RAISE EXCEPTION USING MESSAGE = {said}; END $do$;")
}

fn same_place(found: &Revision, wanted: &Revision) -> bool {
    found.id == wanted.id
        && found.down == wanted.down
        && found.labels == wanted.labels
        && found.depends_on == wanted.depends_on
}

fn file_text(revision: &Revision, said: &Text, upgrade: &Body, downgrade: &Body) -> String {
    let mut lines = vec![format!("-- revision: {}", revision.id)];
    for (key, values) in
        [("revises", &revision.down), ("branch", &revision.labels), ("depends-on", &revision.depends_on)]
    {
        if !values.is_empty() {
            lines.push(format!("-- {key}: {}", values.join(", ")));
        }
    }
    lines.extend(said.created.iter().map(|created| format!("-- created: {created}")));
    let outside =
        [upgrade, downgrade].iter().any(|body| body.outside || body.statements.iter().any(|s| is_outside(s)));
    if outside {
        lines.push("-- transaction: off".to_string());
    }
    lines.extend([said.description.as_str()].into_iter().chain(said.notes.lines()).map(prose));
    for (name, body) in [("upgrade", upgrade), ("downgrade", downgrade)] {
        lines.extend([String::new(), format!("-- {name}")]);
        let kept =
            body.statements.iter().filter(|statement| !["BEGIN;", "COMMIT;"].contains(&statement.as_str()));
        lines.extend(kept.cloned());
    }
    lines.join("\n").trim_end().to_string() + "\n"
}

fn is_outside(statement: &str) -> bool {
    statement::nature(statement) == Nature::OutsideOnly
}

/// A line of prose in a header. What could be read as a key, or as the beginning of a section, is quoted.
fn prose(line: &str) -> String {
    let line = line.trim_end();
    let risky = line.split_once(':').is_some_and(|(key, _)| !key.contains(' '))
        || ["upgrade", "downgrade"].iter().any(|word| line.trim().eq_ignore_ascii_case(word));
    match (line.is_empty(), risky) {
        (true, _) => "--".to_string(),
        (false, true) => format!("-- > {line}"),
        (false, false) => format!("-- {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_as_what_it_was() {
        let revision = Revision {
            labels: vec!["main".into()],
            depends_on: vec!["x1".into()],
            ..Revision::new("c1", &["a", "b"])
        };
        let said = Text {
            description: "fix: add a thing".into(),
            notes: "transaction: off\n\nupgrade\nSee: more".into(),
            created: Some("2025-12-06 10:30:00".into()),
            ..Text::default()
        };
        let body = |statements: &[&str], outside| Body {
            statements: statements.iter().map(ToString::to_string).collect(),
            outside,
        };
        let upgrade = body(&["CREATE TABLE t (id INTEGER);", "-- why\nINSERT INTO t VALUES (1);"], false);
        let text = file_text(&revision, &said, &upgrade, &body(&["DROP TABLE t;"], false));
        let script = script::parse(&text, Path::new("c1.sql")).unwrap();
        assert!(same_place(&script.revision, &revision) && script.transactional, "{text}");
        assert_eq!((script.upgrade.len(), script.downgrade.len()), (2, 1));
        assert_eq!(script.description, "> fix: add a thing");
        let parted =
            body(&["SELECT 1;", "COMMIT;", "CREATE INDEX CONCURRENTLY i ON t (id);", "BEGIN;"], true);
        let text = file_text(&revision, &said, &parted, &Body::default());
        let script = script::parse(&text, Path::new("c1.sql")).unwrap();
        assert_eq!((script.upgrade.len(), script.transactional), (2, false), "{text}");
    }

    #[test]
    fn what_is_not_known_refuses_to_run() {
        let text = refusal("a", "upgrade");
        assert_eq!(statement::nature(&text), Nature::Plain);
        assert!(text.contains("'the upgrade of a is to be written by hand"));
    }
}
