//! What a statement did that was under way when its driver died, read from the catalog.

use super::super::error::Reason;
use super::super::intent::Intent;
use super::super::script::Statement;
use super::super::statement::{self, Effect, IndexBuild, ProbeKind, SharedKind};
use super::index::{self, State};
use super::session::Runner;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// It took effect.
    Done,
    /// It did not, or it may run again.
    NotDone,
    /// It began, and this finishes it.
    Half(String),
    /// It can't go on by itself.
    Stuck {
        /// Why.
        why: String,
        /// What to do.
        next: Vec<String>,
    },
}

/// Looks for the effect of a statement that may have been running. `intent` is what it wrote before, if it did.
///
/// # Errors
/// If the catalog can't be asked.
pub(super) async fn look(
    runner: &mut Runner<'_>,
    statement: &Statement,
    number: usize,
    intent: Option<&Intent>,
) -> Result<Finding, Reason> {
    match statement::effect(&statement.text) {
        Some(Effect::Builds(build)) => builds(runner, &build, intent).await,
        Some(Effect::DropsIndex(name)) => {
            Ok(is_there(runner, "pg_catalog.to_regclass($1) IS NOT NULL", &name).await?.then_run(false))
        }
        Some(Effect::Shared { what, creates, name }) => {
            let there = match what {
                SharedKind::Database => {
                    "EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname::text = $1)"
                }
                SharedKind::Tablespace => {
                    "EXISTS (SELECT FROM pg_catalog.pg_tablespace WHERE spcname::text = $1)"
                }
                SharedKind::Subscription => {
                    "EXISTS (SELECT FROM pg_catalog.pg_subscription WHERE subname::text = $1 AND subdbid = \
                     (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))"
                }
            };
            Ok(is_there(runner, there, &name).await?.then_run(creates))
        }
        Some(Effect::Detaches { parent, partition }) => detaches(runner, &parent, &partition).await,
        None if statement.idempotent => Ok(Finding::NotDone),
        None => match statement::probe_kind(&statement.text) {
            ProbeKind::Unknown => Ok(Finding::Stuck {
                why: format!("statement {number} was running, and what it commits by itself is not known"),
                next: vec![format!(
                    "if statement {number} may run again, write `-- idempotent` above it and run the same command again"
                )],
            }),
            _ => Ok(Finding::NotDone),
        },
    }
}

/// Whether something is in the catalog.
struct There(bool);

impl There {
    /// What that means for a statement that makes it, or takes it away.
    fn then_run(self, creates: bool) -> Finding {
        if self.0 == creates { Finding::Done } else { Finding::NotDone }
    }
}

async fn is_there(runner: &Runner<'_>, condition: &str, name: &str) -> Result<There, Reason> {
    let row = runner.session.query_one(&format!("SELECT {condition}"), &[&name]).await;
    Ok(There(row.map_err(Reason::query("look for what the statement did"))?.get(0)))
}

async fn builds(
    runner: &mut Runner<'_>,
    build: &IndexBuild,
    intent: Option<&Intent>,
) -> Result<Finding, Reason> {
    let Some(built) = index::resolve(runner, build).await? else { return Ok(Finding::NotDone) };
    let (mut state, on_its_table) = index::look(runner, &built).await?;
    if state == State::Invalid {
        if !intent.is_some_and(|intent| index::is_ours(intent, &built, on_its_table)) {
            return Ok(foreign(&built.index));
        }
        state = index::clear(runner, &built).await?;
    }
    let index = &built.index;
    Ok(match state {
        State::Absent | State::Invalid => Finding::NotDone,
        State::Valid => match index::is_as_wanted(runner, build, &built).await {
            Some(true) => Finding::Done,
            Some(false) => Finding::Stuck {
                why: format!("there is an index {index}, but not the one that the statement makes"),
                next: vec![
                    format!("DROP INDEX CONCURRENTLY {index};"),
                    "then run the same command again".into(),
                ],
            },
            None => Finding::Stuck {
                why: format!("there is an index {index}, and it can't be compared with the statement"),
                next: vec![
                    format!("DROP INDEX CONCURRENTLY {index};"),
                    "then run the same command again".into(),
                ],
            },
        },
    })
}

/// An invalid index that nothing proves to be ours.
pub(super) fn foreign(index: &str) -> Finding {
    Finding::Stuck {
        why: format!("an INVALID index {index} is in the way, and nothing shows that it is ours"),
        next: vec![format!("DROP INDEX CONCURRENTLY {index};"), "then run the same command again".into()],
    }
}

async fn detaches(runner: &Runner<'_>, parent: &str, partition: &str) -> Result<Finding, Reason> {
    let query = "SELECT pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'inhdetachpending' = 'true' \
                 FROM pg_catalog.pg_inherits i WHERE i.inhparent = pg_catalog.to_regclass($1) \
                 AND i.inhrelid = pg_catalog.to_regclass($2)";
    let row = runner.session.query_opt(query, &[&parent, &partition]).await;
    let row = row.map_err(Reason::query("look for the partition"))?;
    Ok(match row.map(|row| row.get::<_, Option<bool>>(0)) {
        None => Finding::Done,
        Some(Some(true)) => {
            Finding::Half(format!("ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE"))
        }
        Some(_) => Finding::NotDone,
    })
}
