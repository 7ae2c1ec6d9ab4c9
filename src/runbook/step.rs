//! One line of the checklist, read to its step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::order::{Kind, Line, Phase};
use super::{CommandStep, Level, RecordStep, Service, Step, StepKind, Undo, VerifyStep, watch};
use crate::config::health;
use crate::document::tree::Node;
use crate::document::{Finding, Noted, Read, Table, Value, masked, spell_out};
use crate::nearest::nearest;
use crate::rollback::By;

/// How long a command may take, where the runbook does not say.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long a command's default name may be, in characters.
const LONGEST_NAME: usize = 40;

/// Reads one line of `phase`; its kind and place are known even if the rest is wrong.
pub(super) fn line(value: Value<'_>, phase: Phase) -> Line {
    let header = value.node().place.clone();
    let mut place = header.clone();
    let mut known = None;
    let mut named = None;
    let step = value.table(|table| {
        named = table.find("name").map(|node| node.place.clone());
        let name = table.take("name", Value::line);
        let kind = match table.require("step", "step = \"migrate\"", kind) {
            Ok(kind) => kind,
            Err(noted) => {
                // Which keys are right depends on the kind.
                table.allow_any_key();
                return Err(noted);
            }
        };
        known = Some(kind);
        table.call_it(kind.word());
        place = table.place_of("step").clone();
        let step = read(table, kind, phase);
        let (name, step) = (name?, step?);
        Ok(Step { name: name.unwrap_or_else(|| default_name(&step, table)), kind: step })
    });
    Line { phase, header, place, kind: known, named, step }
}

fn kind(value: Value<'_>) -> Read<Kind> {
    let word = value.clone().line()?;
    if let Some((_, kind)) = Kind::ALL.iter().find(|(name, _)| *name == word) {
        return Ok(*kind);
    }
    let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    let label = match nearest(&word, names.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "no step is called so".into(),
    };
    let finding = Finding::new(format!("there is no step `{word}`")).label(label);
    Err(value.wrong(finding.help(format!("the steps are {}", spell_out(&names)))))
}

fn read(table: &mut Table<'_>, kind: Kind, phase: Phase) -> Read<StepKind> {
    match kind {
        Kind::Preflight => Ok(StepKind::Preflight),
        Kind::Backup => backup(table),
        Kind::Lint => Ok(StepKind::Lint),
        Kind::Preview => Ok(StepKind::Preview),
        Kind::Approve => Ok(StepKind::Approve),
        Kind::Checklist => checklist(table),
        Kind::Migrate => migrate(table),
        Kind::Rollback => rollback(table),
        Kind::Command => command(table, phase).map(StepKind::Command),
        Kind::Services => services(table, phase),
        Kind::Health => {
            let checks = health::read(table)?;
            Ok(StepKind::Health { http: checks.http, sql: checks.sql })
        }
        Kind::Verify => verify(table),
        Kind::Watch => watch::read(table).map(StepKind::Watch),
        Kind::Record => record(table),
    }
}

fn backup(table: &mut Table<'_>) -> Read<StepKind> {
    let verify = table.take("verify", |v| {
        v.word(&[("manifest", Level::Manifest), ("read", Level::Read), ("restore", Level::Restore)])
    })?;
    Ok(StepKind::Backup { verify: verify.unwrap_or(Level::Read) })
}

fn checklist(table: &mut Table<'_>) -> Read<StepKind> {
    const EXAMPLE: &str = "ask = \"Are on-call and support told?\"";
    let asks = table.require("ask", EXAMPLE, |value| {
        if value.node().as_text().is_some() {
            return value.line().map(|one| vec![one]);
        }
        let asks = value.clone().list("a question, or a list of them", Value::line)?;
        if asks.is_empty() {
            let finding = Finding::new("this checklist asks nothing").label("no question");
            return Err(value.wrong(finding.help(format!("write {EXAMPLE}"))));
        }
        let twice = asks.iter().enumerate().find(|(n, ask)| asks[..*n].contains(ask));
        if let Some((_, ask)) = twice {
            let finding = Finding::new(format!("`{ask}` is asked twice")).label("in this list");
            return Err(value.wrong(finding.help("one answer would do for both")));
        }
        Ok(asks)
    });
    Ok(StepKind::Checklist { asks: asks? })
}

fn migrate(table: &mut Table<'_>) -> Read<StepKind> {
    let to = table.take("to", Value::line);
    let root = table.take("root", Value::line);
    Ok(StepKind::Migrate { to: to?.unwrap_or_else(|| "head".into()), root: root? })
}

fn rollback(table: &mut Table<'_>) -> Read<StepKind> {
    Ok(StepKind::Rollback { by: table.take("by", |v| v.word(&By::ALL))? })
}

