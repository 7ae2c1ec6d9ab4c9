//! Ranges `a:b`: what `history -r` lists, and what `upgrade --sql` and `downgrade --sql` run.

use std::collections::BTreeSet;

use super::relative::{Counted, PastTheEnd};
use super::target::branch_and_symbol;
use super::{Direction, Graph, Index, Step, TargetError};

/// A range of `history -r`, both ends inclusive: `ae10:head`, `:ae10`, `ae10:`, `ae10:+2`, `-3:current`, `current:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<'a> {
    text: &'a str,
    start: End<'a>,
    end: End<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End<'a> {
    /// As far as there is anything.
    Open,
    /// Where the database is.
    Current,
    At(&'a str),
}

impl<'a> Range<'a> {
    /// Reads `START:END`.
    ///
    /// # Errors
    /// [`TargetError::BadRange`]: no colon or more than one, or `current` twice.
    pub fn parse(text: &'a str) -> Result<Self, TargetError> {
        let bad = |why| TargetError::BadRange { range: text.to_string(), why };
        let (start, end) =
            text.trim().split_once(':').ok_or_else(|| bad("it is START:END, START: or :END"))?;
        if end.contains(':') {
            return Err(bad("it has more than two ends"));
        }
        let read = |end| match end {
            "" => End::Open,
            "current" => End::Current,
            other => End::At(other),
        };
        let range = Self { text, start: read(start), end: read(end) };
        match (range.start, range.end) {
            (End::Current, End::Current) => Err(bad("both ends are the same")),
            _ => Ok(range),
        }
    }

    /// Whether an end of it is where the database is.
    pub fn asks_database(&self) -> bool {
        self.start == End::Current || self.end == End::Current
    }

    fn start_text(&self) -> String {
        match self.start {
            End::Open => "base".to_string(),
            End::Current => "current".to_string(),
            End::At(text) => text.to_string(),
        }
    }

    fn end_text(&self) -> String {
        match self.end {
            End::Open => "heads".to_string(),
            End::Current => "current".to_string(),
            End::At(text) => text.to_string(),
        }
    }

    fn bad(&self, why: &'static str) -> TargetError {
        TargetError::BadRange { range: self.text.to_string(), why }
    }
}

impl Graph {
    /// The revisions of a range, newest first. `rows` are the version table's; looked at only if
    /// [`Range::asks_database`].
    ///
    /// A start of `-N` counts from the end of the range, and stops at base; so `-3:current` is what Alembic's manual
    /// says it is (its code counts from the head, wherever the database is). Above an empty version table, nothing
    /// is current, and nothing is listed.
    ///
    /// # Errors
    /// [`TargetError`]: an end leads nowhere, or the start is not below the end.
    pub fn history(&self, range: Range<'_>, rows: &BTreeSet<String>) -> Result<Vec<&str>, TargetError> {
        let rows = if range.asks_database() { self.known_rows(rows)? } else { Vec::new() };
        let mut ends = self.range_ends(range, &rows)?;
        let starts = self.range_starts(range, &rows, &mut ends)?;
        let no_way = || TargetError::NotOnOneLine { start: range.start_text(), end: range.end_text() };
        let below_ends = self.reach(&ends, |node| &node.below);
        let overlaps = self.overlap(&ends).is_some() || self.overlap(&starts).is_some();
        if overlaps || starts.iter().any(|&start| !below_ends[start]) {
            return Err(no_way());
        }
        let below_starts = self.reach(&starts, |node| &node.below);
        let mut between: Vec<bool> =
            below_ends.iter().zip(below_starts).map(|(&end, start)| end && !start).collect();
        starts.iter().for_each(|&start| between[start] = true);
        let mut wanted = between.clone();
        if !starts.is_empty() {
            let line = self.reach(&starts, |node| &node.next);
            wanted.iter_mut().zip(line).for_each(|(want, on_line)| *want &= on_line);
        }
        Ok(self.ids(self.newest_first_of(&wanted, between, &ends)))
    }

    /// From the ends down. What only a dependency leads to is not found so: then from whatever is highest.
    fn newest_first_of(&self, wanted: &[bool], between: Vec<bool>, ends: &[Index]) -> Vec<Index> {
        let order = self.top_down(wanted.to_vec(), ends);
        if order.len() == wanted.iter().filter(|&&want| want).count() {
            return order;
        }
        let directly_below =
            self.all().filter(|&i| between[i]).flat_map(|i| self.nodes[i].below.iter().copied());
        let below = self.reach(&directly_below.collect::<Vec<_>>(), |node| &node.below);
        let highest: Vec<Index> = self.all().filter(|&i| between[i] && !below[i]).collect();
        let order = self.top_down(between, &highest);
        order.into_iter().filter(|&i| wanted[i]).collect()
    }

