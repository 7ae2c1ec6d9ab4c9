//! The figures that the product promises, as ratios measured in one run: `make bench`.
//!
//! Real clusters, the real binary (release build), medians. The machine is noisy, so what is compared is
//! measured alternately. Nothing here passes or fails: it prints.
//!
//! Arguments name what is measured (all by default): `steps`, `window`, `put-back`, `start`.

mod bed;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backstay::demo::cluster::Cluster;
use serde_json::Value;

use bed::{median, show, sql};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let all: [(&str, fn()); 4] =
        [("steps", steps), ("window", window), ("put-back", put_back), ("start", cold_start)];
    for (name, measure) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            measure();
        }
    }
}

/// 200 `command` steps that do nothing, journaled durably, against one file-create-and-fsync.
fn steps() {
    let cluster = Cluster::start(&[]).expect("a cluster");
    let project = Project::new(&cluster);
    project.write("runbooks/steps.toml", &steps_runbook(200));
    project.write("runbooks/one.toml", &steps_runbook(1));
    let (mut floors, mut spawns, mut long, mut short) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..9 {
        floors.extend((0..100).map(|n| create_and_fsync(&project.path(&format!("floor-{n}")))));
        spawns.extend((0..50).map(|_| timed(|| drop(Command::new("true").status()))));
        long.push(timed(|| project.run(&["run", "steps", "--yes"], 0)));
        short.push(timed(|| project.run(&["run", "one", "--yes"], 0)));
    }
    // By the wall: a run of 200 steps less a run of one. The journal's own times are whole milliseconds.
    let cost = median(&mut long).saturating_sub(median(&mut short)) / 199;
    let (floor, spawn) = (median(&mut floors), median(&mut spawns));
    say("a step that does nothing, journaled durably", cost, "one file-create-and-fsync", floor, 4.0);
    println!("  of it starting the program: {}", show(spawn));
}

fn steps_runbook(steps: usize) -> String {
    let mut text = "name = \"steps\"\ndescription = \"Steps that do nothing\"\n".to_string();
    for n in 0..steps {
        text.push_str(&format!("[[before]]\nstep = \"command\"\nname = \"step {n}\"\nrun = [\"true\"]\n"));
    }
    text
}

/// Flag up to flag down, less clone, migration and health, on a database of 1.4 GB.
fn window() {
    let cluster = Cluster::start(&["max_wal_size = '8GB'"]).expect("a cluster");
    let project = Project::new(&cluster);
    let bytes = project.fill(1_400);
    let (mut own, mut whole) = (Vec::new(), Vec::new());
    for round in 0..5 {
        project.migration(round + 1, "ALTER TABLE note ADD COLUMN IF NOT EXISTS extra text;");
        project.run(&["run", "release", "--yes"], 0);
        let journal = project.journal();
        let total = between(&journal, "raise the flag", "clear the flag");
        let copy = &find(&journal, "finished", "clone the guard")["facts"]["guard"]["copy_millis"];
        let less = ["migrate to head", "health"]
            .iter()
            .map(|name| &find(&journal, "finished", name)["millis"])
            .chain([copy])
            .filter_map(Value::as_u64)
            .sum();
        whole.push(total);
        own.push(total.saturating_sub(Duration::from_millis(less)));
        project.run(&["cleanup", "--older-than", "0s", "--yes"], 0);
    }
    println!(
        "the window's own time on {}: {} (aim: below 1 s); with clone, migration and health {}",
        backstay::time::show_bytes(bytes),
        show(median(&mut own)),
        show(median(&mut whole))
    );
    for record in project.journal().iter().filter(|r| r["kind"] == "finished") {
        println!("  {:>6} ms  {}", record["millis"], record["summary"].as_str().unwrap_or_default());
    }
}

/// Put-back from the guard at 100 MB and at 2 GB: from the decision to the flag down.
fn put_back() {
    for megabytes in [100, 2_000] {
        let cluster = Cluster::start(&["max_wal_size = '8GB'"]).expect("a cluster");
        let project = Project::new(&cluster);
        let bytes = project.fill(megabytes);
        let mut took = Vec::new();
        for _ in 0..5 {
            project.migration(1, "ALTER TABLE note ADD COLUMN extra text; SELECT 1 / 0;");
            project.run(&["run", "release", "--yes"], 4);
            let journal = project.journal();
            let began = journal.iter().find(|r| r["kind"] == "put_back_began").expect("a put-back");
            let ended = at(find(&journal, "finished", "clear the flag"));
            took.push(Duration::from_millis((ended - at(began)) as u64));
            project.run(&["cleanup", "--older-than", "0s", "--yes"], 0);
        }
        println!(
            "put-back from the guard at {}: {} (aim: below 1 s, the same at both sizes)",
            backstay::time::show_bytes(bytes),
            show(median(&mut took))
        );
    }
}

/// `backstay migrate current` against `psql -c 'select 1'`.
fn cold_start() {
    let cluster = Cluster::start(&[]).expect("a cluster");
    let project = Project::new(&cluster);
    project.run(&["migrate", "upgrade", "head", "--unguarded"], 0);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        ours.push(timed(|| project.run(&["migrate", "current"], 0)));
        theirs.push(timed(|| {
            let mut command = Command::new(&project.psql);
            command.args(["-X", &project.url, "-c", "select 1"]).stdout(Stdio::null());
            assert!(command.status().expect("psql").success());
        }));
    }
    say("backstay migrate current", median(&mut ours), "psql -c 'select 1'", median(&mut theirs), 1.5);
}

