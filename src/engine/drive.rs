//! The loop: ask `decide`, journal `Started`, perform, journal how it ended. Knows no step's inside.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::decide::{self, Decision};
use super::decisions::Told;
use super::heart::Heart;
use super::plan::{self, Line, Plan};
use super::record::or_lost;
use super::state::State;
use super::stop::{Asked, Cut, Stop, WindowClock, until};
use super::{farewell, lock, recall};
use crate::config::Config;
use crate::event::{Event, Events, LineId, Phase, millis};
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{Entry, Journal, Target};
use crate::pg::explained;
use crate::steps::{self, Action, Outline, Probe, Recall, Report, Site};
use crate::store::{Spool, Store};
use crate::time::now;
use crate::uptime::Uptime;
use crate::window::admin::Admin;
use crate::window::fence;
use crate::window::names::{self, Role, Trace};

/// One driver of one run.
pub struct Driving<'a> {
    /// The environment.
    pub(super) config: &'a Config,
    /// The store.
    pub(super) store: &'a Arc<dyn Store>,
    /// The same, with what stands in for it while production is put back.
    pub(super) spool: &'a Arc<Spool>,
    /// The event stream.
    pub(super) events: &'a Events,
    /// The person's stop.
    pub(super) stop: Stop,
    /// The checklist.
    pub(super) plan: Plan,
    /// What lines need of it.
    pub(super) outline: Outline,
    /// The journal, as this driver writes it.
    pub(super) journal: Journal,
    /// What the journal adds up to.
    pub(super) state: State,
    /// The database that the run is about.
    pub(super) target: Target,
    /// The connection that holds the lock.
    pub(super) admin: Admin,
    /// The signs of life that this driver gives.
    pub(super) heart: Heart,
    /// What whoever started this driver told it.
    pub(super) told: Told,
    /// The clock of the window, while the flag may be up.
    pub(super) window: Option<WindowClock>,
    /// When the SIGKILL must be reckoned with that may follow a signal.
    pub(super) killed_at: Option<Uptime>,
    /// When the line began that is at work, or was last.
    pub(super) at_work: Uptime,
}

