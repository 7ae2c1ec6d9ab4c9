//! What kind a statement is: may it stand in a transaction, does it control one, what index does it build.
//! Read from its tokens, never searched as text.

use super::lexer::{Kind, Lexer};

/// How a statement stands to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It can share a transaction with others.
    Plain,
    /// It begins, ends or parts a transaction: `COMMIT`.
    TransactionControl,
    /// The server refuses it inside a transaction: `VACUUM`.
    OutsideOnly,
    /// It may commit by itself when it stands alone: `CALL`, `DO`.
    MayCommit,
    /// It reads from or writes to the client: `COPY … FROM STDIN`.
    Stream,
}

/// The nature of a statement; after the manual's reference pages ("cannot be executed inside a transaction
/// block").
pub fn nature(statement: &str) -> Nature {
    let words = words(statement);
    let has = |word: &str| words.iter().any(|w| w == word);
    let all: Vec<&str> = words.iter().map(String::as_str).take(4).collect();
    match all.as_slice() {
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..]
        | ["START" | "PREPARE", "TRANSACTION", ..] => Nature::TransactionControl,
        ["VACUUM", ..] | ["ALTER", "SYSTEM", ..] | ["DISCARD", "ALL"] | ["CLUSTER"] => Nature::OutsideOnly,
        ["CREATE" | "DROP", "DATABASE" | "TABLESPACE", ..] => Nature::OutsideOnly,
        ["CREATE" | "DROP", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY"] => {
            Nature::OutsideOnly
        }
        ["REINDEX", ..] if has("CONCURRENTLY") || has("DATABASE") || has("SYSTEM") => Nature::OutsideOnly,
        ["ALTER", "TABLE", ..] if has("DETACH") && has("CONCURRENTLY") => Nature::OutsideOnly,
        ["ALTER", "DATABASE", ..] if has("TABLESPACE") => Nature::OutsideOnly,
        ["ALTER", "SUBSCRIPTION", ..] if has("REFRESH") => Nature::OutsideOnly,
        ["CREATE", "SUBSCRIPTION", ..] if !has("CONNECT") && !has("CREATE_SLOT") => Nature::OutsideOnly,
        ["CALL" | "DO", ..] => Nature::MayCommit,
        ["COPY", ..] if has("STDIN") || has("STDOUT") => Nature::Stream,
        _ => Nature::Plain,
    }
}

/// Whether it works concurrently: then it waits for old transactions, and no short `lock_timeout` may end it.
pub fn is_concurrent(statement: &str) -> bool {
    nature(statement) == Nature::OutsideOnly && words(statement).iter().any(|w| w == "CONCURRENTLY")
}

/// Whether it changes settings of the session that would outlive the script.
pub fn changes_session(statement: &str) -> bool {
    let words = words(statement);
    matches!(words.first().map(String::as_str), Some("SET" | "RESET"))
        || words.iter().any(|w| w == "SET_CONFIG")
}

/// The first words, for a message: `CREATE INDEX CONCURRENTLY`.
pub fn title(statement: &str) -> String {
    let significant = |w: &String| !["UNIQUE", "OR", "REPLACE"].contains(&w.as_str());
    let words: Vec<String> = words(statement).into_iter().filter(significant).collect();
    let length = match words.first().map(String::as_str) {
        Some("CREATE" | "DROP") if words.get(2).is_some_and(|w| w == "CONCURRENTLY") => 3,
        Some("CREATE" | "DROP" | "ALTER" | "START" | "PREPARE" | "RELEASE") => 2,
        _ => 1,
    };
    words.into_iter().take(length).collect::<Vec<_>>().join(" ")
}

