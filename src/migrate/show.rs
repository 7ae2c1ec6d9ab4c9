//! The lines of `history`, `current`, `heads` and `branches`, in Alembic's form. Pure: text from values.

use std::collections::BTreeSet;
use std::time::Duration;

use super::chain::Chain;
use super::graph::{Detail, Place};
use super::history::Entry;
use crate::time::show_duration;

/// `history`: the revisions, one a line, in their order: `a -> b (head), Add priority to questions`. With `rows`, the
/// current ones are marked.
pub fn history(chain: &Chain, ids: &[&str], rows: Option<&BTreeSet<String>>) -> Vec<String> {
    let place = |id: &&str| chain.graph().place(id);
    let line = |place: Place<'_>| {
        let current = rows.is_some_and(|rows| rows.contains(&place.revision.id));
        place.line(Detail::HISTORY, current) + ", " + chain.description(&place.revision.id)
    };
    ids.iter().filter_map(place).map(line).collect()
}

/// `heads`: `c08085465bad (head)`, with the labels of its branch.
pub fn heads(chain: &Chain) -> Vec<String> {
    let graph = chain.graph();
    graph.heads().into_iter().filter_map(|id| graph.place(id)).map(|p| p.line(Detail::HEADS, false)).collect()
}

/// `branches`: every revision that several others revise, and those. With `about`, what those are about.
pub fn branches(chain: &Chain, about: bool) -> Vec<String> {
    let description = |id: &str| about.then(|| chain.description(id).to_string());
    chain.graph().branch_points().iter().flat_map(|point| point.lines(description)).collect()
}

/// `current`: the tips of what is applied: `c08085465bad (head)`. Rows that no file has are said to be so.
pub fn current(chain: &Chain, rows: &BTreeSet<String>) -> Vec<String> {
    let graph = chain.graph();
    let known = graph.tips(rows).into_iter().map(|place| place.line(Detail::CURRENT, false));
    let unknown = rows.iter().filter(|row| graph.revision(row).is_none());
    known.chain(unknown.map(|row| format!("{row} (unknown: no file has it)"))).collect()
}

/// One revision in many lines, as Alembic's `-v` has it, with an empty one at the end. With `rows`, a current one
/// is marked; with `entry`, it is told when it was applied.
pub fn in_full(chain: &Chain, id: &str, rows: Option<&BTreeSet<String>>, entry: Option<&Entry>) -> String {
    let (Some(place), Some(text)) = (chain.graph().place(id), chain.text(id)) else {
        return format!("Rev: {id} (unknown: no file has it)\n");
    };
    let current = rows.is_some_and(|rows| rows.contains(id));
    let mut lines = vec![format!("Rev: {}", place.line(Detail::CURRENT, current))];
    let parent = if place.mergepoint { "Merges" } else { "Parent" };
    lines.push(format!("{parent}: {}", place.parents()));
    if place.branchpoint {
        lines.push(format!("Branches into: {}", place.children.join(", ")));
    }
    if !place.labels.is_empty() {
        lines.push(format!("Branch names: {}", place.labels.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    lines.push(format!("Path: {}", text.path.display()));
    lines.extend(text.created.iter().map(|created| format!("Created: {created}")));
    lines.extend(entry.map(applied));
    lines.push(String::new());
    let said = [text.description.as_str()].into_iter().chain(text.notes.lines());
    lines.extend(said.map(|line| format!("    {line}").trim_end().to_string()));
    lines.push(String::new());
    lines.join("\n")
}

/// `Applied: 2025-11-20T23:05:12Z by shop in 0.1 s, run 20251120t230205z-k3f9`
pub fn applied(entry: &Entry) -> String {
    let verb = if entry.direction == "stamp" { "Stamped" } else { "Applied" };
    let at = entry.applied_at.as_deref().unwrap_or("at an unknown time");
    let mut line = format!("{verb}: {at} by {}", entry.applied_by);
    if let Some(millis) = entry.duration_ms.and_then(|millis| u64::try_from(millis).ok()) {
        line.push_str(&format!(" in {}", show_duration(Duration::from_millis(millis))));
    }
    line.extend(entry.run.iter().map(|run| format!(", run {run}")));
    line
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::folder::Migrations;
    use super::super::script;
    use super::*;

    fn migrations(texts: &[&str]) -> Migrations {
        let scripts = texts.iter().map(|text| script::parse(text, Path::new("m/x.sql")).unwrap()).collect();
        Migrations::from_scripts(Path::new("m"), scripts).unwrap()
    }

    fn all(chain: &Chain, rows: Option<&BTreeSet<String>>) -> Vec<String> {
        history(chain, &chain.graph().newest_first(), rows)
    }

    fn rows(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_chain_is_shown_as_alembic_shows_it() {
        let m = migrations(&[
            "-- revision: c08085465bad\n-- Initial schema\n-- upgrade\n",
            "-- revision: b\n-- revises: c08085465bad\n-- Second\n-- upgrade\n",
        ]);
        assert_eq!(
            all(m.chain(), Some(&rows(&["c08085465bad"]))),
            ["c08085465bad -> b (head), Second", "<base> -> c08085465bad (current), Initial schema"]
        );
        assert_eq!(heads(m.chain()), ["b (head)"]);
        assert_eq!(current(m.chain(), &rows(&["b"])), ["b (head)"]);
        assert_eq!(current(m.chain(), &rows(&["c08085465bad"])), ["c08085465bad"]);
        assert_eq!(current(m.chain(), &rows(&["zz"])), ["zz (unknown: no file has it)"]);
        assert_eq!(current(m.chain(), &rows(&[])), [""; 0]);
    }

    #[test]
    fn branches_merges_and_dependencies_are_marked() {
        let m = migrations(&[
            "-- revision: a\n-- branch: main\n-- A\n-- upgrade\n",
            "-- revision: b1\n-- revises: a\n-- B\n-- upgrade\n",
            "-- revision: b2\n-- revises: a\n-- C\n-- upgrade\n",
            "-- revision: m\n-- revises: b1, b2\n-- D\n-- upgrade\n",
            "-- revision: x\n-- depends-on: m\n-- E\n-- upgrade\n",
        ]);
        assert_eq!(
            all(m.chain(), None),
            [
                "<base> (m) -> x (head), E",
                "b1, b2 -> m (main) (effective head) (mergepoint), D",
                "a -> b1 (main), B",
                "a -> b2 (main), C",
                "<base> -> a (main) (branchpoint), A",
            ]
        );
        assert_eq!(heads(m.chain()), ["m (main) (effective head)", "x (head)"]);
        assert_eq!(
            branches(m.chain(), false),
            ["a (main) (branchpoint)", "  -> b1 (main)", "  -> b2 (main)", ""]
        );
        assert_eq!(branches(m.chain(), true)[1], "  -> b1 (main), B");
        assert_eq!(current(m.chain(), &rows(&["x"])), ["m (effective head) (mergepoint)", "x (head)"]);
    }
}
