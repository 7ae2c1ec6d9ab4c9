//! The files of a new environment, as texts: **pure**. What is written is what a person would write who had read the
//! documentation, with the comments that he would look for.

use crate::runbook::SHIPPED;
use crate::words::shell_word;

/// All that has to be known to describe an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The environment's name.
    pub environment: String,
    /// What the application is called: for comments alone.
    pub application: String,
    /// Where the database's URL is kept.
    pub url: Url,
    /// Who runs the migrations.
    pub tool: Tool,
    /// The line for a shell that puts the new version in place.
    pub deploy: Option<String>,
    /// The line that takes it back.
    pub undo: Option<String>,
    /// The file that tells the application that it is in maintenance.
    pub flag: String,
    /// An address at which the application answers.
    pub health: Option<String>,
    /// Where backups and journals go.
    pub store: String,
    /// A folder of this machine on the server's disk.
    pub free_disk: Option<String>,
}

/// Where the URL is kept: a variable, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The variable's name.
    pub variable: String,
    /// Who holds it.
    pub kept: Kept,
}

/// Who holds the URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Kept {
    /// The environment of whoever runs backstay.
    Process,
    /// An env file that is there, from the root.
    File(String),
    /// Nobody yet: it is written to the environment's own env file.
    Write(String),
    /// Nobody, and it is not known.
    Nowhere,
}

// Not derived: the URL holds a password.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kept::Process => f.write_str("Process"),
            Kept::File(path) => write!(f, "File({path})"),
            Kept::Write(_) => f.write_str("Write(…)"),
            Kept::Nowhere => f.write_str("Nowhere"),
        }
    }
}

/// Who runs the migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tool {
    /// SQL files in `migrations/`.
    Sql,
    /// An Alembic project.
    Alembic {
        /// Where it is, from the root; empty for the root.
        directory: String,
        /// How it is run.
        command: Vec<String>,
        /// The variable from which its `env.py` takes the URL.
        url_env: Option<String>,
    },
}

impl Answers {
    /// The environment's file, from the root.
    pub fn config_path(&self) -> String {
        format!("config/{}.toml", self.environment)
    }

    /// The env file that the config names, from the root.
    pub fn env_path(&self) -> String {
        match &self.url.kept {
            Kept::File(path) => path.clone(),
            _ => format!(".env.{}", self.environment),
        }
    }

    /// Outside of a window the database of such an environment is changed only if somebody insists.
    pub fn is_protected(&self) -> bool {
        ["prod", "live"].iter().any(|start| self.environment.starts_with(start))
    }
}

/// `config/<environment>.toml`.
pub fn config(answers: &Answers) -> String {
    let variable = &answers.url.variable;
    let about_url = match &answers.url.kept {
        Kept::Process => format!("{variable} is in the environment of whoever runs backstay."),
        _ => format!("{variable} is in {}.", answers.env_path()),
    };
    let (protected, environment) = (answers.is_protected(), &answers.environment);
    format!(
        "# {application}: its environment `{environment}`. Written by `backstay init`; yours from here on.\n\
         #\n\
         # ${{NAME}} is taken from the environment, or else from env_file, and never shown. Every key and its default:\n\
         # docs/configuration.md of backstay.\n\
         \n\
         env_file = {env_file}\n\
         \n\
         # Where this is true, what changes the database outside of a run needs --unguarded.\n\
         protected = {protected}\n\
         \n\
         [database]\n\
         # As the application connects. Its role owns the database, and may create others beside it (CREATEDB).\n\
         # {about_url}\n\
         url = \"${{{variable}}}\"\n\
         \n\
         # A direct connection by a role that may create and rename databases, where the one above may not, or leads\n\
         # through a pooler.\n\
         #admin_url = \"${{ADMIN_URL}}\"\n\
         \n\
         {free_disk}\
         \n\
         {migrations}\
         \n\
         [store]\n\
         # Backups and journals: on another disk than the database's, or a bucket, \"gs://bucket/prefix\". In CI it must be\n\
         # one that outlives the job.\n\
         url = {store}\n\
         \n\
         [maintenance]\n\
         # While this file exists the application, or the proxy before it, must show its maintenance page.\n\
         flag = {{ file = {flag} }}\n\
         \n\
         {health}",
        application = answers.application,
        env_file = quoted(&answers.env_path()),
        free_disk = free_disk(answers),
        migrations = migrations(&answers.tool),
        store = quoted(&answers.store),
        flag = quoted(&answers.flag),
        health = health(answers),
    )
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
        "{WHY}[[health.http]]\nurl = {}\nstatus = 200\n#json = {{ \"/status\" = \"ok\" }}\n\n\
         # A look at the data as well:\n#[[health.sql]]\n#expect = \"select count(*) > 0 from users\"\n",
        quoted(url)
    )
}

/// `runbooks/release.toml`: the shipped one with the application's own way to deploy in it.
pub fn runbook(answers: &Answers) -> String {
    let shipped = SHIPPED.iter().find(|(name, _)| *name == "release").map_or("", |(_, text)| text);
    let mut paragraphs: Vec<String> = shipped.split("\n\n").map(String::from).collect();
    if let Some(deploy) = paragraphs.iter_mut().find(|paragraph| paragraph.contains("${DEPLOY}")) {
        *deploy = deploy_step(answers);
    }
    paragraphs
        .join("\n\n")
        .replace(" release -e production ", &format!(" release -e {} ", answers.environment))
}

