//! The roles that a database names, as SQL without passwords: for people, and for servers that lack them.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::attributes::set_parameter;
use super::catalog::get;
use super::error::BackupError;
use super::owned::OWNED;
use crate::pg::{quote_ident, quote_literal};

/// The roles of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Globals {
    /// Their names, those that every server has left out.
    pub names: Vec<String>,
    /// `CREATE ROLE`, `ALTER ROLE`, `COMMENT ON ROLE`, `GRANT`: one role a statement, its name always quoted.
    pub sql: String,
}

/// Those who own or are granted anything here, or granted it, whom a policy or a user mapping names, or who have
/// settings here (`pg_shdepend` knows them all); then all roles that they are members of, and who made them so.
///
/// The first superuser owns without a trace in `pg_shdepend`. Before 16 a membership's grantor may be long gone.
const NAMED: &str = "WITH RECURSIVE here AS (\
         SELECT oid, datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), \
     first_superuser(oid) AS (SELECT 10::pg_catalog.oid WHERE EXISTS (SELECT FROM (@OWNED@) o \
         WHERE o.owner = 10 AND o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
             WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i')))), \
     named(oid) AS (\
         SELECT d.refobjid FROM pg_catalog.pg_shdepend d, here \
             WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
             AND (d.dbid = here.oid OR (d.dbid = 0 AND d.objid = here.oid \
                 AND d.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)) \
         UNION SELECT datdba FROM here \
         UNION SELECT oid FROM first_superuser \
         UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s, here \
             WHERE s.setdatabase = here.oid AND s.setrole <> 0 \
         UNION SELECT v.role FROM pg_catalog.pg_auth_members m JOIN named ON m.member = named.oid \
             CROSS JOIN LATERAL (VALUES (m.roleid), (m.grantor)) v(role) WHERE v.role <> 10 \
             AND (v.role = m.roleid OR pg_catalog.current_setting('server_version_num')::int >= 160000))";

fn named() -> String {
    NAMED.replace("@OWNED@", OWNED)
}

/// Reads the roles in the order in which they were made, in which the server keeps a policy's, from `pg_roles`: works without superuser rights, and never sees a password.
///
/// # Errors
/// If the server refuses.
pub(super) async fn globals(client: &Client) -> Result<Globals, BackupError> {
    let mut globals = Globals::default();
    let sql = format!(
        "{} SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, \
         r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text, \
         pg_catalog.shobj_description(r.oid, 'pg_authid'), \
         ARRAY(SELECT pg_catalog.unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s \
             WHERE s.setrole = r.oid AND s.setdatabase = 0) \
         FROM pg_catalog.pg_roles r JOIN named ON named.oid = r.oid WHERE r.rolname !~ '^pg_' ORDER BY r.oid",
        named()
    );
    for row in &client.query(&sql, &[]).await.map_err(refused)? {
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
        if let Some(comment) = get::<Option<String>>(row, 10)? {
            let _ = writeln!(globals.sql, "COMMENT ON ROLE {role} IS {};", quote_literal(&comment));
        }
        for setting in get::<Vec<String>>(row, 11)? {
            let (parameter, value) = setting.split_once('=').unwrap_or((&setting, ""));
            let _ = writeln!(globals.sql, "ALTER ROLE {role} {};", set_parameter(parameter, value));
        }
        globals.names.push(name);
    }
    for membership in in_order(memberships(client).await?) {
        let _ = writeln!(globals.sql, "{membership};");
    }
    Ok(globals)
}

fn refused(source: tokio_postgres::Error) -> BackupError {
    BackupError::sql("read the roles", source)
}

/// One role's membership in another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Membership {
    group: String,
    member: String,
    admin: bool,
    /// `INHERIT` and `SET`, which have been options since PostgreSQL 16.
    options: Option<(bool, bool)>,
    /// Who made it so, if that is another than the first superuser; since PostgreSQL 16 he must hold `ADMIN`.
    grantor: Option<String>,
}

