//! What is there when a pending statement has its turn: the database as it is now, and what the statements before
//! did to it.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Policy;
use super::facts::{Dependent, DependentKind, Facts, Relation};
use super::sql::{Effect, Kind, Name};
use crate::time::show_bytes;

/// The database in the middle of the pending migrations.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub facts: Option<&'a Facts>,
    /// Made by the pending migrations.
    made: BTreeSet<Name>,
    gone: BTreeSet<Name>,
    /// From a new name to what the facts call it.
    renamed: BTreeMap<Name, Name>,
    /// Objects on a table that went, by their kinds.
    dropped: BTreeSet<(&'static str, Name, String)>,
    /// Checks that were added, by table.
    checks: Vec<(Name, BTreeSet<String>)>,
    enums: BTreeMap<Name, Vec<String>>,
    /// The values of enums that went or were renamed, by their old names.
    enums_before: BTreeMap<Name, Vec<String>>,
    ahead: Ahead,
}

/// What all of the pending migrations do at some time.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    indexes: Vec<(Name, Vec<String>)>,
    routines: Vec<Name>,
    made: Vec<Name>,
}

/// What is known of a relation at this time.
pub(super) enum Standing<'a> {
    /// The pending migrations made it.
    New,
    /// It is there; with its name in the facts.
    There(Name, &'a Relation),
    /// Nobody knows: no database was asked, or it has none of the name.
    Unknown,
}

impl Ahead {
    /// Notes what a statement does.
    pub fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Index { table, columns, .. } => self.indexes.push((table.clone(), columns.clone())),
            Effect::Routine { name } | Effect::DropRoutine { name } => self.routines.push(name.clone()),
            Effect::Create { name, .. } => self.made.push(name.clone()),
            _ => {}
        }
    }
}

impl<'a> World<'a> {
    /// Before the first pending statement.
    pub fn new(facts: Option<&'a Facts>, ahead: Ahead) -> Self {
        let enums = facts.iter().flat_map(|facts| &facts.enums);
        Self {
            facts,
            made: BTreeSet::new(),
            gone: BTreeSet::new(),
            renamed: BTreeMap::new(),
            dropped: BTreeSet::new(),
            checks: Vec::new(),
            enums: enums.map(|((schema, name), values)| (Name::full(schema, name), values.clone())).collect(),
            enums_before: BTreeMap::new(),
            ahead,
        }
    }

