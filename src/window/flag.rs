//! The flag: what tells the application that it is in maintenance.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::config::{Config, Flag};
use crate::event::LineId;
use crate::failure::Failure;
use crate::process::{self, Program, orphans};
use crate::whole::{self, folder_of, sync};
use crate::words::{shell_line, shell_path};

/// Whose flag it is; written into a file flag, given to a command flag as `BACKSTAY_RUN`, `BACKSTAY_EPOCH` and
/// `BACKSTAY_LINE` beside the variables of the env file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The run, or `by hand`.
    pub run: String,
    /// The driver.
    pub epoch: u32,
    /// The line that raises or lowers it; none where a person does.
    pub line: Option<LineId>,
}

impl Bearer {
    /// What a command of the flag has in its environment.
    fn variables(&self) -> BTreeMap<String, String> {
        let line = self.line.map(|line| (orphans::LINE, line.to_string()));
        [(orphans::RUN, self.run.clone()), (orphans::EPOCH, self.epoch.to_string())]
            .into_iter()
            .chain(line)
            .map(|(name, value)| (name.to_string(), value))
            .collect()
    }
}

/// What a look at the flag found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is down.
    Down,
    /// It is up; whose it is, where the flag can say.
    Up(Option<String>),
}

/// Raises the flag. Idempotent for one run.
///
/// A file appears whole, by rename, and durable; a crash leaves it up or down, never half.
///
/// # Errors
/// A refusal (kind `Refused`) when the flag is proven to be still down, or another run's; otherwise a
/// failure after which it may be up.
pub async fn raise(flag: &Flag, bearer: &Bearer, config: &Config) -> Result<(), Failure> {
    match look(flag, config).await? {
        Standing::Up(Some(run)) if run != bearer.run => {
            return Err(Failure::refused("raise the flag")
                .because_of(format!("it is up already, held by {run}"))
                .leaving("the flag was left as it is")
                .then("backstay status shows that run; if it is none, take the flag down with backstay maintenance off"));
        }
        _ => {}
    }
    let raised = match flag {
        Flag::File(path) => write_file(path, bearer).map_err(|error| {
            Failure::failed(format!("raise the flag {}", path.display()))
                .caused_by(&error)
                .then(format!("make {} writable for this user", folder_of(path).display()))
        }),
        Flag::Command { on, .. } => command(flag, on, bearer, config).await,
    };
    let Err(mut failure) = raised else { return Ok(()) };
    if matches!(look(flag, config).await, Ok(Standing::Down)) {
        failure.kind = crate::failure::Kind::Refused;
        failure.state = Some("the flag is down, production serves".into());
    }
    Err(failure)
}

/// Takes the flag down, if it is this run's (or nobody's in particular). Idempotent.
///
/// # Errors
/// A refusal if another run holds it; a failure after which it may be up or down.
pub async fn lower(flag: &Flag, bearer: &Bearer, config: &Config) -> Result<(), Failure> {
    match look(flag, config).await? {
        Standing::Down => return Ok(()),
        Standing::Up(Some(run)) if run != bearer.run => {
            return Err(Failure::refused("take the flag down")
                .because_of(format!("it is held by {run}, not by {}", bearer.run))
                .then("backstay status shows both runs"));
        }
        Standing::Up(_) => {}
    }
    match flag {
        Flag::File(path) => {
            std::fs::remove_file(path).and_then(|()| sync(&folder_of(path))).map_err(|error| {
                Failure::failed(format!("take the flag {} down", path.display()))
                    .caused_by(&error)
                    .then(format!("remove it by hand: {}", removal(path)))
            })
        }
        Flag::Command { off, .. } => command(flag, off, bearer, config).await,
    }
}

/// Looks at the flag.
///
/// # Errors
/// If it cannot be known: a file that can't be read, a status command that ends with neither 0 nor 1.
pub async fn look(flag: &Flag, config: &Config) -> Result<Standing, Failure> {
    match flag {
        Flag::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Standing::Up(text.lines().find_map(|l| l.strip_prefix("run=")).map(String::from))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::Down),
            Err(error) => {
                Err(Failure::failed(format!("look at the flag {}", path.display())).caused_by(&error))
            }
        },
        Flag::Command { status, timeout, .. } => {
            let program = Program {
                argv: status.clone(),
                directory: config.root.clone(),
                env: config.variables.clone(),
                timeout: *timeout,
            };
            match process::run(&program, |_| ()).await {
                Ok(()) => Ok(Standing::Up(None)),
                Err(error) if error.code() == Some(1) => Ok(Standing::Down),
                Err(error) => {
                    Err(Failure::from(error)
                        .then("the flag's status command must end with 0 (up) or 1 (down)"))
                }
            }
        }
    }
}

