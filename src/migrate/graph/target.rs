//! Targets as people type them: `head`, `base`, `ae1`, `+2`, `-1`, `ae1027+1`, `billing@head`.

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
}

fn show_rows(rows: &[String]) -> String {
    if rows.is_empty() { "none".to_string() } else { rows.join(", ") }
}

/// A target taken apart: `branch@symbol+offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    branch: Option<&'a str>,
    symbol: Option<&'a str>,
    offset: Option<i64>,
}

impl<'a> Parts<'a> {
    fn of(target: &'a str) -> Self {
        let (branch, rest) = match target.split_once('@') {
            Some((branch, rest)) if !branch.is_empty() => (Some(branch), rest),
            _ => (None, target),
        };
        let (symbol, offset) = match rest.rfind(['+', '-']) {
            Some(at) => match rest[at..].parse() {
                Ok(offset) if rest.len() > at + 1 => (&rest[..at], Some(offset)),
                _ => (rest, None),
            },
            None => (rest, None),
        };
        Self { branch, symbol: Some(symbol).filter(|s| !s.is_empty()), offset }
    }
}

/// Where a downgrade ends, and which branch was named for it.
pub(super) struct Floor {
    /// `None` is base.
    pub at: Option<Index>,
    /// The lineage to keep to.
    pub branch: Option<Index>,
}