    fn range_ends(&self, range: Range<'_>, rows: &[Index]) -> Result<Vec<Index>, TargetError> {
        let text = match range.end {
            End::Open => return Ok(self.real_heads()),
            End::Current => return Ok(rows.to_vec()),
            End::At(text) => text,
        };
        let Some(counted) = Counted::of(text) else { return self.revisions_at(text) };
        let from = match range.start {
            _ if counted.symbol.is_some() => Vec::new(),
            End::Open => Vec::new(),
            End::Current => rows.to_vec(),
            End::At(start) if Counted::of(start).is_some() => {
                return Err(range.bad("one end must say where the other is counted from"));
            }
            End::At(start) => self.revision_at(start)?.into_iter().collect(),
        };
        Ok(vec![self.count_up_from(&from, counted, text, PastTheEnd::Stops)?])
    }

    /// None of them: base. A branch named at the start keeps only those `ends` that are on it.
    fn range_starts(
        &self,
        range: Range<'_>,
        rows: &[Index],
        ends: &mut Vec<Index>,
    ) -> Result<Vec<Index>, TargetError> {
        let text = match range.start {
            End::Open => return Ok(Vec::new()),
            End::Current => return Ok(rows.to_vec()),
            End::At(text) => text,
        };
        match Counted::of(text) {
            None => {
                if let (Some(branch), _) = branch_and_symbol(text) {
                    let label = self.label_of(branch, range)?;
                    ends.retain(|&end| self.nodes[end].labels.contains(label));
                }
                self.revisions_at(text)
            }
            Some(Counted { branch, symbol: None, offset }) if offset < 0 => {
                if let Some(branch) = branch {
                    *ends = self.on_branch(std::mem::take(ends), branch)?;
                }
                self.below_all(ends, offset.unsigned_abs(), text)
            }
            Some(_) => Err(range.bad("a counted start is -N or BRANCH@-N")),
        }
    }

    /// The revisions `steps` below these; none as soon as one of the ways reaches base.
    fn below_all(&self, ends: &[Index], steps: u64, target: &str) -> Result<Vec<Index>, TargetError> {
        let mut found = BTreeSet::new();
        let mut base = false;
        for &end in ends {
            match self.walk_down(Some(end), steps, target) {
                Ok(Some(i)) => drop(found.insert(i)),
                Ok(None) | Err(TargetError::TooFar { .. }) => base = true,
                Err(error) => return Err(error),
            }
        }
        Ok(if base { Vec::new() } else { found.into_iter().collect() })
    }

