//! What operators type every day.

use std::process::Stdio;

use crate::backend::{self, eleven_tables, migration, migration_in, tables};
use crate::common::command_line::SECRET;

#[tokio::test]
async fn the_first_guide_from_an_empty_database_and_back() {
    let p = eleven_tables("").await;
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "");
    assert_eq!(p.expect(0, &["migrate", "heads"]).stdout, "c08085465bad (head)\n");
    assert_eq!(
        p.expect(0, &["migrate", "history"]).stdout,
        "<base> -> c08085465bad (head), About c08085465bad\n"
    );
    let up = p.expect(0, &["migrate", "upgrade", "head"]);
    assert!(up.stdout.starts_with("applied c08085465bad in "), "{}", up.stdout);
    up.says(&["Running upgrade  -> c08085465bad, About c08085465bad"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "c08085465bad (head)\n");
    assert_eq!(tables(&p).await, "11");
    let again = p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(
        (again.stdout.as_str(), again.stderr.as_str()),
        ("nothing to upgrade\n", ""),
        "no Python is started"
    );
    let status = p.expect(0, &["migrate", "status"]).stdout;
    assert!(status.contains("at c08085465bad (head), nothing pending"), "{status}");
    let sql = p.expect(0, &["migrate", "upgrade", "head", "--sql"]).stdout;
    assert!(
        sql.contains("CREATE TABLE churn_risk_comments") && sql.contains("VALUES ('c08085465bad')"),
        "{sql}"
    );

    let down = p.expect(0, &["migrate", "downgrade", "-1"]);
    assert!(down.stdout.starts_with("took back c08085465bad in "), "{}", down.stdout);
    assert_eq!((p.expect(0, &["migrate", "current"]).stdout.as_str(), tables(&p).await.as_str()), ("", "1"));
    assert_eq!(p.expect(0, &["migrate", "stamp", "head"]).stdout, "stamped <base> -> c08085465bad\n");
    p.expect(0, &["migrate", "stamp", "--purge", "base"]);
    p.expect(0, &["migrate", "upgrade", "+1"]);
    p.expect(0, &["migrate", "downgrade", "base"]);
    assert_eq!(tables(&p).await, "1");
    let leftovers = format!("SELECT count(*) FROM pg_database WHERE datname LIKE '{}\\_\\_%'", p.database);
    assert_eq!(p.ask(&leftovers).await, "0", "scratch databases are dropped");
}

#[tokio::test]
async fn branches_and_their_merge() {
    let p = backend::empty("").await;
    migration(
        &p,
        "aaaa00000001",
        "None",
        "op.execute('CREATE TABLE a (id int)')",
        "op.execute('DROP TABLE a')",
    );
    migration(
        &p,
        "bbbb00000002",
        "'aaaa00000001'",
        "op.execute('CREATE TABLE b (id int)')",
        "op.execute('DROP TABLE b')",
    );
    migration(
        &p,
        "cccc00000003",
        "'aaaa00000001'",
        "op.execute('CREATE TABLE c (id int)')",
        "op.execute('DROP TABLE c')",
    );
    p.expect(3, &["migrate", "upgrade", "head"]).says(&["bbbb00000002", "cccc00000003"]);
    p.expect(0, &["migrate", "upgrade", "heads"]);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "bbbb00000002 (head)\ncccc00000003 (head)\n");
    migration(&p, "dddd00000004", "('bbbb00000002', 'cccc00000003')", "pass", "pass");
    migration(
        &p,
        "eeee00000005",
        "'dddd00000004'",
        "op.execute('CREATE TABLE e (id int)')",
        "op.execute('DROP TABLE e')",
    );
    // Alembic's own --sql knows no database with two rows.
    let document = p.json(0, &["migrate", "status"]);
    assert_eq!(document["migrations"][0]["pending"].as_array().map(Vec::len), Some(2));
    let up = p.expect(0, &["migrate", "upgrade", "head"]);
    assert!(up.stdout.starts_with("applied dddd00000004, eeee00000005 in "), "{}", up.stdout);
    assert_eq!(p.expect(0, &["migrate", "current"]).stdout, "eeee00000005 (head)\n");
    p.expect(0, &["migrate", "downgrade", "dddd"]);
    p.expect(0, &["migrate", "downgrade", "base"]);
    assert_eq!(tables(&p).await, "1");
}

