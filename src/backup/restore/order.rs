//! In which order, and what beside what, the statements after the data run. Pure: text in, plan out.
//!
//! pg_dump's own order holds, with one exception: indexes and constraints that follow each other run side by
//! side, and so do foreign keys after them. Everything else keeps its place and waits for what stands before
//! it. No two run at once of which one would wait for the other's lock, and the foreign keys of one table keep
//! their order: for each partition of a table that one refers to, the server itself adds a constraint to the
//! table that refers, under the first name that is free, which may be that of a later one.

use std::collections::BTreeMap;

use super::statement::Kind;
use crate::backup::manifest::TableName;

/// All that is to run after the data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The session's settings at each point where they change, as SQL.
    pub settings: Vec<String>,
    /// One after another.
    pub stages: Vec<Stage>,
}

/// A part of the plan that ends before the next one begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In this order.
    InOrder(Vec<Task>),
    /// Side by side, as the tables' locks allow.
    Beside(Vec<Task>),
}

/// Statements that run one after another on one session: an index or constraint with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// Where it stands among the plan's tasks.
    pub place: usize,
    /// Which of the plan's settings it needs.
    pub settings: usize,
    /// Each in a transaction of its own.
    pub statements: Vec<String>,
    /// What it is.
    pub work: Work,
    /// The tables that it locks.
    pub locks: Vec<(TableName, Lock)>,
    /// Bytes of the tables that it reads: the most begin first.
    pub weight: u64,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// An index, or a constraint of one table.
    Build,
    /// A constraint between two tables.
    ForeignKey,
    /// The filling of a materialized view.
    Refresh,
    /// Anything else.
    Other,
}

/// How a table is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Others may take the same.
    Shared,
    /// Nobody else may have it.
    Exclusive,
}

impl Plan {
    /// The plan for statements in pg_dump's order; `bytes` tells how large a table is.
    pub fn of(statements: impl IntoIterator<Item = String>, bytes: impl Fn(&TableName) -> u64) -> Self {
        let mut plan = Self::default();
        let mut settings = BTreeMap::new();
        let (mut last, mut places) = (None, 0);
        for statement in statements {
            let kind = Kind::of(&statement);
            if let Kind::Setting(name) = kind {
                settings.insert(name, statement);
                let all: Vec<&str> = settings.values().map(String::as_str).collect();
                plan.settings.push(all.join("\n;\n"));
                continue;
            }
            if let Kind::Belongs { schema, name, locks } = &kind
                && last.as_ref() == Some(&(schema.clone(), name.clone()))
                && let Some(task) = plan.last_beside()
            {
                task.take(statement, *locks);
                continue;
            }
            last = match &kind {
                Kind::Index { table, name }
                | Kind::Constraint { table, name }
                | Kind::ForeignKey { table, name, .. } => Some((table.schema.clone(), name.clone())),
                _ => None,
            };
            let mut task = Task::of(&kind, statement, plan.settings.len(), &bytes);
            (task.place, places) = (places, places + 1);
            plan.push(task);
        }
        plan
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.stages.iter().map(|(Stage::InOrder(tasks) | Stage::Beside(tasks))| tasks.len()).sum()
    }

    /// The settings that a task needs.
    pub fn settings_of(&self, task: &Task) -> &str {
        task.settings.checked_sub(1).and_then(|at| self.settings.get(at)).map_or("", String::as_str)
    }

    fn push(&mut self, task: Task) {
        match (self.stages.last_mut(), task.work) {
            (Some(Stage::InOrder(tasks)), Work::Refresh | Work::Other) => tasks.push(task),
            (_, Work::Refresh | Work::Other) => self.stages.push(Stage::InOrder(vec![task])),
            // A foreign key needs the key that it refers to, which must be there by then.
            (Some(Stage::Beside(tasks)), work) if tasks.iter().all(|other| other.work == work) => {
                tasks.push(task);
            }
            _ => self.stages.push(Stage::Beside(vec![task])),
        }
    }

    fn last_beside(&mut self) -> Option<&mut Task> {
        match self.stages.last_mut() {
            Some(Stage::Beside(tasks)) => tasks.last_mut(),
            _ => None,
        }
    }
}

impl Task {
    fn of(kind: &Kind, statement: String, settings: usize, bytes: impl Fn(&TableName) -> u64) -> Self {
        let (work, locks) = match kind {
            Kind::Index { table, .. } => (Work::Build, vec![(table.clone(), Lock::Shared)]),
            Kind::Constraint { table, .. } => (Work::Build, vec![(table.clone(), Lock::Exclusive)]),
            Kind::ForeignKey { table, other, .. } => {
                let locks = [table, other].map(|table| (table.clone(), Lock::Exclusive));
                (Work::ForeignKey, locks.into())
            }
            Kind::Refresh => (Work::Refresh, Vec::new()),
            _ => (Work::Other, Vec::new()),
        };
        let weight = locks.iter().map(|(table, _)| bytes(table)).sum();
        Self { place: 0, settings, statements: vec![statement], work, locks, weight }
    }

    /// Takes a statement that belongs to this one's index or constraint.
    fn take(&mut self, statement: String, locks: bool) {
        self.statements.push(statement);
        if locks {
            self.locks.iter_mut().for_each(|(_, lock)| *lock = Lock::Exclusive);
        }
    }

    /// Whether this one must be there before the other begins.
    fn precedes(&self, other: &Task) -> bool {
        let both = self.work == Work::ForeignKey && other.work == Work::ForeignKey;
        both && self.place < other.place && self.table() == other.table()
    }

    /// The table that it alters.
    fn table(&self) -> Option<&TableName> {
        self.locks.first().map(|(table, _)| table)
    }

    fn blocks(&self, other: &Task) -> bool {
        self.locks.iter().any(|(table, lock)| {
            other.locks.iter().any(|(others, theirs)| {
                table == others && (*lock == Lock::Exclusive || *theirs == Lock::Exclusive)
            })
        })
    }
}

/// Which task of a stage may begin next.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The last is the one to begin first.
    waiting: Vec<Task>,
    running: Vec<Task>,
}

impl Schedule {
    /// Over the tasks of one stage: the weightiest first, else in their order.
    pub fn new(mut tasks: Vec<Task>) -> Self {
        tasks.sort_by_key(|task| std::cmp::Reverse(task.weight));
        tasks.reverse();
        Self { waiting: tasks, running: Vec::new() }
    }

    /// A task that none of the running ones would make wait; `None` if there is none now.
    pub fn begin(&mut self) -> Option<Task> {
        let at = self.free()?;
        let task = self.waiting.remove(at);
        self.running.push(task.clone());
        Some(task)
    }

    /// The waiting task that may begin now.
    fn free(&self) -> Option<usize> {
        let free = |task: &Task| {
            !self.running.iter().any(|running| running.blocks(task))
                && !self.waiting.iter().any(|waiting| waiting.precedes(task))
        };
        self.waiting.iter().rposition(free)
    }

    /// Whether the last task that began has nobody beside it: then it may have parallel workers of the
    /// server. While every session has a task, they would only take each other's time.
    pub fn alone(&self) -> bool {
        self.running.len() == 1 && self.free().is_none()
    }

    /// A task that had begun is done.
    pub fn end(&mut self, task: &Task) {
        if let Some(at) = self.running.iter().position(|running| running == task) {
            self.running.swap_remove(at);
        }
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
