//! An `env.py` that goes elsewhere is found out before anything is changed.

use crate::backend::{self, ENV, eleven_tables, tables};
use crate::common;

/// It has a URL of its own: the database of somebody else.
#[tokio::test]
async fn a_project_with_a_url_of_its_own_is_refused() {
    let p = eleven_tables("").await;
    let other = common::fresh_database().await;
    p.write("backend/alembic/env.py", &ENV.replace("os.environ[\"DATABASE_URL\"]", &format!("{other:?}")));
    let refused = p.expect(3, &["migrate", "upgrade", "head"]);
    refused.says(&[
        "could not prove that",
        "alembic/env.py heeds DATABASE_URL",
        "`alembic current` said nothing",
        "nothing was changed",
        "os.environ[\"DATABASE_URL\"]",
    ]);
    let theirs = common::session(&other).await;
    let count = theirs.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]).await;
    assert_eq!(count.expect("a count").get::<_, i64>(0), 0, "the other database is untouched");
    assert_eq!(tables(&p).await, "0");
    for verb in [["migrate", "stamp", "head"], ["migrate", "downgrade", "base"]] {
        let code = if verb[1] == "stamp" { 3 } else { 0 };
        p.expect(code, &verb);
    }
}

/// It is at the very head where we want to go: a stamp with a revision that exists would have passed.
#[tokio::test]
async fn another_database_at_the_same_revision_does_not_pass() {
    let p = eleven_tables("").await;
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.expect(0, &["migrate", "downgrade", "base"]);
    let other = eleven_tables("").await;
    other.expect(0, &["migrate", "upgrade", "head"]);
    p.write(
        "backend/alembic/env.py",
        &ENV.replace("os.environ[\"DATABASE_URL\"]", &format!("{:?}", other.url)),
    );
    let refused = p.expect(3, &["migrate", "upgrade", "head"]);
    refused.says(&["`alembic current` said c08085465bad (head)", "another database"]);
}

/// Only the database's name is another's: a release's window would not be where the migration goes.
#[tokio::test]
async fn an_env_py_that_takes_only_the_server_from_the_url_is_refused() {
    let p = eleven_tables("").await;
    let env = ENV.replace(
        "url = os.environ[\"DATABASE_URL\"]",
        &format!("url = os.environ[\"DATABASE_URL\"].rsplit('/', 1)[0] + '/{}'", p.database),
    );
    p.write("backend/alembic/env.py", &env);
    p.expect(3, &["migrate", "upgrade", "head"]).says(&["heeds DATABASE_URL", "nothing was changed"]);
    assert_eq!(tables(&p).await, "0");
}

#[tokio::test]
async fn a_percent_sign_in_the_url_is_explained() {
    let p = eleven_tables("").await;
    let env = ENV.replace(
        "target_metadata = MetaData()",
        "config.set_main_option('sqlalchemy.url', url + '%2')\ntarget_metadata = MetaData()",
    );
    p.write("backend/alembic/env.py", &env);
    p.expect(3, &["migrate", "upgrade", "head"])
        .says(&["invalid interpolation syntax", "url.replace(\"%\", \"%%\")"]);
}

#[tokio::test]
async fn without_the_right_to_create_databases_it_says_who_needs_it() {
    let p = eleven_tables("").await;
    let admin = common::session(&common::cluster().url("postgres", "postgres")).await;
    admin
        .batch_execute(&format!("ALTER ROLE {} NOCREATEDB", p.database))
        .await
        .expect("a role without rights");
    let refused = p.expect(3, &["migrate", "upgrade", "head"]);
    refused.says(&["may not create databases", "CREATEDB", "admin_url"]);
    assert_eq!(tables(&p).await, "0");
    // Another role makes it, for this one to work in.
    let url = common::cluster().url("postgres", "postgres");
    let toml =
        format!("{}\n[database]\nadmin_url = \"{url}\"\nurl = \"${{DATABASE_URL}}\"\n", backend::toml(""));
    p.write("config/test.toml", &toml);
    p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(tables(&p).await, "11");
}

#[tokio::test]
async fn a_project_that_can_not_be_imported_is_told_with_its_cause() {
    let p = eleven_tables("").await;
    p.write("backend/alembic/env.py", &format!("import no_such_module\n{ENV}"));
    let failed = p.expect(3, &["migrate", "upgrade", "head"]);
    failed.says(&[
        "could not run alembic current",
        "ModuleNotFoundError: No module named 'no_such_module'",
        "nothing was changed",
    ]);
    p.configure("test", &backend::toml("").replace(backend::alembic(), "/no/such/alembic"));
    p.expect(3, &["migrate", "upgrade", "head"]).says(&["could not start /no/such/alembic"]);
}
