//! What holds others up for as long as it takes.

use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::sql::{Effect, Name};

const BY_ITSELF: &str = "do it by itself, in a window whose length fits the table";

pub(super) fn judge(turn: &Turn<'_>, effect: &Effect) -> Option<Candidate> {
    match effect {
        Effect::VacuumFull { table } => {
            let what =
                format!("VACUUM FULL writes {} anew, and nobody reads or writes it meanwhile", of(table));
            on(Candidate::new("vacuum-full", what)?, table)
                .help("a plain VACUUM makes the space usable again")
                .help(BY_ITSELF)
        }
        Effect::Cluster { table } => {
            let what = format!("CLUSTER writes {} anew, and nobody reads or writes it meanwhile", of(table));
            on(Candidate::new("cluster", what)?, table).help(BY_ITSELF)
        }
        Effect::Lock { table, mode } => {
            let what = format!(
                "LOCK TABLE … IN {mode} MODE holds up others on {table} until the migration is committed"
            );
            Candidate::new("lock-table", what)?
                .about(table)
                .help("leave it out: each statement takes the lock that it needs")
        }
        Effect::Tablespace { moved } => {
            let moved_table =
                moved.as_ref().map(|name| turn.world.table_of_index(name).unwrap_or_else(|| name.clone()));
            let what =
                format!("SET TABLESPACE copies {}, and nobody reads or writes it meanwhile", of(moved));
            on(Candidate::new("set-tablespace", what)?, &moved_table).help(BY_ITSELF)
        }
        Effect::Logged { table, logged } => {
            let word = if *logged { "LOGGED" } else { "UNLOGGED" };
            let what = format!("SET {word} writes {table} anew, and nobody reads or writes it meanwhile");
            let found = Candidate::new("set-logged-unlogged", what)?.about(table);
            if *logged {
                found.help(BY_ITSELF)
            } else {
                found.help("know that a crash empties an unlogged table")
            }
        }
        Effect::Trigger { table } => {
            let what = format!(
                "CREATE TRIGGER waits for every writer of {table}, and all writers that come wait for it"
            );
            Candidate::new("create-trigger-locks", what)?
                .about(table)
                .help("put it into a migration of its own, so that the lock is held for a moment only")
        }
        Effect::Refresh { view, concurrently: false } => {
            let what = format!("REFRESH computes {view} anew, and nobody reads it meanwhile");
            Candidate::new("refresh-materialized-view", what)?
                .about(view)
                .help("REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on it")
        }
        _ => return None,
    }
    .into()
}

/// Without a table everything is meant, and that is never small.
fn on(found: Candidate, table: &Option<Name>) -> Candidate {
    match table {
        Some(table) => found.about(table),
        None => found,
    }
}

fn of(table: &Option<Name>) -> String {
    table.as_ref().map_or("every table".to_string(), ToString::to_string)
}
