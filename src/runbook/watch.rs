//! `step = "watch"`: what is looked at after the release, how often, and from where on it is a breach.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{HttpCheck, SqlCheck, health};
use crate::document::tree::Data;
use crate::document::{Finding, Read, Table, Value};

const MINUTE: Duration = Duration::from_secs(60);
/// How long a watch lasts, where the runbook does not say.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// The time from look to look.
const EVERY: Duration = Duration::from_secs(15);
/// How many looks in a row must be bad.
const IN_A_ROW: u64 = 3;
/// How long a statement may run, or a transaction be idle.
const LONG: Duration = Duration::from_secs(120);
/// How many sessions may wait for a lock at one time.
const BLOCKED: u64 = 5;
/// How far behind a replica may be.
const LAG: Duration = MINUTE;
/// How often a log's pattern may come.
const MOST: Rate = Rate { count: 5, within: MINUTE };

/// `step = "watch"`.
#[derive(Debug, Clone)]
pub struct WatchStep {
    /// How long it looks.
    pub lasts: Duration,
    /// The time from look to look.
    pub every: Duration,
    /// How many looks in a row must be bad: of health checks, blocked sessions, replicas, and what can't be looked at.
    pub in_a_row: u32,
    /// What a breach does.
    pub on_breach: OnBreach,
    /// Whether health is looked at.
    pub health: bool,
    /// HTTP checks of this step; with `sql` empty too, the environment's.
    pub http: Vec<HttpCheck>,
    /// SQL checks of this step.
    pub sql: Vec<SqlCheck>,
    /// Logs, and how often a pattern may come in them.
    pub logs: Vec<LogWatch>,
    /// Bounds on what sessions of the database do.
    pub activity: Option<ActivityLimits>,
    /// Rows, against those before the migrations.
    pub rows: Option<RowLimits>,
    /// How far behind a replica may be.
    pub lag: Option<Duration>,
}

/// What a breach does, beside telling and notifying. Nothing is ever put back: users are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBreach {
    /// The watch goes on to its end.
    Tell,
    /// The watch ends at once.
    Stop,
    /// The same, with the command that shows the ways back.
    RollbackAdvice,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogWatch {
    /// Where its lines come from.
    pub source: LogSource,
    /// The texts of which a line must hold one.
    pub texts: Vec<String>,
    /// How often such a line may come.
    pub most: Rate,
}

/// Where the lines of a log come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// A program that follows it, or prints what is new; no shell.
    Command(Vec<String>),
    /// A file, from the project's root.
    File(PathBuf),
}

impl LogSource {
    /// The program, if it is one.
    pub fn program(&self) -> Option<&[String]> {
        match self {
            LogSource::Command(argv) => Some(argv),
            LogSource::File(_) => None,
        }
    }
}

/// At most `count` in any span of `within`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub within: Duration,
}

/// Bounds on `pg_stat_activity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityLimits {
    /// How long a statement may run.
    pub longest_query: Duration,
    /// How many sessions may wait for a lock at one time.
    pub blocked: u64,
    /// How long a transaction may be idle.
    pub idle_in_transaction: Duration,
}

/// Bounds on the rows of tables, against those behind the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLimits {
    /// The runbook asks for it: the guard counts them. Else only if they are counted for a `verify` anyway.
    pub asked: bool,
    /// By how many percent a table may fall.
    pub fall: u64,
    /// Tables that may fall as they like; `*` for all.
    pub may_shrink: Vec<String>,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.within.as_secs() {
            1 => write!(f, "{} a second", self.count),
            60 => write!(f, "{} a minute", self.count),
            3600 => write!(f, "{} an hour", self.count),
            _ => write!(f, "{} in {}", self.count, crate::time::show_duration(self.within)),
        }
    }
}

/// Reads the keys of a `watch`.
pub(super) fn read(table: &mut Table<'_>) -> Read<WatchStep> {
    let lasts = table.take("for", Value::duration);
    let every = table.take("every", Value::duration);
    let in_a_row = table.take("in_a_row", |v| v.number(1..=1000));
    let on_breach = table.take("on_breach", |v| {
        v.word(&[
            ("tell", OnBreach::Tell),
            ("stop", OnBreach::Stop),
            ("rollback-advice", OnBreach::RollbackAdvice),
        ])
    });
    let looks_at_health = table.take("health", Value::boolean);
    let checks = health::read(table);
    let logs = table.take("log", logs);
    let activity = table.take("activity", |v| or_off(v, activity));
    let rows = table.take("rows", |v| or_off(v, rows));
    let lag = table.take("lag", |v| or_off(v, Value::duration));
    let checks = checks?;
    Ok(WatchStep {
        lasts: lasts?.unwrap_or(LASTS),
        every: every?.unwrap_or(EVERY),
        in_a_row: u32::try_from(in_a_row?.unwrap_or(IN_A_ROW)).unwrap_or(1),
        on_breach: on_breach?.unwrap_or(OnBreach::Tell),
        health: looks_at_health?.unwrap_or(true),
        http: checks.http,
        sql: checks.sql,
        logs: logs?.unwrap_or_default(),
        activity: activity?.unwrap_or(Some(ActivityLimits {
            longest_query: LONG,
            blocked: BLOCKED,
            idle_in_transaction: LONG,
        })),
        rows: rows?.unwrap_or(Some(RowLimits { asked: false, fall: 0, may_shrink: Vec::new() })),
        lag: lag?.unwrap_or(Some(LAG)),
    })
}

