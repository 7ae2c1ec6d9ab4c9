//! `backstay backup …`: backups on the store.

pub(super) mod list;
mod prune;
mod restore;
mod show;
mod verify;

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::work::Work;
use super::{Shell, Trouble};
use crate::backup::{self, Level, Manifest, Place, summary, survey};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::steps::{direct, session_options, write_options};
use crate::time::{between, now, parse_duration, show_age, show_bytes, show_duration};
use crate::words::count;

/// Backups on the store
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Take a backup of the environment's database; production serves on
    Create {
        /// Only if no younger backup of this database is there, whole and without a failed proof
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        if_older: Option<Duration>,
    },
    /// The backups of the environment, and what interrupted ones left
    List,
    /// What a backup holds
    Show {
        /// An id, the beginning of one, or latest
        backup: String,
    },
    /// Prove that a backup is good; exit 3 names what is not
    Verify {
        /// An id, the beginning of one, or latest
        backup: String,
        /// manifest: every object is there; read: read to the last byte; restore: restored to a side
        /// database, compared table by table, dropped
        #[arg(long, default_value = "read")]
        level: Level,
    },
    /// Restore a backup to a new side database, and compare it; production is not touched
    Restore {
        /// An id, the beginning of one, or latest (refused if that failed a proof)
        backup: String,
        /// The new database; never one that exists
        #[arg(long = "as", value_name = "DATABASE")]
        database: String,
        /// Another server, as the URL of a database there (default: the environment's)
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        #[command(flatten)]
        parts: restore::Parts,
    },
    /// Remove old backups and what interrupted ones left
    Prune(Prune),
}

/// What `prune` keeps: the newest that failed no proof and the best proven always.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Keep the newest N (default: 7, or 1 with --older-than)
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove only what is older than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// What interrupted backups left goes when it is older than this: younger, it may be being written
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "24h")]
    leftovers_older_than: Duration,
    /// Only name what would be removed
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Remove without asking
    #[arg(long)]
    yes: bool,
}

impl Backup {
    /// Whether it asks the database's server: what only reads or clears the store does not.
    pub fn asks_a_server(&self) -> bool {
        match self {
            Backup::Create { .. } | Backup::Restore { .. } => true,
            Backup::Verify { level, .. } => matches!(level, Level::Restore),
            Backup::List | Backup::Show { .. } | Backup::Prune(_) => false,
        }
    }
}

pub(super) async fn run(shell: &Shell, command: &Backup) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    match command {
        Backup::Create { if_older } => match if_older {
            Some(than) if is_there(shell, &config, *than).await? => Ok(Verdict::Done),
            _ => create(shell, &config).await,
        },
        Backup::List => list::list(shell, &config).await,
        Backup::Show { backup } => show::show(shell, &config, backup).await,
        Backup::Verify { backup, level } => verify::run(shell, &config, backup, *level).await,
        Backup::Restore { backup, database, server, parts } => {
            restore::run(shell, &config, backup, database, server.as_deref(), parts).await
        }
        Backup::Prune(order) => prune::run(shell, &config, order).await,
    }
}

/// Whether a backup younger than `than` makes another needless; says which.
async fn is_there(shell: &Shell, config: &Config, than: Duration) -> Result<bool, Failure> {
    let store = shell.store(config);
    let database = config.database.url.database();
    let found = summary::newest_within(&*store, &config.environment, database, than, now()).await?;
    let Some(entry) = found else { return Ok(false) };
    let age = entry.at.map(|at| between(at, now())).unwrap_or_default();
    shell.tell(
        &format!("{} is {} old: no other was taken", entry.id, show_age(age)),
        json!({
            "environment": config.environment, "backup": entry.id, "created": false,
            "age_millis": crate::event::millis(age),
        }),
    );
    Ok(true)
}

async fn create(shell: &Shell, config: &Config) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let place = Place::fresh(&config.environment);
    let options = write_options(config, session_options(config, "backstay backup create"));
    let others = survey::refuse_what_stops(direct(config), &options.session).await.map_err(Failure::from)?;
    for finding in &others {
        shell.note(&format!("{finding} ({})", finding.remedy));
    }
    let began = std::time::Instant::now();
    let work = Work::begin(shell);
    let written = backup::write(direct(config), &*store, &place, &options, &work.progress).await;
    work.end().await;
    let manifest = written.map_err(Failure::from)?;
    let took = began.elapsed();
    let text = format!("{}: {} in {}", manifest.id, contents(&manifest), show_duration(took));
    shell.tell(
        &text,
        json!({
            "environment": config.environment, "backup": manifest.id, "created": true,
            "tables": manifest.tables.len(), "rows": manifest.rows(),
            "raw_bytes": manifest.raw_bytes(), "stored_bytes": manifest.stored_bytes(),
            "millis": crate::event::millis(took),
        }),
    );
    shell.note(&format!(
        "not proven yet: backstay backup verify {} --level restore -e {}",
        manifest.id, config.environment
    ));
    Ok(Verdict::Done)
}

/// `11 tables, 4321 rows, 3.4 MB stored`
fn contents(manifest: &Manifest) -> String {
    format!(
        "{}, {}, {} stored",
        count(manifest.tables.len() as u64, "table", "tables"),
        count(manifest.rows(), "row", "rows"),
        show_bytes(manifest.stored_bytes())
    )
}
