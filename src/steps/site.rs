//! Where a line works: the environment, the run, the lock connection, and what earlier lines left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Left;
use crate::answers::Answers;
use crate::backup::Level;
use crate::backup::attributes::DatabaseAttributes;
use crate::config::Config;
use crate::event::{Events, LineId, Phase, Progress};
use crate::failure::Failure;
use crate::forecast::Forecast;
use crate::journal::Target;
use crate::machine::Machine;
use crate::migrate::Database;
use crate::pg::{ConnInfo, SessionOptions};
use crate::process::orphans::Owner;
use crate::rollback::Order;
use crate::runbook::Service;
use crate::store::{Spool, Store};
use crate::window::admin::Admin;
use crate::window::flag::Bearer;
use crate::window::guard::Guard;
use crate::window::ledger::{Counters, Mark};
use crate::window::names::{self, Role};
use crate::window::tag::Tag;

/// Everything that a line may use.
pub struct Site<'a> {
    /// The environment.
    pub config: &'a Config,
    /// The store.
    pub store: &'a Arc<dyn Store>,
    /// The same, with what stands in for it while production is put back.
    pub spool: &'a Arc<Spool>,
    /// The run's id.
    pub run: &'a str,
    /// Which driver of it we are.
    pub epoch: u32,
    /// The database that the run is about.
    pub target: &'a Target,
    /// The connection that holds the lock.
    pub admin: &'a mut Admin,
    /// The event stream.
    pub events: &'a Events,
    /// The line at work.
    pub line: LineId,
    /// The phase that it stands in.
    pub phase: Phase,
    /// Confirmations are answered with yes (`--yes`).
    pub yes: bool,
    /// The plan file that this run was begun with.
    pub planned: Option<&'a super::Planned>,
    /// What earlier lines left.
    pub recall: Recall,
    /// What stands in this run's plan and matters to its lines.
    pub outline: &'a Outline,
    /// Answers to the checklist that were given ahead.
    pub answers: &'a Answers,
    /// How long the run is likely to take.
    pub forecast: &'a Forecast,
    /// The schedule holds for it.
    pub bound: bool,
}

/// What a line needs to know of the plan as a whole.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// The runbook's name.
    pub runbook: String,
    /// There is a window.
    pub window: bool,
    /// A backup is taken, by a step or as the guard.
    pub backs_up: bool,
    /// A backup is restored, as the guard or to prove it.
    pub restores: bool,
    /// A `verify` stands in the window: the guard counts rows for it.
    pub counts_rows: bool,
    /// Tables that a `verify` lets lose rows: the release itself takes them out.
    pub may_shrink: Vec<String>,
    /// There is no earlier application.
    pub first_deploy: bool,
    /// What a rollback was told.
    pub rollback: Option<Order>,
    /// The targets of the migrate steps: root (or all) and target.
    pub migrations: Vec<(Option<String>, String)>,
    /// The commands of the plan, by line: an undo runs where its command ran.
    pub commands: BTreeMap<LineId, Vec<Service>>,
    /// The programs whose output a watch reads, by line.
    pub logs: Vec<(LineId, Vec<String>)>,
    /// The names of the checklist's lines, by which answers may be given.
    pub questions: BTreeMap<LineId, String>,
    /// SHA-256 over every line of the plan: a part of what is approved.
    pub digest: String,
}

/// What earlier lines left for later ones; read from the journal, so it survives the driver.
#[derive(Debug, Clone, Default)]
pub struct Recall {
    /// Production's attributes and names, from the start of `close`.
    pub closing: Option<Closing>,
    /// Where the flag was raised.
    pub raising: Option<Raising>,
    /// Somebody said that the flag is down on the machine where it was raised.
    pub flag_is_down: bool,
    /// Somebody decided to run although the schedule said no.
    pub outside_schedule: bool,
    /// What cut a line of this driver short.
    pub stopped_by: Option<String>,
    /// The proven guard.
    pub guard: Option<GuardFacts>,
    /// The mark of `open`.
    pub mark: Option<Mark>,
    /// What was previewed.
    pub preview: Option<Preview>,
    /// The backup of this run.
    pub backup: Option<BackupFacts>,
    /// What the window must not open without: how far each backup before it must be proven, and which it is
    /// (nothing, where its line left nothing that can be read).
    pub proven: Vec<(Level, Option<BackupFacts>)>,
    /// The backup that a rollback restored beside production.
    pub aside: Option<Guard>,
    /// The database that a rollback put in production's place.
    pub exchanged: Option<Exchanged>,
    /// The swap took place: production is the guard now.
    pub swapped: bool,
    /// Somebody decided that others' writes go to the ledger, by config or by word.
    pub put_back_anyway: bool,
    /// What the run applied: revisions, in order.
    pub applied: Vec<String>,
    /// How long the line at work was worked at before a person stopped it.
    pub watched: Duration,
}

/// The intent of raising the flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raising {
    /// The machine: a flag that is a file may be there alone.
    #[serde(flatten)]
    pub machine: Machine,
}

/// The intent of `close`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// Production's attributes, to be given to the guard.
    pub attributes: DatabaseAttributes,
}

/// What the guard line left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardFacts {
    /// The guard.
    pub guard: Guard,
    /// Rows of every table behind the fence, where a later line asks for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, i64>,
    /// What the write counters said then.
    #[serde(default)]
    pub counters: Counters,
}

/// What the preview line left: what is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// SHA-256 over commit, SQL and plan.
    pub hash: String,
    /// SHA-256 over the SQL alone: a migrate step compares it.
    pub sql_hash: String,
    /// The revisions that are pending, in order.
    pub revisions: Vec<String>,
    /// SHA-256 of what each of them is made of: what is left of them after a death must be what was approved, too.
    #[serde(default)]
    pub files: Vec<String>,
    /// The object on the store that holds the SQL.
    pub object: String,
    /// The commit of the project, if it is a git checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// What the backup line left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// The backup's id.
    pub backup: String,
    /// A transaction id (64 bit) of before its snapshot: what it has not is younger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<i64>,
}

