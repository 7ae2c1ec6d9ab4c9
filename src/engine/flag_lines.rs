//! Whether users may see the maintenance page, by the two lines that move the flag. **Pure.**

use super::plan::Plan;
use super::state::State;
use crate::event::LineId;
use crate::failure::Kind;
use crate::steps::Action;

/// The lines that raise the flag and take it down for good: as a plan has them, or as a journal names them to whoever has
/// no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlagLines {
    /// The line that raises it; none without a window.
    pub raise: Option<LineId>,
    /// The line that takes it down on the way there. Its start is `Clearing`.
    pub clear: Option<LineId>,
}

impl FlagLines {
    /// As the plan has them.
    pub fn of(plan: &Plan) -> Self {
        let find = |wanted: fn(&Action) -> bool| plan.find(wanted).map(|line| line.id);
        Self {
            raise: find(|action| matches!(action, Action::RaiseFlag { .. })),
            clear: find(|action| matches!(action, Action::ClearFlag)),
        }
    }

    /// Whether the flag may have gone up: its line was started, and did not end in the proof that it is still down (a
    /// failure of kind [`Kind::Refused`]).
    pub fn may_have_gone_up(self, state: &State) -> bool {
        let Some(raise) = self.raise else { return false };
        let refused = state.first_failure.as_ref().filter(|(_, failure)| failure.kind == Kind::Refused);
        state.ever_started(raise) && refused.is_none_or(|(line, _)| *line != raise)
    }

    /// Whether `Clearing` stands in the journal: from here users may be back.
    pub fn cleared(self, state: &State) -> bool {
        self.clear.is_some_and(|line| state.ever_started(line))
    }

    /// Whether production may be in maintenance now: the flag may be up, and no `Clearing` stands in the journal. On the
    /// way back it is until the run's end says otherwise.
    pub fn in_window(self, state: &State) -> bool {
        self.may_have_gone_up(state) && (state.putting_back || !self.cleared(state))
    }
}
