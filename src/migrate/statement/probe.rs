//! How it is known after a death whether a statement took effect that can't commit together with its record.

use super::read::{Named, Reader};
use super::{Nature, nature};

/// What can be known of a statement that was under way when its driver died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// It commits together with its record: nothing is in doubt.
    Recorded,
    /// Running it again does no harm: `VACUUM`, `REINDEX`, `ALTER SYSTEM`.
    Repeatable,
    /// The catalog tells: `CREATE INDEX CONCURRENTLY` of an index with a name, `CREATE DATABASE`.
    ByCatalog,
    /// Nothing tells: a `CALL` that commits by itself. Its author must say that it may run again.
    Unknown,
}

/// The kind of a statement of a script outside a transaction. Pure.
pub fn probe_kind(statement: &str) -> ProbeKind {
    match nature(statement) {
        Nature::OutsideOnly | Nature::OutsideAtTimes | Nature::MayCommit => {}
        _ => return ProbeKind::Recorded,
    }
    if effect(statement).is_some() {
        return ProbeKind::ByCatalog;
    }
    if is_repeatable(statement) { ProbeKind::Repeatable } else { ProbeKind::Unknown }
}

fn is_repeatable(statement: &str) -> bool {
    let mut reader = Reader::new(statement);
    let Some(first) = reader.next() else { return false };
    if ["vacuum", "reindex", "cluster"].iter().any(|word| first.is(word)) {
        return true;
    }
    if first.is("drop") {
        return reader.any(|piece| piece.is("exists"));
    }
    if !first.is("alter") {
        return false;
    }
    if reader.keyword("system") {
        return true;
    }
    // Moving to where it is already, and asking again for what is there, change nothing.
    if reader.keyword("database") {
        return reader.any(|piece| piece.is("tablespace"));
    }
    reader.keyword("subscription")
        && reader.named().is_some()
        && (reader.keyword("refresh") || reader.keyword("set"))
}

