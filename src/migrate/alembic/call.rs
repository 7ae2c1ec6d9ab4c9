//! One call of Alembic: its arguments, its environment, its output.
//!
//! The database's URL is in its environment only, under the name that `env.py` reads; everything else that there is
//! to say of the connection is in the variables of libpq beside it. It is killed, with its children, when the future
//! is dropped; what the server had not committed then, it rolls back.

use std::collections::BTreeMap;

use super::heard::{Heard, title};
use super::project::{Project, Settings};
use crate::event::{Progress, Unit};
use crate::migrate::chain::Chain;
use crate::migrate::graph::Step;
use crate::migrate::options::Options;
use crate::pg::ConnInfo;
use crate::process::{self, ProcessError, Program};
use crate::redact::redact;

/// Where no database is asked, `env.py` needs a URL all the same: one that leads nowhere.
const NOWHERE: &str = "backstay:offline@127.0.0.1:1/offline";

/// To which database, and how.
pub(super) struct Target<'a> {
    pub info: &'a ConnInfo,
    pub application: &'a str,
}

/// What Alembic is called with.
pub(super) struct Caller<'a> {
    pub settings: &'a Settings,
    pub project: &'a Project,
    pub options: &'a Options,
}

impl Caller<'_> {
    /// Runs it; its lines go to `progress`, redacted, and those that name one of `steps` move it on.
    ///
    /// Gives what was heard, and how it ended.
    pub async fn run(
        &self,
        arguments: &[&str],
        target: Option<&Target<'_>>,
        steps: &[Step],
        progress: &Progress,
    ) -> (Heard, Result<(), ProcessError>) {
        let mut heard = Heard::new();
        let total = steps.len() as u64;
        let ended = process::run(&self.program(arguments, target), |line| {
            let line = redact(line);
            if let Some((at, step)) = heard.line(&line, steps) {
                progress.at(at as u64, Some(total), Unit::Items, title(step, self.chain()));
            }
            if heard.is_tracing() {
                tracing::debug!(%line, "alembic");
            } else if !line.trim().is_empty() {
                progress.output(line.into_owned());
            }
        })
        .await;
        heard.end();
        (heard, ended)
    }

    /// Runs it where no database is asked (`--sql`); gives its standard output, and what was heard beside.
    pub async fn offline(&self, arguments: &[&str]) -> (Heard, Result<String, ProcessError>) {
        let mut heard = Heard::new();
        let ended = process::collect(&self.program(arguments, None), |line| {
            heard.line(&redact(line), &[]);
        })
        .await;
        heard.end();
        (heard, ended)
    }

    fn chain(&self) -> &Chain {
        self.project.chain()
    }

    fn program(&self, arguments: &[&str], target: Option<&Target<'_>>) -> Program {
        let settings = self.settings;
        let mut argv = settings.command.clone();
        argv.extend(["-c".to_string(), settings.ini.clone()]);
        if settings.section != "alembic" {
            argv.extend(["-n".to_string(), settings.section.clone()]);
        }
        argv.extend(settings.x.iter().flat_map(|x| ["-x".to_string(), x.clone()]));
        argv.extend(arguments.iter().map(ToString::to_string));
        Program {
            argv,
            directory: settings.directory.clone(),
            env: self.environment(target),
            timeout: settings.timeout,
        }
    }

    fn environment(&self, target: Option<&Target<'_>>) -> BTreeMap<String, String> {
        let mut env = self.settings.variables.clone();
        // Or its lines come in blocks, at the end; and no other file of settings is meant.
        env.extend([("PYTHONUNBUFFERED", "1"), ("ALEMBIC_CONFIG", "")].map(|(k, v)| (k.into(), v.into())));
        let url = match target {
            None => format!("{}://{NOWHERE}", self.scheme(None)),
            Some(target) => {
                env.extend(target.info.session_env());
                env.entry("PGAPPNAME".to_string()).or_insert_with(|| target.application.to_string());
                let options = env.entry("PGOPTIONS".to_string()).or_default();
                *options = format!("{options} {}", self.limits()).trim().to_string();
                target.info.to_plain_url(&self.scheme(target.info.scheme()))
            }
        };
        env.insert(self.settings.url_env.clone(), url);
        env
    }

    /// What stands before `://`: as the config says, else as the database's URL names a driver, else as the
    /// project does.
    fn scheme(&self, given: Option<&str>) -> String {
        let with_driver = given.filter(|scheme| scheme.starts_with("postgresql+"));
        let said = self.settings.driver.as_deref().or(with_driver).or(self.project.scheme.as_deref());
        said.unwrap_or("postgresql").to_string()
    }

    /// `lock_timeout` and `statement_timeout`, as the server takes them from libpq (manual 34.15, `PGOPTIONS`).
    fn limits(&self) -> String {
        let lock = self.options.lock_timeout.as_millis();
        let mut limits = format!("-c lock_timeout={lock}");
        if !self.options.statement_timeout.is_zero() {
            limits.push_str(&format!(" -c statement_timeout={}", self.options.statement_timeout.as_millis()));
        }
        limits
    }
}
