//! The migrator for plain SQL files: one file a revision, in Alembic's graph and version table.
//!
//! [`graph`] is pure; [`lexer`], [`statement`] and [`script`] read files; [`apply`] changes a database,
//! [`preview`] writes what it would do, and [`show`] words it. `migrate` knows no runbook and no config.

pub mod alembic;
pub mod apply;
pub mod blockers;
pub mod chain;
pub mod draft;
pub mod drift;
pub mod error;
pub mod extensions;
pub mod graph;
pub mod history;
pub mod lexer;
pub mod lint;
pub mod preview;
pub mod scratch;
pub mod script;
pub mod show;
pub mod statement;
pub mod trial;

mod folder;
mod intent;
mod lock;
mod migrator;
mod options;

pub use alembic::AlembicMigrator;
pub use apply::{Applied, AppliedRevision, downgrade, pending, stamp, upgrade};
pub use chain::{Chain, Text};
pub use error::{MigrateError, Reason};
pub use folder::Migrations;
pub use graph::{Direction, Graph, GraphError, RowChange, Step, TargetError};
pub use history::{Attempt, Current, Entry, State, current, entries};
pub use intent::{Built, Cursor, Intent};
pub use migrator::{Database, Migrator, SqlMigrator};
pub use options::{HISTORY_TABLE, Options, Tables};
pub use script::{Script, ScriptError};
