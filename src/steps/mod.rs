//! The kinds of lines.

use std::time::Duration;

use crate::event::LineId;
use crate::runbook::{GuardKind, StepKind};

/// What a line does: a step of the runbook, a line of the window, or a line of the way back.
#[derive(Debug, Clone)]
pub enum Action {
    /// A step that the runbook names.
    Step(StepKind),
    /// Flag up.
    RaiseFlag {
        /// How long the window may last.
        max: Duration,
    },
    /// Nobody but us can reach the database.
    Close,
    /// A guard that is proven equal.
    Guard(GuardKind),
    /// Everybody can reach it again.
    Open,
    /// The database is the one it should be, a new session can write, and, if asked, health checks pass.
    Prove {
        /// Whether the environment's health checks belong to the proof.
        health: bool,
    },
    /// Flag down. Its start is `Clearing`.
    ClearFlag,
    /// What others wrote since `open`.
    ReadLedger,
    /// The undo of a command.
    Undo {
        /// The command's line.
        line: LineId,
        /// Program and arguments.
        run: Vec<String>,
    },
    /// The guard becomes production, in one transaction.
    Swap {
        /// Others may have written: they are counted behind the fence once more.
        opened: bool,
    },
    /// The unchanged database gets its name and its users back.
    Reopen,
}

impl Action {
    /// Whether this line may change the database's content or schema while it is ours alone.
    pub fn may_change_database(&self) -> bool {
        matches!(self, Action::Step(StepKind::Migrate { .. } | StepKind::Command(_)))
    }
}
