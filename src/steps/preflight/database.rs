//! The database itself, and everything that stands in the way of closing, cloning and swapping it.

use tokio_postgres::Row;

use super::server::Sessions;
use super::{Check, Finding, Premises, replicas};
use crate::pg::{Session, describe_error, quote_ident};

/// A transaction older than this is worth knowing: a lock that it holds makes a migration wait.
const LONG_TRANSACTION: &str = "5 minutes";

pub(super) async fn examine(premises: &Premises<'_>, sessions: &Sessions) -> Vec<Check> {
    let name = premises.config.database.url.database();
    let mut checks = vec![
        one(
            "long transactions",
            "none",
            ask(&sessions.app, LONG, &[&LONG_TRANSACTION], long_transaction).await,
        ),
        one("invalid indexes", "none", ask(&sessions.app, INVALID_INDEXES, &[], invalid_index).await),
        schema_privileges(premises, sessions).await,
    ];
    if premises.outline.window {
        checks.push(rights(name, sessions).await);
        checks.push(one(
            "prepared transactions",
            "none",
            ask(&sessions.admin, PREPARED, &[&name], prepared).await,
        ));
        checks.push(one(
            "subscriptions",
            "none",
            ask(&sessions.admin, SUBSCRIPTIONS, &[&name], subscription).await,
        ));
        checks.push(one(
            "replication slots",
            "none active",
            ask(&sessions.admin, SLOTS, &[&name], slot).await,
        ));
        checks.push(one(
            "sessions",
            "all can be ended",
            ask(&sessions.admin, SESSIONS, &[&name], session).await,
        ));
        checks.push(collation(name, sessions).await);
        checks.push(replicas::examine(premises, sessions).await);
    }
    checks
}

const LONG: &str = "SELECT pid, usename::text, application_name, pg_catalog.now() - xact_start > $1::text::interval, \
     (extract(epoch FROM pg_catalog.now() - xact_start))::bigint, pg_catalog.left(query, 80), \
     (SELECT pg_catalog.string_agg(DISTINCT l.relation::regclass::text, ', ') FROM pg_catalog.pg_locks l \
      WHERE l.pid = a.pid AND l.relation IS NOT NULL AND l.mode LIKE '%Exclusive%') \
     FROM pg_catalog.pg_stat_activity a WHERE datname = pg_catalog.current_database() \
     AND pid <> pg_catalog.pg_backend_pid() AND pg_catalog.now() - xact_start > $1::text::interval";

fn long_transaction(row: &Row) -> Finding {
    let locks = row.get::<_, Option<String>>(6).map(|l| format!(", locks {l}")).unwrap_or_default();
    Finding::warns(
        format!(
            "process {} of {} ({}) is in a transaction for {} s{locks}: {}",
            row.get::<_, i32>(0),
            row.get::<_, Option<String>>(1).unwrap_or_default(),
            row.get::<_, String>(2),
            row.get::<_, i64>(4),
            row.get::<_, String>(5)
        ),
        format!("close ends it; to end it before: SELECT pg_terminate_backend({})", row.get::<_, i32>(0)),
    )
}

const INVALID_INDEXES: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = 'i'";

fn invalid_index(row: &Row) -> Finding {
    let name: String = row.get(0);
    Finding::warns(
        format!("index {name} is invalid: left by a CREATE INDEX CONCURRENTLY that failed"),
        format!("DROP INDEX CONCURRENTLY {name}; then create it again"),
    )
}

const PREPARED: &str = "SELECT gid, owner::text FROM pg_catalog.pg_prepared_xacts WHERE database = $1";

fn prepared(row: &Row) -> Finding {
    let gid: String = row.get(0);
    Finding::blocks(
        format!(
            "the prepared transaction {gid} of {} is open: it outlives every session",
            row.get::<_, String>(1)
        ),
        format!("COMMIT PREPARED or ROLLBACK PREPARED {}", crate::pg::quote_literal(&gid)),
    )
}

const SUBSCRIPTIONS: &str = "SELECT s.subname::text FROM pg_catalog.pg_stat_subscription s \
     JOIN pg_catalog.pg_subscription u ON u.oid = s.subid \
     JOIN pg_catalog.pg_database d ON d.oid = u.subdbid WHERE d.datname = $1";

fn subscription(row: &Row) -> Finding {
    let name = quote_ident(row.get(0));
    Finding::blocks(
        format!("the subscription {name} writes into the database, and a clone would carry it along"),
        format!("ALTER SUBSCRIPTION {name} DISABLE, SET (slot_name = NONE) and drop it for the release"),
    )
}

const SLOTS: &str = "SELECT slot_name::text, active FROM pg_catalog.pg_replication_slots WHERE database = $1";

fn slot(row: &Row) -> Finding {
    let name: String = row.get(0);
    let active: bool = row.get(1);
    let state = if active { "active" } else { "inactive" };
    Finding {
        blocks: active,
        asks: false,
        what: format!(
            "the logical replication slot {name} ({state}) stays with the failed database after a swap"
        ),
        remedies: vec![format!(
            "stop its consumer and SELECT pg_drop_replication_slot({})",
            crate::pg::quote_literal(&name)
        )],
    }
}

