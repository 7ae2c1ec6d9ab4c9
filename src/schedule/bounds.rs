//! From the clock on the wall to instants, where that clock is set forward (a gap: readings that never come) or back (a
//! fold: readings that come twice).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::Span;

/// From the reading `from` to the reading `to`, never longer than that is written: of a reading that comes twice, the
/// second opens and the first closes; where that leaves nothing, because both come twice, both are the second. Nothing,
/// if the clock leaves all of it out.
pub(super) fn narrow(zone: &TimeZone, from: DateTime, to: DateTime) -> Option<Span> {
    let from = last(zone, from)?;
    let until = first(zone, to).filter(|until| from < *until).or_else(|| last(zone, to))?;
    (from < until).then_some(Span { from, until })
}

/// From the reading `from` to the reading `to`, never shorter than that is written.
pub(super) fn wide(zone: &TimeZone, from: DateTime, to: DateTime) -> Option<Span> {
    let (from, until) = (first(zone, from)?, last(zone, to)?);
    (from < until).then_some(Span { from, until })
}

/// When the clock shows `reading` for the first time; of one that it leaves out, when it goes past it.
fn first(zone: &TimeZone, reading: DateTime) -> Option<Timestamp> {
    past_gap(zone, reading).or_else(|| zone.to_ambiguous_timestamp(reading).earlier().ok())
}

/// When the clock shows `reading` for the last time; of one that it leaves out, when it goes past it.
fn last(zone: &TimeZone, reading: DateTime) -> Option<Timestamp> {
    past_gap(zone, reading).or_else(|| zone.to_ambiguous_timestamp(reading).later().ok())
}

/// When the clock is set forward past `reading`, if it leaves that out.
fn past_gap(zone: &TimeZone, reading: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(reading);
    if !matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        return None;
    }
    // The earlier of the two that could be meant lies before the gap.
    let before = ambiguous.earlier().ok()?;
    zone.following(before).next().map(|transition| transition.timestamp())
}
