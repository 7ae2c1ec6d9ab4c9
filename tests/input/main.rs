//! Bad input: each time a message that a tired person understands, the exit code that says who is at fault (2:
//! files and arguments, 3: the world), nothing changed, and no password anywhere.

#[path = "../common/mod.rs"]
mod common;

mod arguments;
mod migrations;
mod names;
mod project_files;
mod properties;
mod refused;
mod server;
mod store;