pub(super) const SESSIONS: &str = "SELECT a.pid, a.usename::text, a.application_name FROM pg_catalog.pg_stat_activity a \
     JOIN pg_catalog.pg_roles r ON r.rolname = a.usename \
     WHERE a.datname = $1 AND a.pid <> pg_catalog.pg_backend_pid() \
     AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \
     AND (r.rolsuper OR NOT (pg_catalog.pg_has_role(current_user, r.oid, 'USAGE') \
          OR pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'USAGE')))";

pub(super) fn session(row: &Row) -> Finding {
    let user: String = row.get(1);
    Finding::blocks(
        format!(
            "process {} of {user} ({}) is in the database, and our role may not end it",
            row.get::<_, i32>(0),
            row.get::<_, String>(2)
        ),
        "end it as its user or a superuser, or grant pg_signal_backend to our role (superusers' sessions stay out of its reach)",
    )
}

/// Owner of the database, and allowed to create one: both are needed to rename and to clone.
async fn rights(name: &str, sessions: &Sessions) -> Check {
    let query = "SELECT current_user::text, r.rolsuper, r.rolcreatedb, \
         pg_catalog.pg_has_role(current_user, d.datdba, 'USAGE'), pg_catalog.pg_get_userbyid(d.datdba)::text \
         FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE r.rolname = current_user AND d.datname = $1";
    let findings = ask(&sessions.admin, query, &[&name], |row: &Row| {
        let (role, owner): (String, String) = (row.get(0), row.get(4));
        let mut found = Vec::new();
        if !row.get::<_, bool>(1) && !row.get::<_, bool>(2) {
            let remedy = format!("ALTER ROLE {} CREATEDB", quote_ident(&role));
            found
                .push(Finding::blocks(format!("{role} may not create databases: no clone, no swap"), remedy));
        }
        if !row.get::<_, bool>(3) {
            let remedy = format!(
                "give an [database] admin_url of {owner}, or GRANT {} TO {}",
                quote_ident(&owner),
                quote_ident(&role)
            );
            found.push(Finding::blocks(format!("{role} does not own the database; {owner} does"), remedy));
        }
        found
    })
    .await;
    one("rights", "owner, and may create databases", findings.map(|f| f.into_iter().flatten().collect()))
}

/// Guide 1's "permission denied for schema public", before it happens.
async fn schema_privileges(premises: &Premises<'_>, sessions: &Sessions) -> Check {
    let mut findings = Vec::new();
    if premises.outline.migrations.is_empty() {
        return Check::new("schema privileges", "not needed", findings);
    }
    for root in &premises.config.migrations {
        let query = "SELECT current_user::text, pg_catalog.has_schema_privilege(n.oid, 'CREATE') \
             FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";
        let schema = quote_ident(&root.version_schema);
        let found = ask(&sessions.app, query, &[&root.version_schema], |row| {
            let role = quote_ident(row.get(0));
            (!row.get::<_, bool>(1)).then(|| {
                Finding::blocks(
                    format!("permission denied for schema {schema}: {role} may not create tables there"),
                    format!("as its owner or a superuser: GRANT ALL ON SCHEMA {schema} TO {role}"),
                )
            })
        })
        .await;
        match found {
            Ok(found) => findings.extend(found.into_iter().flatten()),
            Err(finding) => findings.push(finding),
        }
    }
    Check::new("schema privileges", "tables can be created", findings)
}

/// A clone refuses a template whose collation version is not the system's (PostgreSQL 15 and newer).
async fn collation(name: &str, sessions: &Sessions) -> Check {
    const NAME: &str = "collation version";
    if sessions.admin.server_version() < 150_000 {
        return Check::new(NAME, "not kept by this server", vec![]);
    }
    let query = "SELECT datcollversion, pg_catalog.pg_database_collation_actual_version(oid) \
         FROM pg_catalog.pg_database WHERE datname = $1 \
         AND datcollversion IS DISTINCT FROM pg_catalog.pg_database_collation_actual_version(oid)";
    let found = ask(&sessions.admin, query, &[&name], |row| {
        let text = |i| row.get::<_, Option<String>>(i).unwrap_or_else(|| "none".into());
        Finding::blocks(
            format!("the database was made with collation version {}, the system has {}", text(0), text(1)),
            format!(
                "rebuild what depends on it, then ALTER DATABASE {} REFRESH COLLATION VERSION",
                quote_ident(name)
            ),
        )
    })
    .await;
    one(NAME, "the system's", found)
}

/// What a query finds, row by row.
pub(super) async fn ask<T>(
    session: &Session,
    query: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    read: impl Fn(&Row) -> T,
) -> Result<Vec<T>, Finding> {
    match session.query(query, parameters).await {
        Ok(rows) => Ok(rows.iter().map(read).collect()),
        // A role that may not look must not be told that all is well.
        Err(error) => Err(Finding::warns(
            format!("could not look: {}", describe_error(&error).replace('\n', "; ")),
            "grant our role pg_monitor to have this checked",
        )),
    }
}

fn one(name: &'static str, said: &str, found: Result<Vec<Finding>, Finding>) -> Check {
    Check::new(name, said, found.unwrap_or_else(|finding| vec![finding]))
}
