//! A physical replica after a swap: its sessions in the failed database are ended.
//!
//! On a replica a session knows its database by object id, as everywhere. A rename in the window does not touch
//! it: it goes on reading the same database. But once the guard was swapped in, the database that it reads is the failed
//! one, for as long as it lives. New sessions go by the name, so from the moment that the replica has replayed the swap
//! nobody new gets there.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::fence;
use crate::failure::Failure;
use crate::pg::{self, ConnInfo, Session, SessionOptions, refused};
use crate::time::show_duration;

const POLL: Duration = Duration::from_millis(50);

/// What a replica may take beyond its limit to say how far it is.
const SILENT: Duration = Duration::from_secs(2);

/// What was found on a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// So many sessions were in the failed database, and were ended.
    Ended(usize),
    /// It follows nobody: it was promoted, or is being set up.
    NoReplica,
}

/// The server's position in its log: what a replica has replayed once it is past it.
///
/// # Errors
/// The query's.
pub async fn position(session: &Session) -> Result<String, Failure> {
    let query = "SELECT pg_catalog.pg_current_wal_insert_lsn()::text";
    let row = session.query_one(query, &[]).await;
    Ok(row.map_err(|error| refused("read the server's position in its log", &error))?.get(0))
}

/// Waits until the replica at `info` has replayed the log up to `position`, then ends every session in the
/// database `oid`, one by one. All of it takes `limit` at most, and two seconds if the replica is silent. Idempotent.
///
/// # Errors
/// The connection's; that it lags, with how far it is; who could not be made to leave.
pub async fn clear(
    info: &ConnInfo,
    options: &SessionOptions,
    position: &str,
    oid: u32,
    limit: Duration,
) -> Result<Cleared, Failure> {
    let end = Instant::now() + limit;
    let work = async {
        let session = pg::connect(info, options).await?;
        if !session.in_recovery() {
            return Ok(Cleared::NoReplica);
        }
        await_replay(&session, position, end, limit).await?;
        let found = fence::blockers(&session, oid).await?.len();
        fence::end_sessions(&session, oid, end.saturating_duration_since(Instant::now())).await?;
        // Whoever looked the name up before the swap was replayed may only now have arrived.
        sleep(POLL).await;
        fence::end_sessions(&session, oid, end.saturating_duration_since(Instant::now())).await?;
        Ok(Cleared::Ended(found))
    };
    // Later than the inner bound, which can say more; only a silent server comes this far.
    match timeout(limit + SILENT, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::failed(format!("end the sessions on {}", info.describe()))
            .because_of(format!("no answer within {}", show_duration(limit)))),
    }
}

async fn await_replay(
    session: &Session,
    position: &str,
    end: Instant,
    limit: Duration,
) -> Result<(), Failure> {
    let query = "SELECT pg_catalog.pg_last_wal_replay_lsn() >= $1::text::pg_catalog.pg_lsn, \
                 coalesce(pg_catalog.pg_last_wal_replay_lsn()::text, 'nothing')";
    loop {
        let row = session.query_one(query, &[&position]).await;
        let row = row.map_err(|error| refused("see how far the replica is", &error))?;
        if row.get::<_, Option<bool>>(0) == Some(true) {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Failure::failed(format!("see the swap replayed up to {position}")).because_of(
                format!("after {} it has replayed {}", show_duration(limit), row.get::<_, String>(1)),
            ));
        }
        sleep(POLL).await;
    }
}
