//! What a crash in the middle of `CREATE` or `DROP DATABASE` leaves on a server: databases that can't be used, and
//! folders that no database owns.

use tokio_postgres::Error;

use super::Session;

/// A database with `datconnlimit = -2`: nobody can connect to it, and it takes up its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Its number.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// The role that owns it, and may drop it.
    pub owner: String,
}

/// The server's invalid databases, by name.
///
/// # Errors
/// If the statement fails.
pub async fn invalid_databases(session: &Session) -> Result<Vec<Invalid>, Error> {
    let query = "SELECT oid, datname::pg_catalog.text, pg_catalog.pg_get_userbyid(datdba)::pg_catalog.text \
                 FROM pg_catalog.pg_database WHERE datconnlimit OPERATOR(pg_catalog.=) (-2) ORDER BY 2";
    let rows = session.query(query, &[]).await?;
    rows.iter()
        .map(|row| Ok(Invalid { oid: row.try_get(0)?, name: row.try_get(1)?, owner: row.try_get(2)? }))
        .collect()
}

/// A folder named as a database's is, of which no catalog knows: a server that crashes while it copies a database leaves
/// one, and nothing ever removes it (PostgreSQL manual, CREATE DATABASE).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The number that the database would have had.
    pub oid: u32,
    /// Where it is: absolute where this role may know the data directory, else below `$PGDATA`.
    pub path: String,
    /// Its bytes, where this role may list the server's files.
    pub bytes: Option<u64>,
    /// When a file was last added, as the server writes it; where this role may list the server's files.
    pub modified: Option<String>,
}

/// The folders of the server that no database owns.
///
/// None are told while a database is being created, dropped or moved: its folder would look the same.
///
/// # Errors
/// If a statement fails.
pub async fn orphans(session: &Session) -> Result<Vec<Orphan>, Error> {
    let suspects = unowned(session, &[]).await?;
    // A database that was being made at the first look holds its template's lock now, or its row is there by the second.
    if suspects.is_empty() || is_at_work(session).await? {
        return Ok(Vec::new());
    }
    let oids: Vec<u32> = suspects.iter().map(|suspect| suspect.oid).collect();
    let mut found = Vec::new();
    for suspect in unowned(session, &oids).await? {
        found.push(measure(session, suspect).await?);
    }
    Ok(found)
}

/// A folder without a row.
struct Suspect {
    oid: u32,
    /// Below the data directory.
    path: String,
    tablespace: Option<String>,
}

/// Folders of databases, as anybody may list them, less those with a row; only those in `among`, unless that is empty.
async fn unowned(session: &Session, among: &[u32]) -> Result<Vec<Suspect>, Error> {
    let query = "SELECT t.oid, f.oid, \
                   pg_catalog.pg_tablespace_location(t.oid), \
                   'PG_' OPERATOR(pg_catalog.||) \
                     (pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog./) 10000)::pg_catalog.text \
                 FROM pg_catalog.pg_tablespace t, LATERAL pg_catalog.pg_tablespace_databases(t.oid) AS f(oid) \
                 WHERE t.spcname OPERATOR(pg_catalog.<>) 'pg_global' \
                   AND (pg_catalog.cardinality($1::pg_catalog.oid[]) OPERATOR(pg_catalog.=) 0 \
                        OR f.oid OPERATOR(pg_catalog.=) ANY ($1)) \
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.oid OPERATOR(pg_catalog.=) f.oid) \
                 ORDER BY 1, 2";
    let rows = session.query(query, &[&among]).await?;
    let version = match rows.iter().any(is_elsewhere) {
        true => catalog_version(session).await,
        false => None,
    };
    rows.iter()
        .map(|row| {
            let (tablespace, oid): (u32, u32) = (row.try_get(0)?, row.try_get(1)?);
            if !is_elsewhere(row) {
                return Ok(Suspect { oid, path: format!("base/{oid}"), tablespace: None });
            }
            let server: String = row.try_get(3)?;
            let folder = format!("{server}_{}/{oid}", version.as_deref().unwrap_or("*"));
            let location = row.try_get::<_, String>(2)?;
            Ok(Suspect {
                oid,
                path: format!("pg_tblspc/{tablespace}/{folder}"),
                tablespace: Some(format!("{location}/{folder}")),
            })
        })
        .collect()
}

/// In a tablespace that has a place of its own.
fn is_elsewhere(row: &tokio_postgres::Row) -> bool {
    row.try_get::<_, Option<String>>(2).is_ok_and(|location| location.is_some_and(|text| !text.is_empty()))
}

/// A part of the folder's name in a tablespace; some hosted services tell it to nobody.
async fn catalog_version(session: &Session) -> Option<String> {
    let query = "SELECT catalog_version_no::pg_catalog.text FROM pg_catalog.pg_control_system()";
    session.query_one(query, &[]).await.ok()?.try_get(0).ok()
}

/// Whether a database is being created (its template is locked), dropped or moved.
async fn is_at_work(session: &Session) -> Result<bool, Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'object' \
                 AND classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_database'::pg_catalog.regclass \
                 AND mode OPERATOR(pg_catalog.=) ANY (ARRAY['ShareLock', 'AccessExclusiveLock']))";
    session.query_one(query, &[]).await?.try_get(0)
}

/// What this role may know of the folder.
async fn measure(session: &Session, suspect: Suspect) -> Result<Orphan, Error> {
    let setting =
        "SELECT setting FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'data_directory'";
    let data: Option<String> = match session.query_opt(setting, &[]).await? {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    let path = match (suspect.tablespace, data) {
        (Some(place), _) => place,
        (None, Some(data)) => format!("{}/{}", data.trim_end_matches('/'), suspect.path),
        (None, None) => suspect.path.clone(),
    };
    let allowed = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_ls_dir(text,boolean,boolean)', 'EXECUTE') \
                   AND pg_catalog.has_function_privilege('pg_catalog.pg_stat_file(text,boolean)', 'EXECUTE')";
    let (mut bytes, mut modified) = (None, None);
    if session.query_one(allowed, &[]).await?.try_get(0)? {
        let query = "SELECT pg_catalog.sum((pg_catalog.pg_stat_file($1 OPERATOR(pg_catalog.||) '/' OPERATOR(pg_catalog.||) f, true)).size)::pg_catalog.int8, \
                     (pg_catalog.pg_stat_file($1, true)).modification::pg_catalog.text \
                     FROM pg_catalog.pg_ls_dir($1, true, false) AS f";
        let row = session.query_one(query, &[&suspect.path]).await?;
        bytes = row.try_get::<_, Option<i64>>(0)?.map(i64::cast_unsigned);
        modified = row.try_get(1)?;
    }
    Ok(Orphan { oid: suspect.oid, path, bytes, modified })
}
