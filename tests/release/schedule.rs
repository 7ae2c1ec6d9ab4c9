//! When a release may begin: freezes, waits, overrides, and windows that earlier runs show to be too short.

use std::sync::Arc;
use std::time::Duration;

use backstay::event::{LineCard, LineId, Phase};
use backstay::failure::Verdict;
use backstay::journal::{Driver, Entry, Journal, RunbookCopy, Target};
use backstay::store::{Directory, Store};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::project::{Ended, Project, wait_until};
use crate::common::schema::Validator;
use crate::scene::Running;

/// Freezes the environment from `from` to `to`, in milliseconds from now.
fn freeze(project: &Project, from: i64, to: i64) {
    let at =
        |millis| (Timestamp::now() + SignedDuration::from_millis(millis)).strftime("%Y-%m-%d %H:%M:%S%.3f");
    let (from, to) = (at(from), at(to));
    let config = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    let config = config.split("\n[schedule]").next().unwrap_or_default().to_string();
    let schedule = format!(
        "\n[schedule]\ntime_zone = \"UTC\"\nfreezes = [{{ from = \"{from}\", to = \"{to}\", why = \"the fair\" }}]\n"
    );
    project.write("config/production.toml", &(config + &schedule));
}

const DAY: i64 = 86_400_000;

fn kinds(project: &Project) -> Vec<String> {
    project
        .journal()
        .iter()
        .map(|(_, record)| record["kind"].as_str().unwrap_or_default().to_string())
        .collect()
}

#[tokio::test]
async fn outside_of_the_schedule_a_release_is_refused_and_goes_ahead_for_a_reason() {
    let project = Project::shop().await;
    freeze(&project, -DAY, DAY);
    let refused = project.run(&["run", "release", "--yes"]).expect(3);
    refused.says("nothing is released until").says("(the fair)").says("--wait waits for it");
    assert!(project.journal().is_empty() && !project.flag_is_up());
    let plan: Value =
        serde_json::from_str(&project.run(&["plan", "release", "--json"]).expect(0).out).expect("JSON");
    assert_eq!(plan["schedule"]["open"], false, "{plan}");
    assert!(plan["schedule"]["why"].as_str().is_some_and(|why| why.contains("the fair")), "{plan}");
    // Where an operator looks first.
    for command in ["status", "doctor"] {
        let told = project.run(&[command]).expect(0).out;
        assert!(told.contains("the fair") && told.contains("the next window"), "{told}");
        let told: Value =
            serde_json::from_str(&project.run(&[command, "--json"]).expect(0).out).expect("JSON");
        Validator::of_command(command).holds(&told);
    }
    project.run(&["run", "release", "--yes", "--outside-schedule", ""]).expect(2);
    let run = ["run", "release", "--yes", "--outside-schedule", "orders can't be paid, OPS-12"];
    project.run(&run).expect(0).says("outside of the schedule").says("decided: orders can't be paid, OPS-12");
    assert_eq!(kinds(&project)[..2], ["began", "outside_schedule"]);
    let record = &project.journal()[1].1;
    assert_eq!(record["why"], "orders can't be paid, OPS-12");
    assert!(record["was"].as_str().is_some_and(|was| was.contains("the fair")), "{record}");
    // Now an earlier run is known: its time is told, and a window that it does not fit refuses the next.
    let plan = project.run(&["plan", "release"]).expect(0).out;
    assert!(plan.contains("estimate: about ") && plan.contains("; by 1 earlier run"), "{plan}");
    freeze(&project, -2 * DAY, -DAY);
    project.edit("runbooks/release.toml", "max = \"15m\"", "max = \"1ms\"");
    let refused = project.run(&["run", "release", "--yes"]).expect(3);
    refused.says("the window's max is 0.0 s, and users are likely to see the maintenance page for");
    project.edit("runbooks/release.toml", "max = \"1ms\"", "max = \"15m\"");
    project.run(&["run", "release", "--yes"]).expect(0).says("users will see the maintenance page for about");
}

