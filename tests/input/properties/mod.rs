//! What must hold of every parser, whatever it is given. Each room is one property, `hold(input)`, that panics where
//! it does not hold.
//!
//! `bounded` tries each on its corpus (`fuzz/corpus/<name>`) and on a fixed number of mutations of it, in every `make
//! test`. The fuzz targets (`fuzz/`) include this very folder and try them for as long as they are let.

pub mod alembic_files;
pub mod alembic_output;
pub mod config;
pub mod conninfo;
pub mod dump;
pub mod env_file;
pub mod journal;
pub mod listing;
pub mod manifest;
pub mod runbook;
pub mod script;
pub mod sql;

mod findings;
mod memory;

#[cfg(test)]
mod bounded;
#[cfg(test)]
mod mutate;
