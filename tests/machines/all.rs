//! `status --all`: every environment, also where some can't be seen.

use serde_json::Value;

use crate::common::project::Project;
use crate::common::schema::Validator;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_out_of_reach_does_not_hide_the_others() {
    let project = Project::shop().await;
    project.run(&["run", "release", "--yes"]).expect(0);
    let production = std::fs::read_to_string(project.path("config/production.toml")).expect("a config");
    let gone = "protected = false\n[database]\nurl = \"postgresql://app@127.0.0.1:1/gone\"\nconnect_timeout = \"1s\"\n[store]\nurl = \"file://./other-store\"\n";
    project.write("config/gone.toml", gone);
    project.write("config/broken.toml", "nonsense = 1\n");
    project.write("config/default.toml", "");
    project.write("config/staging.toml", &production.replace(".env.production", ".env.staging"));
    project.write(".env.staging", &std::fs::read_to_string(project.path(".env.production")).expect("it"));

    let told = project.run(&["status", "--all", "--json"]).expect(0);
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    Validator::of_command("status --all").holds(&told);
    let of = |name: &str| {
        told["environments"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["environment"] == name)
            .expect(name)
    };
    let names: Vec<&str> = told["environments"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["environment"].as_str())
        .collect();
    assert_eq!(names, ["broken", "gone", "production", "staging"]);
    assert!(of("broken")["error"]["causes"].to_string().contains("nonsense"), "{told:#}");
    assert!(
        of("gone")["error"].is_null() && of("gone")["revision"]["value"]["error"].is_object(),
        "{told:#}"
    );
    assert!(
        of("production")["last_good_run"]["runbook"] == "release" && of("staging")["last_good_run"].is_null(),
        "{told:#}"
    );
    assert_eq!(of("production")["revision"]["value"][0]["pending"], serde_json::json!([]));

    let shown = project.run(&["status", "--all"]).expect(0);
    let row = |name: &str| {
        shown
            .out
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name} in\n{}", shown.out))
    };
    assert!(row("production ").contains("done") && row("production ").contains("read"), "{}", shown.out);
    assert!(row("gone ").contains("unknown") && row("broken ").contains("unknown"), "{}", shown.out);
    assert!(shown.out.contains("unknown key `nonsense`"), "{}", shown.out);
    assert!(!shown.err.contains("panicked"));
}
