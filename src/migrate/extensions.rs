//! The extensions that only an administrator can install: migrations can't make them, and on a scratch database
//! they must be there before.

use super::migrator::Database;
use crate::failure::Failure;
use crate::pg::{self, Session, quote_ident, refused};

/// An extension of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The schema that its objects stand in.
    pub schema: String,
}

/// The extensions of the session's database that its role could not install: neither it is a superuser, nor are
/// they trusted (PostgreSQL manual, "CREATE EXTENSION").
///
/// # Errors
/// If the query fails.
pub async fn beyond(session: &Session) -> Result<Vec<Extension>, Failure> {
    let query = "SELECT e.extname::pg_catalog.text, n.nspname::pg_catalog.text FROM pg_catalog.pg_extension e \
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
        WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) \
        AND EXISTS (SELECT FROM pg_catalog.pg_available_extension_versions v \
            WHERE v.name = e.extname AND v.superuser AND NOT v.trusted) ORDER BY e.oid";
    let rows = session.query(query, &[]).await;
    let rows = rows.map_err(|error| refused("look for extensions", &error))?;
    Ok(rows.iter().map(|row| Extension { name: row.get(0), schema: row.get(1) }).collect())
}

/// Installs them in `database` as its administrator, as far as that role may. What is missing then is missed by
/// the migration that needs it, by name.
///
/// # Errors
/// If there is no session.
pub async fn install(extensions: &[Extension], database: &Database) -> Result<(), Failure> {
    if extensions.is_empty() {
        return Ok(());
    }
    let way = database.admin.with_database(database.info.database());
    let session = pg::connect(&way, &database.session).await?;
    for Extension { name, schema } in extensions {
        let (extension, schema) = (quote_ident(name), quote_ident(schema));
        // In a schema of its own, made with it, or in one that has to be there; `pg_catalog` is always.
        let statements = [
            format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
            format!("CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema} CASCADE"),
        ];
        let needed =
            if schema == "pg_catalog" || schema == "public" { &statements[1..] } else { &statements };
        for statement in needed {
            if let Err(error) = session.batch_execute(statement).await {
                tracing::debug!(%error, statement, "not installed on the scratch database");
                break;
            }
        }
    }
    session.close().await;
    Ok(())
}
