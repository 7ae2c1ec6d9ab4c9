//! The roles that a backup names: there, missing, created when asked.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::Filling;
use super::sql::first_line;
use super::statement::{quoted_identifier, without_comments};
use crate::backup::catalog::get;
use crate::backup::error::BackupError;
use crate::backup::name::GLOBALS;
use crate::pg::describe_error;

/// A statement about a role that was created, which the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRefused {
    /// The statement.
    pub statement: String,
    /// What the server said.
    pub reason: String,
}

/// What became of the roles that were missing.
#[derive(Debug, Default)]
pub(super) struct Provided {
    pub created: Vec<String>,
    pub refused: Vec<RoleRefused>,
}

impl Filling<'_> {
    /// Sees to it that every role is there that the backup names.
    ///
    /// # Errors
    /// [`BackupError::RolesMissing`] if some are missing and are not to be created, and
    /// [`BackupError::RolesNotCreated`] if they cannot be.
    pub(super) async fn provide_roles(&self, admin: &Client) -> Result<Provided, BackupError> {
        let missing = missing_roles(admin, &self.manifest.roles).await?;
        if missing.is_empty() {
            return Ok(Provided::default());
        }
        if !self.options.create_roles {
            return Err(BackupError::RolesMissing(missing));
        }
        let mut provided = Provided::default();
        let created: BTreeSet<&str> = missing.iter().map(String::as_str).collect();
        for statement in self.statements(GLOBALS).await? {
            if !concerned(&statement).is_some_and(|role| created.contains(role.as_str())) {
                continue;
            }
            if let Err(error) = admin.batch_execute(&statement).await {
                let statement = first_line(&statement);
                provided.refused.push(RoleRefused { statement, reason: describe_error(&error) });
            }
        }
        let still = missing_roles(admin, &missing).await?;
        provided.created = missing.into_iter().filter(|role| !still.contains(role)).collect();
        if still.is_empty() {
            return Ok(provided);
        }
        let mut reasons: Vec<String> = provided
            .refused
            .into_iter()
            .map(|refused| format!("{}: {}", refused.statement, refused.reason))
            .collect();
        if !provided.created.is_empty() {
            reasons.push(format!("created, and there now: {}", provided.created.join(", ")));
        }
        Err(BackupError::RolesNotCreated { roles: still, reasons })
    }
}

async fn missing_roles(client: &Client, wanted: &[String]) -> Result<Vec<String>, BackupError> {
    let sql = "SELECT w.name FROM pg_catalog.unnest($1::pg_catalog.text[]) w(name) \
               WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = w.name) ORDER BY 1";
    let rows = client
        .query(sql, &[&wanted])
        .await
        .map_err(|e| BackupError::sql("look for the backup's roles", e))?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// The role that a statement of the globals makes or changes: of a membership it is the member, who gains.
fn concerned(statement: &str) -> Option<String> {
    let text = without_comments(statement);
    let role = |text: &str| Some(quoted_identifier(text.strip_prefix('"')?)?.0);
    for verb in ["CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "] {
        if let Some(rest) = text.strip_prefix(verb) {
            return role(rest);
        }
    }
    let (_, rest) = quoted_identifier(text.strip_prefix("GRANT \"")?)?;
    role(rest.strip_prefix(" TO ")?)
}

#[cfg(test)]
mod tests {
    use super::concerned;

    #[test]
    fn a_statement_concerns_the_role_that_it_changes() {
        for (statement, role) in [
            ("CREATE ROLE \"a \"\"b\"\"\"", Some("a \"b\"")),
            ("\n-- c\nALTER ROLE \"TO\" WITH NOLOGIN", Some("TO")),
            ("ALTER ROLE \"a\" SET \"work_mem\" TO '1'", Some("a")),
            ("GRANT \"g TO \"\"x\" TO \"m\" WITH ADMIN OPTION", Some("m")),
            ("GRANT SELECT ON t TO \"m\"", None),
            ("DROP ROLE \"m\"", None),
            ("CREATE ROLE m", None),
            ("", None),
        ] {
            assert_eq!(concerned(statement).as_deref(), role, "{statement}");
        }
    }
}
