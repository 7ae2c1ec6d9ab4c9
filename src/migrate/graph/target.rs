//! Names that people type: a revision's id or the beginning of it, a branch, `head`, `base`, `billing@head`.

use super::{Graph, Index};

/// Why a target leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing has that name.
    #[error("there is no revision or branch {0:?}")]
    Unknown(
        /// What was asked for.
        String,
    ),
    /// A prefix of several.
    #[error("{prefix:?} is the beginning of several revisions: {}", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Whom it could mean.
        candidates: Vec<String>,
    },
    /// One head is meant, but there are several.
    #[error("there are several heads: {}; {target:?} could be any of them", .heads.join(", "))]
    SeveralHeads {
        /// What was asked for.
        target: String,
        /// The heads.
        heads: Vec<String>,
    },
    /// A revision that is not of the named branch.
    #[error("{revision} is not on branch {branch:?}")]
    NotOnBranch {
        /// The revision.
        revision: String,
        /// The branch.
        branch: String,
    },
    /// A relative step off the end.
    #[error("{target:?} goes further than the revisions reach")]
    TooFar {
        /// What was asked for.
        target: String,
    },
    /// A relative step at a fork.
    #[error("{target:?} is ambiguous: the way forks between {}", .choices.join(", "))]
    Fork {
        /// What was asked for.
        target: String,
        /// Where it could go.
        choices: Vec<String>,
    },
    /// `upgrade -1` or `downgrade +1`.
    #[error("{target:?} goes the wrong way for {verb}")]
    WrongWay {
        /// What was asked for.
        target: String,
        /// `upgrade` or `downgrade`.
        verb: &'static str,
    },
    /// The target of a downgrade is not below what is applied.
    #[error("{target:?} is not below the database's revision ({})", show_rows(.rows))]
    NotBelow {
        /// What was asked for.
        target: String,
        /// What is applied.
        rows: Vec<String>,
    },
    /// `stamp +1`: what is declared applied must be named.
    #[error("{target:?} is relative; a stamp takes a revision, head, heads or base")]
    RelativeStamp {
        /// What was asked for.
        target: String,
    },
    /// A range that can't be read.
    #[error("{range:?} is no range: {why}")]
    BadRange {
        /// What was asked for.
        range: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A range whose ends are not on one line.
    #[error("{start} is not below {end}: there is no way between them")]
    NotOnOneLine {
        /// The lower end.
        start: String,
        /// The upper end.
        end: String,
    },
    /// The database is at a revision that no file has.
    #[error("can't locate revision {0}: the database is at it, but no file has it")]
    UnknownRow(
        /// The row.
        String,
    ),
    /// Two rows of which one is below the other.
    #[error("the version table holds {upper} and also {lower}, which is below it")]
    Overlap {
        /// The upper row.
        upper: String,
        /// The row that should not be there.
        lower: String,
    },
    /// A target that means two revisions of which one is below the other.
    #[error("{target:?} means {upper} and also {lower}, which is below it")]
    TargetsOverlap {
        /// What was asked for.
        target: String,
        /// The upper one.
        upper: String,
        /// The lower one.
        lower: String,
    },
}

impl TargetError {
    /// What to do about it, a line each: the command that mends it, where there is one.
    pub fn remedy(&self) -> Vec<String> {
        match self {
            Self::SeveralHeads { heads, .. } => vec![
                format!("backstay migrate merge -m \"merge heads\" {} joins them", heads.join(" ")),
                "or name one of them, or say `heads` for all".to_string(),
            ],
            Self::Unknown(_) | Self::Ambiguous { .. } | Self::NotOnBranch { .. } => {
                vec!["backstay migrate history lists the revisions".to_string()]
            }
            Self::Fork { .. } => vec!["name the revision, or the branch: BRANCH@+1".to_string()],
            Self::UnknownRow(_) => vec![
                "check out the commit that has the file".to_string(),
                "or, if the schema is that of a revision that you have: backstay migrate stamp --purge REVISION"
                    .to_string(),
            ],
            Self::Overlap { upper, .. } => vec![
                format!("if everything below {upper} is applied: backstay migrate stamp --purge {upper}"),
                "and name every other row behind it".to_string(),
            ],
            _ => Vec::new(),
        }
    }
}

fn show_rows(rows: &[String]) -> String {
    if rows.is_empty() { "none".to_string() } else { rows.join(", ") }
}

/// The shortest id that may be shortened, in characters: Alembic's rule.
const SHORTENED_FROM: usize = 4;

impl Graph {
    /// The revision that `text` names: a full id, a label, or the beginning of exactly one that has four characters
    /// or more.
    ///
    /// # Errors
    /// [`TargetError::Unknown`], or [`TargetError::Ambiguous`] with the candidates.
    pub fn find(&self, text: &str) -> Result<&str, TargetError> {
        self.ident(text).map(|i| self.id(i))
    }

