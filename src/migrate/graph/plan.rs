//! From where the database is to where it shall be: the steps, in order, with what each does to the
//! version table. The order is Alembic's, so that both tools walk one graph alike.

use std::collections::BTreeSet;

use super::relative::Counted;
use super::target::branch_and_symbol;
use super::{Graph, Index, TargetError};

/// Which half of a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `-- upgrade`
    Up,
    /// `-- downgrade`
    Down,
}

impl Direction {
    /// `upgrade` or `downgrade`, as the history table and every message have it.
    pub fn verb(self) -> &'static str {
        match self {
            Direction::Up => "upgrade",
            Direction::Down => "downgrade",
        }
    }
}

/// One change of the version table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// A new row.
    Insert(String),
    /// A row goes.
    Delete(String),
    /// A row moves on.
    Update {
        /// From this revision.
        from: String,
        /// To this one.
        to: String,
    },
}

/// One script to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose script.
    pub revision: String,
    /// Which half of it.
    pub direction: Direction,
    /// The revisions that it comes from (for a downgrade: itself), without dependencies.
    pub from: Vec<String>,
    /// Those that it leads to.
    pub to: Vec<String>,
    /// What it does to the version table, in order; committed together with the script.
    pub changes: Vec<RowChange>,
}

impl Graph {
    /// The steps from the rows of the version table up to `target`; none if it is applied already.
    ///
    /// # Errors
    /// [`TargetError`]: the target leads nowhere or is ambiguous, or a row is unknown.
    pub fn plan_upgrade(&self, rows: &BTreeSet<String>, target: &str) -> Result<Vec<Step>, TargetError> {
        let rows = self.known_rows(rows)?;
        let targets = self.upgrade_targets(&rows, target)?;
        let applied = self.reach(&rows, |node| &node.below);
        let mut wanted = self.reach(&targets, |node| &node.below);
        for (want, &have) in wanted.iter_mut().zip(&applied) {
            *want &= !have;
        }
        let order = self.top_down(wanted, &targets);
        let mut table = vec![false; self.nodes.len()];
        rows.iter().for_each(|&row| table[row] = true);
        Ok(order.into_iter().rev().map(|i| self.step_up(i, &mut table)).collect())
    }

    /// The steps from the rows of the version table down to `target`.
    ///
    /// # Errors
    /// [`TargetError`], among them [`TargetError::NotBelow`]: the target is not below what is applied.
    pub fn plan_downgrade(&self, rows: &BTreeSet<String>, target: &str) -> Result<Vec<Step>, TargetError> {
        let rows = self.known_rows(rows)?;
        let floor = self.downgrade_floor(&rows, target)?;
        let mut roots: Vec<Index> = match floor.at {
            None => self.all().filter(|&i| self.nodes[i].down.is_empty()).collect(),
            Some(at) => self.nodes[at].next.clone(),
        };
        let not_below = || TargetError::NotBelow {
            target: target.to_string(),
            rows: rows.iter().map(|&i| self.id(i).to_string()).collect(),
        };
        if let Some(branch) = floor.branch.filter(|_| roots.len() > 1) {
            let lineage = self.reach(&[branch], |node| &node.down);
            roots.retain(|&root| lineage[root]);
            if roots.is_empty() {
                return Err(not_below());
            }
        }
        let applied = self.reach(&rows, |node| &node.below);
        let mut doomed = self.reach(&roots, |node| &node.above);
        for (doom, &have) in doomed.iter_mut().zip(&applied) {
            *doom &= have;
        }
        if floor.at.is_some_and(|at| !rows.contains(&at)) && !doomed.contains(&true) {
            return Err(not_below());
        }
        let order = self.top_down(doomed, &rows);
        let mut standing = self.standing_counts(&applied);
        Ok(order.into_iter().map(|i| self.step_down(i, &mut standing)).collect())
    }

