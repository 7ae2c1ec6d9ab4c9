//! The verbs that change the database, or print the SQL that would.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::files::{Files, named};
use super::{Consent, Move, NOTHING_CHANGED, trouble};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::event::Progress;
use crate::failure::{Failure, Verdict};
use crate::migrate::{AppliedRevision, Database, Direction, Migrator, RowChange};
use crate::pg::create_database::create_database;
use crate::pg::{Session, refused};
use crate::redact::redact;
use crate::steps::{direct, session_options};
use crate::time::show_duration;
use crate::window::admin::Admin;
use crate::window::fence::refuse_fenced;

/// `upgrade` and `downgrade`, of one root after the other.
pub(super) async fn migrate(
    shell: &Shell,
    config: &Config,
    roots: &[&MigrationRoot],
    direction: Direction,
    order: &Move,
    create_database: bool,
) -> Result<Verdict, Trouble> {
    let verb = direction.verb();
    let files = Files::load(roots)?;
    if let ([one], true) = (files.as_slice(), order.sql) {
        return print_sql(shell, &*one.migrator, direction, &order.target).await;
    }
    refuse_range(verb, &order.target)?;
    let ground = Ground::enter(shell, config, verb, &order.consent).await?;
    let created = create_database && create(shell, config, ground.lock.session()).await?;
    let work = Work::begin(shell);
    let done = go(&files, direction, &ground.database, &order.target, &work.progress).await;
    work.end().await;
    let done = done?;
    let lines: Vec<String> =
        done.iter().flat_map(|done| named(done.files, files.len(), vec![done.line(direction)])).collect();
    let mut document = json!({ "environment": config.environment, "verb": verb, "target": order.target });
    match done.as_slice() {
        [one] => {
            document["name"] = json!(one.files.root.name);
            document["revisions"] = one.document();
        }
        several => {
            let one = |done: &Done<'_>| json!({ "name": done.files.root.name, "revisions": done.document() });
            document["migrations"] = several.iter().map(one).collect();
        }
    }
    if create_database {
        document["created_database"] = json!(created);
    }
    shell.tell(&lines.join("\n"), document);
    Ok(Verdict::Done)
}

/// What was done with one root.
pub(super) struct Done<'a> {
    files: &'a Files<'a>,
    revisions: Vec<AppliedRevision>,
    took: Duration,
}

impl Done<'_> {
    fn line(&self, direction: Direction) -> String {
        let ids: Vec<&str> = self.revisions.iter().map(|revision| revision.revision.as_str()).collect();
        let (ids, took) = (ids.join(", "), show_duration(self.took));
        match (direction, ids.is_empty()) {
            (_, true) => format!("nothing to {}", direction.verb()),
            (Direction::Up, false) => format!("applied {ids} in {took}"),
            (Direction::Down, false) => format!("took back {ids} in {took}"),
        }
    }

    /// How many revisions.
    pub fn count(&self) -> usize {
        self.revisions.len()
    }

    fn document(&self) -> Value {
        let one = |r: &AppliedRevision| json!({ "revision": r.revision, "description": r.description, "millis": r.millis });
        self.revisions.iter().map(one).collect()
    }
}

/// Goes with every root to `target`; a failure tells what those before it have done.
pub(super) async fn go<'a>(
    files: &'a [Files<'a>],
    direction: Direction,
    database: &Database,
    target: &str,
    progress: &Progress,
) -> Result<Vec<Done<'a>>, Trouble> {
    let mut all: Vec<Done<'a>> = Vec::new();
    for files in files {
        let began = Instant::now();
        match files.migrator.migrate(direction, database, target, progress).await {
            Ok(applied) => all.push(Done { files, revisions: applied.revisions, took: began.elapsed() }),
            Err(error) => return Err(after_others(trouble(error), &all)),
        }
    }
    Ok(all)
}

/// The failure of one root, where others went before it.
fn after_others(trouble: Trouble, before: &[Done<'_>]) -> Trouble {
    let done: Vec<String> = before
        .iter()
        .filter(|done| !done.revisions.is_empty())
        .map(|done| {
            let ids: Vec<&str> = done.revisions.iter().map(|r| r.revision.as_str()).collect();
            format!("{} of {}", ids.join(", "), done.files.root.name)
        })
        .collect();
    match trouble {
        Trouble::Failure(failure) | Trouble::Verdict(failure, _) if !done.is_empty() => {
            let state = failure.state.as_ref().filter(|state| *state != NOTHING_CHANGED);
            let state = state.map(|state| format!("{state}; ")).unwrap_or_default();
            let state = format!("{state}committed before it: {}", done.join("; "));
            Trouble::Verdict(failure.leaving(state), Verdict::ChangedButFailing)
        }
        other => other,
    }
}

/// `createdb`: for the application's role, if it is not the one that creates.
pub(super) async fn create(shell: &Shell, config: &Config, admin: &Session) -> Result<bool, Failure> {
    let (url, admin_url) = (&config.database.url, &config.database.admin_url);
    refuse_fenced(admin, config, &format!("create database {}", url.database())).await?;
    let owner = (url.user() != admin_url.user()).then(|| url.user());
    let created = create_database(admin, url.database(), owner).await;
    let created = created.map_err(|error| {
        refused(&format!("create database {}", url.database()), &error).leaving(NOTHING_CHANGED)
    })?;
    if created {
        shell.note(&format!("created database {}, owned by {}", url.database(), url.user()));
    }
    Ok(created)
}

/// `stamp`.
pub(super) async fn stamp(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    target: &str,
    purge: bool,
    consent: &Consent,
) -> Result<Verdict, Trouble> {
    let files = Files::of(root)?;
    let ground = Ground::enter(shell, config, "stamp", consent).await?;
    let work = Work::begin(shell);
    let done = files.migrator.stamp(&ground.database, target, purge, &work.progress).await;
    work.end().await;
    let changes = done.map_err(trouble)?;
    let lines: Vec<String> = changes.iter().map(words).collect();
    let text = match lines.as_slice() {
        [] => "stamped: the version table said so already; its files, as they are now, are what is applied"
            .to_string(),
        lines => lines.join("\n"),
    };
    let changes: Vec<_> = changes
        .iter()
        .map(|change| {
            let (from, to) = ends(change);
            json!({ "from": from, "to": to })
        })
        .collect();
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "name": root.name, "verb": "stamp", "target": target,
            "changes": changes,
        }),
    );
    Ok(Verdict::Done)
}

