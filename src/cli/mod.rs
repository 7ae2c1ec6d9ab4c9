//! The commands. One file a command: its arguments and one function; nothing is decided here.

mod admission;
mod answers;
mod approve;
mod backup;
mod cleanup;
mod completions;
mod demo;
mod doctor;
mod drive;
mod examples;
mod init;
mod keep;
mod left_behind;
mod maintenance;
mod man;
mod migrate;
mod mistyped;
mod outlook;
mod output;
mod plan;
mod plan_file;
mod report;
mod resume;
mod rollback;
mod run;
mod runs;
mod schema;
mod shell;
mod statements;
mod status;
mod stop;
mod tunnel;
mod unread;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::failure::Verdict;
use shell::Shell;
pub use shell::Trouble;

/// Production releases of PostgreSQL applications, guarded by a backup that has been proven to restore.
#[derive(Debug, Parser)]
#[command(name = "backstay", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 internal error, 2 bad usage or config, 3 refused (production untouched), \
    4 failed and put back, 5 failed and NOT put back, 6 interrupted (production serves), \
    7 changed but a later check failed, 8 interrupted inside the window (resume it)."
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Above them in every command's help, so that they do not stand between its own.
const GLOBAL: &str = "Global options";

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// The project's root, with config/, runbooks/ and migrations/ in it
    #[arg(short = 'C', long = "directory", value_name = "DIR", default_value = ".", global = true, help_heading = GLOBAL)]
    directory: PathBuf,
    /// The environment: config/ENV.toml (else $BACKSTAY_ENV, else the only one there is)
    #[arg(short = 'e', long = "env", value_name = "ENV", global = true, help_heading = GLOBAL)]
    environment: Option<String>,
    /// Results as JSON on standard output: one document, or one object a line for a run's events
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Plain lines with times instead of a live checklist
    #[arg(long, global = true, help_heading = GLOBAL)]
    plain: bool,
    /// Show every SQL statement on standard error, with its parameters (implies --plain); with `migrate current`,
    /// `history`, `heads` and `branches`, what Alembic's -v tells, and statements from -vv on
    #[arg(short = 'v', long, global = true, help_heading = GLOBAL, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A throw-away PostgreSQL, a good release, and two bad ones that are put back
    Demo(demo::Demo),
    /// Ask, find out what can be found out, and write config, runbook and migrations; never overwrites
    Init(init::Init),
    /// Check every precondition of a release; changes nothing
    Doctor(doctor::Doctor),
    /// Show the checklist as it would run, and the SQL; changes nothing
    Plan(plan::Planning),
    /// Write into a plan file who agrees to it
    Approve(approve::Approve),
    /// Run a runbook
    Run(run::Run),
    /// Continue an interrupted run, or put it back
    Resume(resume::Resume),
    /// Take a release back that has ended: by downgrade, by its guard, or from a backup
    Rollback(rollback::Rollback),
    /// What runs, flag, fence, revision, last backup and proof, leftovers; each with the command that mends it
    Status(status::Status),
    /// A run as one self-contained HTML page
    Report(report::Report),
    /// The runs on the store, or one run's records
    Runs(runs::Runs),
    /// Drop guards, failed databases and other leftovers
    Cleanup(cleanup::Cleanup),
    /// The maintenance flag: on, off, status
    #[command(subcommand)]
    Maintenance(maintenance::Maintenance),
    /// Migrations without a window: Alembic's verbs
    Migrate(migrate::Migrate),
    /// Backups on the store
    #[command(subcommand)]
    Backup(backup::Backup),
    /// JSON Schemas of runbooks, configs, events, and of what every command prints with --json
    Schema(schema::Schema),
    /// Print the completions for a shell: bash, zsh, fish, elvish, powershell
    Completions(completions::Completions),
    /// Write the manual pages into a folder, one a command
    #[command(hide = true)]
    Man(man::Man),
    /// The programs of the demo's shop
    #[command(hide = true)]
    DemoApp(demo::DemoApp),
    /// The process between a command and its tunnel
    #[command(hide = true)]
    Keep(keep::Keep),
}

/// The program's name, as it is typed.
const PROGRAM: &str = "backstay";

/// The whole command line, with its examples.
fn command() -> clap::Command {
    examples::attach(Arguments::command())
}

fn parse() -> Result<Arguments, clap::Error> {
    let mut command = command();
    let words: Vec<OsString> = std::env::args_os().collect();
    let matches =
        command.try_get_matches_from_mut(&words).map_err(|error| mistyped::name_runbooks(error, &words))?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Runs the program; gives its exit code.
pub fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() && std::env::args_os().any(|word| word == "--json") {
                mistyped::tell(&error);
            }
            // `--help` and `--version` are answers, not errors.
            return ExitCode::from(if error.use_stderr() { Verdict::Usage.exit_code() } else { 0 });
        }
    };
    let shell = Shell::new(arguments.global);
    // There, -v is Alembic's: details of what is shown.
    let own = matches!(&arguments.command, Command::Migrate(migrate) if migrate.has_details());
    if shell.verbosity() > u8::from(own) {
        statements::show();
    }
    // Threads cost start-up time, and only work that runs beside other work gains by them.
    let runtime = match &arguments.command {
        Command::Runs(_) | Command::Report(_) | Command::Maintenance(_) | Command::Migrate(_) => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()
        }
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
    };
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(async {
                let ended = tunnel::around(&shell, arguments.command).await;
                crate::process::settle().await;
                ended
            });
            // A blocking read that nobody waits for must not hold the exit.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(crate::failure::Failure::internal("start the runtime").caused_by(&error).into()),
    };
    ExitCode::from(match ended {
        Ok(verdict) => verdict.exit_code(),
        Err(trouble) => shell.tell_trouble(trouble).exit_code(),
    })
}

async fn dispatch(shell: &Shell, command: Command) -> Result<Verdict, Trouble> {
    match command {
        Command::Demo(command) => demo::run(shell, command).await,
        Command::DemoApp(command) => demo::run_app(command).await,
        Command::Init(command) => init::run(shell, command).await,
        Command::Completions(command) => completions::run(shell, &command),
        Command::Man(command) => man::run(shell, &command),
        Command::Doctor(command) => doctor::run(shell, &command).await,
        Command::Plan(command) => plan::run(shell, &command).await,
        Command::Approve(command) => approve::run(shell, &command).await,
        Command::Run(command) => run::run(shell, &command).await,
        Command::Resume(command) => resume::run(shell, &command).await,
        Command::Rollback(command) => rollback::run(shell, &command).await,
        Command::Status(command) => status::run(shell, &command).await,
        Command::Report(command) => report::run(shell, &command).await,
        Command::Runs(command) => runs::run(shell, &command).await,
        Command::Cleanup(command) => cleanup::run(shell, &command).await,
        Command::Maintenance(command) => maintenance::run(shell, &command).await,
        Command::Migrate(command) => migrate::run(shell, &command).await,
        Command::Backup(command) => backup::run(shell, &command).await,
        Command::Schema(command) => schema::run(shell, &command),
        Command::Keep(command) => keep::run(&command).await,
    }
}
