//! The screens of a run: readers of its events, and the only part of a run that prints or asks.
//!
//! What is shown is decided by pure functions (a [`checklist`] folded from events, its text, a
//! [`verdict`] in words); the screens themselves only draw. Standard output carries results (`--json`),
//! everything else goes to standard error. A screen that fails, blocks or goes away never stops a run.

pub mod checklist;
pub mod error;
pub(crate) mod foreign;
pub mod github;
pub mod json;
pub(crate) mod layout;
pub(crate) mod look;
mod paper;
pub mod plain;
mod prompt;
pub mod rate;
mod said;
pub mod table;
mod terminal;
pub mod verdict;
mod work;

pub use look::Look;
pub use terminal::Page;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use crate::event::Event;

/// Where and how a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A live checklist on standard error, with questions: standard error is a terminal.
    Terminal(Look),
    /// Plain lines with times on standard error; nothing is asked.
    Plain(Look),
    /// As `Plain`, with the folds and annotations of a GitHub Actions job.
    Actions(Look),
    /// Every event as one object a line on standard output; nothing is asked.
    Json,
}

/// Shows `events` on `screen` until their stream ends; gives back control when all of it is written.
///
/// A question that nobody can answer here has its reply dropped, which the run takes for a no.
/// Writing that fails is left out; the events are read to their end all the same.
pub async fn show(screen: Screen, events: UnboundedReceiver<Event>) {
    on_a_thread("screen", read(screen, events)).await;
}

/// Shows `events` of one piece of work that is no run (a direct migration, a backup) on standard error:
/// what it says as lines, how far it is as one `live` line, or a line now and then. Ends and fails as
/// [`show`] does.
pub async fn show_work(live: bool, look: Look, events: UnboundedReceiver<Event>) {
    on_a_thread("work", work::show(live, look, events)).await;
}

/// Asks a person to type `expects`; gives whether they did. Where there is no terminal nobody can.
pub(crate) async fn is_typed(expects: &str, look: Look) -> bool {
    match prompt::Prompt::ask(expects, look) {
        Some(mut prompt) => prompt.answered().await.is_some_and(|typed| typed == expects),
        None => false,
    }
}

async fn on_a_thread(name: &str, reading: impl Future<Output = ()> + Send + 'static) {
    let runtime = Handle::current();
    let (shown, until_shown) = oneshot::channel::<()>();
    let reading = move || {
        let _shown = shown;
        runtime.block_on(reading);
    };
    // A thread of its own: a terminal that is stopped (Ctrl-S) or a pipe that nobody empties blocks
    // the write, and would stop the run with it if both shared a thread. Without that thread there is
    // no screen, and the run goes on unseen: its reader is gone, and sending to nobody never fails.
    if std::thread::Builder::new().name(name.into()).spawn(reading).is_ok() {
        let _ = until_shown.await;
    }
}

async fn read(screen: Screen, events: UnboundedReceiver<Event>) {
    match screen {
        Screen::Terminal(look) => terminal::show(look, events).await,
        Screen::Plain(look) => plain::show(look, events).await,
        Screen::Actions(look) => github::show(look, events).await,
        Screen::Json => json::show(events).await,
    }
}
