//! The whole lint, from text to findings.

use std::path::Path;

use super::facts::{Dependent, DependentKind, Index, Queries, Query, Relation, Routine};
use super::*;

/// A shop: `orders` is big, `users` is big, `settings` is small, `drafts` is empty.
fn shop() -> Facts {
    let table = |oid, rows: u64, bytes, columns: &[(&str, &str)]| Relation {
        oid,
        rows: Some(rows),
        bytes,
        columns: columns.iter().map(|(name, ty)| (name.to_string(), ty.to_string())).collect(),
        ..Relation::default()
    };
    let mut facts = Facts { version: 150_008, search_path: vec!["public".into()], ..Facts::default() };
    let mut add = |name: &str, relation| facts.relations.insert(("public".into(), name.into()), relation);
    let columns =
        [("id", "bigint"), ("user_id", "bigint"), ("note", "character varying(40)"), ("status", "status")];
    add("orders", table(1, 1_200_000, 310_000_000, &columns));
    let mut users = table(2, 80_000, 20_000_000, &[("id", "bigint"), ("email", "text"), ("name", "text")]);
    users.indexes =
        vec![Index { schema: "public".into(), name: "users_email".into(), columns: vec!["email".into()] }];
    add("users", users);
    add("settings", table(3, 12, 8_192, &[("key", "text"), ("value", "character varying(40)")]));
    add("drafts", table(4, 0, 0, &[("id", "bigint"), ("email", "text")]));
    add("totals", table(5, 40_000, 30_000_000, &[("sum", "bigint")]));
    facts.enums.insert(("public".into(), "status".into()), ["new", "paid", "lost"].map(String::from).into());
    facts.queries = Queries::Unknown("pg_stat_statements is not installed in this database".into());
    facts
}

fn subject(head: &str, up: &str) -> Subject {
    let text = format!("-- revision: r1\n-- Text\n{head}-- upgrade\n{up}\n-- downgrade\nSELECT 1;\n");
    Subject::of(&text, Path::new("1.sql")).unwrap_or_else(|(line, fault)| panic!("{line}: {fault}: {text}"))
}

fn findings(facts: Option<&Facts>, up: &str) -> Vec<Finding> {
    lint(&[subject("", up)], facts, &Policy::default()).unwrap()
}

/// The names of the rules that speak, in order.
fn rules_of(up: &str) -> Vec<&'static str> {
    findings(Some(&shop()), up).iter().map(|finding| finding.rule).collect()
}

/// As [`rules_of`], outside a transaction.
fn rules_outside(up: &str) -> Vec<&'static str> {
    let subjects = [subject("-- transaction: off\n", up)];
    lint(&subjects, Some(&shop()), &Policy::default()).unwrap().iter().map(|finding| finding.rule).collect()
}

#[test]
fn what_blocks_a_big_table_is_told_and_a_small_one_is_not() {
    for (sql, rule) in [
        ("CREATE INDEX i ON {} (id);", "require-concurrent-index-creation"),
        ("ALTER TABLE {} ADD CONSTRAINT c CHECK (id > 0);", "constraint-missing-not-valid"),
        (
            "ALTER TABLE {} ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES settings (key);",
            "adding-foreign-key-constraint",
        ),
        ("ALTER TABLE {} ALTER id SET NOT NULL;", "adding-not-nullable-field"),
        ("ALTER TABLE {} ADD COLUMN r float DEFAULT random();", "adding-field-with-default"),
        ("ALTER TABLE {} ADD UNIQUE (id);", "disallowed-unique-constraint"),
        ("UPDATE {} SET id = 1;", "update-without-where"),
        ("LOCK TABLE {};", "lock-table"),
        ("ALTER TABLE {} SET TABLESPACE fast;", "set-tablespace"),
        ("ALTER TABLE {} SET UNLOGGED;", "set-logged-unlogged"),
        ("CREATE TRIGGER t AFTER INSERT ON {} EXECUTE FUNCTION f();", "create-trigger-locks"),
        ("CLUSTER {} USING i;", "cluster"),
        ("REFRESH MATERIALIZED VIEW {};", "refresh-materialized-view"),
        ("REINDEX TABLE {};", "require-concurrent-reindex"),
    ] {
        let on = |table: &str| rules_of(&sql.replace("{}", table));
        let expected: Vec<&str> = on("orders").into_iter().filter(|name| *name == rule).collect();
        assert_eq!(expected, [rule], "{sql}: {:?}", on("orders"));
        assert!(!on("settings").contains(&rule), "{sql} on a small table");
        let made = format!("CREATE TABLE orders2 (id bigint);\n{}", sql.replace("{}", "orders2"));
        assert!(!rules_of(&made).contains(&rule), "{sql} on a new table");
        let quoted = on("\"Orders\"");
        assert!(quoted.contains(&rule), "{sql} on a table that nobody knows: {quoted:?}");
    }
    assert_eq!(rules_outside("VACUUM FULL orders;"), ["vacuum-full"]);
    assert_eq!(rules_outside("VACUUM (FULL, ANALYZE) orders;"), ["vacuum-full"]);
    assert_eq!(rules_outside("VACUUM FULL;"), ["vacuum-full"]);
    assert!(rules_outside("VACUUM FULL settings; VACUUM orders;").is_empty());
}

