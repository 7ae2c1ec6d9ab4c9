//! What a statement does, in the terms that rules judge.

use std::collections::BTreeSet;

use super::{Name, SqlType};

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrate::lint) enum Kind {
    Table,
    View,
    MaterializedView,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Table => "table",
            Kind::View => "view",
            Kind::MaterializedView => "materialized view",
        }
    }
}

/// One thing that a statement does. A statement has several.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::migrate::lint) enum Effect {
    /// A relation is made, or replaced.
    Create {
        name: Name,
        kind: Kind,
    },
    /// It goes.
    Drop {
        name: Name,
        kind: Kind,
    },
    /// It gets another name or schema.
    Rename {
        from: Name,
        to: Name,
        kind: Kind,
    },
    /// `required`: NOT NULL, and nothing says what stands in the rows that are there.
    AddColumn {
        table: Name,
        column: String,
        required: bool,
    },
    DropColumn {
        table: Name,
        column: String,
    },
    RenameColumn {
        table: Name,
        from: String,
        to: String,
    },
    /// `computed`: a USING that is more than the column itself.
    SetType {
        table: Name,
        column: String,
        to: SqlType,
        computed: bool,
    },
    ForeignKey {
        table: Name,
        columns: Vec<String>,
        to: Name,
    },
    /// A CHECK on these columns, whose rows are known to pass.
    Check {
        table: Name,
        columns: BTreeSet<String>,
    },
    Attach {
        parent: Name,
        partition: Name,
    },
    /// An index that begins with these columns (a key's too).
    Index {
        table: Name,
        columns: Vec<String>,
        name: Option<Name>,
    },
    DropIndex {
        name: Name,
    },
    Reindex {
        table: Option<Name>,
        index: Option<Name>,
    },
    Trigger {
        table: Name,
    },
    DropTrigger {
        table: Name,
        name: String,
    },
    DropPolicy {
        table: Name,
        name: String,
    },
    DropRule {
        table: Name,
        name: String,
    },
    DropConstraint {
        table: Name,
        name: String,
    },
    Truncate {
        table: Name,
    },
    /// `everything`: no WHERE that says which rows.
    Update {
        table: Name,
        everything: bool,
    },
    Delete {
        table: Name,
        everything: bool,
    },
    /// Rows that a query finds.
    InsertQuery {
        table: Name,
    },
    /// Of every table, if none is named.
    VacuumFull {
        table: Option<Name>,
    },
    Cluster {
        table: Option<Name>,
    },
    /// LOCK TABLE in a mode that writers, or all, wait for.
    Lock {
        table: Name,
        mode: &'static str,
    },
    Refresh {
        view: Name,
        concurrently: bool,
    },
    /// A table or index, or all of a tablespace.
    Tablespace {
        moved: Option<Name>,
    },
    Logged {
        table: Name,
        logged: bool,
    },
    Enum {
        name: Name,
        values: Vec<String>,
    },
    RenameType {
        from: Name,
        to: Name,
    },
    DropType {
        name: Name,
    },
    RenameValue {
        name: Name,
        from: String,
        to: String,
    },
    /// A routine is made or replaced.
    Routine {
        name: Name,
    },
    DropRoutine {
        name: Name,
    },
    /// A lock is taken on a table that is there, for which every reader waits.
    Exclusive {
        table: Name,
    },
}
