//! Drift: what a database has that its migrations do not make, and what it lacks of what they make.
//!
//! The migrations, up to where the database is, are run into a scratch database, and the two are held against
//! each other by pg_dump's text of their schemas. Revisions that are pending are no drift.

use std::collections::BTreeSet;

use super::error::MigrateError;
use super::extensions::{self, Extension};
use super::history::Current;
use super::migrator::{Database, Migrator};
use super::options::{HISTORY_TABLE, Options, Tables};
use crate::backup::objects::{self, Difference, Nature, Object};
use crate::backup::schema;
use crate::event::Progress;
use crate::failure::Failure;
use crate::pg::{self, Session, quote_ident};
use crate::words::count;

/// What of a schema is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Who owns what, too: a scratch database's objects are the role's that runs the migrations.
    pub owners: bool,
    /// `GRANT`, `REVOKE` and default privileges, too.
    pub privileges: bool,
    /// Schemas that no migration has to make, as patterns of pg_dump's (`audit`, `tmp_*`).
    pub without_schemas: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conformity {
    /// How many objects the migrations make.
    pub objects: usize,
    /// How many of these are tables, the version tables not counted.
    pub tables: usize,
    /// What differs.
    pub drift: Vec<Difference>,
    /// What is only written otherwise: where casts and parentheses stand, as they do after a restore.
    pub rewritten: Vec<Difference>,
    /// Where the database stands, root by root, in the order that was given.
    pub standings: Vec<Current>,
}

impl Conformity {
    /// Whether the schema is what the migrations make.
    pub fn holds(&self) -> bool {
        self.drift.is_empty()
    }

    /// `11 tables, 34 objects`.
    pub fn extent(&self) -> String {
        let (tables, objects) = (self.tables as u64, self.objects as u64);
        format!("{}, {}", count(tables, "table", "tables"), count(objects, "object", "objects"))
    }
}

impl View {
    /// The arguments for pg_dump: the tables of our own records are no part of the schema.
    fn arguments(&self, roots: &[&dyn Migrator]) -> Result<Vec<String>, MigrateError> {
        let mut arguments = vec!["--no-security-labels".to_string()];
        if !self.owners {
            arguments.push("--no-owner".to_string());
        }
        if !self.privileges {
            arguments.push("--no-privileges".to_string());
        }
        for root in roots {
            // Refuses names that can't be.
            Tables::offline(root.options())?;
            arguments.extend(records(root.options()).map(|table| format!("--exclude-table={table}")));
        }
        arguments.extend(self.without_schemas.iter().map(|name| format!("--exclude-schema={name}")));
        Ok(arguments)
    }

    /// The schema of a database, object by object, without the records of `roots`.
    ///
    /// # Errors
    /// If the server or pg_dump refuses.
    pub async fn look(&self, roots: &[&dyn Migrator], database: &Database) -> Result<Vec<Object>, Failure> {
        let arguments = self.arguments(roots)?;
        Ok(objects::objects(&schema::schema_with(&database.info, &database.session, &arguments).await?))
    }

    /// The tables of a database, without the records of `roots`: `public.users`.
    ///
    /// # Errors
    /// As [`View::look`].
    pub async fn tables(
        &self,
        roots: &[&dyn Migrator],
        database: &Database,
    ) -> Result<BTreeSet<String>, Failure> {
        Ok(tables(&self.look(roots, database).await?))
    }
}

/// The tables that record what was applied, as patterns for pg_dump; without a schema in any.
fn records(options: &Options) -> [String; 2] {
    let schema = options.schema.as_deref().map_or("*".to_string(), quote_ident);
    [&options.version_table, HISTORY_TABLE].map(|table| format!("{schema}.{}", quote_ident(table)))
}

/// Holds `database` against what `roots` make of the empty database `scratch`. Of the first everything is only
/// read; the second is left with the schema.
///
/// # Errors
/// The database is at a revision that no file has; a migration does not run on the scratch database; the
/// server or pg_dump refuses.
pub async fn check(
    roots: &[&dyn Migrator],
    database: &Database,
    scratch: &Database,
    view: &View,
) -> Result<Conformity, Failure> {
    let session = pg::connect(&database.info, &database.session).await?;
    let standings = standings(roots, &session).await?;
    let beyond = extensions::beyond(&session).await?;
    session.close().await;
    extensions::install(&beyond, scratch).await?;
    for (root, current) in roots.iter().zip(&standings) {
        bring_up(*root, scratch, &current.revisions).await?;
    }
    let made = view.look(roots, scratch).await?;
    let found = view.look(roots, database).await?;
    Ok(conformity(made, found, &beyond, standings))
}

