use std::fs;

use super::*;

/// A project, and beside it the folder with the units of its machine.
struct Tree(tempfile::TempDir, tempfile::TempDir);

impl Tree {
    fn of(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root, tempfile::tempdir().unwrap())
    }

    fn look(&self, variables: &[(&str, &str)]) -> Found {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let units = [self.1.path().to_path_buf()];
        look(&Places { root: self.0.path(), environment: "production", variables: &variables, units: &units })
    }
}

const INI: &str =
    "[alembic]\nscript_location = alembic\nsqlalchemy.url = driver://user:pass@localhost/dbname\n";

#[test]
fn an_alembic_project_is_found_where_it_is_and_as_it_is_run() {
    let tree = Tree::of(&[
        ("backend/alembic.ini", INI),
        ("backend/alembic/env.py", "url = os.environ.get(\"APP_DATABASE_URL\", \"x\")\n"),
        ("backend/alembic/versions/a.py", "revision = 'a1'\ndown_revision = None\n"),
        (".venv/bin/alembic", ""),
    ]);
    let found = tree.look(&[]).alembic.unwrap();
    assert_eq!((found.directory.as_str(), found.revisions), ("backend", 1));
    assert_eq!((found.url_env.as_deref(), found.deaf), (Some("APP_DATABASE_URL"), None));
    assert_eq!(found.command, ["../.venv/bin/alembic"]);
}

#[test]
fn an_env_py_that_only_heeds_its_ini_is_named() {
    let py = "config = context.config\nengine_from_config(config.get_section(config.config_ini_section))\n";
    let tree = Tree::of(&[("alembic.ini", INI), ("alembic/env.py", py), ("alembic/versions/.keep", "")]);
    let found = tree.look(&[]).alembic.unwrap();
    assert_eq!(found.deaf.as_deref(), Some("alembic/env.py"));
    assert_eq!((found.directory.as_str(), &found.command[..]), ("", &["alembic".to_string()][..]));
}

#[test]
fn urls_are_found_the_likeliest_first() {
    let tree = Tree::of(&[
        (".env", "SECRET=x\nDATABASE_URL=postgresql://shop:pw-of-env@127.0.0.1/shop\n"),
        (".env.production", "READ_URL=postgres://r@db/shop\nDATABASE_URL=postgres://shop@db/shop\n"),
        ("node_modules/.env", "DATABASE_URL=postgres://no@no/no\n"),
        (
            "docker-compose.yml",
            "services:\n  web:\n    build: .\n    environment:\n      DATABASE_URL: postgres://c@db/shop\n",
        ),
    ]);
    let told: Vec<String> = tree
        .look(&[("DATABASE_URL", "mysql://no"), ("PG_DSN", "postgres://p@h/d")])
        .urls
        .iter()
        .map(|u| format!("{u:?}"))
        .collect();
    assert_eq!(
        told,
        [
            "PG_DSN (the environment)",
            "DATABASE_URL (.env.production)",
            "READ_URL (.env.production)",
            "DATABASE_URL (.env)",
            "DATABASE_URL (the service web)"
        ]
    );
    assert_eq!(crate::redact::redact("pw-of-env"), "***");
}

#[test]
fn an_env_file_of_another_environment_is_copied_from() {
    let tree = Tree::of(&[
        (".env", "DATABASE_URL=postgres://shop@db/shop\n"),
        (".env.production", "DATABASE_URL=postgres://shop@db/shop\n"),
        ("config/staging.toml", "env_file = \".env\"\n"),
        ("config/production.toml", "env_file = \".env.production\"\n"),
    ]);
    let origins: Vec<Origin> = tree.look(&[]).urls.into_iter().map(|url| url.origin).collect();
    assert_eq!(origins, [Origin::EnvFile(".env.production".into()), Origin::Other(".env".into())]);
}

#[test]
fn units_of_others_are_left_alone() {
    let tree = Tree::of(&[("deploy/shop.service", "[Service]\nExecStart=x --port 1\n")]);
    let root = tree.0.path().display();
    for (name, line) in [
        ("worker", format!("WorkingDirectory={root}")),
        ("beat", format!("ExecStart={root}/.venv/bin/celery beat")),
        ("x@", format!("WorkingDirectory={root}")),
        ("ssh", "ExecStart=/usr/bin/sshd".to_string()),
        ("admin", format!("WorkingDirectory={root}-admin")),
        ("old", format!("ExecStart={root}.old/bin/serve")),
        ("copy", format!("ExecStart=/backup{root}/bin/serve")),
    ] {
        let path = tree.1.path().join(format!("{name}.service"));
        fs::write(path, format!("[Service]\n{line}\n")).unwrap();
    }
    let mut names: Vec<String> = tree.look(&[]).units.into_iter().map(|unit| unit.name).collect();
    names.sort();
    assert_eq!(names, ["beat", "shop", "worker"]);
}
