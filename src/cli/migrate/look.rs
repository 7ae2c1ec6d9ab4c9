//! The verbs that only look.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::trouble;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::{self, Current, Entry, Migrations, State, Step, show};
use crate::pg::Session;
use crate::steps::{direct, migrate_options};

/// One root's files.
struct Files<'a> {
    root: &'a MigrationRoot,
    migrations: Migrations,
}

/// One root's files, and where the database stands against them.
struct Standing<'a> {
    files: Files<'a>,
    current: Current,
    /// What is missing up to the heads; none where a row is unknown.
    pending: Option<Vec<Step>>,
}

/// `current`.
pub(super) async fn current(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
) -> Result<Verdict, Trouble> {
    let standings = stand(shell, config, roots, "migrate current").await?;
    let mut lines = Vec::new();
    for standing in &standings {
        let (migrations, rows) = (&standing.files.migrations, &standing.current.revisions);
        let found = match shell.verbose() {
            true => rows.iter().map(|row| show::in_full(migrations, row, Some(rows), None)).collect(),
            false => show::current(migrations, rows),
        };
        lines.extend(named(&standing.files, standings.len(), found));
        for (wrong, mends) in standing.wrong(config) {
            shell.note(&format!("{}: {wrong}\n  -> {mends}", standing.files.root.name));
        }
    }
    answer(shell, &lines, documents(config, &standings));
    Ok(Verdict::Done)
}

/// `status`.
pub(super) async fn status(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
) -> Result<Verdict, Trouble> {
    let standings = stand(shell, config, roots, "migrate status").await?;
    let lines: Vec<String> = standings.iter().flat_map(|standing| standing.lines(config)).collect();
    answer(shell, &lines, documents(config, &standings));
    Ok(Verdict::Done)
}

/// `heads`.
pub(super) fn heads(shell: &Shell, config: &Config, roots: &[&MigrationRoot]) -> Result<Verdict, Trouble> {
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    for files in load(roots)? {
        let migrations = &files.migrations;
        let found = match shell.verbose() {
            true => {
                let heads = migrations.graph().heads();
                heads.into_iter().map(|id| show::in_full(migrations, id, None, None)).collect()
            }
            false => show::heads(migrations),
        };
        lines.extend(named(&files, roots.len(), found));
        documents.push(json!({ "name": files.root.name, "heads": migrations.graph().heads() }));
    }
    answer(shell, &lines, json!({ "environment": config.environment, "migrations": documents }));
    Ok(Verdict::Done)
}

/// `history`: from the files; the database is asked only where it is wanted.
pub(super) async fn history(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
    indicate_current: bool,
) -> Result<Verdict, Trouble> {
    let loaded = load(roots)?;
    let session = match indicate_current {
        true => Some(shell.connect(config, direct(config), "migrate history").await?),
        false => None,
    };
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    for files in loaded {
        let past = match &session {
            Some(session) => Some(Past::read(session, &files).await?),
            None => None,
        };
        let rows = past.as_ref().map(|past| &past.rows);
        let ids = files.migrations.graph().newest_first();
        let entry = |id: &str| past.as_ref().and_then(|past| past.entries.get(id));
        let found = match shell.verbose() {
            true => ids.iter().map(|id| show::in_full(&files.migrations, id, rows, entry(id))).collect(),
            false => show::history(&files.migrations, rows),
        };
        lines.extend(named(&files, roots.len(), found));
        let revisions: Vec<Value> =
            ids.iter().map(|id| revision_document(&files.migrations, id, past.as_ref())).collect();
        documents.push(json!({ "name": files.root.name, "revisions": revisions }));
    }
    answer(shell, &lines, json!({ "environment": config.environment, "migrations": documents }));
    Ok(Verdict::Done)
}

/// What the database knows of its past.
struct Past {
    rows: BTreeSet<String>,
    /// The latest entry of each revision that is done.
    entries: HashMap<String, Entry>,
}

impl Past {
    async fn read(session: &Session, files: &Files<'_>) -> Result<Self, Trouble> {
        let options = migrate_options(files.root, None);
        let rows = migrate::current(session, &files.migrations, &options).await.map_err(trouble)?.revisions;
        let applied = files.migrations.graph().applied(&rows);
        let mut entries = HashMap::new();
        // Newest first: the first one stays.
        for entry in migrate::entries(session, &options).await.map_err(trouble)? {
            if entry.state == "done" && applied.contains(entry.revision.as_str()) {
                entries.entry(entry.revision.clone()).or_insert(entry);
            }
        }
        Ok(Self { rows, entries })
    }
}

fn load<'a>(roots: &[&'a MigrationRoot]) -> Result<Vec<Files<'a>>, Failure> {
    roots.iter().map(|root| Ok(Files { root, migrations: Migrations::load(&root.directory)? })).collect()
}

/// Reads the files, then asks the database, all roots on one session.
async fn stand<'a>(
    shell: &Shell,
    config: &Config,
    roots: &[&'a MigrationRoot],
    verb: &str,
) -> Result<Vec<Standing<'a>>, Trouble> {
    let loaded = load(roots)?;
    let session = shell.connect(config, direct(config), verb).await?;
    let mut standings = Vec::new();
    for files in loaded {
        let options = migrate_options(files.root, None);
        let current = migrate::current(&session, &files.migrations, &options).await.map_err(trouble)?;
        let pending = files.migrations.graph().plan_upgrade(&current.revisions, "heads").ok();
        standings.push(Standing { files, current, pending });
    }
    Ok(standings)
}

