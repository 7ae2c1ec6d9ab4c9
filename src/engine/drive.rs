//! The loop: ask `decide`, journal `Started`, perform, journal how it ended. Knows no step's inside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::advice;
use super::begin::fenced;
use super::decide::{self, Decision};
use super::plan::{self, Line, Plan};
use super::recall;
use super::state::State;
use crate::config::Config;
use crate::event::{Event, Events, LineId, Phase, millis};
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{Driver, Entry, Journal, Target};
use crate::steps::{self, Action, Outline, Probe, Report, Site};
use crate::store::Store;
use crate::time::now;
use crate::window::admin::{Admin, Patience};
use crate::window::{fence, names};

/// How long the lock may take to be had again after its connection was lost.
const LOCK_WAIT: Patience = Patience::of(Duration::from_secs(30));

/// How often a person asked for a stop. One: end cleanly. Two: now.
pub type Stop = watch::Receiver<u32>;

/// One driver of one run.
pub struct Driving<'a> {
    /// The environment.
    pub config: &'a Config,
    /// The store.
    pub store: &'a Arc<dyn Store>,
    /// The event stream.
    pub events: &'a Events,
    /// The person's stop.
    pub stop: Stop,
    /// The checklist.
    pub plan: Plan,
    /// What lines need of it.
    pub outline: Outline,
    /// The journal, as this driver writes it.
    pub journal: Journal,
    /// What the journal adds up to.
    pub state: State,
    /// The database that the run is about.
    pub target: Target,
    /// The connection that holds the lock.
    pub admin: Admin,
    /// Confirmations are answered with yes.
    pub yes: bool,
}

/// Why the loop stopped without an end of the run.
enum Halt {
    /// A person said so twice.
    Stopped,
    /// The journal or the lock is out of reach, or another driver's.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Halt::Failed(failure)
    }
}

