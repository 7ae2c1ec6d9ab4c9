//! Foreign keys and partitions: what the server has to look up, or to read through.

use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::sql::Effect;
use crate::migrate::lint::world::Standing;

pub(super) fn judge(turn: &Turn<'_>, effect: &Effect) -> Option<Candidate> {
    match effect {
        Effect::ForeignKey { table, columns, to } if turn.world.facts.is_some() => {
            if columns.is_empty() || turn.world.has_index(table, columns) {
                return None;
            }
            let listed = columns.join(", ");
            let what = format!(
                "no index of {table} begins with {listed}: each DELETE of a row of {to} reads {table} through"
            );
            let found = Candidate::new("foreign-key-without-index", what)?.about(table);
            Some(found.help(format!("CREATE INDEX CONCURRENTLY ON {table} ({listed})")))
        }
        Effect::Attach { parent, partition } => {
            let keys = match turn.world.standing(parent) {
                Standing::There(_, relation) => relation.partitioned_by.clone(),
                _ => Vec::new(),
            };
            if !keys.is_empty() && turn.world.has_check(partition, &keys) {
                return None;
            }
            let what =
                format!("{partition} is read through to see that its rows fit, and nobody uses it meanwhile");
            let found = Candidate::new("attach-partition", what)?.about(partition);
            let over = if keys.is_empty() { "its partition key".to_string() } else { keys.join(", ") };
            Some(found.help(format!(
                "first, in a migration before: ALTER TABLE {partition} ADD CONSTRAINT … CHECK (the bounds, over {over}) NOT \
                 VALID, then VALIDATE CONSTRAINT"
            )))
        }
        _ => None,
    }
}
