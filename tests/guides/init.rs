//! `backstay init`: from an application that knows nothing of backstay to a green `doctor`, and to a release.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::backend;
use crate::common::command_line::{CommandLine, SECRET};
use crate::common::{cluster, session as session_of};
use backstay::config::env_file;

/// A project as it is before backstay: no config.
pub async fn before() -> CommandLine {
    let project = CommandLine::new("").await;
    std::fs::remove_dir_all(project.path().join("config")).expect("no config");
    std::fs::remove_dir_all(project.path().join("migrations")).expect("no migrations");
    project
}

pub fn read(project: &CommandLine, path: &str) -> String {
    std::fs::read_to_string(project.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Its `DATABASE_URL` is in no environment: only in the files.
pub fn without_url(project: &CommandLine, code: i32, arguments: &[&str]) -> serde_json::Value {
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
    assert_eq!(said["ignored"], serde_json::json!(["/.backstay-*", "/backstay-store/", "/maintenance.flag"]));
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

/// Every file of the project, from its root.
fn files(project: &CommandLine) -> Vec<String> {
    let output = Command::new("find").args([".", "-type", "f"]).current_dir(project.path()).output().unwrap();
    let mut files: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect();
    files.sort();
    files
}

fn compose(project: &CommandLine, url: &str) {
    let text = format!("services:\n  web:\n    build: .\n    environment:\n      DATABASE_URL: {url}\n");
    project.write("compose.yaml", &text);
}

pub fn texts(said: &serde_json::Value, list: &str, member: &str) -> Vec<String> {
    let texts = said[list].as_array().expect("a list").iter();
    texts.map(|thing| thing[member].as_str().expect("a text").to_string()).collect()
}

/// A user who gave a URL finds it where the config says that it is.
#[tokio::test]
async fn a_url_is_added_to_the_env_file_that_is_there() {
    let project = before().await;
    compose(&project, &project.url);
    project.write(".env.production", "DEBUG=1");
    let said = without_url(&project, 0, &["init", "--yes"]);
    assert_eq!(said["ready"], true, "{said}");
    let text = read(&project, ".env.production");
    assert!(text.starts_with(&format!("DEBUG=1\nDATABASE_URL={}\n", project.url)), "{text}");
    assert!(text.ends_with("\nDEPLOY='docker compose up -d --build web'\n# Nothing puts the old version back.\nDEPLOY_UNDO=true\n"), "{text}");
    assert_eq!(said["added"], serde_json::json!([".env.production"]));
}

#[tokio::test]
async fn a_url_that_could_not_be_kept_is_named() {
    let project = before().await;
    compose(&project, &project.url);
    let other = "DATABASE_URL=mysql://elsewhere\n";
    project.write(".env.production", other);
    let said = without_url(&project, 3, &["init", "--yes"]);
    let text = read(&project, ".env.production");
    assert!(text.starts_with(other) && text.matches("DATABASE_URL").count() == 1, "{text}");
    let told = texts(&said, "missing", "what");
    assert!(told[0].contains("DATABASE_URL") && told[0].contains(".env.production"), "{told:?}");

    // Nor does a secret go where others can read it.
    let path = project.path().join(".env.staging");
    std::fs::write(&path, "DEBUG=1\n").unwrap();
    let said = without_url(&project, 3, &["init", "--yes", "--name", "staging"]);
    assert_eq!(read(&project, ".env.staging"), "DEBUG=1\n");
    let told = texts(&said, "missing", "what");
    assert!(told[0].contains("DATABASE_URL") && told[0].contains(".env.staging"), "{told:?}");
}

/// What is in the environment goes before what is in the env file.
#[tokio::test]
async fn a_url_that_another_one_hides_is_named() {
    let project = before().await;
    project.write(".env.production", &format!("PG_URL={}\n", project.url));
    let mut command = project.command(&["init", "--yes", "--url-env", "PG_URL", "--json"]);
    let output = command.env("PG_URL", "mysql://elsewhere").output().expect("the program runs");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = texts(&said, "missing", "mends");
    assert!(told[0].contains("unset PG_URL"), "{told:?}");
}

#[tokio::test]
async fn with_a_config_of_somebody_elses_only_doctor_runs() {
    let project = before().await;
    let session = project.session().await;
    session.batch_execute("CREATE TABLE users (id bigint)").await.unwrap();
    session.close().await;
    project.configure("production", "[migrations]\ndirectory = \"db/migrations\"\n");
    project.write("db/migrations/.keep", "");
    let was = files(&project);
    let said = project.json(3, &["init", "--yes"]);
    assert_eq!(said["wrote"], serde_json::json!([]));
    assert_eq!(files(&project), was);
}

#[tokio::test]
async fn what_came_too_early_is_made_up_for() {
    let project = before().await;
    let session = project.session().await;
    session.batch_execute("CREATE TABLE users (id bigint)").await.unwrap();
    session.close().await;
    let said = without_url(&project, 3, &["init", "--yes"]);
    assert!(texts(&said, "missing", "mends").contains(&"backstay init -e production".to_string()), "{said}");
    let config = read(&project, "config/production.toml");
    project.write("config/production.toml", &config.replace("= \"migrations\"", "= \"db/migrations\""));
    project.write("db/migrations/.keep", "");
    let said = project.json(3, &["init", "--yes"]);
    let wrote = said["wrote"][0].as_str().expect("a file");
    assert!(wrote.starts_with("db/migrations/") && wrote.ends_with("_baseline.sql"), "{said}");
    let stamp = texts(&said, "missing", "mends").pop().expect("a stamp");
    let words: Vec<&str> = stamp.split(' ').skip(1).collect();
    project.expect(0, &words);
}

#[tokio::test]
async fn options_that_make_no_config_write_nothing() {
    let project = before().await;
    let was = files(&project);
    for (option, value, why) in [
        ("--url-env", "my-url", "--url-env"),
        ("--url-env", "A}\"", "--url-env"),
        ("--store", "s3://b/x", "no store of this kind"),
        ("--store", "file://host/x", "after `file://`"),
        ("--health-url", "127.0.0.1:8000", "health"),
        ("--flag", "", "`file` is empty"),
        ("--deploy", "one\r\ntwo", "env file"),
        ("--flag", "${NOT_SET}/flag", "NOT_SET"),
    ] {
        let answer = project.expect(2, &["init", "--yes", option, value]);
        answer.says(&[why, "nothing was written"]);
        assert_eq!(files(&project), was, "{option} {value}");
    }
    // The mode of an env file and a CI's rules are doctor's to tell.
    project.write(".env.production", "DEBUG=1\n");
    let mut command = project.command(&["init", "--yes"]);
    assert_eq!(command.env("CI", "true").output().unwrap().status.code(), Some(3));
    assert!(project.path().join("config/production.toml").exists());
}

#[tokio::test]
async fn names_of_units_are_words_of_a_shell() {
    let project = before().await;
    project.write("deploy/my\\x2dapp.service", "[Service]\nExecStart=x\n");
    project.json(0, &["init", "--yes"]);
    let variables = env_file::parse(&read(&project, ".env.production")).unwrap();
    assert_eq!(variables["DEPLOY"], "systemctl restart 'my\\x2dapp'");
}

#[tokio::test]
async fn why_there_is_no_baseline_is_said() {
    let project = before().await;
    let session = project.session().await;
    session.batch_execute("CREATE TABLE users (id bigint)").await.unwrap();
    session.close().await;
    let superuser = session_of(&cluster().url("postgres", &project.database)).await;
    superuser.batch_execute("CREATE TABLE secrets (id bigint)").await.unwrap();
    superuser.close().await;
    let said = project.json(3, &["init", "--yes"]);
    let told = texts(&said, "missing", "what");
    assert!(told.iter().any(|what| what.contains("permission denied for table secrets")), "{told:?}");
}

/// SIGXFSZ is what a full disk would be if it killed.
#[tokio::test]
async fn a_file_is_whole_or_not_there() {
    let project = before().await;
    let mut program = project.command(&["init", "--yes"]);
    let limited = format!("ulimit -f 1; exec {} init --yes", program.get_program().to_string_lossy());
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited]).current_dir(project.path()).env_clear().env("DATABASE_URL", &project.url);
    let killed = shell.env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap();
    assert!(killed.status.code().is_none(), "{killed:?}");
    assert!(!project.path().join("config/production.toml").exists());
    assert!(program.output().unwrap().status.success());
    assert!(read(&project, "runbooks/release.toml").contains("step = \"record\""));
    assert!(read(&project, "config/production.toml").contains("[[health.sql]]"));
}

#[tokio::test]
async fn git_sees_neither_backups_nor_flag() {
    let project = before().await;
    assert!(Command::new("git").args(["init", "-q"]).current_dir(project.path()).status().unwrap().success());
    let said = project.json(0, &["init", "--yes", "--store", "backups", "--flag", "./x"]);
    assert_eq!(said["ignored"], serde_json::json!(["/.env.production", "/.backstay-*", "/backups/", "/x"]));
    let inside = format!("file://{}/inner/backups", project.path().display());
    let said = project.json(0, &["init", "--yes", "--name", "b", "--store", &inside, "--flag", "./y"]);
    assert_eq!(said["ignored"], serde_json::json!(["/.env.b", "/inner/backups/", "/y"]));
}
