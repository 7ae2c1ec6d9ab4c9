//! Who drives a run: the lock on the server decides, the heartbeat on the store tells. **Pure.**

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::journal::lease::Lease;
use crate::journal::{Driver, Record, last_driver};
use crate::time::{between, show_duration};
use crate::window::admin::Holder;
use crate::window::tag::Tag;

/// How many beats may be missing before a driver counts as silent.
const MISSING_BEATS: u32 = 3;

/// Who holds the lock of the environment's database.
#[derive(Debug, Clone)]
pub(super) enum Lock {
    /// The server is out of reach.
    Unknown,
    /// Nobody.
    Free,
    /// A driver of the run.
    Driver,
    /// Somebody else, in words.
    Other(String),
}

impl Lock {
    pub(super) fn of(holder: Option<&Holder>, run: &str) -> Self {
        match holder {
            None => Lock::Free,
            Some(holder) if drives(&holder.application, run) => Lock::Driver,
            Some(holder) => Lock::Other(holder.to_string()),
        }
    }
}

/// Whether a session of this name is a driver's of the run. While one has only just begun it does not name the run yet.
pub(super) fn drives(application: &str, run: &str) -> bool {
    let named = Tag::parse(application).map(|tag| tag.run == run);
    named.unwrap_or_else(|| {
        application.starts_with("backstay run of ") || application.starts_with("backstay resume of ")
    })
}

/// What is known of the driver of a run that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Driving {
    /// In words, for behind the run.
    pub text: String,
    /// Whether somebody drives it; none if that can't be known.
    pub alive: Option<bool>,
    /// Nobody drives it, or nobody that moves.
    pub needs_resume: bool,
    /// Who drives or drove it.
    pub driver: Option<Driver>,
    pub value: Value,
}

/// What a heartbeat says of itself.
enum Beat {
    None,
    Fresh(Duration),
    Old(Duration),
    /// The clocks differ by so much: it says nothing.
    Ahead(Duration),
}

/// Weighs the lock against the heartbeat, as seen at `now`.
pub(super) fn weigh(lock: &Lock, lease: Option<&Lease>, records: &[Record], now: Timestamp) -> Driving {
    let driver = lease.map(|lease| lease.driver.clone()).or_else(|| last_driver(records));
    let who = driver.as_ref().map_or_else(|| "somebody".to_string(), ToString::to_string);
    let beat = lease.map_or(Beat::None, |lease| beat(lease, now));
    let heard = match &beat {
        Beat::None => "without a heartbeat yet".to_string(),
        Beat::Fresh(age) | Beat::Old(age) => format!("heartbeat {} ago", show_duration(*age)),
        Beat::Ahead(by) => format!("its clock is {} ahead of ours", show_duration(*by)),
    };
    let (text, alive, needs_resume) = match (lock, &beat) {
        (Lock::Driver, Beat::Old(age)) => {
            let age = show_duration(*age);
            (format!("its driver {who} holds the lock, and has been silent for {age}"), Some(false), true)
        }
        (Lock::Driver, _) => (format!("driven by {who}, {heard}"), Some(true), false),
        (Lock::Unknown, Beat::Fresh(_)) => {
            (format!("driven by {who}, {heard}; whether it holds the lock is unknown"), Some(true), false)
        }
        (Lock::Unknown, _) => (format!("whether {who} drives it is unknown: {heard}"), None, true),
        (Lock::Free, _) => (format!("nobody drives it: last was {who}, {heard}"), Some(false), true),
        (Lock::Other(holder), _) => (
            format!("nobody drives it: last was {who}, {heard}; the lock is held by {holder}"),
            Some(false),
            true,
        ),
    };
    let age = match beat {
        Beat::Fresh(age) | Beat::Old(age) => Some(crate::event::millis(age)),
        Beat::None | Beat::Ahead(_) => None,
    };
    let value = json!({ "alive": alive, "who": driver, "heartbeat_millis": age });
    Driving { text, alive, needs_resume, driver, value }
}

