//! What a person decides of a run that can't decide it by itself.

use super::drive::{Driving, Halt};
use super::{decide, plan};
use crate::event::{Event, LineId};
use crate::failure::{Failure, Verdict};
use crate::journal::{Driver, Entry};
use crate::time::now;

impl Driving<'_> {
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

    pub(super) async fn ask_about_writes(&mut self, ledger: LineId) -> Result<(), Halt> {
        let found = self.state.line(ledger).summary.unwrap_or_default();
        let text = format!(
            "Others wrote since the database was opened ({found}). Put back all the same? Their writes are kept: as \
             files of the ledger on the store, and in the failed database."
        );
        if self.events.ask(ledger, text, "put back").await == Some(true) {
            return Ok(self.put_back_anyway().await?);
        }
        Ok(self.append(Entry::Ended { verdict: Verdict::NotPutBack }).await?)
    }
}
