//! Two texts line by line. **Pure.**

/// How many unchanged lines are shown around a change.
const AROUND: usize = 2;

/// The lines of both texts: `- ` only in the first, `+ ` only in the second, two spaces in both. Of longer
/// stretches that are the same an ellipsis stands.
pub(super) fn unified(first: &str, second: &str) -> Vec<String> {
    let (first, second): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
    let head = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
    let tail =
        first[head..].iter().rev().zip(second[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (first_end, second_end) = (first.len() - tail, second.len() - tail);
    let mut marked: Vec<(char, &str)> = first[..head].iter().map(|line| (' ', *line)).collect();
    marked.extend(middle(&first[head..first_end], &second[head..second_end]));
    marked.extend(first[first_end..].iter().map(|line| (' ', *line)));
    shortened(&marked)
}

/// The longest common subsequence's lines unmarked, the others marked. Quadratic, over what differs alone;
/// where even that is too much all of it is taken for changed.
fn middle<'a>(first: &[&'a str], second: &[&'a str]) -> Vec<(char, &'a str)> {
    const MOST: usize = 4_000_000;
    let (rows, columns) = (first.len(), second.len());
    if rows.saturating_mul(columns) > MOST {
        return first.iter().map(|line| ('-', *line)).chain(second.iter().map(|line| ('+', *line))).collect();
    }
    let mut common = vec![vec![0u32; columns + 1]; rows + 1];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            common[i][j] = match first[i] == second[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marked = Vec::new();
    while i < rows && j < columns {
        if first[i] == second[j] {
            marked.push((' ', first[i]));
            (i, j) = (i + 1, j + 1);
        } else if common[i + 1][j] >= common[i][j + 1] {
            marked.push(('-', first[i]));
            i += 1;
        } else {
            marked.push(('+', second[j]));
            j += 1;
        }
    }
    marked.extend(first[i..].iter().map(|line| ('-', *line)));
    marked.extend(second[j..].iter().map(|line| ('+', *line)));
    marked
}

fn shortened(marked: &[(char, &str)]) -> Vec<String> {
    let changed: Vec<usize> =
        marked.iter().enumerate().filter(|(_, (mark, _))| *mark != ' ').map(|(at, _)| at).collect();
    let near = |at: usize| {
        let next = changed.partition_point(|&changed| changed < at);
        let after = changed.get(next).is_some_and(|&changed| changed - at <= AROUND);
        after || next.checked_sub(1).is_some_and(|last| at - changed[last] <= AROUND)
    };
    let mut lines = Vec::new();
    let mut left_out = false;
    for (at, (mark, line)) in marked.iter().enumerate() {
        if near(at) {
            lines.push(format!("{mark} {line}").trim_end().to_string());
            left_out = false;
        } else if !left_out {
            lines.push("  …".to_string());
            left_out = true;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_between_its_neighbours() {
        let first = "a\nb\nc\nd\ne\nf\ng\nh";
        let second = "a\nb\nc\nd\nE\nf\ng\nh";
        assert_eq!(unified(first, second), ["  …", "  c", "  d", "- e", "+ E", "  f", "  g", "  …"]);
        assert_eq!(
            unified("x (\n    a,\n    b\n)", "x (\n    b\n)"),
            ["  x (", "-     a,", "      b", "  )"]
        );
    }

    #[test]
    fn one_that_is_not_there_is_all_added_or_taken() {
        assert_eq!(unified("", "a\n\nb"), ["+ a", "+", "+ b"]);
        assert_eq!(unified("a", ""), ["- a"]);
        assert!(unified("", "").is_empty());
        assert_eq!(unified("a", "a"), ["  …"]);
    }

    #[test]
    fn lines_that_moved_are_taken_and_added() {
        assert_eq!(unified("a\nb\nc", "c\na\nb"), ["+ c", "  a", "  b", "- c"]);
    }

    #[test]
    fn what_is_too_long_is_still_told() {
        let text = |word: &str| (0..2500).map(|n| format!("{word} {n}\n")).collect::<String>();
        let lines = unified(&text("old"), &text("new"));
        assert_eq!(lines.len(), 5000);
        assert_eq!((lines[0].as_str(), lines[4999].as_str()), ("- old 0", "+ new 2499"));
    }
}
