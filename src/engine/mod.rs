//! The workflow engine: a plan, a pure decision, and the loop that writes ahead.
//!
//! What happens next is answered by [`decide`] alone, from the plan and what the journal adds up to.
//! [`drive`] only carries it out: journal `Started`, perform, journal how it ended.

pub mod admission;
pub mod advice;
pub mod begin;
pub mod decide;
pub mod decisions;
pub mod drive;
mod estimate;
mod farewell;
pub mod flag_lines;
pub mod footing;
mod found;
mod heart;
pub mod history;
mod interrupt;
mod lock;
pub mod plan;
pub mod proposal;
pub mod recall;
mod record;
pub mod rollback;
pub mod standing;
pub mod state;
pub mod stop;
