//! The roles that a database names, as SQL without passwords; and its subscriptions, as SQL without
//! connection strings. Both are for people (and for servers that lack the roles): a restore runs neither.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::catalog::get;
use super::error::BackupError;
use crate::pg::{quote_ident, quote_literal};

/// The roles of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Globals {
    /// Their names, those that every server has left out.
    pub names: Vec<String>,
    /// `CREATE ROLE`, `ALTER ROLE`, `GRANT`.
    pub sql: String,
}

/// Those who own or are granted anything here, or have settings here, and all roles that they are members of.
const NAMED: &str = "WITH RECURSIVE here AS (\
         SELECT oid, datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), \
     named(oid) AS (\
         SELECT d.refobjid FROM pg_catalog.pg_shdepend d, here \
             WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
             AND (d.dbid = here.oid OR (d.dbid = 0 AND d.objid = here.oid \
                 AND d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)) \
         UNION SELECT datdba FROM here \
         UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s, here \
             WHERE s.setdatabase = here.oid AND s.setrole <> 0 \
         UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN named ON m.member = named.oid)";

/// Reads the roles, from `pg_roles`: works without superuser rights, and never sees a password.
pub(super) async fn globals(client: &Client) -> Result<Globals, BackupError> {
    let refused = |source| BackupError::sql("read the roles", source);
    let roles = client
        .query(
            &format!(
                "{NAMED} SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, \
                 r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text \
                 FROM pg_catalog.pg_roles r JOIN named ON named.oid = r.oid \
                 WHERE r.rolname !~ '^pg_' ORDER BY 1"
            ),
            &[],
        )
        .await
        .map_err(refused)?;
    let mut globals = Globals::default();
    for row in &roles {
        let name: String = get(row, 0)?;
        let role = quote_ident(&name);
        let _ = write!(globals.sql, "CREATE ROLE {role};\nALTER ROLE {role} WITH");
        let words = ["SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "LOGIN", "REPLICATION", "BYPASSRLS"];
        for (column, word) in words.iter().enumerate() {
            let _ = write!(globals.sql, " {}{word}", if get(row, column + 1)? { "" } else { "NO" });
        }
        let limit: i32 = get(row, 8)?;
        if limit >= 0 {
            let _ = write!(globals.sql, " CONNECTION LIMIT {limit}");
        }
        if let Some(until) = get::<Option<String>>(row, 9)? {
            let _ = write!(globals.sql, " VALID UNTIL {}", quote_literal(&until));
        }
        globals.sql.push_str(";\n");
        globals.names.push(name);
    }
    let memberships = client
        .query(
            &format!(
                "{NAMED} SELECT g.rolname, u.rolname, bool_or(m.admin_option) FROM pg_catalog.pg_auth_members m \
                 JOIN named ON named.oid = m.member JOIN pg_catalog.pg_roles g ON g.oid = m.roleid \
                 JOIN pg_catalog.pg_roles u ON u.oid = m.member \
                 WHERE u.rolname !~ '^pg_' GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            &[],
        )
        .await
        .map_err(refused)?;
    for row in &memberships {
        let (group, member): (String, String) = (get(row, 0)?, get(row, 1)?);
        let option = if get(row, 2)? { " WITH ADMIN OPTION" } else { "" };
        let _ = writeln!(globals.sql, "GRANT {} TO {}{option};", quote_ident(&group), quote_ident(&member));
    }
    Ok(globals)
}

/// The database's subscriptions, without their connection strings (which hold passwords, and which only a
/// superuser may read); `None` if there are none.
pub(super) async fn subscriptions(client: &Client) -> Result<Option<String>, BackupError> {
    let sql = "SELECT s.subname, s.subslotname, s.subpublications FROM pg_catalog.pg_subscription s \
               JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
               WHERE d.datname = pg_catalog.current_database() ORDER BY 1";
    let rows = client.query(sql, &[]).await.map_err(|e| BackupError::sql("read the subscriptions", e))?;
    let mut text = String::new();
    for row in &rows {
        let (name, slot): (String, Option<String>) = (get(row, 0)?, get(row, 1)?);
        let publications: Vec<String> = get(row, 2)?;
        let publications: Vec<String> = publications.iter().map(|p| quote_ident(p)).collect();
        let slot = slot.map_or("NONE".to_string(), |slot| quote_literal(&slot));
        let _ = writeln!(
            text,
            "CREATE SUBSCRIPTION {} CONNECTION '***' PUBLICATION {} \
             WITH (connect = false, enabled = false, create_slot = false, slot_name = {slot});",
            quote_ident(&name),
            publications.join(", ")
        );
    }
    let heading = "-- Not run by a restore: a restored subscription takes over the publisher's slot, and dropping it\n\
                   -- drops that slot. Create it by hand, with its connection string, where it is wanted.\n";
    Ok((!text.is_empty()).then(|| format!("{heading}{text}")))
}