#[tokio::test]
async fn data_migrations() {
    let p = backend::empty("").await;
    migration(
        &p,
        "aaaa00000001",
        "None",
        "op.execute('CREATE TABLE q (id int, code text, priority text)')\n\
        op.bulk_insert(sa.table('q', sa.column('id', sa.Integer), sa.column('code', sa.String)), [{'id': 1, 'code': 'TVI1'}, {'id': 2, 'code': 'X'}])",
        "op.execute('DROP TABLE q')",
    );
    migration(
        &p,
        "bbbb00000002",
        "'aaaa00000001'",
        "q = sa.table('q', sa.column('code', sa.String), sa.column('priority', sa.String))\n\
         op.execute(q.update().where(q.c.code.like('TVI%')).values(priority='high'))\n\
         bind = op.get_bind()\n\
         for (id,) in bind.execute(sa.text('SELECT id FROM q WHERE priority IS NULL')).fetchall():\n\
         \x20   bind.execute(sa.text('UPDATE q SET priority = :p WHERE id = :i'), {'p': 'low', 'i': id})",
        "pass",
    );
    let sql = p.expect(3, &["migrate", "upgrade", "head", "--sql"]);
    sql.says(&["alembic/versions/bbbb00000002_about.py:", "AttributeError"]);
    p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(p.ask("SELECT string_agg(priority, ',' ORDER BY id) FROM q").await, "high,low");
    p.expect(3, &["migrate", "downgrade", "-1"]).says(&["bbbb00000002 is irreversible", "has no downgrade"]);
}

/// Guide 4 has two: main and ai, each with an `env.py` and a version table of its own.
#[tokio::test]
async fn two_roots_in_one_database() {
    let ai = format!(
        "[[migrations]]\nname = \"ai\"\ntool = \"alembic\"\ndirectory = \"backend\"\ncommand = [\"{}\"]\nsection = \"ai\"\n\
         version_table = \"alembic_version_ai\"\nx = [\"tenant=a\"]",
        backend::alembic()
    );
    let p = eleven_tables(&ai).await;
    let env = backend::ENV.replace("dict()", "dict(version_table='alembic_version_ai')\nassert context.get_x_argument(as_dictionary=True)['tenant'] == 'a'");
    p.write("backend/ai/env.py", &env);
    migration_in(
        &p,
        "ai",
        "56d701cf2472",
        "None",
        "op.execute('CREATE TABLE router (id int)')",
        "op.execute('DROP TABLE router')",
    );
    p.expect(2, &["migrate", "downgrade", "base"]).says(&["there are several: main, ai"]);
    p.expect(0, &["migrate", "upgrade", "head", "-n", "ai"]);
    let current = p.expect(0, &["migrate", "current"]).stdout;
    assert_eq!(current, "ai: 56d701cf2472 (head)\n");
    // To the heads all roots go.
    p.expect(0, &["migrate", "upgrade", "head"]);
    assert_eq!(tables(&p).await, "13");
    assert_eq!(
        p.expect(0, &["migrate", "heads"]).stdout,
        "main: c08085465bad (head)\nai: 56d701cf2472 (head)\n"
    );
    // The main root reads its own table: another's is none of its business.
    let wrong = env.replace("alembic_version_ai", "alembic_version");
    p.write("backend/ai/env.py", &wrong);
    p.expect(3, &["migrate", "downgrade", "base", "-n", "ai"]).says(&["alembic_version_ai", "version_table"]);
    assert_eq!(tables(&p).await, "13");
}

