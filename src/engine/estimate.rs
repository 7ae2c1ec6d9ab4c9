//! How long the way back is likely to take, from what the journal knows. **Pure.**

use std::time::Duration;

use jiff::Timestamp;

use super::decide::way_back;
use super::plan::Plan;
use super::state::State;
use crate::steps::Action;
use crate::time::between;

/// Closing the database, counting what others wrote, two renames: measured at well under a second.
const DATABASE: Duration = Duration::from_secs(1);
/// A new session, and health checks of an application that is well.
const PROOF: Duration = Duration::from_secs(2);

/// How long it would take from `now` to put production back. An undo is taken to last as long as its command did.
pub fn of_way_back(plan: &Plan, state: &State, now: Timestamp) -> Duration {
    let lasted = |id| {
        let standing = state.line(id);
        standing.took.or_else(|| standing.began.map(|began| between(began, now)))
    };
    way_back(plan, state)
        .iter()
        .map(|line| match &line.action {
            Action::Undo { line, .. } => lasted(*line).unwrap_or_default(),
            Action::Swap { .. } | Action::Reopen | Action::ReadLedger => DATABASE,
            Action::Prove { .. } => PROOF,
            _ => Duration::ZERO,
        })
        .sum()
}