    /// The label that a branch goes by; a revision names a branch if it is on exactly one.
    fn label_of<'a>(&'a self, branch: &'a str, range: Range<'_>) -> Result<&'a str, TargetError> {
        if self.by_label.contains_key(branch) {
            return Ok(branch);
        }
        let mut labels = self.nodes[self.ident(branch)?].labels.iter();
        match (labels.next(), labels.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(range.bad("the revision before @ is not on exactly one labelled branch")),
        }
    }

    /// What a range typed for `--sql` means: the version rows that it starts from, and the target. `a:b`, or for an
    /// upgrade also `b` alone, from base. Left out, the start is base and the target `heads`, for a downgrade `base`.
    ///
    /// # Errors
    /// [`TargetError`]: a downgrade without a start, or a start that leads nowhere.
    pub fn offline_range<'a>(
        &self,
        direction: Direction,
        range: &'a str,
    ) -> Result<(BTreeSet<String>, &'a str), TargetError> {
        let bad = |why| TargetError::BadRange { range: range.to_string(), why };
        let (start, target) = match (range.split_once(':'), direction) {
            (Some((_, target)), _) if target.contains(':') => return Err(bad("it has more than two ends")),
            (Some(ends), _) => ends,
            (None, Direction::Up) => ("base", range),
            (None, Direction::Down) => return Err(bad("without a database it must be START:TARGET")),
        };
        let start = match start {
            "" | "base" => None,
            start => {
                Some(self.revision_at(start)?.ok_or_else(|| bad("it must start at a revision, or at base"))?)
            }
        };
        let target = match (direction, target) {
            (Direction::Up, "") => "heads",
            (Direction::Down, "") => "base",
            (_, target) => target,
        };
        Ok((start.into_iter().map(|i| self.id(i).to_string()).collect(), target))
    }

    /// The steps of a range typed for `--sql`, with the version rows that they start from.
    ///
    /// # Errors
    /// As [`Graph::offline_range`]; if the target leads nowhere.
    pub fn plan_range(
        &self,
        direction: Direction,
        range: &str,
    ) -> Result<(BTreeSet<String>, Vec<Step>), TargetError> {
        let (rows, target) = self.offline_range(direction, range)?;
        let steps = match direction {
            Direction::Up => self.plan_upgrade(&rows, target)?,
            Direction::Down => self.plan_downgrade(&rows, target)?,
        };
        Ok((rows, steps))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Revision;
    use super::*;

    /// a - b - c - d, and e on b
    fn graph() -> Graph {
        let list = [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("c")), ("e", Some("b"))];
        let revision = |(id, down): (&str, Option<&str>)| Revision::new(id, down.as_slice());
        Graph::new(list.into_iter().map(revision).collect()).unwrap()
    }

    fn listed(range: &str, rows: &[&str]) -> Result<String, TargetError> {
        let rows = rows.iter().map(ToString::to_string).collect();
        Ok(graph().history(Range::parse(range)?, &rows)?.concat())
    }

    #[test]
    fn both_ends_belong_to_it() {
        for (range, wanted) in
            [("a:c", "cba"), (":b", "ba"), ("c:", "dc"), (":", "dceba"), ("b:heads", "dceb")]
        {
            assert_eq!(listed(range, &[]).as_deref(), Ok(wanted), "{range}");
        }
    }

    #[test]
    fn ends_may_be_counted_and_current() {
        let cases = [
            ("a:+1", "ba", &[][..]),
            ("c:+9", "dc", &[]),
            ("b:d-1", "cb", &[]),
            ("current:d", "dcb", &["b"]),
            ("a:current", "cba", &["c"]),
            ("-1:current", "cb", &["c"]),
            ("-9:current", "cba", &["c"]),
            (":current", "", &[]),
            ("current:d", "dcba", &[]),
        ];
        for (range, wanted, rows) in cases {
            assert_eq!(listed(range, rows).as_deref(), Ok(wanted), "{range}");
        }
        assert!(matches!(listed("a:+2", &[]), Err(TargetError::Fork { .. })));
    }

    #[test]
    fn a_range_must_be_one() {
        for range in ["a", "a:b:c", "current:current", "-1:+1", "a+1:b", "+1:b"] {
            assert!(matches!(listed(range, &["b"]), Err(TargetError::BadRange { .. })), "{range}");
        }
        for range in ["d:a", "e:d", "d:current"] {
            assert!(matches!(listed(range, &["b"]), Err(TargetError::NotOnOneLine { .. })), "{range}");
        }
        let error = listed("d:e", &[]).unwrap_err();
        assert_eq!(error.to_string(), "d is not below e: there is no way between them");
    }

    #[test]
    fn only_current_asks_the_database() {
        let asks = |range| Range::parse(range).unwrap().asks_database();
        assert!(asks("current:") && asks("-3:current"));
        assert!(!asks("a:head") && !asks(":"));
    }

    #[test]
    fn what_only_a_dependency_leads_to_is_listed() {
        // main: a - b; ai: x - y, which needs b. Alembic asserts here.
        let mut y = Revision::new("y", &["x"]);
        y.depends_on = vec!["b".to_string()];
        let list = vec![Revision::new("a", &[]), Revision::new("b", &["a"]), Revision::new("x", &[]), y];
        let graph = Graph::new(list).unwrap();
        let range = Range::parse("a:").unwrap();
        assert_eq!(graph.history(range, &BTreeSet::new()).unwrap(), ["b", "a"]);
    }

    #[test]
    fn a_range_for_sql_has_rows_and_steps() {
        let plan = |direction, range: &str| {
            let (rows, steps) = graph().plan_range(direction, range)?;
            let rows: Vec<String> = rows.into_iter().collect();
            let steps: Vec<String> = steps.into_iter().map(|step| step.revision).collect();
            Ok::<_, TargetError>(format!("{}:{}", rows.concat(), steps.concat()))
        };
        assert_eq!(plan(Direction::Up, "b:d").as_deref(), Ok("b:cd"));
        assert_eq!(plan(Direction::Up, "c").as_deref(), Ok(":abc"));
        assert_eq!(plan(Direction::Up, "b:").as_deref(), Ok("b:ecd"));
        assert_eq!(plan(Direction::Down, "d:b").as_deref(), Ok("d:dc"));
        assert_eq!(plan(Direction::Down, "d:").as_deref(), Ok("d:dcba"));
        assert_eq!(plan(Direction::Down, "d:-1").as_deref(), Ok("d:d"));
        assert!(matches!(plan(Direction::Down, "b"), Err(TargetError::BadRange { .. })));
        assert!(matches!(plan(Direction::Up, "heads:d"), Err(TargetError::SeveralHeads { .. })));
        assert!(matches!(plan(Direction::Up, "a:b:c"), Err(TargetError::BadRange { .. })));
    }
}