/// `false` leaves it out; anything else is read.
fn or_off<'a, T>(value: Value<'a>, read: impl FnOnce(Value<'a>) -> Read<T>) -> Read<Option<T>> {
    match value.node().data {
        Data::Boolean(false) => Ok(None),
        _ => read(value).map(Some),
    }
}

fn activity(value: Value<'_>) -> Read<ActivityLimits> {
    if !value.node().is_table() {
        return Err(value.wrong_sort("false or a table"));
    }
    value.table(|table| {
        let longest_query = table.take("longest_query", Value::duration);
        let blocked = table.take("blocked", |v| v.number(0..=u64::MAX));
        let idle = table.take("idle_in_transaction", Value::duration);
        Ok(ActivityLimits {
            longest_query: longest_query?.unwrap_or(LONG),
            blocked: blocked?.unwrap_or(BLOCKED),
            idle_in_transaction: idle?.unwrap_or(LONG),
        })
    })
}

/// `true`, or by how much which tables may fall.
fn rows(value: Value<'_>) -> Read<RowLimits> {
    if matches!(value.node().data, Data::Boolean(true)) {
        return Ok(RowLimits { asked: true, fall: 0, may_shrink: Vec::new() });
    }
    if !value.node().is_table() {
        return Err(value.wrong_sort("true, false or a table"));
    }
    value.table(|table| {
        let fall = table.take("fall", |v| v.number(0..=100));
        let may_shrink = table.take("may_shrink", |v| v.list("a list of tables", Value::line));
        Ok(RowLimits { asked: true, fall: fall?.unwrap_or(0), may_shrink: may_shrink?.unwrap_or_default() })
    })
}

/// One log, or several.
fn logs(value: Value<'_>) -> Read<Vec<LogWatch>> {
    if value.node().is_table() {
        return log(value).map(|log| vec![log]);
    }
    value.list("a table, or a list of tables", log)
}

fn log(value: Value<'_>) -> Read<LogWatch> {
    const PATTERN: &str = "pattern = \"ERROR|Traceback\"";
    value.table(|table| {
        let command = table.take("command", Value::command);
        let file = table.take("file", Value::line);
        let texts = table.require("pattern", PATTERN, texts);
        let most = table.take("most", rate);
        let source = match (command?, file?) {
            (Some(argv), None) => LogSource::Command(argv),
            (None, Some(file)) => LogSource::File(PathBuf::from(file)),
            (given, _) => {
                let problem = match given {
                    Some(_) => "`log` names a `command` and a `file`",
                    None => "`log` names neither a `command` nor a `file`",
                };
                return Err(table.wrong(Finding::new(problem).label("one of them").help(
                    "write log = { file = \"/var/log/api.log\", pattern = \"ERROR\" }, or command = \
                     [\"journalctl\", \"-n\", \"0\", \"-fu\", \"api\"]",
                )));
            }
        };
        Ok(LogWatch { source, texts: texts?, most: most?.unwrap_or(MOST) })
    })
}

/// Texts with `|` between them.
fn texts(value: Value<'_>) -> Read<Vec<String>> {
    let text = value.clone().line()?;
    let texts: Vec<String> = text.split('|').map(String::from).collect();
    if texts.iter().any(String::is_empty) {
        let finding = Finding::new("`pattern` has an empty text, which every line holds").label("here");
        return Err(value.wrong(
            finding.help("it is a list of texts, as \"ERROR|Traceback\", and no regular expression"),
        ));
    }
    Ok(texts)
}

/// `5/min`, `1/s`, `100/h` or `3/10m`.
fn rate(value: Value<'_>) -> Read<Rate> {
    let text = value.clone().line()?;
    let read = || {
        let (count, within) = text.split_once('/')?;
        let within = match within.trim() {
            "s" => Duration::from_secs(1),
            "min" => MINUTE,
            "h" => Duration::from_secs(3600),
            other => crate::time::parse_duration(other).ok().filter(|within| !within.is_zero())?,
        };
        Some(Rate { count: count.trim().parse().ok()?, within })
    };
    read().ok_or_else(|| {
        let finding =
            Finding::new(format!("`{}` must be so many in a time", value.key())).label("this is not");
        value.wrong(finding.help("write it like \"5/min\", \"1/s\", \"100/h\" or \"3/10m\""))
    })
}
