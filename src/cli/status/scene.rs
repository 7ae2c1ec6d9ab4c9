//! What the facts are drawn from, looked at once. What is out of reach is kept as the failure that it met.

use jiff::Timestamp;

use super::driver::{self, Driving, Lock};
use crate::cli::Shell;
use crate::config::Config;
use crate::engine::standing;
use crate::engine::state::State;
use crate::event::Phase;
use crate::failure::Failure;
use crate::journal::{self, Entry, JournalError, Record, lease};
use crate::pg::Session;
use crate::runbook::Runbook;
use crate::store::Store;
use crate::time::now;
use crate::window::admin::{self, Holder};

/// An environment, its store and its server.
pub(super) struct Scene<'a> {
    pub shell: &'a Shell,
    pub config: &'a Config,
    pub store: &'a dyn Store,
    pub server: Result<Server, Failure>,
    pub last: Result<Option<Run>, Failure>,
}

/// The server of the environment's database.
pub(super) struct Server {
    /// On the maintenance database.
    pub session: Session,
    /// Who holds the run's lock.
    pub holder: Option<Holder>,
}

/// A run of this store.
pub(super) struct Run {
    pub id: String,
    pub records: Vec<Record>,
    pub state: State,
    /// Nothing is left to do for it.
    pub ended: bool,
    /// Who drives it, unless it has ended.
    pub driving: Option<Driving>,
}

impl<'a> Scene<'a> {
    pub async fn look(shell: &'a Shell, config: &'a Config, store: &'a dyn Store) -> Self {
        let (server, last) = tokio::join!(server(shell, config), newest(config, store));
        let mut scene = Self { shell, config, store, server, last: Ok(None) };
        scene.last = match last {
            Ok(Some((id, records))) => Ok(Some(scene.run(id, records).await)),
            Ok(None) => Ok(None),
            Err(failure) => Err(failure),
        };
        scene
    }

    /// The run with this id, as the store has it.
    pub async fn find(&self, id: &str) -> Result<Option<Run>, Failure> {
        match journal::read(self.store, id).await {
            Ok(history) => Ok(Some(self.run(id.to_string(), history.records).await)),
            Err(JournalError::NoRun { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The last run, if it is not over.
    pub fn unfinished(&self) -> Option<&Run> {
        self.last.as_ref().ok()?.as_ref().filter(|run| !run.ended)
    }

    /// Whoever holds the lock and drives the run `id`: one that this store need not know.
    pub fn driver_of(&self, id: &str) -> Option<&Holder> {
        let holder = self.server.as_ref().ok()?.holder.as_ref()?;
        driver::drives(&holder.application, id).then_some(holder)
    }

    async fn run(&self, id: String, records: Vec<Record>) -> Run {
        let ended = standing::ended(&records);
        let driving = match ended {
            true => None,
            false => {
                let lock = match &self.server {
                    Ok(server) => Lock::of(server.holder.as_ref(), &id),
                    Err(_) => Lock::Unknown,
                };
                let lease = lease::read(self.store, &id).await.ok().flatten();
                Some(driver::weigh(&lock, lease.as_ref(), &records, now()))
            }
        };
        Run { state: State::of(&records), id, records, ended, driving }
    }
}

impl Run {
    /// Whether somebody drives it now, as far as that can be known.
    pub fn is_driven(&self) -> bool {
        self.driving.as_ref().is_some_and(|driving| driving.alive == Some(true))
    }

    /// When its flag was first to go up.
    pub fn raised(&self) -> Option<Timestamp> {
        let cards = self.records.iter().find_map(|record| match &record.entry {
            Entry::Began { lines, .. } => Some(lines),
            _ => None,
        });
        // The first line of a window raises the flag, whatever it is called.
        let raise = cards?.iter().find(|card| card.phase == Phase::During)?.id;
        let is_it = |entry: &Entry| matches!(entry, Entry::Started { line, .. } if *line == raise);
        self.records.iter().find(|record| is_it(&record.entry)).map(|record| record.at)
    }

    /// How long its window may last; not known where the journal's runbook can't be read here.
    pub fn max(&self, shell: &Shell, config: &Config) -> Option<std::time::Duration> {
        let copy = standing::runbook_of(&self.records)?;
        let runbook = Runbook::parse(&copy.text, &copy.origin, &config.variables_with(&shell.variables));
        runbook.ok()?.window.map(|window| window.max)
    }
}

async fn server(shell: &Shell, config: &Config) -> Result<Server, Failure> {
    let session = shell.connect_admin(config, "status").await?;
    let holder = admin::holder_of(&session, config.database.url.database()).await?;
    Ok(Server { session, holder })
}

/// The newest run of this environment.
async fn newest(config: &Config, store: &dyn Store) -> Result<Option<(String, Vec<Record>)>, Failure> {
    for bounds in journal::bounds(store).await?.into_iter().rev() {
        if bounds.environment(store).await?.as_ref() == Some(&config.environment) {
            let records = journal::read(store, &bounds.run).await?.records;
            return Ok(Some((bounds.run, records)));
        }
    }
    Ok(None)
}
