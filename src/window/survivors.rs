//! What goes on writing when every session was ended: nothing of it may slip between close and guard.

use tokio_postgres::Row;

use crate::failure::Failure;
use crate::pg::{Session, quote_ident, quote_literal, refused};

/// Something that outlives the end of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// What it is, by name.
    pub what: String,
    /// What takes it away.
    pub remedy: String,
}

/// A prepared transaction belongs to no session and can be committed at any time (PostgreSQL manual,
/// "PREPARE TRANSACTION"). The server refuses to rename or clone a database that has one.
const PREPARED: &str = "SELECT p.gid, p.owner::text FROM pg_catalog.pg_prepared_xacts p \
     JOIN pg_catalog.pg_database d ON d.datname = p.database WHERE d.oid = $1 ORDER BY 1";

/// The worker of a subscription finds its database by id: it comes back behind the fence, whatever the name.
const SUBSCRIPTIONS: &str = "SELECT subname::text, pg_catalog.pg_get_userbyid(subowner)::text \
     FROM pg_catalog.pg_subscription WHERE subdbid = $1 AND subenabled ORDER BY 1";

/// Processes of the server without a user, in that database. What kind they are is told only to some roles.
const WORKERS: &str = "SELECT pid, coalesce(backend_type, '') FROM pg_catalog.pg_stat_activity \
     WHERE datid = $1 AND usename IS NULL AND pid <> pg_catalog.pg_backend_pid() ORDER BY 1";

const HOLDERS: &str = "SELECT DISTINCT a.pid, coalesce(a.usename::text, ''), a.application_name \
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
     WHERE l.granted AND a.pid <> pg_catalog.pg_backend_pid() AND l.locktype IN ('object', 'relation') \
     AND (l.classid = 'pg_catalog.pg_database'::regclass AND l.objid = $1 \
     OR l.relation = 'pg_catalog.pg_database'::regclass AND l.mode = 'RowExclusiveLock') ORDER BY 1";

/// Open prepared transactions of the database.
///
/// # Errors
/// The query's.
pub async fn prepared(session: &Session, oid: u32) -> Result<Vec<Survivor>, Failure> {
    look(session, "look for prepared transactions", PREPARED, oid, |row| {
        let (gid, owner): (String, String) = (row.get(0), row.get(1));
        let gid = quote_literal(&gid);
        Survivor {
            what: format!("the prepared transaction {gid} of {owner} is open: it outlives every session"),
            remedy: format!("in that database, COMMIT PREPARED {gid} or ROLLBACK PREPARED {gid}"),
        }
    })
    .await
}

/// Subscriptions whose worker writes into the database.
///
/// # Errors
/// The query's.
pub async fn subscriptions(session: &Session, oid: u32) -> Result<Vec<Survivor>, Failure> {
    look(session, "look for subscriptions", SUBSCRIPTIONS, oid, |row| {
        let (name, owner): (String, String) = (row.get(0), row.get(1));
        let name = quote_ident(&name);
        Survivor {
            what: format!(
                "the subscription {name} of {owner} writes into the database: no fence keeps its worker out"
            ),
            remedy: format!("in that database, as {owner}: ALTER SUBSCRIPTION {name} DISABLE"),
        }
    })
    .await
}

/// Who has the database locked: a transaction that changed it and is still open. One that changed its row alone holds
/// a lock on the catalog.
///
/// # Errors
/// The query's.
pub async fn holders(session: &Session, oid: u32) -> Result<Vec<Survivor>, Failure> {
    look(session, "look for locks on the database", HOLDERS, oid, |row| {
        let (pid, user, application): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
        Survivor {
            what: format!(
                "process {pid} of {user} ({application}) changed it in a transaction that is still open"
            ),
            remedy: format!("end that transaction, or its session: SELECT pg_terminate_backend({pid})"),
        }
    })
    .await
}

/// Background workers that are in the database.
///
/// # Errors
/// The query's.
pub async fn workers(session: &Session, oid: u32) -> Result<Vec<Survivor>, Failure> {
    look(session, "look for background workers", WORKERS, oid, |row| {
        let (pid, kind): (i32, String) = (row.get(0), row.get(1));
        let kind = if kind.is_empty() { "a background worker".to_string() } else { kind };
        Survivor {
            what: format!("process {pid} ({kind}) is in the database"),
            remedy: "pause what runs in the server itself (pg_cron and the like) for the release, as a command with \
                     an undo"
                .into(),
        }
    })
    .await
}

async fn look(
    session: &Session,
    what: &str,
    query: &str,
    oid: u32,
    survivor: fn(&Row) -> Survivor,
) -> Result<Vec<Survivor>, Failure> {
    let rows = session.query(query, &[&oid]).await;
    let rows = rows.map_err(|error| refused(what, &error))?;
    Ok(rows.iter().map(survivor).collect())
}

/// Makes sure that nothing can write into the closed database any more.
///
/// # Errors
/// A refusal that names what can, with its remedy.
pub async fn expect_none(session: &Session, oid: u32) -> Result<(), Failure> {
    let mut found = prepared(session, oid).await?;
    found.extend(subscriptions(session, oid).await?);
    if found.is_empty() {
        return Ok(());
    }
    Err(named(Failure::refused("keep everybody out of the database"), found))
}

/// The failure with each survivor as a cause, and each remedy once.
pub fn named(failure: Failure, survivors: Vec<Survivor>) -> Failure {
    survivors.into_iter().fold(failure, |failure, survivor| {
        let known = failure.next.contains(&survivor.remedy);
        let failure = failure.because_of(survivor.what);
        if known { failure } else { failure.then(survivor.remedy) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_and_each_remedy_said_once() {
        let survivor = |what: &str| Survivor { what: what.into(), remedy: "end it".into() };
        let failure = named(Failure::refused("close"), vec![survivor("one"), survivor("two")]);
        assert_eq!((failure.causes.len(), failure.next), (2, vec!["end it".to_string()]));
    }
}
