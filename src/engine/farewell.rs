//! The end of a run, told: to the screen, and to people who are not there.

use super::drive::Driving;
use super::plan::Plan;
use super::stop::{Teller, until};
use super::{advice, decide};
use crate::event::{Event, RUN_BEGAN, RUN_ENDED};
use crate::failure::{Failure, Kind, Verdict};
use crate::notify;
use crate::steps;
use crate::time::now;

/// What production is, in words. A driver that was fenced knows only that it is not his any more.
pub(super) fn production(plan: &Plan, verdict: Verdict, halted: Option<&Failure>) -> &'static str {
    match is_fenced(halted) {
        true => "in the hands of another driver, or waits for one",
        false => advice::production(plan.rollback.is_some(), verdict),
    }
}

fn is_fenced(halted: Option<&Failure>) -> bool {
    halted.is_some_and(|failure| failure.kind == Kind::Fenced)
}

impl Driving<'_> {
    pub(super) fn teller(&self) -> Teller {
        let (config, run) = (self.config.clone(), self.journal.run().to_string());
        Teller { config, run, events: self.events.clone() }
    }

    /// Tells people that a driver took the run up, beside it; nothing if nobody wants to know.
    pub(super) fn notify_of_beginning(&self) -> Option<tokio::task::JoinHandle<()>> {
        if !notify::is_wanted(self.config, RUN_BEGAN) {
            return None;
        }
        let (run, environment) = (self.journal.run(), &self.config.environment);
        let text = match self.journal.epoch() {
            1 => format!("run {run} of {environment} began"),
            epoch => format!("run {run} of {environment} was taken up again, by driver {epoch}"),
        };
        let teller = self.teller();
        Some(tokio::spawn(async move { teller.notify(RUN_BEGAN, &text).await }))
    }

    /// A run that ends with the flag up needs a person, who may be asleep.
    pub(super) async fn notify_of_end(
        &self,
        verdict: Verdict,
        production: &str,
        beginning: Option<tokio::task::JoinHandle<()>>,
    ) {
        let event = match verdict {
            Verdict::NotPutBack | Verdict::InterruptedInWindow => "needs_a_person",
            _ => RUN_ENDED,
        };
        let (run, environment) = (self.journal.run(), &self.config.environment);
        let text = format!(
            "run {run} of {environment} ended with exit {}: production is {production}; backstay status -e {environment}",
            verdict.exit_code()
        );
        let teller = self.teller();
        let telling = async {
            // In their order.
            if let Some(beginning) = beginning {
                let _ = beginning.await;
            }
            teller.notify_of(event, &text, Some(verdict)).await;
        };
        tokio::select! {
            () = telling => {}
            // The SIGKILL that may come must not find the end untold.
            () = until(self.killed_at) => {}
        }
    }

    /// Why the run stopped in the middle of its way back, where that was for others' writes.
    fn unagreed_writes(&self, verdict: Verdict) -> Option<Failure> {
        let line = decide::unagreed_writes(&self.plan, &self.state)?;
        let ledger = serde_json::from_value(self.state.line(line).facts["ledger"].clone()).ok()?;
        (verdict == Verdict::NotPutBack).then(|| steps::would_drop_writes(&ledger, self.journal.run()))
    }

    pub(super) fn tell_end(&self, verdict: Verdict, production: &str, halted: Option<Failure>) {
        let (run, environment) = (self.journal.run(), &self.config.environment);
        let first = self.state.first_failure.as_ref().map(|(_, failure)| failure.clone());
        let back = self.state.back_failure.as_ref().map(|(_, failure)| failure.clone());
        let back = back.or_else(|| self.unagreed_writes(verdict));
        let mut next = match is_fenced(halted.as_ref()) {
            // What this driver knows is out of date.
            true => vec![format!(
                "backstay status -e {environment} tells what production is and who drives the run; if nobody does: \
                 backstay resume {run} -e {environment}"
            )],
            false => advice::next_steps(&self.plan, &self.state, back.as_ref(), verdict, run, environment),
        };
        let stopped = self.state.stopped_by.as_ref().filter(|_| verdict == Verdict::PutBack);
        let first = first.or_else(|| {
            stopped.map(|how| Failure::new(Kind::Interrupted, "finish the release").because_of(how.as_str()))
        });
        let (cause, put_back_cause) = match (first, halted) {
            (Some(first), halted) => (Some(first), halted.or(back)),
            (None, halted) => (halted, back),
        };
        if let Some(cause) = cause.as_ref().filter(|_| self.state.first_failure.is_none()) {
            next.splice(0..0, cause.next.iter().cloned());
        }
        if self.spool.is_engaged() {
            next.push(format!(
                "backstay resume {run} -e {environment}, on this machine and once the store is back: the records of the \
                 put-back wait in {}",
                self.spool.path().display()
            ));
        }
        // What was mended in the end is no cause of this end: neither the earlier tries of a put-back that
        // succeeded, nor the failure of a line that finished after all.
        let cause = cause.filter(|_| verdict != Verdict::Done);
        let put_back_cause =
            put_back_cause.filter(|_| !matches!(verdict, Verdict::PutBack | Verdict::ChangedButFailing));
        self.events.emit(Event::Ended {
            at: now(),
            verdict,
            exit: verdict.exit_code(),
            run: run.to_string(),
            production: production.to_string(),
            cause,
            put_back_cause,
            next,
        });
    }
}
