//! `config/<environment>.toml`, section by section.

use super::quoted;
use crate::init::answers::{Answers, Kept, Tool};

/// Says whose work a config is.
const WRITTEN: &str = "Written by `backstay init`";

/// Whether the config of this text was written here, whoever has changed it since.
pub fn is_ours(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains(WRITTEN))
}

/// `config/<environment>.toml`.
pub fn config(answers: &Answers) -> String {
    let sections = [
        head(answers),
        database(answers),
        free_disk(answers),
        migrations(&answers.tool),
        store(answers),
        maintenance(answers),
        health(answers),
    ];
    sections.join("\n")
}

fn head(answers: &Answers) -> String {
    format!(
        "# {application}: its environment `{environment}`. {WRITTEN}; yours from here on.\n\
         #\n\
         # ${{NAME}} is taken from the environment, or else from env_file, and never shown. Every key and its default:\n\
         # docs/configuration.md of backstay.\n\
         \n\
         env_file = {env_file}\n\
         \n\
         # Where this is true, what changes the database outside of a run needs --unguarded.\n\
         protected = {protected}\n",
        application = answers.application,
        environment = answers.environment,
        env_file = quoted(&answers.env_path()),
        protected = answers.is_protected(),
    )
}

fn database(answers: &Answers) -> String {
    let variable = &answers.url.variable;
    let held = match &answers.url.kept {
        Kept::Process => "the environment of whoever runs backstay".to_string(),
        _ => answers.env_path(),
    };
    format!(
        "[database]\n\
         # As the application connects. Its role owns the database, and may create others beside it (CREATEDB).\n\
         # {variable} is in {held}.\n\
         url = {url}\n\
         \n\
         # A direct connection by a role that may create and rename databases, where the one above may not, or leads\n\
         # through a pooler.\n\
         #admin_url = \"${{ADMIN_URL}}\"\n",
        url = quoted(&format!("${{{variable}}}")),
    )
}

fn store(answers: &Answers) -> String {
    format!(
        "[store]\n\
         # Backups and journals: on another disk than the database's, or a bucket, \"gs://bucket/prefix\". In CI it must be\n\
         # one that outlives the job.\n\
         url = {}\n",
        quoted(&answers.store)
    )
}

fn maintenance(answers: &Answers) -> String {
    const WHY: &str =
        "# While this file exists the application, or the proxy before it, must show its maintenance page.\n";
    let Some(flag) = &answers.flag else {
        return format!("[maintenance]\n{WHY}#flag = {{ file = \"/opt/app/maintenance\" }}\n");
    };
    format!("[maintenance]\n{WHY}flag = {{ file = {} }}\n", quoted(flag))
}

fn free_disk(answers: &Answers) -> String {
    const WHY: &str = "# A guard is a copy of the database beside it. Where the server's free space is seen: a folder of its disk on this\n\
         # machine, or { command = [\"…\"] } that prints free bytes, or \"unchecked\".\n";
    let said = answers.free_disk.as_deref().unwrap_or("unchecked");
    format!("{WHY}free_disk = {}\n", quoted(said))
}

fn migrations(tool: &Tool) -> String {
    let mut text = String::from("[migrations]\n");
    match tool {
        Tool::Sql => text.push_str(
            "# Plain SQL files, one a revision: `backstay migrate revision -m \"…\"` makes one.\n\
             tool = \"sql\"\ndirectory = \"migrations\"\n",
        ),
        Tool::Alembic { directory, command, url_env } => {
            text.push_str("# Alembic runs them, behind the same window. It is given the database's URL in the variable `url_env`.\n\
                 tool = \"alembic\"\n");
            if !directory.is_empty() {
                text.push_str(&format!("directory = {}\n", quoted(directory)));
            }
            let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
            text.push_str(&format!("command = [{}]\n", words.join(", ")));
            let variable = url_env.as_deref().unwrap_or("DATABASE_URL");
            text.push_str(&format!("url_env = {}\n", quoted(variable)));
        }
    }
    text
}

fn health(answers: &Answers) -> String {
    const WHY: &str = "# What proves that the application serves. It is asked before the flag comes down: name the application itself, not\n\
         # the proxy that shows the maintenance page.\n";
    let Some(url) = &answers.health else {
        return format!(
            "{WHY}#[[health.http]]\n#url = \"http://127.0.0.1:8000/health\"\n\n\
             # Until there is an address to ask, no more than that the database answers.\n\
             [[health.sql]]\nexpect = \"select true\"\n"
        );
    };
    format!(
        "{WHY}[[health.http]]\nurl = {}\nstatus = 200\n#json = {{ \"/status\" = \"ok\" }}\n\
         # So long it is asked again; users see the maintenance page meanwhile.\n#deadline = \"60s\"\n\n\
         # A look at the data as well:\n#[[health.sql]]\n#expect = \"select count(*) > 0 from users\"\n",
        quoted(url)
    )
}