impl Graph {
    /// The revision that `text` names: a full id, a label, or the beginning of exactly one.
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
        Ok(self.ids(self.upgrade_targets(&[], target)?))
    }

    pub(super) fn upgrade_targets(&self, rows: &[Index], target: &str) -> Result<Vec<Index>, TargetError> {
        let parts = Parts::of(target);
        let too_far = || TargetError::TooFar { target: target.to_string() };
        let Some(offset) = parts.offset else {
            return match (parts.symbol, parts.branch) {
                (Some("heads"), None) => Ok(self.all().filter(|&i| self.nodes[i].above.is_empty()).collect()),
                (Some("heads"), Some(branch)) => self.on_branch(self.head_indexes().collect(), branch),
                (Some(symbol), branch) => Ok(self.symbol(symbol, branch, target)?.into_iter().collect()),
                (None, _) => Err(TargetError::Unknown(target.to_string())),
            };
        };
        let start = match parts.symbol {
            Some(symbol) if offset > 0 => self.symbol(symbol, None, target)?,
            Some(symbol) => self.symbol(symbol, parts.branch, target)?,
            None if offset <= 0 => {
                return Err(TargetError::WrongWay { target: target.to_string(), verb: "upgrade" });
            }
            None => self.start_above(rows, parts.branch, target)?,
        };
        let end = if offset > 0 {
            self.walk_up(start, offset, parts.branch, target)?
        } else {
            self.walk_down(start.ok_or_else(too_far)?, offset.unsigned_abs(), target)?
        };
        Ok(vec![end.ok_or_else(too_far)?])
    }

    pub(super) fn downgrade_floor(&self, rows: &[Index], target: &str) -> Result<Floor, TargetError> {
        let parts = Parts::of(target);
        let branch = parts.branch.map(|b| self.ident(b)).transpose()?;
        let Some(offset) = parts.offset else {
            let symbol = parts.symbol.ok_or_else(|| TargetError::Unknown(target.to_string()))?;
            return Ok(Floor { at: self.symbol(symbol, None, target)?, branch });
        };
        if offset >= 0 {
            let Some(symbol) = parts.symbol else {
                return Err(TargetError::WrongWay { target: target.to_string(), verb: "downgrade" });
            };
            let start = self.symbol(symbol, None, target)?;
            return Ok(Floor { at: self.walk_up(start, offset, parts.branch, target)?, branch });
        }
        let (start, branch) = match parts.symbol {
            Some(symbol) => (self.symbol(symbol, parts.branch, target)?, branch),
            // Without a named branch, the row's own lineage is meant: never another that forks off below it.
            None => {
                let row = self.single_row(rows, parts.branch, target)?;
                (Some(row), branch.or(Some(row)))
            }
        };
        let start = start.ok_or_else(|| TargetError::TooFar { target: target.to_string() })?;
        Ok(Floor { at: self.walk_down(start, offset.unsigned_abs(), target)?, branch })
    }

    /// The rows (or what is below them) that share a lineage with `branch`.
    pub(super) fn on_branch(&self, of: Vec<Index>, branch: &str) -> Result<Vec<Index>, TargetError> {
        let lineage = self.lineage(self.ident(branch)?);
        Ok(of.into_iter().filter(|&i| lineage[i]).collect())
    }

    /// `head`, `base`, an id or the beginning of one; `None` is base.
    fn symbol(&self, symbol: &str, branch: Option<&str>, target: &str) -> Result<Option<Index>, TargetError> {
        match symbol {
            "base" => branch.map_or(Ok(None), |b| self.ident(b).map(|_| None)),
            "head" | "heads" => {
                let free =
                    |&i: &Index| symbol == "head" || branch.is_some() || self.nodes[i].above.is_empty();
                let mut heads: Vec<Index> = self.head_indexes().filter(free).collect();
                if let Some(branch) = branch {
                    heads = self.on_branch(heads, branch)?;
                }
                if heads.len() > 1 {
                    let heads = self.ids(heads).into_iter().map(String::from).collect();
                    return Err(TargetError::SeveralHeads { target: target.to_string(), heads });
                }
                Ok(heads.pop())
            }
            _ => {
                let Some(branch) = branch else { return self.ident(symbol).map(Some) };
                let lineage = self.lineage(self.ident(branch)?);
                let found = self.ident_among(symbol, |i| lineage[i])?;
                if lineage[found] {
                    return Ok(Some(found));
                }
                Err(TargetError::NotOnBranch {
                    revision: self.id(found).to_string(),
                    branch: branch.to_string(),
                })
            }
        }
    }

    fn ident(&self, text: &str) -> Result<Index, TargetError> {
        self.ident_among(text, |_| true)
    }

    fn ident_among(&self, text: &str, fits: impl Fn(Index) -> bool) -> Result<Index, TargetError> {
        if let Some(&i) = self.by_id.get(text).or_else(|| self.by_label.get(text)) {
            return Ok(i);
        }
        if text.is_empty() {
            return Err(TargetError::Unknown(text.to_string()));
        }
        let mut found: Vec<Index> = self
            .all()
            .filter(|&i| fits(i))
            .filter(|&i| {
                let revision = &self.nodes[i].revision;
                revision.id.starts_with(text) || revision.labels.iter().any(|l| l.starts_with(text))
            })
            .collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(TargetError::Unknown(text.to_string())),
            (Some(one), true) => Ok(one),
            (Some(last), false) => {
                found.push(last);
                let candidates = self.ids(found).into_iter().map(String::from).collect();
                Err(TargetError::Ambiguous { prefix: text.to_string(), candidates })
            }
        }
    }

    /// Ancestors and descendants of a revision, itself among them; dependencies make no lineage.
    fn lineage(&self, of: Index) -> Vec<bool> {
        let mut marks = self.reach(&[of], |node| &node.down);
        for (mark, above) in marks.iter_mut().zip(self.reach(&[of], |node| &node.next)) {
            *mark |= above;
        }
        marks
    }

    /// Where `+N` begins: the one row of the branch, or the tip of what is applied of it.
    fn start_above(
        &self,
        rows: &[Index],
        branch: Option<&str>,
        target: &str,
    ) -> Result<Option<Index>, TargetError> {
        let starts = match branch {
            None => rows.to_vec(),
            Some(branch) => self.applied_on_branch(rows, branch)?,
        };
        match starts[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(self.fork(target, &starts)),
        }
    }

    /// Where `-N` begins: the one row of the branch, or the one tip of it that other rows imply.
    fn single_row(&self, rows: &[Index], branch: Option<&str>, target: &str) -> Result<Index, TargetError> {
        let mut rows = rows.to_vec();
        if let Some(branch) = branch {
            let direct = self.on_branch(rows.clone(), branch)?;
            rows = match direct.is_empty() {
                false => direct,
                true => {
                    let applied = self.reach(&rows, |node| &node.below);
                    let tip = |&i: &Index| applied[i] && !self.nodes[i].next.iter().any(|&up| applied[up]);
                    self.on_branch(self.all().filter(tip).collect(), branch)?
                }
            };
        }
        match rows[..] {
            [] => Err(TargetError::TooFar { target: target.to_string() }),
            [one] => Ok(one),
            _ => Err(self.fork(target, &rows)),
        }
    }

    /// The rows on this branch; if other rows only imply it, the tips of what they imply.
    fn applied_on_branch(&self, rows: &[Index], branch: &str) -> Result<Vec<Index>, TargetError> {
        let direct = self.on_branch(rows.to_vec(), branch)?;
        if !direct.is_empty() {
            return Ok(direct);
        }
        let applied = self.reach(rows, |node| &node.below);
        let implied = self.on_branch(self.all().filter(|&i| applied[i]).collect(), branch)?;
        let tip = |&i: &Index| !implied.iter().any(|&upper| self.nodes[upper].below.contains(&i));
        Ok(implied.iter().copied().filter(tip).collect())
    }

    fn walk_up(
        &self,
        from: Option<Index>,
        steps: i64,
        branch: Option<&str>,
        target: &str,
    ) -> Result<Option<Index>, TargetError> {
        let lineage = branch.map(|b| self.ident(b).map(|i| self.lineage(i))).transpose()?;
        let mut here = from;
        for _ in 0..steps {
            let mut choices = match here {
                None => self.all().filter(|&i| self.nodes[i].down.is_empty()).collect(),
                Some(i) => self.nodes[i].next.clone(),
            };
            if let Some(lineage) = &lineage {
                choices.retain(|&i| lineage[i]);
            }
            here = match choices[..] {
                [] => return Err(TargetError::TooFar { target: target.to_string() }),
                [one] => Some(one),
                _ => return Err(self.fork(target, &choices)),
            };
        }
        Ok(here)
    }

    /// `None` is base.
    fn walk_down(&self, from: Index, steps: u64, target: &str) -> Result<Option<Index>, TargetError> {
        let mut here = Some(from);
        for _ in 0..steps {
            let Some(i) = here else { return Err(TargetError::TooFar { target: target.to_string() }) };
            here = match self.nodes[i].down[..] {
                [] => None,
                [one] => Some(one),
                _ => return Err(self.fork(target, &self.nodes[i].down)),
            };
        }
        Ok(here)
    }

    fn fork(&self, target: &str, choices: &[Index]) -> TargetError {
        let choices = self.ids(choices.iter().copied()).into_iter().map(String::from).collect();
        TargetError::Fork { target: target.to_string(), choices }
    }
}
