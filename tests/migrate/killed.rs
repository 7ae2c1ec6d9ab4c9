//! SIGKILL at random moments of an upgrade by the real program: `current` tells the truth afterwards, and
//! `upgrade head` comes to the same schema as a run that nobody disturbed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::random::Random;
use super::*;

const MIGRATIONS: usize = 20;
/// Those outside a transaction.
const SINGLY: [usize; 3] = [5, 11, 17];
const ROWS: i64 = 6_000;

fn id(number: usize) -> String {
    format!("r{number:02}")
}

async fn project() -> CommandLine {
    let p = CommandLine::new("").await;
    for number in 1..=MIGRATIONS {
        let revises = if number > 1 { format!("-- revises: {}\n", id(number - 1)) } else { String::new() };
        let (header, body) = if SINGLY.contains(&number) {
            ("-- transaction: off\n", singly(number))
        } else {
            ("", whole(number))
        };
        let text = format!("-- revision: {}\n{revises}{header}-- upgrade\n{body}", id(number));
        p.write(&format!("migrations/{number:02}.sql"), &text);
    }
    p
}

fn whole(number: usize) -> String {
    let log = if number == 1 { "CREATE TABLE log (what text);\n" } else { "" };
    format!(
        "{log}CREATE TABLE m{number} (id int PRIMARY KEY, x text, n int NOT NULL DEFAULT 0);\n\
         INSERT INTO m{number} SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) i;\n\
         INSERT INTO log VALUES ('{number}');\n"
    )
}

/// Six statements of every kind; none but the indexes and the VACUUM may run twice.
fn singly(number: usize) -> String {
    let table = format!("m{}", number - 1);
    format!(
        "INSERT INTO log VALUES ('{number}.1');\n\
         CREATE INDEX CONCURRENTLY x{number} ON {table} (x);\n\
         -- batch: 1500 pause 20ms\nUPDATE {table} SET n = n + 1;\n\
         VACUUM {table};\n\
         CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS u{number} ON {table} (x, id) WHERE n > 0;\n\
         INSERT INTO log VALUES ('{number}.6');\n"
    )
}

/// Kills the upgrade after `delay`, unless it is done by then.
fn kill_after(p: &CommandLine, delay: Duration) {
    let mut command = p.upgrade();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What the killed program's backends still do is done then, too.
async fn until_orphans_are_gone(p: &CommandLine) {
    let watcher = super::session(&super::cluster().url("postgres", "postgres")).await;
    let query =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND application_name LIKE 'backstay%'";
    let begun = Instant::now();
    while watcher.query_one(query, &[&p.database]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "an orphan goes on and on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The first value of a query.
async fn ask(db: &Session, query: &str) -> String {
    let text = format!("SELECT q::text FROM ({query}) q (q)");
    db.query_one(&text, &[]).await.unwrap().get::<_, Option<String>>(0).unwrap_or_default()
}

async fn is(db: &Session, condition: &str) -> bool {
    ask(db, &format!("SELECT {condition}")).await == "true"
}

/// Compares what `current` says with what is in the catalog and in the tables.
async fn tells_the_truth(p: &CommandLine) {
    let db = &p.session().await;
    let root = p.json(0, &["migrate", "current"])["migrations"][0].clone();
    let at = root["revisions"].as_array().and_then(|rows| rows.first()).and_then(Value::as_str);
    let at: usize = at.map_or(0, |id| id.trim_start_matches('r').parse().unwrap());
    let unfinished = root["unfinished"].as_array().unwrap();
    assert!(unfinished.len() <= 1, "{root}");
    for number in 1..=MIGRATIONS {
        if !SINGLY.contains(&number) {
            let there = is(db, &format!("to_regclass('m{number}') IS NOT NULL")).await;
            assert_eq!(there, number <= at, "m{number} at {at}: {root}");
            continue;
        }
        let attempt = unfinished.iter().find(|attempt| attempt["revision"] == id(number).as_str());
        assert!(attempt.is_none() || number == at + 1, "{root}");
        let done = match attempt {
            Some(attempt) => usize::try_from(attempt["done"].as_u64().unwrap()).unwrap(),
            None if number <= at => 6,
            None => 0,
        };
        if number > at + 1 {
            continue;
        }
        let table = format!("m{}", number - 1);
        if is(db, &format!("to_regclass('{table}') IS NULL")).await {
            assert!(attempt.is_none() && number > at);
            continue;
        }
        let log =
            async |n: usize| ask(db, &format!("SELECT count(*) FROM log WHERE what = '{number}.{n}'")).await;
        // What commits with its count is there exactly if it is counted.
        assert_eq!(log(1).await, if done >= 1 { "1" } else { "0" }, "{root}");
        assert_eq!(log(6).await, if done >= 6 { "1" } else { "0" }, "{root}");
        for (statement, index) in [(2, format!("x{number}")), (5, format!("u{number}"))] {
            let valid = format!(
                "EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{index}') AND indisvalid)"
            );
            let valid = is(db, &valid).await;
            assert!(done < statement || valid, "{index} of {done}: {root}");
            assert!(done + 1 >= statement || !valid, "{index} of {done}: {root}");
        }
        let changed: i64 = ask(db, &format!("SELECT sum(n) FROM {table}")).await.parse().unwrap();
        match done {
            0..=1 => assert_eq!(changed, 0, "{root}"),
            2 => {
                let said = attempt.and_then(|attempt| attempt["batched_rows"].as_i64());
                assert_eq!(said, Some(changed), "{root}");
            }
            _ => assert_eq!(changed, ROWS, "{root}"),
        }
        assert!(is(db, &format!("coalesce(max(n), 0) <= 1 FROM {table}")).await, "a row was changed twice");
    }
}

/// The schema, whoever owns it, and what must be there once.
async fn outcome(p: &CommandLine) -> (String, String, String) {
    let db = &p.session().await;
    let schema = dump(&p.url).replace(&p.database, "owner");
    let log = ask(db, "SELECT string_agg(what, ' ' ORDER BY what) FROM log").await;
    let mut sums = Vec::new();
    for number in SINGLY {
        sums.push(ask(db, &format!("SELECT sum(n) || ' ' || max(n) FROM m{}", number - 1)).await);
    }
    (schema, log, sums.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_current_tells_the_truth_and_upgrade_goes_on() {
    let longer: Option<u64> = std::env::var("BACKSTAY_CRASH_SEEDS").ok().and_then(|n| n.parse().ok());
    let kills = longer.map_or(6, |_| 50);
    let undisturbed = project().await;
    let begun = Instant::now();
    undisturbed.expect(0, &["migrate", "upgrade", "head"]);
    let whole = begun.elapsed();
    let expected = outcome(&undisturbed).await;
    let mut random = Random::new();
    for kill in 0..kills {
        let p = project().await;
        // Some are killed again when they go on.
        for _ in 0..1 + random.below(2) {
            let delay = whole.mul_f64(random.below(1000) as f64 / 1000.0);
            kill_after(&p, delay);
            if random.below(2) == 0 {
                until_orphans_are_gone(&p).await;
                tells_the_truth(&p).await;
            }
        }
        // Otherwise at once, beside what the dead one's backend still does.
        p.expect(0, &["migrate", "upgrade", "head"]);
        assert_eq!(outcome(&p).await, expected, "kill {kill} of seed {}", random.seed);
        let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
        assert_eq!(p.ask(invalid).await, "0");
        tells_the_truth(&p).await;
    }
}