/// Since when the flag is up, where it can say: a file does.
pub fn since(flag: &Flag) -> Option<jiff::Timestamp> {
    let Flag::File(path) = flag else { return None };
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("since="))?.parse().ok()
}

/// Where the flag is, for messages.
pub fn describe(flag: &Flag) -> String {
    match flag {
        Flag::File(path) => path.display().to_string(),
        Flag::Command { on, .. } => shell_line(on),
    }
}

/// The line to type that takes a file flag down by hand, whether it is there or not.
pub fn removal(path: &Path) -> String {
    format!("rm -f {}", shell_path(path))
}

async fn command(flag: &Flag, argv: &[String], bearer: &Bearer, config: &Config) -> Result<(), Failure> {
    let Flag::Command { timeout, .. } = flag else { return Ok(()) };
    let mut env = config.variables.clone();
    env.insert("BACKSTAY_ENV".into(), config.environment.clone());
    env.extend(bearer.variables());
    let program = Program { argv: argv.to_vec(), directory: config.root.clone(), env, timeout: *timeout };
    Ok(process::run(&program, |_| ()).await?)
}

fn write_file(path: &Path, bearer: &Bearer) -> io::Result<()> {
    let text = format!("run={}\nepoch={}\nsince={}\n", bearer.run, bearer.epoch, crate::time::now());
    // The application runs as another user and must be able to read it.
    whole::replace(path, text.as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    fn bearer(run: &str) -> Bearer {
        Bearer { run: run.into(), epoch: 1, line: Some(LineId::Line(4)) }
    }

    fn config(folder: &tempfile::TempDir) -> Config {
        let text = "[database]\nurl = \"postgres://app@db/shop\"\n";
        let mut config = Config::parse(text, folder.path(), "production", &BTreeMap::new()).unwrap();
        config.variables.insert("OF_THE_ENV_FILE".into(), "given".into());
        config
    }

    #[test]
    fn the_line_that_removes_a_flag_survives_the_shell() {
        assert_eq!(removal(Path::new("/opt/my app/it's $up")), r"rm -f '/opt/my app/it'\''s $up'");
    }

    #[tokio::test]
    async fn a_file_flag_goes_up_and_down_and_knows_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let flag = Flag::File(folder.path().join("maintenance"));
        let config = &config(&folder);
        assert_eq!(look(&flag, config).await.unwrap(), Standing::Down);
        raise(&flag, &bearer("a"), config).await.unwrap();
        raise(&flag, &bearer("a"), config).await.unwrap();
        assert_eq!(look(&flag, config).await.unwrap(), Standing::Up(Some("a".into())));
        assert!(crate::time::between(since(&flag).unwrap(), crate::time::now()).as_secs() < 60);
        assert_eq!(raise(&flag, &bearer("b"), config).await.unwrap_err().kind, Kind::Refused);
        assert_eq!(lower(&flag, &bearer("b"), config).await.unwrap_err().kind, Kind::Refused);
        lower(&flag, &bearer("a"), config).await.unwrap();
        lower(&flag, &bearer("a"), config).await.unwrap();
        assert_eq!(look(&flag, config).await.unwrap(), Standing::Down);
    }

    #[tokio::test]
    async fn a_flag_that_can_not_be_raised_is_proven_down() {
        let folder = tempfile::tempdir().unwrap();
        let flag = Flag::File(folder.path().join("no/such/folder/flag"));
        let failure = raise(&flag, &bearer("a"), &config(&folder)).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
    }

    #[tokio::test]
    async fn a_command_flag_is_three_commands() {
        let folder = tempfile::tempdir().unwrap();
        let sh = |script: &str| ["sh", "-c", script].map(String::from).to_vec();
        let flag = Flag::Command {
            on: sh("echo $BACKSTAY_RUN $BACKSTAY_EPOCH $BACKSTAY_LINE $OF_THE_ENV_FILE $BACKSTAY_ENV > flag"),
            off: sh("rm flag"),
            status: sh("test -e flag"),
            timeout: std::time::Duration::from_secs(5),
        };
        raise(&flag, &bearer("run-7"), &config(&folder)).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("flag")).unwrap(),
            "run-7 1 4 given production\n"
        );
        assert_eq!(look(&flag, &config(&folder)).await.unwrap(), Standing::Up(None));
        lower(&flag, &bearer("run-7"), &config(&folder)).await.unwrap();
        assert_eq!(look(&flag, &config(&folder)).await.unwrap(), Standing::Down);
    }
}
