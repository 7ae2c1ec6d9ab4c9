//! What a database knows that files do not: sizes, columns, who depends on what, which queries ran. Plain data.

mod read;

pub use read::{FactsError, read};

use std::collections::BTreeMap;

use super::sql::{Name, SqlType};

/// One look at a database.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `server_version_num`: 150018.
    pub(super) version: u32,
    /// The schemas in which a bare name is looked up, in order.
    pub(super) search_path: Vec<String>,
    /// Tables, views and materialized views of users.
    pub(super) relations: BTreeMap<(String, String), Relation>,
    /// What depends on a relation or on a column of it, by the catalog.
    pub(super) dependents: Vec<Dependent>,
    /// Routines with a body in words.
    pub(super) routines: Vec<Routine>,
    /// Values of enum types.
    pub(super) enums: BTreeMap<(String, String), Vec<String>>,
    /// The queries that ran.
    pub(super) queries: Queries,
}

/// A table or view.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    pub oid: u32,
    /// What the statistics say of the rows; `None`: nobody counted yet.
    pub rows: Option<u64>,
    /// Of the table itself and its long values, partitions included; without indexes.
    pub bytes: u64,
    /// Columns in order, with their types in the catalog's words.
    pub columns: Vec<(String, String)>,
    /// Columns that every index and key begins with, in order.
    pub indexes: Vec<Index>,
    /// The columns of every CHECK that all rows are known to pass.
    pub checks: Vec<Vec<String>>,
    /// The columns by which it is partitioned.
    pub partitioned_by: Vec<String>,
}

/// An index, and the columns that it begins with.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
}

/// An object that depends on a relation.
#[derive(Debug, Clone)]
pub(super) struct Dependent {
    /// On which.
    pub relation: u32,
    /// On which of its columns; `None`: on the whole.
    pub column: Option<String>,
    pub kind: DependentKind,
    /// As a person would name it: `view app.active_users`.
    pub words: String,
    /// Where it is, by which a migration would drop or replace it.
    pub schema: String,
    pub name: String,
    /// The relation that it belongs to (policies, triggers, constraints, defaults).
    pub owner: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DependentKind {
    View,
    Rule,
    Policy,
    Trigger,
    Generated,
    ForeignKey,
    Publication,
    Routine,
}

/// A routine in SQL or PL/pgSQL whose body the catalog does not follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Routine {
    pub schema: String,
    pub name: String,
    /// `app.touch(integer)`
    pub words: String,
    /// PL/pgSQL, or else SQL.
    pub procedural: bool,
    pub body: String,
    /// The relations whose triggers call it.
    pub triggers_of: Vec<u32>,
}

/// What `pg_stat_statements` has.
#[derive(Debug, Clone)]
pub(super) enum Queries {
    /// The statements, and since when.
    Seen { queries: Vec<Query>, since: Option<String>, hidden: u64 },
    /// Why there are none.
    Unknown(String),
}

impl Default for Queries {
    fn default() -> Self {
        Queries::Unknown("no database was asked".into())
    }
}

/// One statement that ran, its constants replaced.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub text: String,
    pub calls: u64,
    /// Who ran it.
    pub role: String,
}

impl Facts {
    /// The relation that a name means, with the name in full.
    pub(super) fn find(&self, name: &Name) -> Option<(Name, &Relation)> {
        let schemas = match &name.schema {
            Some(schema) => std::slice::from_ref(schema),
            None => self.search_path.as_slice(),
        };
        schemas.iter().find_map(|schema| {
            let relation = self.relations.get(&(schema.clone(), name.name.clone()))?;
            Some((Name::full(schema, &name.name), relation))
        })
    }

    /// The table of an index.
    pub(super) fn table_of_index(&self, index: &Name) -> Option<Name> {
        let is_it = |i: &Index| {
            i.name == index.name
                && index
                    .schema
                    .as_ref()
                    .map_or(self.search_path.contains(&i.schema), |schema| *schema == i.schema)
        };
        let mut found = self.relations.iter().filter(|(_, relation)| relation.indexes.iter().any(is_it));
        found.next().map(|((schema, table), _)| Name::full(schema, table))
    }
}

impl Relation {
    pub fn column_type(&self, column: &str) -> Option<SqlType> {
        self.columns.iter().find(|(name, _)| name == column).and_then(|(_, ty)| SqlType::read(ty))
    }

    pub fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == column)
    }
}
