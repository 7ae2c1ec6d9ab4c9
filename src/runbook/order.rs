//! Which steps may stand where: orders that can't work are refused when the runbook is read.

use std::collections::BTreeSet;

use super::Step;
use crate::document::tree::Place;
use crate::document::{Finding, Noted, Read, Reader, all};

/// When a line has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Before,
    During,
    Open,
    After,
}

impl Phase {
    pub(super) const ALL: [Phase; 4] = [Phase::Before, Phase::During, Phase::Open, Phase::After];

    /// Its key in the file.
    pub(super) fn key(self) -> &'static str {
        match self {
            Phase::Before => "before",
            Phase::During => "during",
            Phase::Open => "open",
            Phase::After => "after",
        }
    }

    /// Whether the flag is up.
    pub(super) fn in_window(self) -> bool {
        matches!(self, Phase::During | Phase::Open)
    }
}

/// The kinds of steps, by their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Preflight,
    Backup,
    Lint,
    Preview,
    Approve,
    Checklist,
    Migrate,
    Rollback,
    Command,
    Services,
    Health,
    Verify,
    Watch,
    Record,
}

impl Kind {
    pub(super) const ALL: [(&str, Kind); 14] = [
        ("preflight", Kind::Preflight),
        ("backup", Kind::Backup),
        ("lint", Kind::Lint),
        ("preview", Kind::Preview),
        ("approve", Kind::Approve),
        ("checklist", Kind::Checklist),
        ("migrate", Kind::Migrate),
        ("rollback", Kind::Rollback),
        ("command", Kind::Command),
        ("services", Kind::Services),
        ("health", Kind::Health),
        ("verify", Kind::Verify),
        ("watch", Kind::Watch),
        ("record", Kind::Record),
    ];

    /// The word that the file has for it.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("step", |(word, _)| word)
    }

    /// Why it can't stand in `phase`, and where it can.
    fn refuses(self, phase: Phase) -> Option<(&'static str, &'static str)> {
        use Phase::{After, Before, During, Open};
        match (self, phase) {
            (Kind::Preflight | Kind::Lint | Kind::Preview | Kind::Approve, During | Open | After) => {
                Some(("it is too late for that here", "[[before]]"))
            }
            (Kind::Migrate, Before | After) => {
                Some(("it changes the database, which nothing guards here", "[[during]]"))
            }
            (Kind::Rollback, Before | Open | After) => {
                Some(("the database must be ours alone for that", "[[during]]"))
            }
            (Kind::Migrate, Open) => Some(("others may write to the database by now", "[[during]]")),
            (Kind::Backup, During | Open) => {
                Some(("inside the window the guard takes its place", "[[before]]; or say guard = \"backup\""))
            }
            (Kind::Health, During) => Some(("the application is in maintenance here", "[[open]]")),
            (Kind::Verify, Before) => {
                Some(("it compares with the state before the migrations", "[[during]], behind them"))
            }
            (Kind::Watch, Before | During | Open) => {
                Some(("it looks for minutes, at an application that serves", "[[after]]"))
            }
            (Kind::Record, Before | During | Open) => Some(("there is nothing to record yet", "[[after]]")),
            _ => None,
        }
    }
}

/// A line of the file: its phase, kind and place are known even if its step could not be read.
pub(super) struct Line {
    pub(super) phase: Phase,
    /// Its `[[before]]`.
    pub(super) header: Place,
    /// Its kind, where that could be read.
    pub(super) place: Place,
    pub(super) kind: Option<Kind>,
    /// Its name, if it stands in the file.
    pub(super) named: Option<Place>,
    pub(super) step: Read<Step>,
}

/// Refuses orders that can't work.
pub(super) fn check(reader: &Reader, lines: &[Line], has_window: bool) -> Read<()> {
    let checks = [
        check_places(reader, lines),
        check_approvals(reader, lines),
        check_rollback(reader, lines),
        check_window(reader, lines, has_window),
        if lines.is_empty() { Err(nothing_to_do(reader)) } else { Ok(()) },
    ];
    all(checks).map(drop)
}

