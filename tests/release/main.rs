//! Releases end to end: the real binary on a real PostgreSQL, as an owner without superuser rights and under
//! a storm of thirty clients; a failure at each line of the shipped runbook, made by honest outside means.

#[path = "../common/mod.rs"]
mod common;

mod production;
mod sabotage;
mod scene;
mod storm;

mod after_open;
mod before_window;
mod between_close_and_open;
mod checklist;
mod foreign_writes;
mod good;
mod ledger;
mod other_runbooks;
mod put_back_fails;
mod refusals;
mod schedule;
mod survivors;
