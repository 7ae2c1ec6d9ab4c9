//! The exit code of a resume that could not read the run's journal: what production is, as far as it can be seen from
//! here.

use super::{Shell, Trouble};
use crate::config::Config;
use crate::failure::{Failure, Kind, Verdict};
use crate::pg::{catalog, refused};
use crate::store::Spool;
use crate::window::fence;
use crate::window::flag::{self, Standing};

/// What of production can be seen without a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// The flag is up; nothing if that can't be seen.
    flag: Option<bool>,
    /// The database is fenced, or lets nobody in; nothing if that can't be seen.
    closed: Option<bool>,
    /// Records of a put-back wait here for the store.
    waiting: bool,
}

/// `failure` with the exit code that is honest where nothing is known of the run.
pub(super) async fn told(failure: Failure, shell: &Shell, config: &Config, spool: &Spool) -> Trouble {
    if failure.kind == Kind::Usage {
        return Trouble::Failure(failure);
    }
    let flag = match &config.flag {
        Some(flag) => flag::look(flag, config).await.ok().map(|standing| standing != Standing::Down),
        None => Some(false),
    };
    let closed = is_closed(shell, config).await.ok();
    let waiting = spool.waiting().await.map_or(true, |waiting| !waiting.is_empty());
    Trouble::Verdict(failure, verdict(Seen { flag, closed, waiting }))
}

/// What waits here was written while production was put back: that it serves must be seen.
fn verdict(seen: Seen) -> Verdict {
    match seen {
        Seen { flag: Some(true), .. } | Seen { closed: Some(true), .. } => Verdict::InterruptedInWindow,
        Seen { flag: Some(false), closed: Some(false), waiting: true } => Verdict::Interrupted,
        Seen { waiting: true, .. } => Verdict::InterruptedInWindow,
        _ => Verdict::Internal,
    }
}

/// Whether the application can't get into its database.
async fn is_closed(shell: &Shell, config: &Config) -> Result<bool, Failure> {
    let session = shell.connect_admin(config, "resume").await?;
    let name = config.database.url.database();
    let production = catalog::database_by_name(&session, name).await;
    let production = production.map_err(|error| refused("look for the database", &error))?;
    let fenced = fence::find_fenced(&session, name).await?;
    Ok(fenced.is_some() || !production.is_some_and(|database| database.allow_connections))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_to_be_untouched_that_was_not_seen() {
        use Verdict::{Internal, Interrupted, InterruptedInWindow};
        for (flag, closed, waiting, expected) in [
            (Some(true), Some(false), false, InterruptedInWindow),
            (None, Some(true), false, InterruptedInWindow),
            (Some(false), Some(false), true, Interrupted),
            (None, Some(false), true, InterruptedInWindow),
            (Some(false), None, true, InterruptedInWindow),
            (Some(false), Some(false), false, Internal),
            (None, None, false, Internal),
        ] {
            assert_eq!(verdict(Seen { flag, closed, waiting }), expected, "{flag:?} {closed:?} {waiting}");
        }
    }
}
