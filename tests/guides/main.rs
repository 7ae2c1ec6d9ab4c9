//! What the operators of the five guides type, with our verbs: on real projects, through the real program.

#[path = "../common/mod.rs"]
mod common;

mod check;
mod commands;
mod project;
mod reset;
mod roots;
mod trial;
mod verify;
