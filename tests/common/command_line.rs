//! A project in a temporary folder, and the real binary at work in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backstay::pg::Session;

/// Stands in every URL as its password, and never in what the program says.
pub const SECRET: &str = "hunter2-$entinel";
const SECRET_IN_URL: &str = "hunter2-%24entinel";

/// A project over a fresh database, whose owner has no superuser rights.
pub struct CommandLine {
    root: tempfile::TempDir,
    /// With the secret as password.
    pub url: String,
    /// The database's name, and its owner's.
    pub database: String,
}

/// What the program answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl CommandLine {
    /// An environment `test` with this TOML beside the database and the store.
    pub async fn new(toml: &str) -> Self {
        let plain = super::fresh_database().await;
        let database = plain.rsplit('/').next().expect("a name").to_string();
        let url = plain.replacen(&format!("//{database}@"), &format!("//{database}:{SECRET_IN_URL}@"), 1);
        let project = Self { root: tempfile::tempdir().expect("a folder"), url, database };
        project.configure("test", toml);
        project.write("migrations/.keep", "");
        project
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Writes `config/<environment>.toml`.
    pub fn configure(&self, environment: &str, toml: &str) {
        let text = format!("{toml}\n[database]\nurl = \"${{DATABASE_URL}}\"\n");
        self.write(&format!("config/{environment}.toml"), &text);
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        super::keep_private(&path);
        path
    }

    /// Runs the program; whatever it says, it does not say the secret.
    pub fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with(&self.url, arguments)
    }

    pub fn run_with(&self, url: &str, arguments: &[&str]) -> Answer {
        self.answer(self.command(arguments).env("DATABASE_URL", url))
    }

    /// Runs the program, which finds those of this folder before all others.
    pub fn run_beside(&self, programs: &Path, arguments: &[&str]) -> Answer {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [programs.to_path_buf()].into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).expect("a path");
        self.answer(self.command(arguments).env("PATH", path))
    }

    /// The program in the project, to be run as a test likes. Nothing of the machine's environment is in its own: a
    /// `CI` there would have it refuse a store that is a directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstay"));
        command.args(arguments).current_dir(self.root.path()).env_clear();
        command.env("HOME", self.root.path()).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("DATABASE_URL", &self.url);
        command
    }

    fn answer(&self, command: &mut Command) -> Answer {
        let output = command.output().expect("the program runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let answer = Answer { code: output.status.code().unwrap_or(-1), stdout, stderr };
        for secret in [SECRET, SECRET_IN_URL] {
            assert!(!answer.stdout.contains(secret) && !answer.stderr.contains(secret), "{answer:?}");
        }
        answer
    }

    /// Runs the program, which must end with `code`.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code, code, "{arguments:?}\n{}\n{}", answer.stdout, answer.stderr);
        answer
    }

    /// Runs the program with `--json`, which must give one document.
    pub fn json(&self, code: i32, arguments: &[&str]) -> serde_json::Value {
        let answer = self.expect(code, &[arguments, &["--json"]].concat());
        assert_eq!(answer.stdout.lines().count(), 1, "{}", answer.stdout);
        serde_json::from_str(&answer.stdout).expect("JSON")
    }

    /// A session of the owner's.
    pub async fn session(&self) -> Session {
        super::session(&self.url).await
    }

    /// The first value of a query, as text.
    pub async fn ask(&self, query: &str) -> String {
        let session = self.session().await;
        let answer = session.simple_query(query).await.expect(query);
        session.close().await;
        let row = answer.into_iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(String::from),
            _ => None,
        });
        row.unwrap_or_default()
    }
}

impl Answer {
    /// All that must stand in standard error.
    pub fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in:\n{}", self.stderr);
        }
        self
    }
}