/// What a rollback left that put another database in production's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The database that is production now, by id.
    pub database: u32,
    /// The name that it had before.
    pub name: String,
    /// The backup that it was restored from, if it is no clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The name under which the database of before is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_as: Option<String>,
    /// What is left to be done, and where on the store the writes are that the kept one alone has.
    #[serde(flatten)]
    pub left: Left,
}

impl Outline {
    /// Whether another database takes production's place.
    pub fn exchanges(&self) -> bool {
        self.rollback.as_ref().is_some_and(Order::exchanges)
    }

    /// Whether there is no database that could be closed or gone back to.
    pub fn is_one_way(&self) -> bool {
        self.rollback.as_ref().is_some_and(|order| order.gone)
    }
}

impl Site<'_> {
    /// A handle for this line's progress.
    pub fn progress(&self) -> Progress {
        self.events.progress(self.line)
    }

    /// The name that the database has for this driver while it is fenced.
    pub fn window_name(&self) -> String {
        self.companion(Role::Window)
    }

    /// The name of a companion database of this run.
    pub fn companion(&self, role: Role) -> String {
        names::companion(&self.target.name, role, self.run, self.epoch)
    }

    /// The flag's bearer.
    pub fn bearer(&self) -> Bearer {
        Bearer { run: self.run.to_string(), epoch: self.epoch, line: Some(self.line) }
    }

    /// Whose the programs are that this line starts.
    pub fn owner(&self) -> Owner {
        Owner { run: self.run.to_string(), epoch: self.epoch, line: self.line }
    }

    /// What sessions of this run set; `role` tells them apart in `pg_stat_activity`. A server that restarts is waited
    /// for.
    pub fn session(&self, role: &str) -> SessionOptions {
        let name = Tag::new(self.run, self.epoch, role).to_string();
        let patience = self.config.database.restart_timeout;
        SessionOptions { patience, ..session_options(self.config, &name) }
    }

    /// As [`Site::session`], for the application's own way in: where that leads through a pooler, the session is
    /// lent.
    pub fn front_session(&self, role: &str) -> SessionOptions {
        SessionOptions { lent: behind_a_pooler(self.config), ..self.session(role) }
    }

    /// The database's present name: in the window it is the fence's.
    ///
    /// # Errors
    /// If it is gone, or was swapped out and is kept: nobody may touch it then.
    pub async fn present_name(&self) -> Result<String, Failure> {
        match self.admin.name_of(self.live_oid()).await? {
            // An exchange of which no record tells: its answer was lost.
            Some(name) if self.is_exchanged_out(&name) => Ok(self.window_name()),
            Some(name) => self.refuse_swapped_out(&name).map(|()| name),
            None => Err(Failure::refused(format!("find database {}", self.target.name))
                .because_of("it does not exist any more")
                .then("restore the latest backup: backstay backup list")),
        }
    }

    /// Refuses a database that is called `name` now, if it is one that was swapped out: it stays as it is.
    ///
    /// # Errors
    /// The refusal.
    pub fn refuse_swapped_out(&self, name: &str) -> Result<(), Failure> {
        if !names::is(&self.target.name, name, Role::Failed) {
            return Ok(());
        }
        Err(Failure::refused(format!("work in database {}", self.target.name))
            .because_of(format!("it was swapped out and is kept as {name}: production was put back already"))
            .leaving("neither of the two was touched")
            .then(format!("backstay status -e {}", self.config.environment)))
    }

    /// Whether `name` says that a rollback took that database out of production's place.
    fn is_exchanged_out(&self, name: &str) -> bool {
        self.outline.exchanges()
            && self.recall.exchanged.is_none()
            && names::is(&self.target.name, name, Role::Failed)
    }

    /// The id of the database that production is now: the guard's after a swap, another's after an exchange.
    pub fn live_oid(&self) -> u32 {
        match (&self.recall.guard, &self.recall.exchanged, self.recall.swapped) {
            (Some(facts), _, true) => facts.guard.oid,
            (_, Some(exchanged), false) => exchanged.database,
            _ => self.target.oid,
        }
    }

    /// The way to the live database as the application's role, past any pooler: a pooler does not know the
    /// window's name.
    ///
    /// # Errors
    /// As [`Site::present_name`].
    pub async fn live(&self) -> Result<ConnInfo, Failure> {
        Ok(direct(self.config).with_database(&self.present_name().await?))
    }

    /// The live database, for those who migrate it.
    ///
    /// # Errors
    /// As [`Site::present_name`].
    pub async fn migrated(&self) -> Result<Database, Failure> {
        let admin = self.config.database.maintenance();
        Ok(Database::new(self.live().await?, admin, self.session("migrate")))
    }
}

/// What every session for this environment sets.
pub fn session_options(config: &Config, application_name: &str) -> SessionOptions {
    SessionOptions {
        application_name: application_name.to_string(),
        connect_timeout: config.database.connect_timeout,
        ..SessionOptions::default()
    }
}

/// The server past any pooler, as the application's role where both URLs name the same server.
pub fn direct(config: &Config) -> &ConnInfo {
    if behind_a_pooler(config) { &config.database.admin_url } else { &config.database.url }
}

/// Whether the application's own way in leads to another place than ours.
fn behind_a_pooler(config: &Config) -> bool {
    let (app, admin) = (&config.database.url, &config.database.admin_url);
    app.host() != admin.host() || app.port() != admin.port()
}
