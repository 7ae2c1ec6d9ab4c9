//! The loop: ask `decide`, journal `Started`, perform, journal how it ended. Knows no step's inside.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::begin::fenced;
use super::decide::{self, Decision};
use super::heart::Heart;
use super::plan::{self, Line, Plan};
use super::state::State;
use super::stop::{Asked, Cut, Stop, WindowClock, until};
use super::{advice, estimate, lock, recall};
use crate::config::{Config, OnSignal};
use crate::event::{Event, Events, LineId, Phase, millis};
use crate::failure::{Failure, Kind, Verdict};
use crate::journal::{Driver, Entry, Journal, JournalError, Onward, Target};
use crate::steps::{self, Action, Outline, Probe, Report, Site};
use crate::store::{Spool, Store};
use crate::time::{now, show_duration};
use crate::window::admin::Admin;
use crate::window::{fence, names};

/// What must be left of the grace to write the last records and to tell the end.
const FAREWELL: Duration = Duration::from_millis(500);

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
    /// Confirmations are answered with yes.
    pub yes: bool,
    /// A person is there to be asked.
    pub attended: bool,
    /// The clock of the window, while the flag may be up.
    pub(super) window: Option<WindowClock>,
    /// When the SIGKILL must be reckoned with that may follow a signal.
    pub(super) killed_at: Option<Instant>,
    /// Why the store is out of reach, once production is put back without it.
    pub(super) store_lost: Option<Failure>,
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
        self.window = WindowClock::of(&self.plan, &self.state, self.events);
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
        let back = decide::way_back(&self.plan, &self.state);
        if !fenced(&self.plan, &self.state, &back) {
            return Ok(());
        }
        let Some(database) = self.admin.by_oid(self.target.oid).await? else { return Ok(()) };
        if names::trace(&self.target.name, &database.name).is_some() {
            let role = names::Role::Window;
            let window = names::companion(&self.target.name, role, self.journal.run(), epoch);
            fence::close(&self.admin, self.target.oid, &window, timeout).await?;
        }
        Ok(())
    }

    async fn run_line(&mut self, id: LineId) -> Result<(), Halt> {
        let line = self.line(id)?;
        self.hold().await?;
        let began = Instant::now();
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
            self.window = WindowClock::of(&self.plan, &self.state, self.events);
        }
        // A driver that was frozen since the record must not act on it: somebody else may have by now.
        if !self.heart.pulse().is_fresh() {
            self.hold().await?;
            self.journal.claim().expect_ours().await.map_err(Failure::from)?;
        }
        let outcome = self.perform(&line, &intent).await?;
        match outcome {
            Some(Ok(report)) => self.finish(id, report, began.elapsed(), false).await,
            Some(Err(failure)) => self.fail(id, failure, began.elapsed()).await,
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
        let signals = if stops { 1 } else { 2 };
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
                _ = stop.wait_for(|asked| asked.times >= signals) => Err(Cut::Signal),
                () = until(killed_at) => Err(Cut::GraceIsOver),
                () = until(overruns) => Err(Cut::Overran),
                failure = keeping => Err(Cut::LockLost(failure)),
            }
        };
        if let Some(admin) = kept {
            self.admin = admin;
        }
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Cut::GraceIsOver) => Err(Halt::Stopped),
            Err(Cut::LockLost(failure)) => Err(Halt::Failed(failure)),
            Err(cut) => {
                self.silence(line).await?;
                self.interrupt(&cut).await.map(|()| None)
            }
        }
    }

    /// Ends what a line that was cut short left running, unless a second signal can't wait for that.
    async fn silence(&mut self, line: &Line) -> Result<(), Halt> {
        let mut stop = self.stop.clone();
        let site = self.site(line.id);
        tokio::select! {
            () = steps::silence(&line.action, &site) => Ok(()),
            _ = stop.wait_for(|asked| asked.times >= 2) => Err(Halt::Stopped),
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

    /// Journals that somebody took the flag down on the machine where it stands.
    ///
    /// # Errors
    /// The journal's.
    pub async fn flag_is_down(&mut self) -> Result<(), Failure> {
        self.append(Entry::FlagIsDown { who: Driver::this_process().to_string() }).await
    }

    async fn end(&mut self, verdict: Verdict) -> Result<Verdict, Halt> {
        let resumable = matches!(verdict, Verdict::Interrupted | Verdict::InterruptedInWindow);
        if self.state.ended.is_none() && !resumable {
            self.append(Entry::Ended { verdict }).await?;
        }
        if self.spool.is_engaged() && self.spool.flush().await.is_ok() {
            self.store_lost = None;
        }
        if !resumable && self.store_lost.is_none() {
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
        let asked = self.stop.borrow().times;
        match asked {
            0 => Ok(()),
            1 if self.state.interrupted.is_some() || self.state.putting_back => Ok(()),
            _ => self.interrupt(&Cut::Signal).await,
        }
    }

    /// Whether the window's clock may turn the run back: not any more once it goes back, or users may be in.
    fn may_overrun(&self) -> bool {
        decide::in_window(&self.plan, &self.state)
            && !self.state.putting_back
            && self.state.interrupted.is_none()
    }

    fn overran(&self) -> bool {
        let ends = self.window.as_ref().and_then(WindowClock::ends);
        self.may_overrun() && ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// Journals that the run was stopped, and what follows.
    async fn interrupt(&mut self, cut: &Cut) -> Result<(), Halt> {
        let asked = *self.stop.borrow();
        if asked.times >= 2 {
            return Err(Halt::Stopped);
        }
        let (how, onward) = match cut {
            Cut::Overran => {
                ("the window was open for longer than put_back_after".to_string(), Onward::PutBack)
            }
            _ => ("stopped by a signal".to_string(), self.onward(asked).await?),
        };
        if onward == Onward::PutBack && !self.attended {
            self.killed_at = asked.since.map(|since| since + self.config.stop.grace - FAREWELL);
        }
        Ok(self.append(Entry::Interrupted { how: how.into(), onward }).await?)
    }

    /// What follows a signal: a person decides, or the config.
    async fn onward(&mut self, asked: Asked) -> Result<Onward, Halt> {
        if !decide::in_window(&self.plan, &self.state) {
            return Ok(Onward::Leave);
        }
        if self.attended {
            return self.ask_onward().await;
        }
        if self.config.stop.on_signal == OnSignal::Leave {
            return Ok(Onward::Leave);
        }
        let passed = asked.since.map_or(Duration::ZERO, |since| since.elapsed());
        let left = self.config.stop.grace.saturating_sub(passed + FAREWELL);
        let needed = estimate::of_way_back(&self.plan, &self.state, now());
        if needed <= left {
            return Ok(Onward::PutBack);
        }
        let text = format!(
            "putting production back is likely to take {}, and {} are left of the grace: the run stops here",
            show_duration(needed),
            show_duration(left)
        );
        self.events.emit(Event::Note { line: None, text });
        Ok(Onward::Leave)
    }

    async fn ask_onward(&mut self) -> Result<Onward, Halt> {
        let (reply, answer) = oneshot::channel();
        self.events.emit(Event::Question {
            line: self.at(),
            text: "Stopped inside the window: users see the maintenance page. Put production back now? If not, the \
                   run stops here with the flag up, for backstay resume to go on."
                .into(),
            expects: "put back".into(),
            reply,
        });
        let mut stop = self.stop.clone();
        tokio::select! {
            typed = answer => match typed.is_ok_and(|typed| typed.trim() == "put back") {
                true => Ok(Onward::PutBack),
                false => Ok(Onward::Leave),
            },
            _ = stop.wait_for(|asked| asked.times >= 2) => Err(Halt::Stopped),
        }
    }

    /// The line that was worked at last.
    fn at(&self) -> LineId {
        let started = self.plan.lines.iter().rev().find(|line| self.state.ever_started(line.id));
        started.map_or(LineId::Line(1), |line| line.id)
    }

    async fn append(&mut self, entry: Entry) -> Result<(), Failure> {
        // Whether `Clearing` is on the store must be known: it decides what a resume may do.
        let clearing = match &entry {
            Entry::Started { line, .. } => self.line(*line).is_ok_and(|line| line.clears_for_good()),
            _ => false,
        };
        let draft = self.journal.draft(entry)?;
        let mut written = self.journal.write(&draft).await;
        if let Err(JournalError::Store(error)) = written {
            if clearing || !self.may_spool().await {
                return Err(error.into());
            }
            self.engage_spool(error.into());
            written = self.journal.write(&draft).await;
        }
        written?;
        let record = self.journal.settle(draft);
        self.state.add(&record);
        Ok(())
    }

    /// Whether the run may go on without its store: only to put production back, and only while the lock keeps
    /// everybody else away.
    async fn may_spool(&self) -> bool {
        decide::in_window(&self.plan, &self.state) && !self.spool.is_engaged() && self.admin.is_alive().await
    }

    fn engage_spool(&mut self, failure: Failure) {
        self.spool.engage();
        let text = format!(
            "the store is lost ({failure}); production is put back all the same, and the records of that wait in {}",
            self.spool.path().display()
        );
        self.events.emit(Event::Note { line: None, text });
        self.store_lost = Some(failure);
    }

    /// Looks whether the store is there: before users may come back it must be able to say so.
    async fn expect_store(&mut self) -> Result<(), Halt> {
        match self.journal.claim().expect_ours().await {
            Err(JournalError::Store(error)) if self.may_spool().await => self.engage_spool(error.into()),
            Err(JournalError::Store(_)) if self.spool.is_engaged() => {}
            other => other.map_err(Failure::from)?,
        }
        Ok(())
    }

    /// Why no line of the way there may start any more.
    fn without_store(&self) -> Option<Failure> {
        self.store_lost.clone().filter(|_| !self.state.putting_back)
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
        if self.store_lost.is_some() {
            next.push(format!(
                "backstay resume {run} -e {environment}, on this machine and once the store is back: the records of the \
                 put-back wait in {}",
                self.spool.path().display()
            ));
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
