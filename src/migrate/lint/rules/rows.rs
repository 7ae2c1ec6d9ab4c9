//! What changes, or needs, the rows that are there.

use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::sql::Effect;
use crate::migrate::lint::world::Standing;

pub(super) fn judge(turn: &Turn<'_>, effect: &Effect) -> Option<Candidate> {
    match effect {
        Effect::Update { table, everything: true } if !turn.statement.is_batched() => {
            let what = format!("this updates every row of {table}: each is written anew and locked until the end");
            let found = Candidate::new("update-without-where", what)?.about(table);
            found.help("say WHERE, or write `-- batch: 10000` above it, in a script with `-- transaction: off`")
        }
        Effect::Delete { table, everything: true } if !turn.statement.is_batched() => {
            let what = format!("this deletes every row of {table}");
            Candidate::new("delete-without-where", what)?.about(table).help("say WHERE, if not all are meant")
        }
        Effect::AddColumn { table, column, required: true } => {
            let Standing::There(_, relation) = turn.world.standing(table) else { return None };
            // Nothing on disk: no row.
            if relation.bytes == 0 {
                return None;
            }
            let what = format!("{column} may not be NULL, and nothing says what it is in the rows that {table} has");
            Candidate::new("not-null-without-default", what)?
                .about(table)
                .help("give it a DEFAULT (constant: no row is touched), or add it nullable, fill it, then SET NOT NULL")
        }
        _ => return None,
    }
    .into()
}
