//! backstay runs a production release of a PostgreSQL application as a scripted checklist, and guards
//! it with a backup that has been proven to restore.

mod account;
pub mod actions;
pub mod answers;
pub mod backup;
pub mod cli;
pub mod config;
pub mod demo;
pub mod document;
pub mod engine;
pub mod event;
pub mod failure;
pub mod forecast;
pub mod id;
pub mod journal;
pub mod log;
pub mod machine;
pub mod migrate;
mod nearest;
pub mod notify;
pub mod pg;
pub mod process;
pub mod redact;
pub mod report;
pub mod rollback;
pub mod runbook;
pub mod schedule;
pub mod schema;
pub mod steps;
pub mod store;
pub mod time;
pub mod tunnel;
pub mod ui;
pub mod uptime;
mod web;
pub mod window;
mod words;