#[test]
fn a_finding_says_where_what_and_how_much() {
    let found = &findings(Some(&shop()), "SELECT 1;\n\nCREATE INDEX i\n  ON orders (id);")[0];
    assert_eq!((found.line, found.statement, found.excerpt.as_str()), (6, Some(2), "CREATE INDEX i"));
    assert_eq!((found.level, found.revision.as_str()), (Level::Error, "r1"));
    assert_eq!(found.evidence, ["orders has about 1200000 rows, 310.0 MB"]);
    assert!(found.help[1].contains("transaction: off"), "{:?}", found.help);
    let text = show(std::slice::from_ref(found)).join("\n");
    assert!(
        text.starts_with("1.sql (r1)\n  6: CREATE INDEX i\n    error require-concurrent-index-creation: "),
        "{text}"
    );
    assert_eq!(tally(std::slice::from_ref(found)), "1 error, 0 warnings");
}

#[test]
fn new_tables_of_earlier_migrations_are_known() {
    let subjects =
        [subject("", "CREATE TABLE fresh (id bigint);"), subject("", "CREATE INDEX i ON public.fresh (id);")];
    for facts in [Some(&shop()), None] {
        assert_eq!(lint(&subjects, facts, &Policy::default()).unwrap(), []);
    }
    let renamed = "ALTER TABLE orders RENAME TO purchases;\nCREATE INDEX i ON purchases (id);";
    assert!(rules_of(renamed).contains(&"require-concurrent-index-creation"));
    assert!(rules_of("DO $$ BEGIN CREATE TABLE x (a int); END $$;\nCREATE INDEX ON x (a);").is_empty());
}

#[test]
fn without_a_database_files_speak_for_themselves() {
    let rules: Vec<&str> = findings(None, "CREATE INDEX i ON settings (key);\nALTER TABLE users DROP email;")
        .iter()
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(rules, ["require-concurrent-index-creation", "ban-drop-column"]);
    assert!(findings(None, "CREATE TABLE t (a int); CREATE INDEX ON t (a);").is_empty());
}

#[test]
fn types_that_widen_are_free() {
    assert!(rules_of("ALTER TABLE orders ALTER note TYPE varchar(80);").is_empty());
    assert!(rules_of("ALTER TABLE orders ALTER note TYPE text USING note::text;").is_empty());
    assert_eq!(rules_of("ALTER TABLE orders ALTER note TYPE varchar(20);"), ["type-change-rewrites"]);
    assert_eq!(
        rules_of("ALTER TABLE orders ALTER note TYPE text USING upper(note);"),
        ["type-change-rewrites"]
    );
    assert_eq!(rules_of("ALTER TABLE orders ALTER id TYPE int;"), ["type-change-rewrites"]);
    assert!(rules_of("ALTER TABLE settings ALTER value TYPE int USING value::int;").is_empty());
}

