//! Sessions whose settings are pinned, so that the same rows are always the same text.

use tokio_postgres::Client;

use super::error::BackupError;
use crate::pg::{ConnInfo, Session, SessionOptions, connect};

/// What `COPY` text and `pg_dump` text depend on, or what could end a long session.
///
/// `row_security = off` refuses where a policy would filter: a backup is whole or it is none.
/// `lc_monetary` decides how `money` is written; the rest is what pg_dump pins too.
/// Names that a server does not know (those of newer versions) are left out.
const SETTINGS: &[(&str, &str)] = &[
    ("search_path", ""),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("lc_monetary", "C"),
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    ("synchronize_seqscans", "off"),
    ("default_transaction_read_only", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("jit", "off"),
];

/// The pinned settings as `PGOPTIONS` takes them, for `pg_dump` and `psql`: those that every server has.
pub(super) fn pgoptions() -> String {
    // Spaces are escaped with a backslash (PostgreSQL manual, "Connection strings", options).
    ["lc_monetary=C", "quote_all_identifiers=off", "default_transaction_read_only=off", "array_nulls=on"]
        .map(|setting| format!("-c {setting}"))
        .join(" ")
}

/// Opens a session and pins its settings.
pub(crate) async fn open(info: &ConnInfo, options: &SessionOptions) -> Result<Session, BackupError> {
    let session = connect(info, options).await.map_err(|source| BackupError::Connect {
        database: info.database().to_string(),
        source: Box::new(source),
    })?;
    pin(&session).await?;
    Ok(session)
}

async fn pin(client: &Client) -> Result<(), BackupError> {
    let values: Vec<String> = SETTINGS
        .iter()
        .map(|(name, value)| {
            format!("({},{})", crate::pg::quote_literal(name), crate::pg::quote_literal(value))
        })
        .collect();
    // SQL_ASCII is "bytes, meaning unknown": any conversion, and on the way back any check, would be a guess.
    let sql = format!(
        "SELECT pg_catalog.set_config(s.name, v.value, false) \
         FROM (VALUES {}) v(name, value) JOIN pg_catalog.pg_settings s \
             ON pg_catalog.lower(s.name) = pg_catalog.lower(v.name); \
         SELECT pg_catalog.set_config('client_encoding', \
             CASE WHEN pg_catalog.getdatabaseencoding() = 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false)",
        values.join(",")
    );
    client.batch_execute(&sql).await.map_err(|e| BackupError::sql("pin the session's settings", e))
}

/// Begins the transaction that all others of a backup share, and gives its snapshot's name.
pub(super) async fn begin_and_export(client: &Client) -> Result<String, BackupError> {
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(|e| BackupError::sql("begin the snapshot's transaction", e))?;
    export(client).await
}

/// Takes the snapshot of a transaction that has none yet, and gives its name.
pub(super) async fn export(client: &Client) -> Result<String, BackupError> {
    let row = client
        .query_one("SELECT pg_catalog.pg_export_snapshot()", &[])
        .await
        .map_err(|e| BackupError::sql("export a snapshot", e))?;
    Ok(row.get(0))
}

/// Opens a session whose transaction sees exactly the exported snapshot.
pub(super) async fn join(
    info: &ConnInfo,
    options: &SessionOptions,
    snapshot: &str,
) -> Result<Session, BackupError> {
    let session = open(info, options).await?;
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
        crate::pg::quote_literal(snapshot)
    );
    session.batch_execute(&sql).await.map_err(|e| BackupError::sql("join the snapshot", e))?;
    Ok(session)
}
