//! The lint on a real server: what the catalogs and `pg_stat_statements` know, `backstay migrate lint`, and the step.

mod common;

use std::path::Path;

use backstay::demo::cluster::Cluster;
use backstay::migrate::lint::{Facts, Finding, Policy, Subject, lint, look};
use backstay::pg::Session;
use common::command_line::CommandLine;
use serde_json::json;

const FIRST: &str = "-- revision: a1\n-- Tables\n\n-- upgrade\nCREATE TABLE users (id bigint PRIMARY KEY, email text);\n\
    -- downgrade\nDROP TABLE users;\n";

/// Every kind of object that can use a column, each using `email`, on hostile names.
const SCHEMA: &str = r#"
    CREATE SCHEMA "Ä pp";
    CREATE TYPE "Ä pp".mood AS ENUM ('good', 'bad');
    CREATE TABLE users (id bigint PRIMARY KEY, email text, name text, mood "Ä pp".mood,
        lower_email text GENERATED ALWAYS AS (lower(email)) STORED, CHECK (id > 0));
    CREATE VIEW contacts AS SELECT id, email FROM users;
    CREATE MATERIALIZED VIEW "Ä pp"."con""tacts" AS SELECT email FROM contacts JOIN users USING (id, email);
    CREATE POLICY own ON users USING (email = current_user);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ begin new.email := lower(new.email); return new; end $$;
    CREATE TRIGGER touch BEFORE UPDATE OF email ON users FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE FUNCTION mail(bigint) RETURNS text LANGUAGE sql AS $$ SELECT email FROM users WHERE id = $1 $$;
    CREATE FUNCTION atomic(n bigint) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT email FROM users WHERE id = n; END;
    CREATE FUNCTION harmless() RETURNS text LANGUAGE sql AS $$ SELECT 'email of users' $$;
    ALTER TABLE users ADD UNIQUE (email);
    CREATE TABLE letters (id bigint, "to" text REFERENCES users (email));
    CREATE PUBLICATION p FOR TABLE users (id, email);
    CREATE RULE r AS ON DELETE TO letters DO ALSO UPDATE users SET name = email WHERE email = OLD."to";
    CREATE TABLE parts (id bigint, at date) PARTITION BY RANGE (at);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO parts SELECT n, '2025-05-05' FROM generate_series(1, 2000) n;
    INSERT INTO users (id, email) SELECT n, 'm' || n FROM generate_series(1, 20000) n;
    CREATE TABLE empty (a int);
    ANALYZE;
"#;

fn judge(facts: &Facts, up: &str) -> Vec<Finding> {
    let text = format!("-- revision: r\n-- T\n-- upgrade\n{up}\n-- downgrade\nSELECT 1;\n");
    let subject =
        Subject::of(&text, Path::new("r.sql")).unwrap_or_else(|(line, fault)| panic!("{line}: {fault}"));
    lint(&[subject], Some(facts), &Policy::default()).expect("a judgement")
}

/// The finding of this rule; there must be one.
fn the<'a>(findings: &'a [Finding], rule: &str) -> &'a Finding {
    findings.iter().find(|f| f.rule == rule).unwrap_or_else(|| panic!("no {rule} in {findings:#?}"))
}

async fn session_with(sql: &str) -> Session {
    let session = common::session(&common::fresh_database().await).await;
    session.batch_execute(sql).await.expect("the schema");
    session
}

