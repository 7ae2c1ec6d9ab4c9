//! Where a new revision goes: what `revision` and `merge` write into its header. Pure: no file is written here.

use super::{Graph, GraphError, Index, Revision, TargetError};

/// A revision that is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it shall stand on: targets as people type them. None: the only head. `base` begins a new tree.
    pub on: &'a [&'a str],
    /// Whether it may stand on what is no head, and so begin a branch there.
    pub splice: bool,
    /// Names for the branch that begins with it.
    pub labels: &'a [&'a str],
    /// Revisions or branches that must be applied before it.
    pub depends_on: &'a [&'a str],
}

/// Why a revision can't be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrowError {
    /// What it shall stand on or depend on leads nowhere or to several.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// With it, the revisions would make no graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Something stands on that revision already.
    #[error("{revision} is no head: it has {} on it", .children.join(", "))]
    NotAHead {
        /// What it should stand on.
        revision: String,
        /// What does.
        children: Vec<String>,
    },
    /// One revision named twice.
    #[error("{0} is named twice")]
    Twice(
        /// Which.
        String,
    ),
    /// A merge of fewer than two.
    #[error("there is nothing to merge: {only} is the only one")]
    NothingToMerge {
        /// The only head, or the only one named.
        only: String,
    },
}

impl GrowError {
    /// What to do about it, a line each.
    pub fn remedy(&self) -> Vec<String> {
        match self {
            Self::Target(TargetError::SeveralHeads { heads, .. }) => vec![
                format!("join them first: backstay migrate merge -m \"merge heads\" {}", heads.join(" ")),
                format!("or say on which of them the new one stands: --head {}", heads.join(" or ")),
            ],
            Self::Target(error) => error.remedy(),
            Self::NotAHead { .. } => vec!["--splice begins a new branch there".to_string()],
            _ => Vec::new(),
        }
    }
}

impl Graph {
    /// The header of a new revision: full ids where beginnings of ids were given, labels as they are. Its file is
    /// not named yet.
    ///
    /// # Errors
    /// [`GrowError`]; [`TargetError::SeveralHeads`] if no place was named and there are several heads.
    pub fn grow(&self, wanted: Wanted<'_>) -> Result<Revision, GrowError> {
        let on = if wanted.on.is_empty() { &["head"][..] } else { wanted.on };
        let mut down: Vec<Index> = Vec::new();
        for target in on {
            for found in self.revisions_at(target)? {
                if down.contains(&found) {
                    return Err(GrowError::Twice(self.id(found).to_string()));
                }
                down.push(found);
            }
        }
        if let Some(&covered) = down.iter().find(|&&i| !wanted.splice && !self.nodes[i].next.is_empty()) {
            let children = self.names(&self.nodes[covered].next);
            return Err(GrowError::NotAHead { revision: self.id(covered).to_string(), children });
        }
        let depends_on =
            wanted.depends_on.iter().map(|needed| self.dependency(needed)).collect::<Result<_, _>>()?;
        let revision = Revision {
            id: wanted.id.to_string(),
            down: self.names(&down),
            labels: wanted.labels.iter().map(ToString::to_string).collect(),
            depends_on,
            file: "the new file".to_string(),
        };
        self.refuse_taken_names(&revision)?;
        Ok(Revision { file: String::new(), ..revision })
    }

    /// The header of a revision that joins these, `heads` by default.
    ///
    /// # Errors
    /// [`GrowError`], [`GrowError::NothingToMerge`] among them.
    pub fn merge(&self, wanted: Wanted<'_>) -> Result<Revision, GrowError> {
        let on = if wanted.on.is_empty() { &["heads"][..] } else { wanted.on };
        let mut merged = self.grow(Wanted { on, ..wanted })?;
        match merged.down.len() {
            0 | 1 => {
                let only = merged.down.pop().unwrap_or_else(|| "base".to_string());
                Err(GrowError::NothingToMerge { only })
            }
            _ => Ok(merged),
        }
    }

    /// A label stays what it is, so that the dependency goes with its branch; anything else becomes a full id.
    fn dependency(&self, needed: &str) -> Result<String, GrowError> {
        let found = self.revision_at(needed)?.ok_or_else(|| TargetError::Unknown(needed.to_string()))?;
        let label = self.nodes[found].labels.contains(needed);
        Ok(if label { needed } else { self.id(found) }.to_string())
    }

