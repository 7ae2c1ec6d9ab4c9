//! Backups of real databases: written, restored, held against what PostgreSQL's own tools make of the same,
//! interrupted, mutilated.

#[path = "../common/mod.rs"]
mod common;

mod world;

mod by_hand;
mod encodings;
mod extensions;
mod fidelity;
mod interrupted;
mod mutilated;
mod proof;
mod refused;
mod restored;
mod roles;
mod surveyed;
mod writers;