/// What a statement leaves in the catalog, by which it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrate) enum Effect {
    /// `CREATE INDEX CONCURRENTLY`
    Builds(IndexBuild),
    /// `DROP INDEX CONCURRENTLY`; the name as it is written.
    DropsIndex(String),
    /// `CREATE` or `DROP` of something with a name of its own.
    Shared {
        /// What.
        what: SharedKind,
        /// Made, or dropped.
        creates: bool,
        /// Its name.
        name: String,
    },
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`; both as they are written.
    Detaches {
        /// From which table.
        parent: String,
        /// Which.
        partition: String,
    },
}

/// What lives beside the database's own objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrate) enum SharedKind {
    /// `pg_database`
    Database,
    /// `pg_tablespace`
    Tablespace,
    /// `pg_subscription`
    Subscription,
}

/// An index that is built concurrently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrate) struct IndexBuild {
    /// Its name; it will be in the table's schema.
    pub name: String,
    /// Its table, as it is written.
    pub table: String,
    /// Whether it is `UNIQUE`.
    pub unique: bool,
    /// The statement from behind the table's name on, without a semicolon: all that tells what index it is.
    pub rest: String,
}

/// Reads the effect; `None` for every other statement, and where a name can't be read.
pub(in crate::migrate) fn effect(statement: &str) -> Option<Effect> {
    let mut reader = Reader::new(statement);
    if reader.keyword("alter") {
        return detaches(reader);
    }
    let creates = reader.keyword("create");
    if !creates && !reader.keyword("drop") {
        return None;
    }
    let unique = reader.keyword("unique");
    if reader.keyword("index") {
        if !reader.keyword("concurrently") {
            return None;
        }
        return if creates { builds(reader, statement, unique) } else { drops(reader) };
    }
    let kinds = [
        ("database", SharedKind::Database),
        ("tablespace", SharedKind::Tablespace),
        ("subscription", SharedKind::Subscription),
    ];
    let (_, what) = kinds.into_iter().find(|(word, _)| reader.keyword(word))?;
    reader.keywords(&["if", "exists"]);
    let name = reader.next()?.name()?;
    Some(Effect::Shared { what, creates, name })
}

fn builds(mut reader: Reader<'_>, statement: &str, unique: bool) -> Option<Effect> {
    reader.keywords(&["if", "not", "exists"]);
    if reader.peek()?.is("on") {
        // The server chooses the name: afterwards nobody can say which index was ours.
        return None;
    }
    let Named { schema: None, name, .. } = reader.named()? else { return None };
    if !reader.keyword("on") {
        return None;
    }
    reader.keyword("only");
    let table = reader.named()?.text;
    let rest = statement.get(reader.end()..)?.trim_end().trim_end_matches(';').to_string();
    Some(Effect::Builds(IndexBuild { name, table, unique, rest }))
}

fn drops(mut reader: Reader<'_>) -> Option<Effect> {
    reader.keywords(&["if", "exists"]);
    Some(Effect::DropsIndex(reader.named()?.text))
}

fn detaches(mut reader: Reader<'_>) -> Option<Effect> {
    if !reader.keyword("table") {
        return None;
    }
    reader.keywords(&["if", "exists"]);
    let parent = reader.named()?.text;
    if !reader.keywords(&["detach", "partition"]) {
        return None;
    }
    let partition = reader.named()?.text;
    reader.keyword("concurrently").then_some(Effect::Detaches { parent, partition })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        use ProbeKind::{ByCatalog, Recorded, Repeatable, Unknown};
        for (text, expected) in [
            ("insert into t values (1)", Recorded),
            ("do $$ begin perform 1; end $$", Recorded),
            ("alter type mood add value 'glad'", Recorded),
            ("refresh materialized view concurrently v", Recorded),
            ("vacuum analyze t", Repeatable),
            ("reindex index concurrently i", Repeatable),
            ("reindex table t", Repeatable),
            ("cluster", Repeatable),
            ("alter system set work_mem = '1MB'", Repeatable),
            ("alter database d set tablespace s", Repeatable),
            ("alter subscription s refresh publication", Repeatable),
            ("alter subscription s add publication p", Unknown),
            ("create index concurrently i on t (a)", ByCatalog),
            ("create index concurrently on t (a)", Unknown),
            ("create index concurrently U&\"i\" on t (a)", Unknown),
            ("drop index concurrently if exists s.i", ByCatalog),
            ("create database \"D\" template x", ByCatalog),
            ("drop tablespace if exists t", ByCatalog),
            ("create subscription s connection 'x' publication p", ByCatalog),
            ("drop subscription s", ByCatalog),
            ("alter table s.t detach partition s.p concurrently", ByCatalog),
            ("call p()", Unknown),
            ("do $$ begin commit; end $$", Unknown),
        ] {
            assert_eq!(probe_kind(text), expected, "{text}");
        }
    }

    #[test]
    fn the_index_that_is_built_is_read() {
        let read = |text| match effect(text) {
            Some(Effect::Builds(build)) => Some((build.unique, build.name, build.table, build.rest)),
            _ => None,
        };
        let some = |unique, name: &str, table: &str, rest: &str| {
            Some((unique, name.to_string(), table.to_string(), rest.to_string()))
        };
        assert_eq!(read("create index concurrently Big on t (a);"), some(false, "big", "t", " (a)"));
        assert_eq!(
            read(
                "create unique index /* x */ concurrently if not exists \"A\"\"b\" on only \"S\" . t using gin (a) where b"
            ),
            some(true, "A\"b", "\"S\" . t", " using gin (a) where b")
        );
        assert_eq!(read("create index concurrently on t (a)"), None);
        assert_eq!(read("create index i on t (a)"), None);
        assert_eq!(
            effect("drop index concurrently if exists s.\"I\";"),
            Some(Effect::DropsIndex("s.\"I\"".into()))
        );
        assert_eq!(
            effect("alter table if exists a.t detach partition p concurrently"),
            Some(Effect::Detaches { parent: "a.t".into(), partition: "p".into() })
        );
        assert_eq!(effect("alter table t detach partition p"), None);
    }
}
