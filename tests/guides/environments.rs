//! Several environments of one project: what `backstay init` writes for one is never another's.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use backstay::config::env_file;

use crate::init::{before, read, texts, without_url};

/// The runbooks are every environment's; how it is deployed is one's own.
#[tokio::test]
async fn each_environment_deploys_by_its_own_env_file() {
    let project = before().await;
    let options = ["--deploy", "echo it\\'s 1.4 >> ran # really", "--undo", "echo 1.3 >> ran"];
    project.json(0, &[&["init", "--yes"], &options[..]].concat());
    let said = project.json(0, &["init", "--yes", "--name", "dev"]);
    let told = texts(&said, "missing", "what");
    assert!(told[0].contains("new version") && told[0].contains("DEPLOY=true"), "{told:?}");
    project.expect(0, &["run", "release", "-e", "dev", "--yes"]);
    assert!(!project.path().join("ran").exists(), "production was deployed");
    assert!(
        read(&project, ".env.dev").ends_with("\n# Nothing is restarted.\nDEPLOY=true\nDEPLOY_UNDO=true\n")
    );
    for (file, shipped) in [
        ("runbooks/release.toml", include_str!("../../runbooks/release.toml")),
        ("runbooks/emergency-rollback.toml", include_str!("../../runbooks/emergency-rollback.toml")),
    ] {
        assert_eq!(read(&project, file), shipped);
    }
    project.expect(0, &["cleanup", "-e", "dev", "--older-than", "0s", "--yes"]);
    project.expect(0, &["run", "release", "-e", "production", "--yes"]);
    assert_eq!(read(&project, "ran"), "it's 1.4\n");
    let mode = std::fs::metadata(project.path().join(".env.production")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn lines_of_an_env_file_that_is_there_stay() {
    let project = before().await;
    project.write(".env.production", "DEPLOY=make deploy\n");
    let said = project.json(0, &["init", "--yes", "--undo", "make back", "--deploy", "other"]);
    let text = read(&project, ".env.production");
    assert!(
        text.starts_with("DEPLOY=make deploy\n") && text.ends_with("\nDEPLOY_UNDO='make back'\n"),
        "{text}"
    );
    let told = texts(&said, "missing", "what");
    assert!(told[0].contains("DEPLOY of .env.production"), "{told:?}");

    // What it says is no less known than what an option says.
    project.write(".env.staging", "DEPLOY=make deploy\nDEPLOY_UNDO=make back\n");
    let said = project.json(0, &["init", "--yes", "--name", "staging"]);
    assert_eq!(said["added"], serde_json::json!([]));
    let told = texts(&said, "missing", "what");
    assert!(!told.iter().any(|what| what.contains("DEPLOY") || what.contains("version")), "{told:?}");
}

/// What one environment deploys by would be the other's.
#[tokio::test]
async fn an_env_file_of_another_environment_is_left_to_it() {
    let project = before().await;
    project.write(".env", &format!("DATABASE_URL={}\n", project.url));
    let options = ["init", "--yes", "--deploy", "make production", "--undo", "true"];
    without_url(&project, 0, &options);
    let was = read(&project, ".env");
    assert!(was.contains("make production"));
    without_url(&project, 0, &["init", "--yes", "--name", "dev"]);
    assert_eq!(read(&project, ".env"), was);
    assert!(read(&project, "config/dev.toml").contains("env_file = \".env.dev\""));
    let own = env_file::parse(&read(&project, ".env.dev")).unwrap();
    assert_eq!((own["DATABASE_URL"].as_str(), own["DEPLOY"].as_str()), (project.url.as_str(), "true"));
}

#[tokio::test]
async fn where_no_flag_is_known_none_is_made_up() {
    let project = before().await;
    assert!(Command::new("git").args(["init", "-q"]).current_dir(project.path()).status().unwrap().success());
    let said = project.json(3, &["init", "--yes", "--flag", "-"]);
    assert!(!read(&project, ".gitignore").contains("/-"), "{said}");
    let config: toml::Table = read(&project, "config/production.toml").parse().unwrap();
    assert!(config["maintenance"].get("flag").is_none(), "{config}");
    let told = texts(&said, "missing", "what");
    assert!(told.iter().any(|what| what.contains("flag") && what.contains("refused")), "{told:?}");
    assert!(said["trouble"].as_str().is_some_and(|text| text.contains("maintenance flag")), "{said}");
}

/// A runbook with lines of its own runs them for every environment.
#[tokio::test]
async fn a_runbook_that_does_not_take_the_line_is_named() {
    let project = before().await;
    let shipped = include_str!("../../runbooks/release.toml").replace("${DEPLOY}", "true");
    let own = shipped.replace("${DEPLOY_UNDO}", "true");
    project.write("runbooks/release.toml", &own);
    let said = project.json(0, &["init", "--yes", "--deploy", "make deploy"]);
    let told = texts(&said, "missing", "what");
    assert!(told[0].contains("runbooks/release.toml") && told[0].contains("DEPLOY"), "{told:?}");
    assert_eq!(read(&project, "runbooks/release.toml"), own);
}