fn command(table: &mut Table<'_>, phase: Phase) -> Read<CommandStep> {
    let run = table.require("run", "run = [\"systemctl\", \"restart\", \"api\"]", Value::command);
    let undo = table.take("undo", undo);
    let timeout = table.take("timeout", Value::duration);
    let directory = table.take("directory", Value::line);
    let env = table.take("env", |v| v.table(|names| names.every(variable)));
    let url = table.take("url", Value::line);
    let undo = match undo? {
        Some(undo) => undo,
        None if phase.in_window() => return Err(no_undo(table)),
        None => Undo::None,
    };
    Ok(CommandStep {
        run: run?,
        undo,
        timeout: timeout?.unwrap_or(COMMAND_TIMEOUT),
        directory: directory?.map(PathBuf::from),
        env: env?.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
        url: url?,
    })
}

fn services(table: &mut Table<'_>, phase: Phase) -> Read<StepKind> {
    let services = table.each("service", |value| {
        value.clone().table(|table| {
            table.call_it("service");
            let name = table.require("name", "name = \"backend\"", Value::line);
            let command = command(table, phase);
            Ok(Service { name: name?, command: command? })
        })
    })?;
    if services.is_empty() {
        let finding = Finding::new("this step has no services").label("what is to be deployed?");
        return Err(table
            .wrong_at("step", finding.help("write a [[….service]] with `name`, `run` and `undo` for each")));
    }
    let twice = services
        .iter()
        .enumerate()
        .find(|(n, one)| services[..*n].iter().any(|other| other.name == one.name));
    if let Some((_, one)) = twice {
        let finding = Finding::new(format!("two services are called `{}`", one.name)).label("in this step");
        return Err(table.wrong_at("step", finding.help("their output is told apart by the name")));
    }
    Ok(StepKind::Services(services))
}

fn no_undo(table: &Table<'_>) -> Noted {
    table.wrong_at(
        if table.says("step") { "step" } else { "name" },
        Finding::new("a command in the window needs an `undo`")
            .label("what takes this back?")
            .help("give the command that takes it back, undo = [\"…\"], or waive it: undo = \"none\""),
    )
}

fn undo(value: Value<'_>) -> Read<Undo> {
    if value.node().as_text() == Some("none") {
        return Ok(Undo::None);
    }
    value.command().map(Undo::Run)
}

fn variable(name: &str, value: Value<'_>) -> Read<(String, String)> {
    let text = value.clone().text()?;
    if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
        let finding = Finding::new(format!("`{name}` can't be a variable of a process")).label("here");
        return Err(value.wrong(finding.help("a name has no `=`, and neither name nor value a NUL byte")));
    }
    Ok((name.to_string(), text))
}

fn verify(table: &mut Table<'_>) -> Read<StepKind> {
    let tables = table.take("tables", tables);
    let columns = table.take("columns", |v| {
        v.table(|names| names.every(|name, value| Ok((name.to_string(), columns(value)?))))
    });
    let owner = table.take("owner", Value::line);
    let indexes = table.take("indexes", |v| number_or_names(v, "indexes", Value::line));
    let foreign_keys = table.take("foreign_keys", |v| number_or_names(v, "foreign keys", foreign_key));
    let schema = table.take("schema", |v| v.word(&[("as migrated", ())]));
    let round_trip = table.take("round_trip", Value::boolean);
    let may_shrink = table.take("may_shrink", |v| v.list("a list of tables", Value::line));
    let tables = tables?.unwrap_or_default();
    let (indexes, index_names) = indexes?.unwrap_or_default();
    let (foreign_keys, foreign_key_names) = foreign_keys?.unwrap_or_default();
    Ok(StepKind::Verify(VerifyStep {
        table_count: tables.count,
        tables: tables.names,
        only_these_tables: tables.only,
        columns: columns?.unwrap_or_default().into_iter().collect(),
        owner: owner?,
        indexes,
        index_names,
        foreign_keys,
        foreign_key_names,
        as_migrated: schema?.is_some(),
        round_trip: round_trip?.unwrap_or(false),
        may_shrink: may_shrink?.unwrap_or_default(),
    }))
}

#[derive(Default)]
struct Tables {
    count: Option<u64>,
    names: Vec<String>,
    only: bool,
}

/// How many tables, which at least, or exactly which.
fn tables(value: Value<'_>) -> Read<Tables> {
    if value.node().is_table() {
        const EXAMPLE: &str = "exactly = [\"users\", \"orders\"]";
        let names = value.table(|table| {
            table.require("exactly", EXAMPLE, |names| names.list("a list of tables", Value::line))
        })?;
        return Ok(Tables { names, only: true, ..Tables::default() });
    }
    let (count, names) = number_or_names(value, "tables", Value::line)?;
    Ok(Tables { count, names, only: false })
}

