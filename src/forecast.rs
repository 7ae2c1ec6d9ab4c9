//! How long a run is likely to take, by how long earlier runs took for the same lines. **Pure.**

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

use crate::event::{LineId, Phase, millis};
use crate::time::show_duration;
use crate::words::count;

/// How long each line of an earlier run took, by its phase and its name.
pub type Past = BTreeMap<(Phase, String), Duration>;

/// A duration with its spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The shortest so far.
    pub low: Duration,
    /// The middle one.
    pub likely: Duration,
    /// The longest so far.
    pub high: Duration,
}

/// How long the lines of a run are likely to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// By how many earlier runs.
    pub runs: usize,
    /// Each line that any of them had.
    pub lines: BTreeMap<LineId, Figures>,
    /// The lines before the window together.
    pub before: Figures,
    /// Those of the window: while users see the maintenance page.
    pub window: Figures,
    /// Those behind it.
    pub after: Figures,
    /// Lines that none of them had, before the window and in it.
    pub unknown: Vec<String>,
}

impl Figures {
    /// Of several durations; nothing of none.
    pub fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort();
        let (low, high) = (*samples.first()?, *samples.last()?);
        Some(Self { low, likely: samples[(samples.len() - 1) / 2], high })
    }

    /// As JSON has it, in milliseconds.
    pub fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "low_millis": millis(self.low), "likely_millis": millis(self.likely), "high_millis": millis(self.high),
        })
    }
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { low: self.low + other.low, likely: self.likely + other.likely, high: self.high + other.high }
    }
}

impl Sum for Figures {
    fn sum<I: Iterator<Item = Self>>(figures: I) -> Self {
        figures.fold(Self::default(), Add::add)
    }
}

/// `4 m 10 s (3 m 40 s to 6 m 05 s)`
impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, likely, high) =
            (show_duration(self.low), show_duration(self.likely), show_duration(self.high));
        match low == high {
            true => write!(f, "{likely}"),
            false => write!(f, "{likely} ({low} to {high})"),
        }
    }
}

impl Forecast {
    /// Of `lines`, each with its phase and its name, by what is known of earlier runs.
    ///
    /// The spread of several lines together is what it would be if each of them took as long as it ever did.
    pub fn of<'a>(lines: impl IntoIterator<Item = (LineId, Phase, &'a str)>, past: &[Past]) -> Self {
        let mut forecast = Self { runs: past.len(), ..Self::default() };
        for (id, phase, name) in lines {
            let key = (phase, name.to_string());
            let Some(figures) = Figures::of(past.iter().filter_map(|run| run.get(&key)).copied().collect())
            else {
                if phase <= Phase::Open {
                    forecast.unknown.push(name.to_string());
                }
                continue;
            };
            forecast.lines.insert(id, figures);
            let sum = match phase {
                Phase::Before => &mut forecast.before,
                Phase::During | Phase::Open => &mut forecast.window,
                Phase::After | Phase::PutBack => &mut forecast.after,
            };
            *sum = *sum + figures;
        }
        forecast
    }

    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        !self.lines.is_empty()
    }

    /// From now to the end of the window, if each line takes as long as it ever did.
    pub fn until_clear(&self) -> Duration {
        self.before.high + self.window.high
    }

    /// The whole of it in words; nothing, if nothing is known.
    pub fn words(&self) -> Option<String> {
        let all: Figures = [self.before, self.window, self.after].into_iter().sum();
        let by = count(self.runs as u64, "earlier run", "earlier runs");
        let window = match self.window {
            none if none == Figures::default() => String::new(),
            some => format!(", of which users see the maintenance page for {some}"),
        };
        let text = format!("about {all}{window}; by {by}{}", self.gaps());
        self.is_known().then_some(text)
    }

    /// The window in words; nothing, if nothing is known of it.
    pub fn window_words(&self) -> Option<String> {
        let by = count(self.runs as u64, "earlier run", "earlier runs");
        (self.window != Figures::default())
            .then(|| format!("users will see the maintenance page for about {}, by {by}", self.window))
    }

    fn gaps(&self) -> String {
        match self.unknown.as_slice() {
            [] => String::new(),
            lines => format!("; not known, and not counted: {}", lines.join(", ")),
        }
    }

    /// As JSON has it.
    pub fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "runs": self.runs, "before": self.before.document(), "window": self.window.document(),
            "after": self.after.document(), "unknown": self.unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: fn(u64) -> Duration = Duration::from_secs;

    fn past(lines: &[(Phase, &str, u64)]) -> Past {
        lines.iter().map(|(phase, name, took)| ((*phase, (*name).to_string()), SECOND(*took))).collect()
    }

    const LINES: [(LineId, Phase, &str); 4] = [
        (LineId::Line(1), Phase::Before, "backup"),
        (LineId::Line(2), Phase::During, "migrate to head"),
        (LineId::Line(3), Phase::Open, "deploy"),
        (LineId::Line(4), Phase::After, "record"),
    ];

    #[test]
    fn lines_are_told_by_their_names_and_summed_by_phases() {
        let runs = [
            past(&[
                (Phase::Before, "backup", 100),
                (Phase::During, "migrate to head", 4),
                (Phase::After, "record", 1),
            ]),
            past(&[(Phase::Before, "backup", 140), (Phase::During, "migrate to head", 60)]),
            // Another runbook, which has the backup behind the window as well.
            past(&[(Phase::Before, "backup", 120), (Phase::After, "backup", 999)]),
        ];
        let forecast = Forecast::of(LINES, &runs);
        assert_eq!(forecast.before, Figures { low: SECOND(100), likely: SECOND(120), high: SECOND(140) });
        assert_eq!(forecast.window, Figures { low: SECOND(4), likely: SECOND(4), high: SECOND(60) });
        assert_eq!(forecast.after.likely, SECOND(1));
        assert_eq!(forecast.until_clear(), SECOND(200));
        assert_eq!(
            forecast.words().as_deref(),
            Some(
                "about 2 m 05 s (1 m 45 s to 3 m 21 s), of which users see the maintenance page for 4.0 s (4.0 s to \
                 1 m 00 s); by 3 earlier runs; not known, and not counted: deploy"
            )
        );
    }

    #[test]
    fn of_no_earlier_run_nothing_is_known() {
        let forecast = Forecast::of(LINES, &[]);
        assert_eq!(
            (forecast.words(), forecast.window_words(), forecast.until_clear()),
            (None, None, SECOND(0))
        );
        assert_eq!(forecast.unknown, ["backup", "migrate to head", "deploy"]);
    }

    #[test]
    fn one_earlier_run_has_no_spread() {
        assert_eq!(Figures::of(vec![SECOND(12)]).expect("figures").to_string(), "12 s");
    }
}
