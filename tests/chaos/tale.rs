//! What will happen in a run of the chaos: chosen by its seed, and by nothing else. **Pure.**

use std::fmt;
use std::time::Duration;

use crate::common::dice::Dice;

/// The release, and the lives of its drivers.
#[derive(Debug, Clone)]
pub struct Tale {
    pub seed: u64,
    pub release: Release,
    /// `[window] on_writes = "ask"`: nobody's write may be dropped before a person said so.
    pub asks: bool,
    /// What the person says then.
    pub keeps_new: bool,
    pub mood: Mood,
    /// The first life runs the release, the others resume it; after the last nothing is disturbed any more.
    pub lives: Vec<Life>,
}

/// How the release ends if nobody disturbs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 0.
    Good,
    /// Its migration fails behind the fence: 4.
    BadMigration,
    /// The same, outside a transaction: half of it is there.
    BadOutside,
    /// Its deploy fails after `open`: 4.
    BadDeploy,
    /// It is not healthy after `open`: 4.
    Unhealthy,
}

/// What the writers do while the flag is up, if they get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// All that they do otherwise.
    Mixed,
    /// Nothing but deletions: they leave no row that is young.
    Deleting,
    /// Nothing but updates.
    Updating,
}

/// One driver's life, or that of two at once.
#[derive(Debug, Clone)]
pub struct Life {
    /// On the first machine or on the other one.
    pub machine: usize,
    /// Two resumes are started at once, on both machines, and not disturbed.
    pub rivals: bool,
    pub faults: Vec<Fault>,
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub kind: Kind,
    pub when: When,
    /// How long a disturbance lasts that ends by itself.
    pub lasts: Duration,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// So many records after those that were there when the life began, and so much later.
    Record(u32, Duration),
    /// While the server clones the guard.
    InClone,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL to the process; its children live on.
    Kill,
    /// SIGKILL to the process and its children.
    KillGroup,
    /// SIGSTOP, a takeover on the other machine, SIGCONT.
    Sleep,
    /// SIGINT.
    Interrupt,
    /// The server is stopped as by a crash, and started again.
    Crash,
    /// Every connection is closed.
    Cut,
    /// Every connection is closed, and new ones are refused for a while.
    Refuse,
    /// The same, for as long as the driver lives.
    Gone,
    /// Everything comes late for a while.
    Slow,
    /// The server's answers end.
    HalfToTool,
    /// The requests end.
    HalfToServer,
    /// Everything is swallowed for a while, and comes after all.
    BlackHole,
}

/// How often each kind is chosen, out of the sum.
const KINDS: [(Kind, u64); 12] = [
    (Kind::Kill, 18),
    (Kind::KillGroup, 12),
    (Kind::Sleep, 10),
    (Kind::Interrupt, 8),
    (Kind::Crash, 20),
    (Kind::Cut, 8),
    (Kind::Refuse, 7),
    (Kind::Gone, 4),
    (Kind::Slow, 5),
    (Kind::HalfToTool, 4),
    (Kind::HalfToServer, 4),
    (Kind::BlackHole, 5),
];

/// A release that nobody disturbs writes about so many records.
const RECORDS: u64 = 30;

impl Tale {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let release = match dice.below(100) {
            0..45 => Release::Good,
            45..60 => Release::BadMigration,
            60..70 => Release::BadOutside,
            70..85 => Release::BadDeploy,
            _ => Release::Unhealthy,
        };
        let (asks, keeps_new) = (dice.percent(40), dice.percent(40));
        let mood = dice.pick(&[Mood::Mixed, Mood::Mixed, Mood::Deleting, Mood::Updating]);
        let mut lives = vec![Life { machine: 0, rivals: false, faults: faults(&mut dice, RECORDS, true) }];
        while lives.len() < 4 && dice.percent(45) {
            let machine = dice.below(2) as usize;
            let rivals = dice.percent(15);
            let faults = if rivals { Vec::new() } else { faults(&mut dice, 9, false) };
            lives.push(Life { machine, rivals, faults });
        }
        Self { seed, release, asks, keeps_new, mood, lives }
    }
}

impl Tale {
    /// A good release that nobody disturbs.
    pub fn calm() -> Self {
        let (asks, keeps_new, mood) = (false, false, Mood::Mixed);
        Self { seed: 0, release: Release::Good, asks, keeps_new, mood, lives: Vec::new() }
    }
}

fn faults(dice: &mut Dice, records: u64, first: bool) -> Vec<Fault> {
    let mut faults = vec![fault(dice, records, first)];
    // Killed is killed: only what a driver can live through is followed by another fault.
    while faults.last().is_some_and(|fault| !fault.kind.ends_its_driver()) && dice.percent(20) {
        faults.push(fault(dice, 6, false));
    }
    faults
}

fn fault(dice: &mut Dice, records: u64, first: bool) -> Fault {
    let mut thrown = dice.below(KINDS.iter().map(|(_, weight)| weight).sum());
    let kind = KINDS.iter().find_map(|(kind, weight)| match thrown.checked_sub(*weight) {
        Some(rest) => {
            thrown = rest;
            None
        }
        None => Some(*kind),
    });
    let pause = if dice.percent(60) { dice.below(25) } else { dice.below(200) };
    let when = if first && dice.percent(12) {
        When::InClone
    } else {
        When::Record(1 + dice.below(records) as u32, Duration::from_millis(pause))
    };
    let lasts = Duration::from_millis(200 + dice.below(900));
    Fault { kind: kind.unwrap_or(Kind::Kill), when, lasts }
}

impl Kind {
    pub fn ends_its_driver(self) -> bool {
        matches!(self, Kind::Kill | Kind::KillGroup | Kind::Sleep | Kind::Gone)
    }

    /// Whether only the process that drives is hit: a release that was good ends well then.
    pub fn is_a_kill(self) -> bool {
        matches!(self, Kind::Kill | Kind::KillGroup)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Kill => "kill -9",
            Kind::KillGroup => "kill -9 group",
            Kind::Sleep => "stop, takeover",
            Kind::Interrupt => "SIGINT",
            Kind::Crash => "server crash",
            Kind::Cut => "cut",
            Kind::Refuse => "cut, refused",
            Kind::Gone => "cut for good",
            Kind::Slow => "slow",
            Kind::HalfToTool => "half to tool",
            Kind::HalfToServer => "half to server",
            Kind::BlackHole => "black hole",
        })
    }
}
