//! What is written on a page and stays there: remembered as what it is, not as it looked, so that a terminal of another
//! width gets it anew in its own.

use super::checklist::Checklist;
use super::layout::fold;
use super::look::{Ink, Look};
use super::{paper, verdict};
use crate::event::{LineId, Phase};

/// One thing that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The head of the paper.
    Opening,
    /// The heading of a phase, and the row above it.
    Heading(Phase),
    /// A line that is settled.
    Line(LineId),
    /// The lines that will not be run: of the checklist, or of the way back.
    Skipped { back: bool },
    /// How long the flag was up.
    WindowClosed,
    /// A sentence about the run.
    Note(String),
    /// A question's text.
    Question(String),
    /// How it ended.
    Verdict,
    /// One row as it is.
    Row(String),
}

impl Said {
    /// Its rows on a page of this look. What the list does not have has none.
    pub fn rows(&self, list: &Checklist, look: Look) -> Vec<String> {
        match self {
            Said::Opening => paper::opening(list, look),
            Said::Heading(phase) => vec![String::new(), paper::heading(*phase, look)],
            Said::Line(id) => list.line(*id).map(|line| paper::settled(list, line, look)).unwrap_or_default(),
            Said::Skipped { back } => {
                paper::skipped(list, if *back { &list.back } else { &list.lines }, look)
            }
            Said::WindowClosed => {
                let window = list.window.filter(|window| window.ended.is_some());
                window.map(|window| paper::window_closed(list, &window, look)).into_iter().collect()
            }
            Said::Note(text) => {
                let rows = fold(text, look.width.saturating_sub(4));
                rows.iter()
                    .map(|row| look.paint(Ink::Warn, &format!("  {} {row}", look.marks().note)))
                    .collect()
            }
            Said::Question(text) => {
                let rows = text.split('\n').flat_map(|line| fold(line, look.width.saturating_sub(4)));
                std::iter::once(String::new()).chain(rows.map(|row| format!("    {row}"))).collect()
            }
            Said::Verdict => {
                let text = verdict::tell(list, look);
                std::iter::once(String::new()).chain(text.lines().map(String::from)).collect()
            }
            Said::Row(row) => vec![row.clone()],
        }
    }
}
