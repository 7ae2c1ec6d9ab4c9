//! Databases and roles with names that shells, URLs and SQL trip over: a whole good release and a put-back.

use backstay::backup::fingerprint::{self, Content};
use backstay::backup::schema::schema_of;
use backstay::event::Progress;
use backstay::pg::{ConnInfo, quote_ident};

use crate::common::project::Project;
use crate::common::{cluster, session};

/// Moves the project's shop to a database, and a role, of this name.
async fn rename(project: &Project, name: &str) -> ConnInfo {
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let odd = quote_ident(name);
    for statement in [
        format!("ALTER DATABASE {} RENAME TO {odd}", project.name),
        format!("ALTER ROLE {} RENAME TO {odd}", project.name),
    ] {
        admin.batch_execute(&statement).await.expect("a new name");
    }
    let quoted = name.replace('\\', r"\\").replace('\'', r"\'");
    let text = format!("host=127.0.0.1 port={} dbname='{quoted}' user='{quoted}'", cluster().port());
    let shell = text.replace('\'', r"'\''");
    project.edit(
        ".env.production",
        &format!("DATABASE_URL={}", project.url()),
        &format!("DATABASE_URL='{shell}'"),
    );
    ConnInfo::parse(&text).expect("a text that libpq would understand")
}

async fn state(info: &ConnInfo) -> (String, Content) {
    let options = fingerprint::Options::default();
    let schema = schema_of(info, &options.session).await.expect("a schema dump");
    (schema, fingerprint::database(info, &options, &Progress::none()).await.expect("the content"))
}

async fn good_release_and_put_back(name: &str) {
    let project = Project::shop().await;
    let info = rename(&project, name).await;
    project.run(&["doctor"]).expect(0);
    project.run(&["run", "release", "--yes"]).expect(0);
    let before = state(&info).await;
    assert!(before.0.contains("priority"), "the release was applied");
    project.write(
        "migrations/bad.sql",
        "-- revision: bad000000001\n-- revises: c08085465bad\n-- Fails half-way\n-- transaction: off\n\n-- upgrade\n\
         ALTER TABLE orders DROP COLUMN note;\nSELECT 1 / 0;\n\n-- downgrade\nSELECT 1;\n",
    );
    let ended = project.run(&["run", "release", "--yes"]).expect(4);
    assert!(ended.err.contains("division by zero"), "{}", ended.err);
    let after = state(&info).await;
    assert_eq!(before.0, after.0, "{name}: the schema");
    assert!(before.1.differences(&after.1).is_empty(), "{name}: the content");
    assert!(!project.flag_is_up());
    let status = project.run(&["status"]).expect(0);
    assert!(status.out.contains("open"), "{}", status.out);
    project.run(&["cleanup", "--yes", "--older-than", "0s"]).expect(0);
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let query = "SELECT count(*) FROM pg_database WHERE left(datname, 12) = left($1, 12) AND datname <> $1";
    let left: i64 = admin.query_one(query, &[&name]).await.expect("databases").get(0);
    assert_eq!(left, 0, "{name}: cleanup left something");
}

#[tokio::test]
async fn quotes() {
    good_release_and_put_back(r#"o'neil "the shop" \ $x"#).await;
}

#[tokio::test]
async fn spaces_and_signs() {
    good_release_and_put_back(" My Shop; DROP--/*%s*/ a=b&c?#@:1 ").await;
}

#[tokio::test]
async fn unicode() {
    good_release_and_put_back("Käseladen 🧀 ünïcode").await;
}

#[tokio::test]
async fn sixty_three_bytes() {
    good_release_and_put_back(&format!("{}é", "x".repeat(61))).await;
}

#[tokio::test]
async fn a_name_like_one_of_ours() {
    good_release_and_put_back("shop__w_20261120t230205z-k3f9_1").await;
}
