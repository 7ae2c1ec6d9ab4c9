//! Signals: the first asks a run to end cleanly, the second to stop now.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::engine::stop::{Asked, Stop};
use crate::failure::{Failure, Kind};
use crate::uptime::Uptime;

/// Counts SIGINT and SIGTERM from here on, and hears SIGHUP.
pub fn listen() -> Stop {
    let (told, stop) = watch::channel(Asked::default());
    let asked = |asked: &mut Asked| {
        asked.times += 1;
        asked.since.get_or_insert_with(Uptime::now);
    };
    heed(SignalKind::interrupt(), &told, asked);
    heed(SignalKind::terminate(), &told, asked);
    heed(SignalKind::hangup(), &told, |asked| asked.hung_up = true);
    stop
}

/// What `beginning` gives, unless a stop is asked for before it does.
///
/// # Errors
/// Its own; that it was stopped, wherever it was: a record may stand, which a resume goes on from.
pub async fn unless_asked<T>(
    mut stop: Stop,
    what: &str,
    beginning: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        begun = beginning => begun,
        _ = stop.wait_for(Asked::to_end) => Err(Failure::new(Kind::Interrupted, what)
            .because_of("stopped by a signal")
            .leaving("production is as it was before this command")
            .then("backstay status tells what there is to resume")),
    }
}

fn heed(kind: SignalKind, told: &watch::Sender<Asked>, note: fn(&mut Asked)) {
    // A signal that can't be caught ends the process; the run can be resumed.
    let Ok(mut arrivals) = signal(kind) else { return };
    let told = told.clone();
    tokio::spawn(async move {
        while arrivals.recv().await.is_some() {
            told.send_modify(note);
        }
    });
}
