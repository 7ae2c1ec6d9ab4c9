//! What is in a backup's way, as `backstay doctor` and `backstay backup create` say it.

use serde_json::Value;

use crate::common;
use crate::common::command_line::CommandLine;
use crate::world::{admin_of, quote};

/// The findings of doctor's check `backup`: what each says, and whether it blocks.
fn findings(p: &CommandLine, runbook: &str) -> Vec<(String, bool)> {
    let answer = p.run(&["doctor", runbook, "--json"]);
    let document: Value = serde_json::from_str(&answer.stdout).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "backup").unwrap();
    let all = check["findings"].as_array().unwrap();
    all.iter().map(|f| (f["what"].as_str().unwrap().to_string(), f["blocks"].as_bool().unwrap())).collect()
}

#[tokio::test]
async fn what_is_in_the_way_is_said_before_anything_begins() {
    let p = CommandLine::new("").await;
    for (name, step) in [("read", "verify = \"read\""), ("restore", "verify = \"restore\"")] {
        let text = format!(
            "name = \"{name}\"\n[[before]]\nstep = \"preflight\"\n[[before]]\nstep = \"backup\"\n{step}\n"
        );
        p.write(&format!("runbooks/{name}.toml"), &text);
    }
    p.write("runbooks/none.toml", "name = \"none\"\n[[before]]\nstep = \"preflight\"\n");
    let session = admin_of(common::cluster(), &p.database).await;
    let owner = quote(&p.database);
    // Only a restore is in trouble: that blocks who restores, and is a warning to who does not.
    session.batch_execute("CREATE EXTENSION pageinspect").await.unwrap();
    let what = "extension pageinspect needs a superuser to be created".to_string();
    assert_eq!(findings(&p, "read"), [(format!("no restore by this role: {what}"), false)]);
    assert_eq!(findings(&p, "restore"), [(format!("no restore: {what}"), true)]);
    assert_eq!(findings(&p, "none"), []);
    let refused = p.expect(3, &["run", "restore", "--yes"]);
    refused.says(&["pageinspect", "restore as a superuser"]);
    p.expect(0, &["backup", "create"]).says(&[&what]);
    assert_eq!(p.json(0, &["backup", "list"])["backups"].as_array().unwrap().len(), 1);

    // What stops the backup itself blocks both, and nothing is written.
    session.batch_execute("CREATE TABLE theirs (x int)").await.unwrap();
    let what = "table public.theirs may not be read".to_string();
    for runbook in ["read", "restore"] {
        assert!(findings(&p, runbook).contains(&(what.clone(), true)));
    }
    p.expect(3, &["backup", "create"]).says(&[&what, "GRANT SELECT on it"]);
    let listed = p.json(0, &["backup", "list"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1);

    session.batch_execute(&format!("GRANT SELECT ON theirs TO {owner}")).await.unwrap();
    p.expect(0, &["backup", "create"]);
}
