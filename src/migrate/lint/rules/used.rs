//! Is what goes, or gets another name, still used? By the catalog, by bodies of routines, and by queries that ran.

use crate::migrate::lint::candidate::{Candidate, Turn};
use crate::migrate::lint::facts::{DependentKind, Facts, Queries, Query, Relation};
use crate::migrate::lint::sql::{Effect, Name};
use crate::migrate::lint::subject::shorten;
use crate::migrate::lint::usage::{self, Usage, Wanted};
use crate::migrate::lint::world::{Standing, World};
use crate::words::count;

/// How many queries are shown; the others are counted.
const SHOWN: usize = 5;
const EXPAND: &str = "let the application stop using it first, in a release before this one";

pub(super) fn judge(turn: &Turn<'_>, effect: &Effect) -> Option<Candidate> {
    let world = turn.world;
    let found = match effect {
        Effect::DropColumn { table, column } => {
            let uses = Uses::look(world, table, Some(column), Change::Drop, turn.effects)?;
            let what = format!("{table}.{column} is dropped, and {}", uses.summary());
            Candidate::new("dropped-column-still-used", what)?
                .about(table)
                .shown_by(uses.evidence())
                .help(EXPAND)
        }
        Effect::Drop { name, kind } => {
            if world.is_made_again(name) {
                return None;
            }
            let uses = Uses::look(world, name, None, Change::Drop, turn.effects)?;
            let what = format!("the {} {name} is dropped, and {}", kind.word(), uses.summary());
            Candidate::new("dropped-table-still-used", what)?
                .about(name)
                .shown_by(uses.evidence())
                .help(EXPAND)
        }
        Effect::RenameColumn { table, from, to } => {
            let uses = Uses::look(world, table, Some(from), Change::Rename, turn.effects)?;
            let what = format!("{table}.{from} becomes {to}, and {} under its old name", uses.summary());
            Candidate::new("renamed-column-still-used", what)?.about(table).shown_by(uses.evidence()).help(
                "add the new column and keep both in step by a trigger, until the application has changed over",
            )
        }
        Effect::Rename { from, to, kind } => {
            let uses = Uses::look(world, from, None, Change::Rename, turn.effects)?;
            let what =
                format!("the {} {from} becomes {to}, and {} under its old name", kind.word(), uses.summary());
            Candidate::new("renamed-table-still-used", what)?
                .about(from)
                .shown_by(uses.evidence())
                .help(format!("keep a view under the old name: CREATE VIEW {from} AS SELECT * FROM {to}"))
        }
        _ => return None,
    };
    Some(found)
}

/// Evidence for a finding that something goes, where nobody was found to use it.
pub(in crate::migrate::lint) fn nothing_found(world: &World<'_>) -> Vec<String> {
    let Some(facts) = world.facts else { return Vec::new() };
    vec![match &facts.queries {
        Queries::Unknown(why) => {
            format!("the catalog knows of no use; {why}, so nothing is known of queries")
        }
        Queries::Seen { queries, since, hidden } => {
            let seen = count(queries.len() as u64, "statement", "statements");
            let mut line = format!(
                "the catalog knows of no use, and none of the {seen} that ran{} names it",
                since_words(since)
            );
            line.push_str(&hidden_words(*hidden));
            line
        }
    }]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Drop,
    /// Views, policies and keys follow a rename by themselves; texts do not.
    Rename,
}

/// Who uses it.
struct Uses<'a> {
    objects: Vec<String>,
    queries: Vec<&'a Query>,
    stars: usize,
    facts: &'a Facts,
}

impl<'a> Uses<'a> {
    /// Looks; nothing, if nobody is found or it is not known what the name means.
    fn look(
        world: &World<'a>,
        name: &Name,
        column: Option<&str>,
        change: Change,
        statement: &[Effect],
    ) -> Option<Self> {
        let Standing::There(full, relation) = world.standing(name) else { return None };
        // Not there (any more): the statement fails, or an earlier one saw to it.
        if column.is_some_and(|column| !relation.has_column(column)) {
            return None;
        }
        let facts = world.facts?;
        let wanted = Wanted { schema: full.schema.as_deref()?, table: &full.name, column };
        let mut objects = Vec::new();
        if change == Change::Drop {
            objects = by_catalog(world, facts, relation, column, statement);
        }
        objects.extend(by_routines(world, facts, relation, wanted));
        let (queries, stars) = by_queries(facts, wanted);
        (!objects.is_empty() || !queries.is_empty()).then_some(Self { objects, queries, stars, facts })
    }

