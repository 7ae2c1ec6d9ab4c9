//! What `backstay init` finds out about an application ([`look()`]), what is said of it ([`answers`]), the files that
//! follow from it ([`files`], pure), and their writing ([`mod@write`]), which replaces nothing.

pub mod answers;
pub mod compose;
pub mod files;
mod look;
pub mod unit;
pub mod write;

pub use look::{Alembic, Found, FoundUrl, Origin, Places, look};
