//! Targets of `upgrade` and `downgrade`, counted ones among them: `+2`, `-1`, `ae1027+1`, `billing@+1`.

use super::target::branch_and_symbol;
use super::{Graph, Index, TargetError};

/// What a step past the end does: `upgrade` refuses it, a range ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PastTheEnd {
    Refused,
    Stops,
}

/// A counted target taken apart: `branch@symbol+offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted<'a> {
    pub branch: Option<&'a str>,
    pub symbol: Option<&'a str>,
    pub offset: i64,
}

impl<'a> Counted<'a> {
    /// `None` if `target` counts nothing.
    pub(super) fn of(target: &'a str) -> Option<Self> {
        let (branch, rest) = branch_and_symbol(target);
        let (symbol, count) = rest.split_at(rest.rfind(['+', '-'])?);
        let digits = count.len() > 1 && count[1..].bytes().all(|b| b.is_ascii_digit());
        let offset = count.parse().ok().filter(|_| digits)?;
        Some(Self { branch, symbol: Some(symbol).filter(|s| !s.is_empty()), offset })
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
    /// What an upgrade from `rows` to `target` leads to; none of them below another.
    pub(super) fn upgrade_targets(&self, rows: &[Index], target: &str) -> Result<Vec<Index>, TargetError> {
        let targets = match Counted::of(target) {
            None => self.revisions_at(target)?,
            Some(counted) => vec![self.count_up_from(rows, counted, target, PastTheEnd::Refused)?],
        };
        match self.overlap(&targets) {
            None => Ok(targets),
            Some((upper, lower)) => {
                let (upper, lower) = (self.id(upper).to_string(), self.id(lower).to_string());
                Err(TargetError::TargetsOverlap { target: target.to_string(), upper, lower })
            }
        }
    }

    /// The revision that a counted target of an upgrade means.
    pub(super) fn count_up_from(
        &self,
        rows: &[Index],
        counted: Counted<'_>,
        target: &str,
        past: PastTheEnd,
    ) -> Result<Index, TargetError> {
        let Counted { branch, symbol, offset } = counted;
        let start = match symbol {
            Some(symbol) if offset > 0 => self.symbol(symbol, None, target)?,
            Some(symbol) => self.symbol(symbol, branch, target)?,
            None if offset > 0 => self.start_above(rows, branch, target)?,
            None => return Err(TargetError::WrongWay { target: target.to_string(), verb: "upgrade" }),
        };
        let end = if offset > 0 {
            self.walk_up(start, offset, branch, target, past)?
        } else {
            self.walk_down(start, offset.unsigned_abs(), target)?
        };
        end.ok_or_else(|| too_far(target))
    }

    pub(super) fn downgrade_floor(&self, rows: &[Index], target: &str) -> Result<Floor, TargetError> {
        let Some(Counted { branch, symbol, offset }) = Counted::of(target) else {
            let (branch, symbol) = branch_and_symbol(target);
            let branch = branch.map(|b| self.ident(b)).transpose()?;
            return Ok(Floor { at: self.symbol(symbol, None, target)?, branch });
        };
        let named = branch.map(|b| self.ident(b)).transpose()?;
        if offset >= 0 {
            let Some(symbol) = symbol else {
                return Err(TargetError::WrongWay { target: target.to_string(), verb: "downgrade" });
            };
            let start = self.symbol(symbol, None, target)?;
            let at = self.walk_up(start, offset, branch, target, PastTheEnd::Refused)?;
            return Ok(Floor { at: Some(at.ok_or_else(|| too_far(target))?), branch: named });
        }
        let (start, branch) = match symbol {
            Some(symbol) => (self.symbol(symbol, branch, target)?, named),
            // Without a named branch, the row's own lineage is meant: never another that forks off below it.
            None => {
                let row = self.single_row(rows, branch, target)?;
                (Some(row), named.or(Some(row)))
            }
        };
        Ok(Floor { at: self.walk_down(start, offset.unsigned_abs(), target)?, branch })
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
            [] => Err(too_far(target)),
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
        let mut covered = vec![false; self.nodes.len()];
        implied.iter().flat_map(|&i| &self.nodes[i].below).for_each(|&lower| covered[lower] = true);
        Ok(implied.into_iter().filter(|&i| !covered[i]).collect())
    }

    /// `None` is base, before and after.
    fn walk_up(
        &self,
        from: Option<Index>,
        steps: i64,
        branch: Option<&str>,
        target: &str,
        past: PastTheEnd,
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
                [] if past == PastTheEnd::Stops => return Ok(here),
                [] => return Err(too_far(target)),
                [one] => Some(one),
                _ => return Err(self.fork(target, &choices)),
            };
        }
        Ok(here)
    }

    /// `None` is base, before and after.
    pub(super) fn walk_down(
        &self,
        from: Option<Index>,
        steps: u64,
        target: &str,
    ) -> Result<Option<Index>, TargetError> {
        let mut here = from;
        for _ in 0..steps {
            let Some(i) = here else { return Err(too_far(target)) };
            here = match self.nodes[i].down[..] {
                [] => None,
                [one] => Some(one),
                _ => return Err(self.fork(target, &self.nodes[i].down)),
            };
        }
        Ok(here)
    }

    /// Two of these of which the first stands on the second.
    pub(super) fn overlap(&self, of: &[Index]) -> Option<(Index, Index)> {
        if of.len() < 2 {
            return None;
        }
        let directly_below: Vec<Index> =
            of.iter().flat_map(|&i| self.nodes[i].below.iter().copied()).collect();
        let below = self.reach(&directly_below, |node| &node.below);
        let lower = *of.iter().find(|&&i| below[i])?;
        let above = self.reach(&[lower], |node| &node.above);
        let upper = *of.iter().find(|&&i| i != lower && above[i])?;
        Some((upper, lower))
    }

    fn fork(&self, target: &str, choices: &[Index]) -> TargetError {
        TargetError::Fork { target: target.to_string(), choices: self.names(choices) }
    }
}

fn too_far(target: &str) -> TargetError {
    TargetError::TooFar { target: target.to_string() }
}
