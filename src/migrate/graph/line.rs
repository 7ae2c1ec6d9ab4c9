//! A revision as one line, in Alembic's form: `a -> b (billing) (head), …` without what it is about.

use std::collections::BTreeSet;

use super::{Graph, Revision};

/// A revision and its place in the graph.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The revision.
    pub revision: &'a Revision,
    /// Nothing revises it and nothing depends on it.
    pub head: bool,
    /// Nothing revises it, but something depends on it.
    pub effective_head: bool,
    /// Several revise it.
    pub branchpoint: bool,
    /// It revises several.
    pub mergepoint: bool,
    /// The labels of its branch.
    pub labels: &'a BTreeSet<String>,
    /// Who revises it.
    pub children: Vec<&'a str>,
}

/// What a line tells beside the id and whether it is a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detail {
    /// What it stands on and, in brackets, what it depends on.
    pub parents: bool,
    /// The labels of its branch.
    pub labels: bool,
    /// Whether ways part or meet there.
    pub tree: bool,
}

impl Detail {
    /// As `history` has it.
    pub const HISTORY: Self = Self { parents: true, labels: true, tree: true };
    /// As `heads` has it.
    pub const HEADS: Self = Self { parents: false, labels: true, tree: false };
    /// As `branches` has it.
    pub const BRANCHES: Self = Self { parents: false, labels: true, tree: true };
    /// As `current` has it.
    pub const CURRENT: Self = Self { parents: false, labels: false, tree: true };
}

impl Place<'_> {
    /// The line. `current`: the database is at it, and it is to be said.
    pub fn line(&self, detail: Detail, current: bool) -> String {
        let mut line = String::new();
        if detail.parents {
            line.push_str(&self.parents());
            line.push_str(" -> ");
        }
        line.push_str(&self.revision.id);
        if detail.labels && !self.labels.is_empty() {
            let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
            line.push_str(&format!(" ({})", labels.join(", ")));
        }
        let marks = [
            (self.head, " (head)"),
            (self.effective_head, " (effective head)"),
            (current, " (current)"),
            (detail.tree && self.branchpoint, " (branchpoint)"),
            (detail.tree && self.mergepoint, " (mergepoint)"),
        ];
        line.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark));
        line
    }

    /// `a, b (x)`: what it stands on and, in brackets, what it depends on; `<base>` if on nothing.
    pub fn parents(&self) -> String {
        let down = match self.revision.down.as_slice() {
            [] => "<base>".to_string(),
            down => down.join(", "),
        };
        match self.revision.depends_on.as_slice() {
            [] => down,
            needed => format!("{down} ({})", needed.join(", ")),
        }
    }
}

/// Where ways part.
#[derive(Debug, Clone)]
pub struct BranchPoint<'a> {
    /// Where.
    pub place: Place<'a>,
    /// The first revision of every way.
    pub into: Vec<Place<'a>>,
}

impl BranchPoint<'_> {
    /// As `branches` has it: the revision, a line for each way, and an empty one. `about` gives what a revision is
    /// about, to stand behind its line; for `-v`.
    pub fn lines(&self, about: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let mut lines = vec![self.place.line(Detail::BRANCHES, false)];
        let indent = " ".repeat(self.place.revision.id.chars().count());
        for way in &self.into {
            let about = about(&way.revision.id).map_or(String::new(), |text| format!(", {text}"));
            lines.push(format!("{indent} -> {}{about}", way.line(Detail::BRANCHES, false)));
        }
        lines.push(String::new());
        lines
    }
}

impl Graph {
    /// Every revision that several others revise, newest first.
    pub fn branch_points(&self) -> Vec<BranchPoint<'_>> {
        let places = self.newest_first().into_iter().filter_map(|id| self.place(id));
        let into = |place: &Place<'_>| place.children.iter().filter_map(|child| self.place(child)).collect();
        places.filter(|p| p.branchpoint).map(|place| BranchPoint { into: into(&place), place }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_that_part_are_shown_as_alembic_shows_them() {
        let list = vec![
            Revision { labels: vec!["web".into()], ..Revision::new("abc", &[]) },
            Revision::new("b1", &["abc"]),
            Revision { depends_on: vec!["b1".into()], ..Revision::new("b2", &["abc"]) },
        ];
        let graph = Graph::new(list).unwrap();
        let about = |id: &str| (id == "b1").then(|| "Add a column".to_string());
        let lines: Vec<String> = graph.branch_points().iter().flat_map(|point| point.lines(about)).collect();
        assert_eq!(
            lines,
            [
                "abc (web) (branchpoint)",
                "    -> b1 (web) (effective head), Add a column",
                "    -> b2 (web) (head)",
                ""
            ]
        );
        let place = graph.place("b2").unwrap();
        assert_eq!(place.line(Detail::HISTORY, true), "abc (b1) -> b2 (web) (head) (current)");
        assert_eq!(place.line(Detail::HEADS, false), "b2 (web) (head)");
        assert_eq!(place.line(Detail::CURRENT, false), "b2 (head)");
        assert_eq!(
            graph.place("abc").unwrap().line(Detail::HISTORY, false),
            "<base> -> abc (web) (branchpoint)"
        );
    }
}
