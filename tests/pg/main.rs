//! Connections, sessions and client tools on real servers.

#[path = "../common/mod.rs"]
mod common;

mod catalog;
mod refusals;
mod server;
mod sessions;
mod tls;
mod tools;
