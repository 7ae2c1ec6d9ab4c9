//! What is said of an application, by a person or by what was found. **Pure.**

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
    /// The runbooks take both lines from the environment: they are to be in its env file.
    pub takes_deploy: bool,
    /// The file that tells the application that it is in maintenance.
    pub flag: Option<String>,
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