    /// `2 objects and 3 queries use it`
    fn summary(&self) -> String {
        let objects = count(self.objects.len() as u64, "object", "objects");
        let queries = count(self.queries.len() as u64, "query that ran", "queries that ran");
        let (parts, alone) = match (self.objects.len(), self.queries.len()) {
            (0, n) => (queries, n == 1),
            (n, 0) => (objects, n == 1),
            _ => (format!("{objects} and {queries}"), false),
        };
        format!("{parts} {} it", if alone { "uses" } else { "use" })
    }

    fn evidence(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.objects.iter().map(|object| format!("used by {object}")).collect();
        for query in self.queries.iter().take(SHOWN) {
            let calls = count(query.calls, "time", "times");
            lines.push(format!("ran {calls} as {}: {}", query.role, shorten(&query.text, 160)));
        }
        if self.queries.len() > SHOWN {
            lines
                .push(format!("and {} more", count((self.queries.len() - SHOWN) as u64, "query", "queries")));
        }
        if self.stars > 0 {
            lines.push(format!(
                "{} all of its columns (*)",
                count(self.stars as u64, "query reads", "queries read")
            ));
        }
        match &self.facts.queries {
            Queries::Unknown(why) => lines.push(format!("this is what the catalog knows; {why}")),
            Queries::Seen { since, hidden, .. } if !self.queries.is_empty() => {
                let hidden = hidden_words(*hidden);
                lines.push(format!("by pg_stat_statements, which counts{}{hidden}", since_words(since)));
            }
            Queries::Seen { .. } => {}
        }
        lines
    }
}

fn since_words(since: &Option<String>) -> String {
    since.as_ref().map(|day| format!(" since {day}")).unwrap_or_default()
}

fn hidden_words(hidden: u64) -> String {
    match hidden {
        0 => String::new(),
        n => format!(
            "; {} of other roles may not be read (pg_read_all_stats)",
            count(n, "statement", "statements")
        ),
    }
}

fn by_catalog(
    world: &World<'_>,
    facts: &Facts,
    relation: &Relation,
    column: Option<&str>,
    statement: &[Effect],
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if let Some(column) = column.filter(|column| relation.partitioned_by.iter().any(|key| key == column)) {
        found.push(format!("its own partition key, ({column})"));
    }
    for dependent in facts.dependents.iter().filter(|dependent| dependent.relation == relation.oid) {
        let concerns = match column {
            Some(column) => dependent.column.as_deref() == Some(column),
            // What belongs to a table goes with it.
            None => dependent.owner != Some(relation.oid),
        };
        let own_key = dependent.kind == DependentKind::ForeignKey && dependent.owner == Some(relation.oid);
        if concerns
            && !own_key
            && !world.is_undone(dependent)
            && !goes_too(world, facts, dependent.owner, statement)
        {
            found.push(dependent.words.clone());
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `DROP TABLE a, b`: what belongs to `b` is no use of `a`.
fn goes_too(world: &World<'_>, facts: &Facts, owner: Option<u32>, statement: &[Effect]) -> bool {
    let Some(owner) = owner else { return false };
    statement.iter().any(|effect| match effect {
        Effect::Drop { name, .. } => match world.standing(name) {
            Standing::There(name, _) => facts.find(&name).is_some_and(|(_, relation)| relation.oid == owner),
            _ => false,
        },
        _ => false,
    })
}

/// Bodies that are only text to the catalog.
fn by_routines(world: &World<'_>, facts: &Facts, relation: &Relation, wanted: Wanted<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for routine in &facts.routines {
        if world.routine_changes(&routine.schema, &routine.name) {
            continue;
        }
        let of_trigger = routine.triggers_of.contains(&relation.oid);
        let usage = usage::of_body(&routine.body, routine.procedural, of_trigger, wanted, facts);
        if usage == Usage::Named {
            found.push(format!("the body of function {}", routine.words));
        }
    }
    found
}

/// The queries that name it, and how many take all columns.
fn by_queries<'a>(facts: &'a Facts, wanted: Wanted<'_>) -> (Vec<&'a Query>, usize) {
    let Queries::Seen { queries, .. } = &facts.queries else { return (Vec::new(), 0) };
    let (mut named, mut stars) = (Vec::new(), 0);
    for query in queries {
        match usage::of_query(&query.text, wanted, facts) {
            Usage::Named => named.push(query),
            Usage::Star => stars += 1,
            Usage::None => {}
        }
    }
    (named, stars)
}