    /// What `stamp` does to the version table: rows on the targets' lineages give way to the targets.
    /// `purge` drops every row first, unknown ones too.
    ///
    /// # Errors
    /// [`TargetError`]: the target leads nowhere, or (without `purge`) a row is unknown.
    pub fn plan_stamp(
        &self,
        rows: &BTreeSet<String>,
        target: &str,
        purge: bool,
    ) -> Result<Vec<RowChange>, TargetError> {
        if Counted::of(target).is_some() {
            return Err(TargetError::RelativeStamp { target: target.to_string() });
        }
        let (known, mut changes) = if purge {
            (Vec::new(), rows.iter().cloned().map(RowChange::Delete).collect())
        } else {
            (self.known_rows(rows)?, Vec::new())
        };
        let targets = self.upgrade_targets(&known, target)?;
        // To base: every row goes, or every row that has to do with the branch.
        let around: Option<Vec<Index>> = match (targets.is_empty(), branch_and_symbol(target)) {
            (true, (None, _)) => None,
            (true, (Some(branch), _)) => Some(vec![self.ident(branch)?]),
            (false, _) => Some(targets.clone()),
        };
        let gone: Vec<Index> = match around {
            None => known.clone(),
            Some(around) => {
                let below = self.reach(&around, |node| &node.below);
                let above = self.reach(&around, |node| &node.above);
                known.iter().copied().filter(|&i| below[i] || above[i]).collect()
            }
        };
        let deletes: Vec<Index> = gone.iter().copied().filter(|i| !targets.contains(i)).collect();
        let inserts: Vec<Index> = targets.iter().copied().filter(|i| !known.contains(i)).collect();
        changes.extend(self.changes(&deletes, &inserts));
        Ok(changes)
    }

    /// Everything from the heads down to the bases: the order of `history`.
    pub fn newest_first(&self) -> Vec<&str> {
        self.ids(self.top_down(vec![true; self.nodes.len()], &self.real_heads()))
    }

    /// The rows as places; refused where a row is unknown or stands below another.
    pub(super) fn known_rows(&self, rows: &BTreeSet<String>) -> Result<Vec<Index>, TargetError> {
        let mut known = Vec::with_capacity(rows.len());
        for row in rows {
            known.push(*self.by_id.get(row).ok_or_else(|| TargetError::UnknownRow(row.clone()))?);
        }
        known.sort_unstable();
        if let Some((upper, lower)) = self.overlap(&known) {
            let (upper, lower) = (self.id(upper).to_string(), self.id(lower).to_string());
            return Err(TargetError::Overlap { upper, lower });
        }
        Ok(known)
    }

    fn step_up(&self, i: Index, table: &mut [bool]) -> Step {
        let below = &self.nodes[i].below;
        let gone: Vec<Index> =
            below.iter().copied().filter(|&lower| std::mem::take(&mut table[lower])).collect();
        table[i] = true;
        Step {
            revision: self.id(i).to_string(),
            direction: Direction::Up,
            from: self.nodes[i].revision.down.clone(),
            to: vec![self.id(i).to_string()],
            changes: self.changes(&gone, &[i]),
        }
    }

    /// What is below and has nobody else standing on it becomes a row again.
    fn step_down(&self, i: Index, standing: &mut [usize]) -> Step {
        let mut bared = Vec::new();
        for &lower in &self.nodes[i].below {
            standing[lower] -= 1;
            if standing[lower] == 0 {
                bared.push(lower);
            }
        }
        Step {
            revision: self.id(i).to_string(),
            direction: Direction::Down,
            from: vec![self.id(i).to_string()],
            to: self.nodes[i].revision.down.clone(),
            changes: self.changes(&[i], &bared),
        }
    }

    /// Alembic's form: the last row that goes becomes the last that comes.
    fn changes(&self, gone: &[Index], come: &[Index]) -> Vec<RowChange> {
        let name = |&i: &Index| self.id(i).to_string();
        match (gone.split_last(), come.split_last()) {
            (Some((from, gone)), Some((to, come))) => {
                let deletes = gone.iter().map(|i| RowChange::Delete(name(i)));
                let inserts = come.iter().map(|i| RowChange::Insert(name(i)));
                let update = RowChange::Update { from: name(from), to: name(to) };
                deletes.chain(inserts).chain([update]).collect()
            }
            _ => {
                let deletes = gone.iter().map(|i| RowChange::Delete(name(i)));
                deletes.chain(come.iter().map(|i| RowChange::Insert(name(i)))).collect()
            }
        }
    }

    /// For every revision, how many of the marked ones stand directly on it.
    fn standing_counts(&self, marked: &[bool]) -> Vec<usize> {
        let mut counts = vec![0; self.nodes.len()];
        for i in self.all().filter(|&i| marked[i]) {
            for &lower in &self.nodes[i].below {
                counts[lower] += 1;
            }
        }
        counts
    }
}
