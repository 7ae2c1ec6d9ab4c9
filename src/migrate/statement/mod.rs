//! What kind a statement is: may it stand in a transaction, does it control one, what does it leave behind.
//! Read from its tokens, never searched as text.

pub mod batch;
mod probe;
mod read;

pub(super) use probe::{Effect, IndexBuild, SharedKind, effect};
pub use probe::{ProbeKind, probe_kind};

use super::lexer::{Kind, Lexer};
use read::Reader;

/// How a statement stands to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It can share a transaction with others.
    Plain,
    /// It begins, ends or parts a transaction: `COMMIT`.
    TransactionControl,
    /// The server refuses it inside a transaction: `VACUUM`.
    OutsideOnly,
    /// The server refuses it inside a transaction for some objects: `REINDEX TABLE` of a partitioned table.
    OutsideAtTimes,
    /// It may commit by itself when it stands alone: `CALL`, a `DO` with a `COMMIT` in it.
    MayCommit,
    /// It reads from or writes to the client: `COPY … FROM STDIN`.
    Stream,
    /// It gives up what a session holds, the lock of those who migrate too: `DISCARD ALL`.
    EndsSession,
}

/// The nature of a statement; after the manual's reference pages ("cannot be executed inside a transaction
/// block").
pub fn nature(statement: &str) -> Nature {
    let has = |word: &str| has_word(statement, word);
    let first: Vec<String> = words(statement).take(4).collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    match first.as_slice() {
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..]
        | ["START" | "PREPARE", "TRANSACTION", ..] => Nature::TransactionControl,
        ["DISCARD", "ALL"] => Nature::EndsSession,
        ["VACUUM", ..] | ["ALTER", "SYSTEM", ..] | ["CLUSTER"] => Nature::OutsideOnly,
        ["CREATE" | "DROP", "DATABASE" | "TABLESPACE", ..] => Nature::OutsideOnly,
        ["CREATE" | "DROP", "INDEX", "CONCURRENTLY", ..]
        | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => Nature::OutsideOnly,
        ["REINDEX", ..] if ["CONCURRENTLY", "DATABASE", "SYSTEM", "SCHEMA"].into_iter().any(has) => {
            Nature::OutsideOnly
        }
        ["REINDEX" | "CLUSTER", ..] | ["DROP", "SUBSCRIPTION", ..] => Nature::OutsideAtTimes,
        ["ALTER", "TABLE", ..] if has("DETACH") && has("CONCURRENTLY") => Nature::OutsideOnly,
        ["ALTER", "DATABASE", ..] if has("TABLESPACE") => Nature::OutsideOnly,
        ["ALTER", "SUBSCRIPTION", ..] if has("REFRESH") && !has("FALSE") => Nature::OutsideOnly,
        ["ALTER", "SUBSCRIPTION", ..] if has("PUBLICATION") => Nature::OutsideAtTimes,
        ["CREATE", "SUBSCRIPTION", ..] if !has("CONNECT") && !has("CREATE_SLOT") => Nature::OutsideOnly,
        ["CALL", ..] => Nature::MayCommit,
        ["DO", ..] if block_may_commit(statement) => Nature::MayCommit,
        ["COPY", ..] if streams(statement) => Nature::Stream,
        _ => Nature::Plain,
    }
}

/// Whether the block of a `DO` ends transactions. What it can't do in a hidden way: `EXECUTE` refuses `COMMIT`,
/// and a procedure that commits is reached by `CALL` only.
fn block_may_commit(statement: &str) -> bool {
    let mut language = false;
    Reader::new(statement).any(|piece| {
        let named = std::mem::replace(&mut language, piece.is("language"));
        if piece.kind != Kind::Text {
            return named && piece.name().is_none_or(|name| name != "plpgsql");
        }
        let body = piece.text.replace("''", "'");
        let inner = match body.find(['$', '\'']) {
            Some(at) if body[at..].starts_with('$') => body[at..].trim_matches('$'),
            at => body[at.unwrap_or(0)..].trim_matches('\''),
        };
        ["commit", "rollback", "call"].into_iter().any(|word| has_word(inner, word))
    })
}

fn streams(statement: &str) -> bool {
    let mut way = false;
    words(statement).any(|word| {
        let behind = std::mem::replace(&mut way, word == "FROM" || word == "TO");
        behind && (word == "STDIN" || word == "STDOUT")
    })
}

/// Whether it works concurrently: then it waits for old transactions, and no short `lock_timeout` may end it.
pub fn is_concurrent(statement: &str) -> bool {
    nature(statement) == Nature::OutsideOnly && has_word(statement, "CONCURRENTLY")
}

