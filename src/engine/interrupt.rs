//! A driver that is stopped: what its line leaves running is ended, and somebody says what follows.

use std::time::Duration;

use super::drive::{Driving, Halt};
use super::plan::Line;
use super::stop::{Asked, Cut, WindowClock};
use super::{decide, estimate};
use crate::config::OnSignal;
use crate::event::{Event, LineId};
use crate::journal::{Entry, Onward};
use crate::steps;
use crate::time::{now, show_duration};
use crate::uptime::Uptime;

/// What must be left of the grace to write the last records and to tell the end.
const FAREWELL: Duration = Duration::from_millis(500);

impl Driving<'_> {
    /// Between two lines: did a person ask to stop?
    pub(super) async fn heed_stop(&mut self) -> Result<(), Halt> {
        let asked = self.stop.borrow().times;
        match asked {
            0 => Ok(()),
            1 if self.state.interrupted.is_some() || self.state.putting_back => Ok(()),
            _ => self.interrupt(&Cut::Signal).await,
        }
    }

    /// Ends what a line that was cut short left running, unless a second signal can't wait for that.
    pub(super) async fn silence(&mut self, line: &Line) -> Result<(), Halt> {
        let mut stop = self.stop.clone();
        let site = self.site(line.id);
        tokio::select! {
            () = steps::silence(&line.action, &site) => Ok(()),
            _ = stop.wait_for(|asked| asked.times >= 2) => Err(Halt::Stopped),
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
        if asked.times >= 2 {
            return Err(Halt::Stopped);
        }
        let (how, onward) = match cut {
            Cut::Overran => ("the window was open for longer than its put_back_after", Onward::PutBack),
            _ => ("stopped by a signal", self.onward(asked).await?),
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
        let text = "Stopped inside the window: users see the maintenance page. Put production back now? If not, the \
                    run stops here with the flag up, for backstay resume to go on.";
        let mut stop = self.stop.clone();
        tokio::select! {
            answer = self.events.ask(self.at(), text.into(), "put back") => match answer {
                Some(true) => Ok(Onward::PutBack),
                Some(false) | None => Ok(Onward::Leave),
            },
            _ = stop.wait_for(|asked| asked.times >= 2) => Err(Halt::Stopped),
        }
    }

    /// The line that was worked at last.
    fn at(&self) -> LineId {
        let started = self.plan.lines.iter().rev().find(|line| self.state.ever_started(line.id));
        started.map_or(LineId::Line(1), |line| line.id)
    }
}
