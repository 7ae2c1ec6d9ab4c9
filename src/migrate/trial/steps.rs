//! Each revision up, down and up again.

use std::collections::BTreeSet;

use super::{Finding, Made, Stop, Trial, told};
use crate::backup::objects::{Difference, Nature, Object, compare};
use crate::event::Progress;
use crate::failure::Failure;
use crate::migrate::drift::tables;
use crate::migrate::graph::Graph;
use crate::migrate::migrator::Migrator;
use crate::pg::Session;
use crate::words::count;

/// Where the steps have led.
pub(super) struct Stepped {
    /// The schema at the heads.
    pub schema: Vec<Object>,
    /// The revisions without a way back.
    pub irreversible: Vec<String>,
}

/// How the way back from one revision came out.
enum Back {
    Undone,
    /// Undone, but for the order of columns.
    Reordered,
    /// It could not be tried, or did not undo what the way up did; told.
    NotUndone,
}

impl Trial<'_> {
    /// Applies one revision after the other; each is taken back and applied again, where there is a way back.
    pub(super) async fn step_by_step(
        &mut self,
        root: &dyn Migrator,
        session: &Session,
        empty: &[Object],
        made: &mut Made,
    ) -> Result<Result<Stepped, Stop>, Failure> {
        let chain = root.chain();
        let (mut irreversible, mut reordered, mut undone) = (Vec::new(), Vec::new(), 0);
        let mut before = empty.to_vec();
        let plan = match chain.graph().plan_upgrade(&BTreeSet::new(), "heads") {
            Ok(plan) => plan,
            Err(error) => {
                (self.tell)(
                    Finding::failed("chain", "there is no way to the heads").with(vec![error.to_string()]),
                );
                return Ok(Err(Stop));
            }
        };
        for step in &plan {
            let id = step.revision.as_str();
            if !self.up(root, id).await {
                return Ok(Err(Stop));
            }
            let mut after = self.look().await?;
            let rows = root.current(session).await?.revisions;
            if rows.len() == 1 {
                made.at.insert(id.to_string(), &tables(&after) - &tables(empty));
            }
            if chain.text(id).is_some_and(|text| text.reversible) {
                let back = self.back(root, &rows, id, &before).await?;
                // Where nothing was taken back this does nothing.
                if !self.up(root, id).await {
                    return Ok(Err(Stop));
                }
                match back {
                    Back::Undone => undone += 1,
                    Back::Reordered => reordered.push(id.to_string()),
                    Back::NotUndone => {}
                }
                // If it was undone wholly it is made again as it was; the round trip of all shows if it is not.
                if !matches!(back, Back::Undone) {
                    after = self.look().await?;
                }
            } else {
                irreversible.push(id.to_string());
            }
            before = after;
        }
        self.say_undone(undone, &reordered, plan.len());
        for id in &irreversible {
            (self.tell)(Finding::warned("steps", format!("{id} is irreversible: it has no downgrade")));
        }
        (self.tell)(Finding::passed(
            "upgrade",
            format!("upgrade head from empty: {}", count(plan.len() as u64, "revision", "revisions")),
        ));
        Ok(Ok(Stepped { schema: before, irreversible }))
    }

    /// Whether `id` was applied; told if not.
    async fn up(&mut self, root: &dyn Migrator, id: &str) -> bool {
        match root.upgrade(self.scratch, id, &Progress::none()).await {
            Ok(_) => true,
            Err(error) => {
                (self.tell)(
                    Finding::failed("upgrade", format!("upgrade to {id} fails")).because(&error.into()),
                );
                false
            }
        }
    }

    /// Takes `id` back, which was just applied, and holds the schema against what it was before.
    async fn back(
        &mut self,
        root: &dyn Migrator,
        rows: &BTreeSet<String>,
        id: &str,
        before: &[Object],
    ) -> Result<Back, Failure> {
        let Some(target) = way_back(root.chain().graph(), rows, id) else {
            let said = format!("{id} can't be taken back by itself: other branches stand on it");
            (self.tell)(Finding::warned("steps", said));
            return Ok(Back::NotUndone);
        };
        if let Err(error) = root.downgrade(self.scratch, &target, &Progress::none()).await {
            (self.tell)(Finding::failed("steps", format!("downgrade of {id} fails")).because(&error.into()));
            return Ok(Back::NotUndone);
        }
        let differences = compare(before.to_vec(), self.look().await?);
        let content: Vec<&Difference> =
            differences.iter().filter(|difference| difference.nature() == Nature::Content).collect();
        if !content.is_empty() {
            let said = format!("the downgrade of {id} does not undo its upgrade");
            let details = content.into_iter().flat_map(told).collect();
            (self.tell)(Finding::failed("steps", said).with(details));
            return Ok(Back::NotUndone);
        }
        let reordered = differences.iter().any(|difference| difference.nature() == Nature::Order);
        Ok(if reordered { Back::Reordered } else { Back::Undone })
    }

    fn say_undone(&mut self, undone: usize, reordered: &[String], of: usize) {
        if undone > 0 {
            let said =
                format!("step by step, +1 -1 +1: {undone} of {of} downgrades undo their upgrade wholly");
            (self.tell)(Finding::passed("steps", said));
        }
        for id in reordered {
            let said = format!("the downgrade of {id} undoes its upgrade, but for the order of columns");
            (self.tell)(Finding::warned("steps", said));
        }
    }
}

/// The target of a downgrade that takes back `id` and nothing else. **Pure.**
fn way_back(graph: &Graph, rows: &BTreeSet<String>, id: &str) -> Option<String> {
    let parents = graph.revision(id).map(|revision| revision.down.clone()).unwrap_or_default();
    let beside = [format!("{id}@-1"), format!("{id}-1"), format!("{id}@base")];
    let candidates = std::iter::once("-1".to_string()).chain(beside).chain(parents);
    candidates.chain(std::iter::once("base".to_string())).find(|target| {
        let plan = graph.plan_downgrade(rows, target).unwrap_or_default();
        matches!(plan.as_slice(), [only] if only.revision == id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::graph::Revision;

    fn rows(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_revision_is_taken_back_by_itself() {
        let line = Graph::new(vec![Revision::new("a", &[]), Revision::new("b", &["a"])]).unwrap();
        assert_eq!(way_back(&line, &rows(&["b"]), "b").as_deref(), Some("-1"));
        assert_eq!(way_back(&line, &rows(&["a"]), "a").as_deref(), Some("-1"));
        assert_eq!(way_back(&line, &rows(&["b"]), "a"), None);
    }

    #[test]
    fn also_beside_another_branch_and_from_a_merge() {
        let fork = Graph::new(vec![
            Revision::new("a", &[]),
            Revision::new("b", &["a"]),
            Revision::new("c", &["a"]),
            Revision::new("m", &["b", "c"]),
        ])
        .unwrap();
        let applied = rows(&["b", "c"]);
        let target = way_back(&fork, &applied, "c").expect("a way back");
        let plan = fork.plan_downgrade(&applied, &target).unwrap();
        assert_eq!(plan.len(), 1, "{target}");
        assert!(way_back(&fork, &rows(&["m"]), "m").is_some());
    }
}
