//! How a database is created that is not there yet: as `createdb` does, and by several at once.

use super::{Session, quote_ident, sqlstate};

/// Creates the database `name` from the server's own template, with its encoding and locale, for `owner` (the
/// session's role if none). Gives whether it did: one that is there already is left as it is.
///
/// Several may do this at once: one creates it, the others find it. A crash leaves it, or nothing.
///
/// # Errors
/// If the server refuses: the role may not create databases, or not for that owner.
pub async fn create_database(
    admin: &Session,
    name: &str,
    owner: Option<&str>,
) -> Result<bool, tokio_postgres::Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)";
    if admin.query_one(query, &[&name]).await?.try_get(0)? {
        return Ok(false);
    }
    let owner = owner.map(|role| format!(" OWNER {}", quote_ident(role))).unwrap_or_default();
    match admin.batch_execute(&format!("CREATE DATABASE {}{owner}", quote_ident(name))).await {
        Ok(()) => Ok(true),
        // 42P04: it is there by now; 23505: it was being made beside us, and is there since its maker committed.
        Err(error) if matches!(sqlstate(&error), Some("42P04" | "23505")) => Ok(false),
        Err(error) => Err(error),
    }
}
