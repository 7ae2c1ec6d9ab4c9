//! How fast a line moves, and how long it still takes: **pure**, from what was seen and when.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::Unit;
use crate::time::between;

/// Speed is measured over this long: steady enough to read, quick enough to show a stall.
const WINDOW: Duration = Duration::from_secs(8);
/// Shorter observations say nothing yet.
const SHORTEST: Duration = Duration::from_millis(800);
/// A guess at the time left needs to have seen so much.
const SHORTEST_FOR_A_GUESS: Duration = Duration::from_secs(2);
/// What stands still for longer than this may stand for long: no guess then.
const STILL: Duration = Duration::from_secs(3);
/// Observations closer together than this replace each other, so that their number stays small.
const SPACING: Duration = Duration::from_millis(200);

/// How far a line is, and how fast it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Units done.
    pub done: u64,
    /// Units in all, where known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
    /// What is at work: a table, a migration.
    pub note: String,
    seen: VecDeque<(Timestamp, u64)>,
    began: (Timestamp, u64),
    moved: Timestamp,
}

impl Gauge {
    /// The first report.
    pub fn new(done: u64, total: Option<u64>, unit: Unit, note: String, now: Timestamp) -> Self {
        let seen = VecDeque::from([(now, done)]);
        Self { done, total, unit, note, seen, began: (now, done), moved: now }
    }

    /// A later report. A count that falls, or other units, begin anew: another part of the work.
    pub fn report(&mut self, done: u64, total: Option<u64>, unit: Unit, note: String, now: Timestamp) {
        if unit != self.unit || done < self.done {
            *self = Self::new(done, total, unit, note, now);
            return;
        }
        if done > self.done {
            self.moved = now;
        }
        (self.done, self.total, self.note) = (done, total, note);
        // The first observation is kept: replaced by every quick successor, it would never grow old.
        if self.seen.len() > 1 && self.seen.back().is_some_and(|(at, _)| between(*at, now) < SPACING) {
            self.seen.pop_back();
        }
        self.seen.push_back((now, done));
        while self.seen.get(1).is_some_and(|(at, _)| between(*at, now) > WINDOW) {
            self.seen.pop_front();
        }
    }

    /// The part done, from 0 to 1, where the whole is known.
    pub fn fraction(&self) -> Option<f64> {
        match self.total {
            Some(0) => Some(1.0),
            Some(total) => Some((self.done as f64 / total as f64).min(1.0)),
            None => None,
        }
    }

    /// Units a second, once there is something to measure. Falls while nothing is reported.
    pub fn per_second(&self, now: Timestamp) -> Option<f64> {
        let (from, at_first) = *self.seen.front()?;
        let span = between(from, now);
        let moved = self.done.checked_sub(at_first).filter(|moved| *moved > 0)?;
        (span >= SHORTEST).then(|| moved as f64 / span.as_secs_f64())
    }

    /// How long it still takes, once that can be guessed: half by the speed of the last seconds, half by that
    /// since the beginning, because one fast table makes no fast backup.
    pub fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.total?.checked_sub(self.done).filter(|left| *left > 0)?;
        if self.unit == Unit::Millis {
            return Some(Duration::from_millis(left));
        }
        let (began, at_first) = self.began;
        let span = between(began, now);
        if span < SHORTEST_FOR_A_GUESS || between(self.moved, now) > STILL {
            return None;
        }
        let overall = self.done.checked_sub(at_first)? as f64 / span.as_secs_f64();
        let seconds = left as f64 / ((self.per_second(now)? + overall) / 2.0);
        // A guess of days is no guess.
        (seconds < 172_800.0).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_763_680_000_000 + millis).expect("a time")
    }

    fn bytes(done: u64, now: i64) -> Gauge {
        Gauge::new(done, Some(1000), Unit::Bytes, String::new(), at(now))
    }

    #[test]
    fn speed_is_measured_over_the_last_seconds() {
        let mut gauge = bytes(0, 0);
        for second in 1..=20 {
            // 10 a second at first, 40 a second in the last ten.
            let done = if second <= 10 { second * 10 } else { 100 + (second - 10) * 40 };
            gauge.report(done, Some(1000), Unit::Bytes, String::new(), at(second as i64 * 1000));
        }
        assert_eq!(gauge.per_second(at(20_000)).map(f64::round), Some(40.0));
        // 500 are left: 40 a second lately, 25 all in all.
        assert_eq!(gauge.time_left(at(20_000)).map(|d| d.as_secs()), Some(15));
    }

    #[test]
    fn a_stall_lowers_the_speed() {
        let mut gauge = bytes(0, 0);
        gauge.report(500, Some(1000), Unit::Bytes, String::new(), at(1000));
        assert_eq!(gauge.per_second(at(1000)), Some(500.0));
        assert_eq!(gauge.per_second(at(10_000)), Some(50.0));
        assert!(gauge.time_left(at(3_000)).is_some());
        assert_eq!(gauge.time_left(at(5_000)), None, "who knows how long it stands");
        // Reports without movement do not make it move.
        gauge.report(500, Some(1000), Unit::Bytes, "an index".into(), at(5_000));
        assert_eq!(gauge.time_left(at(5_000)), None);
    }

    #[test]
    fn many_quick_reports_are_measured_and_stay_few() {
        let mut gauge = bytes(0, 0);
        for i in 1..=2000u64 {
            gauge.report(i, Some(4000), Unit::Bytes, String::new(), at(i as i64));
        }
        assert_eq!(gauge.per_second(at(2000)).map(f64::round), Some(1000.0));
        assert!(gauge.seen.len() < 60, "{}", gauge.seen.len());
    }

    #[test]
    fn nothing_is_said_too_early_or_at_the_end() {
        let mut gauge = bytes(0, 0);
        assert_eq!(gauge.per_second(at(5000)), None);
        gauge.report(900, Some(1000), Unit::Bytes, String::new(), at(90));
        assert_eq!((gauge.per_second(at(90)), gauge.time_left(at(1900))), (None, None));
        assert!(gauge.time_left(at(2000)).is_some());
        gauge.report(1000, Some(1000), Unit::Bytes, String::new(), at(100));
        assert_eq!(gauge.per_second(at(100)), None);
        assert_eq!(gauge.time_left(at(5000)), None);
        assert_eq!(gauge.fraction(), Some(1.0));
    }

    #[test]
    fn odd_totals_do_no_harm() {
        let gauge = Gauge::new(5, Some(0), Unit::Items, String::new(), at(0));
        assert_eq!(gauge.fraction(), Some(1.0));
        let gauge = Gauge::new(7, Some(5), Unit::Bytes, String::new(), at(0));
        assert_eq!((gauge.fraction(), gauge.time_left(at(9000))), (Some(1.0), None));
        assert_eq!(Gauge::new(7, None, Unit::Bytes, String::new(), at(0)).fraction(), None);
    }

    #[test]
    fn a_falling_count_begins_anew() {
        let mut gauge = bytes(900, 0);
        gauge.report(1, Some(10), Unit::Bytes, "other".into(), at(5000));
        assert_eq!(gauge, Gauge::new(1, Some(10), Unit::Bytes, "other".into(), at(5000)));
    }
}
