//! Kills from outside: the real binary is watched by its journal on the store and killed, stopped and signalled
//! at every record; another process resumes, and production must be exactly what the exit code says.
//!
//! `BACKSTAY_CRASH_SEEDS` (a number of seeds) makes all of it longer: `make test-crash`.

#[path = "../common/mod.rs"]
mod common;

mod after;
mod app;
mod asleep;
mod cancelled;
mod commands;
mod debris;
mod driver;
mod each_record;
mod each_rollback;
mod elsewhere;
mod lost_store;
mod orphans;
mod rivals;
mod rollback;
mod secrets;
mod signals;
mod stage;
mod status;
mod tunnel;
mod twice;

/// Waits for what a whole release may take.
fn patiently(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(90);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Whether the process whose number the project's file `name` holds still runs; one that nobody reaped does not.
fn runs_on(project: &common::project::Project, name: &str) -> bool {
    let pid = std::fs::read_to_string(project.path(name)).expect("a process");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", pid.trim()));
    arguments.is_ok_and(|arguments| !arguments.is_empty())
}

/// How many seeds the longer test takes, if it is asked for.
fn longer() -> Option<u64> {
    std::env::var("BACKSTAY_CRASH_SEEDS").ok()?.parse().ok()
}