#[test]
fn required_columns_need_a_value_for_the_rows_there_are() {
    assert_eq!(rules_of("ALTER TABLE settings ADD COLUMN n int NOT NULL;"), ["not-null-without-default"]);
    assert!(!rules_of("ALTER TABLE drafts ADD COLUMN n int NOT NULL;").contains(&"not-null-without-default"));
    assert!(rules_of("ALTER TABLE settings ADD COLUMN n int NOT NULL DEFAULT 0;").is_empty());
    assert!(
        rules_of("ALTER TABLE settings ADD COLUMN n int GENERATED ALWAYS AS IDENTITY NOT NULL;").is_empty()
    );
}

#[test]
fn enum_values_that_go_are_named_once() {
    let swap = "ALTER TYPE status RENAME TO status_old;\nCREATE TYPE status AS ENUM ('new', 'paid');\n\
        ALTER TABLE orders ALTER status TYPE status USING status::text::status;\nDROP TYPE status_old;";
    let other = "CREATE TYPE status_new AS ENUM ('new', 'paid');\n\
        ALTER TABLE orders ALTER status TYPE status_new USING status::text::status_new;\n\
        DROP TYPE status;\nALTER TYPE status_new RENAME TO status;";
    for sql in [swap, other] {
        let found = findings(Some(&shop()), sql);
        let of: Vec<&Finding> = found.iter().filter(|f| f.rule == "enum-value-removed").collect();
        assert_eq!(of.len(), 1, "{sql}: {found:#?}");
        assert_eq!(of[0].what, "status loses 'lost': rows and code that have it fail");
        assert_eq!(of[0].evidence, ["orders.status is of this type"]);
    }
    let renamed = findings(Some(&shop()), "ALTER TYPE status RENAME VALUE 'lost' TO 'void';");
    assert!(renamed.iter().any(|f| f.what.contains("'lost' of status is called 'void'")), "{renamed:?}");
    assert!(!rules_of("ALTER TYPE status ADD VALUE 'sent';").contains(&"enum-value-removed"));
    assert!(rules_of("CREATE TYPE mood AS ENUM ('a');").is_empty());
}

#[test]
fn rows_are_not_written_under_a_lock() {
    let sql = "ALTER TABLE users ADD COLUMN full_name text;\nUPDATE orders SET note = 'x' WHERE id < 5;";
    assert_eq!(rules_of(sql), ["backfill-in-transaction-with-ddl"]);
    assert!(
        rules_of("ALTER TABLE users ADD COLUMN a text;\nUPDATE settings SET value = 'x' WHERE key = 'y';")
            .is_empty()
    );
    assert!(rules_outside(sql).is_empty());
    assert!(rules_outside("-- batch: 10000\nUPDATE orders SET note = 'x';").is_empty());
    let two = "ALTER TABLE users ADD COLUMN a int;\nALTER TABLE orders ADD COLUMN b int;\nALTER TABLE orders ADD c int;";
    let found = findings(Some(&shop()), two);
    assert_eq!(
        found.iter().map(|f| (f.rule, f.line)).collect::<Vec<_>>(),
        [("second-access-exclusive-lock", 5)]
    );
    assert_eq!(found[0].evidence.len(), 2);
    assert!(rules_of("ALTER TABLE drafts ADD a int;\nALTER TABLE settings ADD b int;").is_empty());
}

#[test]
fn foreign_keys_want_an_index() {
    let key = "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;";
    assert_eq!(rules_of(key), ["foreign-key-without-index"]);
    let with = [
        subject("", key),
        subject("-- transaction: off\n", "CREATE INDEX CONCURRENTLY i ON orders (user_id, id);"),
    ];
    assert_eq!(lint(&with, Some(&shop()), &Policy::default()).unwrap(), []);
}

