//! Config, runbooks, env files: decidable without the world, so exit 2 and the place in the file.

use crate::common::project::Project;
use crate::common::{cluster, session};
use crate::refused::refused;
use crate::server::require_password;

const RELEASE: [&str; 3] = ["run", "release", "--yes"];
const BOOK: &str = "runbooks/release.toml";
const CONFIG: &str = "config/production.toml";

#[tokio::test]
async fn a_runbook_with_a_typo() {
    let project = Project::shop().await;
    let good = std::fs::read_to_string(project.path(BOOK)).expect("the runbook");
    for (from, to, words) in [
        ("guard = \"clone\"", "gaurd = \"clone\"", &["gaurd", "guard"][..]),
        ("guard = \"clone\"", "guard = \"clown\"", &["clown", "clone", "backup"]),
        ("step = \"migrate\"", "step = \"migarte\"", &["migarte", "migrate"]),
        ("max = \"15m\"", "max = \"15 minutes\"", &["15 minutes", "15m"]),
        ("verify = \"read\"", "verify = \"reed\"", &["reed", "read"]),
        ("undo = [\"sh\", \"-c\", \"${DEPLOY_UNDO}\"]\n", "", &["undo", "none"]),
        ("[window]", "[windows]", &["windows", "window"]),
        ("[[before]]\nstep = \"preview\"", "[[after]]\nstep = \"preview\"", &["preview"]),
        ("[[open]]\nstep = \"health\"", "[[open]]\nstep = \"migrate\"\nto = \"head\"", &["migrate", "open"]),
        ("name = \"release\"", "name = release", &["release.toml"]),
    ] {
        assert!(good.contains(from), "{from}");
        project.write(BOOK, &good.replace(from, to));
        let words: Vec<&str> = words.iter().copied().chain([BOOK]).collect();
        refused(&project, &RELEASE, 2, &words).await;
        assert!(project.journal().is_empty(), "a run was begun: {to}");
    }
}

#[tokio::test]
async fn a_runbook_that_does_not_exist() {
    let project = Project::shop().await;
    refused(&project, &["run", "relaese", "--yes"], 2, &["relaese", "release"]).await;
    refused(&project, &["plan", "relaese"], 2, &["relaese", "release"]).await;
}

#[tokio::test]
async fn an_environment_that_does_not_exist() {
    let project = Project::shop().await;
    refused(&project, &["run", "release", "--yes", "-e", "prodution"], 2, &["prodution", "production"]).await;
}

#[tokio::test]
async fn several_environments_and_none_is_named() {
    let project = Project::shop().await;
    let text = std::fs::read_to_string(project.path(CONFIG)).expect("the config");
    project.write("config/staging.toml", &text);
    refused(&project, &RELEASE, 2, &["production", "staging", "-e"]).await;
}

#[tokio::test]
async fn a_config_with_errors_shows_all_of_them() {
    let project = Project::shop().await;
    project.edit(CONFIG, "protected = true", "protected = \"yes\"\nprotcted = 1");
    project.edit(CONFIG, "[store]", "[stor]");
    refused(&project, &RELEASE, 2, &[CONFIG, "protected", "true", "protcted", "stor", "store"]).await;
    project.write(CONFIG, "[database\nurl = 1\n");
    refused(&project, &RELEASE, 2, &[CONFIG]).await;
}

#[tokio::test]
async fn a_variable_that_is_not_set() {
    let project = Project::shop().await;
    let text = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
    project.write(".env.production", &text.replace("DATABASE_URL=", "DATABASE_ULR="));
    refused(&project, &RELEASE, 2, &["DATABASE_URL", ".env.production", CONFIG]).await;
    project.write(".env.production", &text.replace("DEPLOY_UNDO=", "UNDO="));
    refused(&project, &RELEASE, 2, &["DEPLOY_UNDO", BOOK]).await;
    project.write(".env.production", "DATABASE_URL\n");
    refused(&project, &RELEASE, 2, &[".env.production", "line 1", "KEY=value"]).await;
    std::fs::remove_file(project.path(".env.production")).expect("a removed file");
    refused(&project, &RELEASE, 2, &[".env.production", "DATABASE_URL"]).await;
}

/// What env files hold in practice, and a password that holds all of it: through a whole release.
#[tokio::test]
async fn an_env_file_full_of_special_characters_works() {
    const PASSWORD: &str = r#"it's a "p@ss" $HOME $(date) `x` #1 (2) \ 100% =&?/:;é"#;
    let project = Project::shop().await;
    let admin = session(&cluster().url("postgres", "postgres")).await;
    let quoted = backstay::pg::quote_literal(PASSWORD);
    admin.batch_execute(&format!("ALTER ROLE {} PASSWORD {quoted}", project.name)).await.expect("a password");
    let before = project.state().await;
    require_password(&project.name).await;
    let libpq = PASSWORD.replace('\\', r"\\").replace('\'', r"\'");
    let value = format!(
        "host=127.0.0.1 port={} dbname={1} user={1} password='{libpq}'",
        cluster().port(),
        project.name
    );
    let text = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
    let rest = text.lines().filter(|line| !line.starts_with("DATABASE_URL")).collect::<Vec<_>>().join("\n");
    let shell = value.replace('\'', r"'\''");
    let psql = cluster().binaries().join("psql").display().to_string();
    let rest = rest.replace(
        "echo deployed >> deployed",
        &format!("{psql} -qAtc \"select current_database()\" \"$DATABASE_URL\" >> \"deployed\"; echo \"# (not a comment)\" >> deployed"),
    );
    let mut said = String::new();
    let double = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('`', r"\`");
    for line in [format!("DATABASE_URL='{shell}'"), format!("export DATABASE_URL=\"{double}\"")] {
        project.write(".env.production", &format!("# secrets\n{line}\n{rest}\n"));
        let ended = project.run(&["run", "release", "--yes"]).expect(0);
        said.push_str(&ended.err);
        let deployed = std::fs::read_to_string(project.path("deployed")).expect("the deploy's file");
        assert_eq!(deployed, format!("{}\n# (not a comment)\n", project.name));
        std::fs::remove_file(project.path("deployed")).expect("a removed file");
    }
    assert!(!said.contains("p@ss"), "{said}");
    for (path, _) in project.journal() {
        assert!(!std::fs::read_to_string(&path).expect("a record").contains("p@ss"), "{}", path.display());
    }
    drop(before);
}

/// SQLAlchemy's URL prefixes, through a whole release.
#[tokio::test]
async fn a_sqlalchemy_url_works() {
    let project = Project::shop().await;
    for prefix in ["postgresql+psycopg2://", "postgresql+asyncpg://"] {
        let url = project.url();
        let text = std::fs::read_to_string(project.path(".env.production")).expect("the env file");
        project.write(".env.production", &text.replace(&url, &url.replace("postgresql://", prefix)));
        project.run(&["run", "release", "--yes"]).expect(0);
        project.write(".env.production", &text);
    }
}
