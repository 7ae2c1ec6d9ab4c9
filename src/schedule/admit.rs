//! Whether something may begin now, and if not, when.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Freeze, Schedule, Span};

/// How far ahead a window is looked for: past a year, so that what comes once a year is found.
const HORIZON: SignedDuration = SignedDuration::from_hours(400 * 24);
/// What is open from before the horizon to this far behind it, longer than a week, has no end.
const BEYOND: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Why something may not begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// When it may: the next window in which it fits. None within four hundred days, if there is none.
    pub next: Option<Span>,
}

/// See [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No window is open.
    Closed,
    /// In a freeze.
    Frozen(Freeze),
    /// A window is open, and closes before what begins now is likely to be over.
    TooShort {
        /// When it closes.
        until: Timestamp,
    },
}

impl Schedule {
    /// Whether what takes `needs` may begin at `now`: gives when the window closes, nothing if it does not.
    ///
    /// # Errors
    /// Why not, and when it may.
    pub fn admit(&self, now: Timestamp, needs: Duration) -> Result<Option<Timestamp>, Refusal> {
        let horizon = now.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        let beyond = horizon.checked_add(BEYOND).unwrap_or(Timestamp::MAX);
        let mut spans = self.spans(Span { from: now, until: beyond });
        spans.retain(|span| span.from < horizon);
        let fits = |span: &&Span| span.until >= beyond || span.left(now) >= needs;
        let open = spans.first().filter(|span| span.contains(now));
        if let Some(span) = open.filter(fits) {
            return Ok(Some(span.until).filter(|until| *until < beyond));
        }
        let why = match (open, self.freeze(now)) {
            (Some(span), _) => Why::TooShort { until: span.until },
            (None, Some(freeze)) => Why::Frozen(freeze.clone()),
            (None, None) => Why::Closed,
        };
        let next = spans.iter().filter(|span| !span.contains(now)).find(fits).copied();
        Err(Refusal { why, next })
    }
}
