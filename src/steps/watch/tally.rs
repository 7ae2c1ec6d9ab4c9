//! What the looks of a watch add up to: what is a breach, what is well again, and the figures. **Pure.**

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::time::show_duration;
use crate::words::count;

/// What one look saw of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Of what: `health http://…`, `blocked sessions`.
    pub subject: String,
    /// What is wrong with it.
    pub wrong: Option<String>,
    /// Whether one look is enough: what it saw has lasted, or does not pass.
    pub at_once: bool,
}

impl Seen {
    /// What must be bad at several looks in a row.
    pub fn new(subject: impl Into<String>, wrong: Option<String>) -> Self {
        Self { subject: subject.into(), wrong, at_once: false }
    }

    /// What is a breach at once.
    pub fn at_once(subject: impl Into<String>, wrong: Option<String>) -> Self {
        Self { subject: subject.into(), wrong, at_once: true }
    }
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A threshold was passed.
    Breach(String),
    /// What was a breach is none any more.
    Well(String),
}

/// The newest figures; what could not be seen is missing.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// How long each HTTP check took.
    pub latencies: Vec<Duration>,
    /// How long the longest statement runs.
    pub longest_query: Option<Duration>,
    /// How many sessions wait for a lock.
    pub blocked: Option<u64>,
    /// How many sessions our role may not look at.
    pub unseen: Option<u64>,
    /// How long the longest idle transaction is idle.
    pub idle: Option<Duration>,
    /// How far the replica that is furthest behind is.
    pub lag: Option<Duration>,
    /// How many lines of logs matched so far.
    pub matches: Option<u64>,
}

/// The figures of a whole watch, in milliseconds where they are times; journaled as the line's facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    looks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_query: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most_blocked: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most_unseen: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_idle_in_transaction: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_lines: Option<u64>,
    row_counts: u64,
    breaches: Vec<String>,
}

/// The spread of the latencies of all HTTP checks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Spread {
    lowest: u64,
    median: u64,
    highest: u64,
}

/// What the looks add up to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    in_a_row: u32,
    subjects: BTreeMap<String, Standing>,
    latencies: Vec<Duration>,
    summary: Summary,
}

#[derive(Debug, Default)]
struct Standing {
    bad: u32,
    told: bool,
}

impl Tally {
    /// An empty one; `in_a_row` looks must be bad. `earlier` are the breaches that an earlier driver saw.
    pub fn new(in_a_row: u32, earlier: Vec<String>) -> Self {
        let summary = Summary { breaches: earlier, ..Summary::default() };
        Self { in_a_row, summary, ..Self::default() }
    }

    /// Takes in what one look saw of one subject; gives what is to be told of it.
    pub fn take(&mut self, seen: Seen) -> Option<Said> {
        let needed = if seen.at_once { 1 } else { self.in_a_row };
        let standing = self.subjects.entry(seen.subject.clone()).or_default();
        let Some(wrong) = seen.wrong else {
            standing.bad = 0;
            let was_told = std::mem::take(&mut standing.told);
            return was_told.then(|| Said::Well(format!("{} is well again", seen.subject)));
        };
        standing.bad = standing.bad.saturating_add(1);
        if standing.told || standing.bad < needed {
            return None;
        }
        standing.told = true;
        let looks = if needed > 1 { format!(", {needed} looks in a row") } else { String::new() };
        Some(Said::Breach(format!("{}: {wrong}{looks}", seen.subject)))
    }

    /// Keeps a breach, as it was told.
    pub fn keep(&mut self, breach: String) {
        self.summary.breaches.push(breach);
    }

    /// Takes in the figures of one look.
    pub fn add(&mut self, figures: &Figures) {
        let millis = |duration: Option<Duration>| duration.map(crate::event::millis);
        let summary = &mut self.summary;
        summary.looks += 1;
        self.latencies.extend(&figures.latencies);
        summary.longest_query = summary.longest_query.max(millis(figures.longest_query));
        summary.most_blocked = summary.most_blocked.max(figures.blocked);
        summary.most_unseen = summary.most_unseen.max(figures.unseen);
        summary.longest_idle_in_transaction = summary.longest_idle_in_transaction.max(millis(figures.idle));
        summary.lag = summary.lag.max(millis(figures.lag));
        summary.log_lines = figures.matches.or(summary.log_lines);
    }

    /// The rows were counted once more.
    pub fn counted_rows(&mut self) {
        self.summary.row_counts += 1;
    }

    /// Whether something was bad at the last look, and not for long enough: nobody knows yet what it is.
    pub fn is_undecided(&self) -> bool {
        self.subjects.values().any(|standing| standing.bad > 0 && !standing.told)
    }

    /// What was a breach, in order.
    pub fn breaches(&self) -> &[String] {
        &self.summary.breaches
    }

    /// The figures of the whole watch.
    pub fn summary(&self) -> Summary {
        Summary { latency: Spread::of(&self.latencies), ..self.summary.clone() }
    }
}