/// Guide 2 has SQLALCHEMY_DATABASE_URL, and guide 1 an env file that `env.py` needs.
#[tokio::test]
async fn the_variable_and_the_driver_that_a_project_reads() {
    let p = eleven_tables("url_env = \"SQLALCHEMY_DATABASE_URL\"\ndriver = \"postgresql+psycopg2\"").await;
    let env = backend::ENV.replace(
        "url = os.environ[\"DATABASE_URL\"]",
        "url = os.environ[\"SQLALCHEMY_DATABASE_URL\"]\nassert url.startswith('postgresql+psycopg2://'), 'driver'\n\
         assert os.environ['ENVIRONMENT'] == 'production'\nprint('connecting to ' + url)",
    );
    p.write("backend/alembic/env.py", &env);
    p.write(".env", "ENVIRONMENT=production\n");
    p.configure(
        "test",
        &format!(
            "env_file = \".env\"\n{}",
            backend::toml("url_env = \"SQLALCHEMY_DATABASE_URL\"\ndriver = \"postgresql+psycopg2\"")
        ),
    );
    let up = p.expect(0, &["migrate", "upgrade", "head"]);
    up.says(&["connecting to postgresql+psycopg2://", ":***@"]);
    assert_eq!(tables(&p).await, "11");
}

#[tokio::test]
async fn no_secret_is_among_the_arguments() {
    let p = eleven_tables("").await;
    let wrapper = p.write(
        "wrapper",
        &format!(
            "#!/bin/sh\nprintf '%s\\n' \"$0 $*\" >>\"{}/arguments\"\nexec {} \"$@\"\n",
            p.path().display(),
            backend::alembic()
        ),
    );
    p.configure(
        "test",
        &backend::toml("")
            .replace(&format!("\"{}\"", backend::alembic()), &format!("\"sh\", \"{}\"", wrapper.display())),
    );
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.expect(0, &["migrate", "downgrade", "c08085465bad:base", "--sql"]);
    let arguments = std::fs::read_to_string(p.path().join("arguments")).expect("arguments");
    let calls: Vec<&str> =
        arguments.lines().filter_map(|line| line.split_once("alembic.ini ")).map(|(_, verb)| verb).collect();
    assert_eq!(calls, ["current", "upgrade head", "downgrade c08085465bad:base --sql"]);
    assert!(!arguments.contains(SECRET) && !arguments.contains("postgresql://"), "{arguments}");
}

