//! The proof that a flag may clear on: a new session of the application's can write.

use std::time::Duration;

use crate::failure::Failure;
use crate::pg::{self, ConnInfo, Session, SessionOptions, refused};
use crate::time::show_duration;

/// Opens a new session as the application does and commits a write that touches nothing of anyone's.
///
/// Connecting takes as long as the options' patience at most: a pooler that has met the closed database asks the
/// server again only after a while (PgBouncer: `server_login_retry`, 15 s). Then the write has `limit`, for a pooler
/// that is paused gives no answer at all.
///
/// # Errors
/// The connection's; a server or role that only reads; another database under that name than `oid`.
pub async fn can_write(
    info: &ConnInfo,
    options: &SessionOptions,
    oid: u32,
    limit: Duration,
) -> Result<(), Failure> {
    let mut session = pg::connect(info, options).await?;
    let limit = limit.max(options.connect_timeout);
    tokio::time::timeout(limit, write(&mut session, info, oid)).await.unwrap_or_else(|_| {
        Err(Failure::failed(format!("write to {} in a new session", info.describe()))
            .because_of(format!("no answer within {}", show_duration(limit))))
    })
}

async fn write(session: &mut Session, info: &ConnInfo, oid: u32) -> Result<(), Failure> {
    let what = format!("write to {} in a new session", info.describe());
    let failed = |error: tokio_postgres::Error| refused(&what, &error);
    // Nothing is prepared here: a pooler may give each transaction another of the server's sessions.
    let row = session
        .query_typed_one(
            "SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()",
            &[],
        )
        .await
        .map_err(failed)?;
    let found: u32 = row.get(0);
    if found != oid {
        return Err(Failure::refused("prove that production serves")
            .because_of(format!("{} is the database with oid {found}, not {oid}", info.describe()))
            .then("look at the databases with backstay status before anything else"));
    }
    let transaction = session.transaction().await.map_err(failed)?;
    transaction
        .batch_execute(
            "CREATE TEMPORARY TABLE backstay_proof (written boolean) ON COMMIT DROP; \
                        INSERT INTO backstay_proof VALUES (true)",
        )
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}
