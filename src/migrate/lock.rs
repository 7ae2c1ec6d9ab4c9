//! One who migrates at a time.
//!
//! The advisory lock is polled and never waited for in the server: a waiter there would hold a snapshot that a
//! `CREATE INDEX CONCURRENTLY` of the holder waits for, and both would wait for ever. It is taken before the
//! version table is created or read. A pooler in transaction mode breaks it, as it breaks every session lock:
//! migrate over a direct connection. The server frees it when the session ends, however it ends.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::blockers;
use super::error::{MigrateError, Reason};
use super::options::{Options, Tables};
use crate::event::Progress;
use crate::time::show_duration;

/// Takes the lock, waiting at most `options.lock_wait` for another; says for whom.
///
/// # Errors
/// [`Reason::Locked`] with the holder, or a failed query.
pub(super) async fn take(
    client: &Client,
    tables: &Tables,
    options: &Options,
    progress: &Progress,
) -> Result<(), MigrateError> {
    let key = tables.lock_key();
    let begun = Instant::now();
    let mut pause = Duration::from_millis(20);
    let mut told = false;
    loop {
        let row = client.query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&key]).await;
        if row.map_err(Reason::query("take the lock of those who migrate"))?.get(0) {
            return Ok(());
        }
        let expired = begun.elapsed() >= options.lock_wait;
        if expired || (!told && begun.elapsed() > Duration::from_millis(500)) {
            let holders = blockers::advisory_holders(client, key).await;
            let holder = holders.first().map_or("someone who just left".to_string(), ToString::to_string);
            if expired {
                return Err(Reason::Locked { holder, waited: show_duration(options.lock_wait) }.into());
            }
            told = true;
            progress.note(format!("another migrates this database; waiting for {holder}"));
        }
        tokio::time::sleep(pause.min(options.lock_wait.saturating_sub(begun.elapsed()))).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Gives the lock back. If that fails the session is broken, and the server does it.
pub(super) async fn release(client: &Client, tables: &Tables) {
    let _ = client.query("SELECT pg_catalog.pg_advisory_unlock($1)", &[&tables.lock_key()]).await;
}
