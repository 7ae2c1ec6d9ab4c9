//! The revision graph: which revision stands on which. **Pure**: built from values, no file and no database.
//!
//! The words and the semantics are Alembic's (`alembic.script.revision`), because the version table is
//! shared with it. A revision *revises* its parents; it may also *depend on* revisions of other branches,
//! which orders them but makes no child of it. The version table holds the heads of what is applied.
//!
//! ```
//! use backstay::migrate::graph::{Graph, Revision};
//!
//! let graph = Graph::new(vec![Revision::new("a", &[]), Revision::new("b", &["a"])])?;
//! let plan = graph.plan_upgrade(&Default::default(), "head").unwrap();
//! assert_eq!(plan.iter().map(|s| s.revision.as_str()).collect::<Vec<_>>(), ["a", "b"]);
//! # Ok::<(), backstay::migrate::graph::GraphError>(())
//! ```

mod plan;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

pub use plan::{Direction, RowChange, Step};
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

/// Why revisions make no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An id that could not be told from a target, or does not fit the version table.
    #[error("{id:?} in {file} is no revision id: {why}")]
    BadId {
        /// The id.
        id: String,
        /// Its file.
        file: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two files with one id.
    #[error("revision {id} is in two files: {first} and {second}")]
    Duplicate {
        /// The id.
        id: String,
        /// The first file with it.
        first: String,
        /// The second.
        second: String,
    },
    /// A gap in the chain.
    #[error("there is a gap in the chain: {id} ({file}) revises {parent}, which no file has")]
    MissingParent {
        /// The revision above the gap.
        id: String,
        /// Its file.
        file: String,
        /// What is missing.
        parent: String,
    },
    /// A dependency that nothing has.
    #[error("{id} ({file}) depends on {needed}, which is no revision and no branch")]
    MissingDependency {
        /// The revision.
        id: String,
        /// Its file.
        file: String,
        /// What is missing.
        needed: String,
    },
    /// One branch label twice, or a label that is also an id.
    #[error("the name {label:?} of {id} ({file}) is already that of {other}")]
    LabelTaken {
        /// The label.
        label: String,
        /// Who wants it.
        id: String,
        /// Its file.
        file: String,
        /// Who has it.
        other: String,
    },
    /// Revisions that stand on each other.
    #[error("the revisions stand on each other in a circle: {}", show_cycle(.0))]
    Cycle(
        /// Ids and files along the circle.
        Vec<(String, String)>,
    ),
}

fn show_cycle(members: &[(String, String)]) -> String {
    let mut parts: Vec<String> = members.iter().map(|(id, file)| format!("{id} ({file})")).collect();
    parts.extend(members.first().map(|(id, _)| id.clone()));
    parts.join(" on ")
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
    /// Children.
    next: Vec<Index>,
    /// Children, and whoever depends on this one.
    above: Vec<Index>,
    /// Its own labels and those it inherits.
    labels: BTreeSet<String>,
}

/// A valid graph: ids are unique, nothing is missing, nothing goes in circles.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    by_id: HashMap<String, Index>,
    by_label: HashMap<String, Index>,
}

impl Graph {
    /// Builds the graph; linear in the number of revisions. Their order (that of the files) breaks ties.
    ///
    /// # Errors
    /// [`GraphError`], naming the ids and files.
    pub fn new(revisions: Vec<Revision>) -> Result<Self, GraphError> {
        let mut graph = Self::default();
        for mut revision in revisions {
            check_id(&revision.id, &revision.file)?;
            dedupe(&mut revision.down);
            dedupe(&mut revision.depends_on);
            if let Some(&first) = graph.by_id.get(&revision.id) {
                let first = graph.nodes[first].revision.file.clone();
                return Err(GraphError::Duplicate { id: revision.id, first, second: revision.file });
            }
            graph.by_id.insert(revision.id.clone(), graph.nodes.len());
            graph.nodes.push(Node {
                labels: revision.labels.iter().cloned().collect(),
                revision,
                down: Vec::new(),
                below: Vec::new(),
                next: Vec::new(),
                above: Vec::new(),
            });
        }
        graph.register_labels()?;
        graph.connect()?;
        graph.refuse_cycles()?;
        graph.drop_inherited_dependencies();
        graph.spread_labels();
        Ok(graph)
    }

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