#[tokio::test]
async fn the_catalog_knows_who_uses_a_column() {
    let session = session_with(SCHEMA).await;
    let facts = look(&session).await.expect("facts");
    let findings = judge(&facts, "ALTER TABLE users DROP COLUMN email;");
    let evidence = the(&findings, "dropped-column-still-used").evidence.join("\n");
    for used in [
        "users has about 20000 rows",
        "used by view public.contacts",
        "used by materialized view Ä pp.con\"tacts",
        "used by policy own on public.users",
        "used by trigger touch on public.users",
        "used by generated column public.users.lower_email",
        "used by foreign key letters_to_fkey on public.letters",
        "used by publication",
        "used by function public.atomic(bigint)",
        "used by the body of function public.mail(bigint)",
        "used by the body of function public.touch()",
        "used by rule r on public.letters",
        "this is what the catalog knows; pg_stat_statements is not installed in this database",
    ] {
        assert!(evidence.contains(used), "{used} is not in\n{evidence}");
    }
    assert!(!evidence.contains("harmless"), "{evidence}");
    // The names with a schema that needs quotes, from the file.
    let view = judge(
        &facts,
        "DROP MATERIALIZED VIEW \"Ä pp\".\"con\"\"tacts\";\nALTER TABLE users DROP COLUMN email;",
    );
    assert!(!the(&view, "dropped-column-still-used").evidence.join("\n").contains("con\"tacts"), "{view:#?}");
    let table = judge(&facts, "DROP TABLE users CASCADE;");
    let evidence = the(&table, "dropped-table-still-used").evidence.join("\n");
    assert!(evidence.contains("view public.contacts") && evidence.contains("letters_to_fkey"), "{evidence}");
    assert!(!evidence.contains("policy own") && !evidence.contains("trigger touch"), "{evidence}");
    let renamed = judge(&facts, "ALTER TABLE users RENAME email TO mail;");
    assert_eq!(
        the(&renamed, "renamed-column-still-used").what,
        "users.email becomes mail, and 2 objects use it under its old name"
    );
    let value = judge(&facts, "ALTER TYPE \"Ä pp\".mood RENAME VALUE 'bad' TO 'worse';");
    assert_eq!(the(&value, "enum-value-removed").evidence, ["users.mood is of this type"]);
    assert!(
        judge(&facts, "ALTER TABLE parts DROP COLUMN at;")[0]
            .evidence
            .join(" ")
            .contains("partition key, (at)")
    );
}

#[tokio::test]
async fn sizes_indexes_and_checks_are_those_of_the_server() {
    let session = session_with(SCHEMA).await;
    let facts = look(&session).await.expect("facts");
    let rules = |sql: &str| judge(&facts, sql).iter().map(|f| f.rule).collect::<Vec<_>>();
    assert_eq!(rules("CREATE INDEX ON users (name);"), ["require-concurrent-index-creation"]);
    assert!(rules("CREATE INDEX ON letters (id);").is_empty());
    assert!(rules("CREATE INDEX ON parts (id);").is_empty(), "two thousand rows, in a partition");
    assert_eq!(rules("ALTER TABLE users ADD n int NOT NULL;"), ["not-null-without-default"]);
    assert_eq!(rules("ALTER TABLE parts ADD n int NOT NULL;"), ["not-null-without-default"]);
    assert!(!rules("ALTER TABLE empty ADD n int NOT NULL;").contains(&"not-null-without-default"));
    assert_eq!(rules("DROP INDEX users_email_key;"), ["require-concurrent-index-deletion"]);
    let key = |column: &str| {
        rules(&format!("ALTER TABLE users ADD FOREIGN KEY ({column}) REFERENCES users (email) NOT VALID;"))
    };
    assert_eq!(key("name"), ["foreign-key-without-index"]);
    assert!(key("email").is_empty());
    // What nobody counted yet is judged by its bytes.
    session
        .batch_execute("CREATE TABLE uncounted AS SELECT n FROM generate_series(1, 400000) n")
        .await
        .expect("rows");
    let facts = look(&session).await.expect("facts");
    let found = judge(&facts, "CREATE INDEX ON uncounted (n);");
    assert!(found[0].evidence[0].contains("never counted"), "{found:#?}");
}

#[tokio::test]
async fn a_hostile_search_path_changes_nothing() {
    let session = session_with(SCHEMA).await;
    let facts = look(&session).await.expect("facts");
    session
        .batch_execute(
            "CREATE SCHEMA evil; CREATE TABLE evil.pg_class (oid oid); CREATE FUNCTION evil.count(oid) RETURNS int \
             LANGUAGE sql AS 'SELECT 1/0'; CREATE FUNCTION evil.lost(name, name) RETURNS bool LANGUAGE sql AS 'SELECT false'; \
             CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.lost); \
             CREATE OPERATOR evil.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.lost); \
             SET search_path = evil, pg_catalog, public",
        )
        .await
        .expect("evil");
    let hostile = look(&session).await.expect("facts all the same");
    let drop = "ALTER TABLE users DROP COLUMN email;";
    assert_eq!(judge(&hostile, drop), judge(&facts, drop));
}

