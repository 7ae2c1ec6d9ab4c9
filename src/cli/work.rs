//! A piece of work that is no run, and the screen that shows how far it is.

use tokio::task::JoinHandle;

use super::Shell;
use crate::event::{Events, LineId, Progress};
use crate::ui;

/// A handle for the work to report with, and its screen.
pub(super) struct Work {
    /// For whoever does the work.
    pub progress: Progress,
    screen: JoinHandle<()>,
}

impl Work {
    /// Opens the screen.
    pub fn begin(shell: &Shell) -> Self {
        let (events, stream) = Events::channel();
        let screen = tokio::spawn(ui::show_work(shell.can_ask(), shell.look, stream));
        Self { progress: events.progress(LineId::Line(1)), screen }
    }

    /// Waits until all that was reported is shown.
    pub async fn end(self) {
        drop(self.progress);
        let _ = self.screen.await;
    }
}