#[test]
fn partitions_are_attached_behind_a_check() {
    let mut facts = shop();
    let parent = Relation { partitioned_by: vec!["id".into()], ..Relation::default() };
    facts.relations.insert(("public".into(), "all_orders".into()), parent);
    let attach = "ALTER TABLE all_orders ATTACH PARTITION orders FOR VALUES FROM (1) TO (9);";
    let rules =
        |facts: &Facts| -> Vec<&str> { findings(Some(facts), attach).iter().map(|f| f.rule).collect() };
    assert_eq!(rules(&facts), ["attach-partition"]);
    facts.relations.get_mut(&("public".into(), "orders".into())).unwrap().checks = vec![vec!["id".into()]];
    assert!(rules(&facts).is_empty());
}

#[test]
fn what_is_dropped_and_still_used_is_shown_with_who_uses_it() {
    let mut facts = shop();
    let view = Dependent {
        relation: 2,
        column: Some("email".into()),
        kind: DependentKind::View,
        words: "view public.contacts".into(),
        schema: "public".into(),
        name: "contacts".into(),
        owner: Some(77),
    };
    facts.dependents = vec![view];
    facts.routines = vec![Routine {
        schema: "public".into(),
        name: "mail".into(),
        words: "mail(bigint)".into(),
        body: "SELECT email FROM users WHERE id = $1".into(),
        ..Routine::default()
    }];
    let query = |text: &str, calls| Query { text: text.into(), calls, role: "shop".into() };
    facts.queries = Queries::Seen {
        queries: vec![
            query("SELECT u.id, u.email FROM users u WHERE u.id = $1", 40_312),
            query("SELECT * FROM users", 3),
            query("SELECT email FROM drafts", 9),
        ],
        since: Some("2026-01-02".into()),
        hidden: 1,
    };
    let found = findings(Some(&facts), "ALTER TABLE users DROP COLUMN email;");
    assert_eq!(found.iter().map(|f| f.rule).collect::<Vec<_>>(), ["dropped-column-still-used"]);
    assert_eq!(found[0].what, "users.email is dropped, and 2 objects and 1 query that ran use it");
    assert_eq!(
        found[0].evidence,
        [
            "users has about 80000 rows, 20.0 MB",
            "used by view public.contacts",
            "used by the body of function mail(bigint)",
            "ran 40312 times as shop: SELECT u.id, u.email FROM users u WHERE u.id = $1",
            "1 query reads all of its columns (*)",
            "by pg_stat_statements, which counts since 2026-01-02; 1 statement of other roles may not be read \
             (pg_read_all_stats)",
        ]
    );
    let of = |sql: &str| findings(Some(&facts), sql);
    // What the migration sees to is no use any more; queries are.
    let seen_to = of(
        "DROP VIEW contacts;\nCREATE OR REPLACE FUNCTION mail(bigint) RETURNS text LANGUAGE sql RETURN 'x';\n\
        ALTER TABLE users DROP COLUMN email;",
    );
    let last = seen_to.iter().find(|f| f.rule == "dropped-column-still-used").unwrap();
    assert_eq!(last.what, "users.email is dropped, and 1 query that ran uses it");
    // A view follows a rename; a body and a query do not.
    let renamed = of("ALTER TABLE users RENAME email TO mail;");
    assert_eq!(renamed[0].rule, "renamed-column-still-used");
    assert!(!renamed[0].evidence.join("\n").contains("contacts"), "{renamed:?}");
    assert_eq!(of("ALTER TABLE users RENAME TO people;")[0].rule, "renamed-table-still-used");
    assert_eq!(of("DROP TABLE users;")[0].rule, "dropped-table-still-used");
    assert!(of("ALTER TABLE users DROP COLUMN name;")[0].rule == "ban-drop-column");
    // In an empty table too: the code is there, if the rows are not.
    assert_eq!(of("ALTER TABLE drafts DROP COLUMN email;")[0].rule, "dropped-column-still-used");
}

#[test]
fn what_nobody_uses_is_said_with_what_was_asked() {
    let mut facts = shop();
    let found = findings(Some(&facts), "ALTER TABLE users DROP COLUMN name;");
    let nothing = "the catalog knows of no use; pg_stat_statements is not installed in this database, so nothing is known of queries";
    assert_eq!((found[0].rule, found[0].evidence[1].as_str()), ("ban-drop-column", nothing));
    facts.queries = Queries::Seen { queries: vec![], since: None, hidden: 0 };
    let found = findings(Some(&facts), "DROP TABLE totals;");
    assert_eq!(
        found[0].evidence[1],
        "the catalog knows of no use, and none of the 0 statements that ran names it"
    );
}

