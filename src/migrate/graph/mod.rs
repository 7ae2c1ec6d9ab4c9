//! The revision graph: which revision stands on which. **Pure**: built from values, no file and no database.
//!
//! The words and the semantics are Alembic's (`alembic.script.revision`), because the version table is
//! shared with it. A revision *revises* its parents; it may also *depend on* revisions of other branches,
//! which orders them but makes no child of it. The version table holds the heads of what is applied.
//!
//! The same plan in the same order, or a refusal by both: `make test-alembic` holds it against Alembic itself. Where
//! it departs on purpose (what Alembic would do is an accident, or leaves a version table that it then refuses),
//! `DEPARTURES` in that test names the case and the reason.
//!
//! ```
//! use backstay::migrate::graph::{Graph, Revision};
//!
//! let graph = Graph::new(vec![Revision::new("a", &[]), Revision::new("b", &["a"])])?;
//! let plan = graph.plan_upgrade(&Default::default(), "head").unwrap();
//! assert_eq!(plan.iter().map(|s| s.revision.as_str()).collect::<Vec<_>>(), ["a", "b"]);
//! # Ok::<(), backstay::migrate::graph::GraphError>(())
//! ```

mod build;
mod grow;
mod line;
mod plan;
mod range;
mod relative;
mod target;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

pub use build::GraphError;
pub use grow::{GrowError, Wanted};
pub use line::{BranchPoint, Detail, Place};
pub use plan::{Direction, RowChange, Step};
pub use range::Range;
pub use target::TargetError;

/// Longest revision id in characters: Alembic's `version_num` is a `varchar(32)`.
pub const ID_LIMIT: usize = 32;

/// One revision as its file declares it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its id.
    pub id: String,
    /// The revisions that it stands on: none for a base, several for a merge.
    pub down: Vec<String>,
    /// Names for the branch that begins here.
    pub labels: Vec<String>,
    /// Revisions (or labels) of other branches that must be applied first.
    pub depends_on: Vec<String>,
    /// The file, for messages.
    pub file: String,
}

impl Revision {
    /// A revision on `down`, without labels and dependencies; its file is called `<id>.sql`.
    pub fn new(id: &str, down: &[&str]) -> Self {
        Self {
            id: id.to_string(),
            down: down.iter().map(ToString::to_string).collect(),
            file: format!("{id}.sql"),
            ..Self::default()
        }
    }
}

/// A place in [`Graph::nodes`].
type Index = usize;

#[derive(Debug)]
struct Node {
    revision: Revision,
    /// Parents.
    down: Vec<Index>,
    /// Parents, and those dependencies that no ancestor has already.
    below: Vec<Index>,
    /// Everything that it depends on.
    needs: Vec<Index>,
    /// Children.
    next: Vec<Index>,
    /// Children, and whoever depends on this one.
    above: Vec<Index>,
    /// Its own labels and those it inherits.
    labels: BTreeSet<String>,
}

impl Node {
    fn new(revision: Revision) -> Self {
        Self {
            labels: revision.labels.iter().cloned().collect(),
            revision,
            down: Vec::new(),
            below: Vec::new(),
            needs: Vec::new(),
            next: Vec::new(),
            above: Vec::new(),
        }
    }
}

/// A valid graph: ids are unique, nothing is missing, nothing goes in circles.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    by_id: HashMap<String, Index>,
    by_label: HashMap<String, Index>,
}

impl Graph {
    /// How many revisions there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// No revision at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All revisions in the order they were given.
    pub fn revisions(&self) -> impl Iterator<Item = &Revision> {
        self.nodes.iter().map(|node| &node.revision)
    }

    /// The revision with exactly this id.
    pub fn revision(&self, id: &str) -> Option<&Revision> {
        self.by_id.get(id).map(|&i| &self.nodes[i].revision)
    }

    /// Revisions that nothing revises (something may depend on them, though).
    pub fn heads(&self) -> Vec<&str> {
        self.ids(self.head_indexes())
    }

    /// Revisions that stand on nothing.
    pub fn bases(&self) -> Vec<&str> {
        self.ids(self.all().filter(|&i| self.nodes[i].down.is_empty()))
    }

    /// What is true of this revision's place, for those who show it; `None` if there is no such id.
    pub fn place(&self, id: &str) -> Option<Place<'_>> {
        let node = &self.nodes[*self.by_id.get(id)?];
        Some(Place {
            revision: &node.revision,
            head: node.above.is_empty(),
            effective_head: node.next.is_empty() && !node.above.is_empty(),
            branchpoint: node.next.len() > 1,
            mergepoint: node.down.len() > 1,
            labels: &node.labels,
            children: self.ids(node.next.iter().copied()),
        })
    }

    /// Everything that is applied when these rows are in the version table: they and all below them.
    /// Rows that the graph does not know are left out.
    pub fn applied(&self, rows: &BTreeSet<String>) -> BTreeSet<&str> {
        let known: Vec<Index> = rows.iter().filter_map(|row| self.by_id.get(row).copied()).collect();
        let marks = self.reach(&known, |node| &node.below);
        self.ids(self.all().filter(|&i| marks[i])).into_iter().collect()
    }

    /// What `current` shows: the applied revisions of which no child is applied. A branch's tip is one of them even if
    /// the version table has no row for it, because a row of another branch depends on it.
    pub fn tips(&self, rows: &BTreeSet<String>) -> Vec<Place<'_>> {
        let known: Vec<Index> = rows.iter().filter_map(|row| self.by_id.get(row).copied()).collect();
        let applied = self.reach(&known, |node| &node.below);
        let tip = |&i: &Index| applied[i] && !self.nodes[i].next.iter().any(|&child| applied[child]);
        self.ids(self.all().filter(tip)).into_iter().filter_map(|id| self.place(id)).collect()
    }

    fn all(&self) -> std::ops::Range<Index> {
        0..self.nodes.len()
    }

    fn head_indexes(&self) -> impl Iterator<Item = Index> {
        self.all().filter(|&i| self.nodes[i].next.is_empty())
    }

    fn ids(&self, indexes: impl IntoIterator<Item = Index>) -> Vec<&str> {
        indexes.into_iter().map(|i| self.nodes[i].revision.id.as_str()).collect()
    }

    fn id(&self, index: Index) -> &str {
        &self.nodes[index].revision.id
    }

    /// Marks `from` and everything reached from it along `edges`.
    fn reach(&self, from: &[Index], edges: impl Fn(&Node) -> &Vec<Index>) -> Vec<bool> {
        let mut marks = vec![false; self.nodes.len()];
        let mut todo = from.to_vec();
        while let Some(i) = todo.pop() {
            if !std::mem::replace(&mut marks[i], true) {
                todo.extend(edges(&self.nodes[i]).iter().copied().filter(|&n| !marks[n]));
            }
        }
        marks
    }
}
