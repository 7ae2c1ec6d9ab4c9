//! Signals: the first asks a run to end cleanly, the second to stop now.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::engine::stop::{Asked, Stop};
use crate::uptime::Uptime;

/// Counts SIGINT, SIGTERM and SIGHUP from here on.
pub fn listen() -> Stop {
    let (count, stop) = watch::channel(Asked::default());
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    for kind in kinds {
        // A signal that can't be caught ends the process; the run can be resumed.
        let Ok(mut arrivals) = signal(kind) else { continue };
        let count = count.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                count.send_modify(|asked| {
                    asked.times += 1;
                    asked.since.get_or_insert_with(Uptime::now);
                });
            }
        });
    }
    stop
}
