//! The lines of `history`, `current` and `heads`, in Alembic's form. Pure: text from values.

use std::collections::BTreeSet;
use std::time::Duration;

use super::chain::Chain;
use super::graph::Place;
use super::history::Entry;
use crate::time::show_duration;

/// `history`: every revision, newest first: `a -> b (head), Add priority to questions`. With `rows`, the current
/// ones are marked.
pub fn history(chain: &Chain, rows: Option<&BTreeSet<String>>) -> Vec<String> {
    let place = |id: &str| chain.graph().place(id);
    let line = |place: Place<'_>| {
        let current = rows.is_some_and(|rows| rows.contains(&place.revision.id));
        let mut line = format!("{} -> {}{}", parents(&place), place.revision.id, labels(&place));
        line.push_str(&head_mark(&place));
        if current {
            line.push_str(" (current)");
        }
        line.push_str(&tree_marks(&place));
        line + ", " + chain.description(&place.revision.id)
    };
    chain.graph().newest_first().into_iter().filter_map(place).map(line).collect()
}

/// `heads`: `c08085465bad (head)`, with the labels of its branch.
pub fn heads(chain: &Chain) -> Vec<String> {
    let graph = chain.graph();
    let places = graph.heads().into_iter().filter_map(|id| graph.place(id));
    places.map(|p| format!("{}{}{}", p.revision.id, labels(&p), head_mark(&p))).collect()
}

/// `current`: the tips of what is applied: `c08085465bad (head)`. Rows that no file has are said to be so.
pub fn current(chain: &Chain, rows: &BTreeSet<String>) -> Vec<String> {
    let graph = chain.graph();
    let applied = graph.applied(rows);
    let places = applied.iter().filter_map(|id| graph.place(id));
    let tips = places.filter(|p| !p.children.iter().any(|child| applied.contains(child)));
    let known = tips.map(|p| format!("{}{}{}", p.revision.id, head_mark(&p), tree_marks(&p)));
    let unknown = rows.iter().filter(|row| graph.revision(row).is_none());
    known.chain(unknown.map(|row| format!("{row} (unknown: no file has it)"))).collect()
}

/// One revision in many lines, as Alembic's `-v` has it, with an empty one at the end. With `rows`, a current one
/// is marked; with `entry`, it is told when it was applied.
pub fn in_full(chain: &Chain, id: &str, rows: Option<&BTreeSet<String>>, entry: Option<&Entry>) -> String {
    let (Some(place), Some(text)) = (chain.graph().place(id), chain.text(id)) else {
        return format!("Rev: {id} (unknown: no file has it)\n");
    };
    let current = if rows.is_some_and(|rows| rows.contains(id)) { " (current)" } else { "" };
    let mut lines = vec![format!("Rev: {id}{}{current}{}", head_mark(&place), tree_marks(&place))];
    let parent = if place.mergepoint { "Merges" } else { "Parent" };
    lines.push(format!("{parent}: {}", parents(&place)));
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
fn applied(entry: &Entry) -> String {
    let verb = if entry.direction == "stamp" { "Stamped" } else { "Applied" };
    let at = entry.applied_at.as_deref().unwrap_or("at an unknown time");
    let mut line = format!("{verb}: {at} by {}", entry.applied_by);
    if let Some(millis) = entry.duration_ms.and_then(|millis| u64::try_from(millis).ok()) {
        line.push_str(&format!(" in {}", show_duration(Duration::from_millis(millis))));
    }
    line.extend(entry.run.iter().map(|run| format!(", run {run}")));
    line
}

fn parents(place: &Place<'_>) -> String {
    let down = match place.revision.down.as_slice() {
        [] => "<base>".to_string(),
        down => down.join(", "),
    };
    match place.revision.depends_on.as_slice() {
        [] => down,
        needed => format!("{down} ({})", needed.join(", ")),
    }
}

fn labels(place: &Place<'_>) -> String {
    match place.labels.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        labels => format!(" ({})", labels.join(", ")),
    }
}

fn head_mark(place: &Place<'_>) -> String {
    match (place.head, place.effective_head) {
        (true, _) => " (head)".to_string(),
        (_, true) => " (effective head)".to_string(),
        _ => String::new(),
    }
}

fn tree_marks(place: &Place<'_>) -> String {
    let mark = |is: bool, text: &'static str| if is { text } else { "" };
    format!("{}{}", mark(place.branchpoint, " (branchpoint)"), mark(place.mergepoint, " (mergepoint)"))
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
            history(m.chain(), Some(&rows(&["c08085465bad"]))),
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
            history(m.chain(), None),
            [
                "<base> (m) -> x (head), E",
                "b1, b2 -> m (main) (effective head) (mergepoint), D",
                "a -> b1 (main), B",
                "a -> b2 (main), C",
                "<base> -> a (main) (branchpoint), A",
            ]
        );
        assert_eq!(heads(m.chain()), ["m (main) (effective head)", "x (head)"]);
        assert_eq!(current(m.chain(), &rows(&["x"])), ["m (effective head) (mergepoint)", "x (head)"]);
    }
}
