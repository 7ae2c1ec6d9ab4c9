//! Real Alembic projects, run by the real program on a real PostgreSQL. Alembic is installed by `.ci/alembic`.

#[path = "../common/mod.rs"]
mod common;

mod backend;

mod failures;
mod heeding;
mod import;
mod release;
mod usual;
