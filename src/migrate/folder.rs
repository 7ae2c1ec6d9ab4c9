//! A folder of migration files, read as a whole and found consistent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::chain::{Chain, Text};
use super::graph::Graph;
use super::script::{self, Script, ScriptError};

/// All migrations of one folder.
#[derive(Debug)]
pub struct Migrations {
    chain: Chain,
    scripts: HashMap<String, Script>,
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
        let chain = Chain::new(folder, scripts.iter().map(|s| (s.revision.clone(), text(s))).collect())
            .map_err(|source| ScriptError::Graph { folder: folder.to_path_buf(), source })?;
        let scripts = scripts.into_iter().map(|s| (s.revision.id.clone(), s)).collect();
        Ok(Self { chain, scripts })
    }

    /// Their graph, and what the files say of the revisions.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Their graph.
    pub fn graph(&self) -> &Graph {
        self.chain.graph()
    }

    /// The script with exactly this id.
    pub fn script(&self, revision: &str) -> Option<&Script> {
        self.scripts.get(revision)
    }
}

fn text(script: &Script) -> Text {
    Text {
        description: script.description.clone(),
        notes: script.notes.clone(),
        created: script.created.clone(),
        path: script.path.clone(),
        checksum: Some(script.checksum.clone()),
        reversible: script.reversible(),
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
