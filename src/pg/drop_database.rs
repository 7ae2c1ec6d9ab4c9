//! The one way in which a database is dropped.
//!
//! A database that holds a subscription cannot be dropped, and dropping the subscription drops its slot on
//! the publisher, which may be the one that production reads from. So each is cut off from its slot first
//! (PostgreSQL manual, "Subscription", 31.2.1 "Replication Slot Management").

use tokio_postgres::Error;

use super::{ConnInfo, ConnectError, Session, SessionOptions, connect, quote_ident};
use crate::failure::Failure;

/// Why a database was not dropped; reads after "could not".
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    /// The server refused.
    #[error("{what}")]
    Sql {
        /// What was being done, to what.
        what: String,
        /// What the server said.
        #[source]
        source: Error,
    },
    /// The database has subscriptions and cannot be entered to cut them off.
    #[error("connect to database {database:?}, to cut off its subscriptions")]
    Connect {
        /// Which.
        database: String,
        /// Why.
        #[source]
        source: Box<ConnectError>,
    },
}

impl From<DropError> for Failure {
    fn from(error: DropError) -> Failure {
        match error {
            DropError::Sql { what, source } => super::refused(&what, &source),
            DropError::Connect { source, .. } => Failure::from(*source),
        }
    }
}

/// Drops the database `name`, if it is there, on the session `admin`, whose server `info` names. Its
/// subscriptions are dropped before, their slots on the publishers left alone.
///
/// A crash in between leaves the database, with fewer subscriptions.
///
/// # Errors
/// If the server refuses, as it does while other sessions are in the database.
pub async fn drop_database(
    admin: &Session,
    info: &ConnInfo,
    options: &SessionOptions,
    name: &str,
) -> Result<(), DropError> {
    drop_after_subscriptions(admin, info, options, name, "").await
}

/// As [`drop_database`], and ends whatever sessions are in the database.
///
/// # Errors
/// If the server refuses.
pub async fn drop_with_force(
    admin: &Session,
    info: &ConnInfo,
    options: &SessionOptions,
    name: &str,
) -> Result<(), DropError> {
    drop_after_subscriptions(admin, info, options, name, " WITH (FORCE)").await
}

async fn drop_after_subscriptions(
    admin: &Session,
    info: &ConnInfo,
    options: &SessionOptions,
    name: &str,
    how: &str,
) -> Result<(), DropError> {
    cut_off_subscriptions(admin, info, options, name).await?;
    let sql = format!("DROP DATABASE IF EXISTS {}{how}", quote_ident(name));
    execute(admin, &format!("drop database {name}"), &sql).await
}

async fn cut_off_subscriptions(
    admin: &Session,
    info: &ConnInfo,
    options: &SessionOptions,
    name: &str,
) -> Result<(), DropError> {
    let what = format!("look for subscriptions in database {name}");
    // -2 is a database that a failed CREATE or DROP left: nobody can enter it.
    let sql = "SELECT s.subname::text, s.subslotname::text, d.datallowconn FROM pg_catalog.pg_subscription s \
               JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
               WHERE d.datname = $1 AND d.datconnlimit <> -2 ORDER BY 1";
    let refused = |source| DropError::Sql { what: what.clone(), source };
    let rows = admin.query(sql, &[&name]).await.map_err(refused)?;
    let Some(first) = rows.first() else { return Ok(()) };
    let closed = !first.try_get::<_, bool>(2).map_err(refused)?;
    if closed {
        allow_connections(admin, name, true).await?;
    }
    let cut = async {
        let inside = connect(&info.with_database(name), options)
            .await
            .map_err(|source| DropError::Connect { database: name.to_string(), source: Box::new(source) })?;
        for row in &rows {
            let subscription: String = row.try_get(0).map_err(refused)?;
            cut_off(&inside, &subscription).await?;
            if let Some(slot) = row.try_get::<_, Option<String>>(1).map_err(refused)? {
                tracing::info!(
                    database = name,
                    subscription,
                    slot,
                    "dropped, its slot on the publisher left"
                );
            }
        }
        inside.close().await;
        Ok(())
    };
    let result = cut.await;
    // If the drop fails, it stays as closed as it was.
    if closed {
        allow_connections(admin, name, false).await?;
    }
    result
}

/// The three statements cannot share a transaction: the apply worker must see the first.
async fn cut_off(inside: &Session, subscription: &str) -> Result<(), DropError> {
    let quoted = quote_ident(subscription);
    let what = format!("cut off subscription {subscription}");
    execute(inside, &what, "SET default_transaction_read_only = off").await?;
    execute(inside, &what, &format!("ALTER SUBSCRIPTION {quoted} DISABLE")).await?;
    execute(inside, &what, &format!("ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE)")).await?;
    execute(inside, &what, &format!("DROP SUBSCRIPTION {quoted}")).await
}

async fn allow_connections(admin: &Session, name: &str, allow: bool) -> Result<(), DropError> {
    let what = format!("open database {name}, to cut off its subscriptions");
    let sql = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {allow}", quote_ident(name));
    execute(admin, &what, &sql).await
}

async fn execute(session: &Session, what: &str, sql: &str) -> Result<(), DropError> {
    session.batch_execute(sql).await.map_err(|source| DropError::Sql { what: what.to_string(), source })
}
