//! `backstay init`: from an application that knows nothing of backstay to a green `doctor`, and to a release.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::backend;
use crate::common::command_line::{CommandLine, SECRET};

/// A project as it is before backstay: no config.
async fn before() -> CommandLine {
    let project = CommandLine::new("").await;
    std::fs::remove_dir_all(project.path().join("config")).expect("no config");
    std::fs::remove_dir_all(project.path().join("migrations")).expect("no migrations");
    project
}

fn read(project: &CommandLine, path: &str) -> String {
    std::fs::read_to_string(project.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Its `DATABASE_URL` is in no environment: only in the files.
fn without_url(project: &CommandLine, code: i32, arguments: &[&str]) -> serde_json::Value {
    let mut command = project.command(&[arguments, &["--json"]].concat());
    let output = command.env_remove("DATABASE_URL").output().expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains(SECRET), "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn a_database_with_tables_gets_a_baseline_and_a_release() {
    let project = before().await;
    let session = project.session().await;
    session
        .batch_execute("CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE)")
        .await
        .unwrap();
    session.batch_execute("INSERT INTO users (email) VALUES ('a@b.c')").await.unwrap();
    session.close().await;

    let said = project.json(3, &["init", "--yes", "--name", "staging"]);
    assert_eq!(said["ready"], false);
    let missing = said["missing"].as_array().expect("a list");
    let stamp = missing.last().and_then(|thing| thing["mends"].as_str()).expect("a stamp").to_string();
    assert!(stamp.starts_with("backstay migrate stamp ") && stamp.ends_with(" -e staging"), "{stamp}");
    let words: Vec<&str> = stamp.split(' ').skip(1).collect();
    project.expect(0, &words);

    // Again: nothing is written, and all is well.
    let config = read(&project, "config/staging.toml");
    let said = project.json(0, &["init", "--yes", "--name", "staging"]);
    assert_eq!((&said["ready"], said["wrote"].as_array().map(Vec::len)), (&true.into(), Some(0)), "{said}");
    assert_eq!(read(&project, "config/staging.toml"), config);

    // The baseline is the schema: a scratch database that it makes is the same.
    project.expect(0, &["migrate", "check"]);
    project.write(
        "migrations/2.sql",
        "-- revision: ea9069514d27\n-- revises: REV\n-- Notes\n\n-- upgrade\nALTER TABLE users ADD notes text;\n\
         -- downgrade\nALTER TABLE users DROP notes;\n"
            .replace("REV", words[2])
            .as_str(),
    );
    project.expect(0, &["run", "release", "--yes"]);
    assert_eq!(project.ask("SELECT version_num FROM alembic_version").await, "ea9069514d27");
}

#[tokio::test]
async fn an_alembic_project_is_ready_by_its_env_file_alone() {
    let project = backend::eleven_tables("").await;
    std::fs::remove_dir_all(project.path().join("config")).expect("no config");
    project.write(".env", &format!("DEBUG=1\nDATABASE_URL={}\n", project.url));
    std::fs::create_dir_all(project.path().join("backend/.venv/bin")).unwrap();
    std::os::unix::fs::symlink(backend::alembic(), project.path().join("backend/.venv/bin/alembic")).unwrap();
    assert!(Command::new("git").args(["init", "-q"]).current_dir(project.path()).status().unwrap().success());
    project.write(".gitignore", "/node_modules\n.env\n");

    let said = without_url(&project, 0, &["init", "--yes", "--deploy", "true", "--undo", "true"]);
    assert_eq!(said["ready"], true, "{said}");
    assert_eq!(
        said["ignored"],
        serde_json::json!(["/.backstay-spool/", "/backstay-store/", "/maintenance.flag"])
    );
    let config = read(&project, "config/production.toml");
    for line in [
        "env_file = \".env\"",
        "directory = \"backend\"",
        "command = [\".venv/bin/alembic\"]",
        "protected = true",
    ] {
        assert!(config.contains(line), "no {line} in\n{config}");
    }
    assert!(read(&project, ".gitignore").starts_with("/node_modules\n.env\n\n# Of backstay"));
    without_url(&project, 0, &["plan", "release"]);
}

#[tokio::test]
async fn what_is_not_known_is_said_with_what_mends_it() {
    let project = before().await;
    let said = without_url(&project, 3, &["init", "--yes", "--url-env", "PG_URL"]);
    assert!(said["trouble"].as_str().is_some_and(|text| text.contains("PG_URL")), "{said}");
    assert!(
        said["missing"][0]["mends"].as_str().is_some_and(|line| line.contains(">> .env.production")),
        "{said}"
    );
    let mode = std::fs::metadata(project.path().join(".env.production")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let nobody = project.expect(2, &["init", "--name", "other"]);
    nobody.says(&["there is no terminal to ask on", "--yes"]);
    assert!(!project.path().join("config/other.toml").exists());
    project.expect(2, &["init", "--yes", "--name", "other", "--tool", "alembic"]).says(&["no alembic.ini"]);
    assert!(!project.path().join("config/other.toml").exists());
}
