//! The window: flag, fence, guard, swap, and the ledger of what others wrote.
//!
//! What stands here are the verbs of DESIGN's window, each idempotent and each able to say afterwards
//! whether it took effect, by object id and never by name. They know no runbook and no journal.

pub mod admin;
pub mod fence;
pub mod flag;
pub mod guard;
pub mod ledger;
pub mod names;
pub mod proof;
pub mod replica;
pub mod survivors;
pub mod swap;
pub mod tag;