impl Standing<'_> {
    /// What is wrong, and what mends it.
    fn wrong(&self, config: &Config) -> Vec<(String, String)> {
        let on = format!("-e {}", config.environment);
        let mut wrong = Vec::new();
        if self.current.state == State::Unversioned {
            wrong.push((
                format!("there are tables, but {} names no revision", self.table()),
                format!("backstay migrate stamp REVISION {on}, if the schema is that of a revision"),
            ));
        }
        if !self.current.unknown.is_empty() {
            wrong.push((
                format!("no file has {}", self.current.unknown.join(", ")),
                format!("check out the commit that has it, or: backstay migrate stamp --purge REVISION {on}"),
            ));
        }
        for id in &self.current.edited {
            let file = self.files.migrations.script(id).map(|script| script.path.display().to_string());
            wrong.push((
                format!("{} was edited after it was applied", file.as_deref().unwrap_or(id)),
                format!("put it back as it was, or, if the database has it already: backstay migrate stamp {id} {on}"),
            ));
        }
        for attempt in &self.current.unfinished {
            let (verb, id) = (&attempt.direction, &attempt.revision);
            wrong.push((
                format!("{verb} of {id} was broken off: {}", attempt.extent()),
                format!("backstay migrate {verb} {id} {on}"),
            ));
        }
        wrong
    }

    /// The answer of `status`.
    fn lines(&self, config: &Config) -> Vec<String> {
        let at = match show::current(&self.files.migrations, &self.current.revisions) {
            none if none.is_empty() => "at no revision".to_string(),
            some => format!("at {}", some.join(", ")),
        };
        let pending = self.pending.as_deref().unwrap_or_default();
        let count = match (&self.pending, pending.len()) {
            (None, _) => String::new(),
            (_, 0) => ", nothing pending".to_string(),
            (_, n) => format!(", {n} pending"),
        };
        let mut lines = vec![format!("{} ({}): {at}{count}", self.files.root.name, self.table())];
        for step in pending {
            lines.push(format!("  pending: {}, {}", step.revision, self.description(&step.revision)));
        }
        let wrong = self.wrong(config);
        if !pending.is_empty() && wrong.is_empty() {
            let command = match config.protected {
                true => "run release",
                false => "migrate upgrade heads",
            };
            lines.push(format!("  -> backstay {command} -e {}", config.environment));
        }
        for (wrong, mends) in wrong {
            lines.extend([format!("  {wrong}"), format!("  -> {mends}")]);
        }
        lines
    }

    fn table(&self) -> String {
        format!("{}.{}", self.files.root.version_schema, self.files.root.version_table)
    }

    fn description(&self, id: &str) -> &str {
        self.files.migrations.script(id).map(|script| script.description.as_str()).unwrap_or_default()
    }

    fn document(&self) -> Value {
        let state = match self.current.state {
            State::At(_) => "at",
            State::Unversioned => "unversioned",
            State::Missing => "missing",
        };
        let pending = self.pending.as_ref().map(|steps| {
            let one = |step: &Step| {
                json!({ "revision": step.revision, "description": self.description(&step.revision) })
            };
            steps.iter().map(one).collect::<Vec<_>>()
        });
        let unfinished = self.current.unfinished.iter().map(|attempt| {
            json!({
                "revision": attempt.revision, "direction": attempt.direction,
                "statements": attempt.statements, "done": attempt.done,
            })
        });
        json!({
            "name": self.files.root.name,
            "table": self.table(),
            "state": state,
            "revisions": self.current.revisions,
            "heads": self.files.migrations.graph().heads(),
            "pending": pending,
            "unknown": self.current.unknown,
            "edited": self.current.edited,
            "unfinished": unfinished.collect::<Vec<_>>(),
        })
    }
}

fn documents(config: &Config, standings: &[Standing<'_>]) -> Value {
    let all: Vec<Value> = standings.iter().map(Standing::document).collect();
    json!({ "environment": config.environment, "migrations": all })
}

fn revision_document(migrations: &Migrations, id: &str, past: Option<&Past>) -> Value {
    let Some(place) = migrations.graph().place(id) else { return Value::Null };
    let script = migrations.script(id);
    let mut document = json!({
        "revision": id,
        "revises": place.revision.down,
        "depends_on": place.revision.depends_on,
        "branches": place.labels,
        "head": place.head,
        "description": script.map(|script| &script.description),
        "path": script.map(|script| script.path.display().to_string()),
    });
    if let Some(past) = past {
        let entry = past.entries.get(id);
        document["current"] = json!(past.rows.contains(id));
        document["applied"] = json!(migrations.graph().applied(&past.rows).contains(id));
        document["applied_at"] = json!(entry.and_then(|entry| entry.applied_at.as_ref()));
        document["run"] = json!(entry.and_then(|entry| entry.run.as_ref()));
    }
    document
}

/// Lines behind the root's name, where there are several roots.
fn named(files: &Files<'_>, roots: usize, lines: Vec<String>) -> Vec<String> {
    match roots {
        1 => lines,
        _ => lines.into_iter().map(|line| format!("{}: {line}", files.root.name)).collect(),
    }
}

/// Tells the result; nothing, as Alembic does, where there is none.
fn answer(shell: &Shell, lines: &[String], document: Value) {
    if shell.json() || !lines.is_empty() {
        shell.tell(&lines.join("\n"), document);
    }
}
