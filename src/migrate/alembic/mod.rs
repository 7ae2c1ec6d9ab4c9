//! Alembic projects: their files are read here, without Python; what changes a database is done by Alembic itself.
//!
//! | room | its job |
//! | --- | --- |
//! | [`ini`], `python`, [`header`] | the files, read as Python would (pure) |
//! | [`project`] | where the migrations are, and their chain |
//! | `call`, [`heard`] | one call of Alembic: arguments and environment; what it says (pure) |
//! | `ground` | the lock of those who migrate, beside Alembic's own sessions |
//! | `proof` | that `env.py` goes where its environment says, before anything is changed |
//! | `render`, [`offline`] | migrations as SQL; what `--sql` wrote, migration by migration (pure) |
//! | [`import`] | a project as SQL files |
//! | `migrator` | all of it behind [`Migrator`](super::Migrator) |

mod call;
pub mod error;
mod ground;
pub mod header;
pub mod heard;
pub mod import;
pub mod ini;
mod migrator;
pub mod offline;
pub mod project;
mod proof;
mod python;
mod render;

pub use error::AlembicError;
pub use migrator::{AlembicMigrator, Output};
pub use project::{Project, ProjectError, Settings};