fn deploy_step(answers: &Answers) -> String {
    const WHAT: &str = "# The database is open again, the flag still up: the new version is put in place. `undo` takes that back. It runs if\n\
         # the command was started, even if it failed: it must be right to run it twice. \"none\" waives it.\n";
    let Some(deploy) = &answers.deploy else {
        return format!(
            "{WHAT}#[[open]]\n#step = \"command\"\n#name = \"deploy\"\n#run = [\"systemctl\", \"restart\", \"api\"]\n\
             #undo = [\"systemctl\", \"restart\", \"api@previous\"]"
        );
    };
    let shell = |line: &str| format!("[\"sh\", \"-c\", {}]", quoted(line));
    let undo = answers.undo.as_deref().map_or("\"none\"".to_string(), shell);
    format!("{WHAT}[[open]]\nstep = \"command\"\nname = \"deploy\"\nrun = {}\nundo = {undo}", shell(deploy))
}

/// `runbooks/emergency-rollback.toml`: the shipped one with the way back of the application's own deploy.
pub fn emergency(answers: &Answers) -> String {
    let shipped = SHIPPED.iter().find(|(name, _)| *name == "emergency-rollback").map_or("", |(_, text)| text);
    let lines = shipped.lines().filter(|line| !line.starts_with("# A copy of this file"));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\n#\n\n", "\n\n");
    let paragraphs = text.split("\n\n").map(|paragraph| match paragraph.contains("${DEPLOY}") {
        true => start_step(answers),
        false => paragraph.to_string(),
    });
    let text = paragraphs.collect::<Vec<_>>().join("\n\n") + "\n";
    text.replace(" rollback -e production ", &format!(" rollback -e {} ", answers.environment))
}

fn start_step(answers: &Answers) -> String {
    const WHAT: &str =
        "# The old code is put in place: the deploy step of the release, the other way round.\n";
    let (Some(deploy), Some(undo)) = (&answers.deploy, &answers.undo) else {
        return format!(
            "{WHAT}#[[open]]\n#step = \"command\"\n#name = \"start the old code\"\n\
             #run = [\"systemctl\", \"restart\", \"api@previous\"]\n#undo = [\"systemctl\", \"restart\", \"api\"]"
        );
    };
    let shell = |line: &str| format!("[\"sh\", \"-c\", {}]", quoted(line));
    let (run, undo) = (shell(undo), shell(deploy));
    format!("{WHAT}[[open]]\nstep = \"command\"\nname = \"start the old code\"\nrun = {run}\nundo = {undo}")
}

/// The environment's env file, where one is to be written.
pub fn env_file(answers: &Answers) -> Option<String> {
    let head = format!(
        "# What config/{}.toml must not show. Keep it out of git, and readable by you alone.\n\
         # NAME=value; a value is taken as it stands, single quotes around it keep a # in it.\n",
        answers.environment
    );
    let variable = &answers.url.variable;
    match &answers.url.kept {
        Kept::Write(url) => Some(format!("{head}{variable}={}\n", env_value(url))),
        Kept::Nowhere => Some(format!("{head}#{variable}=postgresql://user:password@host:5432/database\n")),
        Kept::Process | Kept::File(_) => None,
    }
}

/// A value as an env file has it.
fn env_value(value: &str) -> String {
    if value.contains(|c: char| c.is_whitespace() || "'\"#\\`".contains(c)) {
        return format!("'{}'", value.replace('\'', r"'\''"));
    }
    value.to_string()
}

/// What git should not see, as lines of `.gitignore`, each with the path that it is about (from the root).
pub fn not_for_git(answers: &Answers) -> Vec<(String, String)> {
    let mut paths = vec![answers.env_path(), ".backstay-spool/".to_string()];
    let store = answers.store.strip_prefix("file://").unwrap_or(&answers.store);
    paths.extend(store.strip_prefix("./").map(|path| format!("{}/", path.trim_end_matches('/'))));
    paths.push(answers.flag.clone());
    paths.retain(|path| !path.starts_with('/') && !path.starts_with(".."));
    paths.into_iter().map(|path| (format!("/{path}"), path)).collect()
}

/// Something that is still to be done, and the line that does it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// What.
    pub what: String,
    /// A line to type, or what to write where.
    pub mends: String,
}

impl Missing {
    /// See the fields.
    pub fn new(what: impl Into<String>, mends: impl Into<String>) -> Self {
        Self { what: what.into(), mends: mends.into() }
    }
}

/// What nobody has said, as far as the answers tell.
pub fn missing(answers: &Answers) -> Vec<Missing> {
    let config = answers.config_path();
    let mut missing = Vec::new();
    if answers.url.kept == Kept::Nowhere {
        let file = shell_word(&answers.env_path());
        let variable = &answers.url.variable;
        missing.push(Missing::new(
            format!(
                "the database's URL is not known: {variable} is neither in the environment nor in an env file"
            ),
            format!("echo '{variable}=postgresql://user:password@host:5432/database' >> {file}"),
        ));
    }
    if answers.deploy.is_none() {
        missing.push(Missing::new(
            "nothing says how the new version is put in place: the release will migrate, and restart nothing",
            "write the deploy step of runbooks/release.toml: run = [\"systemctl\", \"restart\", \"api\"]; and of \
             runbooks/emergency-rollback.toml the step that starts the old code",
        ));
    } else if answers.undo.is_none() {
        missing.push(Missing::new(
            "nothing says how the old version is put back in place: undo = \"none\"",
            "write the undo of the deploy step in runbooks/release.toml, and the step that starts the old code in \
             runbooks/emergency-rollback.toml",
        ));
    }
    if answers.health.is_none() {
        missing.push(Missing::new(
            "no address proves that the application serves",
            format!("write [[health.http]] with its url in {config}"),
        ));
    }
    if answers.free_disk.is_none() {
        missing.push(Missing::new(
            "the server's free disk is not checked: a guard needs as much room as the database",
            format!("write [database] free_disk in {config}"),
        ));
    }
    missing
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