/// A project in a temporary folder on the disk that holds this repository.
struct Project {
    folder: tempfile::TempDir,
    url: String,
    psql: PathBuf,
}

impl Project {
    fn new(cluster: &Cluster) -> Self {
        let psql = cluster.binaries().join("psql");
        let admin = cluster.url("postgres", "postgres");
        sql(&psql, &admin, &["-c", "CREATE ROLE bench LOGIN CREATEDB"]);
        sql(&psql, &admin, &["-c", "CREATE DATABASE bench OWNER bench"]);
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&target).expect("a folder");
        let folder = tempfile::tempdir_in(target).expect("a folder");
        let project = Self { folder, url: cluster.url("bench", "bench"), psql };
        for folder in ["config", "runbooks", "migrations"] {
            std::fs::create_dir(project.path(folder)).expect("a folder");
        }
        let (url, flag) = (&project.url, project.path("flag"));
        let config = format!(
            "protected = true\n[database]\nurl = \"{url}\"\nfree_disk = \"unchecked\"\n\
             [maintenance]\nflag = {{ file = \"{}\" }}\n[[health.sql]]\nexpect = \"select true\"\n",
            flag.display()
        );
        project.write("config/bench.toml", &config);
        project.write("runbooks/release.toml", RELEASE);
        project.migration(0, &format!("{NOTE};"));
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a written file");
    }

    /// The n-th migration of a chain.
    fn migration(&self, n: usize, script: &str) {
        let id = |n: usize| format!("be0000000{n:03}");
        let revises = if n == 0 { String::new() } else { format!("-- revises: {}\n", id(n - 1)) };
        let text =
            format!("-- revision: {}\n{revises}-- Round {n}\n\n-- upgrade\n{script}\n-- downgrade\n", id(n));
        self.write(&format!("migrations/{}.sql", id(n)), &text);
    }

    /// Fills the database with about so many megabytes, and a version table beside them; gives its size.
    fn fill(&self, megabytes: u64) -> u64 {
        let rows = megabytes * 2_700;
        for statement in [
            "CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY)",
            "INSERT INTO alembic_version VALUES ('be0000000000')",
            NOTE,
            &format!(
                "INSERT INTO note SELECT i, 'author ' || i % 1000, repeat(md5(i::text), 8), \
                 '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, {rows}) i"
            ),
            "CREATE INDEX note_author ON note (author)",
            "CREATE TABLE tag AS SELECT i AS id, 'tag ' || i AS name FROM generate_series(1, 1000) i",
            "VACUUM ANALYZE",
        ] {
            sql(&self.psql, &self.url, &["-c", statement]);
        }
        let size = sql(&self.psql, &self.url, &["-c", "SELECT pg_database_size(current_database())"]);
        size.trim().parse().expect("a number")
    }

    fn run(&self, arguments: &[&str], code: i32) {
        let output = Command::new(env!("CARGO_BIN_EXE_backstay"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("CI")
            .stdin(Stdio::null())
            .output()
            .expect("backstay");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The newest run's records.
    fn journal(&self) -> Vec<Value> {
        let run = sorted(&self.path("backstay-store/runs")).pop().expect("a run");
        sorted(&run.join("journal"))
            .iter()
            .map(|path| serde_json::from_slice(&std::fs::read(path).expect("a record")).expect("JSON"))
            .collect()
    }
}

const NOTE: &str =
    "CREATE TABLE note (id bigint PRIMARY KEY, author text NOT NULL, body text NOT NULL, at timestamptz)";

const RELEASE: &str = r#"
name = "release"
description = "The window, measured"
[[before]]
step = "preflight"
[window]
guard = "clone"
max = "15m"
[[during]]
step = "migrate"
[[during]]
step = "verify"
[[open]]
step = "health"
"#;

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// The newest record of this kind about the line of this name.
fn find<'a>(journal: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let started =
        journal.iter().rfind(|r| r["kind"] == "started" && r["name"] == name).expect("a started line");
    journal.iter().rfind(|r| r["kind"] == kind && r["line"] == started["line"]).expect("a record")
}

fn between(journal: &[Value], from: &str, to: &str) -> Duration {
    Duration::from_millis((at(find(journal, "finished", to)) - at(find(journal, "finished", from))) as u64)
}

fn at(record: &Value) -> i64 {
    let at: jiff::Timestamp = record["at"].as_str().expect("a time").parse().expect("a time");
    at.as_millisecond()
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn create_and_fsync(path: &Path) -> Duration {
    timed(|| {
        let mut file = std::fs::File::create(path).expect("a file");
        file.write_all(&[b'x'; 600]).expect("written");
        file.sync_all().expect("synced");
    })
}

fn say(what: &str, cost: Duration, against: &str, floor: Duration, aim: f64) {
    let ratio = cost.as_secs_f64() / floor.as_secs_f64();
    println!("{what}: {} = {ratio:.2} x {against} ({}); aim: below {aim} x", show(cost), show(floor));
}