/// All names that stand in a statement, as the server would look them up.
pub fn names(statement: &str) -> Vec<String> {
    let mut names: Vec<String> = tokens(statement)
        .filter_map(|(kind, text)| match kind {
            Kind::Word => Some(text.to_lowercase()),
            Kind::Quoted => Some(unquote(text)),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The index that `CREATE INDEX CONCURRENTLY` builds or `DROP INDEX CONCURRENTLY` drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrentIndex {
    /// Built, or dropped.
    pub creates: bool,
    /// The schema, where one is named.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
}

/// Reads the index from the statement; `None` for any other statement and for an index without a name.
pub fn concurrent_index(statement: &str) -> Option<ConcurrentIndex> {
    let mut tokens = tokens(statement).peekable();
    let mut keyword = |wanted: &[&str]| -> bool {
        let fits = |(kind, text): &(Kind, &str)| {
            *kind == Kind::Word && wanted.iter().any(|w| text.eq_ignore_ascii_case(w))
        };
        tokens.next_if(|token| fits(token)).is_some()
    };
    let creates = keyword(&["create"]);
    if !creates && !keyword(&["drop"]) {
        return None;
    }
    keyword(&["unique"]);
    if !keyword(&["index"]) || !keyword(&["concurrently"]) {
        return None;
    }
    if keyword(&["if"]) {
        keyword(&["not"]);
        keyword(&["exists"]);
    }
    let mut name = || match tokens.next()? {
        (Kind::Word, text) if !text.eq_ignore_ascii_case("on") => Some(text.to_lowercase()),
        (Kind::Quoted, text) => Some(unquote(text)),
        _ => None,
    };
    let first = name()?;
    match tokens.next_if(|(_, text)| *text == ".") {
        None => Some(ConcurrentIndex { creates, schema: None, name: first }),
        Some(_) => {
            let second = match tokens.next()? {
                (Kind::Word, text) => text.to_lowercase(),
                (Kind::Quoted, text) => unquote(text),
                _ => return None,
            };
            Some(ConcurrentIndex { creates, schema: Some(first), name: second })
        }
    }
}

fn words(statement: &str) -> Vec<String> {
    tokens(statement).filter(|(kind, _)| *kind == Kind::Word).map(|(_, text)| text.to_uppercase()).collect()
}

/// The tokens that mean something, with their texts.
fn tokens(statement: &str) -> impl Iterator<Item = (Kind, &str)> {
    let silent = |kind| matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment);
    Lexer::new(statement)
        .map_while(Result::ok)
        .filter(move |token| !silent(token.kind))
        .map(|token| (token.kind, &statement[token.span]))
}

/// The name within quotes; `U&""` escapes are left as they are.
fn unquote(text: &str) -> String {
    let inner = text.trim_start_matches(['u', 'U', '&']);
    inner.trim_start_matches('"').trim_end_matches('"').replace("\"\"", "\"")
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
            ("reindex table t", Nature::Plain),
            ("vacuum full t", Nature::OutsideOnly),
            ("alter system set work_mem = '1MB'", Nature::OutsideOnly),
            ("alter table t detach partition p concurrently", Nature::OutsideOnly),
            ("cluster", Nature::OutsideOnly),
            ("cluster t", Nature::Plain),
            ("call p()", Nature::MayCommit),
            ("do $$ begin end $$", Nature::MayCommit),
            ("copy t from stdin", Nature::Stream),
            ("copy t from '/tmp/f'", Nature::Plain),
        ] {
            assert_eq!(nature(text), expected, "{text}");
        }
    }

    #[test]
    fn concurrent_indexes_are_read() {
        let read = |text| concurrent_index(text).map(|i| (i.creates, i.schema, i.name));
        let some = |creates, schema: Option<&str>, name: &str| {
            Some((creates, schema.map(String::from), name.to_string()))
        };
        assert_eq!(read("create index concurrently Big on t (a)"), some(true, None, "big"));
        assert_eq!(
            read("create unique index concurrently if not exists \"A\"\"b\" on t (a)"),
            some(true, None, "A\"b")
        );
        assert_eq!(read("drop index concurrently if exists s.\"I\""), some(false, Some("s"), "I"));
        assert_eq!(read("create index concurrently on t (a)"), None);
        assert_eq!(read("create index i on t (a)"), None);
    }

    #[test]
    fn titles_are_short() {
        assert_eq!(title("create unique index concurrently i on t (a)"), "CREATE INDEX CONCURRENTLY");
        assert_eq!(title("commit"), "COMMIT");
        assert_eq!(title("alter table t add x int"), "ALTER TABLE");
    }
}
