//! A run in this command's hands, from its beginning to its end, on the screen.

use std::sync::Arc;

use super::{Shell, left_behind, stop};
use crate::config::Config;
use crate::engine::begin::Means;
use crate::engine::decisions::Told;
use crate::engine::drive::Driving;
use crate::engine::stop::Stop;
use crate::event::Events;
use crate::failure::{Failure, Verdict};
use crate::store::{Spool, Store};
use crate::{log, ui};

/// Begins a run, or takes one up, and drives it to its end. `what` names the beginning where a stop cuts it short.
///
/// # Errors
/// The beginning's; once a run is under way, the verdict tells how it ended.
pub(super) async fn on_screen(
    shell: &Shell,
    config: &Config,
    spool: &Arc<Spool>,
    (told, stop): (Told, Stop),
    what: &str,
    begin: impl AsyncFnOnce(Means<'_>) -> Result<Driving<'_>, Failure>,
) -> Result<Verdict, Failure> {
    let store: Arc<dyn Store> = spool.clone();
    let (events, screen) = Screening::open(shell, &store);
    let told = Told { attended: shell.can_ask(), ..told };
    let means = Means { config, store: &store, spool, events: &events, stop: stop.clone(), told };
    let verdict = match stop::unless_asked(stop, what, begin(means)).await {
        Ok(driving) => Ok(driving.drive().await),
        Err(failure) => Err(failure),
    };
    drop(events);
    screen.close().await;
    left_behind::offer(shell, config);
    verdict
}

/// The readers of a run's events: the log on the store, and behind it the screen.
struct Screening {
    log: tokio::task::JoinHandle<()>,
    actions: Option<tokio::task::JoinHandle<()>>,
    screen: tokio::task::JoinHandle<()>,
}

impl Screening {
    /// Opens the stream and starts its readers.
    fn open(shell: &Shell, store: &Arc<dyn Store>) -> (Events, Self) {
        let (events, stream) = Events::channel();
        let (mut seen, log) = log::tee(store.clone(), stream);
        let mut actions = None;
        if let Some(step) = shell.actions() {
            let (told, task) = step.clone().tee(store.clone(), seen);
            (seen, actions) = (told, Some(task));
        }
        (events, Self { log, actions, screen: tokio::spawn(ui::show(shell.screen(), seen)) })
    }

    /// Waits until all that was said is shown and kept; every [`Events`] must have been dropped.
    async fn close(self) {
        let _ = tokio::join!(self.log, self.screen);
        if let Some(actions) = self.actions {
            let _ = actions.await;
        }
    }
}
