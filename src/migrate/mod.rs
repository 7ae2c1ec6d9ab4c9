//! The migrator for plain SQL files: one file a revision, in Alembic's graph and version table.
//!
//! [`graph`] is pure; [`lexer`], [`statement`] and [`script`] read files; [`apply`] changes a database,
//! [`preview`] writes what it would do, and [`show`] words it. `migrate` knows no runbook and no config.

pub mod graph;
pub mod lexer;
pub mod script;
pub mod statement;

mod folder;

pub use folder::Migrations;
pub use graph::{Direction, Graph, GraphError, RowChange, Step, TargetError};
pub use script::{Script, ScriptError};
