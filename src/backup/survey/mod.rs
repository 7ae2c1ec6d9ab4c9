//! What stands in the way of a backup, or of restoring it with this role: found before a window opens, and
//! named. What is looked for stands in [`questions`].

mod questions;

use serde::Serialize;
use tokio_postgres::Client;

use super::catalog::get;
use super::dump::PgDump;
use super::error::BackupError;
use super::pinned;
use crate::pg::{ConnInfo, SessionOptions};
use questions::{PUBLIC, QUESTIONS, Question};

/// What a finding stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stops {
    /// The backup: it could not be written, or not whole.
    Backup,
    /// Only a restore by this role: it would fail, or lack something.
    Restore,
    /// Nothing: it is as in a dump of `pg_dump`, and worth knowing.
    Nothing,
}

/// One thing in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it stops.
    pub stops: Stops,
    /// What it is, named.
    pub what: String,
    /// How to mend it.
    pub remedy: &'static str,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// How many things of one kind are named one by one; what comes after is counted.
const NAMED: usize = 20;

/// Looks for everything that would stop a backup of this database, or its restore by the same role on the same
/// server; the worst comes first. Empty is good.
///
/// Only the catalog is read, without locks on anybody's tables.
///
/// # Errors
/// If the server cannot be asked.
pub async fn survey(info: &ConnInfo, session: &SessionOptions) -> Result<Vec<Finding>, BackupError> {
    let client = pinned::open(info, session).await?;
    let (superuser, server) = who_and_where(&client).await?;
    let mut found = Vec::new();
    for question in QUESTIONS {
        if server >= question.since && !(superuser && question.spares_superusers) {
            found.extend(ask(&client, question).await?);
        }
    }
    if server < 150_000 && pg_dump_is_newer_than_14(server).await {
        found.extend(ask(&client, &PUBLIC).await?);
    }
    found.sort_by_key(|finding| finding.stops);
    Ok(found)
}

/// As [`survey`], for who is about to write a backup: refuses with the first finding that stops it.
///
/// # Errors
/// [`BackupError::InTheWay`] with everything that stops the backup; or if the server cannot be asked.
pub async fn refuse_what_stops(
    info: &ConnInfo,
    session: &SessionOptions,
) -> Result<Vec<Finding>, BackupError> {
    let (stopping, others): (Vec<Finding>, Vec<Finding>) =
        survey(info, session).await?.into_iter().partition(|finding| finding.stops == Stops::Backup);
    if stopping.is_empty() { Ok(others) } else { Err(BackupError::InTheWay(stopping)) }
}

/// Without any pg_dump there is another finding than this.
async fn pg_dump_is_newer_than_14(server: u32) -> bool {
    let Ok(pg_dump) = PgDump::find(server).await else { return false };
    pg_dump
        .version()
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major > 14)
}

async fn who_and_where(client: &Client) -> Result<(bool, u32), BackupError> {
    let sql = "SELECT r.rolsuper, pg_catalog.current_setting('server_version_num')::pg_catalog.int4 \
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let row = client.query_one(sql, &[]).await.map_err(|e| BackupError::sql("ask who we are", e))?;
    Ok((get(&row, 0)?, u32::try_from(get::<i32>(&row, 1)?).unwrap_or_default()))
}

async fn ask(client: &Client, question: &Question) -> Result<Vec<Finding>, BackupError> {
    let finding = |what| Finding { stops: question.stops, what, remedy: question.remedy };
    let rows = client
        .query(&question.sql(), &[])
        .await
        .map_err(|e| BackupError::sql("look for what stands in a backup's way", e))?;
    let mut found = Vec::new();
    for row in rows.iter().take(NAMED) {
        found.push(finding(get(row, 0)?));
    }
    if rows.len() > NAMED {
        found.push(finding(format!("and {} more of that kind", rows.len() - NAMED)));
    }
    Ok(found)
}
