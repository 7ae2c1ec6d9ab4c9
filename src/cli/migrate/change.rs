//! The verbs that change the database, or print the SQL that would.

use serde_json::json;

use super::files::Files;
use super::{Consent, Move, trouble};
use crate::cli::work::Work;
use crate::cli::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::{Database, Direction, Migrator, RowChange};
use crate::redact::redact;
use crate::steps::{direct, session_options};
use crate::time::show_duration;
use crate::window::admin::Admin;

/// `upgrade` and `downgrade`.
pub(super) async fn migrate(
    shell: &Shell,
    config: &Config,
    root: &MigrationRoot,
    direction: Direction,
    order: &Move,
) -> Result<Verdict, Trouble> {
    let verb = direction.verb();
    let files = Files::of(root)?;
    if order.sql {
        return print_sql(shell, &*files.migrator, direction, &order.target).await;
    }
    refuse_range(verb, &order.target)?;
    let ground = Ground::enter(shell, config, verb, &order.consent).await?;
    let began = std::time::Instant::now();
    let work = Work::begin(shell);
    let done = files.migrator.go(direction, &ground.database, &order.target, &work.progress).await;
    work.end().await;
    let done = done.map_err(trouble)?.revisions;
    let ids: Vec<&str> = done.iter().map(|revision| revision.revision.as_str()).collect();
    let text = match (direction, ids.as_slice()) {
        (_, []) => format!("nothing to {verb}"),
        (Direction::Up, ids) => format!("applied {} in {}", ids.join(", "), show_duration(began.elapsed())),
        (Direction::Down, ids) => {
            format!("took back {} in {}", ids.join(", "), show_duration(began.elapsed()))
        }
    };
    let revisions: Vec<_> = done
        .iter()
        .map(|r| json!({ "revision": r.revision, "description": r.description, "millis": r.millis }))
        .collect();
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "name": root.name, "verb": verb, "target": order.target,
            "revisions": revisions,
        }),
    );
    Ok(Verdict::Done)
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
    _lock: Admin,
}

impl Ground {
    /// Refuses a protected environment, and one that a run has locked.
    async fn enter(shell: &Shell, config: &Config, verb: &str, consent: &Consent) -> Result<Self, Failure> {
        shell.allow_unguarded(config, consent.unguarded, &format!("{verb} the database of"))?;
        let info = config.database.admin_url.with_database(&config.database.maintenance_database);
        let session = session_options(config, &format!("backstay migrate {verb} lock"));
        let name = config.database.url.database();
        let admin = info.clone();
        // Shared: replicas that migrate as they start take turns at the migrations' own lock.
        let lock = Admin::share(info, session, name).await?;
        let session = session_options(config, &format!("backstay migrate {verb}"));
        let (info, lock_wait) = (direct(config).clone(), consent.lock_wait);
        Ok(Self { database: Database { info, admin, session, lock_wait }, _lock: lock })
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
