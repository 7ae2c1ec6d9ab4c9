//! What only a script as a whole shows.

use crate::migrate::lint::Policy;
use crate::migrate::lint::allow::Comments;
use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::sql::{Effect, Name};
use crate::migrate::lint::subject::Subject;
use crate::migrate::lint::world::{Standing, World};
use crate::migrate::statement::{self, ProbeKind};

/// What is said of the file, not of a statement.
pub(in crate::migrate::lint) fn whole(subject: &Subject, comments: &Comments) -> Vec<Candidate> {
    let mut found = Vec::new();
    for wrong in &comments.malformed {
        let candidate = Candidate::new("malformed-allow", wrong.what.clone());
        found.extend(candidate.map(|candidate| Candidate {
            line: Some(wrong.line),
            statement: wrong.statement,
            ..candidate
        }));
    }
    if let Some(why) = &subject.unwritten {
        let what = format!("this migration is not checked, for it can't be written as SQL: {why}");
        found.extend(Candidate::new("unparsed-statement", what));
    }
    if subject.reversible {
        return found;
    }
    found.extend(match comments.irreversible {
        Some(line) => {
            Candidate::new("irreversible-downgrade", "this migration says that it can't be taken back")
                .map(|candidate| Candidate { line: Some(line), ..candidate })
        }
        None => Candidate::new("missing-downgrade", "there is no way back: its downgrade does nothing").map(
            |candidate| candidate.help("write it, or say in a comment `backstay: irreversible because …`"),
        ),
    });
    found
}

/// The locks that a script in one transaction holds, statement after statement.
#[derive(Debug, Default)]
pub(in crate::migrate::lint) struct Locks {
    held: Vec<Name>,
}

impl Locks {
    /// What is said of a statement because of those before it; then takes its locks.
    pub fn judge(&mut self, turn: &Turn<'_>, policy: &Policy) -> Vec<Candidate> {
        if !turn.subject.transactional {
            return Vec::new();
        }
        let world = turn.world;
        let mut found = Vec::new();
        for effect in turn.effects {
            match effect {
                Effect::Update { table, .. }
                | Effect::Delete { table, .. }
                | Effect::InsertQuery { table } => {
                    found.extend(self.backfill(table, world));
                }
                Effect::Exclusive { table } => found.extend(self.second(table, world, policy)),
                _ => {}
            }
        }
        for effect in turn.effects {
            if let Effect::Exclusive { table } = effect
                && let Some(name) = there(world, table)
                && !self.held.contains(&name)
            {
                self.held.push(name);
            }
        }
        found
    }

    fn backfill(&self, table: &Name, world: &World<'_>) -> Option<Candidate> {
        let held = self.held.first()?;
        let what = format!(
            "rows of {table} are written while {held} is locked by a change of its schema above, until the end"
        );
        let found = Candidate::new("backfill-in-transaction-with-ddl", what)?.about(&named(table, world));
        Some(
            found
                .help("put the change of the schema and the change of the rows into migrations of their own"),
        )
    }

    /// Waiting for the second lock, it holds the first, and all who want that one wait too.
    fn second(&self, table: &Name, world: &World<'_>, policy: &Policy) -> Option<Candidate> {
        let second = there(world, table)?;
        let first = self.held.iter().find(|held| **held != second)?;
        if self.held.contains(&second) || (world.is_slight(first, policy) && world.is_slight(&second, policy))
        {
            return None;
        }
        let what = format!("while it waits for {second}, nobody can read {first}, which is locked above");
        let found = Candidate::new("second-access-exclusive-lock", what)?;
        let sizes = [first, &second].into_iter().filter_map(|name| world.size(name));
        Some(found.shown_by(sizes).help("change one table in one migration"))
    }
}

/// The name of a relation that is there.
fn there(world: &World<'_>, table: &Name) -> Option<Name> {
    match world.standing(table) {
        Standing::There(name, _) => Some(name),
        // Without a look at the database it is taken to be there.
        Standing::Unknown if world.facts.is_none() => Some(table.clone()),
        _ => None,
    }
}

fn named(table: &Name, world: &World<'_>) -> Name {
    there(world, table).unwrap_or_else(|| table.clone())
}

/// A statement outside a transaction, of which nobody could tell after a death whether it took effect.
pub(super) fn not_probeable(turn: &Turn<'_>) -> Option<Candidate> {
    let statement = turn.statement;
    let known = || statement::probe_kind(&statement.text) != ProbeKind::Unknown;
    if turn.subject.transactional || statement.is_idempotent() || known() {
        return None;
    }
    let title = statement::title(&statement.text);
    let what = format!("{title} commits by itself, and nobody can see after a crash whether it took effect");
    let found = Candidate::new("not-probeable", what)?;
    Some(found.help(
        "write `-- idempotent` above it if it does no harm to run it twice; an index needs only a name",
    ))
}
