//! `backstay migrate …`: Alembic's verbs, outside of a window.

mod change;
mod check;
mod files;
mod import;
mod lint;
mod look;
mod passed;
mod reset;
pub(super) mod standing;
mod test;
mod write;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Shell, Trouble};
use crate::config::{Config, MigrationRoot};
use crate::failure::{Failure, Verdict};
use crate::migrate::{Direction, MigrateError};
use crate::steps::roots;
use crate::time::parse_duration;
use crate::words::shell_word;

/// Migrations without a window: Alembic's verbs
#[derive(Debug, Args)]
pub struct Migrate {
    /// Which migrations, where the environment has several
    #[arg(short = 'n', long, value_name = "ROOT", global = true)]
    name: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Where the database is, what is pending, and what is wrong
    Status,
    /// The revisions that the database is at (-v: in full)
    Current,
    /// The revisions in the files, newest first (-v: in full)
    History(look::History),
    /// The revisions that nothing revises (-v: in full)
    Heads,
    /// The revisions that several others revise (-v: and what those are about)
    Branches,
    /// One revision in full: an id or its beginning, head, heads, current
    Show {
        /// Which
        #[arg(allow_negative_numbers = true)]
        revision: String,
    },
    Revision(write::NewRevision),
    Merge(write::Merge),
    Import(import::Import),
    /// What is dangerous about the pending migrations: exit 3 if anything is an error
    Lint(lint::Lint),
    /// Whether the database has the schema that its migrations make; differences object by object, exit 3
    Check(check::Check),
    /// Try the migrations on a scratch database: up, down and up again, step by step and as a whole
    Test(test::Test),
    /// Apply what is missing up to TARGET: head, heads, a revision or its beginning, +2, branch@head
    Upgrade {
        #[command(flatten)]
        order: Move,
        /// Create the database first, as createdb does, if it is not there
        #[arg(long, conflicts_with = "sql")]
        create_database: bool,
    },
    /// Take back what stands above TARGET: base, a revision or its beginning, -1, branch@-1
    Downgrade(Move),
    /// Drop the database with all that is in it, create it anew and apply everything; not in production
    Reset(reset::Reset),
    /// Declare TARGET applied without running anything
    Stamp {
        /// A revision or its beginning, head, heads, base
        target: String,
        /// Forget all rows of the version table first, those too that no file has
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Where to go, and how.
#[derive(Debug, Args)]
struct Move {
    /// The target; with --sql also a range FROM:TO
    #[arg(allow_negative_numbers = true)]
    target: String,
    /// Print the SQL and run nothing; no database is asked
    #[arg(long)]
    sql: bool,
    #[command(flatten)]
    consent: Consent,
}

/// What whoever changes a database directly must say.
#[derive(Debug, Args)]
struct Consent {
    /// Change a protected environment although nothing guards the change
    #[arg(long)]
    unguarded: bool,
    /// How long to wait for another who migrates this database
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "60s")]
    lock_wait: Duration,
}

pub(super) async fn run(shell: &Shell, command: &Migrate) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let meant = roots(&config, command.name.as_deref())?;
    match &command.verb {
        Verb::Status => look::status(shell, &config, &meant).await,
        Verb::Current => look::current(shell, &config, &meant).await,
        Verb::History(command) => look::history(shell, &config, &meant, command).await,
        Verb::Heads => look::heads(shell, &config, &meant),
        Verb::Branches => look::branches(shell, &config, &meant),
        Verb::Show { revision } => look::show(shell, &config, &meant, revision).await,
        Verb::Revision(command) => {
            let root = the_one(&config, &meant, "revision")?;
            match passed::is_alembic(root) {
                true => passed::revision(shell, &config, root, command).await,
                false => write::revision(shell, &config, root, command),
            }
        }
        Verb::Merge(command) => {
            let root = the_one(&config, &meant, "merge")?;
            match passed::is_alembic(root) {
                true => passed::merge(shell, &config, root, command).await,
                false => write::merge(shell, &config, root, command),
            }
        }
        Verb::Import(command) => import::run(shell, &config, &meant, command).await,
        Verb::Lint(order) => lint::run(shell, &config, command.name.as_deref(), order).await,
        Verb::Check(command) => check::run(shell, &config, &meant, command).await,
        Verb::Test(command) => test::run(shell, &config, &meant, command).await,
        Verb::Upgrade { order, create_database } => {
            // To the heads all roots go, in the config's order; any other target is one root's.
            let to_heads = matches!(order.target.as_str(), "head" | "heads") && !order.sql;
            if !to_heads {
                the_one(&config, &meant, "upgrade")?;
            }
            change::migrate(shell, &config, &meant, Direction::Up, order, *create_database).await
        }
        Verb::Downgrade(order) => {
            the_one(&config, &meant, "downgrade")?;
            change::migrate(shell, &config, &meant, Direction::Down, order, false).await
        }
        Verb::Reset(command) => reset::run(shell, &config, command).await,
        Verb::Stamp { target, purge, consent } => {
            let root = the_one(&config, &meant, "stamp")?;
            change::stamp(shell, &config, root, target, *purge, consent).await
        }
    }
}

impl Migrate {
    /// Whether it may ask the database: what only reads or writes files does not.
    pub fn asks_a_server(&self) -> bool {
        !matches!(&self.verb, Verb::Heads | Verb::Branches | Verb::Revision(_) | Verb::Merge(_))
    }

    /// Whether its verb tells more with `-v`, as Alembic's does.
    pub fn has_details(&self) -> bool {
        matches!(&self.verb, Verb::Current | Verb::History(_) | Verb::Heads | Verb::Branches)
    }
}

/// A change is made to one root; which one must be said.
fn the_one<'a>(
    config: &Config,
    meant: &[&'a MigrationRoot],
    verb: &str,
) -> Result<&'a MigrationRoot, Failure> {
    if let [one] = meant {
        return Ok(one);
    }
    let names: Vec<&str> = meant.iter().map(|root| root.name.as_str()).collect();
    Err(Failure::usage(format!("know which migrations of {} to {verb}", config.environment))
        .because_of(format!("there are several: {}", names.join(", ")))
        .leaving(NOTHING_CHANGED)
        .then(format!("name one: backstay migrate {verb} … --name {}", shell_word(names[0]))))
}

const NOTHING_CHANGED: &str = "nothing was changed";

/// The failure of a direct migration, with the verdict that its committed part makes.
fn trouble(error: MigrateError) -> Trouble {
    let changed = error.changed_anything();
    let failure = Failure::from(error);
    match (changed, &failure.state) {
        (true, _) => Trouble::Verdict(failure, Verdict::ChangedButFailing),
        (false, None) => failure.leaving(NOTHING_CHANGED).into(),
        (false, Some(_)) => failure.into(),
    }
}
