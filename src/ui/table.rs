//! Small tables for commands that list things: **pure**.

use super::foreign::one_line;
use super::layout::{cut, pad, pad_left, width_of};
use super::look::{Ink, Look};

/// Spaces between columns.
const GAP: usize = 2;
/// What stands before a cell that found no room beside the others.
const BELOW: &str = "    ";
/// A column that gives way is not made narrower than this.
const NARROWEST: usize = 8;

/// One column: its heading and how its cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    heading: &'static str,
    right: bool,
    gives: bool,
}

impl Column {
    /// Text. Gives way, and is cut, where the terminal is too narrow.
    pub const fn text(heading: &'static str) -> Self {
        Self { heading, right: false, gives: true }
    }

    /// Ids and names that someone will copy: never cut.
    pub const fn id(heading: &'static str) -> Self {
        Self { heading, right: false, gives: false }
    }

    /// Numbers, sizes, durations: aligned to the right, never cut.
    pub const fn number(heading: &'static str) -> Self {
        Self { heading, right: true, gives: false }
    }
}

/// `rows` under the headings of `columns`, each line at most as wide as the look where that can be
/// had by cutting text. Where even that is too narrow, the last columns stand below their row, each on a line of its own
/// with its heading. Cells that are missing are empty, cells without a column are left out; line
/// ends, control characters and secrets in cells do not come through. Ends with a line end, unless
/// there are no rows: then it is empty.
///
/// ```
/// use backstay::ui::{Look, table::{Column, render}};
///
/// let columns = [Column::id("run"), Column::number("took"), Column::text("verdict")];
/// let rows = vec![vec!["r1".to_string(), "4 s".into(), "done".into()]];
/// assert_eq!(render(&columns, &rows, Look::BARE), "run  took  verdict\nr1    4 s  done\n");
/// ```
pub fn render(columns: &[Column], rows: &[Vec<String>], look: Look) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            (0..columns.len()).map(|i| row.get(i).map(|cell| one_line(cell)).unwrap_or_default()).collect()
        })
        .collect();
    let (beside, below) = columns.split_at(that_fit(columns, &cells, look.width));
    let widths = widths(beside, &cells, look.width);
    let headings: Vec<String> = beside.iter().map(|c| c.heading.to_string()).collect();
    let mut out = look.paint(Ink::Strong, &line(beside, &headings, &widths, look)) + "\n";
    for row in &cells {
        out.push_str(&line(beside, row, &widths, look));
        out.push('\n');
        for (column, cell) in below.iter().zip(&row[beside.len()..]).filter(|(_, cell)| !cell.is_empty()) {
            out.push_str(&cut(&format!("{BELOW}{}: {cell}", column.heading), look.width, look));
            out.push('\n');
        }
    }
    look.last_pass(&out)
}

/// How many columns can stand beside each other in `room`, the first one always.
fn that_fit(columns: &[Column], rows: &[Vec<String>], room: usize) -> usize {
    let mut taken = 0usize;
    let fits = |(i, column): &(usize, &Column)| {
        let width = full_width(column, *i, rows);
        let least = if column.gives { width.min(NARROWEST) } else { width };
        taken = taken.saturating_add(least + if *i == 0 { 0 } else { GAP });
        taken <= room
    };
    columns.iter().enumerate().take_while(fits).count().max(1).min(columns.len())
}

fn full_width(column: &Column, at: usize, rows: &[Vec<String>]) -> usize {
    rows.iter().map(|row| width_of(&row[at])).max().unwrap_or(0).max(width_of(column.heading))
}

fn line(columns: &[Column], cells: &[String], widths: &[usize], look: Look) -> String {
    let cells = columns.iter().zip(cells).zip(widths).map(|((column, cell), width)| {
        let cell = cut(cell, *width, look);
        if column.right { pad_left(&cell, *width) } else { pad(&cell, *width) }
    });
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_string()
}

/// The widest cell of each column; where that is too much, the widest column that gives way gives one
/// after another.
fn widths(columns: &[Column], rows: &[Vec<String>], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> =
        columns.iter().enumerate().map(|(i, column)| full_width(column, i, rows)).collect();
    let room = room.saturating_sub(GAP * columns.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let over = widths.iter().sum::<usize>() - room;
        let gives = (0..columns.len()).filter(|i| columns[*i].gives && widths[*i] > NARROWEST);
        let Some(most) = gives.max_by_key(|i| widths[*i]) else { break };
        // Down to the next widest at once would be faster; tables are small.
        widths[most] -= over.min(widths[most] - NARROWEST).min(1);
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::id("run"), Column::number("took"), Column::text("what")];

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec!["20251120-k3x9".into(), "4.2 s".into(), "a long story of what was done here".into()],
            vec!["表".into(), "12 s".into(), "two\nlines\u{1b}[2J".into(), "too many".into()],
            vec!["short".into()],
        ]
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        assert_eq!(
            render(&COLUMNS, &rows(), Look { unicode: true, ..Look::BARE }),
            "run             took  what\n\
             20251120-k3x9  4.2 s  a long story of what was done here\n\
             表              12 s  two lines\n\
             short\n"
        );
    }

    #[test]
    fn text_gives_way_and_ids_do_not() {
        let text = render(&COLUMNS, &rows(), Look { width: 40, ..Look::BARE });
        assert!(text.contains("20251120-k3x9  4.2 s  a long story of...\n"), "{text}");
        let text = render(&COLUMNS, &rows(), Look { width: 30, ..Look::BARE });
        assert!(text.contains("20251120-k3x9  4.2 s  a lon...\n"), "{text}");
    }

    #[test]
    fn what_has_no_room_stands_below_its_row() {
        let text = render(&COLUMNS, &rows(), Look { width: 28, ..Look::BARE });
        assert_eq!(
            text,
            "run             took\n20251120-k3x9  4.2 s\n    what: a long story of...\n\
             ?              12 s\n    what: two lines\nshort\n"
        );
        let narrowest = render(&COLUMNS, &rows(), Look { width: 1, ..Look::BARE });
        assert!(narrowest.starts_with("run\n20251120-k3x9\n"), "{narrowest}");
    }

    #[test]
    fn no_rows_no_table() {
        assert_eq!(render(&COLUMNS, &[], Look::BARE), "");
        assert_eq!(render(&[], &rows(), Look::BARE), "\n\n\n\n");
    }
}
