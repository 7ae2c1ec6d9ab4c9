//! SQL as the lint reads it: parsed by squawk's parser, brought down to names, types and effects.

mod effect;
mod name;
mod parse;
mod read;
mod table;
mod types;

pub(super) use effect::{Effect, Kind};
pub(super) use name::Name;
pub(super) use parse::{Outcome, on_a_deep_stack, parse, plpgsql, squawk_tree};
pub(super) use read::effects;
pub(super) use types::SqlType;
