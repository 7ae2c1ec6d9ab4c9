//! `backstay demo`: three releases of a throw-away shop. And, hidden, the programs of that shop.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Shell, Trouble};
use crate::demo::app::{self, Settings};
use crate::demo::notary::State;
use crate::demo::{self, screen, supervisor};
use crate::failure::{Failure, Verdict};
use crate::pg::ConnInfo;

/// A throw-away PostgreSQL, a good release, and two bad ones that are put back
#[derive(Debug, Args)]
pub struct Demo {}

/// Done only if all of it held; the last screen is the result.
pub(super) async fn run(shell: &Shell, _: Demo) -> Result<Verdict, Trouble> {
    let outcome = demo::run(shell.look).await?;
    shell.tell(&screen::ending(&outcome, shell.look), outcome.to_json());
    Ok(if outcome.held() { Verdict::Done } else { Verdict::Internal })
}

/// The programs of the demo's shop.
#[derive(Debug, Args)]
pub struct DemoApp {
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// The shop itself: answers requests on the socket that is its standard input
    Serve {
        /// The maintenance flag
        #[arg(long)]
        flag: PathBuf,
        /// The process to end with
        #[arg(long)]
        parent: u32,
        /// The shop's database
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database: String,
        /// Which version of its code
        edition: u32,
    },
    /// Has the supervisor replace the running version: the demo's deploy command
    Deploy {
        /// The supervisor's socket
        #[arg(long)]
        supervisor: PathBuf,
        /// The version to run
        edition: u32,
    },
    /// Notes schema and content of a database in a file, to be compared later
    Note {
        /// The database; in a run's window, the window's
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database: String,
        /// Where to
        file: PathBuf,
    },
}

/// Runs one program of the demo's shop.
pub(super) async fn run_app(args: DemoApp) -> Result<Verdict, Trouble> {
    match args.command {
        AppCommand::Serve { flag, parent, database, edition } => {
            let failed = |error: io::Error| Failure::failed("serve the shop").caused_by(&error);
            let listener = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
            let settings = Settings { version: edition, database: connection(&database)?, flag, parent };
            app::serve(listener.into(), settings).await.map_err(failed)?;
        }
        AppCommand::Deploy { supervisor, edition } => {
            supervisor::ask(&supervisor, edition)
                .await
                .map_err(|error| Failure::failed(format!("deploy version {edition}")).caused_by(&error))?;
            println!("version {edition} of the shop runs");
        }
        AppCommand::Note { database, file } => {
            let state = State::read(&connection(&database)?).await?;
            state.write(&file)?;
            println!("{} tables, {} rows, the schema: noted", state.tables.len(), state.rows());
        }
    }
    Ok(Verdict::Done)
}

fn connection(url: &str) -> Result<ConnInfo, Failure> {
    Ok(ConnInfo::parse(url)?)
}