    fn refuse_taken_names(&self, new: &Revision) -> Result<(), GraphError> {
        super::build::check_id(&new.id, &new.file)?;
        if let Some(&first) = self.by_id.get(&new.id) {
            let first = self.nodes[first].revision.file.clone();
            return Err(GraphError::Duplicate { id: new.id.clone(), first, second: new.file.clone() });
        }
        for (at, label) in new.labels.iter().enumerate() {
            let other = match self.by_label.get(label).or_else(|| self.by_id.get(label)) {
                Some(&other) => self.id(other),
                None if *label == new.id || new.labels[..at].contains(label) => &new.id,
                None => continue,
            };
            return Err(GraphError::LabelTaken {
                label: label.clone(),
                id: new.id.clone(),
                file: new.file.clone(),
                other: other.to_string(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// abcd - b1 (branch web) and b2
    fn graph() -> Graph {
        let mut web = Revision::new("b1", &["abcd"]);
        web.labels = vec!["web".to_string()];
        Graph::new(vec![Revision::new("abcd", &[]), web, Revision::new("b2", &["abcd"])]).unwrap()
    }

    fn on<'a>(targets: &'a [&'a str]) -> Wanted<'a> {
        Wanted { id: "new", on: targets, ..Wanted::default() }
    }

    #[test]
    fn the_only_head_is_the_parent() {
        let chain = Graph::new(vec![Revision::new("a", &[]), Revision::new("b", &["a"])]).unwrap();
        assert_eq!(chain.grow(on(&[])).unwrap().down, ["b"]);
        assert_eq!(Graph::default().grow(on(&[])).unwrap().down, [""; 0]);
        assert_eq!(chain.grow(on(&["base"])).unwrap().down, [""; 0]);
    }

    #[test]
    fn among_several_heads_one_must_be_named() {
        let error = graph().grow(on(&[])).unwrap_err();
        assert_eq!(error.to_string(), "there are several heads: b1, b2; \"head\" could be any of them");
        assert_eq!(
            error.remedy(),
            [
                "join them first: backstay migrate merge -m \"merge heads\" b1 b2",
                "or say on which of them the new one stands: --head b1 or b2"
            ]
        );
        assert_eq!(graph().grow(on(&["web@head"])).unwrap().down, ["b1"]);
    }

    #[test]
    fn a_branch_begins_only_on_purpose() {
        let error = graph().grow(on(&["abcd"])).unwrap_err();
        assert_eq!(error.to_string(), "abcd is no head: it has b1, b2 on it");
        assert_eq!(graph().grow(Wanted { splice: true, ..on(&["ab"]) }).unwrap().down, ["abcd"]);
    }

    #[test]
    fn labels_and_dependencies_are_written_in_full() {
        let wanted = Wanted { labels: &["ai"], depends_on: &["ab", "web"], ..on(&["base"]) };
        let new = graph().grow(wanted).unwrap();
        assert_eq!((new.labels, new.depends_on), (vec!["ai".to_string()], vec!["abcd".into(), "web".into()]));
        let nobody = Wanted { depends_on: &["zz"], ..on(&["base"]) };
        assert!(matches!(graph().grow(nobody), Err(GrowError::Target(TargetError::Unknown(_)))));
    }

    #[test]
    fn names_that_are_taken_are_refused_before_a_file_is_written() {
        for (id, label) in
            [("b1", "ai"), ("new", "web"), ("new", "b2"), ("new", "new"), ("head", "ai"), ("a-b", "ai")]
        {
            let wanted = Wanted { id, labels: &[label], ..on(&["b1"]) };
            assert!(matches!(graph().grow(wanted), Err(GrowError::Graph(_))), "{id} {label}");
        }
        let twice = Wanted { labels: &["ai", "ai"], ..on(&["b1"]) };
        assert!(matches!(graph().grow(twice), Err(GrowError::Graph(GraphError::LabelTaken { .. }))));
    }

    #[test]
    fn a_merge_joins_two_or_more_heads() {
        assert_eq!(graph().merge(on(&[])).unwrap().down, ["b1", "b2"]);
        assert_eq!(graph().merge(on(&["b2", "web"])).unwrap().down, ["b2", "b1"]);
        assert_eq!(graph().merge(on(&["b1", "web"])), Err(GrowError::Twice("b1".to_string())));
        assert_eq!(
            graph().merge(on(&["b1"])).unwrap_err().to_string(),
            "there is nothing to merge: b1 is the only one"
        );
        assert!(matches!(graph().merge(on(&["b1", "abcd"])), Err(GrowError::NotAHead { .. })));
    }
}
