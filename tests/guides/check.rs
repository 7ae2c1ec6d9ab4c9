//! `migrate check`: drift, object by object.

use serde_json::json;

use crate::common;
use crate::project::{INDEX, PRIORITY, churn_risk};

#[tokio::test]
async fn a_schema_that_its_migrations_made() {
    let p = churn_risk("").await;
    let empty = p.expect(0, &["migrate", "check"]).stdout;
    assert!(empty.contains("is what its migrations make: 0 tables, 0 objects"), "{empty}");
    p.expect(0, &["migrate", "upgrade", PRIORITY]);
    let said = p.expect(0, &["migrate", "check"]).stdout;
    assert!(said.contains("is what its migrations make: 10 tables, "), "{said}");
    assert!(said.contains(&format!("main: pending, and so not compared: {INDEX}")), "{said}");
    p.expect(0, &["migrate", "upgrade", "head"]);
    let document = p.json(0, &["migrate", "check"]);
    assert_eq!(
        (&document["holds"], &document["tables"], &document["drift"]),
        (&json!(true), &json!(10), &json!([]))
    );
    assert_eq!(document["migrations"][0]["revisions"], json!([INDEX]));
    assert_eq!(
        p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '\\_\\_%'").await,
        "0"
    );
}

#[tokio::test]
async fn drift_is_told_object_by_object() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    let by_hand = "CREATE INDEX users_email_idx ON users (email); DROP INDEX tickets_priority; \
        ALTER TABLE tickets ALTER priority TYPE bigint; CREATE TABLE \"odd; Type: VIEW; Schema: x\" (\"a\"\"b\" text); \
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'";
    p.session().await.batch_execute(by_hand).await.unwrap();
    let said = p.expect(3, &["migrate", "check"]).stdout;
    for text in [
        "is not what its migrations make: 5 objects of drift",
        "\n~ table public.tickets: differs\n",
        "\n    -     priority integer,\n",
        "\n    +     priority bigint,\n",
        "\n- index public.tickets_priority: in the migrations, not in the database\n    - CREATE INDEX",
        "\n+ index public.users_email_idx: in the database, not in the migrations\n    + CREATE INDEX users_email_idx ON",
        "\n+ table public.odd; Type: VIEW; Schema: x: in the database",
        "\n+ function public.f(): in the database",
    ] {
        let found = said.contains(text)
            || said.contains(&text.replace("integer,", "integer").replace("bigint,", "bigint"));
        assert!(found, "no {text:?} in\n{said}");
    }
    let document = p.json(3, &["migrate", "check"]);
    let drift = document["drift"].as_array().unwrap();
    assert_eq!((drift.len(), &document["holds"]), (5, &json!(false)));
    let index = drift.iter().find(|d| d["name"] == "users_email_idx").unwrap();
    assert_eq!((&index["kind"], &index["change"]), (&json!("index"), &json!("unexpected")));
    assert!(index["migrations"].is_null() && index["database"].as_str().unwrap().starts_with("CREATE INDEX"));
}

#[tokio::test]
async fn what_is_no_drift() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    let admin = common::session(&common::cluster().url("postgres", &p.database)).await;
    // What an administrator does: an extension that nobody else may install, privileges, another owner.
    let by_admin = format!(
        "CREATE EXTENSION pg_stat_statements; COMMENT ON EXTENSION pg_stat_statements IS 'ours'; \
         GRANT SELECT ON users TO pg_monitor; ALTER TABLE tickets OWNER TO postgres; GRANT ALL ON tickets TO {0}; \
         CREATE SCHEMA audit; CREATE TABLE audit.log (id int); GRANT ALL ON SCHEMA audit TO {0}; GRANT ALL ON audit.log TO {0}",
        p.database
    );
    admin.batch_execute(&by_admin).await.unwrap();
    let said = p.expect(3, &["migrate", "check", "-e", "test"]).stdout;
    assert!(said.contains(": 2 objects of drift") && said.contains("+ schema audit"), "{said}");
    p.expect(0, &["migrate", "check", "-e", "test", "--ignore-schema", "aud*"]);
    p.configure("other", "[drift]\nignore_schemas = [\"audit\"]\nowners = true");
    let said = p.expect(3, &["migrate", "check", "-e", "other"]).stdout;
    assert!(said.contains("~ table public.tickets") && said.contains("OWNER TO postgres"), "{said}");
    let said =
        p.expect(3, &["migrate", "check", "-e", "test", "--ignore-schema", "audit", "--privileges"]).stdout;
    assert!(said.contains("GRANT SELECT ON TABLE public.users TO pg_monitor"), "{said}");
}

#[tokio::test]
async fn where_the_migrations_lack_something() {
    let p = churn_risk("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    // By now it needs something that no migration makes.
    let text =
        "-- revision: f1\n-- revises: 20251117000000\n-- upgrade\nCREATE VIEW v AS SELECT * FROM by_hand;\n";
    p.write("migrations/4.sql", text);
    p.session().await.batch_execute("CREATE TABLE by_hand (id int)").await.unwrap();
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.expect(3, &["migrate", "check"]).says(&[
        "could not run the migrations on a scratch database",
        "relation \"by_hand\" does not exist",
        "the database itself was only read",
    ]);
    std::fs::remove_file(p.path().join("migrations/4.sql")).unwrap();
    p.expect(3, &["migrate", "check"]).says(&["the database is at f1, which no file in"]);
    assert_eq!(
        p.ask("SELECT count(*) FROM pg_database WHERE datname LIKE current_database() || '\\_\\_%'").await,
        "0"
    );
}

#[tokio::test]
async fn a_restored_database_has_not_drifted() {
    let p = churn_risk("[store]\nurl = \"file://./store\"").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.expect(0, &["backup", "create"]);
    let restored = format!("{}_restored", p.database);
    p.expect(0, &["backup", "restore", "latest", "--as", &restored]);
    let (server, _) = p.url.rsplit_once('/').unwrap();
    let url = format!("{server}/{restored}");
    let answer = p.run_with(&url, &["migrate", "check"]);
    assert_eq!(answer.code, 0, "{answer:?}");
}
