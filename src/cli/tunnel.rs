//! The environment's tunnel, open around a command.

use super::{Command, Shell, Trouble, dispatch};
use crate::config::Config;
use crate::failure::{Failure, Verdict};
use crate::tunnel::{NoTunnel, Open};

/// Does what the command says, with the tunnel open where it asks a server.
///
/// A tunnel that does not open is told, and the command goes on: it knows best what a server that can't be reached means
/// for its exit code.
///
/// # Errors
/// The command's; or somebody else listens at the tunnel's port.
pub(super) async fn around(shell: &Shell, command: Command) -> Result<Verdict, Trouble> {
    let open = match asks_a_server(&command) {
        true => open_for(shell, &command).await?,
        false => None,
    };
    let ended = dispatch(shell, command).await;
    if let Some(open) = open {
        open.close().await;
    }
    ended
}

async fn open_for(shell: &Shell, command: &Command) -> Result<Option<Open>, Trouble> {
    // What is wrong with the config is the command's to tell.
    let config = match command {
        Command::Run(run) => run.environment(shell),
        _ => shell.config(),
    };
    let Ok(config) = config else { return Ok(None) };
    match open(&config).await {
        Ok(open) => Ok(open),
        Err(NoTunnel::Closed(failure)) => {
            shell.note(&crate::ui::error::tell(&failure, shell.look));
            Ok(None)
        }
        // What became of a run is not known here, and not to be said.
        Err(NoTunnel::Taken(failure)) if matches!(command, Command::Resume(_)) => {
            Err(Trouble::Verdict(failure, Verdict::Internal))
        }
        Err(NoTunnel::Taken(failure)) => Err(failure.into()),
    }
}

/// Opens an environment's tunnel, if it has one.
///
/// # Errors
/// As [`Open::of`].
pub(super) async fn open(config: &Config) -> Result<Option<Open>, NoTunnel> {
    let keeper = match std::env::current_exe() {
        Ok(program) => vec![program.display().to_string(), "keep".into(), "--".into()],
        Err(error) => {
            let failure = Failure::internal("find this program, to keep the tunnel").caused_by(&error);
            return Err(NoTunnel::Closed(failure));
        }
    };
    let tell = |text: String| super::output::complain(&crate::redact::redact(&text));
    Open::of(config, keeper, tell).await
}

/// Whether it may ask a server: what only reads files or the store needs no tunnel.
fn asks_a_server(command: &Command) -> bool {
    match command {
        Command::Migrate(migrate) => migrate.asks_a_server(),
        Command::Backup(backup) => backup.asks_a_server(),
        Command::Status(status) => status.asks_a_server(),
        Command::Init(_)
        | Command::Doctor(_)
        | Command::Plan(_)
        | Command::Run(_)
        | Command::Resume(_)
        | Command::Rollback(_)
        | Command::Cleanup(_) => true,
        Command::Approve(_)
        | Command::Report(_)
        | Command::Runs(_)
        | Command::Maintenance(_)
        | Command::Demo(_)
        | Command::Schema(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::DemoApp(_)
        | Command::Keep(_) => false,
    }
}
