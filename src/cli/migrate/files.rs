//! One root's files, and how answers about several roots are told.

use serde_json::Value;

use crate::cli::Shell;
use crate::config::MigrationRoot;
use crate::failure::Failure;
use crate::migrate::{Chain, Migrator};
use crate::steps::migrator;

/// One root's files.
pub(super) struct Files<'a> {
    pub root: &'a MigrationRoot,
    pub migrator: Box<dyn Migrator>,
}

impl<'a> Files<'a> {
    /// Reads the files of every root.
    pub fn load(roots: &[&'a MigrationRoot]) -> Result<Vec<Self>, Failure> {
        roots.iter().map(|root| Self::of(root)).collect()
    }

    /// Reads the files of one root.
    pub fn of(root: &'a MigrationRoot) -> Result<Self, Failure> {
        Ok(Self { root, migrator: migrator(root, None)? })
    }

    /// Its revisions.
    pub fn chain(&self) -> &Chain {
        self.migrator.chain()
    }
}

/// Lines behind the root's name, where there are several roots.
pub(super) fn named(files: &Files<'_>, roots: usize, lines: Vec<String>) -> Vec<String> {
    match roots {
        1 => lines,
        _ => lines.into_iter().map(|line| format!("{}: {line}", files.root.name)).collect(),
    }
}

/// Tells the result; nothing, as Alembic does, where there is none.
pub(super) fn answer(shell: &Shell, lines: &[String], document: Value) {
    if shell.json() || !lines.is_empty() {
        shell.tell(&lines.join("\n"), document);
    }
}
