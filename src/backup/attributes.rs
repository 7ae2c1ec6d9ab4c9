//! What belongs to the database itself: neither a clone nor `pg_dump` without `--create` carries it.

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::catalog::get;
use super::error::BackupError;
use crate::pg::{quote_ident, quote_literal};

/// A database's own attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseAttributes {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Its encoding: `UTF8`.
    pub encoding: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub provider: String,
    /// The locale of a provider other than `libc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Rules on top of an ICU locale (PostgreSQL 16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// Its tablespace.
    pub tablespace: String,
    /// `CONNECTION LIMIT`; -1 for none.
    pub connection_limit: i32,
    /// Whether it is a template.
    pub is_template: bool,
    /// `ALTER DATABASE … SET`, and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<DatabaseSetting>,
    /// Its privileges; `None` where nobody ever granted or revoked any.
    pub privileges: Option<Vec<Grant>>,
    /// `COMMENT ON DATABASE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One setting of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSetting {
    /// Only for this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The parameter.
    pub name: String,
    /// Its value, as the catalog keeps it.
    pub value: String,
}

/// One privilege on the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// To whom; `None` is PUBLIC.
    pub to: Option<String>,
    /// `CONNECT`, `CREATE`, `TEMPORARY`.
    pub privilege: String,
    /// `WITH GRANT OPTION`.
    pub grantable: bool,
}

/// An attribute that could not be set, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// The statement.
    pub statement: String,
    /// What the server said.
    pub reason: String,
}

/// `pg_database` as JSON: its columns differ between versions (`daticulocale`, `datlocale`).
#[derive(Deserialize)]
struct Catalog {
    datconnlimit: i32,
    datistemplate: bool,
    datcollate: String,
    datctype: String,
    #[serde(default)]
    datlocprovider: Option<String>,
    #[serde(default, alias = "daticulocale")]
    datlocale: Option<String>,
    #[serde(default)]
    daticurules: Option<String>,
}

impl DatabaseAttributes {
    /// Reads the attributes of `database` from any session on its server.
    ///
    /// # Errors
    /// If there is no such database, or the server refuses.
    pub async fn read(client: &Client, database: &str) -> Result<Self, BackupError> {
        let refused =
            |source| BackupError::sql(format!("read the attributes of database {database:?}"), source);
        let sql = "SELECT pg_catalog.to_jsonb(d)::text, r.rolname, pg_catalog.pg_encoding_to_char(d.encoding), \
                   t.spcname, pg_catalog.shobj_description(d.oid, 'pg_database'), d.datacl IS NULL, d.oid \
                   FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba \
                   JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $1";
        let row = client.query_one(sql, &[&database]).await.map_err(refused)?;
        let catalog: Catalog = serde_json::from_str(get(&row, 0)?).map_err(|e| BackupError::Strange {
            what: format!("the attributes of database {database:?}"),
            reason: e.to_string(),
        })?;
        let untouched: bool = get(&row, 5)?;
        let oid = get(&row, 6)?;
        Ok(Self {
            name: database.to_string(),
            owner: get(&row, 1)?,
            encoding: get(&row, 2)?,
            collate: catalog.datcollate,
            ctype: catalog.datctype,
            provider: match catalog.datlocprovider.as_deref() {
                Some("i") => "icu",
                Some("b") => "builtin",
                _ => "libc",
            }
            .to_string(),
            locale: catalog.datlocale,
            icu_rules: catalog.daticurules,
            tablespace: get(&row, 3)?,
            connection_limit: catalog.datconnlimit,
            is_template: catalog.datistemplate,
            settings: settings(client, oid).await.map_err(refused)?,
            privileges: if untouched { None } else { Some(grants(client, oid).await.map_err(refused)?) },
            comment: get(&row, 4)?,
        })
    }

    /// The statement that creates an empty database like this one, under another name.
    pub fn create_statement(&self, name: &str) -> String {
        let mut sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            quote_ident(name),
            quote_ident(&self.owner),
            quote_literal(&self.encoding),
            quote_literal(&self.collate),
            quote_literal(&self.ctype)
        );
        // Servers before 15 know no provider; libc is what they all mean.
        if self.provider != "libc" {
            sql.push_str(&format!(" LOCALE_PROVIDER {}", self.provider));
            if let Some(locale) = &self.locale {
                let word = if self.provider == "icu" { "ICU_LOCALE" } else { "BUILTIN_LOCALE" };
                sql.push_str(&format!(" {word} {}", quote_literal(locale)));
            }
            if let Some(rules) = &self.icu_rules {
                sql.push_str(&format!(" ICU_RULES {}", quote_literal(rules)));
            }
        }
        if self.tablespace != "pg_default" {
            sql.push_str(&format!(" TABLESPACE {}", quote_ident(&self.tablespace)));
        }
        sql
    }

    /// The statements that give the database `name` these attributes, as far as a database can be given
    /// them after it was created. They can run inside a transaction.
    pub fn statements(&self, name: &str) -> Vec<String> {
        let database = quote_ident(name);
        let mut sql = Vec::new();
        if self.connection_limit >= 0 {
            sql.push(format!("ALTER DATABASE {database} CONNECTION LIMIT {}", self.connection_limit));
        }
        if self.is_template {
            sql.push(format!("ALTER DATABASE {database} IS_TEMPLATE true"));
        }
        for setting in &self.settings {
            let whom = match &setting.role {
                Some(role) => format!("ROLE {} IN DATABASE {database}", quote_ident(role)),
                None => format!("DATABASE {database}"),
            };
            sql.push(format!("ALTER {whom} {}", set_parameter(&setting.name, &setting.value)));
        }
        if let Some(grants) = &self.privileges {
            let owner = quote_ident(&self.owner);
            sql.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC, {owner}"));
            for grant in grants {
                let to = grant.to.as_deref().map_or("PUBLIC".to_string(), quote_ident);
                let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
                sql.push(format!("GRANT {} ON DATABASE {database} TO {to}{option}", grant.privilege));
            }
        }
        if let Some(comment) = &self.comment {
            sql.push(format!("COMMENT ON DATABASE {database} IS {}", quote_literal(comment)));
        }
        sql
    }

    /// Every role that the attributes name.
    pub(super) fn roles(&self) -> impl Iterator<Item = &str> {
        let settings = self.settings.iter().filter_map(|s| s.role.as_deref());
        let grants = self.privileges.iter().flatten().filter_map(|g| g.to.as_deref());
        std::iter::once(self.owner.as_str()).chain(settings).chain(grants)
    }
}