fn beat(lease: &Lease, now: Timestamp) -> Beat {
    let (age, ahead) = (between(lease.at, now), between(now, lease.at));
    let every = Duration::from_millis(lease.every_millis.max(1_000));
    if ahead > every {
        Beat::Ahead(ahead)
    } else if age > every * MISSING_BEATS {
        Beat::Old(age)
    } else {
        Beat::Fresh(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A heartbeat of this age in seconds; below zero it is ahead.
    fn lease(age: i64) -> Lease {
        let machine = Machine { host: "ci-7".into(), ..Machine::default() };
        let driver = Driver { user: "ops".into(), machine, pid: 4711, ..Driver::default() };
        let at = NOW.checked_sub(jiff::SignedDuration::from_secs(age)).unwrap();
        Lease { format: 1, run: "r".into(), epoch: 1, driver, at, every_millis: 2_000, beat: 7 }
    }

    fn weighed(lock: &Lock, age: Option<i64>) -> (String, Option<bool>, bool) {
        let driving = weigh(lock, age.map(lease).as_ref(), &[], NOW);
        (driving.text, driving.alive, driving.needs_resume)
    }

    #[test]
    fn the_lock_decides_and_the_heartbeat_tells() {
        let other = Lock::Other("backstay cleanup of x".into());
        let said = |text: &str, alive, resume| (text.to_string(), alive, resume);
        let ops = "ops on ci-7 (pid 4711)";
        for (lock, age, expected) in [
            (
                Lock::Driver,
                Some(1),
                said(&format!("driven by {ops}, heartbeat 1.0 s ago"), Some(true), false),
            ),
            (Lock::Driver, None, said("driven by somebody, without a heartbeat yet", Some(true), false)),
            (
                Lock::Driver,
                Some(723),
                said(
                    &format!("its driver {ops} holds the lock, and has been silent for 12 m 03 s"),
                    Some(false),
                    true,
                ),
            ),
            (
                Lock::Free,
                Some(1),
                said(&format!("nobody drives it: last was {ops}, heartbeat 1.0 s ago"), Some(false), true),
            ),
            (
                Lock::Free,
                Some(723),
                said(
                    &format!("nobody drives it: last was {ops}, heartbeat 12 m 03 s ago"),
                    Some(false),
                    true,
                ),
            ),
            (
                other,
                Some(7),
                said(
                    &format!(
                        "nobody drives it: last was {ops}, heartbeat 7.0 s ago; the lock is held by backstay cleanup of x"
                    ),
                    Some(false),
                    true,
                ),
            ),
            (
                Lock::Unknown,
                Some(1),
                said(
                    &format!("driven by {ops}, heartbeat 1.0 s ago; whether it holds the lock is unknown"),
                    Some(true),
                    false,
                ),
            ),
            (
                Lock::Unknown,
                Some(7),
                said(&format!("whether {ops} drives it is unknown: heartbeat 7.0 s ago"), None, true),
            ),
        ] {
            assert_eq!(weighed(&lock, age), expected, "{lock:?} {age:?}");
        }
    }

    #[test]
    fn a_heartbeat_from_the_future_is_told_and_decides_nothing() {
        let (text, alive, resume) = weighed(&Lock::Driver, Some(-300));
        assert!(text.contains("its clock is 5 m 00 s ahead of ours"), "{text}");
        assert_eq!((alive, resume), (Some(true), false));
        assert_eq!(weighed(&Lock::Free, Some(-300)).1, Some(false));
        assert_eq!(weighed(&Lock::Unknown, Some(-300)).1, None);
        // What differs by less than a beat is no difference.
        assert!(weighed(&Lock::Driver, Some(-1)).0.contains("heartbeat 0.0 s ago"));
    }

    #[test]
    fn drivers_are_known_by_the_names_of_their_sessions() {
        let run = "20261120t230205z-k3f9x";
        for name in [&format!("backstay {run} 2 lock"), "backstay run of production", "backstay resume of x"]
        {
            assert!(drives(name, run), "{name}");
        }
        for name in ["", "backstay cleanup of production", "backstay 20261120t230205z-k3f9y 1 lock", "psql"] {
            assert!(!drives(name, run), "{name}");
        }
    }
}