#[test]
fn comments_allow_and_are_held_to_it() {
    let index = "CREATE INDEX i ON orders (id);";
    let with = |comment: &str| rules_of(&format!("{comment}\n{index}"));
    let none: [&str; 0] = [];
    assert_eq!(with("-- backstay: allow require-concurrent-index-creation because the window is long"), none);
    assert_eq!(with("-- squawk-ignore require-concurrent-index-creation"), none);
    assert_eq!(
        with("-- backstay: allow require-concurrent-index-creation"),
        ["malformed-allow", "require-concurrent-index-creation"]
    );
    assert_eq!(
        with("-- backstay: allow vacuum-full because x"),
        ["require-concurrent-index-creation", "unused-allow"]
    );
    assert_eq!(with("-- squawk-ignore no-such-rule").len(), 2);
    let whole = |head: &str| {
        let found = lint(&[subject(head, index)], Some(&shop()), &Policy::default()).unwrap();
        found.iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(whole("-- backstay: allow require-concurrent-index-creation because x\n"), none);
    assert_eq!(whole("-- squawk-ignore-file require-concurrent-index-creation\n"), none);
    // Where the table is small there is nothing to allow, and on the next server there is.
    assert_eq!(
        rules_of(
            "-- backstay: allow require-concurrent-index-creation because x\nCREATE INDEX i ON settings (key);"
        ),
        none
    );
    // A comment is about the statement below it, and no other.
    let second = format!(
        "-- backstay: allow require-concurrent-index-creation because x\n{index}\n{}",
        index.replace("i ON", "j ON")
    );
    assert_eq!(rules_of(&second), ["require-concurrent-index-creation"]);
}

#[test]
fn migrations_of_another_tool_are_judged_by_their_sql() {
    let statements = [
        "CREATE TABLE fresh (a int);",
        "-- why\nCREATE INDEX i ON orders (id);",
        "ALTER TABLE fresh ADD b int NOT NULL;",
    ];
    let rendered = |comments: &[&str]| {
        let source = Rendered {
            revision: "c08085465bad".into(),
            path: "versions/c0_x.py".into(),
            statements: statements.map(String::from).into(),
            transactional: true,
            reversible: true,
            unwritten: None,
            comments: comments.iter().map(|text| (3, text.to_string())).collect(),
        };
        lint(&[Subject::from(source)], Some(&shop()), &Policy::default()).unwrap()
    };
    let found = rendered(&[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (found[0].line, found[0].statement, found[0].excerpt.as_str()),
        (0, Some(2), "CREATE INDEX i ON orders (id);")
    );
    assert!(show(&found)[1].starts_with("  statement 2: CREATE INDEX"), "{:?}", show(&found));
    assert!(rendered(&["backstay: allow require-concurrent-index-creation because x"]).is_empty());
    let malformed = rendered(&["backstay: allow vacuum-full"]);
    assert!(malformed.iter().any(|f| (f.rule, f.line) == ("malformed-allow", 3)), "{malformed:#?}");
}

#[test]
fn levels_are_the_projects_own() {
    let judged = |rule: &str, level| {
        let policy = Policy { levels: [(rule.to_string(), level)].into(), ..Policy::default() };
        lint(&[subject("", "CREATE INDEX i ON orders (id);")], Some(&shop()), &policy).unwrap()
    };
    assert!(judged("require-concurrent-index-creation", Level::Off).is_empty());
    assert_eq!(judged("require-concurrent-index-creation", Level::Warn)[0].level, Level::Warn);
    let small = Policy { small_table_rows: 2_000_000, small_table_bytes: 1 << 30, ..Policy::default() };
    assert!(
        lint(&[subject("", "CREATE INDEX i ON orders (id);")], Some(&shop()), &small).unwrap().is_empty()
    );
    // What is off by itself can be asked for.
    let typed =
        Policy { levels: [("prefer-text-field".to_string(), Level::Error)].into(), ..Policy::default() };
    assert_eq!(
        lint(&[subject("", "CREATE TABLE t (a varchar(3));")], None, &typed).unwrap()[0].rule,
        "prefer-text-field"
    );
}

#[test]
fn the_way_back_is_asked_for() {
    let rules = |down: &str| {
        let text = format!("-- revision: r\n-- T\n-- upgrade\nSELECT 1;\n{down}");
        let subject = Subject::of(&text, Path::new("1.sql")).unwrap();
        let found = lint(&[subject], None, &Policy::default()).unwrap();
        found.iter().map(|f| (f.rule, f.line)).collect::<Vec<_>>()
    };
    assert_eq!(rules(""), [("missing-downgrade", 1)]);
    assert_eq!(rules("-- downgrade\n"), [("missing-downgrade", 1)]);
    assert_eq!(rules("-- downgrade\n-- backstay: irreversible because x\n"), [("irreversible-downgrade", 6)]);
    assert_eq!(rules("-- downgrade\nSELECT 1;"), []);
}

#[test]
fn what_can_not_be_read_or_probed_is_told() {
    assert_eq!(rules_of("ALTER TABLE orders FROBNICATE;"), ["unparsed-statement"]);
    let deep = format!("SELECT {}1{};", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(rules_of(&deep), ["unparsed-statement"]);
    assert_eq!(rules_outside("CREATE INDEX CONCURRENTLY ON orders (id);"), ["not-probeable"]);
    assert_eq!(rules_outside("CALL backfill();"), ["not-probeable"]);
    assert!(rules_outside("-- idempotent\nCALL backfill();").is_empty());
    assert!(rules_of("CALL backfill();").is_empty());
    assert!(rules_outside("ALTER SYSTEM SET work_mem = '1MB'; VACUUM orders;").is_empty());
    assert!(rules_outside("CREATE INDEX CONCURRENTLY i ON orders (id);").is_empty());
}

#[test]
fn a_hostile_name_stays_in_its_line() {
    let sql = "ALTER TABLE orders RENAME note TO \"\u{1b}[31m\nDROP TABLE orders; --\";";
    let mut facts = shop();
    facts.queries = Queries::Seen {
        queries: vec![Query { text: "SELECT note\nFROM orders\u{1b}".into(), calls: 1, role: "a\nb".into() }],
        since: None,
        hidden: 0,
    };
    let found = findings(Some(&facts), sql);
    assert_eq!(found[0].rule, "renamed-column-still-used", "{found:#?}");
    let told = show(&found);
    assert!(told.iter().all(|line| !line.contains(char::is_control)), "{told:#?}");
}

#[test]
fn no_text_makes_it_panic() {
    const PIECES: [&str; 30] = [
        "ALTER TABLE ",
        "orders ",
        "DROP COLUMN ",
        "\"é\" ",
        "users.email ",
        ", ",
        "(",
        ")",
        "ADD ",
        "NOT NULL ",
        "UPDATE ",
        "SET ",
        "= ",
        "1 ",
        "'x' ",
        "SELECT ",
        "* ",
        "FROM ",
        "WITH x AS ",
        "DO $$ BEGIN ",
        "END $$ ",
        "CREATE TYPE t AS ENUM ",
        "RENAME ",
        "TO ",
        "-- backstay: allow \n",
        "-- squawk-ignore x\n",
        "::int[] ",
        "U&\"\\00e9\" ",
        "INSERT INTO ",
        "🦀 ",
    ];
    let facts = shop();
    let mut seed = 7u64;
    let mut read = 0;
    for _ in 0..600 {
        let mut text = String::new();
        for _ in 0..9 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
        }
        let whole = format!("-- revision: r\n-- T\n-- upgrade\n{text};\n-- downgrade\nSELECT 1;\n");
        let Ok(subject) = Subject::of(&whole, Path::new("1.sql")) else { continue };
        read += 1;
        lint(&[subject], Some(&facts), &Policy::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    assert!(read > 60, "only {read} texts were migrations at all");
}
