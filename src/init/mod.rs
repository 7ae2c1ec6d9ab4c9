//! What `backstay init` finds out about an application ([`look()`]), the files that follow from it ([`files`], pure),
//! and their writing ([`mod@write`]), which replaces nothing.

pub mod compose;
pub mod files;
mod look;
pub mod unit;
pub mod write;

pub use look::{Alembic, Found, FoundUrl, Origin, Places, look};
