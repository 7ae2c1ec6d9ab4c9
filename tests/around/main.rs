//! What stands around the database, all of it real: physical replicas, PgBouncer, servers that restart or fail over,
//! networks that are cut, disks that are full. Production is what the exit code says, and no acknowledged write is
//! lost.

#[path = "../common/mod.rs"]
mod common;
#[path = "../crash/driver.rs"]
#[allow(dead_code, reason = "the crash tests use more of it")]
mod driver;

mod bouncer;
mod clients;
mod clock;
mod disk;
mod failover;
mod ground;
mod network;
mod pooler;
mod proxy;
mod replica;
mod restarts;
mod standby;