impl Spread {
    fn of(latencies: &[Duration]) -> Option<Self> {
        let mut sorted: Vec<u64> = latencies.iter().map(|latency| crate::event::millis(*latency)).collect();
        sorted.sort_unstable();
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        Some(Self { lowest, median: sorted[sorted.len() / 2], highest })
    }
}

impl Figures {
    /// For the running line.
    pub fn words(&self) -> String {
        let mut said = Vec::new();
        if let Some(slowest) = self.latencies.iter().max() {
            said.push(format!("health {} ms", slowest.as_millis()));
        }
        said.extend(self.matches.map(|matches| format!("log {matches}")));
        said.extend(self.longest_query.map(|longest| format!("longest query {}", show_duration(longest))));
        said.extend(self.blocked.map(|blocked| format!("{blocked} blocked")));
        said.extend(self.lag.map(|lag| format!("lag {}", show_duration(lag))));
        said.join(", ")
    }
}

impl Summary {
    /// For the checklist.
    pub fn words(&self) -> String {
        let time = |millis: u64| show_duration(Duration::from_millis(millis));
        let mut said = vec![count(self.looks, "look", "looks")];
        said.extend(self.latency.map(|Spread { lowest, median, highest }| {
            format!("health {lowest}/{median}/{highest} ms (lowest/median/highest)")
        }));
        said.extend(self.log_lines.map(|lines| format!("{} of the log", count(lines, "line", "lines"))));
        said.extend(self.longest_query.map(|longest| format!("longest query {}", time(longest))));
        said.extend(self.most_blocked.map(|blocked| format!("at most {blocked} blocked")));
        let unseen = self.most_unseen.filter(|unseen| *unseen > 0);
        said.extend(unseen.map(|unseen| {
            format!("{} of others not looked at (pg_read_all_stats)", count(unseen, "session", "sessions"))
        }));
        let idle = self.longest_idle_in_transaction.filter(|idle| *idle > 0);
        said.extend(idle.map(|idle| format!("idle in transaction {}", time(idle))));
        said.extend(self.lag.map(|lag| format!("replicas at most {} behind", time(lag))));
        if self.row_counts > 0 {
            said.push(format!("rows counted {}", count(self.row_counts, "time", "times")));
        }
        said.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(subject: &str) -> Seen {
        Seen::new(subject, Some("answered 500".into()))
    }

    fn good(subject: &str) -> Seen {
        Seen::new(subject, None)
    }

    #[test]
    fn a_breach_is_told_once_and_only_after_looks_in_a_row() {
        let mut tally = Tally::new(3, Vec::new());
        assert_eq!([tally.take(bad("a")), tally.take(bad("a")), tally.take(good("a"))], [None, None, None]);
        assert!(!tally.is_undecided());
        assert_eq!([tally.take(bad("a")), tally.take(bad("a"))], [None, None]);
        assert!(tally.is_undecided());
        assert_eq!(tally.take(bad("b")), None, "another subject counts for itself");
        let breach = "a: answered 500, 3 looks in a row".to_string();
        assert_eq!(tally.take(bad("a")), Some(Said::Breach(breach)));
        assert_eq!(tally.take(bad("a")), None);
        assert_eq!(tally.take(good("a")), Some(Said::Well("a is well again".into())));
        assert_eq!(tally.take(good("a")), None);
    }

    #[test]
    fn what_lasted_already_is_a_breach_at_once() {
        let mut tally = Tally::new(3, Vec::new());
        let seen = Seen::at_once("rows", Some("orders has 3 rows; it had 5".into()));
        let breach = "rows: orders has 3 rows; it had 5".to_string();
        assert_eq!(tally.take(seen.clone()), Some(Said::Breach(breach)));
        assert_eq!((tally.take(seen), tally.is_undecided()), (None, false));
    }

    #[test]
    fn figures_are_those_of_all_looks() {
        let mut tally = Tally::new(3, Vec::new());
        assert_eq!(tally.summary().words(), "0 looks");
        let millis = Duration::from_millis;
        for (latency, blocked) in [(12, 0), (95, 2), (18, 1)] {
            tally.add(&Figures {
                latencies: vec![millis(latency)],
                longest_query: Some(millis(latency * 10)),
                blocked: Some(blocked),
                unseen: Some(blocked),
                idle: Some(Duration::ZERO),
                lag: Some(millis(200)),
                matches: Some(blocked),
            });
        }
        tally.counted_rows();
        insta::assert_snapshot!(tally.summary().words(), @"3 looks, health 12/18/95 ms (lowest/median/highest), 1 line of the log, longest query 0.9 s, at most 2 blocked, 2 sessions of others not looked at (pg_read_all_stats), replicas at most 0.2 s behind, rows counted 1 time");
        let figures =
            Figures { latencies: vec![millis(7), millis(9)], blocked: Some(0), ..Figures::default() };
        assert_eq!(figures.words(), "health 9 ms, 0 blocked");
    }
}
