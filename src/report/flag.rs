//! The flag's lines among those that records tell, and when it was up. **Pure.**

use super::model::{End, Line, Standing, Window};
use crate::engine::flag_lines::FlagLines;
use crate::engine::state::State;
use crate::event::{LineId, Phase};
use crate::journal::{Entry, Record};

/// As the plan names the line that raises the flag.
const RAISE: &str = "raise the flag";
/// As the plan names the lines that take it down.
const CLEAR: &str = "clear the flag";

/// The lines that move the flag, by their names. Where the record that tells the phases is lost, the name is all there is.
pub(super) fn flag_lines(lines: &[Line]) -> FlagLines {
    let find = |phase: Phase, name: &str| {
        let line =
            lines.iter().find(|line| line.name == name && line.phase.is_none_or(|own| own == phase))?;
        LineId::try_from(line.id.clone()).ok()
    };
    FlagLines { raise: find(Phase::During, RAISE), clear: find(Phase::Open, CLEAR) }
}

/// When the flag was up: from the line that raised it to the one that took it down, there or on the way back. Nothing, if
/// it never went up.
pub(super) fn window(lines: &[Line], records: &[Record], state: &State) -> Option<Window> {
    let flag = flag_lines(lines);
    let raise = flag.raise.filter(|_| flag.may_have_gone_up(state))?.to_string();
    let raise = lines.iter().find(|line| line.id == raise)?;
    let began = raise.tries.iter().find(|t| !matches!(t.end, End::WithoutEffect(_)))?;
    let in_window = |line: &&Line| !matches!(line.phase, Some(Phase::Before | Phase::During | Phase::After));
    let clears = lines.iter().filter(in_window).filter(|line| line.name == CLEAR);
    let ended =
        clears.filter(|line| line.standing == Standing::Done).filter_map(|line| line.tries.last()?.ended);
    let max_millis = records.iter().find_map(|record| match &record.entry {
        Entry::Began { runbook, .. } => max_of(&runbook.text),
        _ => None,
    });
    Some(Window { began: began.ended.unwrap_or(began.began), ended: ended.max(), max_millis })
}

/// How long the window may last, as the runbook's text has it.
fn max_of(text: &str) -> Option<u64> {
    let table: toml::Table = text.parse().ok()?;
    let max = table.get("window")?.get("max")?.as_str()?;
    crate::time::parse_duration(max).ok().map(crate::event::millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_s_length_is_read_from_the_runbook() {
        assert_eq!(max_of("[window]\nmax = \"15m\"\n"), Some(900_000));
        assert_eq!((max_of("[window]\n"), max_of("= no TOML")), (None, None));
    }

    #[test]
    fn the_flag_s_lines_are_named_as_the_plan_names_them() {
        let plan = include_str!("../engine/plan.rs");
        let back = include_str!("../engine/decide.rs");
        assert!(plan.contains(&format!("{RAISE:?}")) && plan.contains(&format!("{CLEAR:?}")));
        assert!(back.contains(&format!("{CLEAR:?}")));
    }
}
