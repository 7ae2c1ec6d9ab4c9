//! `backstay maintenance on|off|status`: the flag by hand.

use clap::Subcommand;
use serde_json::json;

use super::{Shell, Trouble};
use crate::config::{Config, Flag};
use crate::engine::standing;
use crate::failure::{Failure, Verdict};
use crate::journal;
use crate::store::Store;
use crate::window::flag::{self, Bearer, Standing};

/// The maintenance flag: on, off, status
#[derive(Debug, Subcommand)]
pub enum Maintenance {
    /// Raise the flag
    On {
        /// Change a protected environment although nothing guards the change
        #[arg(long)]
        unguarded: bool,
    },
    /// Take the flag down
    Off {
        /// Change a protected environment although nothing guards the change
        #[arg(long)]
        unguarded: bool,
    },
    /// Whether the flag is up, and whose it is
    Status,
}

/// Who holds a flag that a person raised.
pub(super) const BY_HAND: &str = "by-hand";

pub(super) async fn run(shell: &Shell, command: &Maintenance) -> Result<Verdict, Trouble> {
    let config = shell.config()?;
    let flag = flag_of(&config)?;
    let bearer = Bearer { run: BY_HAND.into(), epoch: 0, line: None };
    match command {
        Maintenance::On { unguarded } => {
            shell.allow_unguarded(&config, *unguarded, "raise the flag of", &look_first(&config))?;
            flag::raise(flag, &bearer, &config).await?;
        }
        Maintenance::Off { unguarded } => {
            shell.allow_unguarded(&config, *unguarded, "take down the flag of", &look_first(&config))?;
            let bearer = holder(&*shell.store(&config), flag, &config, bearer).await?;
            flag::lower(flag, &bearer, &config).await?;
        }
        Maintenance::Status => {}
    }
    let standing = flag::look(flag, &config).await?;
    let (up, holder) = match &standing {
        Standing::Down => (false, None),
        Standing::Up(holder) => (true, holder.clone()),
    };
    let place = flag::describe(flag);
    let text = match (up, &holder) {
        (false, _) => format!("down ({place})"),
        (true, Some(holder)) => format!("up, held by {holder} ({place})"),
        (true, None) => format!("up ({place})"),
    };
    shell.tell(&text, json!({ "up": up, "holder": holder, "flag": place }));
    Ok(Verdict::Done)
}

/// Whoever reaches for the flag at night needs to know whose it is, and no release.
fn look_first(config: &Config) -> String {
    format!(
        "look first: backstay status -e {} tells whose the flag is, and what clears it",
        config.environment
    )
}

/// Whose flag is taken down by hand: never that of a run that is unfinished, for it clears on proof only.
async fn holder(store: &dyn Store, flag: &Flag, config: &Config, own: Bearer) -> Result<Bearer, Failure> {
    let Standing::Up(Some(run)) = flag::look(flag, config).await? else { return Ok(own) };
    let unfinished = match journal::read(store, &run).await {
        Ok(history) => !standing::ended(&history.records),
        Err(journal::JournalError::NoRun { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if unfinished {
        return Err(Failure::refused("take the flag down")
            .because_of(format!("run {run} holds it and is not finished"))
            .leaving("the flag is up")
            .then(format!("backstay resume {run} -e {}", config.environment)));
    }
    Ok(Bearer { run, epoch: 0, line: None })
}

fn flag_of(config: &Config) -> Result<&Flag, Failure> {
    config.flag.as_ref().ok_or_else(|| {
        Failure::usage("find the maintenance flag")
            .because_of(format!("{} has no [maintenance] flag", config.path.display()))
            .then("add one, like flag = { file = \"/opt/app/maintenance\" }")
    })
}
