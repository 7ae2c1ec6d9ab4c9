//! Enum values that are taken away.

use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::sql::{Effect, Name, SqlType};
use crate::migrate::lint::world::Standing;

/// `told`: the enums that were told of, since one is taken away by several statements.
pub(super) fn judge(turn: &Turn<'_>, effect: &Effect, told: &mut Vec<Name>) -> Option<Candidate> {
    let world = turn.world;
    let (old, before, after) = match effect {
        Effect::RenameValue { name, from, to } => {
            let what = format!("the value '{from}' of {name} is called '{to}' from here on");
            let found = Candidate::new("enum-value-removed", what)?.shown_by(columns_of(turn, name));
            return Some(
                found.help("add the new value, let the application change over, and leave the old one"),
            );
        }
        Effect::Enum { name, values } => {
            let (old, before) = world.enum_before(name)?;
            (old, before.clone(), values.clone())
        }
        Effect::RenameType { from, to } => {
            let (old, before) = world.enum_before(to)?;
            (old, before.clone(), world.enum_values(from)?.1.clone())
        }
        Effect::SetType { table, column, to, .. } => {
            let Standing::There(_, relation) = world.standing(table) else { return None };
            let from = relation.column_type(column)?.to_name();
            // By its old name the enum may be the new one already.
            let (old, before) = world.enum_before(&from).or_else(|| world.enum_values(&from))?;
            (old, before.clone(), world.enum_values(&to.to_name())?.1.clone())
        }
        _ => return None,
    };
    let gone: Vec<String> = before.iter().filter(|v| !after.contains(v)).map(|v| format!("'{v}'")).collect();
    if gone.is_empty() || told.contains(&old) {
        return None;
    }
    told.push(old.clone());
    let what = format!("{old} loses {}: rows and code that have it fail", gone.join(", "));
    let found = Candidate::new("enum-value-removed", what)?.shown_by(columns_of(turn, &old));
    Some(found.help("change the rows first, and the code; or leave the value, which costs nothing"))
}

/// The columns of this type, which show how much depends on it.
fn columns_of(turn: &Turn<'_>, ty: &Name) -> Vec<String> {
    let Some(facts) = turn.world.facts else { return Vec::new() };
    let is_it = |written: &str| {
        let Some(written) = SqlType::read(written) else { return false };
        let schemas = written.schema.is_none() || ty.schema.is_none() || written.schema == ty.schema;
        schemas && written.name == ty.name
    };
    let mut lines = Vec::new();
    for ((schema, table), relation) in &facts.relations {
        let columns = relation.columns.iter().filter(|(_, ty)| is_it(ty));
        lines.extend(
            columns.map(|(column, _)| format!("{}.{column} is of this type", Name::full(schema, table))),
        );
    }
    lines
}
