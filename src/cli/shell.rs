//! What commands share: where we are, what is configured, and how results and troubles are told.
//! The only place that reads the process's environment.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use miette::Diagnostic;

use super::{Global, output};
use crate::actions::Actions;
use crate::config::{Config, ConfigError, StoreLocation, find_environment};
use crate::document;
use crate::failure::{Failure, Verdict};
use crate::pg::{self, ConnInfo, Session};
use crate::runbook::{Runbook, RunbookError};
use crate::steps::session_options;
use crate::store::{Directory, Gcs, GcsOptions, Spool, Store};
use crate::ui::github::{command, summary};
use crate::ui::{Look, Screen, error};
use crate::window::admin::NoLock;

/// Where a command was typed, resolved once.
pub struct Shell {
    global: Global,
    /// The process's environment.
    pub variables: BTreeMap<String, String>,
    /// How text looks here.
    pub look: Look,
    actions: Option<Actions>,
    terminal: bool,
}

/// Why a command could not do its work.
pub enum Trouble {
    /// A failure in words.
    Failure(Failure),
    /// A file with places to point at.
    Diagnostic(Box<dyn Diagnostic + Send + Sync>),
    /// A failure with a verdict of its own.
    Verdict(Failure, Verdict),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Failure(failure)
    }
}

impl From<NoLock> for Trouble {
    fn from(no_lock: NoLock) -> Self {
        Trouble::Failure(no_lock.into())
    }
}

impl From<ConfigError> for Trouble {
    fn from(error: ConfigError) -> Self {
        Trouble::Diagnostic(Box::new(error))
    }
}

impl From<RunbookError> for Trouble {
    fn from(error: RunbookError) -> Self {
        Trouble::Diagnostic(Box::new(error))
    }
}

impl From<Box<document::Invalid>> for Trouble {
    fn from(error: Box<document::Invalid>) -> Self {
        RunbookError::from(error).into()
    }
}

