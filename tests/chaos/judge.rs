//! What must hold, whatever happened.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backstay::backup::attributes::DatabaseAttributes;
use backstay::pg::Session;
use jiff::Timestamp;
use serde_json::Value;

use crate::common::pristine::{Snapshot, snapshot};
use crate::common::project::Ended;
use crate::common::{cluster, session};
use crate::ledger;
use crate::sentinel;
use crate::tale::{Release, Tale};
use crate::told::Told;
use crate::world::World;
use crate::writers::Row;

/// Whether what others wrote is kept in files, beside the kept database.
const LEDGER_IN_FILES: bool = true;

/// What a driver tells where the flag, a file, may stand on another host.
pub const FLAG_ELSEWHERE: &str = "--flag-is-down";

/// Exit codes that a run or a resume may end with; 1 is a defect, 2 is for those that never began.
pub fn of_code(ended: &Ended) {
    sentinel::search_text("an output", &ended.out);
    sentinel::search_text("an output", &ended.err);
    assert!(matches!(ended.code, 0 | 3..=8), "exit code {}", ended.code);
}

/// What the exit code of a driver that ended by itself says of production.
pub async fn of_exit(world: &World, tale: &Tale, ended: &Ended, told: &Told) {
    of_code(ended);
    let databases = world.project.databases().await;
    let serves = matches!(ended.code, 0 | 3 | 4 | 6 | 7);
    if serves {
        assert!(!world.project.flag_is_up(), "exit {} and the flag is up", ended.code);
        assert!(
            databases.contains(&world.project.name),
            "exit {} behind the fence: {databases:?}",
            ended.code
        );
    }
    if ended.code == 5 {
        let unseen = ended.err.contains(FLAG_ELSEWHERE);
        assert!(world.project.flag_is_up() || unseen, "exit 5 and the flag is down");
    }
    status(world, tale, told).await;
}

/// `status --json` tells what is.
async fn status(world: &World, tale: &Tale, told: &Told) {
    let answer = world.run((tale.seed % 2) as usize, &["status", "--json"]);
    assert_eq!(answer.code, 0, "status: {}", answer.err);
    let status: Value = serde_json::from_str(&answer.out).expect("JSON");
    told.say(format!(
        "status: run {}, flag {}, fence {}",
        status["run"]["value"]["verdict"], status["flag"]["value"]["up"], status["fence"]["value"]["closed"]
    ));
    assert_eq!(status["flag"]["value"]["up"], world.project.flag_is_up(), "the flag: {status}");
    let admin = world.admin().await;
    let open = "SELECT count(*) FROM pg_database WHERE datname = $1 AND datallowconn";
    let open: i64 = admin.query_one(open, &[&world.project.name]).await.expect("databases").get(0);
    assert_eq!(status["fence"]["value"]["closed"], open == 0, "the fence: {status}");
    let records = world.records();
    if let Some(first) = records.first() {
        assert_eq!(status["run"]["value"]["run"], first["run"], "the run: {status}");
        assert_eq!(status["run"]["mends"].is_null(), world.verdict().is_some(), "the run: {status}");
    }
}

/// The exit code of a verdict of the journal.
pub fn code_of(verdict: &str) -> i32 {
    match verdict {
        "done" => 0,
        "refused" => 3,
        "put_back" => 4,
        "changed_but_failing" => 7,
        other => panic!("a run ended as {other}"),
    }
}

/// How the tale may have ended.
pub fn of_ending(tale: &Tale, told: &Told, code: i32) {
    let kept = tale.asks && tale.keeps_new;
    let fine = match code {
        0 => tale.release == Release::Good,
        // A release is as good as its drivers: kills alone do not fail it, but for a deploy that was under way.
        4 => {
            let in_deploy = told.hits().iter().any(|hit| hit.line == "deploy");
            // Nor does a flag that another host raised, or died before it did, and that can't be seen here.
            let undisturbed = told.only_kills() && !in_deploy && !told.ever_said(FLAG_ELSEWHERE);
            tale.release != Release::Good || !undisturbed
        }
        3 => !told.only_kills(),
        7 => kept || tale.release == Release::Good && !told.only_kills(),
        _ => false,
    };
    assert!(fine, "{:?} ended with {code}", tale.release);
}

/// The new database, or the old one.
fn wanted(world: &World, code: i32) -> &Snapshot {
    if matches!(code, 0 | 7) { &world.new } else { &world.pristine.old }
}

/// Production, once the run has ended with `code`.
pub async fn of_production(world: &World, tale: &Tale, told: &Told, code: i32, rows: &[Row]) {
    let project = &world.project;
    status(world, tale, told).await;
    assert!(!project.flag_is_up(), "the flag is up after {code}");
    let names = project.databases().await;
    assert!(names.contains(&project.name), "no database of that name: {names:?}");
    assert!(!names.iter().any(|name| name.contains("__w_")), "a fence is left: {names:?}");
    let kept = names.iter().filter(|name| name.contains("__g_") || name.contains("__f_")).count();
    assert!(kept <= 1, "more than one database was kept: {names:?}");
    no_sessions(world).await;
    same_database(world, code, "").await;
    same_attributes(world).await;
    deployed(world, code);
    writes_are_kept(world, tale, rows).await;
    fence_held(world, rows);
    sentinel::search_files(&project.path(""));
}

/// Wholly the old or the new one, but for what the writers wrote.
pub async fn same_database(world: &World, code: i32, when: &str) {
    let (schema, content) = snapshot(&world.project.info()).await;
    let (wanted_schema, wanted) = wanted(world, code);
    assert_eq!(&schema, wanted_schema, "another schema{when}");
    let different: Vec<String> = wanted
        .differences(&content)
        .into_iter()
        .map(|difference| difference.to_string())
        .filter(|difference| !difference.contains("traffic"))
        // When and by which run a migration was applied differs by nature.
        .filter(|difference| code == 4 || !difference.contains("backstay"))
        .collect();
    assert!(different.is_empty(), "other content{when}: {different:?}");
}

