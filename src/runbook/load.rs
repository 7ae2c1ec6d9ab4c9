//! From the text of a runbook to its values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::order::{self, Line, Phase};
use super::{GuardKind, Runbook, Window, step};
use crate::document::tree::{Data, Entry, Node, Place};
use crate::document::{self, Finding, Invalid, Read, Table, Value, Variables, spell_out};
use crate::failure::Failure;
use crate::nearest::nearest;

/// The runbooks that ship with this program.
pub const SHIPPED: [(&str, &str); 3] = [
    ("release", include_str!("../../runbooks/release.toml")),
    ("maintenance-window", include_str!("../../runbooks/maintenance-window.toml")),
    ("emergency-rollback", include_str!("../../runbooks/emergency-rollback.toml")),
];

/// How long the flag should be up, where the runbook does not say.
const WINDOW_MAX: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Why there is no [`Runbook`]. All of these are usage errors (exit 2).
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RunbookError {
    /// There is no such runbook.
    #[error("there is no runbook `{name}`{}", did_you_mean(name, known))]
    #[diagnostic(help("{}; or give the path of a file", what_there_is(known)))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is, shipped ones too.
        known: Vec<String>,
    },
    /// The file can't be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The runbook says something that can't be.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Box<Invalid>),
}

fn did_you_mean(name: &str, known: &[String]) -> String {
    nearest(name, known.iter().map(String::as_str))
        .map(|meant| format!("; did you mean `{meant}`?"))
        .unwrap_or_default()
}

fn what_there_is(known: &[String]) -> String {
    format!("there is {}", spell_out(known))
}

impl From<RunbookError> for Failure {
    fn from(error: RunbookError) -> Self {
        match &error {
            RunbookError::Invalid(invalid) => Failure::from(invalid.as_ref()),
            RunbookError::Unreadable { path, source } => {
                Failure::usage(format!("read {}", path.display())).caused_by(source)
            }
            RunbookError::Unknown { name, known } => Failure::usage(format!("use runbook `{name}`"))
                .because_of(error.to_string())
                .then(format!("{}; or give the path of a file", what_there_is(known))),
        }
    }
}

impl Runbook {
    /// Reads the runbook that `name` means: a path (it has a `/`, or ends in `.toml`; relative to the
    /// working directory, else to `root`), or `runbooks/<name>.toml` below `root`, or a shipped one.
    /// `variables` is what `${NAME}` stands for: [`crate::config::Config::variables_with`].
    ///
    /// # Errors
    /// There is no such runbook, or it can't be read, or all that is wrong in it.
    pub fn load(root: &Path, name: &str, variables: &BTreeMap<String, String>) -> Result<Self, RunbookError> {
        let (origin, text) = find(root, name)?;
        Ok(Self::parse(&text, &origin, variables)?)
    }

    /// Reads a runbook's text, of a file or of a journal. `origin` is what messages call it.
    ///
    /// # Errors
    /// All that is wrong in it: unknown keys, wrong values, and orders that can't work.
    pub fn parse(
        text: &str,
        origin: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Box<Invalid>> {
        let variables =
            Variables::of_process(variables).with_file("the env_file of the config".into(), BTreeMap::new());
        document::read(origin, text, variables, Some(&defaults()), |table| read(table, origin, text))
    }
}

/// What every line starts from: the defaults of the environment's health checks.
fn defaults() -> Node {
    let checks = crate::config::defaults();
    let checks = checks.get("health").map(|health| &health.data).unwrap_or(&Data::Table(Vec::new())).clone();
    let entries = Phase::ALL.map(|phase| Entry::default_of(phase.key(), checks.clone()));
    Node { data: Data::Table(entries.into()), place: Place::Default }
}

/// The runbooks that a project can name: its own and the shipped ones.
pub fn runbooks(root: &Path) -> Vec<String> {
    let mut names = crate::config::toml_files(&root.join("runbooks"));
    names.extend(SHIPPED.iter().map(|(name, _)| (*name).to_string()));
    names.sort();
    names.dedup();
    names
}

/// Where a runbook came from, and its text.
fn find(root: &Path, name: &str) -> Result<(String, String), RunbookError> {
    let is_path = name.contains('/') || name.ends_with(".toml");
    let candidates = match is_path {
        true => vec![PathBuf::from(name), root.join(name)],
        false => vec![root.join("runbooks").join(format!("{name}.toml"))],
    };
    for path in candidates {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok((path.strip_prefix(root).unwrap_or(&path).display().to_string(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(RunbookError::Unreadable { path, source }),
        }
    }
    SHIPPED
        .iter()
        .find(|(shipped, _)| *shipped == name)
        .map(|(name, text)| (format!("shipped:{name}"), (*text).to_string()))
        .ok_or_else(|| RunbookError::Unknown { name: name.to_string(), known: runbooks(root) })
}

fn read(table: &mut Table<'_>, origin: &str, text: &str) -> Read<Runbook> {
    let name = table.take("name", Value::line);
    let description = table.take("description", Value::text);
    let before = lines(table, Phase::Before);
    let window = table.take("window", window);
    let during = lines(table, Phase::During);
    let open = lines(table, Phase::Open);
    let after = lines(table, Phase::After);
    let has_window = table.says("window");

    let mut all: Vec<Line> = [before, during, open, after].into_iter().flatten().collect();
    let order = order::check(table.reader(), &all, has_window);
    let named = order::name(table.reader(), &mut all);

    let window = window?;
    let (name, description) = (name?, description?);
    order?;
    named?;
    let mut steps = BTreeMap::<Phase, Vec<_>>::new();
    for line in all {
        steps.entry(line.phase).or_default().push(line.step?);
    }
    let mut of = |phase| steps.remove(&phase).unwrap_or_default();
    Ok(Runbook {
        name: name.unwrap_or_else(|| stem(origin)),
        description: description.unwrap_or_default(),
        origin: origin.to_string(),
        text: text.to_string(),
        before: of(Phase::Before),
        window: window.map(|window| Window { during: of(Phase::During), open: of(Phase::Open), ..window }),
        after: of(Phase::After),
    })
}

/// The lines of one phase, those that could not be read too: their order matters all the same.
fn lines(table: &mut Table<'_>, phase: Phase) -> Vec<Line> {
    table.each(phase.key(), |value| Ok(step::line(value, phase))).unwrap_or_default()
}

fn window(value: Value<'_>) -> Read<Window> {
    value.table(|table| {
        let guard =
            table.take("guard", |v| v.word(&[("clone", GuardKind::Clone), ("backup", GuardKind::Backup)]));
        let max = table.take("max", Value::duration);
        let put_back_after = table.take("put_back_after", Value::duration);
        let first_deploy = table.take("first_deploy", Value::boolean);
        let any_time = table.take("any_time", Value::boolean);
        let (max, put_back_after) = (max?.unwrap_or(WINDOW_MAX), put_back_after?);
        if put_back_after.is_some_and(|after| after < max) {
            let finding = Finding::new("`put_back_after` is shorter than `max`, at which people are told");
            let finding = finding.label("nobody could act before it").help("make it longer than `max`");
            return Err(table.wrong_at("put_back_after", finding));
        }
        Ok(Window {
            guard: guard?.unwrap_or(GuardKind::Clone),
            max,
            put_back_after,
            any_time: any_time?.unwrap_or(false),
            first_deploy: first_deploy?.unwrap_or(false),
            during: Vec::new(),
            open: Vec::new(),
        })
    })
}

fn stem(origin: &str) -> String {
    let file = origin.rsplit(['/', ':']).next().unwrap_or(origin);
    file.strip_suffix(".toml").unwrap_or(file).to_string()
}
