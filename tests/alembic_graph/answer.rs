//! What backstay answers, in the words that `ask.py` uses for what Alembic does.

use std::collections::BTreeSet;

use backstay::migrate::graph::{Detail, Direction, Graph, Range, Revision, RowChange, Step, Wanted};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answer;

/// Id, parents, dependencies, labels.
pub type Declared = (String, Vec<String>, Vec<String>, Vec<String>);

/// Revisions in the order of their files, and what is asked about them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// The files.
    pub graph: Vec<Declared>,
    /// The verb and its arguments, as `ask.py` names them.
    pub questions: Vec<Value>,
}

impl Case {
    pub fn revisions(&self) -> Vec<Revision> {
        let revision = |(id, down, depends_on, labels): &Declared| Revision {
            id: id.clone(),
            down: down.clone(),
            labels: labels.clone(),
            depends_on: depends_on.clone(),
            file: format!("{id}.sql"),
        };
        self.graph.iter().map(revision).collect()
    }

    /// Whether it is a graph, and if it is, an answer to each question.
    pub fn answers(&self) -> Vec<Answer> {
        match Graph::new(self.revisions()) {
            Err(error) => vec![Answer::Refused(error.to_string())],
            Ok(graph) => {
                let answers = self.questions.iter().map(|question| answer(&graph, question));
                std::iter::once(Answer::Lines(Vec::new())).chain(answers).collect()
            }
        }
    }

    /// The graph, a line a file.
    pub fn show(&self) -> String {
        let mut text = String::new();
        for (id, down, needs, labels) in &self.graph {
            text.push_str(&format!(
                "{id} revises {}",
                if down.is_empty() { "nothing".into() } else { down.join(", ") }
            ));
            if !needs.is_empty() {
                text.push_str(&format!(", depends on {}", needs.join(", ")));
            }
            if !labels.is_empty() {
                text.push_str(&format!(", branch {}", labels.join(", ")));
            }
            text.push('\n');
        }
        text
    }
}

fn answer(graph: &Graph, question: &Value) -> Answer {
    let text = |at: usize| question[at].as_str().unwrap_or_default();
    let list = |at: usize| -> Vec<&str> {
        question[at].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let rows = || -> BTreeSet<String> { list(1).into_iter().map(String::from).collect() };
    let flag = |at: usize| question[at].as_bool().unwrap_or_default();
    let owned = |list: Vec<&str>| list.into_iter().map(String::from).collect();
    match text(0) {
        "upgrade" => lines(graph.plan_upgrade(&rows(), text(2)).map(tell)),
        "downgrade" => lines(graph.plan_downgrade(&rows(), text(2)).map(tell)),
        "upgrade_sql" => lines(graph.plan_range(Direction::Up, text(1)).map(|(_, steps)| tell(steps))),
        "downgrade_sql" => lines(graph.plan_range(Direction::Down, text(1)).map(|(_, steps)| tell(steps))),
        "stamp" => lines(graph.plan_stamp(&rows(), text(2), flag(3)).map(|changes| {
            let mut table = rows();
            changes.iter().for_each(|change| apply(&mut table, change));
            table.into_iter().collect()
        })),
        "history" => lines(history(graph, &rows(), question[2].as_str(), flag(3))),
        "current" => {
            let mut tips: Vec<String> =
                graph.tips(&rows()).iter().map(|p| p.line(Detail::CURRENT, false)).collect();
            tips.sort();
            Answer::Lines(tips)
        }
        "heads" => {
            let places = graph.heads().into_iter().filter_map(|id| graph.place(id));
            Answer::Lines(places.map(|place| place.line(Detail::HEADS, false)).collect())
        }
        "bases" => Answer::Lines(owned(graph.bases())),
        "branches" => {
            Answer::Lines(graph.branch_points().iter().flat_map(|point| point.lines(|_| None)).collect())
        }
        "show" => lines(graph.resolve(text(1)).map(owned)),
        "revision" => {
            let wanted = Wanted {
                id: "new0",
                on: &[text(1)],
                splice: flag(2),
                depends_on: &list(3),
                ..Wanted::default()
            };
            lines(graph.grow(wanted).map(grown))
        }
        "merge" => lines(graph.merge(Wanted { id: "new0", on: &list(1), ..Wanted::default() }).map(grown)),
        other => panic!("{other} is not asked"),
    }
}

fn lines<E: std::fmt::Display>(result: Result<Vec<String>, E>) -> Answer {
    match result {
        Ok(lines) => Answer::Lines(lines),
        Err(error) => Answer::Refused(error.to_string()),
    }
}

fn history(
    graph: &Graph,
    rows: &BTreeSet<String>,
    range: Option<&str>,
    mark: bool,
) -> Result<Vec<String>, backstay::migrate::TargetError> {
    let listed = match range {
        None => graph.newest_first(),
        Some(range) => graph.history(Range::parse(range)?, rows)?,
    };
    let line = |id: &str| graph.place(id).map(|place| place.line(Detail::HISTORY, mark && rows.contains(id)));
    Ok(listed.into_iter().filter_map(line).collect())
}

fn grown(revision: Revision) -> Vec<String> {
    vec![format!("revises {}", revision.down.join(", ")), format!("needs {}", revision.depends_on.join(", "))]
}

/// `a, b -> c: -b +c`: a step, and by how much the version table differs after it.
fn tell(steps: Vec<Step>) -> Vec<String> {
    let tell = |step: Step| {
        let (mut gone, mut come) = (BTreeSet::new(), BTreeSet::new());
        for change in &step.changes {
            let (from, to) = match change {
                RowChange::Insert(to) => (None, Some(to)),
                RowChange::Delete(from) => (Some(from), None),
                RowChange::Update { from, to } => (Some(from), Some(to)),
            };
            gone.extend(from.map(|row| format!("-{row}")));
            come.extend(to.map(|row| format!("+{row}")));
        }
        let changes: Vec<String> = gone.into_iter().chain(come).collect();
        format!("{} -> {}: {}", step.from.join(", "), step.to.join(", "), changes.join(" "))
    };
    steps.into_iter().map(tell).collect()
}

/// Does to a version table what a step does.
pub fn apply(table: &mut BTreeSet<String>, change: &RowChange) {
    let (from, to) = match change {
        RowChange::Insert(to) => (None, Some(to)),
        RowChange::Delete(from) => (Some(from), None),
        RowChange::Update { from, to } => (Some(from), Some(to)),
    };
    assert!(from.is_none_or(|row| table.remove(row)), "{change:?} of {table:?}");
    assert!(to.is_none_or(|row| table.insert(row.clone())), "{change:?} of {table:?}");
}
