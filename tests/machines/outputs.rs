//! `--json` of every command, from the real program on a real database, held against the program's own schemas.

use std::collections::BTreeSet;

use backstay::schema;
use serde_json::Value;

use crate::common::command_line::CommandLine;
use crate::common::project::Project;
use crate::common::schema::Validator;

/// Commands whose answers are held elsewhere, or that need what is not here: Alembic, a demo of half a minute.
const ELSEWHERE: [&str; 4] = ["approve", "demo", "migrate import", "status --all"];

struct Held {
    seen: BTreeSet<String>,
}

impl Held {
    /// Runs `command` with `arguments` and holds its document against its schema.
    #[track_caller]
    fn hold(&mut self, project: &Project, command: &str, arguments: &[&str], code: i32) -> Value {
        let typed: Vec<&str> =
            command.split(' ').chain(arguments.iter().copied()).chain(["--json"]).collect();
        let ended = project.run(&typed).expect(code);
        assert_eq!(ended.out.lines().count(), 1, "{typed:?}: {}", ended.out);
        let document: Value = serde_json::from_str(&ended.out).expect("JSON");
        Validator::of_command(command).holds(&document);
        self.seen.insert(command.to_string());
        document
    }
}

fn events(out: &str) -> Vec<Value> {
    let schema = Validator::strict(schema::event());
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    events.iter().for_each(|event| schema.holds(event));
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_its_schema_says() {
    let project = Project::shop().await;
    let mut held = Held { seen: BTreeSet::new() };
    held.hold(&project, "status", &[], 0);
    held.hold(&project, "runs", &[], 0);
    held.hold(&project, "doctor", &[], 0);
    held.hold(&project, "plan", &["release"], 0);
    for command in
        ["migrate status", "migrate current", "migrate heads", "migrate branches", "migrate history"]
    {
        held.hold(&project, command, &[], 0);
    }
    held.hold(&project, "migrate history", &["-i"], 0);
    held.hold(&project, "migrate show", &["head"], 0);
    held.hold(&project, "migrate show", &["current"], 0);
    held.hold(&project, "migrate lint", &[], 0);
    held.hold(&project, "migrate check", &[], 0);
    held.hold(&project, "migrate test", &[], 0);
    held.hold(&project, "migrate upgrade", &["base:head", "--sql"], 0);

    // Releases: one that fails, and one that does not.
    project.set_deploy("exit 1", "true");
    events(&project.run(&["run", "release", "--yes", "--json"]).expect(4).out);
    let status = held.hold(&project, "status", &[], 0);
    assert!(!status["leftover"].as_array().expect("a list").is_empty(), "{status:#}");
    held.hold(&project, "cleanup", &["--older-than", "0s", "--yes"], 0);
    project.set_deploy("true", "true");
    let told = events(&project.run(&["run", "release", "--yes", "--json"]).expect(0).out);
    let run = told[0]["run"].as_str().expect("a run").to_string();
    held.hold(&project, "runs", &[], 0);
    held.hold(&project, "report", &[&run], 0);
    held.hold(&project, "init", &["--yes"], 0);
    let one = held.hold(&project, "runs", &[&run], 0);
    let records = Validator::strict(schema::record());
    one["records"].as_array().expect("records").iter().for_each(|record| records.holds(record));
    held.hold(&project, "status", &[], 0);

    for (verb, code) in [("status", 0), ("on", 2), ("off", 2)] {
        held.hold(&project, "maintenance", &[verb], code);
    }
    held.hold(&project, "maintenance", &["on", "--unguarded"], 0);
    held.hold(&project, "status", &[], 0);
    held.hold(&project, "maintenance", &["off", "--unguarded"], 0);

    held.hold(&project, "migrate downgrade", &["-1"], 2);
    held.hold(&project, "migrate downgrade", &["-1", "--unguarded"], 0);
    held.hold(&project, "migrate upgrade", &["head", "--unguarded"], 0);
    held.hold(&project, "migrate stamp", &["989ceebf408f", "--unguarded"], 0);
    held.hold(&project, "migrate stamp", &["head", "--unguarded"], 0);
    held.hold(&project, "migrate revision", &["-m", "one more"], 0);
    held.hold(&project, "migrate revision", &["-m", "another", "--head", "c08085465bad", "--splice"], 0);
    held.hold(&project, "migrate branches", &[], 0);
    held.hold(&project, "migrate merge", &["-m", "together"], 0);

    held.hold(&project, "backup create", &[], 0);
    held.hold(&project, "backup create", &["--if-older", "1h"], 0);
    held.hold(&project, "backup verify", &["latest"], 0);
    held.hold(&project, "backup list", &[], 0);
    let shown = held.hold(&project, "backup show", &["latest"], 0);
    Validator::strict(schema::manifest()).holds(&shown["manifest"]);
    let side = format!("{}_side", project.name);
    held.hold(&project, "backup restore", &["latest", "--as", &side], 0);
    held.hold(&project, "backup prune", &["--keep", "1", "--dry-run"], 0);
    held.hold(&project, "backup prune", &["--keep", "1", "--yes"], 0);
    held.hold(&project, "backup show", &["no-such"], 3);
    held.hold(&project, "schema", &["config"], 0);

    let free = CommandLine::new("").await;
    let reset = free.json(0, &["migrate", "reset", "--yes"]);
    Validator::of_command("migrate reset").holds(&reset);
    held.seen.insert("migrate reset".into());

    let known: BTreeSet<String> = schema::commands().into_iter().collect();
    let elsewhere = ELSEWHERE.map(String::from).into();
    let unseen: Vec<&String> =
        known.difference(&held.seen).filter(|one| !BTreeSet::contains(&elsewhere, *one)).collect();
    assert!(unseen.is_empty(), "nothing was held of {unseen:?}");
    superfluous_members_are_refused();

    // Words that no command takes, and a file that is none.
    let failed = Validator::of_command("status");
    for (words, code) in [(&["status", "--no-such", "--json"][..], 2), (&["plan", "no-such", "--json"], 2)] {
        let ended = project.run(words).expect(code);
        failed.holds(&serde_json::from_str(&ended.out).expect("JSON"));
    }
}

/// The validator is strict, or it would hold nothing.
fn superfluous_members_are_refused() {
    let schema = Validator::of_command("maintenance");
    let good = serde_json::json!({ "up": true, "holder": null, "flag": "x" });
    schema.holds(&good);
    let more = serde_json::json!({ "up": true, "holder": null, "flag": "x", "new": 1 });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| schema.holds(&more))).is_err());
}

/// Every command of the program that takes `--json` has a schema: what is new is named here.
#[test]
fn every_command_has_a_schema() {
    let help = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_backstay")).args(arguments).arg("--help").output();
        String::from_utf8(output.expect("help").stdout).expect("UTF-8")
    };
    let below = |text: &str| -> Vec<String> {
        let (_, list) = text.split_once("Commands:\n").unwrap_or_default();
        let list = list.lines().take_while(|line| !line.is_empty());
        let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(String::from)
            .collect()
    };
    let known = schema::commands();
    let commands = below(&help(&[]));
    assert!(commands.len() > 10, "{commands:?}");
    // Events, and a script for a shell.
    let streams = ["run", "resume", "rollback", "completions"];
    for command in
        commands.iter().filter(|command| !streams.contains(&command.as_str()) && *command != "maintenance")
    {
        let verbs = below(&help(&[command]));
        let names = match verbs.is_empty() {
            true => vec![command.clone()],
            false => verbs.iter().map(|verb| format!("{command} {verb}")).collect(),
        };
        for name in names {
            assert!(known.contains(&name), "`{name}` has no schema: add it to src/schema/output.json");
        }
    }
}