/// Whether it changes settings of the session that would outlive the script.
pub fn changes_session(statement: &str) -> bool {
    words(statement).next().is_some_and(|word| word == "SET" || word == "RESET")
        || has_word(statement, "SET_CONFIG")
}

/// The first words, for a message: `CREATE INDEX CONCURRENTLY`.
pub fn title(statement: &str) -> String {
    let significant = |w: &String| !["UNIQUE", "OR", "REPLACE"].contains(&w.as_str());
    let words: Vec<String> = words(statement).filter(significant).take(3).collect();
    let length = match words.first().map(String::as_str) {
        Some("CREATE" | "DROP") if words.get(2).is_some_and(|w| w == "CONCURRENTLY") => 3,
        Some("CREATE" | "DROP" | "ALTER" | "START" | "PREPARE" | "RELEASE" | "DISCARD") => 2,
        _ => 1,
    };
    words.into_iter().take(length).collect::<Vec<_>>().join(" ")
}

/// All names that stand in a statement, as the server would look them up.
pub fn names(statement: &str) -> Vec<String> {
    let mut names: Vec<String> = Reader::new(statement).filter_map(|piece| piece.name()).collect();
    names.sort();
    names.dedup();
    names
}

fn words(statement: &str) -> impl Iterator<Item = String> {
    word_tokens(statement).map(str::to_uppercase)
}

fn has_word(statement: &str, word: &str) -> bool {
    word_tokens(statement).any(|token| token.eq_ignore_ascii_case(word))
}

fn word_tokens(statement: &str) -> impl Iterator<Item = &str> {
    let tokens = Lexer::new(statement).map_while(Result::ok);
    tokens.filter(|token| token.kind == Kind::Word).map(|token| &statement[token.span])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natures_are_told_apart() {
        for (text, expected) in [
            ("select 1", Nature::Plain),
            ("create index i on t (a)", Nature::Plain),
            ("create table vacuum_log (concurrently_at int)", Nature::Plain),
            ("comment on table t is 'create index concurrently'", Nature::Plain),
            ("refresh materialized view concurrently v", Nature::Plain),
            ("prepare p as select 1", Nature::Plain),
            ("/* x */ BEGIN", Nature::TransactionControl),
            ("start transaction", Nature::TransactionControl),
            ("prepare transaction 'x'", Nature::TransactionControl),
            ("release savepoint s", Nature::TransactionControl),
            ("create unique index concurrently i on t (a)", Nature::OutsideOnly),
            ("CREATE -- why\n INDEX CONCURRENTLY i on t (a)", Nature::OutsideOnly),
            ("drop index concurrently i", Nature::OutsideOnly),
            ("reindex (verbose) table concurrently t", Nature::OutsideOnly),
            ("reindex (concurrently) table t", Nature::OutsideOnly),
            ("reindex table t", Nature::OutsideAtTimes),
            ("reindex schema s", Nature::OutsideOnly),
            ("vacuum full t", Nature::OutsideOnly),
            ("alter system set work_mem = '1MB'", Nature::OutsideOnly),
            ("alter table t detach partition p concurrently", Nature::OutsideOnly),
            ("cluster", Nature::OutsideOnly),
            ("cluster t", Nature::OutsideAtTimes),
            ("call p()", Nature::MayCommit),
            ("do $$ begin end $$", Nature::Plain),
            ("do $x$ begin commit; end $x$", Nature::MayCommit),
            ("do 'begin call p(''a''); end'", Nature::MayCommit),
            ("do $$ begin raise notice 'commit'; end $$", Nature::Plain),
            ("do language plpython3u $$ plpy.commit() $$", Nature::MayCommit),
            ("do language plpgsql $$ begin end $$", Nature::Plain),
            ("discard all", Nature::EndsSession),
            ("discard plans", Nature::Plain),
            ("drop subscription s", Nature::OutsideAtTimes),
            ("alter subscription s refresh publication", Nature::OutsideOnly),
            ("alter subscription s set publication p with (refresh = false)", Nature::OutsideAtTimes),
            ("copy t from stdin", Nature::Stream),
            ("copy t from '/tmp/f'", Nature::Plain),
            ("copy (select stdin from t) to '/tmp/f'", Nature::Plain),
            ("copy t to stdout", Nature::Stream),
        ] {
            assert_eq!(nature(text), expected, "{text}");
        }
    }

    #[test]
    fn titles_are_short() {
        assert_eq!(title("create unique index concurrently i on t (a)"), "CREATE INDEX CONCURRENTLY");
        assert_eq!(title("commit"), "COMMIT");
        assert_eq!(title("alter table t add x int"), "ALTER TABLE");
    }
}
