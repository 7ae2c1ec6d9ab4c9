//! Runs that nobody drives: stopped, or left by a driver that died.

use backstay::event::{LineId, Phase};
use backstay::failure::{Kind, Verdict};
use backstay::journal::lease::Lease;
use backstay::journal::{Entry, Onward};
use backstay::report::{Evidence, Kept};
use jiff::SignedDuration;
use serde_json::Value;

use super::{BACK, DURING, OPEN, RUN, approved, cards, deployed, line, migrated, turned_back};

/// A signal stopped it before the window.
pub fn interrupted() -> Evidence {
    let mut tale = approved();
    tale.wait(5).say(Entry::Interrupted { how: "stopped by a signal".into(), onward: Onward::Leave });
    tale.evidence.driver_gone = true;
    tale.told()
}

/// What stopped a run that was then put back without any failure.
pub fn stopped() -> Evidence {
    let mut tale = migrated();
    tale.start(line(11), OPEN[0]).wait(20);
    tale.say(Entry::Interrupted { how: "the window lasts longer than 15m".into(), onward: Onward::PutBack });
    tale.say(Entry::PutBackBegan { lines: cards(Phase::PutBack, &BACK[4..], 1) });
    tale.done(LineId::Back(1), BACK[4], 8, "/opt/shop/maintenance is down", Value::Null)
        .end(Verdict::PutBack);
    tale.told()
}

/// The kind that a run has that stopped without a failure.
pub const STOPPED: Kind = Kind::Interrupted;

/// It goes on, inside the window.
pub fn running() -> Evidence {
    let mut tale = migrated();
    tale.done(line(11), "open the database", 60, "shop is called so again and lets sessions in", Value::Null);
    tale.start(line(12), "deploy api").wait(3_100);
    tale.print(line(12), "Pulling registry.example.org/shop/api:2026-11-21");
    let mut lease = Lease::of_this_process(RUN, 1, std::time::Duration::from_secs(2));
    lease.at = tale.evidence.at - SignedDuration::from_millis(1_200);
    tale.evidence.lease = Kept::There(lease);
    tale.told()
}

/// Its driver died while it took the flag down for good: users may be back.
pub fn died_clearing() -> Evidence {
    let mut tale = deployed();
    tale.done(line(13), OPEN[2], 300, "answered 200", Value::Null)
        .done(line(14), OPEN[3], 12, "a new session can write", Value::Null)
        .start(line(15), OPEN[4]);
    tale.evidence.driver_gone = true;
    tale.told()
}

/// Its driver died behind the last line of the way back, before it wrote how the run ended.
pub fn died_put_back() -> Evidence {
    let mut tale = turned_back();
    for (n, name) in (1..).zip(BACK) {
        tale.done(LineId::Back(n), name, 20, "done", Value::Null);
    }
    tale.evidence.driver_gone = true;
    tale.told()
}

/// Its driver died in a line that the next one found done.
pub fn found_done() -> Evidence {
    let mut tale = approved();
    tale.start(line(6), DURING[0]).wait(2_000).take_over().wait(30);
    let (summary, facts) = ("the flag is up".to_string(), Value::Null);
    tale.say(Entry::Finished { line: line(6), summary, facts, millis: 4, probed: true });
    tale.evidence.driver_gone = true;
    tale.told()
}

/// The flag never went up: its line was refused before it began, or was `started` and proven to have left it down.
pub fn not_raised(started: bool, failure: backstay::failure::Failure) -> Evidence {
    let mut tale = approved();
    if started {
        tale.start(line(6), DURING[0]);
    }
    tale.fail(line(6), 4, failure).end(Verdict::Refused);
    tale.told()
}
