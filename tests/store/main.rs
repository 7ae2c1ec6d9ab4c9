//! Both stores: the contract that they share, and for the bucket every fault that a network and a service have.

#[path = "../common/mod.rs"]
mod common;

mod fake;

mod backups;
mod contract;
mod emulator;
mod faults;
mod journals;
mod large;
mod refusals;
