//! The verbs that only look.

use std::collections::{BTreeSet, HashMap};

use clap::Args;
use serde_json::{Value, json};

use super::files::{Files, answer, named};
use super::standing::{Standing, documents};
use super::trouble;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::Verdict;
use crate::migrate::graph::Range;
use crate::migrate::{Chain, Entry, show};
use crate::pg::Session;
use crate::steps::direct;

/// `current`.
pub(super) async fn current(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
) -> Result<Verdict, Trouble> {
    let standings = Standing::of_all(shell, config, roots, "migrate current").await?;
    let mut lines = Vec::new();
    for standing in &standings {
        let (chain, rows) = (standing.files.chain(), &standing.current.revisions);
        let found = match shell.verbose() {
            true => rows.iter().map(|row| show::in_full(chain, row, Some(rows), None)).collect(),
            false => show::current(chain, rows),
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
    let standings = Standing::of_all(shell, config, roots, "migrate status").await?;
    let lines: Vec<String> = standings.iter().flat_map(|standing| standing.lines(config)).collect();
    answer(shell, &lines, documents(config, &standings));
    Ok(Verdict::Done)
}

/// `heads`.
pub(super) fn heads(shell: &Shell, config: &Config, roots: &[&MigrationRoot]) -> Result<Verdict, Trouble> {
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    for files in Files::load(roots)? {
        let chain = files.chain();
        let found = match shell.verbose() {
            true => {
                let heads = chain.graph().heads();
                heads.into_iter().map(|id| show::in_full(chain, id, None, None)).collect()
            }
            false => show::heads(chain),
        };
        lines.extend(named(&files, roots.len(), found));
        documents.push(json!({ "name": files.root.name, "heads": chain.graph().heads() }));
    }
    answer(shell, &lines, json!({ "environment": config.environment, "migrations": documents }));
    Ok(Verdict::Done)
}

/// `branches`.
pub(super) fn branches(shell: &Shell, config: &Config, roots: &[&MigrationRoot]) -> Result<Verdict, Trouble> {
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    for files in Files::load(roots)? {
        lines.extend(named(&files, roots.len(), show::branches(files.chain(), shell.verbose())));
        let points = files.chain().graph().branch_points();
        let points = points.iter().map(|point| {
            let into: Vec<&str> = point.into.iter().map(|way| way.revision.id.as_str()).collect();
            json!({ "revision": point.place.revision.id, "into": into })
        });
        documents.push(json!({ "name": files.root.name, "branch_points": points.collect::<Vec<_>>() }));
    }
    answer(shell, &lines, json!({ "environment": config.environment, "migrations": documents }));
    Ok(Verdict::Done)
}

/// `show`: from the files; the database is asked only for `current`.
pub(super) async fn show(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
    revision: &str,
) -> Result<Verdict, Trouble> {
    let loaded = Files::load(roots)?;
    let session = match revision {
        "current" => Some(shell.connect(config, direct(config), "migrate show").await?),
        _ => None,
    };
    let (mut lines, mut documents, mut refused) = (Vec::new(), Vec::new(), None);
    for files in &loaded {
        let past = match &session {
            Some(session) => Some(Past::read(session, files).await?),
            None => None,
        };
        let ids = match &past {
            Some(past) => Ok(past.rows.iter().map(String::as_str).collect()),
            None => files.chain().graph().resolve(revision),
        };
        let ids: Vec<&str> = match ids {
            Ok(ids) => ids,
            // Of several roots one may have it.
            Err(error) => {
                refused = Some(error);
                continue;
            }
        };
        let (rows, entry) = (past.as_ref().map(|past| &past.rows), |id: &str| past.as_ref()?.entries.get(id));
        let found = ids.iter().map(|id| show::in_full(files.chain(), id, rows, entry(id))).collect();
        lines.extend(named(files, roots.len(), found));
        let revisions: Vec<Value> =
            ids.iter().map(|id| revision_document(files.chain(), id, past.as_ref())).collect();
        documents.push(json!({ "name": files.root.name, "revisions": revisions }));
    }
    if let Some(error) = refused.filter(|_| documents.is_empty()) {
        return Err(trouble(error.into()));
    }
    answer(shell, &lines, json!({ "environment": config.environment, "migrations": documents }));
    Ok(Verdict::Done)
}

/// The revisions in the files, newest first (-v: in full)
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only those from START to END: a:b, a:, :b, -3:current, current:
    #[arg(short, long, value_name = "START:END", allow_hyphen_values = true)]
    rev_range: Option<String>,
    /// Mark the current revisions and, with -v, tell when each was applied: asks the database
    #[arg(short, long)]
    indicate_current: bool,
}

/// `history`: from the files; the database is asked only where it is wanted.
pub(super) async fn history(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
    command: &History,
) -> Result<Verdict, Trouble> {
    let range = command.rev_range.as_deref().unwrap_or(":");
    let range = Range::parse(range).map_err(|error| trouble(error.into()))?;
    let loaded = Files::load(roots)?;
    let session = match command.indicate_current || range.asks_database() {
        true => Some(shell.connect(config, direct(config), "migrate history").await?),
        false => None,
    };
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    for files in loaded {
        let past = match &session {
            Some(session) => Some(Past::read(session, &files).await?),
            None => None,
        };
        let none = BTreeSet::new();
        let rows = past.as_ref().map(|past| &past.rows);
        let ids = files.chain().graph().history(range, rows.unwrap_or(&none));
        let ids = ids.map_err(|error| trouble(error.into()))?;
        let entry = |id: &str| past.as_ref().and_then(|past| past.entries.get(id));
        let marked = rows.filter(|_| command.indicate_current);
        let found = match shell.verbose() {
            true => ids.iter().map(|id| show::in_full(files.chain(), id, marked, entry(id))).collect(),
            false => show::history(files.chain(), &ids, marked),
        };
        lines.extend(named(&files, roots.len(), found));
        let revisions: Vec<Value> =
            ids.iter().map(|id| revision_document(files.chain(), id, past.as_ref())).collect();
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
        let rows = files.migrator.current(session).await.map_err(trouble)?.revisions;
        let applied = files.chain().graph().applied(&rows);
        let mut entries = HashMap::new();
        // Newest first: the first one stays.
        for entry in files.migrator.entries(session).await.map_err(trouble)? {
            if entry.state == "done" && applied.contains(entry.revision.as_str()) {
                entries.entry(entry.revision.clone()).or_insert(entry);
            }
        }
        Ok(Self { rows, entries })
    }
}

fn revision_document(chain: &Chain, id: &str, past: Option<&Past>) -> Value {
    let Some(place) = chain.graph().place(id) else { return Value::Null };
    let mut document = json!({
        "revision": id,
        "revises": place.revision.down,
        "depends_on": place.revision.depends_on,
        "branches": place.labels,
        "head": place.head,
        "description": chain.description(id),
        "path": chain.text(id).map(|text| text.path.display().to_string()),
    });
    if let Some(past) = past {
        let entry = past.entries.get(id);
        document["current"] = json!(past.rows.contains(id));
        document["applied"] = json!(chain.graph().applied(&past.rows).contains(id));
        document["applied_at"] = json!(entry.and_then(|entry| entry.applied_at.as_ref()));
        document["run"] = json!(entry.and_then(|entry| entry.run.as_ref()));
    }
    document
}
