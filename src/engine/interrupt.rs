//! A driver that is stopped: what its line leaves running is ended, and somebody says what follows.

use std::time::Duration;

use tokio::time::timeout;

use super::drive::{Driving, Halt};
use super::plan::Line;
use super::stop::{Asked, Cut, WindowClock};
use super::{decide, estimate};
use crate::config::OnSignal;
use crate::event::{Event, LineId};
use crate::journal::{Entry, Onward};
use crate::steps;
use crate::time::show_duration;
use crate::uptime::Uptime;

/// How long after a terminal's end the signal may come that says so.
const HANG_UP: Duration = Duration::from_millis(200);

/// What must be left of the grace to write the last records and to tell the end.
const FAREWELL: Duration = Duration::from_millis(500);

impl Driving<'_> {
    /// Between two lines: did a person ask to stop?
    pub(super) async fn heed_stop(&mut self) -> Result<(), Halt> {
        let asked = *self.stop.borrow();
        let heeded = self.state.interrupted.is_some() || self.state.putting_back;
        if asked.to_end() && !heeded || asked.at_once() {
            return self.interrupt(&Cut::Signal).await;
        }
        Ok(())
    }

    /// Ends what a line that was cut short left running, unless a second signal can't wait for that.
    pub(super) async fn silence(&mut self, line: &Line) -> Result<(), Halt> {
        let mut stop = self.stop.clone();
        let site = self.site(line.id);
        tokio::select! {
            () = steps::silence(&line.action, &site) => Ok(()),
            _ = stop.wait_for(Asked::at_once) => Err(Halt::Stopped),
        }
    }

    /// Tells, if `finishes`, that a stop was heard and that the line is finished first. Never comes back.
    pub(super) fn heard_in(&self, line: &Line, finishes: bool) -> impl Future<Output = ()> + use<> {
        let (mut stop, events) = (self.stop.clone(), self.events.clone());
        let text = format!("the stop was heard; {} is finished first", line.name);
        let note = Event::Note { line: Some(line.id), text };
        let already = stop.borrow().to_end();
        async move {
            if finishes && !already && stop.wait_for(Asked::to_end).await.is_ok() {
                events.emit(note);
            }
            std::future::pending().await
        }
    }

    /// Whether the window's clock may turn the run back: not any more once it goes back, or users may be in.
    pub(super) fn may_overrun(&self) -> bool {
        decide::in_window(&self.plan, &self.state)
            && !self.state.putting_back
            && self.state.interrupted.is_none()
    }

    pub(super) fn overran(&self) -> bool {
        let ends = self.window.as_ref().and_then(WindowClock::ends);
        self.may_overrun() && ends.is_some_and(|ends| ends <= Uptime::now())
    }

    /// Journals that the run was stopped, and what follows.
    pub(super) async fn interrupt(&mut self, cut: &Cut) -> Result<(), Halt> {
        let asked = *self.stop.borrow();
        if asked.at_once() {
            return Err(Halt::Stopped);
        }
        let (how, onward) = match cut {
            Cut::Overran => ("the window was open for longer than its put_back_after", Onward::PutBack),
            _ => ("stopped by a signal", self.onward(asked).await?),
        };
        if onward == Onward::PutBack && !self.told.attended {
            self.killed_at = asked.since.map(|since| since + self.config.stop.grace - FAREWELL);
        }
        Ok(self.append(Entry::Interrupted { how: how.into(), onward }).await?)
    }

    /// What follows a signal: a person decides, or the config.
    async fn onward(&mut self, asked: Asked) -> Result<Onward, Halt> {
        if !decide::in_window(&self.plan, &self.state) {
            return Ok(Onward::Leave);
        }
        if self.can_ask()
            && let Some(onward) = self.ask_onward().await?
        {
            return Ok(onward);
        }
        if self.config.stop.on_signal == OnSignal::Leave {
            return Ok(Onward::Leave);
        }
        // Behind a terminal that is gone no SIGKILL follows.
        let Some(since) = asked.since.filter(|_| !self.stop.borrow().hung_up) else {
            return Ok(Onward::PutBack);
        };
        let left = self.config.stop.grace.saturating_sub(since.elapsed() + FAREWELL);
        let needed = estimate::of_way_back(&self.plan, &self.state, self.at_work.elapsed());
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

    /// Whether the line is a question to a person who is there, and nothing was changed yet.
    pub(super) fn is_asking(&self, line: &Line) -> bool {
        line.is_a_persons() && self.can_ask() && !decide::in_window(&self.plan, &self.state)
    }

    /// Whether a person is there, and has a terminal.
    fn can_ask(&self) -> bool {
        self.told.attended && !self.stop.borrow().hung_up
    }

    /// Asks the person; nothing, if they went away.
    async fn ask_onward(&mut self) -> Result<Option<Onward>, Halt> {
        let text = "Stopped inside the window: users see the maintenance page. Put production back now? If not, the \
                    run stops here with the flag up, for backstay resume to go on.";
        let (mut terminal, mut late) = (self.stop.clone(), self.stop.clone());
        tokio::select! {
            answer = self.events.ask(self.at(), text.into(), "put back") => match answer {
                Some(true) => Ok(Some(Onward::PutBack)),
                Some(false) => Ok(Some(Onward::Leave)),
                // Nothing was typed; or there is nothing left to type on, which the signal is about to say.
                None => {
                    let gone = timeout(HANG_UP, late.wait_for(|asked| asked.hung_up)).await.is_ok();
                    Ok((!gone).then_some(Onward::Leave))
                }
            },
            _ = terminal.wait_for(|asked| asked.hung_up) => Ok(None),
        }
    }

    /// The line that was worked at last.
    fn at(&self) -> LineId {
        let started = self.plan.lines.iter().rev().find(|line| self.state.ever_started(line.id));
        started.map_or(LineId::Line(1), |line| line.id)
    }
}
