//! A schedule, its windows and its refusals in words.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Weekday;

use super::{Freeze, Refusal, Schedule, Span, Weekly, Why};
use crate::time::{between, show_duration};

/// The days of the week as they are written, from Monday.
pub(crate) const DAYS: [(&str, &str, Weekday); 7] = [
    ("mon", "monday", Weekday::Monday),
    ("tue", "tuesday", Weekday::Tuesday),
    ("wed", "wednesday", Weekday::Wednesday),
    ("thu", "thursday", Weekday::Thursday),
    ("fri", "friday", Weekday::Friday),
    ("sat", "saturday", Weekday::Saturday),
    ("sun", "sunday", Weekday::Sunday),
];

impl Schedule {
    /// An instant as this schedule's clock on the wall shows it: `Tue 24 Nov 2026 22:00 CET`.
    pub fn show(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%a %-d %b %Y %H:%M %Z").to_string()
    }

    /// How long the window stays open: `open until Tue 24 Nov 2026 22:00 CET, 3 h 10 m left`.
    pub fn show_open(&self, until: Option<Timestamp>, now: Timestamp) -> String {
        match until {
            Some(until) => {
                format!("open until {}, {} left", self.show(until), show_duration(between(now, until)))
            }
            None => "open, with no end in sight".to_string(),
        }
    }

    /// Why something that takes `needs` may not begin at `now`.
    pub fn show_why(&self, refusal: &Refusal, now: Timestamp, needs: Duration) -> String {
        match &refusal.why {
            Why::Closed => format!("no window is open: windows are {self}"),
            Why::Frozen(freeze) => format!("nothing is released {freeze}"),
            Why::TooShort { until } => format!(
                "the window closes {}, in {}, and this may take {}",
                self.show(*until),
                show_duration(between(now, *until)),
                show_duration(needs)
            ),
        }
    }

    /// When the next window is that is long enough.
    pub fn show_next(&self, next: Option<Span>, now: Timestamp) -> String {
        match next {
            Some(span) => format!(
                "the next window that is long enough opens {}, in {}",
                self.show(span.from),
                show_duration(between(now, span.from))
            ),
            None => "no window of the next 400 days is long enough".to_string(),
        }
    }
}

/// `tue-thu 22:00-02:00, sun 06:00-12:00 (Europe/Berlin)`
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        let windows = if windows.is_empty() { "always".to_string() } else { windows.join(", ") };
        write!(f, "{windows} ({zone})")
    }
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "{} {}-{}", days(&self.days), clock(self.from), clock(self.to))
    }
}

/// `until 6 Jan 2027 00:00 (Christmas trade)`
impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until {}", self.to.strftime("%a %-d %b %Y %H:%M"))?;
        self.why.iter().try_for_each(|why| write!(f, " ({why})"))
    }
}

/// Days in the order of the week, three or more in a row as a range.
fn days(days: &[Weekday]) -> String {
    let there = |n: usize| DAYS.get(n).is_some_and(|(_, _, day)| days.contains(day));
    if (0..DAYS.len()).all(there) {
        return "daily".to_string();
    }
    let mut said = Vec::new();
    let mut n = 0;
    while n < DAYS.len() {
        let end = (n..DAYS.len()).take_while(|n| there(*n)).last();
        match end {
            None => n += 1,
            Some(end) if end >= n + 2 => {
                said.push(format!("{}-{}", DAYS[n].0, DAYS[end].0));
                n = end + 1;
            }
            Some(_) => {
                said.push(DAYS[n].0.to_string());
                n += 1;
            }
        }
    }
    said.join(" ")
}
