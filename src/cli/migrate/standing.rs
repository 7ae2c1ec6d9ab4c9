//! Where the database stands against the files, what is wrong, and what mends it.

use serde_json::{Value, json};

use super::files::Files;
use super::trouble;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::migrate::{Current, Entry, State, Step, show};
use crate::steps::direct;

/// One root's files, and where the database stands against them.
pub(super) struct Standing<'a> {
    pub files: Files<'a>,
    pub current: Current,
    /// What is missing up to the heads; none where a row is unknown.
    pending: Option<Vec<Step>>,
}

impl<'a> Standing<'a> {
    /// Reads the files, then asks the database, all roots on one session.
    pub async fn of_all(
        shell: &Shell,
        config: &Config,
        roots: &[&'a MigrationRoot],
        verb: &str,
    ) -> Result<Vec<Self>, Trouble> {
        let loaded = Files::load(roots)?;
        let session = shell.connect(config, direct(config), verb).await?;
        let mut standings = Vec::new();
        for files in loaded {
            let current = files.migrator.current(&session).await.map_err(trouble)?;
            let pending = files.chain().graph().plan_upgrade(&current.revisions, "heads").ok();
            standings.push(Standing { files, current, pending });
        }
        Ok(standings)
    }

    /// What is wrong, and what mends it.
    pub fn wrong(&self, config: &Config) -> Vec<(String, String)> {
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
            let file = self.files.chain().text(id).map(|text| text.path.display().to_string());
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
    pub fn lines(&self, config: &Config) -> Vec<String> {
        let at = match show::current(self.files.chain(), &self.current.revisions) {
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
        lines.extend(self.current.last.as_ref().map(|entry| format!("  last: {}", told(entry))));
        for step in pending {
            let id = &step.revision;
            let created = self.created(id).map(|at| format!(" (written {at})")).unwrap_or_default();
            lines.push(format!("  pending: {id}, {}{created}", self.description(id)));
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
        self.files.chain().description(id)
    }

    fn created(&self, id: &str) -> Option<&str> {
        self.files.chain().text(id)?.created.as_deref()
    }

    fn document(&self) -> Value {
        let state = match self.current.state {
            State::At(_) => "at",
            State::Unversioned => "unversioned",
            State::Missing => "missing",
        };
        let pending = self.pending.as_ref().map(|steps| {
            let one = |step: &Step| {
                let id = step.revision.as_str();
                json!({ "revision": id, "description": self.description(id), "created": self.created(id) })
            };
            steps.iter().map(one).collect::<Vec<_>>()
        });
        let unfinished = self.current.unfinished.iter().map(|attempt| {
            json!({
                "revision": attempt.revision, "direction": attempt.direction,
                "statements": attempt.statements, "done": attempt.done, "batched_rows": attempt.batched(),
            })
        });
        json!({
            "name": self.files.root.name,
            "table": self.table(),
            "state": state,
            "revisions": self.current.revisions,
            "heads": self.files.chain().graph().heads(),
            "last": self.current.last.as_ref().map(entry_document),
            "pending": pending,
            "unknown": self.current.unknown,
            "edited": self.current.edited,
            "unfinished": unfinished.collect::<Vec<_>>(),
        })
    }
}

/// `upgrade of c08085465bad, 2026-11-21T06:15:12Z by app, in run …`.
pub(in crate::cli) fn told(entry: &Entry) -> String {
    let at = entry.applied_at.as_ref().map(|at| format!(", {at}")).unwrap_or_default();
    let run = entry.run.as_ref().map(|run| format!(", in run {run}")).unwrap_or_default();
    format!("{} of {}{at} by {}{run}", entry.direction, entry.revision, entry.applied_by)
}

pub(in crate::cli) fn entry_document(entry: &Entry) -> Value {
    json!({
        "revision": entry.revision, "direction": entry.direction, "applied_at": entry.applied_at,
        "applied_by": entry.applied_by, "millis": entry.duration_ms, "run": entry.run,
    })
}

/// The answer as a document.
pub(super) fn documents(config: &Config, standings: &[Standing<'_>]) -> Value {
    let all: Vec<Value> = standings.iter().map(Standing::document).collect();
    json!({ "environment": config.environment, "migrations": all })
}