impl std::fmt::Display for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GRANT {} TO {}", quote_ident(&self.group), quote_ident(&self.member))?;
        match self.options {
            Some((inherit, set)) => {
                write!(f, " WITH ADMIN {}, INHERIT {inherit}, SET {set}", self.admin)?;
            }
            None if self.admin => f.write_str(" WITH ADMIN OPTION")?,
            None => {}
        }
        match &self.grantor {
            Some(grantor) => write!(f, " GRANTED BY {}", quote_ident(grantor)),
            None => Ok(()),
        }
    }
}

async fn memberships(client: &Client) -> Result<Vec<Membership>, BackupError> {
    let version = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000";
    let options: bool = get(&client.query_one(version, &[]).await.map_err(refused)?, 0)?;
    let columns = if options {
        "m.admin_option, m.inherit_option, m.set_option, \
         (SELECT w.rolname FROM pg_catalog.pg_roles w WHERE w.oid = m.grantor AND w.oid <> 10)"
    } else {
        "bool_or(m.admin_option), NULL::boolean, NULL::boolean, NULL::pg_catalog.name"
    };
    let sql = format!(
        "{} SELECT g.rolname, u.rolname, {columns} FROM pg_catalog.pg_auth_members m \
         JOIN named ON named.oid = m.member JOIN pg_catalog.pg_roles g ON g.oid = m.roleid \
         JOIN pg_catalog.pg_roles u ON u.oid = m.member WHERE u.rolname !~ '^pg_' {} ORDER BY 1, 2, 6 NULLS FIRST",
        named(),
        if options { "" } else { "GROUP BY 1, 2" }
    );
    let rows = client.query(&sql, &[]).await.map_err(refused)?;
    rows.iter()
        .map(|row| {
            Ok(Membership {
                group: get(row, 0)?,
                member: get(row, 1)?,
                admin: get(row, 2)?,
                options: get::<Option<bool>>(row, 3)?.zip(get::<Option<bool>>(row, 4)?),
                grantor: get(row, 5)?,
            })
        })
        .collect()
}

/// Each after the one by which its grantor came to hold `ADMIN`. What has no such one (its grantor is a
/// superuser) comes last, and a server that knows better says so.
fn in_order(mut waiting: Vec<Membership>) -> Vec<Membership> {
    let mut done: Vec<Membership> = Vec::new();
    while !waiting.is_empty() {
        let may = |membership: &Membership| {
            let Some(grantor) = &membership.grantor else { return true };
            done.iter().any(|d| d.admin && d.group == membership.group && d.member == *grantor)
        };
        let (ready, later): (Vec<Membership>, Vec<Membership>) = waiting.into_iter().partition(may);
        if ready.is_empty() {
            done.extend(later);
            break;
        }
        done.extend(ready);
        waiting = later;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(group: &str, member: &str, grantor: Option<&str>) -> Membership {
        Membership {
            group: group.into(),
            member: member.into(),
            admin: true,
            options: Some((false, true)),
            grantor: grantor.map(String::from),
        }
    }

    #[test]
    fn who_grants_is_granted_first() {
        let chain =
            [membership("g", "c", Some("b")), membership("g", "b", Some("a")), membership("g", "a", None)];
        let order: Vec<String> = in_order(chain.to_vec()).into_iter().map(|m| m.member).collect();
        assert_eq!(order, ["a", "b", "c"]);
        let alone = [membership("g", "c", Some("a superuser"))];
        assert_eq!(in_order(alone.to_vec()), alone);
    }

    #[test]
    fn memberships_are_sql() {
        let mut one = membership("g \"q\"", "m", Some("w"));
        assert_eq!(
            one.to_string(),
            r#"GRANT "g ""q""" TO "m" WITH ADMIN true, INHERIT false, SET true GRANTED BY "w""#
        );
        (one.options, one.grantor) = (None, None);
        assert_eq!(one.to_string(), r#"GRANT "g ""q""" TO "m" WITH ADMIN OPTION"#);
        one.admin = false;
        assert_eq!(one.to_string(), r#"GRANT "g ""q""" TO "m""#);
    }
}