    /// The relation that a name means now.
    pub fn standing(&self, name: &Name) -> Standing<'a> {
        let key = self.key(name);
        if self.made.contains(&key) {
            return Standing::New;
        }
        let known_as = match self.renamed.get(&key) {
            Some(before) => before,
            None if self.gone.contains(&key) => return Standing::Unknown,
            None => &key,
        };
        match self.facts.and_then(|facts| facts.find(known_as)) {
            Some((name, relation)) => Standing::There(name, relation),
            None => Standing::Unknown,
        }
    }

    /// The table that an index is on.
    pub fn table_of_index(&self, index: &Name) -> Option<Name> {
        self.facts.and_then(|facts| facts.table_of_index(index))
    }

    /// Whether work on it takes no time: it is new, or of this policy's small ones.
    pub fn is_slight(&self, name: &Name, policy: &Policy) -> bool {
        match self.standing(name) {
            Standing::New => true,
            Standing::Unknown => false,
            Standing::There(_, relation) => {
                relation.rows.unwrap_or(0) < policy.small_table_rows
                    && relation.bytes < policy.small_table_bytes
            }
        }
    }

    /// `orders has about 1200000 rows, 310 MB`, if it is there.
    pub fn size(&self, name: &Name) -> Option<String> {
        let Standing::There(name, relation) = self.standing(name) else { return None };
        let size = show_bytes(relation.bytes);
        Some(match relation.rows {
            Some(rows) => format!("{name} has about {}, {size}", crate::words::count(rows, "row", "rows")),
            None => format!("{name} has {size}; its rows were never counted (ANALYZE)"),
        })
    }

    /// Whether an index begins with these columns, now or after the pending migrations.
    pub fn has_index(&self, table: &Name, columns: &[String]) -> bool {
        let begins = |index: &[String]| {
            let first = index.get(..columns.len()).unwrap_or_default();
            !first.is_empty() && columns.iter().all(|column| first.contains(column))
        };
        let is_table = |other: &Name| {
            other.name == table.name
                && (other.schema.is_none() || table.schema.is_none() || other.schema == table.schema)
        };
        let there = match self.standing(table) {
            Standing::There(_, relation) => relation.indexes.iter().any(|index| begins(&index.columns)),
            _ => false,
        };
        there || self.ahead.indexes.iter().any(|(of, index)| is_table(of) && begins(index))
    }

    /// Whether all rows of the table are known to pass a CHECK over all of these columns.
    pub fn has_check(&self, table: &Name, columns: &[String]) -> bool {
        let there = match self.standing(table) {
            Standing::There(_, relation) => {
                relation.checks.iter().any(|check| columns.iter().all(|column| check.contains(column)))
            }
            _ => false,
        };
        let key = self.key(table);
        let added =
            |(of, check): &(Name, BTreeSet<String>)| *of == key && columns.iter().all(|c| check.contains(c));
        there || self.checks.iter().any(added)
    }

    /// Whether the pending migrations make, replace or drop a routine of this name.
    pub fn routine_changes(&self, schema: &str, name: &str) -> bool {
        let is_it =
            |other: &Name| other.name == name && other.schema.as_deref().is_none_or(|other| other == schema);
        self.ahead.routines.iter().any(is_it)
    }

    /// Whether the pending migrations make a relation of this name again.
    pub fn is_made_again(&self, name: &Name) -> bool {
        let key = self.key(name);
        self.ahead.made.iter().any(|made| self.key(made) == key)
    }

    /// Whether the pending migrations took away (or replaced) what depends, or what it belongs to, until now.
    pub fn is_undone(&self, dependent: &Dependent) -> bool {
        let owner = dependent.owner.and_then(|oid| self.name_of(oid));
        if owner.as_ref().is_some_and(|owner| self.gone.contains(owner)) {
            return true;
        }
        let of_owner =
            |kind| owner.is_some_and(|owner| self.dropped.contains(&(kind, owner, dependent.name.clone())));
        match dependent.kind {
            DependentKind::View => {
                let name = Name::full(&dependent.schema, &dependent.name);
                self.gone.contains(&name) || self.made.contains(&name)
            }
            DependentKind::Policy => of_owner("policy"),
            DependentKind::Trigger => of_owner("trigger"),
            DependentKind::Rule => of_owner("rule"),
            DependentKind::ForeignKey => of_owner("constraint"),
            DependentKind::Routine => self.routine_changes(&dependent.schema, &dependent.name),
            DependentKind::Generated | DependentKind::Publication => false,
        }
    }

    /// The values of an enum now.
    pub fn enum_values(&self, name: &Name) -> Option<(Name, &Vec<String>)> {
        self.lookups(name).find_map(|key| self.enums.get(&key).map(|values| (key, values)))
    }

    /// The values that an enum of this name had before it was dropped or renamed.
    pub fn enum_before(&self, name: &Name) -> Option<(Name, &Vec<String>)> {
        self.lookups(name).find_map(|key| self.enums_before.get(&key).map(|values| (key, values)))
    }

    /// Every name that `name` may mean, with its schema, in order.
    fn lookups(&self, name: &Name) -> impl Iterator<Item = Name> {
        let schemas = match (&name.schema, self.facts) {
            (Some(schema), _) => vec![schema.clone()],
            (None, Some(facts)) => facts.search_path.clone(),
            (None, None) => vec!["public".to_string()],
        };
        let name = name.name.clone();
        schemas.into_iter().map(move |schema| Name::full(&schema, &name))
    }

    /// A name with the schema that it is in, or would be made in.
    fn key(&self, name: &Name) -> Name {
        let known = |key: &Name| {
            let there = || self.facts.is_some_and(|facts| facts.find(key).is_some());
            self.made.contains(key) || self.renamed.contains_key(key) || (!self.gone.contains(key) && there())
        };
        let first = self.lookups(name).find(known);
        first.or_else(|| self.lookups(name).next()).unwrap_or_else(|| Name::full("public", &name.name))
    }

    fn name_of(&self, oid: u32) -> Option<Name> {
        let mut relations = self.facts?.relations.iter();
        relations.find(|(_, r)| r.oid == oid).map(|((schema, name), _)| Name::full(schema, name))
    }

    /// Takes the effect in.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Create { name, kind } => {
                let key = self.key(name);
                // A table that is there already is not made again; a view is replaced.
                if *kind == Kind::View || !matches!(self.standing(name), Standing::There(..)) {
                    self.made.insert(key);
                }
            }
            Effect::Drop { name, .. } => {
                let key = self.key(name);
                self.made.remove(&key);
                self.gone.extend(self.renamed.remove(&key));
                self.gone.insert(key);
            }
            Effect::Rename { from, to, .. } => self.rename(from, to),
            Effect::Check { table, columns } => {
                let key = self.key(table);
                self.checks.push((key, columns.clone()));
            }
            Effect::DropTrigger { table, name } => self.drop_from("trigger", table, name),
            Effect::DropPolicy { table, name } => self.drop_from("policy", table, name),
            Effect::DropRule { table, name } => self.drop_from("rule", table, name),
            Effect::DropConstraint { table, name } => self.drop_from("constraint", table, name),
            Effect::Enum { name, values } => {
                let key = self.lookups(name).next().unwrap_or_else(|| name.clone());
                self.enums.insert(key, values.clone());
            }
            Effect::DropType { name } => self.forget_enum(name),
            Effect::RenameType { from, to } => {
                let Some((_, values)) = self.enum_values(from) else { return };
                let (values, schema) =
                    (values.clone(), self.enum_values(from).and_then(|(key, _)| key.schema));
                self.forget_enum(from);
                let to = Name { schema: to.schema.clone().or(schema), name: to.name.clone() };
                self.enums.insert(to, values);
            }
            _ => {}
        }
    }

    fn rename(&mut self, from: &Name, to: &Name) {
        let key = self.key(from);
        let to = Name { schema: to.schema.clone().or_else(|| key.schema.clone()), name: to.name.clone() };
        if self.made.remove(&key) {
            self.made.insert(to);
            return;
        }
        let before = self.renamed.remove(&key).unwrap_or_else(|| key.clone());
        self.gone.insert(key);
        self.renamed.insert(to, before);
    }

    fn drop_from(&mut self, kind: &'static str, table: &Name, name: &str) {
        let key = match self.standing(table) {
            Standing::There(name, _) => name,
            _ => self.key(table),
        };
        self.dropped.insert((kind, key, name.to_string()));
    }

    fn forget_enum(&mut self, name: &Name) {
        let found = self.enum_values(name).map(|(key, _)| key);
        if let Some((key, values)) = found.and_then(|key| self.enums.remove(&key).map(|values| (key, values)))
        {
            self.enums_before.entry(key).or_insert(values);
        }
    }
}
