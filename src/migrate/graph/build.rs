//! From revisions to a graph, or to the reason why they make none.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Graph, ID_LIMIT, Index, Node, Revision};

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

impl Graph {
    /// Builds the graph, at a cost that grows with the number of revisions and edges. The order in which they are
    /// given (that of the files) breaks ties.
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
            graph.nodes.push(Node::new(revision));
        }
        graph.register_labels()?;
        graph.connect()?;
        let rank = graph.rank()?;
        graph.drop_inherited_dependencies(&rank);
        graph.spread_labels();
        Ok(graph)
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
            let mut needs = Vec::with_capacity(revision.depends_on.len());
            for needed in &revision.depends_on {
                let found = self.by_id.get(needed).or_else(|| self.by_label.get(needed));
                needs.push(*found.ok_or_else(|| GraphError::MissingDependency {
                    id: id.clone(),
                    file: file.clone(),
                    needed: needed.clone(),
                })?);
            }
            let below = united(&down, &needs);
            for &parent in &down {
                self.nodes[parent].next.push(i);
            }
            for &lower in &below {
                self.nodes[lower].above.push(i);
            }
            self.nodes[i].down = down;
            self.nodes[i].below = below;
            self.nodes[i].needs = needs;
        }
        Ok(())
    }

    /// Takes away bases until none is left (Kahn), and gives when each was taken: whatever stands on a revision has a
    /// higher rank. If some are left, they hold a circle.
    fn rank(&self) -> Result<Vec<usize>, GraphError> {
        let mut waits_for: Vec<usize> = self.nodes.iter().map(|node| node.below.len()).collect();
        let mut free: Vec<Index> = self.all().filter(|&i| waits_for[i] == 0).collect();
        let mut rank = vec![0; self.nodes.len()];
        let mut taken = 0;
        while let Some(i) = free.pop() {
            rank[i] = taken;
            taken += 1;
            for &upper in &self.nodes[i].above {
                waits_for[upper] -= 1;
                if waits_for[upper] == 0 {
                    free.push(upper);
                }
            }
        }
        match self.all().find(|&i| waits_for[i] > 0) {
            None => Ok(rank),
            Some(waiting) => Err(self.circle_below(waiting, &waits_for)),
        }
    }

    /// Whoever still waits, waits for another that waits: going down from one must come round.
    fn circle_below(&self, waiting: Index, waits_for: &[usize]) -> GraphError {
        let mut path: Vec<Index> = Vec::new();
        let mut seen_at: HashMap<Index, usize> = HashMap::new();
        let mut here = Some(waiting);
        while let Some(i) = here {
            if let Some(&start) = seen_at.get(&i) {
                path.drain(..start);
                break;
            }
            seen_at.insert(i, path.len());
            path.push(i);
            here = self.nodes[i].below.iter().copied().find(|&lower| waits_for[lower] > 0);
        }
        let member = |i: Index| (self.nodes[i].revision.id.clone(), self.nodes[i].revision.file.clone());
        GraphError::Cycle(path.into_iter().map(member).collect())
    }

    /// A dependency that an ancestor has too is no edge of its own: the ancestor's is enough.
    fn drop_inherited_dependencies(&mut self, rank: &[usize]) {
        let mut dependents: Vec<Vec<Index>> = vec![Vec::new(); self.nodes.len()];
        for i in self.all() {
            self.nodes[i].needs.iter().for_each(|&needed| dependents[needed].push(i));
        }
        let mut walk = Reached::new(self.nodes.len());
        for (needed, dependents) in dependents.iter_mut().enumerate() {
            // Two names of one revision make one dependency.
            dependents.dedup();
            // Only who shares a dependency with another can have inherited it, and only from one that is lower.
            let Some(&highest) = dependents.iter().max_by_key(|&&i| rank[i]).filter(|_| dependents.len() > 1)
            else {
                continue;
            };
            let below_highest = |&i: &Index| rank[i] <= rank[highest];
            let children = dependents.iter().flat_map(|&i| self.nodes[i].next.iter().copied());
            walk.spread(children.filter(below_highest).collect(), |i| {
                self.nodes[i].next.iter().copied().filter(below_highest)
            });
            for &heir in dependents.iter().filter(|&&i| walk.reached(i)) {
                let Node { down, below, .. } = &mut self.nodes[heir];
                if !down.contains(&needed) {
                    below.retain(|&lower| lower != needed);
                }
            }
        }
    }

    /// A label holds for what stands on its revision, and down to where the branch leaves the trunk.
    fn spread_labels(&mut self) {
        let straight = |node: &Node| node.above.len() < 2 && node.down.len() < 2;
        let mut walk = Reached::new(self.nodes.len());
        for i in self.all() {
            if self.nodes[i].revision.labels.is_empty() {
                continue;
            }
            let labels = self.nodes[i].revision.labels.clone();
            let mut members = walk.spread(vec![i], |i| self.nodes[i].next.iter().copied());
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
}

/// Walks that remember where they have been, one after the other, without a new list of marks for each.
struct Reached {
    walk: usize,
    last_walk: Vec<usize>,
}

impl Reached {
    fn new(len: usize) -> Self {
        Self { walk: 0, last_walk: vec![0; len] }
    }

    /// `todo` and everything reached from it along `edges`, each once.
    fn spread<E: Iterator<Item = Index>>(
        &mut self,
        mut todo: Vec<Index>,
        edges: impl Fn(Index) -> E,
    ) -> Vec<Index> {
        self.walk += 1;
        let mut found = Vec::new();
        while let Some(i) = todo.pop() {
            if std::mem::replace(&mut self.last_walk[i], self.walk) != self.walk {
                found.push(i);
                todo.extend(edges(i));
            }
        }
        found
    }

    fn reached(&self, i: Index) -> bool {
        self.last_walk[i] == self.walk
    }
}

/// Parents, and those dependencies that are no parents.
fn united(down: &[Index], needs: &[Index]) -> Vec<Index> {
    if needs.is_empty() {
        return down.to_vec();
    }
    let mut seen: HashSet<Index> = down.iter().copied().collect();
    down.iter().copied().chain(needs.iter().copied().filter(|&needed| seen.insert(needed))).collect()
}

pub(super) fn check_id(id: &str, file: &str) -> Result<(), GraphError> {
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
    if list.len() < 2 {
        return;
    }
    let mut seen = BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}
