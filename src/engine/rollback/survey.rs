//! What server and store have to take a release back with. Changes nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::find::{self, Release};
use super::target::{self, Understood, Wanted};
use crate::backup::summary::{Summary, summarize};
use crate::backup::{self, open_pinned};
use crate::config::Config;
use crate::engine::lock;
use crate::failure::Failure;
use crate::pg::catalog::Database;
use crate::pg::{self, SessionOptions};
use crate::rollback::{By, Order};
use crate::steps::{bookkeeping, direct, session_options, steps_back};
use crate::store::Store;
use crate::time::{show_bytes, show_duration};
use crate::window::admin::Admin;
use crate::window::fence;
use crate::window::guard::Guard;
use crate::window::ledger::{self, Door, Mark};
use crate::window::names::{self, Role};
use crate::words::count;

/// What is known before anything is chosen.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The release that would be taken back; or why there is none.
    pub release: Result<Release, String>,
    /// There is no database of production's name.
    pub gone: bool,
    /// What was written since.
    pub written: Written,
    /// The ways back: all of them, with what bars those that are barred.
    pub ways: Vec<Way>,
}

/// What was written since the release opened the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    Nothing,
    /// So much.
    Some {
        /// Since when.
        since: Timestamp,
        /// Rows that are new or changed.
        rows: u64,
        /// Rows that are gone.
        deleted: u64,
        /// By object, in words.
        words: Vec<String>,
    },
    /// It can't be told, and why.
    Unknown(String),
}

/// One way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Which.
    pub by: By,
    /// What a run is told that goes it, or what bars it.
    pub order: Result<Order, String>,
    /// What it costs, in words; empty where it is barred.
    pub cost: String,
    /// How long its longest part is known to take, in milliseconds.
    pub millis: Option<u64>,
}

impl Survey {
    /// The way of this kind.
    pub fn way(&self, by: By) -> Option<&Way> {
        self.ways.iter().find(|way| way.by == by)
    }
}

/// Looks at journals, server and backups; gives what there is, and the way that was asked for by what was named.
///
/// Takes the run's lock for as long as it looks: nothing is compared beside a run. A crash may leave the guard open to
/// connections, which the swap shuts.
///
/// # Errors
/// A run that is not finished; a name that means nothing; the server's and the store's.
pub async fn survey(
    config: &Config,
    store: &dyn Store,
    wanted: &Wanted,
) -> Result<(Survey, Option<By>), Failure> {
    let admin = lock::take(config, "rollback", lock::WAIT).await?;
    let name = config.database.url.database();
    let production = admin.by_name(name).await?;
    if production.is_none() {
        fence::refuse_fenced(admin.session(), config, "take a release back").await?;
    }
    // What is gone is not gone on with.
    if production.is_some() {
        find::refuse_unfinished(store, &config.environment).await?;
    }
    let understood = wanted.understand(config, store).await?;
    let release = find::find(store, &config.environment, understood.run.as_deref()).await?;
    let look = Look { config, store, admin: &admin, production, release: release.as_ref().ok() };
    let written = look.written().await;
    let ways = vec![
        look.by_downgrade(&understood).await,
        look.by_guard(&written).await?,
        look.by_backup(&understood).await?,
    ];
    let gone = look.production.is_none();
    Ok((Survey { release, gone, written, ways }, understood.by))
}

struct Look<'a> {
    config: &'a Config,
    store: &'a dyn Store,
    admin: &'a Admin,
    production: Option<Database>,
    release: Option<&'a Release>,
}