fn check_places(reader: &Reader, lines: &[Line]) -> Read<()> {
    all(lines.iter().map(|line| {
        let Some((kind, (why, instead))) = line.kind.and_then(|kind| Some((kind, kind.refuses(line.phase)?)))
        else {
            return Ok(());
        };
        let message = format!("`{}` can't stand in [[{}]]", kind.word(), line.phase.key());
        Err(reader.note(&line.place, Finding::new(message).label(why).help(format!("put it into {instead}"))))
    }))
    .map(drop)
}

/// What is approved is what was previewed.
fn check_approvals(reader: &Reader, lines: &[Line]) -> Read<()> {
    let position = |wanted| lines.iter().position(|line| line.kind == Some(wanted));
    let Some(approve) = position(Kind::Approve) else { return Ok(()) };
    let help = "put a `preview` step before it";
    let finding = match position(Kind::Preview) {
        Some(preview) if preview < approve => return Ok(()),
        Some(_) => {
            Finding::new("`approve` stands before `preview`").label("nothing to look at yet").help(help)
        }
        None if position(Kind::Migrate).is_none() => return Ok(()),
        None => Finding::new("`approve` without a `preview`").label("nothing to look at").help(help),
    };
    Err(reader.note(&lines[approve].place, finding))
}

/// One release is taken back, and nothing is migrated beside that.
fn check_rollback(reader: &Reader, lines: &[Line]) -> Read<()> {
    let of = |wanted| lines.iter().filter(move |line| line.kind == Some(wanted));
    let (Some(_), other) = (of(Kind::Rollback).next(), of(Kind::Rollback).nth(1)) else { return Ok(()) };
    let Some(other) = other.or_else(|| of(Kind::Migrate).next()) else { return Ok(()) };
    let finding = Finding::new("this stands beside a `rollback`").label("what would be taken back?");
    Err(reader
        .note(&other.place, finding.help("a runbook with a `rollback` has one of it, and no `migrate`")))
}

/// Lines of the window need one.
fn check_window(reader: &Reader, lines: &[Line], has_window: bool) -> Read<()> {
    if has_window {
        return Ok(());
    }
    let mut noted = Ok(());
    for phase in [Phase::During, Phase::Open] {
        if let Some(first) = lines.iter().find(|line| line.phase == phase) {
            let finding = Finding::new(format!("[[{}]] without a [window]", phase.key()))
                .label("this needs the window")
                .help("open one above it: [window], with guard = \"clone\" and max = \"15m\"");
            noted = Err(reader.note(&first.header, finding));
        }
    }
    noted
}

fn nothing_to_do(reader: &Reader) -> Noted {
    let finding = Finding::new("this runbook has no steps").label("nothing to do").help(
        "add one: [[before]] with step = \"preflight\"; `backstay plan release` shows a whole checklist",
    );
    reader.note(&Place::Default, finding)
}

/// Makes names unique: two that the file gives must differ; those made from the kind are numbered.
pub(super) fn name(reader: &Reader, lines: &mut [Line]) -> Read<()> {
    let mut taken = BTreeSet::new();
    let mut noted = Ok(());
    for line in lines.iter() {
        let (Some(place), Ok(step)) = (&line.named, &line.step) else { continue };
        if !taken.insert(step.name.clone()) {
            let finding = Finding::new(format!("two steps are called `{}`", step.name)).label("the second");
            noted = Err(reader.note(place, finding.help("the journal tells steps apart by their names")));
        }
    }
    for line in lines.iter_mut().filter(|line| line.named.is_none()) {
        let Ok(step) = &mut line.step else { continue };
        let plain = step.name.clone();
        let mut number = 1;
        while !taken.insert(step.name.clone()) {
            number += 1;
            step.name = format!("{plain} {number}");
        }
    }
    noted
}
