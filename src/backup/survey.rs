//! What stands in the way of a backup, or of restoring it with this role: found before a window opens.

use tokio_postgres::Client;

use super::catalog::get;
use super::error::BackupError;
use super::pinned;
use crate::pg::{ConnInfo, SessionOptions};

/// One thing in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the backup itself; else it stops (or thins) only a restore by this role.
    pub stops_backup: bool,
    /// What it is, named.
    pub what: String,
    /// How to mend it.
    pub remedy: &'static str,
}

/// Each: what it stops, the remedy, a query that names the things.
const QUESTIONS: &[(bool, &str, &str)] = &[
    (
        true,
        "GRANT SELECT on it (and USAGE on its schema) to this role",
        "SELECT pg_catalog.format('table %I.%I may not be read', n.nspname, c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
         AND n.nspname <> 'information_schema' \
         AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind \
             WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') \
             ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)",
    ),
    (
        true,
        "give the role BYPASSRLS, or back up as the table's owner without FORCE ROW LEVEL SECURITY: \
         a policy must not filter a backup",
        "SELECT pg_catalog.format('row-level security of table %I.%I applies to this role', n.nspname, c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_roles r ON r.rolname = current_user \
         WHERE c.relkind = 'r' AND c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls \
         AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))",
    ),
    (
        true,
        "no other encoding can be converted from it: convert the database to UTF8",
        "SELECT 'the encoding MULE_INTERNAL' WHERE pg_catalog.getdatabaseencoding() = 'MULE_INTERNAL'",
    ),
    (
        true,
        "grant this role the large object's owner, or back up as a superuser",
        "SELECT pg_catalog.format('large object %s is another role''s', m.oid) \
         FROM pg_catalog.pg_largeobject_metadata m JOIN pg_catalog.pg_roles r ON r.rolname = current_user \
         WHERE NOT r.rolsuper AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') LIMIT 20",
    ),
    (
        false,
        "restore as a superuser, or make the extension trusted",
        "SELECT pg_catalog.format('extension %I needs a superuser to be created', e.extname) \
         FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_roles r ON r.rolname = current_user \
         WHERE NOT r.rolsuper AND e.extname <> 'plpgsql' AND NOT EXISTS (\
             SELECT FROM pg_catalog.pg_available_extension_versions v \
             WHERE v.name = e.extname AND v.version = e.extversion AND (v.trusted OR NOT v.superuser))",
    ),
    (
        false,
        "restore as a superuser: only one may create it",
        "SELECT pg_catalog.format('event trigger %I', t.evtname) FROM pg_catalog.pg_event_trigger t \
         JOIN pg_catalog.pg_roles r ON r.rolname = current_user WHERE NOT r.rolsuper \
         UNION ALL SELECT pg_catalog.format('publication %I is for all tables', p.pubname) \
         FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_roles r ON r.rolname = current_user \
         WHERE NOT r.rolsuper AND p.puballtables \
         UNION ALL SELECT pg_catalog.format('function %s is in an untrusted language', f.oid::pg_catalog.regprocedure) \
         FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_language l ON l.oid = f.prolang \
         JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace \
         JOIN pg_catalog.pg_roles r ON r.rolname = current_user \
         WHERE NOT r.rolsuper AND NOT l.lanpltrusted AND f.prokind <> 'a' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = f.oid AND d.deptype IN ('e', 'i') \
             AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass)",
    ),
    (
        false,
        "GRANT that role to this one, or restore as a superuser",
        "SELECT pg_catalog.format('things that belong to role %I', o.rolname) FROM (\
             SELECT d.refobjid AS owner FROM pg_catalog.pg_shdepend d \
                 JOIN pg_catalog.pg_database b ON b.oid = d.dbid \
                 WHERE b.datname = pg_catalog.current_database() AND d.deptype = 'o' \
                 AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
             UNION SELECT u.owner FROM (\
                 SELECT oid, 'pg_catalog.pg_class'::pg_catalog.regclass, relowner FROM pg_catalog.pg_class \
                     WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
                 UNION ALL SELECT oid, 'pg_catalog.pg_proc'::pg_catalog.regclass, proowner FROM pg_catalog.pg_proc \
                 UNION ALL SELECT oid, 'pg_catalog.pg_namespace'::pg_catalog.regclass, nspowner \
                     FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_') u(oid, class, owner) \
                 WHERE u.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
                     WHERE d.classid = u.class AND d.objid = u.oid AND d.deptype IN ('e', 'i'))) t \
         JOIN pg_catalog.pg_roles o ON o.oid = t.owner JOIN pg_catalog.pg_roles r ON r.rolname = current_user \
         WHERE NOT r.rolsuper AND NOT pg_catalog.pg_has_role(o.oid, 'MEMBER') ORDER BY 1",
    ),
];

/// Looks for everything that would stop a backup of this database, or its restore by the same role.
///
/// Empty is good. Subscriptions are no finding: they are kept in a file apart and never restored.
///
/// # Errors
/// If the server cannot be asked.
pub async fn survey(info: &ConnInfo, session: &SessionOptions) -> Result<Vec<Finding>, BackupError> {
    let client = pinned::open(info, session).await?;
    let mut found = Vec::new();
    for (stops_backup, remedy, query) in QUESTIONS {
        for what in ask(&client, query).await? {
            found.push(Finding { stops_backup: *stops_backup, what, remedy });
        }
    }
    Ok(found)
}

async fn ask(client: &Client, query: &str) -> Result<Vec<String>, BackupError> {
    let rows = client
        .query(query, &[])
        .await
        .map_err(|e| BackupError::sql("look for what stands in a backup's way", e))?;
    rows.iter().map(|row| get(row, 0)).collect()
}
