//! `[migrations]`: one root, or several, each read by the tool that it is for.

use std::path::{Path, PathBuf};

use super::{MigrationRoot, Tool};
use crate::document::{Finding, Read, Table, Value, is_variable_name};
use crate::migrate::alembic::Settings;
use crate::migrate::draft::{IdKind, NamePattern};

/// `[migrations]`, or each of several `[[migrations]]`.
pub(super) fn migration_roots(table: &mut Table<'_>, base: &Path) -> Read<Vec<MigrationRoot>> {
    if !table.says("migrations") {
        let root = table.require("migrations", "[migrations]", |v| migration_root(v, base))?;
        return Ok(vec![root]);
    }
    table.each("migrations", |value| Ok((value.clone(), migration_root(value, base)?))).and_then(|roots| {
        let mut noted = None;
        for (index, (value, root)) in roots.iter().enumerate() {
            for (_, earlier) in &roots[..index] {
                noted = clash(root, earlier).map(|finding| value.wrong(finding)).or(noted);
            }
        }
        noted.map_or_else(|| Ok(roots.into_iter().map(|(_, root)| root).collect()), Err)
    })
}

/// What two roots can't share.
fn clash(root: &MigrationRoot, earlier: &MigrationRoot) -> Option<Finding> {
    if root.name == earlier.name {
        let finding = Finding::new(format!("two migration roots are called `{}`", root.name));
        return Some(finding.label("the second").help("give each [[migrations]] a name of its own"));
    }
    let table = |r: &MigrationRoot| (r.version_schema.clone(), r.version_table.clone());
    (table(root) == table(earlier)).then(|| {
        Finding::new(format!(
            "`{}` and `{}` note their revisions in the same table, {}.{}",
            earlier.name, root.name, root.version_schema, root.version_table
        ))
        .label("the second")
        .help(format!("give one of them its own: version_table = \"alembic_version_{}\"", root.name))
    })
}

fn migration_root(value: Value<'_>, root: &Path) -> Read<MigrationRoot> {
    value.table(|table| {
        let name = table.require("name", "name = \"main\"", Value::line);
        let alembic =
            table.require("tool", "tool = \"sql\"", |v| v.word(&[("sql", false), ("alembic", true)]));
        // An Alembic project is seldom in a folder called `migrations`: its root is the command's.
        let directory = match &alembic {
            Ok(true) if !table.says("directory") => {
                table.take("directory", |_| Ok(root.to_path_buf())).map(|_| root.to_path_buf())
            }
            _ => table.require("directory", "directory = \"migrations\"", |v| v.path(root)),
        };
        let version_schema = table.require("version_schema", "version_schema = \"public\"", Value::line);
        let version_table =
            table.require("version_table", "version_table = \"alembic_version\"", Value::line);
        let lock_timeout = table.require("lock_timeout", "lock_timeout = \"5s\"", Value::duration);
        let lock_retries =
            table.require("lock_retries", "lock_retries = 5", |v| v.number(0..=u64::from(u32::MAX)));
        let statement_timeout = table.take("statement_timeout", Value::duration);
        let file_name = table.require("file_name", "file_name = \"timestamp\"", file_name);
        let ids = table.require("revision_ids", "revision_ids = \"random\"", |value| {
            value.word(&[("random", IdKind::Random), ("timestamp", IdKind::Timestamp)])
        });
        let template = table.take("template", |value| value.path(root));
        let tool = match &alembic {
            Ok(false) => expect_no_alembic(table).map(|()| Tool::Sql),
            _ => {
                // A wrong one is noted, and told with what else is wrong.
                let directory = directory.as_ref().map(PathBuf::clone).unwrap_or_default();
                alembic_settings(table, directory).map(|settings| Tool::Alembic(Box::new(settings)))
            }
        };
        alembic?;
        Ok(MigrationRoot {
            name: name?,
            tool: tool?,
            directory: directory?,
            version_schema: version_schema?,
            version_table: version_table?,
            lock_timeout: lock_timeout?,
            lock_retries: u32::try_from(lock_retries?).unwrap_or(u32::MAX),
            statement_timeout: statement_timeout?,
            file_name: file_name?,
            revision_ids: ids?,
            template: template?,
        })
    })
}

fn file_name(value: Value<'_>) -> Read<NamePattern> {
    let text = value.clone().line()?;
    NamePattern::parse(&text)
        .map_err(|error| value.wrong(Finding::new(error.to_string()).label("this pattern")))
}

/// The keys that only `tool = "alembic"` has.
const OF_ALEMBIC: [&str; 7] = ["command", "ini", "section", "x", "url_env", "driver", "timeout"];

fn expect_no_alembic(table: &mut Table<'_>) -> Read<()> {
    let mut noted = None;
    for key in OF_ALEMBIC {
        if table.says(key) {
            table.take_own(key, |_| Ok(()))?;
            let finding = Finding::new(format!("`{key}` belongs to `tool = \"alembic\"`"));
            let finding = finding.label("the tool here is \"sql\"");
            noted = Some(
                table.wrong_at(key, finding.help(format!("say tool = \"alembic\", or take `{key}` out"))),
            );
        }
    }
    noted.map_or(Ok(()), Err)
}

fn alembic_settings(table: &mut Table<'_>, directory: PathBuf) -> Read<Settings> {
    // Their defaults stand in the annotated file as comments: a copy of it must serve for SQL files too.
    let command = table.take("command", Value::command);
    let ini = table.take("ini", Value::line);
    let section = table.take("section", Value::line);
    let x = table.take("x", |v| v.list("a list of strings such as \"tenant=a\"", Value::line));
    let url_env = table.take("url_env", variable);
    let driver = table.take("driver", driver);
    let timeout = table.take("timeout", Value::duration);
    let usual = Settings::of(directory);
    Ok(Settings {
        command: command?.unwrap_or(usual.command),
        ini: ini?.unwrap_or(usual.ini),
        section: section?.unwrap_or(usual.section),
        x: x?.unwrap_or(usual.x),
        url_env: url_env?.unwrap_or(usual.url_env),
        driver: driver?,
        timeout: timeout?.unwrap_or(usual.timeout),
        // Read once all tables are.
        variables: usual.variables,
        directory: usual.directory,
    })
}

/// The name of an environment variable.
fn variable(value: Value<'_>) -> Read<String> {
    let name = value.clone().line()?;
    if is_variable_name(&name) {
        return Ok(name);
    }
    let finding = Finding::new(format!("`{}` must be the name of an environment variable", value.key()));
    Err(value.wrong(finding.label("this is none").help("write it like \"DATABASE_URL\", without a $")))
}

/// What stands before `://` in the URL that Alembic gets.
fn driver(value: Value<'_>) -> Read<String> {
    let text = value.clone().line()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+_".contains(c);
    let known = text == "postgresql" || text.starts_with("postgresql+");
    if known && text.len() <= 32 && text.chars().all(plain) {
        return Ok(text);
    }
    let finding = Finding::new(format!("`{}` must be a driver of SQLAlchemy for PostgreSQL", value.key()));
    Err(value.wrong(finding.label("this is none").help(
        "write what stands before :// in the project's URL, such as \"postgresql+psycopg\" or \"postgresql+asyncpg\"",
    )))
}
