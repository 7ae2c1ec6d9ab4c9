//! The project that the demo releases: the shipped runbook and environment, and the shop's migrations, in a
//! folder of its own.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::release::{FIRST, File, Release};

/// The shipped runbook and environment, which the demo uses with a few lines added.
const RUNBOOK: &str = include_str!("../../runbooks/release.toml");
const ENVIRONMENT: &str = include_str!("../../config/production.toml");

/// Added to the environment's only HTTP check: the shop must say itself that it is well, and in a demo
/// nobody wants to wait a minute for a sick one.
const HEALTH: &str = "json = { \"/status\" = \"ok\" }\ninterval = \"200ms\"\ndeadline = \"3s\"\n";

/// Added to the runbook as the first line behind the fence.
const NOTE: &str = r#"# Only in the demo: before anything changes, the state is noted that a put-back is compared with.
[[during]]
step = "command"
name = "note the state"
run = ["sh", "-c", "${NOTE}"]
undo = "none"

"#;

/// What the project's files are filled with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// This program.
    pub program: PathBuf,
    /// The shop's database.
    pub database: String,
    /// The shop's address.
    pub shop: std::net::SocketAddr,
    /// The supervisor's socket.
    pub supervisor: PathBuf,
    /// A folder on the disk that the server's data is on.
    pub disk: PathBuf,
}

/// A project on disk.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    setting: Setting,
}

impl Project {
    /// Writes the project as it is before the first release.
    ///
    /// # Errors
    /// The system's.
    pub fn write(root: PathBuf, setting: Setting) -> io::Result<Self> {
        for folder in ["config", "runbooks", "migrations", "notes"] {
            fs::create_dir_all(root.join(folder))?;
        }
        fs::write(root.join("runbooks/release.toml"), runbook())?;
        fs::write(root.join("config/production.toml"), environment())?;
        let project = Self { root, setting };
        project.add(&FIRST.1)?;
        Ok(project)
    }

    /// The project's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The shop's maintenance flag.
    pub fn flag(&self) -> PathBuf {
        flag(&self.root)
    }

    /// Where the state at the guard of a release is noted.
    pub fn note(&self, release: &Release) -> PathBuf {
        self.root.join(format!("notes/{}.json", release.number))
    }

    /// Brings a release: its migrations and its variables. `serving` is the application's present version.
    ///
    /// # Errors
    /// The system's.
    pub fn bring(&self, release: &Release, serving: u32) -> io::Result<()> {
        self.add(release.migrations)?;
        // Others may not read it, whether it is there already or not.
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        file.write_all(self.variables(release, serving).as_bytes())?;
        file.persist(self.root.join(".env.production")).map(drop).map_err(|error| error.error)
    }

    /// Takes the migrations of a release out again, as a team does that reverts it.
    ///
    /// # Errors
    /// The system's.
    pub fn revert(&self, release: &Release) -> io::Result<()> {
        release.migrations.iter().try_for_each(|(name, _)| fs::remove_file(self.migrations().join(name)))
    }

    /// The folder of migrations.
    pub fn migrations(&self) -> PathBuf {
        self.root.join("migrations")
    }

    fn add(&self, files: &[File]) -> io::Result<()> {
        files.iter().try_for_each(|(name, text)| fs::write(self.migrations().join(name), text))
    }

    fn variables(&self, release: &Release, serving: u32) -> String {
        let setting = &self.setting;
        let program = shell_word(&setting.program);
        let supervisor = shell_word(&setting.supervisor);
        let deploy = |version| format!("{program} demo-app deploy --supervisor {supervisor} {version}");
        let lines = [
            ("DATABASE_URL", setting.database.clone()),
            ("DATABASE_DISK", setting.disk.display().to_string()),
            ("MAINTENANCE_FLAG", self.flag().display().to_string()),
            ("HEALTH_URL", format!("http://{}/health", setting.shop)),
            ("DEPLOY", deploy(release.version)),
            ("DEPLOY_UNDO", deploy(serving)),
            ("NOTE", format!("{program} demo-app note {}", shell_word(&self.note(release)))),
        ];
        lines.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
    }
}

/// The flag of a project at `root`.
pub fn flag(root: &Path) -> PathBuf {
    root.join("maintenance")
}

fn runbook() -> String {
    // The first line of the window, with the comment above it.
    match RUNBOOK.find("\n[[during]]\n") {
        Some(at) => {
            let comment = RUNBOOK[..at].rfind("\n\n").map_or(at + 1, |blank| blank + 2);
            format!("{}{NOTE}{}", &RUNBOOK[..comment], &RUNBOOK[comment..])
        }
        None => RUNBOOK.to_string(),
    }
}

fn environment() -> String {
    ENVIRONMENT.replacen("[store]\n", "[store]\ninsist_in_ci = true\n", 1) + HEALTH
}

/// A value for an env file.
fn quoted(value: &str) -> String {
    let escaped = value.chars().map(|c| match c {
        '"' | '\\' | '$' | '`' => format!("\\{c}"),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A path as one word of a shell (POSIX 2.2.2, "Single-Quotes").
fn shell_word(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Flag, FreeDisk};
    use crate::demo::release::RELEASES;
    use crate::runbook::{Runbook, StepKind};

    fn project(root: &Path) -> Project {
        let setting = Setting {
            program: "/opt/it's here/backstay".into(),
            database: "postgresql://shop@127.0.0.1:1/shop".into(),
            shop: "127.0.0.1:2".parse().unwrap(),
            supervisor: "/tmp/s".into(),
            disk: "/tmp/a \"b\"".into(),
        };
        Project::write(root.to_path_buf(), setting).unwrap()
    }

    #[test]
    fn the_shipped_files_with_our_lines_are_read_as_meant() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        project.bring(&RELEASES[1], 2).unwrap();
        let none = BTreeMap::from([("CI".to_string(), "true".to_string())]);
        let config = Config::load(folder.path(), "production", &none).unwrap();
        assert_eq!(config.database.free_disk, FreeDisk::Path("/tmp/a \"b\"".into()));
        assert_eq!(config.flag, Some(Flag::File(project.flag())));
        assert_eq!(config.health.http.len(), 1);
        assert_eq!(config.health.http[0].deadline, Duration::from_secs(3));
        let runbook = Runbook::load(folder.path(), "release", &config.variables_with(&none)).unwrap();
        let window = runbook.window.unwrap();
        let StepKind::Command(note) = &window.during[0].kind else { panic!("{:?}", window.during[0]) };
        assert!(note.run[2].ends_with("notes/2.json'"), "{:?}", note.run);
        assert!(note.run[2].starts_with(r"'/opt/it'\''s here/backstay' demo-app note"), "{:?}", note.run);
        assert!(matches!(window.during[1].kind, StepKind::Migrate { .. }));
    }

    #[test]
    fn a_release_is_brought_and_reverted() {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let count = || fs::read_dir(project.migrations()).unwrap().count();
        project.bring(&RELEASES[1], 2).unwrap();
        assert_eq!(count(), 5);
        project.revert(&RELEASES[1]).unwrap();
        assert_eq!(count(), 2);
    }
}
