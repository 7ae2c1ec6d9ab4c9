//! What the operators of the five guides type, with our verbs: on real projects, through the real program.

#[path = "../common/mod.rs"]
mod common;

#[path = "../alembic/backend.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod backend;

mod asked;
mod check;
mod commands;
mod environments;
mod init;
mod project;
mod reset;
mod roots;
mod trial;
mod verify;
