//! `plan --out`, `approve`, `run --plan`: what was approved is what runs, or nothing does.

use serde_json::Value;

use crate::common::project::Project;
use crate::common::schema::Validator;

fn plan(project: &Project) -> Value {
    project.run(&["plan", "release", "--out", "plan.json"]).expect(0);
    serde_json::from_str(&std::fs::read_to_string(project.path("plan.json")).expect("a plan")).expect("JSON")
}

fn approve_facts(project: &Project) -> Value {
    let journal = project.journal();
    let finished = journal
        .iter()
        .map(|(_, record)| record)
        .find(|record| record["kind"] == "finished" && record["facts"]["asked"].is_boolean());
    finished.expect("an approve line").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_in_one_job_runs_in_the_next() {
    let project = Project::shop().await;
    let planned = plan(&project);
    Validator::strict(backstay::schema::plan()).holds(&planned);
    assert_eq!(planned["revisions"]["main"], serde_json::json!(["989ceebf408f"]));
    assert!(planned["sql"].as_str().is_some_and(|sql| sql.contains("ALTER TABLE") || sql.contains("CREATE")));

    // Nobody approved it, and nobody can be asked.
    let refused = project.run(&["run", "--plan", "plan.json"]).expect(2);
    assert!(refused.err.contains("backstay approve"), "{}", refused.err);
    // Without a terminal a name alone is no word.
    project.run(&["approve", "plan.json", "--by", "alice"]).expect(2);
    project.run(&["approve", "plan.json", "--yes"]).expect(2);
    let told = project.run(&["approve", "plan.json", "--by", "alice, bob", "--yes", "--json"]).expect(0);
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    Validator::of_command("approve").holds(&told);
    assert_eq!((&told["approval"]["by"], &told["approval"]["how"]), (&"alice, bob".into(), &"said".into()));

    project.run(&["run", "--plan", "plan.json"]).expect(0);
    let record = approve_facts(&project);
    let facts = &record["facts"];
    assert_eq!((&facts["by"], &facts["asked"]), (&"alice, bob".into(), &false.into()));
    assert_eq!(facts["plan"]["approval"], told["approval"]);
    assert_eq!(facts["plan"]["hash"], told["approval"]["of"]);
    let summary = record["summary"].as_str().expect("a summary");
    assert!(summary.contains("by alice, bob in plan") && summary.contains("so said there by"), "{summary}");

    // It has run: the database is elsewhere now.
    let again = project.run(&["run", "--plan", "plan.json"]).expect(3);
    assert!(again.err.contains("revision: planned from 989ceebf408f"), "{}", again.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_where_anything_differs() {
    let project = Project::shop().await;
    plan(&project);
    project.run(&["approve", "plan.json", "--by", "alice", "--yes"]).expect(0);
    let refused = |names: &[&str]| {
        let refused = project.run(&["run", "release", "--plan", "plan.json", "--yes"]).expect(3);
        names.iter().for_each(|name| assert!(refused.err.contains(name), "no {name:?} in\n{}", refused.err));
        assert!(refused.err.contains("nothing was changed"), "{}", refused.err);
        assert!(project.journal().is_empty(), "a run was begun");
    };
    let restore = |file: &'static str| {
        let text = std::fs::read_to_string(project.path(file)).expect("a file");
        move |project: &Project| project.write(file, &text)
    };

    let back = restore("config/production.toml");
    project.edit("config/production.toml", "protected = true", "protected = true # changed");
    refused(&["config/production.toml: planned"]);
    back(&project);
    let back = restore("runbooks/release.toml");
    project.edit("runbooks/release.toml", "max = \"15m\"", "max = \"16m\"");
    refused(&["runbooks/release.toml: planned"]);
    back(&project);
    project.set_deploy("echo something else >> deployed", "echo undone >> deployed");
    refused(&["the lines: a variable"]);
    project.set_deploy("echo deployed >> deployed", "echo undone >> deployed");
    let pending = "migrations/20250317103000_order_priority.sql";
    let back = restore(pending);
    project.edit(pending, "-- upgrade\n", "-- upgrade\nSELECT 1;\n");
    refused(&["the SQL of the migrations: planned"]);
    back(&project);

    // The file itself, after it was approved.
    let approved = std::fs::read_to_string(project.path("plan.json")).expect("a plan");
    project.write("plan.json", &approved.replacen("\"server\": \"", "\"server\": \"other-", 1));
    let changed = project.run(&["run", "--plan", "plan.json", "--yes"]).expect(3);
    assert!(changed.err.contains("it is not what was approved"), "{}", changed.err);
    for (text, why) in
        [("{}", "it is no plan file"), ("no", "it is no JSON"), ("{\"format\": 99}", "it has format 99")]
    {
        project.write("plan.json", text);
        let unread = project.run(&["run", "--plan", "plan.json", "--yes"]).expect(2);
        assert!(unread.err.contains(why), "{}", unread.err);
    }

    // As it was planned after all.
    project.write("plan.json", &approved);
    project.run(&["run", "--plan", "plan.json"]).expect(0);
}
