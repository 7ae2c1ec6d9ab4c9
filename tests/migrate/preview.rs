//! `--sql`: fed to psql it leaves what running leaves.

use std::process::Command;

use backstay::migrate::graph::Direction;

use super::*;

#[tokio::test]
async fn the_preview_is_what_is_done() {
    let folder = Folder::new(&[
        (
            "1.sql",
            "-- revision: a\n-- It's the \\ first\n-- upgrade\nSET search_path = '';\nCREATE TABLE public.t (x int NOT NULL, y int);INSERT INTO public.t SELECT n, 0 FROM generate_series(1, 5) n;\nCREATE FUNCTION public.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n-- downgrade\nDROP FUNCTION f; DROP TABLE t",
        ),
        (
            "2.sql",
            "-- revision: b1\n-- revises: a\n-- transaction: off\n-- upgrade\nCREATE INDEX CONCURRENTLY t_x ON t (x); -- done\nVACUUM t;\nALTER TABLE t ADD PRIMARY KEY (x);\n-- batch: 2 pause 0ms\nUPDATE t SET y = y + 1 WHERE x > 0 OR true; SET search_path = pg_catalog;\n-- downgrade\nALTER TABLE t DROP CONSTRAINT t_pkey;\nDROP INDEX CONCURRENTLY t_x -- no semicolon",
        ),
        (
            "3.sql",
            "-- revision: b2\n-- revises: a\n-- upgrade\nCOMMENT ON TABLE t IS 'a;\n-- downgrade\n b';\n-- downgrade\nCOMMENT ON TABLE t IS NULL;",
        ),
        ("4.sql", "-- revision: m\n-- revises: b1, b2\n-- Merge\n-- upgrade\n-- downgrade\n"),
    ]);
    let migrations = folder.load();
    let (ran, fed) = (fresh_database().await, fresh_database().await);
    let (mut ran_db, fed_db) = (session(&ran).await, session(&fed).await);
    let history = "SELECT string_agg(concat_ws(' ', revision, direction, state, checksum, description, run), E'\\n' ORDER BY id) FROM backstay_history";
    for (direction, range, target) in [
        (Direction::Up, "head", "head"),
        (Direction::Down, "m:a", "a"),
        (Direction::Up, "a:m", "head"),
        (Direction::Down, "m:base", "base"),
    ] {
        let sql = sql_of(&migrations, direction, range, &options()).unwrap();
        psql(&fed, &sql);
        match direction {
            Direction::Up => up(&mut ran_db, &migrations, target).await.unwrap(),
            Direction::Down => down(&mut ran_db, &migrations, target).await.unwrap(),
        };
        let owner = |url: &str| dump(url).replace("app_1", "app").replace("app_2", "app");
        assert_eq!(owner(&ran), owner(&fed), "after {range}:\n{sql}");
        assert_eq!(rows(&ran_db, &migrations).await, rows(&fed_db, &migrations).await);
        let sum = "SELECT CASE WHEN to_regclass('t') IS NULL THEN '' ELSE (xpath('//y/text()', query_to_xml('SELECT sum(y) y FROM t', true, true, '')))[1]::text END";
        let read = |row: tokio_postgres::Row| row.get::<_, String>(0);
        assert_eq!(
            read(ran_db.query_one(sum, &[]).await.unwrap()),
            read(fed_db.query_one(sum, &[]).await.unwrap())
        );
        let recorded = |row: tokio_postgres::Row| row.get::<_, String>(0);
        let (ran, fed) =
            (ran_db.query_one(history, &[]).await.unwrap(), fed_db.query_one(history, &[]).await.unwrap());
        assert_eq!(recorded(ran), recorded(fed));
    }
    let sql = sql_of(&migrations, Direction::Up, "base:+1", &options()).unwrap();
    assert!(
        sql.starts_with("BEGIN;\n\n-- Running upgrade  -> a\n\nSET LOCAL lock_timeout = '200ms';\n\n"),
        "{sql}"
    );
    let sql = sql_of(&migrations, Direction::Up, "a:b1", &options()).unwrap();
    assert!(
        sql.starts_with("-- Running upgrade a -> b1\n\nSET lock_timeout = 0;\n\nCREATE INDEX CONCURRENTLY"),
        "{sql}"
    );
    assert!(sql.contains("\n-- backstay runs this in batches of 2 rows\nUPDATE t "), "{sql}");
    assert!(sql_of(&migrations, Direction::Down, "base", &options()).is_err());
}

/// What `--sql` prints for a range.
fn sql_of(
    migrations: &Migrations,
    direction: Direction,
    range: &str,
    options: &Options,
) -> Result<String, MigrateError> {
    let (from, target) = migrations.graph().offline_range(direction, range)?;
    match direction {
        Direction::Up => migrate::preview::upgrade(migrations, &from, target, options),
        Direction::Down => migrate::preview::downgrade(migrations, &from, target, options),
    }
}

fn psql(url: &str, sql: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sql).unwrap();
    let mut command = Command::new(cluster().binaries().join("psql"));
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]).arg(file.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}\n{sql}", String::from_utf8_lossy(&output.stderr));
}