/// Where the database stands, root by root.
async fn standings(roots: &[&dyn Migrator], session: &Session) -> Result<Vec<Current>, Failure> {
    let mut standings = Vec::new();
    for root in roots {
        let current = root.current(session).await?;
        if !current.unknown.is_empty() {
            return Err(Failure::refused("tell what the migrations make")
                .because_of(format!(
                    "the database is at {}, which no file in {} has",
                    current.unknown.join(", "),
                    root.chain().folder().display()
                ))
                .then("check out the commit that has the file"));
        }
        standings.push(current);
    }
    Ok(standings)
}

/// Applies everything up to `rows`, and nothing else.
async fn bring_up(root: &dyn Migrator, scratch: &Database, rows: &BTreeSet<String>) -> Result<(), Failure> {
    for row in rows {
        root.upgrade(scratch, row, &Progress::none()).await.map_err(on_scratch)?;
    }
    Ok(())
}

/// A migration that ran in the database does not run here: what it needs is not made by migrations.
pub(super) fn on_scratch(error: MigrateError) -> Failure {
    let failure = Failure::from(error);
    let causes = std::iter::once(format!("could not {}", failure.what)).chain(failure.causes);
    causes
        .fold(Failure::failed("run the migrations on a scratch database"), Failure::because_of)
        .leaving("the scratch database is dropped, the database itself was only read")
        .then(
            "what the migrations need must come from them, or be in the server's template1: roles, extensions, schemas",
        )
}

/// What the two schemas come to, where the extensions `beyond` are an administrator's. **Pure.**
fn conformity(
    made: Vec<Object>,
    found: Vec<Object>,
    beyond: &[Extension],
    standings: Vec<Current>,
) -> Conformity {
    let objects = made.len();
    let tables = tables(&made).len();
    let (rewritten, drift) = objects::compare(made, found)
        .into_iter()
        .filter(|difference| !is_installed(difference, beyond))
        .partition(|difference| difference.nature() == Nature::Spelling);
    Conformity { objects, tables, drift, rewritten, standings }
}

/// Whether this is one of these extensions, which no migration of this role could have made.
fn is_installed(difference: &Difference, beyond: &[Extension]) -> bool {
    let Difference::Unexpected(object) = difference else { return false };
    beyond.iter().any(|extension| match object.kind.as_str() {
        "EXTENSION" => object.name == extension.name,
        "COMMENT" => {
            let name = object.name.strip_prefix("EXTENSION ").unwrap_or_default();
            name == extension.name || name == quote_ident(&extension.name)
        }
        _ => false,
    })
}

/// The names of the tables among these objects: `public.users`.
pub(super) fn tables(objects: &[Object]) -> BTreeSet<String> {
    let named = |object: &Object| match &object.schema {
        Some(schema) => format!("{schema}.{}", object.name),
        None => object.name.clone(),
    };
    objects.iter().filter(|object| object.kind == "TABLE").map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, schema: Option<&str>, name: &str, definition: &str) -> Object {
        let (schema, definition) = (schema.map(String::from), definition.to_string());
        Object { kind: kind.into(), schema, name: name.into(), definition }
    }

    #[test]
    fn what_only_an_administrator_installs_is_no_drift() {
        let extension = |name: &str| object("EXTENSION", None, name, &format!("CREATE EXTENSION {name};"));
        let comment = object("COMMENT", None, "EXTENSION vector", "COMMENT ON EXTENSION vector IS 'x';");
        let beyond = [Extension { name: "vector".into(), schema: "public".into() }];
        let table = object("TABLE", Some("public"), "users", "CREATE TABLE public.users ();");
        let found = vec![extension("vector"), comment, extension("citext"), table.clone()];
        let conformity = conformity(vec![table], found, &beyond, vec![]);
        assert_eq!(conformity.drift, [Difference::Unexpected(extension("citext"))]);
        assert_eq!((conformity.objects, conformity.tables), (1, 1));
    }

    #[test]
    fn what_is_only_written_otherwise_stands_apart() {
        let check = |text: &str| vec![object("CHECK CONSTRAINT", Some("public"), "t c", text)];
        let (made, found) = (check("CHECK ((a)::text = 'x')"), check("CHECK (a = 'x'::text)"));
        let conformity = conformity(made, found, &[], vec![]);
        assert_eq!((conformity.drift.len(), conformity.rewritten.len()), (0, 1));
    }

    #[test]
    fn the_records_of_ours_are_left_out() {
        let options = Options { version_table: "My \"own\"".into(), ..Options::default() };
        assert_eq!(records(&options), ["*.\"My \"\"own\"\"\"", "*.\"backstay_history\""]);
        let options = Options { schema: Some("a.b".into()), ..Options::default() };
        assert_eq!(records(&options)[0], "\"a.b\".\"alembic_version\"");
    }
}
