//! The checklist of a release, as `runbooks/<name>.toml` writes it: text in, validated values out.

mod fit;
mod load;
mod order;
mod step;
#[cfg(test)]
mod tests;
mod watch;

pub use load::{RunbookError, SHIPPED, runbooks};
pub use watch::{ActivityLimits, LogSource, LogWatch, OnBreach, Rate, RowLimits, WatchStep};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::backup::Level;
use crate::config::{HttpCheck, SqlCheck};
use crate::rollback::By;

/// A runbook. Orders that can't work are refused when it is read.
#[derive(Debug, Clone)]
pub struct Runbook {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The file, or `shipped:NAME`.
    pub origin: String,
    /// Its whole text: journaled, so that `resume` follows the runbook that was begun.
    pub text: String,
    /// Production serves.
    pub before: Vec<Step>,
    /// The maintenance window, if there is one.
    pub window: Option<Window>,
    /// After the window; production serves.
    pub after: Vec<Step>,
}

impl Runbook {
    /// The step that takes a release back, if there is one: such a runbook is `backstay rollback`'s alone.
    pub fn rollback(&self) -> Option<&Step> {
        let during = self.window.iter().flat_map(|window| &window.during);
        during.into_iter().find(|step| matches!(step.kind, StepKind::Rollback { .. }))
    }
}

/// `[window]`, with the steps that stand in it.
#[derive(Debug, Clone)]
pub struct Window {
    /// What production is put back from.
    pub guard: GuardKind,
    /// How long the flag should be up at most.
    pub max: Duration,
    /// How long it may last before production is put back by itself; never, if not set.
    pub put_back_after: Option<Duration>,
    /// The environment's schedule does not hold for it: what puts production back waits for nothing.
    pub any_time: bool,
    /// The database is closed: it is ours alone.
    pub during: Vec<Step>,
    /// Open again, flag still up.
    pub open: Vec<Step>,
    /// There is no earlier application to be healthy: a first deploy. The put-back's proof leaves health out.
    pub first_deploy: bool,
}

/// What production is put back from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    /// `CREATE DATABASE … TEMPLATE`: seconds for gigabytes.
    Clone,
    /// A dump behind the fence, restored to a side database and compared.
    Backup,
}

/// One line of the checklist.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name; made from the kind where the runbook gives none.
    pub name: String,
    /// What it does.
    pub kind: StepKind,
}

/// The closed set of kinds.
#[derive(Debug, Clone)]
pub enum StepKind {
    /// Every precondition of the lines that follow, checked.
    Preflight,
    /// A backup on the store.
    Backup {
        /// How far it must be proven.
        verify: Level,
    },
    /// The pending migrations, judged: what is dangerous about them refuses the release.
    Lint,
    /// The pending migrations as SQL, on the store.
    Preview,
    /// A person agrees to what was previewed.
    Approve,
    /// A person says that something which only a person can see to is done.
    Checklist {
        /// The questions that must be answered with yes; in a plan each has a line of its own.
        asks: Vec<String>,
    },
    /// Migrations.
    Migrate {
        /// The target, as Alembic writes targets.
        to: String,
        /// Which root of the environment; all of them, in order, if none is named.
        root: Option<String>,
    },
    /// A release is taken back, as `backstay rollback` was told.
    Rollback {
        /// The way, where the command line names none.
        by: Option<By>,
    },
    /// A program.
    Command(CommandStep),
    /// Programs side by side.
    Services(Vec<Service>),
    /// Health checks: the environment's, unless the step has its own.
    Health {
        /// HTTP checks of this step.
        http: Vec<HttpCheck>,
        /// SQL checks of this step.
        sql: Vec<SqlCheck>,
    },
    /// The schema and data are as expected.
    Verify(VerifyStep),
    /// Production is looked at for a while.
    Watch(WatchStep),
    /// Notes the release.
    Record(RecordStep),
}

/// `step = "command"`.
#[derive(Debug, Clone)]
pub struct CommandStep {
    /// Program and arguments; no shell.
    pub run: Vec<String>,
    /// What takes it back.
    pub undo: Undo,
    /// A bound on it.
    pub timeout: Duration,
    /// Where it runs, from the project's root; there if not said.
    pub directory: Option<PathBuf>,
    /// Variables beside ours.
    pub env: BTreeMap<String, String>,
    /// Where what it deploys is to be seen, for the summary.
    pub url: Option<String>,
}

/// One of several commands that run side by side: `[[….service]]` of `step = "services"`.
#[derive(Debug, Clone)]
pub struct Service {
    /// What its output and its failures are told by; empty for a command that runs alone.
    pub name: String,
    /// What it does.
    pub command: CommandStep,
}

impl StepKind {
    /// Its commands, if it is one or several.
    pub fn commands(&self) -> Vec<Service> {
        match self {
            StepKind::Command(command) => vec![Service { name: String::new(), command: command.clone() }],
            StepKind::Services(services) => services.clone(),
            _ => Vec::new(),
        }
    }
}

/// What takes a command back. A command inside the window must say one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// An idempotent command; run if the command was *started*.
    Run(Vec<String>),
    /// Waived (`undo = "none"`).
    None,
}

/// `step = "record"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordStep {
    /// A changelog to which a line is added; from the project's root.
    pub changelog: Option<PathBuf>,
    /// A file for the schema dump; from the project's root.
    pub schema: Option<PathBuf>,
    /// A git tag, with `{date}`, `{time}`, `{run}` and `{environment}` to be filled in.
    pub tag: Option<String>,
}

/// `step = "verify"`.
#[derive(Debug, Clone, Default)]
pub struct VerifyStep {
    /// How many user tables there must be, the version table included (`tables = 11`).
    pub table_count: Option<u64>,
    /// Tables that must be there, by name (`tables = ["users", …]`).
    pub tables: Vec<String>,
    /// No other tables may be there, but for the version tables (`tables = { exactly = ["users", …] }`).
    pub only_these_tables: bool,
    /// Columns that tables must have: table → column → type, or empty for any type.
    pub columns: BTreeMap<String, BTreeMap<String, String>>,
    /// The owner that every user table must have.
    pub owner: Option<String>,
    /// At least so many indexes.
    pub indexes: Option<u64>,
    /// Indexes that must be there and valid, by name.
    pub index_names: Vec<String>,
    /// At least so many foreign keys.
    pub foreign_keys: Option<u64>,
    /// Foreign keys that must be there: by name, or as `orders(customer_id) -> customers(id)`.
    pub foreign_key_names: Vec<String>,
    /// The schema is what the migrations make: no drift (`schema = "as migrated"`).
    pub as_migrated: bool,
    /// The migrations are tried on a scratch database: up, down and up again.
    pub round_trip: bool,
    /// Tables whose row counts may fall; `["*"]` for all.
    pub may_shrink: Vec<String>,
}
