//! A driver's records: written ahead, to the store, or while production is put back without it to the spool.

use super::decide;
use super::drive::{Driving, Halt};
use super::plan::Line;
use crate::event::Event;
use crate::failure::Failure;
use crate::journal::{Claim, Entry, JournalError};

/// Why a driver stops: that another has the run, if that is behind it. Whoever slept too long finds his sessions ended, and
/// that is not what there is to say.
pub(super) async fn or_lost(claim: &Claim, failure: Failure) -> Failure {
    match claim.expect_ours().await {
        Err(lost @ JournalError::Lost { .. }) => lost.into(),
        _ => failure,
    }
}

impl Driving<'_> {
    pub(super) async fn append(&mut self, entry: Entry) -> Result<(), Failure> {
        // Whether `Clearing` is on the store must be known: it decides what a resume may do.
        let clearing = match &entry {
            Entry::Started { line, .. } => self.plan.line(*line).is_some_and(Line::clears_for_good),
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
        let text = self.spool.engage(failure);
        self.events.emit(Event::Note { line: None, text });
    }

    /// Looks whether the store is there: before users may come back it must be able to say so.
    pub(super) async fn expect_store(&mut self) -> Result<(), Halt> {
        match self.journal.claim().expect_ours().await {
            Err(JournalError::Store(error)) if self.may_spool().await => {
                self.engage_spool(error.into());
                Ok(())
            }
            other => self.without_lost_store(other),
        }
    }

    /// Makes sure that the run is still this driver's. The lock must be held: a store that was lost can't say it.
    pub(super) async fn expect_ours(&self) -> Result<(), Halt> {
        let ours = self.journal.claim().expect_ours().await;
        self.without_lost_store(ours)
    }

    fn without_lost_store(&self, ours: Result<(), JournalError>) -> Result<(), Halt> {
        match ours {
            Err(JournalError::Store(_)) if self.spool.is_engaged() => Ok(()),
            other => Ok(other.map_err(Failure::from)?),
        }
    }

    /// Why no line of the way there may start any more.
    pub(super) fn without_store(&self) -> Option<Failure> {
        self.spool.lost().filter(|_| !self.state.putting_back)
    }
}