impl Shell {
    pub(super) fn new(global: Global) -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let terminal = std::io::stderr().is_terminal() && std::io::stdin().is_terminal();
        let look = output::look(&variables, terminal);
        let actions = Actions::of(&variables);
        Self { global, variables, look, actions, terminal }
    }

    /// The project's root, as it was given.
    pub fn root(&self) -> &Path {
        &self.global.directory
    }

    /// The environment that was named, if one was.
    pub fn environment(&self) -> Option<&str> {
        self.global.environment.as_deref()
    }

    /// Whether a person is there to be asked.
    pub fn can_ask(&self) -> bool {
        // Statements would be written across a live screen.
        self.terminal && !self.global.json && !self.global.plain && self.global.verbose == 0
    }

    /// Whether results are wanted as JSON.
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// Whether more is to be told.
    pub fn verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// How often more was asked for.
    pub fn verbosity(&self) -> u8 {
        self.global.verbose
    }

    /// The screen for a run's events.
    pub fn screen(&self) -> Screen {
        match (self.global.json, self.can_ask(), &self.actions) {
            (true, ..) => Screen::Json,
            (false, true, _) => Screen::Terminal(self.look),
            (false, false, Some(_)) => Screen::Actions(self.look),
            (false, false, None) => Screen::Plain(self.look),
        }
    }

    /// The step of GitHub Actions that this is, if it is one.
    pub fn actions(&self) -> Option<&Actions> {
        self.actions.as_ref()
    }

    /// The environment that is meant, resolved.
    pub fn config(&self) -> Result<Config, Trouble> {
        self.config_or(None)
    }

    /// As [`Shell::config`]; `otherwise` is meant where neither the command line nor a variable names one.
    pub fn config_or(&self, otherwise: Option<&str>) -> Result<Config, Trouble> {
        let variable = self.variables.get("BACKSTAY_ENV").map(String::as_str).filter(|name| !name.is_empty());
        let fallback = variable.or(otherwise);
        let name = find_environment(&self.global.directory, self.global.environment.as_deref(), fallback)?;
        Ok(self.config_of(&name)?)
    }

    /// The environment of this name, whatever the command line says.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config_of(&self, name: &str) -> Result<Config, ConfigError> {
        Config::load(&self.global.directory, name, &self.variables)
    }

    /// The runbook called `name`, found fit for the environment.
    pub fn runbook(&self, name: &str, config: &Config) -> Result<Runbook, Trouble> {
        let runbook = Runbook::load(&config.root, name, &config.variables_with(&self.variables))?;
        runbook.check_against(config)?;
        Ok(runbook)
    }

    /// The environment's store. Nothing is opened yet: what can't be reached is found by its first use.
    pub fn store(&self, config: &Config) -> Arc<dyn Store> {
        match &config.store {
            StoreLocation::Bucket(location) => {
                let emulator = self.variables.get("STORAGE_EMULATOR_HOST").filter(|host| !host.is_empty());
                let options = GcsOptions { emulator: emulator.cloned(), ..GcsOptions::default() };
                Arc::new(Gcs::new(location.clone(), options))
            }
            StoreLocation::Directory { path, .. } => Arc::new(Directory::new(path)),
        }
    }

    /// The environment's store, with the folder behind it for a run's worst hour.
    pub fn spool(&self, config: &Config) -> Arc<Spool> {
        Arc::new(Spool::over(self.store(config), &config.spool.path, config.spool.timeout))
    }

    /// A session on the database at `info`.
    pub async fn connect(&self, config: &Config, info: &ConnInfo, verb: &str) -> Result<Session, Failure> {
        Ok(pg::connect(info, &session_options(config, &format!("backstay {verb}"))).await?)
    }

    /// A session on the maintenance database.
    pub async fn connect_admin(&self, config: &Config, verb: &str) -> Result<Session, Failure> {
        let info = config.database.maintenance();
        self.connect(config, &info, verb).await
    }

    /// Refuses a direct change of a protected environment; `instead` is what serves whoever wanted it.
    ///
    /// # Errors
    /// If it is protected and `--unguarded` was not given: decidable from files and arguments (exit 2).
    pub fn allow_unguarded(
        &self,
        config: &Config,
        unguarded: bool,
        verb: &str,
        instead: &str,
    ) -> Result<(), Failure> {
        if unguarded || !config.protected {
            return Ok(());
        }
        Err(Failure::usage(format!("{verb} {} without a window", config.environment))
            .because_of(format!("{} says protected = true", config.path.display()))
            .leaving("nothing was changed")
            .then(instead)
            .then("or give --unguarded, if you know that nothing guards this change"))
    }

    /// Asks for a yes, or takes `--yes` for one.
    ///
    /// # Errors
    /// No terminal and no `--yes` (exit 2); another answer than yes.
    pub fn confirm(&self, question: &str, yes: bool) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if !self.terminal || self.global.json || self.global.plain {
            return Err(Failure::usage(format!("get an answer to: {question}"))
                .because_of("there is no terminal to ask on")
                .then("give --yes"));
        }
        dialoguer::Confirm::new()
            .with_prompt(crate::redact::redact(question))
            .default(false)
            .interact()
            .map_err(|error| Failure::usage(format!("get an answer to: {question}")).caused_by(&error))
    }

    /// Has `name` typed for a yes, or takes `--yes` for one.
    ///
    /// # Errors
    /// No terminal and no `--yes` (exit 2).
    pub async fn confirm_by_name(&self, question: &str, name: &str, yes: bool) -> Result<bool, Failure> {
        if yes {
            return Ok(true);
        }
        if !self.terminal || self.global.json || self.global.plain {
            return Err(Failure::usage(format!("get an answer to: {question}"))
                .because_of("there is no terminal to ask on")
                .then("give --yes"));
        }
        self.note(question);
        Ok(crate::ui::is_typed(name, self.look).await)
    }

    /// Shows a result: a text for people, a document for programs.
    pub fn tell(&self, text: &str, document: serde_json::Value) {
        if self.json() {
            output::print(&crate::ui::json::document(document));
        } else {
            output::print(text);
        }
    }

    /// Says something on the way, on standard error.
    pub fn note(&self, text: &str) {
        output::complain(text);
    }

    /// Why a command could not do its work, as a text of several lines; without colours where it goes into JSON.
    pub fn words(&self, trouble: &Trouble) -> String {
        let look = if self.json() { Look { unicode: self.look.unicode, ..Look::BARE } } else { self.look };
        match trouble {
            Trouble::Failure(failure) | Trouble::Verdict(failure, _) => error::tell(failure, look),
            Trouble::Diagnostic(diagnostic) => {
                document::render(&**diagnostic, look.width.min(120), look.colour)
            }
        }
    }

    /// Shows why a command could not do its work; gives its verdict.
    pub(super) fn tell_trouble(&self, trouble: Trouble) -> Verdict {
        let text = self.words(&trouble);
        let (verdict, failure) = match trouble {
            Trouble::Failure(failure) => (failure.kind.into(), failure),
            Trouble::Verdict(failure, verdict) => (verdict, failure),
            Trouble::Diagnostic(_) => {
                (Verdict::Usage, Failure::usage("read the project's files").because_of(&text))
            }
        };
        if self.json() {
            output::print(&error::document(&failure, verdict));
        } else {
            output::complain(&text);
        }
        self.annotate_trouble(&failure, verdict);
        verdict
    }

    /// A job of GitHub Actions shows it on its page too.
    fn annotate_trouble(&self, failure: &Failure, verdict: Verdict) {
        let Some(actions) = &self.actions else { return };
        actions.output_end(verdict, "", verdict.production());
        actions.summarize(&summary::refusal(failure, verdict));
        if !self.json() {
            let title = format!("backstay: exit {}", verdict.exit_code());
            output::complain(&command::annotation(command::Weight::Error, &title, &failure.to_string()));
        }
    }
}