    /// The ids that an absolute target means: none for `base`, several for `heads`.
    ///
    /// # Errors
    /// As [`Graph::find`], and [`TargetError::SeveralHeads`].
    pub fn resolve(&self, target: &str) -> Result<Vec<&str>, TargetError> {
        Ok(self.ids(self.revisions_at(target)?))
    }

    /// What an absolute target means: none for `base`, several for `heads`.
    pub(super) fn revisions_at(&self, target: &str) -> Result<Vec<Index>, TargetError> {
        match branch_and_symbol(target) {
            (None, "heads") => Ok(self.real_heads()),
            (Some(branch), "heads") => self.on_branch(self.head_indexes().collect(), branch),
            (branch, symbol) => Ok(self.symbol(symbol, branch, target)?.into_iter().collect()),
        }
    }

    /// What `target` means if it means one revision; `None` is base.
    pub(super) fn revision_at(&self, target: &str) -> Result<Option<Index>, TargetError> {
        let (branch, symbol) = branch_and_symbol(target);
        self.symbol(symbol, branch, target)
    }

    /// Nothing revises them and nothing depends on them: the rows of a database that has everything.
    pub(super) fn real_heads(&self) -> Vec<Index> {
        self.all().filter(|&i| self.nodes[i].above.is_empty()).collect()
    }

    /// Those that share a lineage with `branch`.
    pub(super) fn on_branch(&self, of: Vec<Index>, branch: &str) -> Result<Vec<Index>, TargetError> {
        let lineage = self.lineage(self.ident(branch)?);
        Ok(of.into_iter().filter(|&i| lineage[i]).collect())
    }

    /// `head`, `base`, an id or the beginning of one; `None` is base.
    pub(super) fn symbol(
        &self,
        symbol: &str,
        branch: Option<&str>,
        target: &str,
    ) -> Result<Option<Index>, TargetError> {
        let mut heads = match (symbol, branch) {
            ("base", None) => return Ok(None),
            ("base", Some(branch)) => return self.ident(branch).map(|_| None),
            ("heads", None) => self.real_heads(),
            ("head", None) => self.head_indexes().collect(),
            ("head" | "heads", Some(branch)) => self.on_branch(self.head_indexes().collect(), branch)?,
            (_, None) => return self.ident(symbol).map(Some),
            (_, Some(branch)) => return self.ident_on(symbol, branch).map(Some),
        };
        if heads.len() > 1 {
            let heads = self.names(&heads);
            return Err(TargetError::SeveralHeads { target: target.to_string(), heads });
        }
        Ok(heads.pop())
    }

    pub(super) fn ident(&self, text: &str) -> Result<Index, TargetError> {
        self.ident_among(text, |_| true)
    }

    fn ident_on(&self, text: &str, branch: &str) -> Result<Index, TargetError> {
        let lineage = self.lineage(self.ident(branch)?);
        let found = self.ident_among(text, |i| lineage[i])?;
        if lineage[found] {
            return Ok(found);
        }
        Err(TargetError::NotOnBranch { revision: self.id(found).to_string(), branch: branch.to_string() })
    }

    fn ident_among(&self, text: &str, fits: impl Fn(Index) -> bool) -> Result<Index, TargetError> {
        if let Some(&i) = self.by_id.get(text).or_else(|| self.by_label.get(text)) {
            return Ok(i);
        }
        if text.is_empty() {
            return Err(TargetError::Unknown(text.to_string()));
        }
        let begins =
            |name: &&String| name.starts_with(text) && name.chars().nth(SHORTENED_FROM - 1).is_some();
        let mut found: Vec<(&String, Index)> = Vec::new();
        for i in self.all().filter(|&i| fits(i)) {
            let revision = &self.nodes[i].revision;
            let names = std::iter::once(&revision.id).chain(&revision.labels);
            found.extend(names.filter(begins).map(|name| (name, i)));
        }
        match found[..] {
            [] => Err(TargetError::Unknown(text.to_string())),
            [(_, one)] => Ok(one),
            _ => {
                let candidates = found.into_iter().map(|(name, _)| name.clone()).collect();
                Err(TargetError::Ambiguous { prefix: text.to_string(), candidates })
            }
        }
    }

    /// Ancestors and descendants of a revision, itself among them; dependencies make no lineage.
    pub(super) fn lineage(&self, of: Index) -> Vec<bool> {
        let mut marks = self.reach(&[of], |node| &node.down);
        for (mark, above) in marks.iter_mut().zip(self.reach(&[of], |node| &node.next)) {
            *mark |= above;
        }
        marks
    }

    pub(super) fn names(&self, of: &[Index]) -> Vec<String> {
        of.iter().map(|&i| self.id(i).to_string()).collect()
    }
}

/// `branch@symbol` taken apart.
pub(super) fn branch_and_symbol(target: &str) -> (Option<&str>, &str) {
    match target.split_once('@') {
        Some((branch, symbol)) if !branch.is_empty() => (Some(branch), symbol),
        _ => (None, target),
    }
}
