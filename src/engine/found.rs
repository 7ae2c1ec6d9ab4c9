//! What an earlier driver did of which no record is here: it lost the store, put production back all the same, and its
//! records wait on its machine.

use super::decide;
use super::drive::Driving;
use super::recall;
use super::state::Status;
use crate::failure::Failure;
use crate::journal::{Driver, Entry, FoundBack};
use crate::steps::Action;

impl Driving<'_> {
    /// Looks whether production was put back without a record of it, and journals that; gives what to tell of it. To be
    /// called with the lock held: from then on no earlier driver can swap any more.
    ///
    /// # Errors
    /// The server's, or the journal's: nothing may be decided then.
    pub(super) async fn find_put_back(&mut self, by: Driver) -> Result<Option<String>, Failure> {
        if self.state.put_back_found.is_some() {
            return Ok(None);
        }
        let Some(found) = self.look_for_put_back().await? else { return Ok(None) };
        let text = format!(
            "{}. They wait on {} in the folder [store] spool (here that would be {}), with the ledger if others had \
             written: backstay resume there brings the ledger to the store and keeps the records aside",
            found.words(&by),
            by.machine.host,
            self.spool.path().display()
        );
        self.append(Entry::PutBackFound { found, by: Box::new(by) }).await?;
        Ok(Some(text))
    }

    /// Compares what has production's name with what the journal knows.
    async fn look_for_put_back(&self) -> Result<Option<FoundBack>, Failure> {
        let back = decide::way_back(&self.plan, &self.state);
        let swap = back.iter().find(|line| matches!(line.action, Action::Swap { .. }));
        // A swap that the journal knows is probed.
        let is_known = |status| matches!(status, Status::Started | Status::Finished);
        if swap.is_some_and(|line| is_known(self.state.status(line.id))) {
            return Ok(None);
        }
        let Some(named) = self.admin.by_name(&self.target.name).await? else { return Ok(None) };
        let guard = match swap.is_some() && self.plan.exchanges() {
            true => Some(self.target.oid),
            false => recall::recall(&self.plan, &self.state, &back).guard.map(|facts| facts.guard.oid),
        };
        if guard == Some(named.oid) {
            return Ok(Some(FoundBack::Swapped));
        }
        let fenced = decide::is_fenced_unchanged(&self.plan, &self.state);
        Ok((named.oid == self.target.oid && fenced).then_some(FoundBack::Reopened))
    }
}