impl Driving<'_> {
    /// Drives the run to its end, and tells the verdict by the last event.
    ///
    /// A crash anywhere leaves a run that `resume` goes on with: every effect is behind its `Started`.
    pub async fn drive(mut self) -> Verdict {
        let halted = self.run_lines().await;
        let (verdict, failure) = match halted {
            Ok(verdict) => (verdict, None),
            Err(halt) => {
                let untouched = !decide::entered_window(&self.plan, &self.state);
                let stopped = decide::interrupted(&self.plan, &self.state);
                match halt {
                    Halt::Stopped => (stopped, None),
                    Halt::Failed(failure) if !untouched || failure.kind == Kind::Fenced => {
                        (stopped, Some(failure))
                    }
                    Halt::Failed(failure) => (failure.kind.into(), Some(failure)),
                }
            }
        };
        self.tell_end(verdict, failure);
        verdict
    }

    async fn run_lines(&mut self) -> Result<Verdict, Halt> {
        self.hold_fence().await?;
        loop {
            match decide::decide(&self.plan, &self.state) {
                Decision::Run(line) => self.run_line(line).await?,
                Decision::Probe(line) => self.probe_line(line).await?,
                Decision::PutBack => self.turn_back().await?,
                Decision::AskAboutWrites(line) => self.ask_about_writes(line).await?,
                Decision::End(verdict) => return self.end(verdict).await,
            }
        }
    }

    /// After a takeover the fence gets this driver's name: whoever still knows the old one is out.
    async fn hold_fence(&mut self) -> Result<(), Halt> {
        let back = decide::way_back(&self.plan, &self.state);
        if self.journal.epoch() == 1 || !fenced(&self.plan, &self.state, &back) {
            return Ok(());
        }
        let Some(database) = self.admin.by_oid(self.target.oid).await? else { return Ok(()) };
        if names::trace(&self.target.name, &database.name).is_some() {
            let window = names::companion(
                &self.target.name,
                names::Role::Window,
                self.journal.run(),
                self.journal.epoch(),
            );
            fence::close(&self.admin, self.target.oid, &window, self.config.database.close_timeout).await?;
        }
        Ok(())
    }

    async fn run_line(&mut self, id: LineId) -> Result<(), Halt> {
        let line = self.line(id)?;
        self.admin.ensure(&self.target.name, LOCK_WAIT).await?;
        let began = Instant::now();
        let intent = {
            let mut site = self.site(id);
            steps::prepare(&line.action, &mut site).await
        };
        let intent = match intent {
            Ok(intent) => intent,
            // It has not acted, so no `Started`: the way back must not reckon with what it would have done.
            Err(failure) => {
                self.events.emit(Event::LineStarted { at: now(), line: id });
                return self.fail(id, failure, began.elapsed()).await;
            }
        };
        self.append(Entry::Started { line: id, name: line.name.clone(), intent: intent.clone() }).await?;
        self.events.emit(Event::LineStarted { at: now(), line: id });
        let outcome = self.perform(&line, &intent).await?;
        match outcome {
            Some(Ok(report)) => self.finish(id, report, began.elapsed(), false).await,
            Some(Err(failure)) => self.fail(id, failure, began.elapsed()).await,
            // Interrupted: what the line did is for the probe to say.
            None => Ok(()),
        }
    }

    /// Performs a line, unless a person stops it: then the interruption is journaled and nothing given.
    async fn perform(
        &mut self,
        line: &Line,
        intent: &Value,
    ) -> Result<Option<Result<Report, Failure>>, Halt> {
        let mut stop = self.stop.clone();
        let stops = interruptible(&line.action) && !self.state.putting_back;
        let wanted = if stops { 1 } else { 2 };
        let mut site = self.site(line.id);
        tokio::select! {
            biased;
            outcome = steps::perform(&line.action, intent, &mut site) => return Ok(Some(outcome)),
            _ = stop.wait_for(|asked| *asked >= wanted) => {}
        }
        self.note_stop().await.map(|()| None)
    }

    async fn probe_line(&mut self, id: LineId) -> Result<(), Halt> {
        let line = self.line(id)?;
        self.admin.ensure(&self.target.name, LOCK_WAIT).await?;
        let intent = self.state.line(id).intent;
        let began = Instant::now();
        let found = {
            let mut site = self.site(id);
            steps::probe(&line.action, &intent, &mut site).await?
        };
        match found {
            Probe::Done(report) => self.finish(id, report, began.elapsed(), true).await,
            Probe::NotDone(why) => {
                self.events.emit(Event::Note {
                    line: Some(id),
                    text: format!("{} was under way: {why}", line.name),
                });
                Ok(self.append(Entry::Abandoned { line: id, why }).await?)
            }
            Probe::Failed(failure) => self.fail(id, failure, began.elapsed()).await,
        }
    }

    async fn turn_back(&mut self) -> Result<(), Halt> {
        let lines = plan::cards(&decide::way_back(&self.plan, &self.state));
        self.append(Entry::PutBackBegan { lines: lines.clone() }).await?;
        self.events.emit(Event::PutBackBegan { at: now(), lines });
        Ok(())
    }

    async fn ask_about_writes(&mut self, ledger: LineId) -> Result<(), Halt> {
        let found = self.state.line(ledger).summary.unwrap_or_default();
        let (reply, answer) = oneshot::channel();
        self.events.emit(Event::Question {
            line: ledger,
            text: format!(
                "Others wrote since the database was opened ({found}). Put back all the same? Their writes stay in \
                 the failed database, which is kept."
            ),
            expects: "put back".into(),
            reply,
        });
        if answer.await.is_ok_and(|typed| typed.trim() == "put back") {
            return Ok(self.put_back_anyway().await?);
        }
        Ok(self.append(Entry::Ended { verdict: Verdict::NotPutBack }).await?)
    }

    /// Journals the decision that others' writes stay behind in the kept database.
    ///
    /// # Errors
    /// The journal's.
    pub async fn put_back_anyway(&mut self) -> Result<(), Failure> {
        self.append(Entry::PutBackAnyway { who: Driver::this_process().to_string() }).await
    }

    /// Journals the decision of a person to keep the new version: the flag clears on proof of it.
    ///
    /// # Errors
    /// A refusal if the database was never open again, or is the old one already; the journal's.
    pub async fn keep_new(&mut self) -> Result<(), Failure> {
        if !decide::may_keep_new(&self.plan, &self.state) {
            return Err(Failure::refused("keep the new version")
                .because_of("the run is not at a point where the new version is there to be kept")
                .then(format!("backstay resume {} goes on as the run would have", self.journal.run())));
        }
        self.append(Entry::KeepNew { who: Driver::this_process().to_string() }).await?;
        let lines = plan::cards(&decide::way_back(&self.plan, &self.state));
        self.events.emit(Event::PutBackBegan { at: now(), lines });
        Ok(())
    }

    async fn end(&mut self, verdict: Verdict) -> Result<Verdict, Halt> {
        let resumable = matches!(verdict, Verdict::Interrupted | Verdict::InterruptedInWindow);
        if self.state.ended.is_none() && !resumable {
            self.append(Entry::Ended { verdict }).await?;
        }
        Ok(verdict)
    }

    async fn finish(
        &mut self,
        line: LineId,
        report: Report,
        took: Duration,
        probed: bool,
    ) -> Result<(), Halt> {
        let (summary, millis) = (report.summary.clone(), millis(took));
        let entry = Entry::Finished { line, summary: report.summary, facts: report.facts, millis, probed };
        self.append(entry).await?;
        self.events.emit(Event::LineFinished { at: now(), line, summary, millis });
        self.heed_stop().await
    }

    async fn fail(&mut self, line: LineId, failure: Failure, took: Duration) -> Result<(), Halt> {
        let millis = millis(took);
        self.append(Entry::Failed { line, failure: failure.clone(), millis }).await?;
        self.events.emit(Event::LineFailed { at: now(), line, failure, millis });
        self.heed_stop().await
    }

    /// Between two lines: did a person ask to stop?
    async fn heed_stop(&mut self) -> Result<(), Halt> {
        match *self.stop.borrow() {
            0 => return Ok(()),
            1 if self.state.interrupted || self.state.putting_back => return Ok(()),
            _ => {}
        }
        self.note_stop().await
    }

    async fn note_stop(&mut self) -> Result<(), Halt> {
        if *self.stop.borrow() >= 2 {
            return Err(Halt::Stopped);
        }
        Ok(self.append(Entry::Interrupted { how: "stopped by a signal".into() }).await?)
    }

    async fn append(&mut self, entry: Entry) -> Result<(), Failure> {
        let record = self.journal.append(entry).await?;
        self.state.add(&record);
        Ok(())
    }

    fn line(&self, id: LineId) -> Result<Line, Failure> {
        let back = decide::way_back(&self.plan, &self.state);
        recall::line_of(&self.plan, &back, id)
            .cloned()
            .ok_or_else(|| Failure::internal(format!("find line {id} of the plan")))
    }

    fn site(&mut self, line: LineId) -> Site<'_> {
        let back = decide::way_back(&self.plan, &self.state);
        Site {
            config: self.config,
            store: self.store,
            run: self.journal.run(),
            epoch: self.journal.epoch(),
            target: &self.target,
            recall: recall::recall(&self.plan, &self.state, &back),
            admin: &mut self.admin,
            events: self.events,
            line,
            phase: recall::line_of(&self.plan, &back, line).map_or(Phase::Before, |line| line.phase),
            yes: self.yes,
            outline: &self.outline,
        }
    }

    /// Why the run stopped in the middle of its way back, where that was for others' writes.
    fn unagreed_writes(&self, verdict: Verdict) -> Option<Failure> {
        let line = decide::unagreed_writes(&self.plan, &self.state)?;
        let ledger = serde_json::from_value(self.state.line(line).facts["ledger"].clone()).ok()?;
        (verdict == Verdict::NotPutBack).then(|| steps::would_drop_writes(&ledger, self.journal.run()))
    }

    fn tell_end(&self, verdict: Verdict, halted: Option<Failure>) {
        let (run, environment) = (self.journal.run(), &self.config.environment);
        let first = self.state.first_failure.as_ref().map(|(_, failure)| failure.clone());
        let back = self.state.back_failure.as_ref().map(|(_, failure)| failure.clone());
        let back = back.or_else(|| self.unagreed_writes(verdict));
        let mut next = advice::next_steps(&self.plan, &self.state, back.as_ref(), verdict, run, environment);
        let (cause, put_back_cause) = match (first, halted) {
            (Some(first), halted) => (Some(first), halted.or(back)),
            (None, halted) => (halted, back),
        };
        if let Some(cause) = cause.as_ref().filter(|_| self.state.first_failure.is_none()) {
            next.splice(0..0, cause.next.iter().cloned());
        }
        // What was mended in the end is no cause of this end: neither the earlier tries of a put-back that
        // succeeded, nor the failure of a line that finished after all.
        let cause = cause.filter(|_| verdict != Verdict::Done);
        let put_back_cause = put_back_cause.filter(|_| verdict != Verdict::PutBack);
        self.events.emit(Event::Ended {
            at: now(),
            verdict,
            exit: verdict.exit_code(),
            run: run.to_string(),
            production: verdict.production().to_string(),
            cause,
            put_back_cause,
            next,
        });
    }
}

/// Lines that are short, or that must not be left half done, are finished before a stop is heeded.
fn interruptible(action: &Action) -> bool {
    matches!(action, Action::Step(_))
}
