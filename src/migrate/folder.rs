//! A folder of migration files, read as a whole and found consistent.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::graph::{Graph, TargetError};
use super::script::{self, Script, ScriptError};

/// All migrations of one folder.
#[derive(Debug)]
pub struct Migrations {
    folder: PathBuf,
    scripts: HashMap<String, Script>,
    graph: Graph,
}

impl Migrations {
    /// Reads every `*.sql` of `folder` (not of folders in it, and no hidden files), in order of their names.
    ///
    /// # Errors
    /// [`ScriptError`]: an unreadable folder or file, a malformed file, or files that make no graph.
    pub fn load(folder: &Path) -> Result<Self, ScriptError> {
        let scripts = list(folder)?.iter().map(|path| script::read(path)).collect::<Result<Vec<_>, _>>()?;
        Self::from_scripts(folder, scripts)
    }

    /// Takes scripts that were read already.
    ///
    /// # Errors
    /// [`ScriptError::Graph`].
    pub fn from_scripts(folder: &Path, scripts: Vec<Script>) -> Result<Self, ScriptError> {
        let graph = Graph::new(scripts.iter().map(|s| s.revision.clone()).collect())
            .map_err(|source| ScriptError::Graph { folder: folder.to_path_buf(), source })?;
        let scripts = scripts.into_iter().map(|s| (s.revision.id.clone(), s)).collect();
        Ok(Self { folder: folder.to_path_buf(), scripts, graph })
    }

    /// Where they were read.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Their graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The script with exactly this id.
    pub fn script(&self, revision: &str) -> Option<&Script> {
        self.scripts.get(revision)
    }

    /// The heads that a database at `target` has in its version table: for `verify` ("revision is head").
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn rows_at(&self, target: &str) -> Result<BTreeSet<String>, TargetError> {
        Ok(self.graph.resolve(target)?.into_iter().map(String::from).collect())
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, ScriptError> {
    let unreadable = |source| ScriptError::Unreadable { path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        let sql = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("sql"));
        if sql && !hidden && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
