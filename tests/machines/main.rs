//! Machines as users: plan files, jobs of GitHub Actions, schemas of every answer, every environment at once.

#[path = "../common/mod.rs"]
mod common;

mod actions;
mod all;
mod guide;
mod outputs;
mod plan_file;