#[tokio::test]
async fn queries_that_ran_are_evidence() {
    let cluster = Cluster::start(&["shared_preload_libraries = 'pg_stat_statements'"]).expect("a server");
    let session = common::session(&cluster.url("postgres", "postgres")).await;
    session.batch_execute(SCHEMA).await.expect("the schema");
    session
        .batch_execute("CREATE SCHEMA stats; CREATE EXTENSION pg_stat_statements SCHEMA stats")
        .await
        .expect("loaded");
    for n in 0..7i64 {
        let query = "SELECT u.id, u.\"email\" FROM public.users AS u WHERE u.id = $1 AND u.name IS NULL";
        session.query(query, &[&n]).await.expect("a query of the application");
    }
    session
        .batch_execute("COPY users (id, email) TO '/dev/null'; ALTER TABLE letters ADD email text")
        .await
        .expect("upkeep");
    let facts = look(&session).await.expect("facts");
    let found = judge(&facts, "ALTER TABLE users DROP COLUMN email;");
    let evidence = &the(&found, "dropped-column-still-used").evidence;
    let queries: Vec<&String> = evidence.iter().filter(|line| line.starts_with("ran ")).collect();
    let expected = "ran 7 times as postgres: SELECT u.id, u.\"email\" FROM public.users AS u WHERE u.id = $1 AND u.name IS NULL";
    assert!(queries.iter().any(|line| *line == expected), "{evidence:#?}");
    assert!(!queries.iter().any(|line| line.contains("COPY") || line.contains("ALTER")), "{evidence:#?}");
    assert!(
        evidence.iter().any(|line| line.starts_with("by pg_stat_statements, which counts since 2")),
        "{evidence:#?}"
    );
    // Who may not read others' queries is told so, and finds less.
    session
        .batch_execute("CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA stats TO guest")
        .await
        .expect("a guest");
    let guest = common::session(&cluster.url("guest", "postgres")).await;
    let facts = look(&guest).await.expect("facts");
    let found = judge(&facts, "ALTER TABLE letters DROP COLUMN id;");
    assert!(
        the(&found, "ban-drop-column").evidence.join("\n").contains("may not be read (pg_read_all_stats)"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn an_extension_that_is_not_loaded_is_told() {
    let session = session_with("CREATE TABLE t (a int)").await;
    let admin =
        common::session(&common::cluster().url("postgres", session_database(&session).await.as_str())).await;
    admin.batch_execute("CREATE EXTENSION pg_stat_statements").await.expect("created");
    let facts = look(&session).await.expect("facts");
    let found = judge(&facts, "ALTER TABLE t DROP COLUMN a;");
    assert!(found[0].evidence.join("\n").contains("pg_stat_statements can't be read: "), "{found:#?}");
}

async fn session_database(session: &Session) -> String {
    session.query_one("SELECT current_database()::text", &[]).await.expect("a name").get(0)
}

#[tokio::test]
async fn the_verb_tells_and_its_exit_code_counts() {
    let p = CommandLine::new("").await;
    p.write("migrations/1.sql", FIRST);
    assert_eq!(p.expect(0, &["migrate", "lint"]).stdout, "nothing to say of 1 migration\n");
    p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(p.expect(0, &["migrate", "lint"]).stdout, "nothing is pending\n");
    p.ask("INSERT INTO users SELECT n, 'x' FROM generate_series(1, 30000) n").await;
    p.ask("ANALYZE users").await;
    p.ask("CREATE VIEW mails AS SELECT email FROM users").await;
    let second = "-- revision: b2\n-- revises: a1\n-- Drop\n\n-- upgrade\nCREATE INDEX i ON users (email);\n\
        ALTER TABLE users DROP COLUMN email;\n";
    p.write("migrations/2.sql", second);
    let told = p.expect(3, &["migrate", "lint"]).stdout;
    assert_eq!(
        told,
        "migrations/2.sql (b2)\n\
         \x20 1: the file as a whole\n\
         \x20   warn missing-downgrade: there is no way back: its downgrade does nothing\n\
         \x20     -> write it, or say in a comment `backstay: irreversible because …`\n\
         \x20 6: CREATE INDEX i ON users (email);\n\
         \x20   error require-concurrent-index-creation: During normal index creation, table updates are blocked, but \
         reads are still allowed\n\
         \x20     users has about 30000 rows, 1.4 MB\n\
         \x20     -> Use concurrently to avoid blocking writes\n\
         \x20     -> CONCURRENTLY needs a script of its own with `-- transaction: off` in its header\n\
         \x20 7: ALTER TABLE users DROP COLUMN email;\n\
         \x20   error dropped-column-still-used: users.email is dropped, and 1 object uses it\n\
         \x20     users has about 30000 rows, 1.4 MB\n\
         \x20     used by view public.mails\n\
         \x20     this is what the catalog knows; pg_stat_statements is not installed in this database\n\
         \x20     -> let the application stop using it first, in a release before this one\n\
         2 errors, 1 warning in 1 migration\n"
    );
    let document = p.json(3, &["migrate", "lint"]);
    assert_eq!((&document["errors"], &document["warnings"]), (&json!(2), &json!(1)));
    assert_eq!(document["findings"][2]["rule"], "dropped-column-still-used");
    assert_eq!(
        (&document["findings"][2]["line"], &document["findings"][2]["statement"]),
        (&json!(7), &json!(2))
    );
    // Offline nobody knows that the table is there already.
    let offline = p.run_with("postgresql://x@127.0.0.1:1/x", &["migrate", "lint", "--offline"]);
    assert_eq!(offline.code, 0, "{}", offline.stdout);
    assert!(
        offline.stdout.contains("warnings in 2 migrations") || offline.stdout.contains("warning in 2"),
        "{}",
        offline.stdout
    );
    let all = p.json(3, &["migrate", "lint", "--all"]);
    assert_eq!(all["revisions"], json!(["a1", "b2"]));
    assert_eq!(p.expect(0, &["migrate", "lint", "a1"]).stdout, "nothing is pending\n");
    // With a reason it passes; the config has the last word.
    p.write(
        "migrations/2.sql",
        &second.replace(
            "CREATE INDEX",
            "-- backstay: allow require-concurrent-index-creation because nobody is here\nCREATE INDEX",
        ),
    );
    p.configure("test", "[lint.rules]\ndropped-column-still-used = \"warn\"\n");
    assert!(p.expect(0, &["migrate", "lint"]).stdout.ends_with("0 errors, 2 warnings in 1 migration\n"));
    p.configure("test", "[lint.rules]\ndropped-column-stil-used = \"warn\"\n");
    p.expect(2, &["migrate", "lint"]).says(&["did you mean `dropped-column-still-used`?"]);
}

#[tokio::test]
async fn the_plan_shows_findings_beside_their_statements() {
    let p = CommandLine::new("").await;
    p.write("migrations/1.sql", FIRST);
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.ask("CREATE VIEW mails AS SELECT email FROM users").await;
    p.write(
        "migrations/2.sql",
        "-- revision: b2\n-- revises: a1\n-- Drop\n\n-- upgrade\nSELECT 1;\n\nALTER TABLE users\n  DROP COLUMN email;\n\
         -- downgrade\nSELECT 1;\n",
    );
    p.write(
        "runbooks/judged.toml",
        "[[before]]\nstep = \"lint\"\n[[before]]\nstep = \"preview\"\n[window]\nfirst_deploy = true\n[[during]]\nstep = \"migrate\"\n",
    );
    p.configure("test", &format!("[maintenance.flag]\nfile = \"{}/flag\"\n", p.path().display()));
    let plan = p.expect(0, &["plan", "judged"]).stdout;
    assert!(plan.contains("lint: 1 error, 0 warnings in 1 migration"), "{plan}");
    assert!(
        plan.contains(
            "SELECT 1;\n\n-- lint: error dropped-column-still-used: users.email is dropped, and 1 object uses it\n"
        ),
        "{plan}"
    );
    assert!(plan.contains("-- lint:   used by view public.mails\n"), "{plan}");
    assert!(!p.json(0, &["plan", "judged"])["sql"].as_str().unwrap_or_default().contains("lint"));
    let refused = p.expect(3, &["run", "judged", "--yes"]);
    refused.says(&["pass the lint", "migrations/2.sql:8: dropped-column-still-used", "allow RULE because"]);
    assert!(!p.path().join("flag").exists());
}