/// How many `things`, or which.
fn number_or_names<'a>(
    value: Value<'a>,
    things: &str,
    name: impl Fn(Value<'a>) -> Read<String>,
) -> Read<(Option<u64>, Vec<String>)> {
    if value.node().is_number() {
        return value.number(0..=u64::MAX).map(|count| (Some(count), Vec::new()));
    }
    value.list(&format!("a number of {things}, or a list of them"), name).map(|names| (None, names))
}

/// A foreign key's name, or what it is: in one form, whatever the blanks.
fn foreign_key(value: Value<'_>) -> Read<String> {
    let text = value.clone().line()?;
    let Some((from, to)) = text.split_once("->") else { return Ok(text) };
    let end = |text: &str| {
        let (table, columns) = text.trim().strip_suffix(')')?.rsplit_once('(')?;
        let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
        let whole = !table.trim().is_empty() && columns.iter().all(|column| !column.is_empty());
        whole.then(|| format!("{}({})", table.trim(), columns.join(", ")))
    };
    match (end(from), end(to)) {
        (Some(from), Some(to)) => Ok(format!("{from} -> {to}")),
        _ => Err(value.wrong(
            Finding::new(format!("`{text}` is no foreign key"))
                .label("this one")
                .help("write its name, or \"orders(customer_id) -> customers(id)\""),
        )),
    }
}

/// Columns by name, or by name and type.
fn columns(value: Value<'_>) -> Read<BTreeMap<String, String>> {
    if value.node().is_table() {
        let typed = value.table(|names| names.every(|name, value| Ok((name.to_string(), value.line()?))))?;
        return Ok(typed.into_iter().collect());
    }
    let names = value.list("a list of columns, or a table of columns and their types", Value::line)?;
    Ok(names.into_iter().map(|name| (name, String::new())).collect())
}

fn record(table: &mut Table<'_>) -> Read<StepKind> {
    let changelog = table.take("changelog", Value::line);
    let schema = table.take("schema", Value::line);
    let tag = table.take("tag", tag);
    Ok(StepKind::Record(RecordStep {
        changelog: changelog?.map(PathBuf::from),
        schema: schema?.map(PathBuf::from),
        tag: tag?,
    }))
}

/// A git tag; what git itself refuses is refused there.
fn tag(value: Value<'_>) -> Read<String> {
    let text = value.clone().line()?;
    let bare =
        ["{date}", "{time}", "{run}", "{environment}"].iter().fold(text.clone(), |t, p| t.replace(p, ""));
    let unfit = |c: char| c.is_whitespace() || "~^:?*[]{}\\".contains(c);
    if text.starts_with('-') || bare.contains(unfit) {
        let finding = Finding::new(format!("`{text}` can't be the name of a git tag")).label("here");
        return Err(value.wrong(finding.help(
            "write it like \"release-{date}-{time}\"; there are {date}, {time}, {run} and {environment}",
        )));
    }
    Ok(text)
}

/// What a step is called that the runbook gives no name.
fn default_name(step: &StepKind, table: &Table<'_>) -> String {
    match step {
        StepKind::Preflight => "preflight".into(),
        StepKind::Backup { .. } => "backup".into(),
        StepKind::Lint => "lint".into(),
        StepKind::Preview => "preview".into(),
        StepKind::Approve => "approve".into(),
        StepKind::Checklist { asks } => match asks.as_slice() {
            [only] => masked(only),
            _ => "checklist".into(),
        },
        StepKind::Migrate { to, root: None } => format!("migrate to {to}"),
        StepKind::Migrate { to, root: Some(root) } => format!("migrate {root} to {to}"),
        StepKind::Rollback { .. } => "rollback".into(),
        StepKind::Command(_) => shorten(&written_command(table)),
        StepKind::Services(services) => {
            let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
            shorten(&names.join(", "))
        }
        StepKind::Health { .. } => "health".into(),
        StepKind::Verify(_) => "verify".into(),
        StepKind::Watch(_) => "watch".into(),
        StepKind::Record(_) => "record".into(),
    }
}

/// A command as the file has it: a name must be the same on `resume`, whatever a variable holds by then.
fn written_command(table: &Table<'_>) -> String {
    let words = table.find("run").map(Node::items).unwrap_or_default();
    words.iter().filter_map(Node::as_text).collect::<Vec<_>>().join(" ")
}

/// One line of at most [`LONGEST_NAME`] characters, no password in it: a name is journaled.
fn shorten(text: &str) -> String {
    let text = masked(text);
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST_NAME {
        return line;
    }
    let mut short: String = line.chars().take(LONGEST_NAME - 1).collect();
    short.truncate(short.trim_end().len());
    short + "…"
}
