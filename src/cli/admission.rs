//! `--wait` and `--outside-schedule`: when a run may begin, and the wait until then.

use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use console::Term;
use jiff::Timestamp;
use serde_json::json;

use super::{Shell, output};
use crate::config::Config;
use crate::engine::admission::{self, NotNow};
use crate::engine::decisions::{Outside, Told};
use crate::engine::history;
use crate::engine::plan::Plan;
use crate::engine::state::State;
use crate::engine::stop::{Asked, Stop};
use crate::failure::Failure;
use crate::runbook::Runbook;
use crate::schedule::{Refusal, Schedule, Span};
use crate::store::Store;
use crate::time::{between, now, show_duration};
use crate::ui::json;
use crate::ui::layout::fold;

/// How often a countdown is drawn; a clock that jumps, or a machine that sleeps, is noticed as soon.
const TICK: Duration = Duration::from_secs(1);
/// How often it is told where nothing can be drawn anew.
const TELL: Duration = Duration::from_secs(600);

/// When a run may begin
#[derive(Debug, Args)]
pub struct Timing {
    /// Where the schedule says no, wait for its next window that is long enough, with a countdown
    #[arg(long, conflicts_with = "outside_schedule")]
    wait: bool,
    /// Go ahead although the schedule, or the window's max, says no; the reason is journaled
    #[arg(long, value_name = "WHY", value_parser = NonEmptyStringValueParser::new())]
    outside_schedule: Option<String>,
}

/// A run that is to begin, or to go on.
#[derive(Clone, Copy)]
pub(super) struct Charge<'a> {
    /// What it follows.
    pub runbook: &'a Runbook,
    /// Its plan.
    pub plan: &'a Plan,
    /// What its journal adds up to.
    pub state: &'a State,
}

impl Timing {
    /// Lets a run begin: at once, or once its window opens if it is to wait for that; gives what its driver is to know
    /// of it. `verb` is what is refused.
    ///
    /// # Errors
    /// The store's; a refusal with its figures; that the wait was stopped. Nothing was begun.
    pub async fn admit(
        &self,
        shell: &Shell,
        config: &Config,
        charge: Charge<'_>,
        store: &dyn Store,
        verb: &str,
        mut stop: Stop,
    ) -> Result<Told, Failure> {
        if !admission::is_bound(charge.runbook, charge.plan, charge.state) {
            return Ok(Told::default());
        }
        let schedule = config.schedule.as_ref();
        let forecast = history::forecast(store, &config.environment, charge.plan, charge.state).await?;
        loop {
            let at = now();
            let Err(not_now) = admission::admit(charge.plan, schedule, &forecast, at) else {
                return Ok(Told { forecast, bound: true, ..Told::default() });
            };
            if let Some(why) = &self.outside_schedule {
                let (why, was) = (why.trim().to_string(), not_now.words(&forecast, at));
                let outside_schedule = Some(Outside { why, was });
                return Ok(Told { forecast, outside_schedule, ..Told::default() });
            }
            let (NotNow::Schedule(schedule, Refusal { next: Some(span), .. }), true) = (&not_now, self.wait)
            else {
                return Err(not_now.failure(verb, &forecast, at));
            };
            let (why, span) = (not_now.words(&forecast, at), *span);
            let waiting = Waiting { shell, schedule, span };
            tokio::select! {
                () = waiting.wait(&why) => {}
                _ = stop.wait_for(Asked::to_end) => return Err(stopped()),
            }
        }
    }
}

fn stopped() -> Failure {
    Failure::refused("wait for the window").because_of("stopped by a signal").leaving("nothing was begun")
}

/// The wait for a window, as it is told.
struct Waiting<'a> {
    shell: &'a Shell,
    schedule: &'a Schedule,
    span: Span,
}

impl Waiting<'_> {
    async fn wait(&self, why: &str) {
        self.begin(why);
        let drawn = Drawn(self.shell.can_ask().then(Term::stderr));
        let mut told = now();
        while now() < self.span.from {
            match &drawn.0 {
                Some(term) => draw(term, &countdown(self.span.from, now())),
                None if !self.shell.json() && between(told, now()) >= TELL => {
                    told = now();
                    self.shell.note(&countdown(self.span.from, told));
                }
                None => {}
            }
            let left = between(now(), self.span.from);
            tokio::time::sleep(left.min(TICK).max(Duration::from_millis(1))).await;
        }
    }

    fn begin(&self, why: &str) {
        let opens = self.schedule.show_next(Some(self.span), now());
        if self.shell.json() {
            output::print(&json::document(json!({
                "event": "waiting", "at": now(), "until": self.span.from, "why": why,
            })));
        } else {
            let told = format!("{why}\n{opens}; Ctrl-C ends the wait, and nothing is begun");
            self.shell.note(&fold(&told, self.shell.look.width).join("\n"));
        }
    }
}

/// `the window opens in 3 h 10 m`
fn countdown(opens: Timestamp, now: Timestamp) -> String {
    format!("the window opens in {}", show_duration(between(now, opens)))
}

/// A line that is drawn anew; taken away at the end, however the wait ends.
struct Drawn(Option<Term>);

impl Drop for Drawn {
    fn drop(&mut self) {
        if let Some(term) = &self.0 {
            let _ = term.clear_line();
        }
    }
}

fn draw(term: &Term, text: &str) {
    // A terminal that is gone is no reason to stop waiting.
    let _ = term.clear_line().and_then(|()| term.write_str(text)).and_then(|()| term.flush());
}
