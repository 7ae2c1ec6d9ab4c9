//! `migrate test`: up, down and up again.

use serde_json::json;

use crate::common;
use crate::common::command_line::CommandLine;
use crate::project::{INDEX, churn_risk};

#[tokio::test]
async fn good_migrations_pass_line_by_line() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    let said = p.expect(0, &["migrate", "test"]).stdout;
    let url = common::cluster().port();
    let wanted = format!(
        "✓ 3 revisions from c08085465bad to {INDEX}: one base, one head, no gaps\n\
         ✓ step by step, +1 -1 +1: 3 of 3 downgrades undo their upgrade wholly\n\
         ✓ upgrade head from empty: 3 revisions\n\
         ✓ downgrade base leaves nothing\n\
         ✓ upgrade head again, in one go: the same schema\n\
         ✓ 10 tables: churn_risk_cards, churn_risk_comments, companies, contacts, integrations, tenants, \
         ticket_topic_assignments, ticket_topics, tickets, users\n\
         ✓ at the end it stands at {INDEX} (head)\n\
         ✓ connected to {0} on 127.0.0.1:{url}\n\
         ✓ the database is at {INDEX} (head)\n\
         ✓ the database has all 10 tables that its migrations make\n\
         \n\
         ✓ 10 checks passed\n  Current revision: {INDEX}\n  Tables in the database: 10\n  Expected tables: 10\n",
        p.database
    );
    assert_eq!(said, wanted);
    assert_eq!(
        p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '\\_\\_%'").await,
        "0"
    );
}

#[tokio::test]
async fn the_real_database_is_looked_at() {
    let p = churn_risk("").await;
    let said = p.expect(0, &["migrate", "test"]).stdout;
    assert!(said.contains("! the database is at no revision, 3 pending: c08085465bad, "), "{said}");
    p.expect(0, &["migrate", "upgrade", "989c"]);
    p.session()
        .await
        .batch_execute("DROP TABLE churn_risk_comments; CREATE TABLE mine (id int)")
        .await
        .unwrap();
    let said = p.expect(3, &["migrate", "test"]).stdout;
    assert!(said.contains("✗ the database lacks 1 of 10 tables: public.churn_risk_comments\n"), "{said}");
    assert!(said.contains("! the database has tables that no migration makes: public.mine\n"), "{said}");
    assert!(said.contains("\n✗ 1 of 9 checks failed, 2 warnings\n"), "{said}");
    let document = p.json(3, &["migrate", "test"]);
    assert_eq!(
        (&document["passed"], &document["tables"], &document["expected_tables"]),
        (&json!(false), &json!(10), &json!(10))
    );
    let failed =
        document["checks"].as_array().unwrap().iter().find(|check| check["outcome"] == "failed").unwrap();
    assert_eq!((&failed["root"], &failed["check"]), (&json!("database"), &json!("tables")));
    // Only the migrations, on a server of one's own.
    let said =
        p.expect(0, &["migrate", "test", "--server", &common::cluster().url("postgres", "postgres")]).stdout;
    assert!(!said.contains("the database"), "{said}");
}

async fn with(files: &[(&str, &str)]) -> CommandLine {
    let p = CommandLine::new("").await;
    for (name, text) in files {
        p.write(&format!("migrations/{name}.sql"), text);
    }
    p
}

#[tokio::test]
async fn a_downgrade_that_does_not_undo_is_found() {
    let first = "-- revision: a\n-- upgrade\nCREATE TABLE t (x int, y int);\nCREATE TYPE mood AS ENUM ('ok');\n\
        -- downgrade\nDROP TABLE t;\n";
    let second = "-- revision: b\n-- revises: a\n-- upgrade\nALTER TABLE t DROP x;\n-- downgrade\nALTER TABLE t ADD x int;\n";
    let p = with(&[("1", first), ("2", second)]).await;
    let said = p.expect(3, &["migrate", "test"]).stdout;
    assert!(
        said.contains(
            "✗ the downgrade of a does not undo its upgrade\n    type public.mood\n      + CREATE TYPE"
        ),
        "{said}"
    );
    // It fails where it is applied again, and says so.
    assert!(
        said.contains("✗ upgrade to a fails\n") && said.contains("type \"mood\" already exists"),
        "{said}"
    );
    p.write("migrations/1.sql", &first.replace("DROP TABLE t;", "DROP TABLE t;\nDROP TYPE mood;"));
    let said = p.expect(0, &["migrate", "test"]).stdout;
    assert!(
        said.contains("! the downgrade of b undoes its upgrade, but for the order of columns\n"),
        "{said}"
    );
}

#[tokio::test]
async fn irreversible_revisions_and_several_heads_are_told() {
    let p = with(&[
        ("1", "-- revision: a\n-- upgrade\nCREATE TABLE t (x int);\n-- downgrade\nDROP TABLE t;\n"),
        ("2", "-- revision: b\n-- revises: a\n-- upgrade\nCREATE TABLE u (x int);\n"),
        ("3", "-- revision: c\n-- revises: a\n-- upgrade\nCREATE TABLE v (x int);\n-- downgrade\nDROP TABLE v;\n"),
    ])
    .await;
    let said = p.expect(0, &["migrate", "test"]).stdout;
    for text in [
        "! 3 revisions, no gaps, but 2 heads: b, c; ",
        "✓ step by step, +1 -1 +1: 2 of 3 downgrades undo their upgrade wholly\n",
        "! b is irreversible: it has no downgrade\n",
        "! downgrade base is not tried: no way back from b\n",
        "✓ 3 tables: t, u, v\n",
        "✓ at the end it stands at b, c (head)\n",
    ] {
        assert!(said.contains(text), "no {text:?} in\n{said}");
    }
}

#[tokio::test]
async fn failing_scripts_and_broken_chains_are_findings() {
    let good = "-- revision: a\n-- upgrade\nCREATE TABLE t (x int);\n-- downgrade\nDROP TABLE t;\n";
    let p = with(&[("1", good), ("2", "-- revision: b\n-- revises: a\n-- upgrade\nSELECT 1/0;\n")]).await;
    let said = p.expect(3, &["migrate", "test"]).stdout;
    assert!(
        said.contains("✗ upgrade to b fails\n    could not upgrade b at ")
            && said.contains("division by zero"),
        "{said}"
    );
    p.write(
        "migrations/2.sql",
        "-- revision: b\n-- revises: a\n-- upgrade\nSELECT 1;\n-- downgrade\nSELECT 1/0;\n",
    );
    let said = p.expect(3, &["migrate", "test"]).stdout;
    assert!(said.contains("✗ downgrade of b fails\n"), "{said}");
    p.write("migrations/2.sql", "-- revision: b\n-- revises: nowhere\n-- upgrade\nSELECT 1;\n");
    let said = p.expect(3, &["migrate", "test"]).stdout;
    assert!(
        said.contains("✗ the files make no chain of revisions\n") && said.contains("gap in the chain"),
        "{said}"
    );
    assert_eq!(
        p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '\\_\\_%'").await,
        "0"
    );
}
