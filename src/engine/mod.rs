//! The workflow engine: a plan, a pure decision, and the loop that writes ahead.

pub mod decide;
pub mod plan;
pub mod state;
