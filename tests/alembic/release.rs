//! A release of an Alembic project: previewed, migrated behind the fence, put back where it fails.

use crate::backend::{self, ENV, INI};
use crate::common::project::Project;

fn migration(p: &Project, id: &str, down: &str, upgrade: &str) {
    let text = format!(
        "\"\"\"About {id}\"\"\"\nfrom alembic import op\nimport sqlalchemy as sa\n\nrevision = '{id}'\ndown_revision = {down}\n\n\n\
         def upgrade():\n    {upgrade}\n\n\ndef downgrade():\n    op.execute('SELECT 1')\n"
    );
    p.write(&format!("alembic/versions/{id}.py"), &text);
}

/// The first migration is applied, with a hundred rows.
async fn project() -> Project {
    let p = Project::empty().await;
    p.edit(
        "config/production.toml",
        "[store]",
        &format!("[migrations]\ntool = \"alembic\"\ncommand = [\"{}\"]\n\n[store]", backend::alembic()),
    );
    std::fs::create_dir_all(p.path("alembic/versions")).expect("a folder");
    p.write("alembic.ini", INI);
    p.write("alembic/env.py", ENV);
    migration(&p, "aaaa00000001", "None", "op.execute('CREATE TABLE users (id int PRIMARY KEY)')");
    p.run(&["migrate", "upgrade", "head", "--unguarded"]).expect(0);
    let owner = crate::common::session(&p.url()).await;
    owner.batch_execute("INSERT INTO users SELECT generate_series(1, 100)").await.expect("rows");
    p
}

#[tokio::test]
async fn a_good_release_is_previewed_and_applied() {
    let p = project().await;
    // It asks the database: its SQL can't be written, and the release goes on all the same.
    migration(
        &p,
        "bbbb00000002",
        "'aaaa00000001'",
        "assert op.get_bind().execute(sa.text('SELECT count(*) FROM users')).scalar() == 100",
    );
    // And another's SQL is another each time that it is written.
    migration(
        &p,
        "cccc00000003",
        "'bbbb00000002'",
        "import uuid; op.execute(f\"CREATE TABLE t (x text DEFAULT '{uuid.uuid4()}')\")",
    );
    let plan = p.run(&["plan", "release"]).expect(0);
    assert!(plan.out.contains("CREATE TABLE t (x text"), "{}", plan.out);
    assert!(plan.out.contains("bbbb00000002.py can't be written as SQL"), "{}", plan.out);
    p.run(&["run", "release", "--yes"]).expect(0);
    let owner = crate::common::session(&p.url()).await;
    let row = owner
        .query_one("SELECT version_num::text, (SELECT count(*) FROM users) FROM alembic_version", &[])
        .await;
    let row = row.expect("a version");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), ("cccc00000003", 100));
}

/// Taken back by Alembic itself; what was written since stays.
#[tokio::test]
async fn a_release_is_taken_back_by_downgrade() {
    let p = project().await;
    migration(&p, "bbbb00000002", "'aaaa00000001'", "op.execute('CREATE TABLE later (id int)')");
    p.edit("alembic/versions/bbbb00000002.py", "op.execute('SELECT 1')", "op.execute('DROP TABLE later')");
    p.run(&["run", "release", "--yes"]).expect(0);
    let owner = crate::common::session(&p.url()).await;
    owner.batch_execute("INSERT INTO users VALUES (101)").await.expect("a write");
    owner.close().await;
    let ended = p.run(&["rollback", "--by", "downgrade", "--yes"]).expect(0);
    assert!(ended.err.contains("took back bbbb00000002"), "{}", ended.err);
    assert!(ended.err.contains("start the old code\n    run: sh -c"), "{}", ended.err);
    let owner = crate::common::session(&p.url()).await;
    let query = "SELECT version_num::text, (SELECT count(*) FROM users) FROM alembic_version";
    let row = owner.query_one(query, &[]).await.expect("a version");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), ("aaaa00000001", 101));
}

#[tokio::test]
async fn doctor_finds_an_env_py_that_goes_elsewhere() {
    let p = project().await;
    let told = p.run(&["doctor"]).expect(0);
    assert!(told.out.contains("env.py: it goes where it is told"), "{}", told.out);
    let other = crate::common::fresh_database().await;
    p.write("alembic/env.py", &ENV.replace("os.environ[\"DATABASE_URL\"]", &format!("{other:?}")));
    let told = p.run(&["doctor"]).expect(3);
    assert!(
        told.out.contains("heeds DATABASE_URL") && !told.out.contains("ready for a release"),
        "{}",
        told.out
    );
}

#[tokio::test]
async fn a_bad_release_is_put_back() {
    let p = project().await;
    migration(
        &p,
        "bbbb00000002",
        "'aaaa00000001'",
        "op.execute('DELETE FROM users'); op.add_column('nowhere', sa.Column('x', sa.Integer()))",
    );
    let before = p.state().await;
    let ended = p.run(&["run", "release", "--yes"]).expect(4);
    assert!(ended.err.contains("relation \"nowhere\" does not exist"), "{}", ended.err);
    assert!(p.state().await == before, "production is what it was");
    assert!(!p.flag_is_up());
}

#[tokio::test]
async fn an_env_py_that_goes_to_production_itself_is_refused_before_the_window() {
    let p = project().await;
    migration(&p, "bbbb00000002", "'aaaa00000001'", "op.execute('DROP TABLE users')");
    p.write("alembic/env.py", &ENV.replace("os.environ[\"DATABASE_URL\"]", &format!("{:?}", p.url())));
    let before = p.state().await;
    let ended = p.run(&["run", "release", "--yes"]).expect(3);
    assert!(ended.err.contains("heeds DATABASE_URL") && !ended.err.contains("flag up"), "{}", ended.err);
    assert!(p.state().await == before, "production is what it was");
}
