//! A date, with or without a time of day, as a file says it.

use jiff::civil::{Date, DateTime};

use super::tree::{Data, Place};
use super::{Finding, Read, Value};

/// A date, or a date and a time of day, on a clock whose time zone is said elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A whole day.
    Day(Date),
    /// A time of it.
    Time(DateTime),
}

impl Value<'_> {
    /// A date or a date and a time, as TOML has them, or in quotes.
    pub(crate) fn moment(self) -> Read<Moment> {
        const FORM: &str = "write 2026-12-18, or \"2026-12-18 18:00\"";
        let written = match (&self.node().data, &self.node().place) {
            (Data::Moment, Place::At(place)) => self.written(place).unwrap_or_default().to_string(),
            _ => self.clone().line()?,
        };
        let text = written.trim();
        // A date alone would be read as its midnight too.
        let day = text.parse::<Date>().ok().filter(|_| text.len() <= "2026-12-18".len());
        let moment = day.map(Moment::Day).or_else(|| text.parse().ok().map(Moment::Time));
        // An offset or a zone would be passed over in silence.
        let zoned = text.ends_with(['Z', 'z', ']']) || text.get(10..).is_some_and(|t| t.contains(['+', '-']));
        moment.filter(|_| !zoned).ok_or_else(|| {
            let finding = Finding::new(format!("`{}` must be a date, or a date and a time", self.key()));
            self.wrong(finding.label("this is none, without a zone of its own").help(FORM))
        })
    }
}
