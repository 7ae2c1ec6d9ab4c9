//! The revisions of one root: their graph, and what their files say of them. All that a project of SQL files and
//! one of Alembic have in common.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::graph::{Graph, GraphError, Revision, TargetError};

/// What a file says of its revision, beside its place in the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The first line of its description.
    pub description: String,
    /// The description's other lines.
    pub notes: String,
    /// When it was written, if the file says so.
    pub created: Option<String>,
    /// Where it was read.
    pub path: PathBuf,
    /// SHA-256 of the normalised text, in hex; `None` where the tool keeps none, so that an edited file is not found.
    pub checksum: Option<String>,
    /// Whether there is a way down from it.
    pub reversible: bool,
}

/// The revisions of one root.
#[derive(Debug, Default)]
pub struct Chain {
    folder: PathBuf,
    graph: Graph,
    texts: HashMap<String, Text>,
}

impl Chain {
    /// Puts revisions and what their files say together. `folder` is for messages.
    ///
    /// # Errors
    /// [`GraphError`], naming the ids and files.
    pub fn new(folder: &Path, files: Vec<(Revision, Text)>) -> Result<Self, GraphError> {
        let (revisions, texts): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let ids: Vec<String> = revisions.iter().map(|revision: &Revision| revision.id.clone()).collect();
        let graph = Graph::new(revisions)?;
        Ok(Self { folder: folder.to_path_buf(), graph, texts: ids.into_iter().zip(texts).collect() })
    }

    /// Where they were read.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Their graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What the file of exactly this revision says.
    pub fn text(&self, revision: &str) -> Option<&Text> {
        self.texts.get(revision)
    }

    /// The first line of a revision's description; empty if there is no such revision.
    pub fn description(&self, revision: &str) -> &str {
        self.text(revision).map(|text| text.description.as_str()).unwrap_or_default()
    }

    /// The heads that a database at `target` has in its version table: for `verify` ("revision is head").
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn rows_at(&self, target: &str) -> Result<BTreeSet<String>, TargetError> {
        Ok(self.graph.resolve(target)?.into_iter().map(String::from).collect())
    }
}
