//! What lines printed and noted, out of the log, within the bounds of a page. **Pure.**

use std::collections::BTreeMap;

use super::model::Line;
use super::size::{cut, weight};
use crate::log::{Spoken, spoken};
use crate::ui::foreign::clean;

/// How many bytes of output a page carries, all lines together; the log has the rest.
const MOST: usize = 400_000;
/// How many of them one row may have.
const LONGEST_ROW: usize = 2_000;
/// How many notes of one line are told.
const MOST_NOTES: usize = 50;

/// Gives each line what the log has of it. Where that is too much for a page, every line gets its share, and of each the
/// beginning and the end are kept: what a program tried, and how it ended.
pub(super) fn hand_out(log: &str, lines: &mut [Line]) {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    // Of two ways back the later one: the log does not tell them apart.
    for (at, line) in lines.iter().enumerate() {
        places.insert(line.id.clone(), at);
    }
    let mut printed: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for said in spoken(log) {
        match said {
            Spoken::Output(id, text) => {
                if let Some(at) = places.get(&id.to_string()) {
                    printed.entry(*at).or_default().push(text);
                }
            }
            Spoken::Note(id, text) => {
                let at = id.and_then(|id| places.get(&id.to_string()));
                let Some(line) = at.map(|at| &mut lines[*at]) else { continue };
                match line.notes.len() < MOST_NOTES {
                    true => line.notes.push(clean(text)),
                    false => line.notes_left_out += 1,
                }
            }
        }
    }
    let shares = shares(&printed);
    for (at, rows) in printed {
        let share = shares.get(&at).copied().unwrap_or_default();
        let (head, tail) = keep(&rows, share);
        let kept = rows.iter().take(head).chain(rows.iter().skip(rows.len() - tail));
        let line = &mut lines[at];
        line.output = kept.map(|row| cut(clean(row), LONGEST_ROW)).collect();
        line.output_left_out = (rows.len() - head - tail) as u64;
        line.output_gap_at = (line.output_left_out > 0).then_some(head);
    }
}

/// How many bytes each may have: who needs little gets it, and the others share what is left.
fn shares(printed: &BTreeMap<usize, Vec<&str>>) -> BTreeMap<usize, usize> {
    let mut sizes: Vec<(usize, usize)> =
        printed.iter().map(|(at, rows)| (rows.iter().map(|row| row_weight(row)).sum(), *at)).collect();
    sizes.sort_unstable();
    let (mut left, mut many) = (MOST, sizes.len());
    let mut shares = BTreeMap::new();
    for (size, at) in sizes {
        let share = size.min(left / many.max(1));
        (left, many) = (left - share, many - 1);
        shares.insert(at, share);
    }
    shares
}

/// How many rows of the beginning and of the end fit into `share` bytes: a third and two thirds.
fn keep(rows: &[&str], share: usize) -> (usize, usize) {
    if rows.iter().map(|row| row_weight(row)).sum::<usize>() <= share {
        return (rows.len(), 0);
    }
    let fit = |rows: &mut dyn Iterator<Item = &&str>, room: usize| {
        let mut used = 0;
        rows.take_while(|row| {
            used += row_weight(row);
            used <= room
        })
        .count()
    };
    let head = fit(&mut rows.iter(), share / 3);
    (head, fit(&mut rows.iter().rev(), share / 3 * 2).min(rows.len() - head))
}

/// What a row takes on the page, at most, and its end.
fn row_weight(row: &str) -> usize {
    weight(row).min(LONGEST_ROW) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_prints_little_is_kept_whole_and_who_prints_much_at_both_ends() {
        let rows: Vec<String> = (0..100_000).map(|n| format!("row {n}")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let printed = [(0, vec!["a", "b"]), (1, rows.clone())].into();
        let shares = shares(&printed);
        assert_eq!((shares[&0], shares[&1]), (4, MOST - 4));
        assert_eq!(keep(&["a", "b"], 4), (2, 0));
        let (head, tail) = keep(&rows, shares[&1]);
        assert!(head > 10_000 && tail > 20_000 && head + tail < rows.len(), "{head} {tail}");
        assert_eq!(keep(&rows, 0), (0, 0));
    }
}