async fn same_attributes(world: &World) {
    let admin = world.admin().await;
    let now = DatabaseAttributes::read(&admin, &world.project.name).await.expect("attributes");
    assert_eq!(now, world.pristine.attributes, "other attributes");
}

/// Nobody of ours is left, and so nobody of an earlier epoch can commit anything.
async fn no_sessions(world: &World) {
    let query = "SELECT pid, datname::text, application_name, state, left(query, 60) FROM pg_stat_activity \
                 WHERE usename = $1 AND application_name <> 'a writer'";
    let admin = world.admin().await;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let rows = admin.query(query, &[&world.project.name]).await.expect("sessions");
        if rows.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "sessions are left: {rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn deployed(world: &World, code: i32) {
    let text = std::fs::read_to_string(world.project.path("deployed")).unwrap_or_default();
    let effects: Vec<&str> = text.lines().collect();
    match code {
        0 => assert_eq!(effects, ["deployed"], "the deploy's effects"),
        7 => {}
        _ => assert!(
            effects.last().is_none_or(|last| *last == "undone"),
            "the deploy has the last word: {effects:?}"
        ),
    }
}

/// Every acknowledged write is in the live database. If production was put back after `open`, what was written in
/// between may be in the kept database instead, if that was allowed.
async fn writes_are_kept(world: &World, tale: &Tale, rows: &[Row]) {
    let live = traffic(&session(&world.project.url()).await).await;
    let missing: Vec<&Row> = rows.iter().filter(|row| !row.is_kept_by(live.get(&row.id).copied())).collect();
    if missing.is_empty() {
        return;
    }
    let records = world.records();
    let agreed = !tale.asks || records.iter().any(|record| record["kind"] == "put_back_anyway");
    assert!(agreed, "nobody agreed to drop {missing:?}");
    let opened =
        first_start(&records, "open the database").expect("writes are missing, and it was never opened");
    let swapped =
        first_start(&records, "swap the guard in").expect("writes are missing, and nothing was swapped");
    let names = world.project.databases().await;
    let failed = names.iter().find(|name| name.contains("__f_")).expect("no database was kept");
    let admin = world.admin().await;
    let open = format!("ALTER DATABASE \"{failed}\" ALLOW_CONNECTIONS true");
    admin.batch_execute(&open).await.expect("the kept database, opened");
    let kept = traffic(&session(&cluster().url("postgres", failed)).await).await;
    let is_lost = |there: &BTreeMap<i64, i32>, row: &Row| !row.is_kept_by(there.get(&row.id).copied());
    for row in &missing {
        assert!(!is_lost(&kept, row), "lost: {row:?}");
        let at = row.newest().and_then(|write| write.acknowledged).expect("an acknowledged write");
        assert!(at > opened, "written before it was opened ({opened}, swapped {swapped}), and gone: {row:?}");
    }
    if !LEDGER_IN_FILES {
        return;
    }
    assert!(ledger::load(world), "there is no ledger of what was put back");
    let loaded = traffic(&session(&world.project.url()).await).await;
    for row in missing {
        assert!(!is_lost(&loaded, row), "not in the ledger: {row:?}");
    }
}

async fn traffic(session: &Session) -> BTreeMap<i64, i32> {
    let rows = session.query("SELECT id, version FROM traffic", &[]).await.expect("the writers' table");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Nothing was acknowledged that was sent after `close` and answered before the database was opened again.
fn fence_held(world: &World, rows: &[Row]) {
    let records = world.records();
    let ends =
        |record: &&Value| record["kind"] == "finished" && name_of(&records, record) == "close the database";
    let Some(closed) = records.iter().find(ends).map(at) else { return };
    let opens = ["open the database", "open the unchanged database", "swap the guard in"];
    let opened = opens.iter().filter_map(|name| first_start(&records, name)).min();
    let Some(opened) = opened else { return };
    for write in rows.iter().flat_map(|row| &row.writes) {
        let inside = write.sent > closed && write.acknowledged.is_some_and(|answered| answered < opened);
        assert!(!inside, "written behind the fence, from {closed} to {opened}: {write:?}");
    }
}

fn first_start(records: &[Value], name: &str) -> Option<Timestamp> {
    records.iter().find(|record| record["kind"] == "started" && record["name"] == name).map(at)
}

fn name_of<'a>(records: &'a [Value], record: &Value) -> &'a str {
    let start = records.iter().find(|start| start["kind"] == "started" && start["line"] == record["line"]);
    start.and_then(|start| start["name"].as_str()).unwrap_or_default()
}

fn at(record: &Value) -> Timestamp {
    record["at"].as_str().expect("a time").parse().expect("a time")
}

/// The next release works, and what was kept goes when it is told to.
pub async fn of_next_release(world: &World, tale: &Tale, told: &Told) {
    for machine in &world.machines {
        world.set_release(machine, Release::Good);
    }
    let machine = (tale.seed / 2 % 2) as usize;
    let cleanup = world.run(machine, &["cleanup", "--yes", "--older-than", "0s"]);
    told.end("cleanup", &cleanup);
    assert_eq!(cleanup.code, 0, "cleanup failed");
    let names = world.project.databases().await;
    assert_eq!(names, std::slice::from_ref(&world.project.name), "cleanup left databases");
    let next = world.run(1 - machine, &["run", "release", "--yes"]);
    told.end("the next release", &next);
    assert_eq!(next.code, 0, "the next release failed");
    same_database(world, 0, " after the next release").await;
    sentinel::search_files(&world.project.path(""));
}
