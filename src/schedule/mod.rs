//! When production may be put into maintenance: days, times, a time zone, freezes. **Pure.**
//!
//! What a schedule says is read off the clock on the wall of its time zone; what is decided, in instants. [`bounds`] goes
//! from one to the other where the clock is set forward or back.

mod admit;
mod bounds;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;

pub use admit::{Refusal, Why};
pub(crate) use words::DAYS;

use crate::time::between;

/// Minutes of a day.
pub(crate) const DAY: u16 = 24 * 60;

/// When a window may be open.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Whose clock on the wall is meant.
    pub zone: TimeZone,
    /// The weekly windows; always, if there are none.
    pub windows: Vec<Weekly>,
    /// When no window is open, whatever the week says.
    pub freezes: Vec<Freeze>,
}

/// A window that comes every week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weekly {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When it begins, in minutes after midnight.
    pub from: u16,
    /// When it ends, in minutes after midnight, up to [`DAY`]; not behind `from`: on the next day.
    pub to: u16,
}

/// A time in which nothing is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// From here.
    pub from: DateTime,
    /// To here, this instant not included.
    pub to: DateTime,
    /// What it is for.
    pub why: Option<String>,
}

/// From an instant to another, that one not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From here.
    pub from: Timestamp,
    /// To here.
    pub until: Timestamp,
}

impl Span {
    fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// How long it is from `now`, or from its beginning if that is later, to its end.
    fn left(&self, now: Timestamp) -> Duration {
        between(self.from.max(now), self.until)
    }
}

impl Schedule {
    /// The spans in which a window may be open and that reach into `sought`, in order, apart from each other. The first
    /// may have begun earlier, and the last may go on.
    pub fn spans(&self, sought: Span) -> Vec<Span> {
        let mut open = if self.windows.is_empty() { vec![sought] } else { self.weekly(sought) };
        for freeze in self.freezes.iter().filter_map(|freeze| self.span_of(freeze)) {
            open = open.into_iter().flat_map(|span| without(span, freeze)).collect();
        }
        open.retain(|span| span.until > sought.from && span.from < sought.until);
        open
    }

    /// The freeze that holds `at`.
    pub fn freeze(&self, at: Timestamp) -> Option<&Freeze> {
        self.freezes.iter().find(|freeze| self.span_of(freeze).is_some_and(|span| span.contains(at)))
    }

    /// A freeze is never shorter than it is written.
    fn span_of(&self, freeze: &Freeze) -> Option<Span> {
        bounds::wide(&self.zone, freeze.from, freeze.to)
    }

    fn weekly(&self, sought: Span) -> Vec<Span> {
        // One that began on the day before may still be open.
        let first = self.zone.to_datetime(sought.from).date().yesterday().unwrap_or(Date::MIN);
        let last = self.zone.to_datetime(sought.until).date();
        let mut found = Vec::new();
        let mut date = first;
        while date <= last {
            let on_this_day = self.windows.iter().filter(|weekly| weekly.days.contains(&date.weekday()));
            found.extend(on_this_day.filter_map(|weekly| self.on(weekly, date)));
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        joined(found)
    }

    /// The window that begins on `date`; none, if the clock leaves it out. It is never longer than it is written.
    fn on(&self, weekly: &Weekly, date: Date) -> Option<Span> {
        let to_day = if weekly.to <= weekly.from { date.tomorrow().ok()? } else { date };
        bounds::narrow(&self.zone, at(date, weekly.from)?, at(to_day, weekly.to)?)
    }
}

/// `minutes` after the midnight with which `date` begins.
fn at(date: Date, minutes: u16) -> Option<DateTime> {
    let (date, minutes) = if minutes == DAY { (date.tomorrow().ok()?, 0) } else { (date, minutes) };
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    Some(date.to_datetime(Time::new(hour, minute, 0, 0).ok()?))
}

/// Spans in order, those that meet or overlap as one.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.from);
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut().filter(|last| span.from <= last.until) {
            Some(last) => last.until = last.until.max(span.until),
            None => joined.push(span),
        }
    }
    joined
}

/// What is left of `span` outside of `hole`.
fn without(span: Span, hole: Span) -> Vec<Span> {
    let before = Span { from: span.from, until: span.until.min(hole.from) };
    let behind = Span { from: span.from.max(hole.until), until: span.until };
    let apart = hole.until <= span.from || span.until <= hole.from;
    if apart {
        return vec![span];
    }
    [before, behind].into_iter().filter(|span| span.from < span.until).collect()
}