/// Guides 1 and 3 want every replica to migrate as it starts.
#[tokio::test]
async fn replicas_that_start_at_once_all_succeed() {
    let p = eleven_tables("").await;
    let start = || {
        p.command(&["migrate", "upgrade", "head"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process")
    };
    let replicas: Vec<_> = (0..4).map(|_| start()).collect();
    let ends: Vec<_> = replicas.into_iter().map(|child| child.wait_with_output().expect("an end")).collect();
    let applied =
        ends.iter().filter(|end| String::from_utf8_lossy(&end.stdout).starts_with("applied")).count();
    assert!(ends.iter().all(|end| end.status.success()), "{ends:?}");
    assert_eq!(applied, 1);
    assert_eq!(tables(&p).await, "11");
}

/// `revision` and `merge` write Python here, as Alembic writes it.
#[tokio::test]
async fn new_revisions_are_alembics_own() {
    let p = eleven_tables("").await;
    let written =
        p.expect(0, &["migrate", "revision", "-m", "add custom indexes", "--rev-id", "aaaa00000001"]).stdout;
    assert!(
        written.contains("Generating") && written.contains("aaaa00000001_add_custom_indexes.py"),
        "{written}"
    );
    p.expect(
        0,
        &["migrate", "revision", "-m", "a branch", "--rev-id", "bbbb00000002", "--head", "c080", "--splice"],
    );
    p.expect(
        0,
        &["migrate", "merge", "-m", "merge migration heads", "--rev-id", "dddd00000003", "aaaa", "bbbb"],
    );
    assert_eq!(p.expect(0, &["migrate", "heads"]).stdout, "dddd00000003 (head)\n");
    p.expect(2, &["migrate", "revision", "-m", "no", "--rev-id", "aaaa00000001"])
        .says(&["aaaa00000001_add_custom_indexes.py has that id already"]);

    // Against the database, so it must be the right one, and up to date.
    let models = "target_metadata = MetaData()\nimport sqlalchemy as sa\nsa.Table('plans', target_metadata, sa.Column('id', sa.Integer, primary_key=True))";
    p.write("backend/alembic/env.py", &backend::ENV.replace("target_metadata = MetaData()", models));
    let outdated = p.expect(3, &["migrate", "revision", "--autogenerate", "-m", "plans"]);
    outdated.says(&["Target database is not up to date."]);
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.expect(0, &["migrate", "revision", "--autogenerate", "-m", "plans", "--rev-id", "eeee00000004"]);
    let file = std::fs::read_to_string(p.path().join("backend/alembic/versions/eeee00000004_plans.py"))
        .expect("a file");
    assert!(file.contains("create_table('plans'"), "{file}");
}

/// Judged by what `--sql` writes, and by the comments of the file.
#[tokio::test]
async fn the_lint_reads_what_alembic_would_run() {
    let p = backend::empty("").await;
    let table = "op.execute('CREATE TABLE q (id int, code text)')";
    migration(&p, "aaaa00000001", "None", table, "op.execute('DROP TABLE q')");
    p.expect(0, &["migrate", "upgrade", "head"]);
    p.ask("INSERT INTO q SELECT n, 'x' FROM generate_series(1, 20000) n").await;
    p.ask("ANALYZE q").await;
    p.ask("CREATE VIEW codes AS SELECT code FROM q").await;
    migration(
        &p,
        "bbbb00000002",
        "'aaaa00000001'",
        "op.create_index('q_id', 'q', ['id'])",
        "op.drop_index('q_id')",
    );
    let drop = "op.drop_column('q', 'code')";
    let file = migration(&p, "cccc00000003", "'bbbb00000002'", drop, "pass");
    let told = p.expect(3, &["migrate", "lint"]).stdout;
    for text in [
        "backend/alembic/versions/bbbb00000002_about.py (bbbb00000002)\n  statement 1: CREATE INDEX q_id ON q (id);\n",
        "error require-concurrent-index-creation: ",
        "      q has about 20000 rows",
        "cccc00000003_about.py (cccc00000003)\n",
        "error dropped-column-still-used: q.code is dropped, and 1 object uses it\n",
        "warn missing-downgrade: ",
        "2 errors, 1 warning in 2 migrations\n",
    ] {
        assert!(told.contains(text), "no {text:?} in\n{told}");
    }
    let text = std::fs::read_to_string(&file).expect("the file");
    let allowed = "# backstay: allow dropped-column-still-used because the view goes next week\n\
        # backstay: irreversible because the codes are gone\n";
    std::fs::write(&file, format!("{allowed}{text}")).expect("written");
    let told = p.expect(3, &["migrate", "lint"]).stdout;
    assert!(
        told.ends_with("1 error, 1 warning in 2 migrations\n") && told.contains("irreversible-downgrade"),
        "{told}"
    );
    // One that asks the database can't be written as SQL; the others are judged all the same.
    let asks = "op.get_bind().execute(sa.text('SELECT id FROM q')).fetchall()";
    migration(&p, "dddd00000004", "'cccc00000003'", asks, "op.execute('SELECT 1')");
    let told = p.expect(3, &["migrate", "lint"]).stdout;
    assert!(
        told.contains(
            "warn unparsed-statement: this migration is not checked, for it can't be written as SQL"
        ),
        "{told}"
    );
    assert!(told.contains("require-concurrent-index-creation"), "{told}");
}
