//! Manual lines: what only a person can see to.

use serde_json::Value;

use crate::common::project::{Project, wait_until};
use crate::scene::Running;

const TOLD: &str = "Are on-call and support told?";

/// The release, with two questions at its beginning, and one in its window.
async fn project() -> Project {
    let project = Project::shop().await;
    let asks = format!("step = \"checklist\"\nask = [\"{TOLD}\", \"Is the page up?\"]");
    project.add_line("before", &asks);
    project.add_line("open", "step = \"checklist\"\nname = \"look\"\nask = \"Does it look right?\"");
    project
}

fn answers(project: &Project, look: &str) {
    let text = format!(
        "\"{TOLD}\" = {{ answer = \"yes\", by = \"Anna Schmidt\", at = 2026-11-21T20:00:00Z, note = \"OPS-12\" }}\n\
         \"Is the page up?\" = true\nlook = {look}\n"
    );
    project.write("answers.toml", &text);
}

fn finished(project: &Project, ask: &str) -> Option<Value> {
    let records = project.journal();
    let found = records.iter().find(|(_, record)| record["facts"]["ask"] == ask);
    found.map(|(_, record)| record.clone())
}

const RUN: [&str; 5] = ["run", "release", "--yes", "--answers", "answers.toml"];

#[tokio::test]
async fn nothing_begins_while_a_question_is_open_or_answered_with_no() {
    let project = project().await;
    let ended = project.run(&["run", "release", "--yes"]).expect(2);
    ended.says("--yes does not answer them").says("\"Does it look right?\" = { answer = \"yes\"");
    answers(&project, "\"no\"");
    project.run(&RUN).expect(3).says("answers.toml answers no to: Does it look right?");
    project.edit("answers.toml", "\"Is the page up?\"", "\"Is teh page up?\"");
    project.run(&RUN).expect(2).says("did you mean \"Is the page up?\"?");
    project.run(&["run", "release", "--yes", "--answers", "nowhere.toml"]).expect(2).says("No such file");
    assert!(project.journal().is_empty(), "nothing was begun");
}

#[tokio::test]
async fn what_was_answered_is_journaled_and_not_asked_again() {
    let project = project().await;
    answers(&project, "true");
    project.add_gate("before");
    let mut running = Running::start(&mut project.command(&RUN));
    wait_until("the gate", || project.path("at-before").exists());
    running.kill();
    project.write("open-before", "");
    // What was answered needs no answer; what is to come does.
    let ended = project.run(&["resume", "--yes"]).expect(2);
    ended.says("Does it look right?");
    assert!(!ended.err.contains(TOLD), "{}", ended.err);
    project.write("rest.json", r#"{"Does it look right?": {"answer": "yes", "by": "Ben"}}"#);
    project.run(&["resume", "--yes", "--answers", "rest.json"]).expect(0).says("yes, by Ben (rest.json)");
    let told = finished(&project, TOLD).expect("an answer");
    assert_eq!(
        (&told["facts"]["by"], &told["facts"]["note"], &told["facts"]["file"]),
        (&"Anna Schmidt".into(), &"OPS-12".into(), &"answers.toml".into())
    );
    assert_eq!((&told["facts"]["at"], &told["epoch"]), (&"2026-11-21T20:00:00Z".into(), &1.into()));
    let look = finished(&project, "Does it look right?").expect("an answer");
    assert_eq!((&look["facts"]["by"], &look["epoch"]), (&"Ben".into(), &2.into()));
}
