//! Questions about the server and its databases that more than one part asks.

use tokio_postgres::{Error, Row};

use super::{describe_error, sqlstate};
use crate::pg::Session;

/// The server's version as a number: 150018 for 15.18. Asks the server, so that it is right behind a pooler too.
///
/// # Errors
/// If the statement fails.
pub async fn server_version_num(session: &Session) -> Result<u32, Error> {
    let text = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4";
    let row = session.query_one(text, &[]).await?;
    Ok(u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0))
}

/// What makes a cluster itself, whatever host name leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemIdentifier {
    /// The number that `initdb` drew; standbys share it.
    Known(u64),
    /// The role may not ask; holds the server's answer.
    Withheld(String),
}

/// The cluster's identifier. Everyone may ask unless EXECUTE was revoked, as some hosted services do.
///
/// # Errors
/// If the statement fails for another reason than missing rights.
pub async fn system_identifier(session: &Session) -> Result<SystemIdentifier, Error> {
    let text = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
    match session.query_one(text, &[]).await {
        // The server prints it without a sign; the type that it has in SQL has one.
        Ok(row) => Ok(SystemIdentifier::Known(row.try_get::<_, i64>(0)?.cast_unsigned())),
        Err(error) if matches!(sqlstate(&error), Some("42501" | "42883")) => {
            Ok(SystemIdentifier::Withheld(describe_error(&error)))
        }
        Err(error) => Err(error),
    }
}

/// One row of `pg_database`, with names in place of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its number, which a rename leaves alone.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// The encoding: `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `c` (libc), `i` (ICU) or `b` (built in); always `c` before version 15.
    pub locale_provider: char,
    /// The locale of ICU or of the built-in provider.
    pub locale: Option<String>,
    /// The default tablespace.
    pub tablespace: String,
    /// Whether anyone may connect.
    pub allow_connections: bool,
    /// How many may connect; -1 is no limit.
    pub connection_limit: i32,
    /// An interrupted `CREATE` or `DROP DATABASE` left it: it can't be connected to, but can be renamed.
    pub is_invalid: bool,
    /// Whether everyone who may create databases may copy it.
    pub is_template: bool,
    /// Its privileges as `pg_database` holds them (`{=Tc/owner,…}`); none: the built-in ones.
    pub privileges: Option<String>,
    /// `COMMENT ON DATABASE`.
    pub comment: Option<String>,
    /// Bytes on the server's disk; none if this role may not ask.
    pub size_bytes: Option<u64>,
}

/// The database called `name`, or none.
///
/// # Errors
/// If the statement fails.
pub async fn database_by_name(session: &Session, name: &str) -> Result<Option<Database>, Error> {
    let text =
        select_database(session.server_version(), "d.datname::pg_catalog.text OPERATOR(pg_catalog.=) $1");
    session.query_opt(&text, &[&name]).await?.as_ref().map(read_database).transpose()
}

/// The database with the number `oid`, or none.
///
/// # Errors
/// If the statement fails.
pub async fn database_by_oid(session: &Session, oid: u32) -> Result<Option<Database>, Error> {
    let text = select_database(session.server_version(), "d.oid OPERATOR(pg_catalog.=) $1");
    session.query_opt(&text, &[&oid]).await?.as_ref().map(read_database).transpose()
}

fn select_database(version: u32, condition: &str) -> String {
    let (provider, locale) = match version {
        170_000.. => ("d.datlocprovider", "d.datlocale"),
        150_000.. => ("d.datlocprovider", "d.daticulocale"),
        _ => ("'c'::pg_catalog.\"char\"", "NULL::pg_catalog.text"),
    };
    // Operators are found by search_path too, unless their schema is named.
    // The size may be asked for by whoever may connect or read all statistics; others get an error.
    format!(
        "SELECT d.oid, d.datname::pg_catalog.text, pg_catalog.pg_get_userbyid(d.datdba)::pg_catalog.text, \
           pg_catalog.pg_encoding_to_char(d.encoding)::pg_catalog.text, d.datcollate::pg_catalog.text, \
           d.datctype::pg_catalog.text, {provider}::pg_catalog.text, {locale}::pg_catalog.text, \
           t.spcname::pg_catalog.text, d.datallowconn, d.datconnlimit, d.datistemplate, \
           d.datacl::pg_catalog.text, pg_catalog.shobj_description(d.oid, 'pg_database'), \
           CASE WHEN d.datconnlimit OPERATOR(pg_catalog.<>) (-2) AND (pg_catalog.has_database_privilege(d.oid, 'CONNECT') \
             OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')) \
             THEN pg_catalog.pg_database_size(d.oid) END \
         FROM pg_catalog.pg_database d \
         LEFT JOIN pg_catalog.pg_tablespace t ON t.oid OPERATOR(pg_catalog.=) d.dattablespace \
         WHERE {condition}"
    )
}

fn read_database(row: &Row) -> Result<Database, Error> {
    let connection_limit: i32 = row.try_get(10)?;
    let provider: String = row.try_get(6)?;
    Ok(Database {
        oid: row.try_get(0)?,
        name: row.try_get(1)?,
        owner: row.try_get(2)?,
        encoding: row.try_get(3)?,
        collate: row.try_get(4)?,
        ctype: row.try_get(5)?,
        locale_provider: provider.chars().next().unwrap_or('c'),
        locale: row.try_get(7)?,
        tablespace: row.try_get::<_, Option<String>>(8)?.unwrap_or_default(),
        allow_connections: row.try_get(9)?,
        connection_limit,
        is_invalid: connection_limit == -2,
        is_template: row.try_get(11)?,
        privileges: row.try_get(12)?,
        comment: row.try_get(13)?,
        size_bytes: row.try_get::<_, Option<i64>>(14)?.map(i64::cast_unsigned),
    })
}
