//! What ends a run before its end: a person's signal, or the window's own clock.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::plan::Plan;
use super::state::State;
use crate::config::Config;
use crate::event::{Event, Events};
use crate::failure::{Failure, Verdict};
use crate::notify::{self, Notice};
use crate::steps::Action;
use crate::time::{between, now, show_duration};
use crate::uptime::Uptime;

/// How a stop was asked for. By one signal: end cleanly. By two: now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// How often.
    pub times: u32,
    /// When first. A SIGKILL may follow.
    pub since: Option<Uptime>,
    /// The terminal is gone (SIGHUP): nobody can be asked any more, and nothing need follow. However often that is
    /// said, it asks for one clean end.
    pub hung_up: bool,
}

impl Asked {
    /// Whether a clean end was asked for, at least.
    pub fn to_end(&self) -> bool {
        self.times >= 1 || self.hung_up
    }

    /// Whether everything is to stop now.
    pub fn at_once(&self) -> bool {
        self.times >= 2
    }
}

/// Where a driver hears of it.
pub type Stop = watch::Receiver<Asked>;

/// Why a line is cut short.
pub(super) enum Cut {
    /// A person asked.
    Signal,
    /// What a signal left of time is over.
    GraceIsOver,
    /// The window was open for longer than it may be.
    Overran,
    /// The driver can't hold its lock any more.
    LockLost(Failure),
}

/// Comes back at `at`; never, if there is no such time.
pub(super) async fn until(at: Option<Uptime>) {
    match at {
        Some(at) => at.reached().await,
        None => std::future::pending().await,
    }
}

/// The window's clock, from the start of the line that raised its flag. It tells when the window lasts too long;
/// dropped, it is silent.
pub(super) struct WindowClock {
    began: Uptime,
    put_back_after: Option<Duration>,
    _telling: JoinSet<()>,
}

impl WindowClock {
    /// The clock of a window whose flag may be up; none before.
    pub fn of(plan: &Plan, state: &State, teller: Teller) -> Option<Self> {
        let raise = plan.find(|action| matches!(action, Action::RaiseFlag { .. }))?;
        let Action::RaiseFlag { max, put_back_after } = raise.action else { return None };
        // An earlier driver's clock is the only word of when it began; from here on our own counts.
        let elapsed = between(state.line(raise.id).began?, now());
        let began = Uptime::now() - elapsed;
        let mut telling = JoinSet::new();
        telling.spawn(tell_overruns(began, max, put_back_after, teller));
        Some(Self { began, put_back_after, _telling: telling })
    }

    /// When production is to be put back by itself.
    pub fn ends(&self) -> Option<Uptime> {
        self.put_back_after.map(|after| self.began + after)
    }
}

/// Tells people of what can't wait: on the screen, and by the environment's `[notify]`.
#[derive(Clone)]
pub(super) struct Teller {
    /// The environment.
    pub config: Config,
    /// The run.
    pub run: String,
    /// The event stream.
    pub events: Events,
}

impl Teller {
    /// Says it on the screen, and notifies.
    async fn tell(&self, event: &str, text: String) {
        self.events.emit(Event::Note { line: None, text: text.clone() });
        self.notify(event, &text).await;
    }

    /// Notifies; what goes wrong with that is a note.
    pub async fn notify(&self, event: &str, text: &str) {
        self.notify_of(event, text, None).await;
    }

    /// As [`Teller::notify`], of a run that ended so.
    pub async fn notify_of(&self, event: &str, message: &str, verdict: Option<Verdict>) {
        let notice = Notice { event, run: &self.run, message, verdict };
        if let Some(wrong) = notify::tell_of(&self.config, notice).await {
            self.events.emit(Event::Note { line: None, text: wrong });
        }
    }
}

/// Tells that the window lasts longer than `max`, and again each time that it lasted as long once more.
async fn tell_overruns(began: Uptime, max: Duration, put_back_after: Option<Duration>, teller: Teller) {
    (began + max).reached().await;
    loop {
        let lasts = show_duration(began.elapsed());
        let then = match put_back_after {
            Some(after) => format!("after {} production is put back", show_duration(after)),
            None => "Ctrl-C stops the run and asks what to do".to_string(),
        };
        let text =
            format!("users have seen the maintenance page for {lasts}, longer than the window's max; {then}");
        teller.tell("window_overrun", text).await;
        (Uptime::now() + max).reached().await;
    }
}
