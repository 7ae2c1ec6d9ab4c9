//! What a comment right above a statement asks for: `-- batch: 10000`, `-- idempotent`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::lexer::Split;
use super::super::statement::batch::Batch;
use super::{Fault, Section, Sections, begins_line, comment};
use crate::nearest::nearest;
use crate::time::parse_duration;

/// The pause between two batches where none is given: room for others, and for what replicates.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Above each statement, by where it begins: whether it is idempotent, and its batches.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<usize, (bool, Option<Batch>)>);

enum Mark {
    Idempotent,
    Batch(Batch),
}

impl Marks {
    /// Reads them all. A mark that would be for no statement is refused: it must not pass as prose.
    pub fn find(text: &str, split: &Split, sections: &Sections) -> Result<Self, (u32, Fault)> {
        let mut marks = Self::default();
        let mut statements = split.statements.iter().peekable();
        for found in &split.comments {
            if sections.of(found.span.start) == Section::Header {
                continue;
            }
            let Some(said) = comment(&text[found.span.clone()]) else { continue };
            let Some(mark) = read(said) else { continue };
            let mark = mark.map_err(|fault| (found.line, fault))?;
            while statements.next_if(|s| s.start < found.span.start).is_some() {}
            let own_line = begins_line(&text[..found.span.start]);
            let here = sections.of(found.span.start);
            let below = statements.peek().filter(|s| sections.of(s.start) == here);
            let (Some(statement), true, None) = (below, own_line, found.inside) else {
                let name = if matches!(mark, Mark::Batch(_)) { "batch" } else { "idempotent" };
                return Err((found.line, Fault::StrayMark(name)));
            };
            let (idempotent, batch) = marks.0.entry(statement.start).or_default();
            match mark {
                Mark::Idempotent => *idempotent = true,
                Mark::Batch(rows) => *batch = Some(rows),
            }
        }
        Ok(marks)
    }

    /// What stands above the statement that begins there.
    pub fn take(&mut self, start: usize) -> (bool, Option<Batch>) {
        self.0.remove(&start).unwrap_or_default()
    }
}

/// `None`: prose.
fn read(said: &str) -> Option<Result<Mark, Fault>> {
    let unknown = |nearest| Some(Err(Fault::UnknownMark { said: said.to_string(), nearest }));
    let Some((key, value)) = said.split_once(':') else {
        let (first, rest) = said.split_once(' ').unwrap_or((said, ""));
        if first.eq_ignore_ascii_case("idempotent") && (rest.is_empty() || rest.starts_with("because ")) {
            return Some(Ok(Mark::Idempotent));
        }
        let misspelt = rest.is_empty() && nearest(first, ["idempotent"]).is_some();
        return if misspelt { unknown("idempotent") } else { None };
    };
    let key = key.trim();
    if key.eq_ignore_ascii_case("idempotent") {
        return Some(Ok(Mark::Idempotent));
    }
    if key.eq_ignore_ascii_case("batch") {
        let value = value.trim();
        return Some(batch(value).map(Mark::Batch).ok_or_else(|| Fault::BadBatch(value.to_string())));
    }
    let number = value.trim().starts_with(|c: char| c.is_ascii_digit());
    if number && (nearest(key, ["batch"]).is_some() || key.eq_ignore_ascii_case("batches")) {
        return unknown("batch: 10000");
    }
    None
}

fn batch(value: &str) -> Option<Batch> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let (rows, pause) = match words.as_slice() {
        [rows] => (rows, PAUSE),
        [rows, "pause", pause] => (rows, parse_duration(pause).ok()?),
        _ => return None,
    };
    let rows: u32 = rows.replace('_', "").parse().ok()?;
    (rows > 0).then_some(Batch { rows, pause })
}
