//! What a person decides of a run that can't decide it by itself.

use super::drive::{Driving, Halt};
use super::{decide, plan};
use crate::answers::Answers;
use crate::event::{Event, LineId};
use crate::failure::{Failure, Verdict};
use crate::forecast::Forecast;
use crate::journal::{Driver, Entry};
use crate::steps::Planned;
use crate::time::now;

/// What a person decided of a run that stopped on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayOn {
    /// Put back although others wrote: their writes stay behind in the kept database and the ledger.
    PutBack,
    /// Keep the new version: the flag clears on proof of it.
    KeepNew,
    /// Go on: the flag on the other machine was taken down by hand.
    FlagIsDown,
}

/// What a person decided about a schedule that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// The reason that they gave.
    pub why: String,
    /// What the schedule says.
    pub was: String,
}

/// What a driver was told before it began.
#[derive(Debug, Default)]
pub struct Told {
    /// Confirmations are answered with yes.
    pub yes: bool,
    /// A person is there to be asked.
    pub attended: bool,
    /// Answers to its checklist that were given ahead.
    pub answers: Answers,
    /// The plan file that this driver was given.
    pub planned: Option<Planned>,
    /// What a person decided about a run that stands still.
    pub way_on: Option<WayOn>,
    /// How long it is likely to take.
    pub forecast: Forecast,
    /// The schedule is asked again before its window opens.
    pub bound: bool,
    /// What a person decided about the schedule.
    pub outside_schedule: Option<Outside>,
}

impl Driving<'_> {
    /// Journals and tells that this run goes on outside of the schedule, if somebody decided that.
    pub(super) async fn heed_override(&mut self) -> Result<(), Halt> {
        let Some(Outside { why, was }) = self.told.outside_schedule.take() else { return Ok(()) };
        let who = Driver::this_process().to_string();
        let text = format!("outside of the schedule ({was}), as {who} decided: {why}");
        self.append(Entry::OutsideSchedule { who, why, was }).await?;
        self.events.emit(Event::Note { line: None, text });
        Ok(())
    }

    /// Journals the decision with which this driver was started, if there is one.
    ///
    /// Fails where production can't be put back, for users are in again; where the new version can't be kept, because the
    /// database was never open again or is the old one already.
    pub(super) async fn heed_decision(&mut self) -> Result<(), Halt> {
        let who = Driver::this_process().to_string();
        let entry = match self.told.way_on.take() {
            None => return Ok(()),
            Some(WayOn::PutBack) => return self.put_back(who).await,
            Some(WayOn::FlagIsDown) => Entry::FlagIsDown { who },
            Some(WayOn::KeepNew) => return self.keep_new(who).await,
        };
        Ok(self.append(entry).await?)
    }

    async fn put_back(&mut self, who: String) -> Result<(), Halt> {
        if !decide::may_put_back(&self.plan, &self.state) {
            return Err(Halt::Failed(
                Failure::refused("put production back")
                    .because_of("the run is past the point where that loses nothing: users are in again, or nothing is left to go back to")
                    .then("backstay resume, without --put-back, goes on")
                    .then("then backstay rollback shows the ways back from a release that has ended"),
            ));
        }
        let kept = self.state.keep_new;
        self.append(Entry::PutBackAnyway { who }).await?;
        if kept {
            let lines = plan::cards(&decide::way_back(&self.plan, &self.state));
            self.events.emit(Event::PutBackBegan { at: now(), lines });
        }
        Ok(())
    }

    async fn keep_new(&mut self, who: String) -> Result<(), Halt> {
        if !decide::may_keep_new(&self.plan, &self.state) {
            return Err(Halt::Failed(
                Failure::refused("keep the new version")
                    .because_of("the run is not at a point where the new version is there to be kept"),
            ));
        }
        self.append(Entry::KeepNew { who }).await?;
        let lines = plan::cards(&decide::way_back(&self.plan, &self.state));
        self.events.emit(Event::PutBackBegan { at: now(), lines });
        Ok(())
    }

    pub(super) async fn ask_about_writes(&mut self, ledger: LineId) -> Result<(), Halt> {
        let found = self.state.line(ledger).summary.unwrap_or_default();
        let text = format!(
            "Others wrote since the database was opened ({found}). Put back all the same? Their writes are kept: as \
             files of the ledger on the store, and in the failed database."
        );
        if self.events.ask(ledger, text, "put back").await == Some(true) {
            let who = Driver::this_process().to_string();
            return Ok(self.append(Entry::PutBackAnyway { who }).await?);
        }
        Ok(self.append(Entry::Ended { verdict: Verdict::NotPutBack }).await?)
    }
}