/// Gives the database `name` these attributes, one statement at a time; gives back what the server refused
/// (settings that only a superuser may set, other roles' settings), so that the caller can name it.
///
/// # Errors
/// Only if the connection itself is lost.
pub async fn apply_attributes(
    client: &Client,
    name: &str,
    attributes: &DatabaseAttributes,
) -> Result<Vec<NotApplied>, BackupError> {
    let mut refused = Vec::new();
    for statement in attributes.statements(name) {
        match client.batch_execute(&statement).await {
            Ok(()) => {}
            Err(error) => match error.as_db_error() {
                Some(said) => refused.push(NotApplied { reason: said.message().to_string(), statement }),
                None => {
                    return Err(BackupError::sql(format!("set the attributes of database {name:?}"), error));
                }
            },
        }
    }
    Ok(refused)
}

/// `SET name TO value`, the value as the catalog keeps it. There the lists of these parameters are quoted already
/// (`variable_is_guc_list_quote` of pg_dump), so each element is quoted anew by itself.
pub(super) fn set_parameter(name: &str, value: &str) -> String {
    const LISTS: [&str; 7] = [
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
        "restrict_nonsystem_relation_kind",
    ];
    let elements: Vec<String> = if LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        split_list(value).iter().map(|element| quote_literal(element)).collect()
    } else {
        vec![quote_literal(value)]
    };
    let value = if elements.is_empty() { "''".to_string() } else { elements.join(", ") };
    format!("SET {} TO {value}", quote_parameter(name))
}

/// The elements of a list as the catalog keeps it: comma separated, in double quotes where needed.
fn split_list(list: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut rest = list.trim_start();
    while !rest.is_empty() {
        let mut element = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut characters = quoted.char_indices().peekable();
            rest = "";
            while let Some((at, character)) = characters.next() {
                match character {
                    '"' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                        element.push('"');
                        characters.next();
                    }
                    '"' => {
                        rest = &quoted[at + 1..];
                        break;
                    }
                    other => element.push(other),
                }
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            element.push_str(rest[..end].trim_end());
            rest = &rest[end..];
        }
        elements.push(element);
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    elements
}

/// A parameter's name as SQL: `app.tenant` has two parts, each quoted by itself.
fn quote_parameter(name: &str) -> String {
    name.split('.').map(quote_ident).collect::<Vec<_>>().join(".")
}

async fn settings(client: &Client, database: u32) -> Result<Vec<DatabaseSetting>, tokio_postgres::Error> {
    let sql = "SELECT r.rolname, c.config FROM pg_catalog.pg_db_role_setting s \
               LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole \
               CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY c(config, n) \
               WHERE s.setdatabase = $1 AND (s.setrole = 0 OR r.rolname IS NOT NULL) ORDER BY 1 NULLS FIRST, c.n";
    let rows = client.query(sql, &[&database]).await?;
    rows.iter()
        .map(|row| {
            let config: &str = row.try_get(1)?;
            let (name, value) = config.split_once('=').unwrap_or((config, ""));
            Ok(DatabaseSetting { role: row.try_get(0)?, name: name.to_string(), value: value.to_string() })
        })
        .collect()
}

async fn grants(client: &Client, database: u32) -> Result<Vec<Grant>, tokio_postgres::Error> {
    let sql = "SELECT DISTINCT r.rolname, a.privilege_type, a.is_grantable FROM pg_catalog.pg_database d \
               CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) a \
               LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee \
               WHERE d.oid = $1 AND (a.grantee = 0 OR r.rolname IS NOT NULL) ORDER BY 1 NULLS FIRST, 2, 3";
    let rows = client.query(sql, &[&database]).await?;
    rows.iter()
        .map(|row| Ok(Grant { to: row.try_get(0)?, privilege: row.try_get(1)?, grantable: row.try_get(2)? }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: &str) -> String {
        let sql = set_parameter(name, value);
        sql.split_once(" TO ").map(|(_, value)| value.to_string()).unwrap_or_default()
    }

    #[test]
    fn lists_are_quoted_by_element() {
        assert_eq!(
            setting("search_path", r#""$user", public, "a ""b"", c""#),
            r#"'$user', 'public', 'a "b", c'"#
        );
        assert_eq!(setting("search_path", r#""""#), "''");
        assert_eq!(setting("search_path", ""), "''");
        assert_eq!(setting("Search_Path", "a"), "'a'");
        assert_eq!(setting("app.list", "a, b"), "'a, b'");
        assert_eq!(setting("work_mem", "5'MB"), "'5''MB'");
    }

    #[test]
    fn parameters_of_two_parts_are_quoted_by_part() {
        assert_eq!(quote_parameter("app.te\"nant"), r#""app"."te""nant""#);
    }
}