    fn register_labels(&mut self) -> Result<(), GraphError> {
        for (i, node) in self.nodes.iter().enumerate() {
            for label in &node.revision.labels {
                let taken = self.by_label.get(label).or_else(|| self.by_id.get(label));
                if let Some(&other) = taken {
                    return Err(GraphError::LabelTaken {
                        label: label.clone(),
                        id: node.revision.id.clone(),
                        file: node.revision.file.clone(),
                        other: self.nodes[other].revision.id.clone(),
                    });
                }
                self.by_label.insert(label.clone(), i);
            }
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<(), GraphError> {
        for i in 0..self.nodes.len() {
            let revision = &self.nodes[i].revision;
            let (id, file) = (&revision.id, &revision.file);
            let mut down = Vec::with_capacity(revision.down.len());
            for parent in &revision.down {
                down.push(*self.by_id.get(parent).ok_or_else(|| GraphError::MissingParent {
                    id: id.clone(),
                    file: file.clone(),
                    parent: parent.clone(),
                })?);
            }
            let mut below = down.clone();
            for needed in &revision.depends_on {
                let found = self.by_id.get(needed).or_else(|| self.by_label.get(needed));
                let found = *found.ok_or_else(|| GraphError::MissingDependency {
                    id: id.clone(),
                    file: file.clone(),
                    needed: needed.clone(),
                })?;
                if !below.contains(&found) {
                    below.push(found);
                }
            }
            for &parent in &down {
                self.nodes[parent].next.push(i);
            }
            for &lower in &below {
                self.nodes[lower].above.push(i);
            }
            self.nodes[i].down = down;
            self.nodes[i].below = below;
        }
        Ok(())
    }

    /// Takes away bases until none is left (Kahn); what remains holds a circle.
    fn refuse_cycles(&self) -> Result<(), GraphError> {
        let mut waits_for: Vec<usize> = self.nodes.iter().map(|node| node.below.len()).collect();
        let mut free: Vec<Index> = self.all().filter(|&i| waits_for[i] == 0).collect();
        let mut left = self.nodes.len();
        while let Some(i) = free.pop() {
            left -= 1;
            for &upper in &self.nodes[i].above {
                waits_for[upper] -= 1;
                if waits_for[upper] == 0 {
                    free.push(upper);
                }
            }
        }
        if left == 0 {
            return Ok(());
        }
        // Whoever still waits, waits for another that waits: going down from one must come round.
        let mut path: Vec<Index> = Vec::new();
        let mut seen_at: HashMap<Index, usize> = HashMap::new();
        let mut here = self.all().find(|&i| waits_for[i] > 0);
        while let Some(i) = here {
            if let Some(&start) = seen_at.get(&i) {
                let member =
                    |&i: &Index| (self.nodes[i].revision.id.clone(), self.nodes[i].revision.file.clone());
                return Err(GraphError::Cycle(path[start..].iter().map(member).collect()));
            }
            seen_at.insert(i, path.len());
            path.push(i);
            here = self.nodes[i].below.iter().copied().find(|&lower| waits_for[lower] > 0);
        }
        Ok(())
    }

    /// A dependency that an ancestor has too is no edge of its own: the ancestor's is enough.
    fn drop_inherited_dependencies(&mut self) {
        let needed = |graph: &Self, i: Index| -> Vec<Index> {
            let declared = &graph.nodes[i].revision.depends_on;
            let find = |n: &String| graph.by_id.get(n).or_else(|| graph.by_label.get(n)).copied();
            declared.iter().filter_map(find).collect()
        };
        let mut dependents: HashMap<Index, usize> = HashMap::new();
        for i in self.all() {
            for lower in needed(self, i) {
                *dependents.entry(lower).or_default() += 1;
            }
        }
        for i in self.all() {
            let mine = needed(self, i);
            // Only who shares a dependency with another can have inherited it: most need no walk.
            if !mine.iter().any(|lower| dependents[lower] > 1) {
                continue;
            }
            let ancestors = self.reach(&[i], |node| &node.down);
            let inherited: BTreeSet<Index> =
                self.all().filter(|&a| a != i && ancestors[a]).flat_map(|a| needed(self, a)).collect();
            let down = self.nodes[i].down.clone();
            self.nodes[i].below.retain(|lower| down.contains(lower) || !inherited.contains(lower));
        }
    }

    /// A label holds for what stands on its revision, and down to where the branch leaves the trunk.
    fn spread_labels(&mut self) {
        for i in self.all() {
            if self.nodes[i].revision.labels.is_empty() {
                continue;
            }
            let labels = self.nodes[i].revision.labels.clone();
            let marks = self.reach(&[i], |node| &node.next);
            let mut members: Vec<Index> = self.all().filter(|&m| marks[m]).collect();
            let straight = |node: &Node| node.above.len() < 2 && node.down.len() < 2;
            if members.iter().all(|&m| straight(&self.nodes[m])) {
                let mut parent = self.nodes[i].down.first().copied();
                while let Some(p) = parent.filter(|&p| straight(&self.nodes[p])) {
                    members.push(p);
                    parent = self.nodes[p].down.first().copied();
                }
            }
            for member in members {
                self.nodes[member].labels.extend(labels.iter().cloned());
            }
        }
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

/// A revision and its place in the graph.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The revision.
    pub revision: &'a Revision,
    /// Nothing revises it and nothing depends on it.
    pub head: bool,
    /// Nothing revises it, but something depends on it.
    pub effective_head: bool,
    /// Several revise it.
    pub branchpoint: bool,
    /// It revises several.
    pub mergepoint: bool,
    /// The labels of its branch.
    pub labels: &'a BTreeSet<String>,
    /// Who revises it.
    pub children: Vec<&'a str>,
}

fn check_id(id: &str, file: &str) -> Result<(), GraphError> {
    let why = if id.is_empty() {
        "it is empty"
    } else if id.chars().count() > ID_LIMIT {
        "it is longer than the 32 characters of the version table"
    } else if id.contains(['@', '-', '+', ':']) {
        "@, -, + and : have a meaning in targets"
    } else if id.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',' || c == '\'') {
        "blanks, commas and quotes can't be in an id"
    } else if ["head", "heads", "base", "current"].contains(&id) {
        "this word names a target"
    } else {
        return Ok(());
    };
    Err(GraphError::BadId { id: id.to_string(), file: file.to_string(), why })
}

fn dedupe(list: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}
