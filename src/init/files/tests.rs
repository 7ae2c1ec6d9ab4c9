use std::collections::BTreeMap;
use std::path::Path;

use super::runbooks::deploy_step;
use super::*;
use crate::config::{Config, env_file as reading};
use crate::init::answers::{Answers, Kept, Tool, Url};
use crate::runbook::{Runbook, SHIPPED, StepKind, Undo};

const ROOT: &str = "/srv/shop";

fn full() -> Answers {
    Answers {
        environment: "production".into(),
        application: "shop".into(),
        url: Url {
            variable: "DATABASE_URL".into(),
            kept: Kept::Write("postgresql://shop:p%20w'd#x@db.example.com:5432/shop".into()),
        },
        tool: Tool::Alembic {
            directory: "backend".into(),
            command: vec!["uv".into(), "run".into(), "alembic".into()],
            url_env: Some("APP_URL".into()),
        },
        deploy: Some("ln -sfn /opt/shop/1.4 /opt/shop/current && systemctl restart \"shop\"".into()),
        undo: Some("systemctl restart shop@previous".into()),
        flag: "/opt/shop/maintenance".into(),
        health: Some("http://127.0.0.1:8000/health".into()),
        store: "gs://backups/shop".into(),
        free_disk: Some("/var/lib/postgresql".into()),
    }
}

fn bare() -> Answers {
    Answers {
        environment: "staging".into(),
        url: Url { variable: "PG_URL".into(), kept: Kept::Nowhere },
        tool: Tool::Sql,
        deploy: None,
        undo: None,
        flag: "maintenance.flag".into(),
        health: None,
        store: "file://./backstay-store".into(),
        free_disk: None,
        ..full()
    }
}

/// What is written is read again, and the runbook fits the environment.
fn read(answers: &Answers) -> (Config, Runbook) {
    let mut variables = BTreeMap::from([(answers.url.variable.clone(), "postgresql://a@h/shop".to_string())]);
    if let Kept::Write(url) = &answers.url.kept {
        variables = reading::parse(&env_file(answers).unwrap()).unwrap();
        assert_eq!(&variables[&answers.url.variable], url);
    }
    let config = Config::parse(&config(answers), Path::new("/srv/shop"), &answers.environment, &variables)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let runbook = Runbook::parse(&runbook(answers), "release", &variables).unwrap();
    runbook.check_against(&config).unwrap();
    (config, runbook)
}

#[test]
fn what_is_written_is_read_again() {
    let (config, runbook) = read(&full());
    assert!(config.protected && config.health.http.len() == 1 && config.health.sql.is_empty());
    let crate::config::Tool::Alembic(settings) = &config.migrations[0].tool else { panic!("no Alembic") };
    assert_eq!((settings.command.len(), settings.url_env.as_str()), (3, "APP_URL"));
    assert_eq!(settings.directory, Path::new("/srv/shop/backend"));
    assert_eq!(runbook.window.unwrap().open.len(), 2);

    let (config, runbook) = read(&bare());
    assert!(!config.protected && config.health.http.is_empty() && config.health.sql.len() == 1);
    assert_eq!(config.env_file.unwrap(), Path::new("/srv/shop/.env.staging"));
    assert_eq!(runbook.window.unwrap().open.len(), 1, "only the health step");
}

#[test]
fn the_files_of_an_application_of_which_all_is_known() {
    insta::assert_snapshot!("config_full", config(&full()));
    insta::assert_snapshot!("deploy_full", deploy_step(&full()));
    assert_eq!(missing(&full(), false), []);
    let paths: Vec<String> = not_for_git(&full(), ROOT.as_ref()).into_iter().map(|(line, _)| line).collect();
    assert_eq!(paths, ["/.env.production", "/.backstay-*"]);
}

#[test]
fn the_files_of_an_application_of_which_little_is_known() {
    insta::assert_snapshot!("config_bare", config(&bare()));
    let told: Vec<String> =
        missing(&bare(), false).iter().map(|m| format!("{}\n-> {}", m.what, m.mends)).collect();
    insta::assert_snapshot!("missing_bare", told.join("\n"));
    let paths: Vec<String> = not_for_git(&bare(), ROOT.as_ref()).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, [".env.staging", ".backstay-spool/", "backstay-store/", "maintenance.flag"]);
    assert!(reading::parse(&env_file(&bare()).unwrap()).unwrap().is_empty());
}

#[test]
fn the_runbook_is_the_shipped_one_but_for_its_deploy_step() {
    let text = runbook(&full());
    assert!(!text.contains("${DEPLOY"), "{text}");
    assert!(runbook(&bare()).contains("backstay run  release -e staging "));
    let shipped = SHIPPED[0].1;
    for line in shipped.lines().filter(|line| line.starts_with("step = ")) {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn the_way_back_is_the_deploy_the_other_way_round() {
    for (answers, steps) in [(full(), 2), (bare(), 1)] {
        let (config, _) = read(&answers);
        let text = emergency(&answers);
        assert!(!text.contains("${DEPLOY") && !text.contains("A copy of this file"), "{text}");
        let runbook = Runbook::parse(&text, "emergency-rollback", &config.variables).unwrap();
        runbook.check_against(&config).unwrap();
        assert!(runbook.rollback().is_some());
        assert_eq!(runbook.window.unwrap().open.len(), steps, "{text}");
    }
}

#[test]
fn a_line_for_a_shell_is_the_shells() {
    let deploy = "docker pull app:${TAG:0:7} && echo $${HOME} $$ ${TAG:-x}";
    let answers = Answers { deploy: Some(deploy.into()), undo: Some("echo ${UNDO}".into()), ..bare() };
    let (config, runbook) = read(&answers);
    let emergency = Runbook::parse(&emergency(&answers), "emergency-rollback", &config.variables).unwrap();
    let lines = |runbook: Runbook| {
        let open = runbook.window.unwrap().open;
        let StepKind::Command(step) = &open[0].kind else { panic!("{open:?}") };
        let Undo::Run(undo) = &step.undo else { panic!("{step:?}") };
        (step.run[2].clone(), undo[2].clone())
    };
    assert_eq!(lines(runbook), (deploy.to_string(), "echo ${UNDO}".to_string()));
    assert_eq!(lines(emergency), ("echo ${UNDO}".to_string(), deploy.to_string()));
}

#[test]
fn what_would_not_be_read_is_known_before() {
    let check = |answers: &Answers| check(answers, ROOT.as_ref(), &BTreeMap::new());
    assert_eq!((check(&full()), check(&bare())), (Ok(()), Ok(())));
    let mistakes = check(&Answers { store: "s3://b/x".into(), ..full() }).unwrap_err();
    assert_eq!(mistakes[0].what, "there is no store of this kind");
    assert_eq!(mistakes[0].line, "url = \"s3://b/x\"");
    assert!(mistakes[0].right.as_ref().is_some_and(|right| right.contains("gs://bucket")));
    let url = Url { variable: "A\"}".into(), kept: Kept::Nowhere };
    assert!(check(&Answers { url, ..bare() }).is_err());
}

#[test]
fn nothing_shows_the_url() {
    let text = format!("{:?}", full());
    assert!(!text.contains("p%20w") && !config(&full()).contains("p%20w"), "{text}");
    assert!(!runbook(&full()).contains("p%20w"));
}

#[test]
fn every_value_is_one_string() {
    for text in ["a\"b\\c", "line\nend\t\u{7}", "ä€"] {
        let read: toml::Table = toml::from_str(&format!("x = {}", quoted(text))).unwrap();
        assert_eq!(read["x"].as_str(), Some(text));
    }
}