/// What a direct change stands on: leave to make it, and the environment's lock.
struct Ground {
    database: Database,
    /// Held to the end, so that no run begins meanwhile.
    lock: Admin,
}

impl Ground {
    /// Refuses a protected environment, and one that a run has locked.
    async fn enter(shell: &Shell, config: &Config, verb: &str, consent: &Consent) -> Result<Self, Failure> {
        let instead = instead_of(verb, &config.environment);
        shell.allow_unguarded(config, consent.unguarded, &format!("{verb} the database of"), &instead)?;
        let info = config.database.maintenance();
        let session = session_options(config, &format!("backstay migrate {verb} lock"));
        let name = config.database.url.database();
        let admin = info.clone();
        // Shared: replicas that migrate as they start take turns at the migrations' own lock.
        let lock = Admin::share(info, session, name).await?;
        let session = session_options(config, &format!("backstay migrate {verb}"));
        let (info, lock_wait) = (direct(config).clone(), consent.lock_wait);
        Ok(Self { database: Database { info, admin, session, lock_wait }, lock })
    }
}

/// What serves whoever changes a protected database by hand. **Pure.**
fn instead_of(verb: &str, environment: &str) -> String {
    match verb {
        "downgrade" => {
            format!(
                "take the release back: backstay rollback -e {environment} shows the ways and what each costs"
            )
        }
        "stamp" => format!(
            "look first: backstay migrate status -e {environment} tells where the database is; a stamp changes no table"
        ),
        _ => format!("use a runbook: backstay run release -e {environment}"),
    }
}

/// Alembic's offline mode: from the files alone.
async fn print_sql(
    shell: &Shell,
    migrator: &dyn Migrator,
    direction: Direction,
    target: &str,
) -> Result<Verdict, Trouble> {
    if direction == Direction::Down && !target.contains(':') {
        return Err(Failure::usage("write the SQL of a downgrade")
            .because_of(format!("no database is asked, so {target:?} does not say from where"))
            .then("give a range: backstay migrate downgrade FROM:TO --sql")
            .into());
    }
    let (from, to) =
        migrator.chain().graph().offline_range(direction, target).map_err(|e| trouble(e.into()))?;
    let sql = migrator.sql(direction, &from, to).await.map_err(trouble)?;
    // Masked SQL would run, and do something else.
    if redact(&sql) != sql {
        return Err(Failure::usage("print the SQL")
            .because_of("a secret of the environment's config stands in it, and secrets are never printed")
            .then("take it out of the migration")
            .into());
    }
    let text = if sql.is_empty() { "-- nothing to do" } else { &sql };
    shell.tell(text, json!({ "verb": direction.verb(), "target": target, "sql": sql }));
    Ok(Verdict::Done)
}

fn refuse_range(verb: &str, target: &str) -> Result<(), Failure> {
    if !target.contains(':') {
        return Ok(());
    }
    Err(Failure::usage(format!("{verb} to {target}"))
        .because_of("a range is for --sql; the database itself says from where")
        .leaving("nothing was changed")
        .then(format!("backstay migrate {verb} {target} --sql prints its SQL")))
}

fn ends(change: &RowChange) -> (Option<&str>, Option<&str>) {
    match change {
        RowChange::Insert(id) => (None, Some(id)),
        RowChange::Delete(id) => (Some(id), None),
        RowChange::Update { from, to } => (Some(from), Some(to)),
    }
}

fn words(change: &RowChange) -> String {
    let (from, to) = ends(change);
    format!("stamped {} -> {}", from.unwrap_or("<base>"), to.unwrap_or("<base>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_fits_what_was_refused() {
        let told = |verb| instead_of(verb, "production");
        assert!(told("upgrade").contains("backstay run release -e production"));
        assert!(told("downgrade").contains("backstay rollback -e production"));
        assert!(told("stamp").contains("backstay migrate status -e production"));
        assert!(["downgrade", "stamp"].iter().all(|verb| !told(verb).contains("run release")));
    }
}