/// Why the loop stopped without an end of the run.
pub(super) enum Halt {
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
        let mut stop = self.stop.clone();
        let beginning = self.notify_of_beginning();
        let halted = tokio::select! {
            biased;
            halted = self.run_lines() => halted,
            // Wherever it is: as a crash there would, that leaves a run that can be resumed.
            _ = stop.wait_for(Asked::at_once) => Err(Halt::Stopped),
        };
        let halted = match halted {
            Err(Halt::Failed(failure)) if !self.spool.is_engaged() => {
                Err(Halt::Failed(or_lost(&self.journal.claim(), failure).await))
            }
            halted => halted,
        };
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
        let production = farewell::production(&self.plan, verdict, failure.as_ref());
        self.notify_of_end(verdict, production, beginning).await;
        self.tell_end(verdict, production, failure);
        verdict
    }

    async fn run_lines(&mut self) -> Result<Verdict, Halt> {
        self.heed_decision().await?;
        self.heed_override().await?;
        self.hold_fence().await?;
        // How long users saw the maintenance page is not known where production was put back without a record.
        if decide::in_window(&self.plan, &self.state) && self.state.put_back_found.is_none() {
            self.window = WindowClock::of(&self.plan, &self.state, self.teller());
        }
        loop {
            match decide::decide(&self.plan, &self.state) {
                Decision::Run(_) if self.overran() => self.interrupt(&Cut::Overran).await?,
                Decision::Run(line) => self.run_line(line).await?,
                Decision::Probe(line) => self.probe_line(line).await?,
                Decision::PutBack => self.turn_back().await?,
                Decision::AskAboutWrites(line) => self.ask_about_writes(line).await?,
                Decision::End(verdict) => return self.end(verdict).await,
            }
        }
    }

    /// After a takeover the fence gets this driver's name: whoever still knows the old one is out. And what
    /// earlier drivers left in the server is ended, wherever it is: it would go on with what they began.
    async fn hold_fence(&mut self) -> Result<(), Halt> {
        let epoch = self.journal.epoch();
        if epoch == 1 {
            return Ok(());
        }
        let timeout = self.config.database.close_timeout;
        fence::end_earlier(self.admin.session(), self.journal.run(), epoch, timeout).await?;
        // What a database is called says whether it is closed. The journal may not know: a line that was to open it, or
        // to put another in its place, may have been cut off before or behind that.
        let ours = |trace: &Trace| trace.role == Role::Window && trace.run == self.journal.run();
        let companions = self.admin.companions(&self.target.name).await?;
        if let Some((database, _)) = companions.iter().find(|(_, trace)| ours(trace)) {
            let window = names::companion(&self.target.name, Role::Window, self.journal.run(), epoch);
            fence::close(&self.admin, database.oid, &window, timeout).await?;
        }
        Ok(())
    }

    async fn run_line(&mut self, id: LineId) -> Result<(), Halt> {
        let line = self.line(id)?;
        self.hold().await?;
        let began = Instant::now();
        self.at_work = Uptime::now();
        if matches!(line.action, Action::ClearFlag) {
            self.expect_store().await?;
        }
        let intent = match self.without_store() {
            Some(failure) => Err(failure),
            None => steps::prepare(&line.action, &mut self.site(id)).await,
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
        if let Some(failure) = self.without_store() {
            return self.fail(id, failure, began.elapsed()).await;
        }
        if matches!(line.action, Action::RaiseFlag { .. }) {
            self.window = WindowClock::of(&self.plan, &self.state, self.teller());
        }
        // A driver that was frozen since the record must not act on it: somebody else may have by now.
        if !self.heart.pulse().is_fresh() {
            self.hold().await?;
            self.expect_ours().await?;
        }
        let outcome = self.perform(&line, &intent).await?;
        match outcome {
            Some(Ok(report)) => self.finish(id, report, began.elapsed(), false).await,
            Some(Err(failure)) => {
                let failure = explained(failure, self.admin.session());
                self.fail(id, failure, began.elapsed()).await
            }
            // Cut short: what the line did is for the probe to say.
            None => Ok(()),
        }
    }

    /// Performs a line, unless something cuts it short: then that is journaled and nothing given.
    async fn perform(
        &mut self,
        line: &Line,
        intent: &Value,
    ) -> Result<Option<Result<Report, Failure>>, Halt> {
        let (mut stop, mut pulse) = (self.stop.clone(), self.heart.pulse());
        let stops = interruptible(&line.action) && !self.state.putting_back;
        let heard = self.heard_in(line, !stops && !self.state.putting_back);
        let overruns =
            self.window.as_ref().filter(|_| stops && self.may_overrun()).and_then(WindowClock::ends);
        let (killed_at, config, claim) = (self.killed_at, self.config, self.journal.claim());
        let (pid, mut kept) = (self.admin.session().pid(), None);
        let outcome = {
            let mut site = self.site(line.id);
            let keeping = lock::keep(config, &claim, &mut pulse, pid, &mut kept);
            tokio::select! {
                biased;
                outcome = steps::perform(&line.action, intent, &mut site) => Ok(outcome),
                _ = stop.wait_for(|asked| stops && asked.to_end()) => Err(Cut::Signal),
                () = until(killed_at) => Err(Cut::GraceIsOver),
                () = until(overruns) => Err(Cut::Overran),
                failure = keeping => Err(Cut::LockLost(failure)),
                () = heard => unreachable!("it only tells"),
            }
        };
        if let Some(admin) = kept {
            self.admin = admin;
        }
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Cut::GraceIsOver) => Err(Halt::Stopped),
            Err(Cut::LockLost(failure)) => {
                // What left its process group would act on under another driver. Why we stop is told whatever comes.
                let _ = self.silence(line).await;
                Err(Halt::Failed(failure))
            }
            // Ctrl-C on a question is an answer, whether the prompt had the terminal already or not.
            Err(Cut::Signal) if self.is_asking(line) => Ok(Some(Err(Failure::refused("get an answer")
                .because_of("stopped by a signal")
                .leaving("nothing was changed")))),
            Err(cut) => {
                self.silence(line).await?;
                self.interrupt(&cut).await.map(|()| None)
            }
        }
    }

    /// Makes sure that the lock is held; it is had again where its connection was lost between two lines.
    async fn hold(&mut self) -> Result<(), Halt> {
        if self.admin.is_alive().await {
            return Ok(());
        }
        let (claim, pulse) = (self.journal.claim(), self.heart.pulse());
        let admin = lock::regain(self.config, &claim, &pulse, self.admin.session().pid()).await?;
        self.heart.pulse().guard(admin.session().pid());
        self.admin = admin;
        Ok(())
    }

    async fn probe_line(&mut self, id: LineId) -> Result<(), Halt> {
        let line = self.line(id)?;
        self.hold().await?;
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

    async fn end(&mut self, verdict: Verdict) -> Result<Verdict, Halt> {
        let resumable = matches!(verdict, Verdict::Interrupted | Verdict::InterruptedInWindow);
        if self.state.ended.is_none() && !resumable {
            self.append(Entry::Ended { verdict }).await?;
        }
        if self.spool.is_engaged()
            && let Err(error) = self.spool.flush().await
        {
            tracing::debug!(%error, "the records wait");
        }
        if !resumable && !self.spool.is_engaged() {
            self.heart.stop().await;
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
        if !decide::in_window(&self.plan, &self.state) {
            self.window = None;
        }
        self.events.emit(Event::LineFinished { at: now(), line, summary, millis });
        self.heed_stop().await
    }

    async fn fail(&mut self, line: LineId, failure: Failure, took: Duration) -> Result<(), Halt> {
        let millis = millis(took);
        self.append(Entry::Failed { line, failure: failure.clone(), millis }).await?;
        self.events.emit(Event::LineFailed { at: now(), line, failure, millis });
        self.heed_stop().await
    }

    pub(super) fn line(&self, id: LineId) -> Result<Line, Failure> {
        let back = decide::way_back(&self.plan, &self.state);
        recall::line_of(&self.plan, &back, id)
            .cloned()
            .ok_or_else(|| Failure::internal(format!("find line {id} of the plan")))
    }

    pub(super) fn site(&mut self, line: LineId) -> Site<'_> {
        let back = decide::way_back(&self.plan, &self.state);
        let watched = self.state.line(line).worked;
        Site {
            config: self.config,
            store: self.store,
            spool: self.spool,
            run: self.journal.run(),
            epoch: self.journal.epoch(),
            target: &self.target,
            recall: Recall { watched, ..recall::recall(&self.plan, &self.state, &back) },
            admin: &mut self.admin,
            events: self.events,
            line,
            phase: recall::line_of(&self.plan, &back, line).map_or(Phase::Before, |line| line.phase),
            yes: self.told.yes,
            planned: self.told.planned.as_ref(),
            outline: &self.outline,
            answers: &self.told.answers,
            forecast: &self.told.forecast,
            bound: self.told.bound,
        }
    }
}

/// Lines that are short, or that must not be left half done, are finished before a stop is heeded. A guard may take
/// as long as the database is large, and nothing was changed yet.
fn interruptible(action: &Action) -> bool {
    matches!(
        action,
        Action::Step(_) | Action::Guard(_) | Action::Downgrade { .. } | Action::RestoreAside { .. }
    )
}
