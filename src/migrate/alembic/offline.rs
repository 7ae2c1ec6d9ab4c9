//! What `alembic upgrade … --sql` wrote, migration by migration. **Pure.**

use crate::migrate::graph::Step;
use crate::migrate::lexer;
use crate::migrate::options::Tables;

/// The statements of one migration, as `--sql` has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// The statements, each with its semicolon and the comments above it; without those of the version table, and
    /// without the transaction around them all.
    pub statements: Vec<String>,
    /// Some of them are outside of a transaction.
    pub outside: bool,
}

/// The comment that Alembic sets above a migration.
pub fn heading(step: &Step) -> String {
    format!("-- Running {} {} -> {}", step.direction.verb(), step.from.join(", "), step.to.join(", "))
}

/// The statements below the line `title`, up to the next migration's; `None` if there is no such line.
pub fn body_of(text: &str, title: &str, tables: &Tables) -> Option<Body> {
    let begin = text.match_indices(title).map(|(at, _)| at + title.len());
    let begin = begin.filter(|&at| text[at..].starts_with('\n') || text[at..].is_empty()).last()?;
    let rest = &text[begin..];
    let rest = &rest[..rest.find("\n-- Running ").unwrap_or(rest.len())];
    let mut body = Body::default();
    // What is no SQL to us is left whole.
    let Ok(split) = lexer::split(rest) else {
        return Some(Body { statements: vec![rest.trim().to_string()], outside: false });
    };
    let mut end = 0;
    for statement in &split.statements {
        let bare = &rest[statement.start..statement.span.end];
        let word = bare.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let whole = rest[end..statement.span.end].trim().to_string();
        end = statement.span.end;
        match word {
            "BEGIN" | "COMMIT" => body.statements.push(word.to_string()),
            _ if is_of(bare, tables) => {}
            _ => body.statements.push(whole),
        }
    }
    // The transaction around it all ends behind it, and the next migration's begins there; one inside is its own.
    while body.statements.last().is_some_and(|last| last == "BEGIN" || last == "COMMIT") {
        body.statements.pop();
    }
    body.outside = body.statements.iter().any(|statement| statement == "COMMIT");
    for statement in &mut body.statements {
        if statement == "BEGIN" || statement == "COMMIT" {
            statement.push(';');
        }
    }
    Some(body)
}

/// Whether a statement is about the version table.
fn is_of(statement: &str, tables: &Tables) -> bool {
    let names =
        [tables.version(), tables.show(), tables.root().to_string(), crate::pg::quote_ident(tables.root())];
    let verbs = [
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "DROP TABLE ",
        "CREATE TABLE IF NOT EXISTS ",
    ];
    verbs.iter().filter_map(|verb| statement.strip_prefix(verb)).any(|rest| {
        names.iter().any(|name| {
            rest.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with([' ', ';', '\n', '(']))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::options::Options;

    const SQL: &str = "BEGIN;\n\nCREATE TABLE alembic_version (\n    version_num VARCHAR(32) NOT NULL\n);\n\n\
        -- Running upgrade  -> a\n\nCREATE TABLE t (\n    id INTEGER\n);\n\n-- a note\nINSERT INTO t VALUES (1);\n\n\
        INSERT INTO alembic_version (version_num) VALUES ('a') RETURNING alembic_version.version_num;\n\n\
        -- Running upgrade a -> ab\n\nUPDATE t SET id = 2;\n\nCOMMIT;\n\nCREATE INDEX CONCURRENTLY i ON t (id);\n\nBEGIN;\n\n\
        UPDATE alembic_version SET version_num='ab' WHERE alembic_version.version_num = 'a';\n\nCOMMIT;\n\n";

    #[test]
    fn one_migration_of_a_script() {
        let tables = Tables::offline(&Options::default()).unwrap();
        let first = body_of(SQL, "-- Running upgrade  -> a", &tables).unwrap();
        assert_eq!(
            first.statements,
            ["CREATE TABLE t (\n    id INTEGER\n);", "-- a note\nINSERT INTO t VALUES (1);"]
        );
        assert!(!first.outside);
        let second = body_of(SQL, "-- Running upgrade a -> ab", &tables).unwrap();
        assert_eq!(
            second.statements,
            ["UPDATE t SET id = 2;", "COMMIT;", "CREATE INDEX CONCURRENTLY i ON t (id);"]
        );
        assert!(second.outside);
        assert_eq!(body_of(SQL, "-- Running upgrade a -> b", &tables), None);
    }

    #[test]
    fn statements_of_the_version_table() {
        let named = Tables::offline(&Options { schema: Some("s".into()), ..Options::default() }).unwrap();
        let plain = Tables::offline(&Options::default()).unwrap();
        assert!(is_of("UPDATE s.alembic_version SET x", &named));
        assert!(is_of("DELETE FROM alembic_version WHERE x", &plain));
        assert!(is_of("INSERT INTO \"s\".\"alembic_version\" (x)", &named));
        assert!(!is_of("INSERT INTO alembic_versions (x)", &plain));
        assert!(!is_of("UPDATE users SET x = 'alembic_version'", &plain));
    }
}
