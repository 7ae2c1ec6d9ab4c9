//! Indexes, constraints and all that follows them, by several sessions at once.

use std::collections::HashMap;

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::order::{Plan, Schedule, Stage, Task, Work};
use super::sql::{execute, first_line, run_together};
use super::{Filling, Rows};
use crate::backup::error::BackupError;
use crate::backup::manifest::TableName;
use crate::backup::name::POST_DATA;
use crate::event::Unit;
use crate::pg::{Session, sqlstate};

const WHAT: &str = "indexes and constraints";

impl Filling<'_> {
    /// Runs all that comes after the rows; gives the statements that were left out.
    pub(super) async fn run_post_data(&self) -> Result<Vec<String>, BackupError> {
        let bytes: HashMap<&TableName, u64> = self
            .manifest
            .tables
            .iter()
            .map(|table| (&table.table, table.chunks.iter().map(|chunk| chunk.bytes).sum()))
            .collect();
        let statements = self.statements(POST_DATA).await?;
        let plan = Plan::of(statements, |table| bytes.get(table).copied().unwrap_or_default());
        let workers = self.sessions(plan.tasks()).await?;
        let workers =
            workers.into_iter().map(|session| Worker { session, settings: 0, parallel: true }).collect();
        let mut building =
            Building { filling: self, workers, done: 0, total: plan.tasks(), left_out: Vec::new() };
        for stage in &plan.stages {
            match stage {
                Stage::InOrder(tasks) => building.in_order(&plan, tasks).await?,
                Stage::Beside(tasks) => building.beside(&plan, tasks).await?,
            }
        }
        Ok(building.left_out)
    }
}

/// A session, and which of the plan's settings it has.
struct Worker {
    session: Session,
    settings: usize,
    parallel: bool,
}

impl Worker {
    async fn prepare(&mut self, plan: &Plan, task: &Task) -> Result<(), BackupError> {
        if self.settings != task.settings {
            execute(&self.session, plan.settings_of(task), WHAT).await?;
            self.settings = task.settings;
        }
        Ok(())
    }

    /// Whether an index may be made by several processes of the server, as many as its own settings say.
    async fn allow_parallel(&mut self, allow: bool) -> Result<(), BackupError> {
        if self.parallel != allow {
            let sql = match allow {
                true => "RESET max_parallel_maintenance_workers",
                false => "SET max_parallel_maintenance_workers = 0",
            };
            execute(&self.session, sql, WHAT).await?;
            self.parallel = allow;
        }
        Ok(())
    }

    /// Runs a task's statements, each of which is committed by itself. One that the server gives up for a deadlock
    /// is run again, for its opponent has gone on: what the statements do not show, such as the partitions of a
    /// referenced table, is locked all the same.
    async fn run(&mut self, plan: &Plan, task: &Task) -> Result<(), BackupError> {
        self.prepare(plan, task).await?;
        for statement in &task.statements {
            loop {
                match execute(&self.session, statement, WHAT).await {
                    Err(error) if is_deadlock(&error) => {}
                    Err(error) => return Err(error),
                    Ok(()) => break,
                }
            }
        }
        Ok(())
    }
}

/// The plan as it is carried out.
struct Building<'f, 'a> {
    filling: &'f Filling<'a>,
    /// Those that have nothing to do; at least one.
    workers: Vec<Worker>,
    done: usize,
    total: usize,
    left_out: Vec<String>,
}

impl Building<'_, '_> {
    async fn beside(&mut self, plan: &Plan, tasks: &[Task]) -> Result<(), BackupError> {
        let mut schedule = Schedule::new(tasks.to_vec());
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(mut worker) = self.workers.pop() {
                let Some(task) = schedule.begin() else {
                    self.workers.push(worker);
                    break;
                };
                self.report(&task);
                let alone = schedule.alone() || self.workers.is_empty() && running.is_empty();
                running.push(async move {
                    let result = match worker.allow_parallel(alone).await {
                        Ok(()) => worker.run(plan, &task).await,
                        refused => refused,
                    };
                    (worker, task, result)
                });
            }
            let Some((worker, task, result)) = running.next().await else { return Ok(()) };
            self.workers.push(worker);
            schedule.end(&task);
            self.finish(task, result)?;
        }
    }

    async fn in_order(&mut self, plan: &Plan, tasks: &[Task]) -> Result<(), BackupError> {
        let small = |task: &Task| task.work == Work::Other;
        for group in tasks.chunk_by(|a, b| small(a) && small(b) && a.settings == b.settings) {
            let Some((worker, first)) = self.workers.first_mut().zip(group.first()) else { continue };
            if first.work == Work::Refresh && self.filling.options.rows == Rows::None {
                self.left_out.extend(first.statements.clone());
                self.done += 1;
                continue;
            }
            worker.prepare(plan, first).await?;
            self.report(first);
            let Some(worker) = self.workers.first_mut() else { continue };
            let statements: Vec<String> = group.iter().flat_map(|task| task.statements.clone()).collect();
            for batch in statements.chunks(64) {
                run_together(&worker.session, batch, WHAT).await?;
            }
            self.done += group.len();
        }
        Ok(())
    }

    /// Counts a task as done, or left out where it cannot hold without the rows that nobody wanted.
    fn finish(&mut self, task: Task, result: Result<(), BackupError>) -> Result<(), BackupError> {
        self.done += 1;
        match result {
            Err(error) if task.work == Work::ForeignKey && self.cannot_hold(&error) => {
                self.left_out.extend(task.statements);
                Ok(())
            }
            result => result,
        }
    }

    fn cannot_hold(&self, error: &BackupError) -> bool {
        // 23503 foreign_key_violation
        matches!(self.filling.options.rows, Rows::Only(_)) && state(error) == Some("23503")
    }

    fn report(&self, task: &Task) {
        let (done, total) = (self.done as u64, self.total as u64);
        let note = task.statements.first().map(|statement| first_line(statement)).unwrap_or_default();
        self.filling.progress.at(done, Some(total), Unit::Items, note);
    }
}

fn is_deadlock(error: &BackupError) -> bool {
    // 40P01 deadlock_detected
    state(error) == Some("40P01")
}

fn state(error: &BackupError) -> Option<&str> {
    match error {
        BackupError::Sql { source, .. } => sqlstate(source),
        _ => None,
    }
}
