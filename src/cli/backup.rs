//! `backstay backup …`: backups on the store.

mod prune;
mod restore;
mod show;
mod verify;

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::work::Work;
use super::{Shell, Trouble};
use crate::backup::{self, Level, Manifest, Place, survey, write};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::steps::{codec, direct, session_options};
use crate::time::{parse_duration, show_bytes, show_duration};

/// Backups on the store
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Take a backup of the environment's database; production serves on
    Create,
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
        /// An id, the beginning of one, or latest
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

/// What `prune` keeps: the newest and the best proven always.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Keep the newest N (default: 7, or 1 with --older-than)
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove only what is older than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Remove without asking
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(shell: &Shell, command: &Backup) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    match command {
        Backup::Create => create(shell, &config).await,
        Backup::List => show::list(shell, &config).await,
        Backup::Show { backup } => show::show(shell, &config, backup).await,
        Backup::Verify { backup, level } => verify::run(shell, &config, backup, *level).await,
        Backup::Restore { backup, database, server, parts } => {
            restore::run(shell, &config, backup, database, server.as_deref(), parts).await
        }
        Backup::Prune(order) => prune::run(shell, &config, order).await,
    }
}

async fn create(shell: &Shell, config: &Config) -> Result<Verdict, Trouble> {
    let store = shell.store(config);
    let place = Place::fresh(&config.environment);
    let options = write::Options {
        session: session_options(config, "backstay backup create"),
        codec: codec(config),
        jobs: config.backup.jobs,
        ..write::Options::default()
    };
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
            "environment": config.environment, "backup": manifest.id, "tables": manifest.tables.len(),
            "rows": manifest.rows(), "raw_bytes": manifest.raw_bytes(),
            "stored_bytes": manifest.stored_bytes(), "millis": crate::event::millis(took),
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
        "{} tables, {} rows, {} stored",
        manifest.tables.len(),
        manifest.rows(),
        show_bytes(manifest.stored_bytes())
    )
}

/// How side databases are filled.
fn restore_options(config: &Config, verb: &str) -> backup::restore::Options {
    backup::restore::Options {
        session: session_options(config, &format!("backstay backup {verb}")),
        jobs: config.backup.jobs,
        ..backup::restore::Options::default()
    }
}
