use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config::{Config, env_file as reading};
use crate::init::answers::{Answers, Kept, Tool, Url};
use crate::runbook::{Runbook, StepKind, Undo};

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
        takes_deploy: true,
        flag: Some("/opt/shop/maintenance".into()),
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
        flag: Some("maintenance.flag".into()),
        health: None,
        store: "file://./backstay-store".into(),
        free_disk: None,
        ..full()
    }
}

/// What is written is read again, and the runbook fits the environment.
fn read(answers: &Answers) -> (Config, Runbook, Runbook) {
    let mut variables = reading::parse(&env_file(answers)).unwrap();
    match &answers.url.kept {
        Kept::Write(url) => assert_eq!(&variables[&answers.url.variable], url),
        _ => drop(variables.insert(answers.url.variable.clone(), "postgresql://a@h/shop".to_string())),
    }
    let config = Config::parse(&config(answers), Path::new("/srv/shop"), &answers.environment, &variables)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let [release, emergency] = runbooks().map(|(path, text)| {
        let runbook = Runbook::parse(text, path, &variables).unwrap();
        runbook.check_against(&config).unwrap();
        runbook
    });
    (config, release, emergency)
}

#[test]
fn what_is_written_is_read_again() {
    let (config, runbook, _) = read(&full());
    assert!(config.protected && config.health.http.len() == 1 && config.health.sql.is_empty());
    let crate::config::Tool::Alembic(settings) = &config.migrations[0].tool else { panic!("no Alembic") };
    assert_eq!((settings.command.len(), settings.url_env.as_str()), (3, "APP_URL"));
    assert_eq!(settings.directory, Path::new("/srv/shop/backend"));
    assert_eq!(runbook.window.unwrap().open.len(), 2);

    let (config, runbook, _) = read(&bare());
    assert!(!config.protected && config.health.http.is_empty() && config.health.sql.len() == 1);
    assert_eq!(config.env_file.unwrap(), Path::new("/srv/shop/.env.staging"));
    assert_eq!(runbook.window.unwrap().open.len(), 2);
}

#[test]
fn the_files_of_an_application_of_which_all_is_known() {
    insta::assert_snapshot!("config_full", config(&full()));
    insta::assert_snapshot!("env_full", env_file(&full()));
    assert_eq!(missing(&full()), []);
    let paths: Vec<String> = not_for_git(&full(), ROOT.as_ref()).into_iter().map(|(line, _)| line).collect();
    assert_eq!(paths, ["/.env.production", "/.backstay-*"]);
}

#[test]
fn the_files_of_an_application_of_which_little_is_known() {
    let bare = || Answers { flag: None, ..bare() };
    insta::assert_snapshot!("config_bare", config(&bare()));
    insta::assert_snapshot!("env_bare", env_file(&bare()));
    let told: Vec<String> = missing(&bare()).iter().map(|m| format!("{}\n-> {}", m.what, m.mends)).collect();
    insta::assert_snapshot!("missing_bare", told.join("\n"));
    let paths: Vec<String> = not_for_git(&bare(), ROOT.as_ref()).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, [".env.staging", ".backstay-spool/", "backstay-store/"]);
}

/// Whatever it holds: the env file keeps it, the runbook takes it as it stands, and the way back is the other way round.
#[test]
fn a_line_for_a_shell_is_the_shells() {
    for deploy in [
        "docker pull app:${TAG:0:7} && echo $${HOME} $$ ${TAG:-x}",
        "true",
        "echo it's # no comment",
        "'quoted' \"twice\"",
        "one\ntwo\\",
        " a=b ",
        "# nothing",
    ] {
        let answers = Answers { deploy: Some(deploy.into()), undo: Some("echo ${UNDO}".into()), ..bare() };
        let (_, release, emergency) = read(&answers);
        let lines = |runbook: Runbook| {
            let open = runbook.window.unwrap().open;
            let StepKind::Command(step) = &open[0].kind else { panic!("{open:?}") };
            let Undo::Run(undo) = &step.undo else { panic!("{step:?}") };
            (step.run[2].clone(), undo[2].clone())
        };
        assert_eq!(lines(release), (deploy.to_string(), "echo ${UNDO}".to_string()));
        assert_eq!(lines(emergency), ("echo ${UNDO}".to_string(), deploy.to_string()));
    }
}

#[test]
fn runbooks_take_the_lines_or_have_their_own() {
    assert!(runbooks().iter().all(|(_, text)| takes_deploy(text)));
    assert!(takes_deploy("${DEPLOY_UNDO:-true}") && !takes_deploy("DEPLOY ${DEPLOYED} $DEPLOY"));
    let own = Answers { takes_deploy: false, ..bare() };
    assert_eq!(env_lines(&own), []);
}

#[test]
fn what_would_not_be_read_is_known_before() {
    let check = |answers: &Answers| check(answers, ROOT.as_ref(), &BTreeMap::new());
    assert_eq!((check(&full()), check(&bare())), (Ok(()), Ok(())));
    assert_eq!(check(&Answers { flag: None, ..bare() }), Ok(()), "that is still to be done");
    let mistakes = check(&Answers { undo: Some("a\r\nb".into()), ..full() }).unwrap_err();
    assert!(
        mistakes[0].what.contains("env file can't hold") && mistakes[0].line == "DEPLOY_UNDO=…",
        "{mistakes:?}"
    );
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
    assert!(env_lines(&full()).len() == 3 && !format!("{:?}", missing(&full())).contains("p%20w"));
}

#[test]
fn every_value_is_one_string() {
    for text in ["a\"b\\c", "line\nend\t\u{7}", "ä€"] {
        let read: toml::Table = toml::from_str(&format!("x = {}", quoted(text))).unwrap();
        assert_eq!(read["x"].as_str(), Some(text));
    }
}