#[tokio::test]
async fn a_release_waits_for_its_window() {
    let project = Project::shop().await;
    freeze(&project, -DAY, DAY);
    let mut command = project.command(&["run", "release", "--yes", "--wait", "--json"]);
    let out = std::fs::File::create(project.path("waits")).expect("a file");
    let child = command.stdout(out).stderr(std::process::Stdio::piped()).spawn().expect("the binary");
    let said = || std::fs::read_to_string(project.path("waits")).unwrap_or_default();
    wait_until("the wait", || said().contains("\"event\":\"waiting\""));
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    Ended::of(child.wait_with_output().expect("an end")).expect(3);
    assert!(said().contains("stopped by a signal"), "{}", said());
    assert!(project.journal().is_empty());

    // Long enough for the program to start on a busy machine, and to find that it has to wait.
    freeze(&project, -DAY, 8_000);
    let opens = Timestamp::now() + SignedDuration::from_millis(7_500);
    project
        .run(&["run", "release", "--yes", "--wait"])
        .expect(0)
        .says("the next window that is long enough opens");
    let began: Timestamp = project.journal()[0].1["at"].as_str().expect("a time").parse().expect("a time");
    assert!(began >= opens, "{began} is before {opens}");
}

/// A backup may take longer than the window is open: then the flag stays down.
#[tokio::test]
async fn the_schedule_is_asked_again_before_the_flag() {
    let project = Project::shop().await;
    project.add_gate("before");
    freeze(&project, 8_000, DAY);
    let frozen = Timestamp::now() + SignedDuration::from_millis(8_000);
    let running = Running::start(&mut project.command(&["run", "release", "--yes"]));
    wait_until("the gate", || project.path("at-before").exists());
    wait_until("the freeze", || Timestamp::now() > frozen);
    project.write("open-before", "");
    running.end().expect(3).says("could not open the window").says("the fair");
    assert!(!project.flag_is_up());
    assert!(project.journal().iter().all(|(_, record)| record["name"] != "raise the flag"));
}

/// A run that ended well, whose one line took so long.
async fn earlier_run(project: &Project, name: &str, took: Duration) {
    let store: Arc<dyn Store> = Arc::new(Directory::new(project.path("backstay-store")));
    let line = LineId::Line(1);
    let runbook =
        RunbookCopy { name: "x".into(), origin: "x".into(), text: String::new(), hash: String::new() };
    let lines = vec![LineCard { id: line, phase: Phase::Before, name: name.into(), done: None }];
    let began = Entry::Began {
        environment: "production".into(),
        config_hash: String::new(),
        runbook,
        target: Target { system: "1".into(), name: "x".into(), oid: 1 },
        driver: Box::new(Driver::this_process()),
        lines,
        rollback: None,
    };
    let millis = u64::try_from(took.as_millis()).expect("a short time");
    let (summary, facts) = (String::new(), Value::Null);
    let finished = Entry::Finished { line, summary, facts, millis, probed: false };
    let mut journal = Journal::begin(store, "20260101t000000z-aaaaa".into());
    for entry in [began, finished, Entry::Ended { verdict: Verdict::Done }] {
        journal.append(entry).await.expect("a record");
    }
}

#[tokio::test]
async fn a_window_that_is_too_short_refuses_before_anything_starts() {
    let project = Project::shop().await;
    earlier_run(&project, "backup", Duration::from_secs(7200)).await;
    freeze(&project, 3_600_000, DAY);
    let refused = project.run(&["run", "release", "--yes"]).expect(3);
    refused.says("the window closes").says("and this may take 2 h 00 m").says("it takes about 2 h 00 m");
    assert_eq!(kinds(&project).len(), 3, "the earlier run's records alone");
    freeze(&project, 3 * 3_600_000, DAY);
    project.run(&["run", "release", "--yes"]).expect(0);
}
