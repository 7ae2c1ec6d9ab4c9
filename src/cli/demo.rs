//! `backstay demo`: three releases of a throw-away shop. And, hidden, the programs of that shop.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::demo::app::{self, Settings};
use crate::demo::notary::State;
use crate::demo::{self, Options, screen, supervisor};
use crate::failure::Failure;
use crate::pg::ConnInfo;

/// A demo in which something did not hold, or a program of its shop that failed.
const NOT_HELD: u8 = 1;

/// Runs the demo and prints its last screen (or, with `json`, one document) to standard output.
///
/// Gives 0 only if all of it held.
///
/// # Errors
/// If there is no PostgreSQL, or it was interrupted.
pub async fn run(options: Options, json: bool) -> Result<ExitCode, Failure> {
    let outcome = demo::run(options).await?;
    let text = if json { format!("{}\n", outcome.to_json()) } else { screen::ending(&outcome, options.result) };
    // Nobody may be listening any more; what held, held.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::from(if outcome.held() { 0 } else { NOT_HELD }))
}

/// The programs of the demo's shop.
#[derive(Debug, Args)]
pub struct AppArgs {
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// The shop itself: answers requests on the socket that is its standard input
    Serve {
        /// Which version of its code
        #[arg(long)]
        version: u32,
        /// The maintenance flag
        #[arg(long)]
        flag: PathBuf,
        /// The process to end with
        #[arg(long)]
        parent: u32,
        /// The shop's database
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database: String,
    },
    /// Has the supervisor replace the running version: the demo's deploy command
    Deploy {
        /// The supervisor's socket
        #[arg(long)]
        supervisor: PathBuf,
        /// The version to run
        version: u32,
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
///
/// # Errors
/// What it could not do.
pub async fn run_app(args: AppArgs) -> Result<ExitCode, Failure> {
    match args.command {
        AppCommand::Serve { version, flag, parent, database } => {
            let failed = |error: io::Error| Failure::failed("serve the shop").caused_by(&error);
            let listener = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
            let settings = Settings { version, database: ConnInfo::parse(&database)?, flag, parent };
            app::serve(listener.into(), settings).await.map_err(failed)?;
        }
        AppCommand::Deploy { supervisor, version } => {
            supervisor::ask(&supervisor, version)
                .await
                .map_err(|error| Failure::failed(format!("deploy version {version}")).caused_by(&error))?;
            println!("version {version} of the shop runs");
        }
        AppCommand::Note { database, file } => {
            let state = State::read(&ConnInfo::parse(&database)?).await?;
            state.write(&file)?;
            println!("{} tables, {} rows, the schema: noted", state.tables.len(), state.rows());
        }
    }
    Ok(ExitCode::SUCCESS)
}