impl Look<'_> {
    fn options(&self) -> SessionOptions {
        session_options(self.config, &format!("backstay rollback of {}", self.config.environment))
    }

    fn order(&self, by: By) -> Order {
        let release = self.release.map(|release| release.run.clone());
        let (marked, gone) = (self.mark().is_ok(), self.production.is_none());
        Order { by, release, backup: None, targets: Default::default(), marked, gone }
    }

    /// The database that the release opened, if it is production still.
    fn same_database(&self) -> Result<&Database, String> {
        let name = self.config.database.url.database();
        let production = self.production.as_ref().ok_or(format!("there is no database {name}"))?;
        let release = self.release.ok_or("there is no release to take back")?;
        match release.database == Some(production.oid) {
            true => Ok(production),
            false => Err(format!("{name} is another database now than the one that it released to")),
        }
    }

    fn mark(&self) -> Result<Mark, String> {
        let production = self.same_database()?.oid;
        self.release
            .and_then(|release| release.left.mark_for(production))
            .ok_or_else(|| "its journal has no mark of the moment when the database was opened".to_string())
    }

    fn guard(&self) -> Result<&Guard, String> {
        self.same_database()?;
        let guard = self.release.and_then(|release| release.left.guard.as_ref());
        guard.ok_or_else(|| "the release took no guard".to_string())
    }

    async fn written(&self) -> Written {
        let (mark, guard) = match (self.mark(), self.guard()) {
            (Ok(mark), Ok(guard)) => (mark, guard),
            (Err(why), _) | (_, Err(why)) => return Written::Unknown(why),
        };
        match self.read(&mark, guard).await {
            Ok(written) => written,
            Err(failure) => Written::Unknown(failure.to_string()),
        }
    }

    async fn read(&self, mark: &Mark, guard: &Guard) -> Result<Written, Failure> {
        let name = self.config.database.url.database();
        let live = open_pinned(&direct(self.config).with_database(name), &self.options()).await?;
        let server = self.config.database.admin_url.clone();
        let mut door = Door::new(self.admin, server, self.options(), guard, name);
        let found = ledger::read(&live, &mut door, mark, &bookkeeping(self.config)).await;
        door.shut(self.config.database.close_timeout).await?;
        live.close().await;
        let found = found?.without(&bookkeeping(self.config));
        let ledger = found.ledger();
        if ledger.is_empty() {
            return Ok(Written::Nothing);
        }
        let words = ledger.entries.iter().map(|entry| format!("{}: {}", entry.name, entry.what)).collect();
        let (rows, deleted) = found.rows();
        Ok(Written::Some { since: mark.at, rows, deleted, words })
    }

    async fn by_downgrade(&self, wanted: &Understood) -> Way {
        let found = self.downgrade(wanted.revision.as_deref()).await;
        let millis = self.release.map(|release| release.left.millis).filter(|_| wanted.revision.is_none());
        let (order, cost) = match found {
            Ok((order, steps)) => {
                let took = millis.map(|millis| {
                    let took = show_duration(Duration::from_millis(millis));
                    format!("; its lines in the window took {took} on the way there")
                });
                let cost = format!(
                    "takes back {} and keeps what was written since, but for what stands in what they added{}",
                    steps.join(", "),
                    took.unwrap_or_default()
                );
                (Ok(order), cost)
            }
            Err(why) => (Err(why), String::new()),
        };
        Way { by: By::Downgrade, millis: millis.filter(|_| order.is_ok()), order, cost }
    }

    async fn downgrade(&self, revision: Option<&str>) -> Result<(Order, Vec<String>), String> {
        if self.production.is_none() {
            return Err(format!("there is no database {}", self.config.database.url.database()));
        }
        let applied = self.release.map(|release| release.left.applied.as_slice()).unwrap_or_default();
        if revision.is_none() && self.release.is_none() {
            return Err("there is no release to take back".to_string());
        }
        let targets = target::targets(self.config, applied, revision)?;
        let session = pg::connect(direct(self.config), &self.options()).await.map_err(Failure::from);
        let session = session.map_err(|failure| failure.to_string())?;
        let steps =
            steps_back(self.config, &targets, &session).await.map_err(|failure| failure.to_string())?;
        if steps.is_empty() {
            return Err("nothing of it is left to be taken back".to_string());
        }
        let others: Vec<&str> =
            steps.iter().filter(|step| !applied.contains(step)).map(String::as_str).collect();
        if revision.is_none() && !others.is_empty() {
            return Err(format!(
                "{} stands above what it applied, and would be taken back too: --to REVISION, if that is meant",
                others.join(", ")
            ));
        }
        Ok((Order { targets, ..self.order(By::Downgrade) }, steps))
    }

    async fn by_guard(&self, written: &Written) -> Result<Way, Failure> {
        let order = match self.guard() {
            Ok(guard) => self.expect_guard(guard).await?.map(|()| self.order(By::Guard)),
            Err(why) => Err(why),
        };
        let cost = match (&order, self.guard()) {
            (Ok(_), Ok(guard)) => {
                format!("{} takes production's place, in seconds; {}", guard.name, kept(written))
            }
            _ => String::new(),
        };
        Ok(Way { by: By::Guard, order, cost, millis: None })
    }

    /// Whether the guard is there and the one that the release proved: names and ids must both fit.
    async fn expect_guard(&self, guard: &Guard) -> Result<Result<(), String>, Failure> {
        let run = self.release.map(|release| release.run.as_str()).unwrap_or_default();
        let ours = |name: &str| {
            let trace = names::trace(self.config.database.url.database(), name);
            trace.is_some_and(|trace| trace.role == Role::Guard && trace.run == run)
        };
        Ok(match self.admin.by_oid(guard.oid).await? {
            None => Err(format!("its guard {} was cleaned up", guard.name)),
            Some(found) if found.is_invalid => Err(format!("its guard {} is damaged", guard.name)),
            Some(found) if !ours(&found.name) => {
                Err(format!("its guard {} is no guard any more: it is called {}", guard.name, found.name))
            }
            Some(_) => Ok(()),
        })
    }

    async fn by_backup(&self, wanted: &Understood) -> Result<Way, Failure> {
        let way = |order, cost, millis| Way { by: By::Backup, order, cost, millis };
        let Some(summary) = self.backup(wanted.backup.as_deref()).await? else {
            return Ok(way(Err("there is no backup of before it on the store".into()), String::new(), None));
        };
        let id = summary.entry.id.clone();
        if let Some(why) = &summary.refused {
            return Ok(way(Err(format!("backup {id} can't be read: {why}")), String::new(), None));
        }
        if summary.is_damaged() {
            return Ok(way(Err(format!("backup {id} failed its proof")), String::new(), None));
        }
        let took = match summary.restore_millis {
            Some(millis) => {
                format!("{} when it was last proven", show_duration(Duration::from_millis(millis)))
            }
            None => "how long was never measured".to_string(),
        };
        let stored = show_bytes(summary.entry.bytes);
        let rows = count(summary.rows.unwrap_or_default(), "row", "rows");
        let cost =
            format!("restores {id}: {rows}, {stored}; {took}; production then lacks all that is later");
        let order = Order { backup: Some(id), ..self.order(By::Backup) };
        Ok(way(Ok(order), cost, summary.restore_millis))
    }

    /// The named one; else the release's own, or the newest of before it that failed no proof.
    async fn backup(&self, named: Option<&str>) -> Result<Option<Summary>, Failure> {
        let listing = backup::list(self.store, &self.config.environment).await.map_err(Failure::from)?;
        let own = self.release.and_then(|release| release.left.backup.as_deref());
        let wanted = named.or(own);
        let before = |id: &str| self.release.is_none_or(|release| id < release.run.as_str());
        let sound =
            || listing.backups.iter().rev().filter(|entry| entry.damaged_at.is_none() && entry.at.is_some());
        let exact = listing.backups.iter().find(|entry| Some(entry.id.as_str()) == wanted);
        let entry = match (exact, named) {
            (Some(entry), _) => Some(entry),
            (None, Some(_)) => None,
            (None, None) => sound().find(|entry| before(&entry.id)),
        };
        let Some(entry) = entry else { return Ok(None) };
        let entries = std::slice::from_ref(entry);
        let found = summarize(self.store, &self.config.environment, entries).await.map_err(Failure::from)?;
        Ok(found.into_iter().next())
    }
}

fn kept(written: &Written) -> String {
    match written {
        Written::Nothing => "nothing was written since".to_string(),
        Written::Some { rows, deleted, .. } => {
            let deleted = match deleted {
                0 => String::new(),
                n => format!(" and {}", count(*n, "deletion", "deletions")),
            };
            format!("{}{deleted} of since go to the ledger", count(*rows, "row", "rows"))
        }
        Written::Unknown(_) => "what was written since goes to the ledger".to_string(),
    }
}
