//! Splitting is held against psql: sent one by one, statements must succeed where psql succeeds, with the same effect.

use std::process::Command;

use backstay::migrate::lexer::{self, LexError};

use super::random::Random;
use super::*;

/// Values whose text hides, opens or closes something. Not among them: an `E''` string that goes on in the next line
/// with a `\'` in it, which psql, reading line by line, takes for a plain string.
const VALUES: [&str; 23] = [
    "'a;b'",
    "'it''s; so'",
    r"'back\'",
    r"E'it\'s; so'",
    r"e'\\'",
    "E'a' -- note '\n 'b;'",
    "'a'\n'b;c'",
    r"U&'\0041;'",
    "U&'d!0061;' UESCAPE '!'",
    "$$;$$",
    "$q$ $$;' $q$",
    "$é$;$é$",
    "N'n;'",
    "B'01'::text",
    "(SELECT 'x;')",
    "CASE WHEN true THEN ';' END",
    "(SELECT \"a;\"\"b\" FROM (SELECT 'v' AS \"a;\"\"b\") q)",
    "(SELECT U&\"d\\0061ta;\" FROM (SELECT 'v' AS \"data;\") q)",
    "(ARRAY['a;', 'b'])[1]",
    "(1+--;'\n1)::text",
    "(2 -/* ; /* ' */ ; */1)::text",
    "(SELECT b$c$d FROM (SELECT ';' AS b$c$d) q)",
    "(3*/**/2)::text",
];
const GAPS: [&str; 8] = [" ", "\n", " /* ; */ ", " /* ' /* ; */ $$ */ ", " -- ; '\n", "\t", "\r\n", " --\n"];
const MUTATIONS: [&str; 16] =
    ["'", "\"", "$", "$$", ";", "/*", "*/", "--", "(", ")", "E'", "\n", "U&", "$a$", "[", "begin "];

fn text(random: &mut Random, number: u32) -> String {
    let mut text = String::new();
    for statement in 0..1 + random.below(4) {
        let value = |random: &mut Random| {
            let mut parts = Vec::new();
            for _ in 0..1 + random.below(3) {
                parts.push(format!("{}{}", random.of(&GAPS), random.of(&VALUES)));
            }
            parts.join(&format!("{}||", random.of(&GAPS)))
        };
        let value = value(random);
        let name = format!("f_{number}_{statement}");
        text.push_str(&match random.below(6) {
            0 => format!(
                "CREATE OR REPLACE FUNCTION {name}() RETURNS text LANGUAGE sql\nBEGIN ATOMIC\n SELECT CASE WHEN \
                 true THEN 'a;' END; SELECT{value}; END; INSERT INTO seen (t) VALUES ({name}())"
            ),
            1 => format!(
                "CREATE RULE {name} AS ON UPDATE TO seen DO ALSO (SELECT 1; INSERT INTO seen (t) VALUES ({value});)"
            ),
            2 => format!("DO $do$ BEGIN INSERT INTO seen (t) VALUES ({value}); END $do$"),
            _ => format!("INSERT INTO seen (t){}VALUES ({value})", random.of(&GAPS)),
        });
        text.push_str([";", " ;\n", "; -- ';\n", ";/* ; */"][random.below(4)]);
    }
    if random.below(2) == 0 {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = places[random.below(places.len())];
        match random.below(3) {
            0 => drop(text.remove(at)),
            _ => text.insert_str(at, random.of(&MUTATIONS)),
        }
    }
    text
}

/// Sends the statements one by one; `None`: psql knows more than the server here.
async fn send(db: &Session, text: &str) -> Option<bool> {
    let split = match lexer::split(text) {
        Ok(split) => split,
        Err(LexError::Meta { .. }) => return None,
        Err(LexError::Open { .. }) => return Some(false),
    };
    db.batch_execute("BEGIN").await.unwrap();
    for statement in &split.statements {
        if db.batch_execute(&text[statement.start..statement.span.end]).await.is_err() {
            db.batch_execute("ROLLBACK").await.unwrap();
            return Some(false);
        }
    }
    db.batch_execute("COMMIT").await.unwrap();
    Some(true)
}

#[tokio::test]
async fn statements_end_where_psql_ends_them() {
    if common::version() < 140_000 {
        // No BEGIN ATOMIC.
        return;
    }
    let (ours, theirs) = (fresh_database().await, fresh_database().await);
    let (our_db, their_db) = (session(&ours).await, session(&theirs).await);
    let table = "CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, t text)";
    our_db.batch_execute(table).await.unwrap();
    their_db.batch_execute(table).await.unwrap();
    let seen = "SELECT coalesce(string_agg(t, '|' ORDER BY n), '') || (SELECT count(*) FROM pg_rules \
                WHERE schemaname = 'public') FROM seen";
    let (mut random, folder) = (Random::new(), tempfile::tempdir().unwrap());
    let (mut good, mut bad) = (0, 0);
    for number in 0..250 {
        let text = text(&mut random, number);
        let Some(sent) = send(&our_db, &text).await else { continue };
        let file = folder.path().join("text.sql");
        std::fs::write(&file, &text).unwrap();
        let mut psql = Command::new(cluster().binaries().join("psql"));
        psql.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", &theirs, "-f"]).arg(&file);
        let output = psql.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(sent, output.status.success(), "seed {}, psql says {said}:\n{text}", random.seed);
        let ask = async |db: &Session| db.query_one(seen, &[]).await.unwrap().get::<_, String>(0);
        assert_eq!(ask(&our_db).await, ask(&their_db).await, "seed {}:\n{text}", random.seed);
        if sent { good += 1 } else { bad += 1 }
    }
    assert!(good > 50 && bad > 20, "{good} good texts, {bad} bad ones");
}
