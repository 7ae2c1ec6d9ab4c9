//! `ALTER COLUMN … TYPE`: does it rewrite the table?

use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::sql::Effect;
use crate::migrate::lint::world::{Standing, World};

pub(super) fn judge(turn: &Turn<'_>, effect: &Effect) -> Option<Candidate> {
    let Effect::SetType { table, column, to, .. } = effect else { return None };
    if is_free(turn.world, effect) != Some(false) {
        return None;
    }
    let Standing::There(_, relation) = turn.world.standing(table) else { return None };
    let from = relation.column_type(column)?;
    let what = format!(
        "{table}.{column} from {from} to {to} writes every row anew, and nobody uses {table} meanwhile"
    );
    let found = Candidate::new("type-change-rewrites", what)?.about(table);
    Some(
        found.help(format!(
            "add a column of type {to}, fill it in batches, then let the application change over"
        )),
    )
}

/// Whether the change of a type leaves the rows alone; `None` where the type is not known.
pub(in crate::migrate::lint) fn is_free(world: &World<'_>, effect: &Effect) -> Option<bool> {
    let Effect::SetType { table, column, to, computed } = effect else { return None };
    let Standing::There(_, relation) = world.standing(table) else { return None };
    let from = relation.column_type(column)?;
    Some(!computed && from.becomes_freely(to))
}
