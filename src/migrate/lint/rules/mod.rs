//! Our rules. Each is a function of a statement's effects and of the world that they meet.

mod blocks;
mod enums;
mod keys;
mod rows;
mod script;
mod types;
mod used;

pub(super) use script::{Locks, whole};
pub(super) use types::is_free;
pub(super) use used::nothing_found;

use super::candidate::{Candidate, Turn};

/// What our rules say of a statement.
pub(super) fn judge(turn: &Turn<'_>, told_enums: &mut Vec<super::sql::Name>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for effect in turn.effects {
        found.extend(blocks::judge(turn, effect));
        found.extend(rows::judge(turn, effect));
        found.extend(types::judge(turn, effect));
        found.extend(keys::judge(turn, effect));
        found.extend(used::judge(turn, effect));
        found.extend(enums::judge(turn, effect, told_enums));
    }
    found.extend(script::not_probeable(turn));
    found
}
